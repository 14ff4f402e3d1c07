"""Which weights the actors play with: the newest, or those of a champion until others have beaten it.

In the flow: the trainer asks the gate whenever it could publish, and tells it what was published and how checkpoints
did. The gate owns the decision and nothing else: weights come from the learner or from a checkpoint.

Source of the champion: AlphaGo Zero (Silver et al. 2017), whose new networks had to win 55 % of 400 games.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from selfplay.algorithms.algorithm import PLAYER
from selfplay.config.run import EvaluationConfig
from selfplay.training.evaluator import CheckpointResult

NEWEST = None
"""In place of a version: the weights that the learner has at present."""


class Gate(Protocol):
    """What the actors play with."""

    def choice(self) -> Mapping[str, int | None]:
        """By role, the version of a checkpoint, or `NEWEST`."""
        ...

    def published(self, versions: Mapping[str, int]) -> None:
        """The actors have these versions now, by role."""
        ...

    def rival(self, version: int) -> int | None:
        """The version that an evaluation of `version` should compare it with; None for no other."""
        ...

    def judge(self, evaluation: CheckpointResult) -> None:
        """Take in how a checkpoint did."""
        ...

    def lose(self) -> None:
        """The chosen version cannot be read: choose the newest."""
        ...

    def pinned_versions(self) -> set[int]:
        """Checkpoints that may not be removed."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        ...


class NewestGate:
    """Every new version goes to the actors."""

    def choice(self) -> Mapping[str, int | None]:
        """See `Gate.choice`."""
        return {PLAYER: NEWEST}

    def published(self, versions: Mapping[str, int]) -> None:
        """Nothing follows from it."""

    def rival(self, version: int) -> int | None:
        """Nobody."""
        return None

    def judge(self, evaluation: CheckpointResult) -> None:
        """Nothing follows from it."""

    def lose(self) -> None:
        """No version was chosen."""

    def pinned_versions(self) -> set[int]:
        """None."""
        return set()

    def state_dict(self) -> dict[str, Any]:
        """No champion."""
        return {"champion": None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The champion of a run that had one is no longer asked for."""


class ChampionGate:
    """The first version that was published, until an evaluation says that another beats it."""

    def __init__(self) -> None:
        self.champion: int | None = None

    def choice(self) -> Mapping[str, int | None]:
        """See `Gate.choice`."""
        return {PLAYER: self.champion}

    def published(self, versions: Mapping[str, int]) -> None:
        """The first becomes the champion."""
        self.champion = versions[PLAYER]

    def rival(self, version: int) -> int | None:
        """The champion, but for itself."""
        return None if self.champion == version else self.champion

    def judge(self, evaluation: CheckpointResult) -> None:
        """A version that beats the champion takes its place."""
        if evaluation.beats_champion:
            self.champion = evaluation.version

    def lose(self) -> None:
        """The newest weights will be the champion."""
        self.champion = None

    def pinned_versions(self) -> set[int]:
        """The champion's."""
        return set() if self.champion is None else {self.champion}

    def state_dict(self) -> dict[str, Any]:
        """The champion's version."""
        return {"champion": self.champion}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Gate.load_state_dict`; runs from before there was a gate have no champion."""
        self.champion = state.get("champion")


def plays_newest(gate: Gate) -> bool:
    """Whether the actors get the newest weights."""
    return NEWEST in gate.choice().values()


def make_gate(config: EvaluationConfig) -> Gate:
    """The gate of the settings."""
    return ChampionGate() if config.gate else NewestGate()
