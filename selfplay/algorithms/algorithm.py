"""What the rest of a run needs to know of its algorithm.

In the flow: `selfplay.training.trainer` is the loop for all of them. An algorithm makes the parts of a run that differ
from one to the other: what plays, where that goes, what is learned from it. It keeps nothing of a run itself: what is
gathered on the way belongs to the learner or to the replay, which save and load it.

    alphazero      selfplay.algorithms.alphazero      a search plays, games go into the replay
    dqn            selfplay.algorithms.dqn            the best action, or a random one; transitions go into the replay
    q_iteration    selfplay.algorithms.q_iteration    nobody; a table is filled by exact backups of a grid world
    reinforce      selfplay.algorithms.actor_critic   actions are drawn from the policy; whole episodes, learned once
    actor_critic   selfplay.algorithms.actor_critic   the same with rollouts of a few steps: A2C, PPO
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from torch import nn

from games import Game
from nets.inference import Inference
from selfplay.algorithms.learner import Learner
from selfplay.experience.figures import SelfPlayCounts
from selfplay.stats.averages import Averages
from selfplay.system.preflight import Needs

PLAYER = "player"
"""Role of the network that chooses the moves; the only role that there is today."""

Inferences = Mapping[str, Inference]
"""The networks that actors play with, for evaluation only, by role."""


class Record(Protocol):
    """What a collector makes: a finished game, or some steps of some environments."""

    @property
    def games(self) -> int:
        """Games or episodes that ended in it."""
        ...

    def __len__(self) -> int:
        """Positions that were played."""
        ...

    def leave_out_older(self, version: int) -> tuple[Record, int]:
        """The same record with nothing to learn from positions that a network older than `version` played, and how
        many of those could have been learned from."""
        ...


class Replay(Protocol):
    """What the learner samples from."""

    total: int
    """Positions ever added that may be learned from."""

    @property
    def window(self) -> int:
        """Positions that are sampled at present."""
        ...

    def __len__(self) -> int: ...

    def add(self, record: Any) -> None:
        """Take in what a collector made."""
        ...

    def sample(self, size: int, rng: np.random.Generator) -> Any:
        """A batch, whose length is the number of samples."""
        ...

    def learned(self, batch: Any, errors: np.ndarray | None, progress: float) -> None:
        """A batch was learned from: absolute errors [B] of its samples where they are known, and the `progress` in
        [0, 1] of the budget."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What it needs to go on beside the records: `kept`, its `total`, and tensors under names of their own."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with what `state_dict` gave, for an empty replay; what is missing stays as it is."""
        ...


class Collector(Protocol):
    """What plays."""

    @property
    def counts(self) -> SelfPlayCounts:
        """What happened since the last `take_counts`: positions and games at least."""
        ...

    @property
    def done(self) -> bool:
        """True when a round is over; never for one that was made to be endless."""
        ...

    def collect(self) -> Sequence[Record]:
        """Play a little, and return what is finished."""
        ...

    def weights_changed(self, version: int) -> None:
        """The inference object has new weights."""
        ...

    def progress_changed(self, progress: float) -> None:
        """So much of the run's budget is spent, in [0, 1]; said before the first `collect`."""
        ...

    def take_counts(self) -> SelfPlayCounts:
        """What happened since the last call."""
        ...

    def close(self) -> None:
        """Free what it plays in; nothing is played afterwards."""
        ...


class Algorithm(Protocol):
    """One algorithm with the settings of a run. It makes the parts of a run and has no state."""

    title: str
    """What is played, for the heading of a run."""
    keeps_games: bool
    """Records are finished games, which are saved and fill the replay of a resumed run."""
    games: tuple[Game, ...]
    """What they are games of, the one that the run is for first; empty where `keeps_games` is false."""
    warm_up_note: str
    """What a person reads while `warm_up` runs."""
    limit_note: str
    """What a person reads when a limit that nobody has set has cut a game or an episode off."""
    notes: tuple[str, ...]
    """What a person reads when a run starts: how observations and actions were read, one line each."""

    @property
    def needs(self) -> Needs:
        """What it waits for, how often it samples a position, and what takes much memory."""
        ...

    def make_net(self) -> nn.Module:
        """A fresh network; the seed of the run decides its weights."""
        ...

    def make_learner(self) -> Learner:
        """A fresh network and what it learns by."""
        ...

    def make_replay(self) -> Replay:
        """An empty replay."""
        ...

    def make_inference(self) -> Inference:
        """The network for evaluation only, in batches as large as an actor's, without weights yet."""
        ...

    def make_collector(
        self, inferences: Inferences, rng: np.random.Generator, positions_played: int, actor_index: int
    ) -> Collector:
        """What an actor plays, without end; `positions_played` is what the run has played before. Actors
        count from 0."""
        ...

    def next_round(
        self, last: Any, inferences: Inferences, rng: np.random.Generator, positions_played: int
    ) -> Collector:
        """The collector of a round in a process that plays and learns in turn; `last` is that of the last round."""
        ...

    def warm_up(self) -> None:
        """Compile what actors that start together would compile each."""
        ...

    def describe_record(self, averages: Averages, record: Any, version: int) -> None:
        """Figures of a record; `version` is the newest that was published."""
        ...

    def metrics(self, counts: SelfPlayCounts, records: Sequence[Any]) -> dict[str, float]:
        """Figures of what was played since the last report, as metrics."""
        ...

    def finish(self, learner: Learner) -> list[tuple[str, str]]:
        """The budget is spent: figures of what was learned, as rows (name, value) for a person."""
        ...
