"""An actor process: plays games with the newest weights and sends them to the driver.

In the flow: the driver starts `actor_main` with `spawn` and one Pipe. Messages are tuples, first entry the kind.

* driver to actor: `("weights",)` new weights lie in the run's weights file; `("progress", share)` so much of the budget
  is spent; `("play", completed, played)`, `("stop",)`
* actor to driver: `("hello", description)`, `("games", finished)`, `("failed", failure)`,
  `("unsound", message)` where no actor can play the game or environment

However fast it is, an actor plays no further than the driver lets it: until its records have `completed` positions, and
until it has `played` so many, those of unfinished games included, both counted since its start.

An actor owns its random numbers (spawned from the run's seed), sees nothing but the weights file, and ends when its
pipe closes or its parent dies.
"""

from __future__ import annotations

import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from selfplay.actors.finished import Finished
from selfplay.algorithms.algorithm import PLAYER
from selfplay.config.run import Config
from selfplay.system.child_process import become_child
from selfplay.system.failures import describe
from selfplay.system.machine import MEMORY_SECONDS, give_back_memory
from selfplay.system.timer import Timer

SEND_SECONDS = 1.0
"""Seconds between two reports at most, finished games or not: the report is its sign of life."""

WAIT_SECONDS = 0.2
"""Seconds between two looks at the clock of an actor that may not play."""

SEND_POSITIONS = 4096
"""Positions of finished records after which an actor reports whatever the time."""


def weights_of_role(weights: Path, role: str) -> Path:
    """The file with the weights of a role: `weights` itself for the player, one beside it for others."""
    return weights if role == PLAYER else weights.with_name(f"{weights.stem}_{role}{weights.suffix}")


def actor_main(
    connection: Connection,
    stacks: Connection,
    config: Config,
    weights: Path,
    seed: np.random.SeedSequence,
    positions_played: int,
    actor_index: int,
    incarnation: int,
) -> None:
    """Entry point of the process of actor `actor_index`, which was replaced `incarnation` times before.

    `weights` is the file that the driver publishes; the run has played `positions_played` before. `stacks`: see
    `become_child`.
    """
    become_child(stacks)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides when to stop
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        _Actor(connection, config, weights, seed, positions_played, actor_index, incarnation).run()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the driver is gone
    except BaseException as error:  # the driver reports it; a traceback on a child's terminal helps nobody
        from games.soundness import UnsoundError

        is_unsound = isinstance(error, UnsoundError)
        _send_quietly(connection, ("unsound", str(error)) if is_unsound else ("failed", describe(error)))
        sys.exit(1)


def _send_quietly(connection: Connection, message: Any) -> None:
    try:
        connection.send(message)
    except OSError:
        pass


class _Actor:
    """Plays until told to stop."""

    def __init__(
        self,
        connection: Connection,
        config: Config,
        weights: Path,
        seed: np.random.SeedSequence,
        positions_played: int,
        actor_index: int,
        incarnation: int,
    ) -> None:
        from nets.inference import one_thread
        from selfplay.algorithms.registry import load_algorithm

        one_thread()
        self.connection, self.weights = connection, weights
        self._index, self._incarnation, self._sent = actor_index, incarnation, 0
        algorithm = load_algorithm(config)
        self.inferences = {PLAYER: algorithm.make_inference()}
        self._load_weights()
        self.collector = algorithm.make_collector(
            self.inferences, np.random.default_rng(seed), positions_played, actor_index
        )
        self.collector.weights_changed(self.inferences[PLAYER].version)
        self._records: list[Any] = []  # finished and not sent
        self._completed = self._played = 0  # positions: of all finished records; of what was sent, unfinished ones too
        self._limits: tuple[float, float] = (0, 0)  # of both
        connection.send(("hello", self.inferences[PLAYER].describe()))

    def run(self) -> None:
        """Play, send, obey."""
        started = last_sent = time.monotonic()
        memory = Timer(MEMORY_SECONDS)
        sent = 0  # of the completed positions
        while self._obey():
            if self._may_play:
                records = self.collector.collect()
                self._records += records
                self._completed += sum(map(len, records))
            now = time.monotonic()
            has_news = self._completed > sent or self.collector.counts.positions > 0
            is_full = self._completed - sent >= SEND_POSITIONS
            if now - last_sent >= SEND_SECONDS or is_full or has_news and not self._may_play:
                counts = self.collector.take_counts()
                counts.seconds = now - started
                self._played += counts.positions
                finished = Finished(self._index, self._incarnation, self._sent, self._records, counts)
                self.connection.send(("games", finished))
                self._sent += 1
                self._records, sent, started, last_sent = [], self._completed, now, now
            if memory.due():
                give_back_memory()

    @property
    def _may_play(self) -> bool:
        completed, played = self._limits
        return self._completed < completed and self._played + self.collector.counts.positions < played

    def _obey(self) -> bool:
        """Read what the driver said; False to stop. Waits a little where there is nothing to play."""
        while self.connection.poll(0 if self._may_play else WAIT_SECONDS):
            kind, *content = self.connection.recv()
            if kind == "stop":
                return False
            if kind == "weights":
                self._load_weights()
                self.collector.weights_changed(self.inferences[PLAYER].version)
            elif kind == "progress":
                self.collector.progress_changed(content[0])
            elif kind == "play":
                self._limits = content[0], content[1]
        return True

    def _load_weights(self) -> None:
        from selfplay.storage.tensors import read_weights

        for role, inference in self.inferences.items():
            tensors, version = read_weights(weights_of_role(self.weights, role))
            inference.load(tensors, version)
