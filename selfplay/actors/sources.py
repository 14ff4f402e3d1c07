"""Where finished games come from: actor processes, or rounds in this process.

In the flow: the trainer asks its source for games (or steps of environments) and hands it new weights. `FleetSource`
plays all the time, `InlineSource` in turn with the learner, which repeats exactly from a seed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from selfplay.actors.actor import weights_of_role
from selfplay.actors.finished import Finished
from selfplay.actors.fleet import Fleet
from selfplay.algorithms.algorithm import PLAYER, Algorithm, Collector, Inferences, Record
from selfplay.config.run import Config
from selfplay.experience.figures import SelfPlayCounts
from selfplay.storage.run_folder import RunFolder
from selfplay.storage.tensors import publish_weights
from selfplay.system.deadline import TimeIsUp, deadline
from selfplay.system.failures import told

Publication = Mapping[str, tuple[int, Mapping[str, Tensor]]]
"""Version and weights of each network that the actors play with, by its role."""


class Budget(Protocol):
    """What is left of the run's budget, for a round that is under way."""

    def seconds_left(self) -> float | None:
        """None without a limit of time."""
        ...

    def is_spent(self, counts: SelfPlayCounts) -> bool:
        """True when the run's budget is spent with what `counts` adds to it."""
        ...


class Source(Protocol):
    """What the trainer needs of it."""

    @property
    def restarts(self) -> int:
        """Actors replaced since the start."""
        ...

    def start(self) -> None:
        """Make what it plays with; `publish` comes next."""
        ...

    def play(self, may_learn: bool) -> Iterable[Finished]:
        """What was finished since the last call; waits a little for something unless the learner has work."""
        ...

    def publish(self, publication: Publication) -> None:
        """Let what plays use new weights."""
        ...

    def allow(self, ahead: float, left: int | None) -> None:
        """How far it may play: `ahead` positions more in finished records than it has handed out, none where that is
        negative, and `left` positions more in all; None is no limit."""
        ...

    def progress_changed(self, progress: float) -> None:
        """Say how much of the budget is spent, in [0, 1], before `allow`: some games are for a part of it."""
        ...

    def stop(self) -> None:
        """End everything that plays."""
        ...

    def kill(self) -> None:
        """End everything that plays at once, without asking first."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Plain JSON to go on from."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave, before `start`."""
        ...


class FleetSource:
    """Actor processes, which play while the learner learns."""

    def __init__(
        self,
        config: Config,
        folder: RunFolder,
        seed: Callable[[], np.random.SeedSequence],
        positions_played: Callable[[], int],
        message: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        """The actors start with the first weights: `seed` is asked for then.

        `positions_played()`: number of positions that the run has played. `message` and `warn` show a line each.
        """
        self._start = lambda: Fleet(config, folder.weights, seed(), positions_played, warn)
        self._weights_file, self._message = folder.weights, message
        self._fleet: Fleet | None = None
        self._described = False
        self._rounds = 0

    @property
    def restarts(self) -> int:
        """Actors replaced since the start."""
        return self._fleet.restarts if self._fleet else 0

    def start(self) -> None:
        """Actors cannot start before there are weights."""

    def play(self, may_learn: bool) -> Iterable[Finished]:
        """See `Source.play`."""
        assert self._fleet, "publish comes first"
        for kind, *content in self._fleet.poll(0.0 if may_learn else 0.2):
            if kind == "games":
                yield content[0]
            elif not self._described:
                self._describe(content[0])

    def _describe(self, facts: dict[str, Any]) -> None:
        self._described = True
        rate = facts["positions_per_second"]
        self._message(f"actors: {facts['device']}, {facts['dtype']}, {rate:,.0f} positions/s each at most")

    def publish(self, publication: Publication) -> None:
        """See `Source.publish`; the weights lie in a file of the run for each role."""
        for role, (version, weights) in publication.items():
            publish_weights(weights_of_role(self._weights_file, role), weights, version)
        if self._fleet is None:
            self._fleet = self._start()
        else:
            self._fleet.send(("weights",))

    def allow(self, ahead: float, left: int | None) -> None:
        """See `Source.allow`; the actors share it."""
        if self._fleet:
            self._fleet.allow(ahead, left)

    def progress_changed(self, progress: float) -> None:
        """See `Source.progress_changed`."""
        if self._fleet:
            self._fleet.progress_changed(progress)

    def stop(self) -> None:
        """See `Source.stop`."""
        if self._fleet:
            self._fleet.stop()

    def kill(self) -> None:
        """See `Source.kill`."""
        if self._fleet:
            self._fleet.kill()

    def state_dict(self) -> dict[str, Any]:
        """The rounds that the run played before it had actors; their own random numbers follow from its steps."""
        return {"rounds": self._rounds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Source.load_state_dict`."""
        self._rounds = state["rounds"]


class InlineSource:
    """One round at a time, from fresh random numbers that the round's number decides."""

    restarts = 0

    def __init__(
        self,
        algorithm: Algorithm,
        seed: int,
        positions_played: Callable[[], int],
        stop: Callable[[], bool],
        budget: Budget,
        failures: Path,
    ) -> None:
        """`positions_played()`: number of positions that the run has played. A round is broken off, and lost, when
        `stop()` turns true; it ends early when the budget is spent. Tracebacks go to the file `failures`."""
        self._algorithm, self._seed, self._positions_played, self._stop = algorithm, seed, positions_played, stop
        self._budget, self._failures = budget, failures
        self._inferences: Inferences = {}
        self._collector: Collector | None = None
        self._rounds = 0
        self._progress = 0.0

    def start(self) -> None:
        """Make the networks."""
        self._inferences = {PLAYER: self._algorithm.make_inference()}

    def play(self, may_learn: bool) -> Iterable[Finished]:
        """A whole round, or what the budget has left of one, unless the learner has work. See `Source.play`.

        Raises UserError where a game or an environment from outside fails.
        """
        if may_learn:
            return
        started = time.monotonic()
        records: list[Record] = []
        try:
            with told("playing", self._failures), deadline(self._budget.seconds_left()):
                if not self._play_round(records):
                    return
        except TimeIsUp:
            pass
        number = self._rounds
        self._rounds += 1
        counts = self._collector.take_counts() if self._collector else SelfPlayCounts()
        counts.seconds = time.monotonic() - started
        yield Finished(0, 0, number, records, counts)

    def _play_round(self, records: list[Record]) -> bool:
        """Adds what is finished to `records`; False when somebody asked to stop."""
        rng = np.random.default_rng([self._seed, self._rounds])
        last = self._collector
        collector = self._algorithm.next_round(last, self._inferences, rng, self._positions_played())
        if last is not None and last is not collector:
            last.close()
        collector.weights_changed(self._inferences[PLAYER].version)
        collector.progress_changed(self._progress)
        self._collector = collector
        while not collector.done and not self._budget.is_spent(collector.counts):
            if self._stop():
                return False
            records += collector.collect()
        return True

    def publish(self, publication: Publication) -> None:
        """See `Source.publish`."""
        for role, (version, weights) in publication.items():
            self._inferences[role].load(weights, version)

    def allow(self, ahead: float, left: int | None) -> None:
        """A round is never started before the learner has caught up, and ends when the budget is spent."""

    def progress_changed(self, progress: float) -> None:
        """See `Source.progress_changed`; a round that has begun is not changed."""
        self._progress = progress

    def stop(self) -> None:
        """Nothing runs between rounds."""

    def kill(self) -> None:
        """Nothing runs between rounds."""

    def state_dict(self) -> dict[str, Any]:
        """The number of rounds, from which the random numbers of the next one follow."""
        return {"rounds": self._rounds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Source.load_state_dict`."""
        self._rounds = state["rounds"]
