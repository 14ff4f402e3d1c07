"""Matches of a checkpoint against fixed opponents, in a process of their own while training goes on.

In the flow: the driver saves a checkpoint and asks for its evaluation; the answer comes over the pipe. The player is
made from the run folder exactly as `selfplay match run:RUN_DIR@VERSION` makes it.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from selfplay.actor import die_with_parent
from selfplay.settings import Config

NICENESS = 5
"""Training comes first where there are fewer cores than processes."""


@dataclass(frozen=True)
class Evaluation:
    """One checkpoint against each opponent."""

    version: int
    scores: dict[str, float]  # opponent to score, draws half
    results: dict[str, str]  # opponent to a line for a person
    seconds: float


def evaluate_checkpoint(config: Config, run_dir: Path, version: int, games_each: int) -> Evaluation:
    """Play the matches. Opponents that cannot play the game raise UserError."""
    import games
    from selfplay.match import play_match, whole_groups
    from selfplay.players import parse_player

    started = time.monotonic()
    game = games.load(config.game)
    num_games = whole_groups(game, games_each)
    player = parse_player(f"run:{run_dir}@{version}:simulations={config.evaluation.num_simulations}", game)
    scores, results = {}, {}
    for opponent_text in config.evaluation.opponents:
        opponent = parse_player(opponent_text, game, seed=version + 1)
        result = play_match(
            game, player, opponent, num_games, config.seed, max_plies=config.evaluation.max_plies or None
        )
        opponent.close()
        scores[opponent_text] = result.score
        results[opponent_text] = f"{result.score:.1%} ({result.wins} won, {result.draws} drawn, {result.losses} lost)"
    player.close()
    return Evaluation(version, scores, results, time.monotonic() - started)


class Evaluator:
    """The driver's side: one evaluation at a time."""

    def __init__(self, config: Config, run_dir: Path) -> None:
        """The process starts with the first request."""
        self._config, self._run_dir = config, run_dir
        self._connection: Connection | None = None
        self._process: mp.process.BaseProcess | None = None
        self.busy = False

    def request(self, version: int, games_each: int) -> None:
        """Ask for the evaluation of a saved checkpoint. Must not be busy."""
        if self._process is None or not self._process.is_alive():
            context = mp.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(
                target=_evaluator_main, args=(theirs, self._config, self._run_dir), name="evaluator", daemon=True
            )
            self._process.start()
            theirs.close()
        assert self._connection is not None
        self._connection.send((version, games_each))
        self.busy = True

    def result(self, timeout: float = 0.0) -> Evaluation | str | None:
        """A finished evaluation, or a line saying why it failed; None if there is none within `timeout` seconds."""
        if not self.busy or self._connection is None or not self._connection.poll(timeout):
            return None
        self.busy = False
        try:
            answer: Evaluation | str = self._connection.recv()
            return answer
        except (EOFError, OSError):
            self._process = None
            return "evaluation: its process ended; training goes on"

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None
        self.busy = False


def _evaluator_main(connection: Connection, config: Config, run_dir: Path) -> None:
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    from nets.inference import one_thread

    one_thread()
    while True:
        try:
            version, games_each = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer: Evaluation | str = evaluate_checkpoint(config, run_dir, version, games_each)
        except Exception as error:  # the run goes on without this evaluation
            answer = f"evaluation of version {version} failed: {type(error).__name__}: {error}"
        try:
            connection.send(answer)
        except OSError:
            sys.exit(0)
