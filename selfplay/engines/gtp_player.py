"""A program that speaks GTP as a player of go or Othello.

One process serves all games of a match. It keeps the position that it was asked about last: where the next one follows
from that, only the new moves are sent, otherwise the board is cleared and the game replayed. The games know no
resignation: an engine that resigns raises an error, as one that fails does, and where a match has forfeits (tournaments
do) it has lost that game.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from games import Game, GameError, StatePool, check_action
from selfplay.engines.go_moves import gtp_game
from selfplay.engines.gtp import COLORS, RESIGN, GtpEngine, GtpRefusal
from selfplay.engines.options import GtpOptions
from selfplay.engines.process import EngineError, split_command
from selfplay.errors import UserError


class GtpPlayer:
    """Asks an engine for every move. The engine is started when the first move is wanted, and again after it failed."""

    def __init__(self, name: str, command: str, game: Game, options: GtpOptions) -> None:
        """Raises UserError for a game that is not played through GTP, and where the program does not exist."""
        self.name, self._command, self._options = name, command, options
        self._game = gtp_game(game)
        split_command(command)  # complain now rather than in the middle of a match
        self._engine: GtpEngine | None = None
        self._komi, self._played = self._game.komi, list[int]()

    def choose(self, pool: StatePool, slots: np.ndarray, histories: Sequence[Sequence[int]]) -> np.ndarray:
        """See `Player.choose`. Raises UserError where the engine fails, resigns or moves illegally."""
        chosen = [self._choose(pool, slot, list(history)) for slot, history in zip(slots.tolist(), histories)]
        return np.array(chosen, np.int64)

    def close(self) -> None:
        """End the engine."""
        if self._engine is not None:
            self._engine.close()
        self._engine = None

    def _choose(self, pool: StatePool, slot: int, history: list[int]) -> int:
        allowed = pool.legal(np.array([slot]))[1].tolist()
        if allowed == [self._game.pass_action]:
            return allowed[0]
        try:
            komi, moves = self._game.split(history)
            engine = self._follow(komi, moves)
            color = COLORS[self._game.to_play(len(moves))]
            answer = engine.ask(f"genmove {color}", self._options.seconds or 0).strip()
            action = self._read(pool, slot, engine, answer)
        except UserError:
            self.close()  # whatever it now thinks the position is
            raise
        self._played = [*moves, action]
        return action

    def _read(self, pool: StatePool, slot: int, engine: GtpEngine, answer: str) -> int:
        """The action of an answer to genmove, checked."""
        if answer.lower() == RESIGN:
            raise EngineError(f"engine {engine.name}: resigned")
        try:
            action = self._game.read_move(answer)
            check_action(pool, slot, action)
        except GameError:
            raise EngineError(f"engine {engine.name}: played {answer!r}, which is illegal") from None
        except ValueError as error:
            raise EngineError(f"engine {engine.name}: played what is no move: {error}") from None
        return action

    def _follow(self, komi: float, moves: list[int]) -> GtpEngine:
        """The engine, at the position after `moves` of a game with this komi."""
        engine = self._engine
        if engine is None:
            engine = self._engine = GtpEngine(self._command, self._options.timeout)
            self._configure(engine)
            self._begin(engine, komi)
        elif komi != self._komi or moves[: len(self._played)] != self._played:
            self._begin(engine, komi)
        for ply in range(len(self._played), len(moves)):
            try:
                engine.ask(f"play {COLORS[self._game.to_play(ply)]} {self._game.write_move(moves[ply])}")
            except GtpRefusal:
                # GRhino knows no passes of Othello: the colour of the next move says that there was one.
                if self._game.name != "othello" or moves[ply] != self._game.pass_action:
                    raise
        self._played = list(moves)
        return engine

    def _configure(self, engine: GtpEngine) -> None:
        options = self._options
        if self._game.name == "othello" and "set_game" in engine.commands:
            engine.ask("set_game Othello")
        if options.level is not None:
            engine.ask(f"level {options.level}")
        if options.seconds is not None:
            engine.ask(f"time_settings 0 {options.seconds} 1")

    def _begin(self, engine: GtpEngine, komi: float) -> None:
        self._komi, self._played = komi, []
        for command in self._game.setup(komi):
            engine.ask(command)
