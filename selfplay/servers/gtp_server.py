"""Our player of go for any program that speaks GTP (`selfplay gtp`).

The server keeps two things: the board as the controller sees it (`go_board`), and the player's own game. They differ
where that game has ended (two passes, very many moves, everything decided) and the controller plays on: the player then
passes. A game that draws its komi has the one of its komis that is nearest to the controller's. No command leaves
anything half done: it is checked whole, then carried out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TextIO

import numpy as np

from games import TERMINAL, Game, GameError, check_action
from games.native.go import Go, dead_stones, komi_outcome
from selfplay.engines.go_moves import gtp_game
from selfplay.engines.gtp import COLORS, VERSION, GtpCommand, read_color, read_command, write_answer
from selfplay.engines.lines import BadLine, Line, printable
from selfplay.errors import UserError
from selfplay.players.thinking import Limits, Thinker, move_seconds
from selfplay.servers.go_board import GoBoard, draw_board, empty_board, margin, result_text
from selfplay.version import __version__

MAX_KOMI = 1000.0

MAX_SECONDS = 10**7

MAX_MOVES = 10_000
"""Largest number of moves of a game: every move keeps those before it."""


class Refusal(Exception):
    """A command that is answered with an error; nothing has changed."""


@dataclass(frozen=True)
class _Clock:
    """The time that a player has left, for its next `moves` moves; 0 means for the rest of the game."""

    seconds: float
    moves: int


@dataclass(frozen=True)
class _GameState:
    """All that commands change. It is replaced whole, so a failed command changes nothing."""

    board: GoBoard
    moves: tuple[int, ...] = ()
    komi: float = 0.0
    clocks: tuple[_Clock | None, _Clock | None] = (None, None)
    main: _Clock | None = None
    """The clock of both players at the start of a game; None for no limit."""
    overtime: _Clock | None = None
    """The clock that follows when a clock is spent, again and again; None for none."""


class GtpServer:
    """Answers one command after the other."""

    def __init__(self, game: Game, thinker: Thinker) -> None:
        """Raises UserError for any game but go."""
        self._rules = gtp_game(game)
        if self._rules.name != "go":
            raise UserError(f"selfplay gtp: it plays go, not {game.name}")
        self._game, self._thinker = game, thinker
        self._pool, self._slot = game.new_pool(1), np.zeros(1, np.int64)
        self._start = empty_board(self._rules.size, map(self._rules.read_move, self._rules.handicap))
        self._state = _GameState(self._start, komi=self._rules.komi)
        self._find_dead = dead_stones if isinstance(game, Go) else _all_alive
        self._take_back_all()
        self.is_running = True
        """False after `quit`."""
        self._commands: dict[str, Callable[[tuple[str, ...]], str]] = {
            "protocol_version": lambda arguments: VERSION,
            "name": lambda arguments: printable(f"selfplay {thinker.name}"),
            "version": lambda arguments: __version__,
            "known_command": self._known_command,
            "list_commands": lambda arguments: "\n".join(self._commands),
            "quit": self._quit,
            "boardsize": self._boardsize,
            "clear_board": self._clear_board,
            "komi": self._komi,
            "play": self._play,
            "genmove": self._genmove,
            "reg_genmove": self._reg_genmove,
            "undo": self._undo,
            "time_settings": self._time_settings,
            "time_left": self._time_left,
            "final_score": self._final_score,
            "final_status_list": self._final_status_list,
            "showboard": lambda arguments: f"\n{draw_board(self._state.board)}",
        }

    def serve(self, lines: Iterable[Line], out: TextIO) -> None:
        """Answer lines until `quit`, or until there are no more."""
        for line in lines:
            out.write(self.answer(line))
            out.flush()
            if not self.is_running:
                return

    def answer(self, line: Line) -> str:
        """The answer to a line; empty for a comment or an empty line."""
        if isinstance(line, BadLine):
            return write_answer("", line.reason, is_error=True)
        command = read_command(line)
        if command is None:
            return ""
        try:
            return write_answer(command.id, self._carry_out(command))
        except (Refusal, UserError) as error:
            return write_answer(command.id, printable(error, 200), is_error=True)
        except Exception as error:  # a server goes on; what it was asked has not been done
            return write_answer(command.id, printable(f"{type(error).__name__}: {error}", 200), is_error=True)

    def state(self) -> tuple[object, ...]:
        """All that a command can change, for tests."""
        return self._state, self._pool.text(0), self.is_running

    def _carry_out(self, command: GtpCommand) -> str:
        handler = self._commands.get(command.name)
        if handler is None:
            raise Refusal("unknown command")
        return handler(command.arguments)

    # The session.

    def _known_command(self, arguments: tuple[str, ...]) -> str:
        return "true" if len(arguments) == 1 and arguments[0] in self._commands else "false"

    def _quit(self, arguments: tuple[str, ...]) -> str:
        self.is_running = False
        return ""

    # The game.

    def _boardsize(self, arguments: tuple[str, ...]) -> str:
        if _whole_number(arguments, 0) != self._rules.size:
            raise Refusal("unacceptable size")
        return self._clear_board(())

    def _clear_board(self, arguments: tuple[str, ...]) -> str:
        self._take_back_all()
        self._state = replace(self._state, clocks=(self._state.main, self._state.main))
        return ""

    def _take_back_all(self) -> None:
        self._pool.reset(self._slot)
        for outcome in komi_outcome(self._game, self._state.komi):
            self._pool.step(self._slot, np.array([outcome]), self._slot)
        self._state = replace(self._state, board=self._start, moves=())

    def _play_again(self, moves: tuple[int, ...]) -> None:
        """Begin anew with moves that were made before."""
        self._take_back_all()
        for ply, action in enumerate(moves):
            self._move(self._rules.to_play(ply), action)

    def _komi(self, arguments: tuple[str, ...]) -> str:
        komi = _number(arguments, 0)
        if abs(komi) > MAX_KOMI:
            raise Refusal("unacceptable komi")
        self._state = replace(self._state, komi=komi)
        if self._rules.drawn:
            self._play_again(self._state.moves)
        return ""

    def _play(self, arguments: tuple[str, ...]) -> str:
        player = self._require_turn(arguments)
        if len(arguments) != 2:
            raise Refusal("syntax error: a colour and a vertex are needed")
        try:
            action = self._rules.read_move(arguments[1])
        except ValueError as error:
            raise Refusal(f"invalid vertex: {error}") from None
        self._move(player, action)
        return ""

    def _genmove(self, arguments: tuple[str, ...]) -> str:
        player = self._require_turn(arguments)
        began = time.monotonic()
        action = self._choose(player)
        self._move(player, action)
        self._spend(player, time.monotonic() - began)
        return self._rules.write_move(action)

    def _reg_genmove(self, arguments: tuple[str, ...]) -> str:
        return self._rules.write_move(self._choose(self._require_turn(arguments)))

    def _undo(self, arguments: tuple[str, ...]) -> str:
        moves = self._state.moves
        if not moves:
            raise Refusal("cannot undo")
        self._play_again(moves[:-1])
        return ""

    def _require_turn(self, arguments: tuple[str, ...]) -> int:
        """The player of the first argument, who must be to move."""
        try:
            player = read_color(arguments[0] if arguments else "")
        except ValueError as error:
            raise Refusal(f"syntax error: {error}") from None
        to_play = self._rules.to_play(len(self._state.moves))
        if player != to_play:
            raise Refusal(f"out of turn: {COLORS[to_play]} is to move")
        return player

    def _choose(self, player: int) -> int:
        """The player's move; a pass where its own game has ended."""
        if self._pool.to_play(self._slot)[0] == TERMINAL:
            return self._rules.pass_action
        clock = self._state.clocks[player]
        seconds = None if clock is None else move_seconds(clock.seconds, moves_to_go=clock.moves)
        history = (*komi_outcome(self._game, self._state.komi), *self._state.moves)
        action = self._thinker.think(self._pool, history, Limits(seconds=seconds)).action
        check_action(self._pool, 0, action)
        return action

    def _move(self, player: int, action: int) -> None:
        """Play a move on the board, and in the player's game where that goes on. Raises Refusal."""
        state = self._state
        if len(state.moves) >= MAX_MOVES:
            raise Refusal("the game is too long")
        board = state.board.passed() if action == self._rules.pass_action else state.board.play(player, action)
        if board is None:
            raise Refusal("illegal move")
        if self._pool.to_play(self._slot)[0] != TERMINAL:
            try:
                check_action(self._pool, 0, action)
            except GameError:
                raise Refusal("illegal move") from None
            self._pool.step(self._slot, np.array([action]), self._slot)
        self._state = replace(state, board=board, moves=(*state.moves, action))

    # The clock.

    def _time_settings(self, arguments: tuple[str, ...]) -> str:
        main, byoyomi, stones = (_whole_number(arguments, place) for place in range(3))
        if max(main, byoyomi, stones) > MAX_SECONDS:
            raise Refusal("syntax error: the numbers are too large")
        overtime = _Clock(byoyomi, stones) if stones else None
        clock = _Clock(main, 0) if main > 0 else overtime
        if byoyomi > 0 and stones == 0:  # means no limit (GTP 2, section 4.2)
            clock = None
        self._state = replace(self._state, clocks=(clock, clock), main=clock, overtime=overtime)
        return ""

    def _time_left(self, arguments: tuple[str, ...]) -> str:
        try:
            player = read_color(arguments[0] if arguments else "")
        except ValueError as error:
            raise Refusal(f"syntax error: {error}") from None
        seconds, stones = _whole_number(arguments, 1), _whole_number(arguments, 2)
        if max(seconds, stones) > MAX_SECONDS:
            raise Refusal("syntax error: the numbers are too large")
        self._set_clock(player, _Clock(seconds, stones))
        return ""

    def _set_clock(self, player: int, clock: _Clock) -> None:
        black, white = self._state.clocks
        self._state = replace(self._state, clocks=(clock, white) if player == 0 else (black, clock))

    def _spend(self, player: int, seconds: float) -> None:
        """Our own account of the main time, for controllers that do not send `time_left`."""
        clock = self._state.clocks[player]
        if clock is not None and clock.moves == 0:
            left = max(0.0, clock.seconds - seconds)
            overtime = self._state.overtime if left == 0.0 else None
            self._set_clock(player, overtime or replace(clock, seconds=left))

    # The result.

    def _final_score(self, arguments: tuple[str, ...]) -> str:
        board = self._state.board.without(self._dead())
        return result_text(margin(board, self._state.komi, len(self._rules.handicap)))

    def _final_status_list(self, arguments: tuple[str, ...]) -> str:
        if arguments not in (("alive",), ("dead",), ("seki",)):
            raise Refusal("syntax error: alive, dead or seki is needed")
        dead = self._dead()
        wanted = {"alive": (False,), "dead": (True,), "seki": ()}[arguments[0]]
        chains = (chain for chain in self._state.board.chains() if (chain[0] in dead) in wanted)
        return "\n".join(" ".join(map(self._rules.write_move, chain)) for chain in chains)

    def _dead(self) -> set[int]:
        """The stones that the rules of the player's game take off before they count."""
        return set(self._find_dead(self._rules.size, self._state.board.points))


def _all_alive(size: int, points: Sequence[int]) -> list[int]:
    """The dead stones by the rules of OpenSpiel: none."""
    return []


def _whole_number(arguments: tuple[str, ...], place: int) -> int:
    text = arguments[place] if place < len(arguments) else ""
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise Refusal("syntax error: a whole number is needed")
    return int(text)


def _number(arguments: tuple[str, ...], place: int) -> float:
    try:
        value = float(arguments[place] if place < len(arguments) else "")
    except ValueError:
        raise Refusal("syntax error: a number is needed") from None
    if value != value:
        raise Refusal("syntax error: a number is needed")
    return value
