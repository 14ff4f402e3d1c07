"""Q-iteration: sweeps of the Bellman equation over a table, as a run like any other.

In the flow: see `selfplay.algorithms.algorithm`. Nobody plays; a round is one backup of every state and action with the
known probabilities, and the step of the learner sets the table to what the backups say: the gradient of half the
squared error is the error, so gradient descent with learning rate 1 does exactly that. Tabular Q-learning is `dqn` with
the same network, `net.kind: table`.

Source: Sutton and Barto 2018, equation (3.20) and section 4.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from games.environments.grid_world import GridWorld
from games.environments.mdp import TabularMdp, optimal_q
from nets.inference import Inference
from selfplay.algorithms.algorithm import Inferences
from selfplay.algorithms.learner import Learner, Loss, LossFunction
from selfplay.algorithms.model_free import ModelFree, ModelFreeLearner
from selfplay.config.run import Config, LearnerConfig
from selfplay.errors import UserError
from selfplay.experience.figures import SelfPlayCounts
from selfplay.experience.rollouts import Experience
from selfplay.stats.averages import Averages
from selfplay.system.preflight import Needs

PLAIN_DESCENT = LearnerConfig(
    optimizer="sgd", learning_rate=1.0, schedule="constant", warmup_steps=0, momentum=0.0, weight_decay=0.0,
    gradient_clip=0.0, ema_decay=0.0, batch_size=0,
)  # fmt: skip
"""What a step of the learner has to be for the table to take its targets."""


@dataclass(frozen=True)
class Sweep:
    """One backup of every state and action."""

    backups: int
    games = 0

    def __len__(self) -> int:
        return self.backups


class SweepReplay:
    """The collector and the replay in one: there is nothing to play and nothing to remember."""

    def __init__(self, mdp: TabularMdp) -> None:
        self._sweep = Sweep(mdp.num_states * mdp.num_actions)
        self.done = False
        self.total = 0

    @property
    def window(self) -> int:
        """Backups of a sweep."""
        return len(self._sweep)

    def __len__(self) -> int:
        return len(self._sweep)

    def add(self, record: Sweep) -> None:
        """One sweep more may be made."""
        self.total += len(record)

    def sample(self, size: int, rng: np.random.Generator) -> Sweep:
        """All of them, always."""
        return self._sweep

    def learned(self, batch: Sweep, errors: np.ndarray | None, progress: float) -> None:
        """Every sweep is the same."""

    def state_dict(self) -> dict[str, Any]:
        """See `algorithm.Replay.state_dict`."""
        return {"kept": self.total}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """A run begins to count its sweeps again."""

    def collect(self) -> Sequence[Sweep]:
        """A round is one sweep."""
        self.done = True
        return [self._sweep]

    def weights_changed(self, version: int) -> None:
        """Nobody acts."""

    def progress_changed(self, progress: float) -> None:
        """Nobody acts."""

    def take_counts(self) -> SelfPlayCounts:
        """Positions of a sweep are its backups."""
        return self.counts

    def close(self) -> None:
        """A sweep holds nothing."""

    @property
    def counts(self) -> SelfPlayCounts:
        """See `algorithm.Collector`."""
        return SelfPlayCounts(positions=len(self._sweep) if self.done else 0)


class QIteration(ModelFree):
    """See `selfplay.algorithms.algorithm.Algorithm`."""

    environment: GridWorld

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if not isinstance(self.environment, GridWorld):
            raise UserError(f"algorithm: q_iteration needs a world that it knows, {self.title} is none; use grid_world")
        if config.net.kind != "table":
            raise UserError(f"net.kind: q_iteration fills a table, not a {config.net.kind}; use table")
        if config.actors.num_actors != 0:
            raise UserError("actors.num_actors: q_iteration has nothing to play; use 0")
        for name in ("optimizer", "learning_rate", "schedule", "warmup_steps", "momentum", "weight_decay",
                     "gradient_clip", "ema_decay", "batch_size"):  # fmt: skip
            wanted = getattr(PLAIN_DESCENT, name)
            if getattr(config.learner, name) != wanted:
                raise UserError(f"learner.{name}: q_iteration sets the table to its targets; use {wanted}")
        self.mdp = self.environment.to_mdp()

    @property
    def needs(self) -> Needs:
        """See `Algorithm.needs`: a step is a sweep."""
        return Needs(min_positions=1, sample_reuse=1.0)

    def make_learner(self) -> ModelFreeLearner:
        """See `Algorithm.make_learner`."""
        return ModelFreeLearner(self.make_net(), self.config.learner, self.make_loss())

    def make_loss(self) -> LossFunction:
        """Half the squared distance of the table from its backups, summed."""
        mdp, discount = self.mdp, self.config.rewards.discount
        observations = torch.eye(mdp.num_states, dtype=torch.float64)
        rewards, transitions = torch.from_numpy(mdp.rewards), torch.from_numpy(mdp.transitions)

        def loss(net: nn.Module, batch: Sweep, device: torch.device) -> Loss:
            like = next(net.parameters())
            q, _ = net(observations.to(like))
            with torch.no_grad():
                backups = rewards.to(like) + discount * transitions.to(like) @ q.max(dim=1).values
                residual = (backups - q).abs().max()
            total = 0.5 * torch.square(q - backups).sum()
            return Loss(total, {"loss": total.detach(), "bellman_residual": residual})

        return loss

    def make_replay(self) -> SweepReplay:
        """See `Algorithm.make_replay`."""
        return SweepReplay(self.mdp)

    def make_experience(
        self, inference: Inference, rng: np.random.Generator, positions_played: int, endless: bool
    ) -> Experience:
        """Nobody plays."""
        raise NotImplementedError

    def next_round(self, last: Any, inferences: Inferences, rng: np.random.Generator, positions_played: int) -> Any:
        """One sweep."""
        return SweepReplay(self.mdp)

    def describe_record(self, averages: Averages, record: Any, version: int) -> None:
        """A sweep has no figures."""

    def finish(self, learner: Learner) -> list[tuple[str, str]]:
        """See `Algorithm.finish`: how far the table is from the exact values."""
        with torch.no_grad():
            q, _ = learner.net(torch.eye(self.mdp.num_states).to(next(learner.net.parameters())))
        distance = np.abs(q.double().cpu().numpy() - optimal_q(self.mdp, self.config.rewards.discount)).max()
        return [("distance from the exact values", f"{distance:.3g}")]
