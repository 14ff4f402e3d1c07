"""Where finished games come from: actor processes, or rounds of games in this process.

In the flow: the trainer asks its source for games and tells it when there are new weights. `FleetSource` plays all the
time, `InlineSource` in turn with the learner, which repeats exactly from a seed and after a resume.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from games import Game
from selfplay import alphazero
from selfplay.display import Display
from selfplay.fleet import Fleet
from selfplay.records import GameRecord
from selfplay.run_folder import RunFolder
from selfplay.self_play import SelfPlayCounts
from selfplay.settings import Config
from selfplay.tensors import read_weights

Finished = tuple[list[GameRecord], SelfPlayCounts]


class Source(Protocol):
    """What the trainer needs of it."""

    @property
    def restarts(self) -> int:
        """Actors replaced since the start."""
        ...

    def play(self, may_learn: bool) -> Iterable[Finished]:
        """Games finished since the last call; waits a little for some unless the learner has work."""
        ...

    def weights_changed(self) -> None:
        """New weights lie in the run's weights file."""
        ...

    def hold_back(self, behind: bool) -> None:
        """The learner is behind: play no more until it has caught up."""
        ...

    def stop(self) -> None:
        """End everything that plays."""
        ...


class FleetSource:
    """Actor processes, which play while the learner learns."""

    def __init__(self, config: Config, folder: RunFolder, seed: np.random.SeedSequence, display: Display) -> None:
        self._fleet = Fleet(config, folder.weights, seed, display.warning)
        self._display = display
        self._described = False

    @property
    def restarts(self) -> int:
        """Actors replaced since the start."""
        return self._fleet.restarts

    def play(self, may_learn: bool) -> Iterable[Finished]:
        """See `Source.play`."""
        for kind, *content in self._fleet.poll(0.0 if may_learn else 0.2):
            if kind == "games":
                yield content[0], content[1]
            elif not self._described:
                self._describe(content[0])

    def _describe(self, facts: dict[str, Any]) -> None:
        self._described = True
        rate = facts["positions_per_second"]
        self._display.message(f"actors: {facts['device']}, {facts['dtype']}, {rate:,.0f} positions/s each at most")

    def weights_changed(self) -> None:
        """See `Source.weights_changed`."""
        self._fleet.send(("weights",))

    def hold_back(self, behind: bool) -> None:
        """See `Source.hold_back`."""
        self._fleet.set_paused(behind)

    def stop(self) -> None:
        """See `Source.stop`."""
        self._fleet.stop()


class InlineSource:
    """One round of `games_per_actor` games at a time, from fresh random numbers that the round's number decides."""

    restarts = 0

    def __init__(
        self, config: Config, game: Game, folder: RunFolder, first_round: int, stop: Callable[[], bool]
    ) -> None:
        """`first_round`: rounds played before. A round is broken off, and lost, when `stop()` turns true."""
        self._config, self._game, self._folder, self._stop = config, game, folder, stop
        self._inference = alphazero.make_inference(config, game, config.actors, config.actors.games_per_actor)
        self.rounds = first_round

    def play(self, may_learn: bool) -> Iterable[Finished]:
        """A whole round, unless the learner has work. See `Source.play`."""
        if may_learn:
            return
        started = time.monotonic()
        self._inference.load(*read_weights(self._folder.weights))
        rng = np.random.default_rng([self._config.seed, self.rounds])
        generator = alphazero.make_generator(self._config, self._game, self._inference, rng, endless=False)
        generator.version = self._inference.version
        records: list[GameRecord] = []
        while not generator.done:
            if self._stop():
                return
            records += generator.advance()
        self.rounds += 1
        counts = generator.take_counts()
        counts.seconds = time.monotonic() - started
        yield records, counts

    def weights_changed(self) -> None:
        """Every round reads the newest weights."""

    def hold_back(self, behind: bool) -> None:
        """A round is never started before the learner has caught up."""

    def stop(self) -> None:
        """Nothing runs between rounds."""
