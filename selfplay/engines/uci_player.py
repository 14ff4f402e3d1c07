"""A program that speaks UCI or USI as a player of chess, of a variant that it knows, or of shogi.

One process serves all games of a match; it is given the whole game with every move, and told of a new game where a
position does not follow from the one before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from games import Game, StatePool, check_action
from selfplay.engines.options import UciOptions
from selfplay.engines.process import EngineError, split_command
from selfplay.engines.uci import UCI, Dialect, UciEngine
from selfplay.engines.uci_game import uci_game
from selfplay.errors import UserError

DEFAULT_MOVETIME = 100
"""Milliseconds for a move that nothing else limits."""


class UciPlayer:
    """Asks an engine for every move. The engine is started when the first move is wanted, and again after it failed."""

    def __init__(self, name: str, command: str, game: Game, options: UciOptions, dialect: Dialect = UCI) -> None:
        """Raises UserError for a game that is not played through the protocol, and where the program does not exist."""
        self._game, self._dialect = uci_game(game, dialect), dialect
        split_command(command)  # complain now rather than in the middle of a match
        self.name, self._command, self._options = name, command, options
        self._limits, self._thinking_seconds = _limits(options, dialect)
        self._engine: UciEngine | None = None
        self._asked: list[int] | None = None  # the history of the last position

    def choose(self, pool: StatePool, slots: np.ndarray, histories: Sequence[Sequence[int]]) -> np.ndarray:
        """See `Player.choose`. Raises UserError where the engine fails or moves illegally."""
        chosen = [self._choose(pool, slot, list(history)) for slot, history in zip(slots.tolist(), histories)]
        return np.array(chosen, np.int64)

    def close(self) -> None:
        """End the engine."""
        if self._engine is not None:
            self._engine.close()
        self._engine = self._asked = None

    def _choose(self, pool: StatePool, slot: int, history: list[int]) -> int:
        moves, legal = self._game.write(history)
        try:
            engine = self._engine
            if engine is None:
                engine = self._engine = UciEngine(self._command, self._options.timeout, self._dialect)
                self._configure(engine)
            asked = self._asked
            if asked is None or len(history) <= len(asked) or history[: len(asked)] != asked:
                engine.new_game()
            self._asked = history
            answer = engine.best_move(moves, self._limits, self._thinking_seconds)
            if answer.lower() not in legal:
                raise EngineError(f"engine {engine.name}: played {answer[:20]!r}, which is illegal")
        except UserError:
            self.close()  # whatever state it is in
            raise
        action = legal[answer.lower()]
        check_action(pool, slot, action)
        return action

    def _configure(self, engine: UciEngine) -> None:
        options = self._options
        engine.set_variant(self._game.variant)
        if options.threads is not None:
            engine.set_option("Threads", options.threads)
        if options.hash is not None:
            engine.set_option(self._dialect.memory, options.hash)
        if options.skill is not None:
            engine.set_option("Skill Level", options.skill)
        if options.elo is not None:
            engine.set_option("UCI_LimitStrength", True)
            engine.set_option("UCI_Elo", options.elo)


def _limits(options: UciOptions, dialect: Dialect) -> tuple[str, float]:
    """What follows `go`, and for how many seconds the engine may think by it."""
    given = [(name, getattr(options, name)) for name in ("nodes", "depth", "movetime")]
    if all(value is None for _, value in given):
        given = [("movetime", DEFAULT_MOVETIME)]
    milliseconds = sum(value for name, value in given if name == "movetime" and value is not None)
    words = {"nodes": "nodes {}", "depth": "depth {}", "movetime": dialect.movetime}
    return " ".join(words[name].format(value) for name, value in given if value is not None), milliseconds / 1000
