"""Our player of go for any program that speaks GTP (`selfplay gtp`).

The server keeps two things: the board as the controller sees it (`go_board`), and the player's own game (`own_game`).
They differ where the player's game has ended (two passes, everything decided, very many moves) and the controller plays
on: the player then passes. A game that draws its komi has the one of its komis that is nearest to the controller's. No
command leaves anything half done: it is checked whole, then carried out.

Lines are read by a thread and answered by the main one, which looks for the next line while it analyses: any line ends
an analysis. There is no pondering: nothing is thought between two commands.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from games import Game, GameError
from games.native.go import handicap_points
from selfplay.engines.gtp import COLORS, VERSION, GtpCommand, read_color, read_command, write_answer
from selfplay.engines.lines import BadLine, Line, LineQueue, printable
from selfplay.errors import UserError
from selfplay.notation.encoding import decode
from selfplay.notation.go import Record, read_record
from selfplay.players.thinking import Thinker
from selfplay.servers.go_board import draw_board, result_text
from selfplay.servers.go_clock import Clock, TimeControl
from selfplay.servers.go_session import GoSession, Refusal
from selfplay.servers.gtp_analysis import AnalysisCut, AnalysisStream, read_request
from selfplay.servers.own_game import OwnGame
from selfplay.version import __version__

MAX_SECONDS = 10**7

MAX_FILE = 1 << 24
"""Largest number of bytes of a file of `loadsgf`."""


class GtpServer:
    """Answers one command after the other."""

    def __init__(
        self,
        game: Game,
        thinker: Thinker,
        make_thinker: Callable[[Game], Thinker] | None = None,
        name: str | None = None,
    ) -> None:
        """Raises UserError for any game but go.

        Args:
            make_thinker: makes the player for another size or komi, or raises UserError; None: there is no other.
            name: the answer to `name`, for controllers that treat engines by it.
        """
        own = OwnGame(game, thinker)
        if own.rules.name != "go":
            raise UserError(f"selfplay gtp: it plays go, not {game.name}")
        self.session = GoSession(own, make_thinker)
        self._name = name or f"selfplay {thinker.name}"
        self._lines: LineQueue | None = None
        self._next: Line | None = None  # a line that has come during an analysis
        self._out: TextIO = io.StringIO()
        self.is_running = True
        """False after `quit`."""
        self._commands: dict[str, Callable[[tuple[str, ...]], str]] = {
            "protocol_version": lambda arguments: VERSION,
            "name": lambda arguments: printable(self._name),
            "version": lambda arguments: __version__,
            "known_command": self._known_command,
            "list_commands": lambda arguments: "\n".join((*self._commands, *self._analyses)),
            "quit": self._quit,
            "boardsize": self._boardsize,
            "clear_board": self._clear_board,
            "komi": self._komi,
            "fixed_handicap": self._fixed_handicap,
            "place_free_handicap": self._fixed_handicap,
            "set_free_handicap": self._set_free_handicap,
            "loadsgf": self._loadsgf,
            "play": self._play,
            "genmove": self._genmove,
            "reg_genmove": self._reg_genmove,
            "undo": self._undo,
            "gg-undo": self._undo,
            "stop": lambda arguments: "",  # nothing is under way any more
            "time_settings": self._time_settings,
            "kgs-time_settings": self._kgs_time_settings,
            "time_left": self._time_left,
            "final_score": lambda arguments: result_text(self.session.margin()),
            "final_status_list": self._final_status_list,
            "showboard": lambda arguments: f"\n{draw_board(self.session.state.board)}",
        }
        self._analyses: dict[str, Callable[[GtpCommand], None]] = {
            **dict.fromkeys(("analyze", "lz-analyze", "kata-analyze"), self._analyze),
            **dict.fromkeys(("genmove_analyze", "lz-genmove_analyze", "kata-genmove_analyze"), self._genmove_analyze),
        }

    def serve(self, lines: LineQueue, out: TextIO) -> None:
        """Answer lines until `quit`, or until there are no more."""
        self._lines, self._out = lines, out
        while self.is_running:
            line, self._next = self._next if self._next is not None else lines.wait(), None
            if line is None:
                return
            self._answer(line)

    def answer(self, line: Line) -> str:
        """The answer to a line; empty for a comment or an empty line. An analysis ends after its first simulation."""
        self._lines, self._out = None, io.StringIO()
        self._answer(line)
        return self._out.getvalue()

    def close(self) -> None:
        """Free the player."""
        self.session.close()

    def state(self) -> tuple[object, ...]:
        """All that a command can change, for tests."""
        return self.session.state, self.session.own.game.name, self.is_running

    def _answer(self, line: Line) -> None:
        if isinstance(line, BadLine):
            self._say(write_answer("", line.reason, is_error=True))
            return
        command = read_command(line)
        if command is None:
            return
        try:
            if analysis := self._analyses.get(command.name):
                analysis(command)
            else:
                self._say(write_answer(command.id, self._carry_out(command)))
        except AnalysisCut:
            self._say("\n")
        except (Refusal, UserError) as error:
            self._say(write_answer(command.id, printable(error, 200), is_error=True))
        except Exception as error:  # a server goes on; what it was asked has not been done
            self._say(write_answer(command.id, printable(f"{type(error).__name__}: {error}", 200), is_error=True))

    def _say(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()

    def _carry_out(self, command: GtpCommand) -> str:
        handler = self._commands.get(command.name)
        if handler is None:
            raise Refusal("unknown command")
        return handler(command.arguments)

    def _write_move(self, action: int) -> str:
        return self.session.own.rules.write_move(action)

    # The session.

    def _known_command(self, arguments: tuple[str, ...]) -> str:
        is_known = len(arguments) == 1 and arguments[0] in (*self._commands, *self._analyses)
        return "true" if is_known else "false"

    def _quit(self, arguments: tuple[str, ...]) -> str:
        self.is_running = False
        return ""

    # The start of a game.

    def _boardsize(self, arguments: tuple[str, ...]) -> str:
        size = _whole_number(arguments, 0)
        if len(arguments) > 1 and _whole_number(arguments, 1) != size:
            raise Refusal("unacceptable size")
        self.session.resize(size)
        return ""

    def _clear_board(self, arguments: tuple[str, ...]) -> str:
        self.session.clear()
        return ""

    def _komi(self, arguments: tuple[str, ...]) -> str:
        self.session.set_komi(_number(arguments, 0))
        return ""

    def _fixed_handicap(self, arguments: tuple[str, ...]) -> str:
        stones = _whole_number(arguments, 0)
        try:
            points = handicap_points(self.session.own.rules.size, stones).tolist()
        except GameError as error:
            raise Refusal(str(error)) from None
        if not points:
            raise Refusal("syntax error: two stones or more are needed")
        self.session.place_handicap(points)
        return " ".join(map(self._write_move, points))

    def _set_free_handicap(self, arguments: tuple[str, ...]) -> str:
        points = [self._read_move(text) for text in arguments]
        if len(points) < 2 or len(set(points)) < len(points) or self.session.own.rules.pass_action in points:
            raise Refusal("syntax error: two points or more are needed, each once")
        self.session.place_handicap(points)
        return ""

    def _loadsgf(self, arguments: tuple[str, ...]) -> str:
        if not 1 <= len(arguments) <= 2:
            raise Refusal("syntax error: a file is needed, and maybe the number of a move")
        before_move = _whole_number(arguments, 1) if len(arguments) == 2 else None
        try:
            self.session.load(_read_file(Path(arguments[0])), before_move)
        except (Refusal, UserError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise Refusal(f"cannot load file: {reason}") from None
        return COLORS[self.session.state.to_play]

    # Moves.

    def _play(self, arguments: tuple[str, ...]) -> str:
        player = _player(arguments)
        if len(arguments) != 2:
            raise Refusal("syntax error: a colour and a vertex are needed")
        self.session.play(player, self._read_move(arguments[1]))
        return ""

    def _genmove(self, arguments: tuple[str, ...]) -> str:
        return self._write_move(self.session.make_move(_player(arguments)))

    def _reg_genmove(self, arguments: tuple[str, ...]) -> str:
        return self._write_move(self.session.think(_player(arguments))[1])

    def _undo(self, arguments: tuple[str, ...]) -> str:
        """Take back a move, or as many as `gg-undo` says."""
        self.session.undo(_whole_number(arguments, 0) if arguments else 1)
        return ""

    def _read_move(self, text: str) -> int:
        try:
            return self.session.own.rules.read_move(text)
        except ValueError as error:
            raise Refusal(f"invalid vertex: {error}") from None

    # Analysis.

    def _analyze(self, command: GtpCommand) -> None:
        """Write lines until another line comes."""
        with self._stream(command) as stream:
            thought, _ = self.session.think(stream.player, self._has_line, stream.report, by_clock=False)
            if thought is not None and not (stream.has_written and self._has_line()):
                stream.write(thought)
        if self._next is None and self._lines is not None:
            self._next = self._lines.wait()
        self._say("\n")

    def _genmove_analyze(self, command: GtpCommand) -> None:
        """Write lines while the player thinks, and play its move. Other lines wait their turn."""
        with self._stream(command) as stream:
            action = self.session.make_move(stream.player, stream.report)
        self._say(f"play {self._write_move(action)}\n\n")

    def _stream(self, command: GtpCommand) -> AnalysisStream:
        try:
            request = read_request(command.arguments)
        except ValueError as error:
            raise Refusal(f"syntax error: {error}") from None
        player = self.session.state.to_play if request.player is None else request.player
        return AnalysisStream(command, request, player, self.session.own.rules, self._say)

    def _has_line(self) -> bool:
        """Whether a line has come, or none will."""
        if self._lines is None:
            return True
        if self._next is None:
            self._next = self._lines.poll()
        return self._next is not None or self._lines.at_end

    # The clock.

    def _time_settings(self, arguments: tuple[str, ...]) -> str:
        main, overtime, stones = _seconds(arguments, 0), _seconds(arguments, 1), _whole_number(arguments, 2)
        is_unlimited = stones == 0 and (overtime > 0 or main == 0)  # GTP 2, section 4.2
        self.session.set_control(None if is_unlimited else TimeControl(main, overtime, _count(stones)))
        return ""

    def _kgs_time_settings(self, arguments: tuple[str, ...]) -> str:
        kind = arguments[0] if arguments else ""
        if kind == "none":
            self.session.set_control(None)
        elif kind == "absolute":
            self.session.set_control(TimeControl(_seconds(arguments, 1)))
        elif kind in ("canadian", "byoyomi"):
            main, overtime, number = _seconds(arguments, 1), _seconds(arguments, 2), _whole_number(arguments, 3)
            self.session.set_control(TimeControl(main, overtime, _count(number), kind == "byoyomi"))
        else:
            raise Refusal("syntax error: none, absolute, canadian or byoyomi is needed")
        return ""

    def _time_left(self, arguments: tuple[str, ...]) -> str:
        clock = Clock(_seconds(arguments, 1), _count(_whole_number(arguments, 2)))
        self.session.set_clock(_player(arguments), clock)
        return ""

    # The result.

    def _final_status_list(self, arguments: tuple[str, ...]) -> str:
        if arguments not in (("alive",), ("dead",), ("seki",)):
            raise Refusal("syntax error: alive, dead or seki is needed")
        dead = self.session.dead_stones()
        wanted = {"alive": (False,), "dead": (True,), "seki": ()}[arguments[0]]
        chains = (chain for chain in self.session.state.board.chains() if (chain[0] in dead) in wanted)
        return "\n".join(" ".join(map(self._write_move, chain)) for chain in chains)


def _player(arguments: tuple[str, ...]) -> int:
    """The player of the first argument."""
    try:
        return read_color(arguments[0] if arguments else "")
    except ValueError as error:
        raise Refusal(f"syntax error: {error}") from None


def _read_file(path: Path) -> Record:
    """The first game of a file. Raises OSError, UserError."""
    with open(path, "rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise UserError("it is too large")
    return read_record(decode(data))


def _count(number: int) -> int:
    if number > MAX_SECONDS:
        raise Refusal("syntax error: the numbers are too large")
    return number


def _seconds(arguments: tuple[str, ...], place: int) -> float:
    """A time. KGS has fractions."""
    seconds = _number(arguments, place)
    if seconds < 0:
        raise Refusal("syntax error: a time is not negative")
    if seconds > MAX_SECONDS:
        raise Refusal("syntax error: the numbers are too large")
    return seconds


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
