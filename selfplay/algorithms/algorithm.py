"""What the rest of a run needs to know of its algorithm, and which there are.

In the flow: `selfplay.training.trainer` is the loop for all of them. An algorithm says which network is trained, what
plays with it, where that goes, and what is minimised; actors, learner, checkpoints, metrics and evaluation are shared.

    alphazero      alphazero.py      a search plays, games go into the replay
    dqn            dqn.py            the best action, or a random one; transitions go into the replay
    q_iteration    q_iteration.py    nobody; a table is filled by exact backups of a grid world
    reinforce      actor_critic.py   actions are drawn from the policy; whole episodes, learned from once
    actor_critic   actor_critic.py   the same with rollouts of a few steps: A2C, PPO
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from nets.inference import Inference
from selfplay.algorithms.learner import Learner, LossFunction
from selfplay.experience.figures import SelfPlayCounts
from selfplay.stats.averages import Averages
from selfplay.system.preflight import MemoryNeed, PlayNeed


class Record(Protocol):
    """What a generator makes: a finished game, or some steps of some environments."""

    @property
    def games(self) -> int:
        """Games or episodes that ended in it."""
        ...

    def __len__(self) -> int:
        """Positions that were played."""
        ...

    def leave_out_older(self, version: int) -> int:
        """Let nothing be learned from positions that a network older than `version` played; returns how many."""
        ...


class Memory(Protocol):
    """What the learner samples from."""

    total: int
    """Positions ever added that may be learned from."""

    @property
    def window(self) -> int:
        """Positions that are sampled at present."""
        ...

    def __len__(self) -> int: ...

    def add(self, record: Any) -> None:
        """Take in what a generator made."""
        ...

    def sample(self, size: int, rng: np.random.Generator) -> Any:
        """A batch, whose length is the number of samples."""
        ...


class Generator(Protocol):
    """What plays."""

    @property
    def counts(self) -> SelfPlayCounts:
        """What happened since the last `take_counts`: positions and games at least."""
        ...

    @property
    def done(self) -> bool:
        """True when a round is over; never for one that was made to be endless."""
        ...

    def advance(self) -> Sequence[Record]:
        """Play a little, and return what is finished."""
        ...

    def weights_changed(self, version: int) -> None:
        """The inference object has new weights."""
        ...

    def take_counts(self) -> SelfPlayCounts:
        """What happened since the last call."""
        ...


class Algorithm(Protocol):
    """One algorithm with the settings of a run."""

    title: str
    """What is played, for the heading of a run."""
    keeps_games: bool
    """Records are finished games, which are saved and fill the replay of a resumed run."""
    acts_with_average: bool
    """Actors play with the averaged weights; else with those that are trained, and the average is for evaluation."""
    min_positions: int
    """Learning starts with so many positions in the memory."""
    sample_reuse: float
    """Samples for each new position at most."""
    warm_up_note: str
    """What a person reads while `warm_up` runs."""
    limit_note: str
    """What a person reads when a limit that nobody has set has cut a game or an episode off."""
    memory_needs: tuple[MemoryNeed, ...]
    """What will take much memory."""
    notes: tuple[str, ...]
    """What a person reads when a run starts: how observations and actions were read, one line each."""

    @property
    def first_step(self) -> Sequence[PlayNeed]:
        """What the first step of the learner waits for."""
        ...

    def make_net(self) -> nn.Module:
        """A fresh network; the seed of the run decides its weights."""
        ...

    def make_loss(self) -> LossFunction:
        """What is minimised. An `nn.Module` where it has a state, which is saved with the run."""
        ...

    def make_memory(self) -> Memory:
        """An empty memory."""
        ...

    def make_inference(self) -> Inference:
        """The network for evaluation only, in batches as large as an actor's, without weights yet."""
        ...

    def make_generator(self, inference: Inference, rng: np.random.Generator, positions: int, actor: int) -> Generator:
        """What an actor plays, without end; the run has played so many `positions` before. Actors count from 0."""
        ...

    def next_round(self, last: Any, inference: Inference, rng: np.random.Generator, positions: int) -> Generator:
        """The generator of a round in a process that plays and learns in turn; `last` is that of the last round."""
        ...

    def warm_up(self) -> None:
        """Compile what actors that start together would compile each."""
        ...

    def after_step(self, learner: Learner, memory: Any, batch: Any, progress: float) -> None:
        """The learner has made a step with a batch of the memory; `progress` in [0, 1] of the budget."""
        ...

    def before_publish(self, learner: Learner, memory: Any) -> None:
        """New weights are about to be handed to the actors."""
        ...

    def state(self) -> dict[str, Tensor]:
        """What it has gathered on the way, beside network and loss; saved with the run."""
        ...

    def restore_state(self, state: dict[str, Tensor]) -> None:
        """Go on with what `state` gave; empty for runs from before there was any."""
        ...

    def finish(self, folder: Path, learner: Learner) -> list[tuple[str, str]]:
        """The budget is spent: what there is to look at, as rows (name, value) for a person."""
        ...

    def describe_record(self, averages: Averages, record: Any, version: int) -> None:
        """Figures of a record; `version` is the newest that was published."""
        ...

    def metrics(self, counts: SelfPlayCounts, records: Sequence[Any]) -> dict[str, float]:
        """Figures of what was played since the last report, as metrics."""
        ...
