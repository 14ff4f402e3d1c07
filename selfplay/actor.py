"""An actor process: plays games with the newest weights and sends them to the driver.

In the flow: the driver starts `actor_main` with `spawn` and one Pipe. Messages are tuples, first entry the kind.

* driver to actor: `("weights",)` new weights lie in the run's weights file; `("pause",)`, `("go",)`, `("stop",)`
* actor to driver: `("hello", description)`, `("games", records, counts)`, `("failed", message)`

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

from selfplay.child_process import become_child
from selfplay.machine import MEMORY_SECONDS, give_back_memory
from selfplay.settings import Config
from selfplay.timer import Timer

SEND_SECONDS = 1.0
"""An actor reports at least this often, finished games or not: the report is its sign of life."""


def actor_main(
    connection: Connection,
    stacks: Connection,
    config: Config,
    weights: Path,
    seed: np.random.SeedSequence,
    positions: int,
    index: int,
) -> None:
    """Entry point of the process of actor `index`. `weights` is the file that the driver publishes; the run has played
    so many `positions` before. `stacks`: see `become_child`."""
    become_child(stacks)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides when to stop
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        _Actor(connection, config, weights, seed, positions, index).run()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the driver is gone
    except Exception as error:  # the driver reports it; a traceback of a child helps nobody
        _send_quietly(connection, ("failed", f"{type(error).__name__}: {error}"))
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
        positions: int,
        index: int,
    ) -> None:
        from nets.inference import one_thread
        from selfplay.algorithm import load_algorithm

        one_thread()
        self.connection, self.weights = connection, weights
        algorithm = load_algorithm(config)
        self.inference = algorithm.make_inference()
        self._load_weights()
        self.generator = algorithm.make_generator(self.inference, np.random.default_rng(seed), positions, index)
        self.generator.weights_changed(self.inference.version)
        self.paused = False
        connection.send(("hello", self.inference.describe()))

    def run(self) -> None:
        """Play, send, obey."""
        records: list[Any] = []
        started = last_sent = time.monotonic()
        memory = Timer(MEMORY_SECONDS)
        while self._obey():
            if not self.paused:
                records += self.generator.advance()
            now = time.monotonic()
            if now - last_sent >= SEND_SECONDS:
                counts = self.generator.take_counts()
                counts.seconds = now - started
                self.connection.send(("games", records, counts))
                records, started, last_sent = [], now, now
            if memory.due():
                give_back_memory()

    def _obey(self) -> bool:
        """Read what the driver said; False to stop. Waits while paused."""
        while self.connection.poll(0.2 if self.paused else 0):
            kind, *_ = self.connection.recv()
            if kind == "stop":
                return False
            if kind == "weights":
                self._load_weights()
                self.generator.weights_changed(self.inference.version)
            elif kind in ("pause", "go"):
                self.paused = kind == "pause"
        return True

    def _load_weights(self) -> None:
        from selfplay.tensors import read_weights

        tensors, version = read_weights(self.weights)
        self.inference.load(tensors, version)
