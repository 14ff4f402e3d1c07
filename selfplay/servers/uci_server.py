"""Our player for any program that speaks UCI or USI (`selfplay uci`, `selfplay usi`): chess, its variants, shogi.

Lines are read by a thread and answered by the main one. While it thinks, it looks for lines between two simulations:
`stop`, `quit` and `isready` are answered at once, all others wait their turn, so a search never meets another position
than its own. An impossible position is refused with an `info string`, and the last one stays.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from games import Game
from selfplay.engines.lines import BadLine, Line, LineQueue, printable
from selfplay.engines.uci import UCI, VARIANT, Dialect
from selfplay.errors import UserError
from selfplay.players.thinking import Limits, Thinker, Thought, move_seconds, try_out
from selfplay.servers.positions import Position, board_of
from selfplay.version import __version__

MAX_SIMULATIONS = 1_000_000_000

MAX_MILLISECONDS = 10**9

MAX_WAITING = 10_000
"""Largest number of lines that wait for the end of a search; more are refused."""

NUMBERS = ("wtime", "btime", "winc", "binc", "movestogo", "movetime", "byoyomi", "nodes", "depth", "mate")
"""Arguments of `go` that a number follows; `depth` and `mate` have no effect."""

FLAGS = ("infinite", "ponder")


@dataclass(frozen=True)
class _Go:
    """What `go` asks for."""

    limits: Limits
    is_infinite: bool
    """The move is kept back until `stop`."""


class UciServer:
    """Answers until `quit` or the end of the input."""

    def __init__(
        self,
        game: Game,
        make_thinker: Callable[[], Thinker],
        lines: LineQueue,
        out: TextIO,
        dialect: Dialect = UCI,
    ) -> None:
        """`make_thinker` is called when the player is first needed.

        Raises UserError for a game that is not played through the protocol.
        """
        self._make_thinker, self._lines, self._out, self._dialect = make_thinker, lines, out, dialect
        self._thinker: Thinker | None = None
        self._board = board_of(game, dialect)
        self._position: Position = self._board.start(None)
        self._told: tuple[str | None, tuple[str, ...], Position] = (None, (), self._position)
        self._num_simulations: int | None = None
        self._waiting: deque[Line] = deque()
        self._stopped = False
        self.is_running = True
        """False after `quit`, and where the player cannot be made."""
        self.failure: Exception | None = None
        """Why the player cannot be made."""
        self._commands: dict[str, Callable[[list[str]], None]] = {
            dialect.start: self._introduce,
            "debug": lambda words: None,
            "isready": self._isready,
            "setoption": self._setoption,
            dialect.new_game: lambda words: self._set_position(None, ()),
            "position": self._set_up,
            "go": self._go,
            "stop": lambda words: None,  # nothing is under way
            "ponderhit": lambda words: None,
            "gameover": lambda words: None,
            "quit": self._quit,
        }

    def serve(self) -> None:
        """Answer lines until `quit`, or until there are no more."""
        while self.is_running:
            line = self._waiting.popleft() if self._waiting else self._lines.wait()
            if line is None:
                return
            self.answer(line)

    def answer(self, line: Line) -> None:
        """Carry out a line. Whatever goes wrong is reported in an `info string`, and has changed nothing."""
        if isinstance(line, BadLine):
            self._complain(line.reason)
            return
        words = line.split()
        if not words:
            return
        handler = self._commands.get(words[0])
        if handler is None:
            self._complain(f"unknown command {printable(words[0], 40)}")
            return
        try:
            handler(words[1:])
        except UserError as error:
            self._complain(str(error))
        except Exception as error:  # a server goes on; what it was asked has not been done
            self._complain(f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """Free the player."""
        if self._thinker is not None:
            self._thinker.close()

    def state(self) -> tuple[object, ...]:
        """All that a command can change, for tests."""
        return self._position.text, self._position.history, self._num_simulations, self.is_running

    # The session.

    def _say(self, text: str) -> None:
        self._out.write(f"{text}\n")
        self._out.flush()

    def _complain(self, text: str) -> None:
        self._say(f"info string {printable(text, 200)}")

    def _introduce(self, words: list[str]) -> None:
        self._say(f"id name selfplay {__version__}")
        self._say("id author The selfplay authors")
        self._say(f"option name Simulations type spin default 0 min 0 max {MAX_SIMULATIONS}")
        for variant in self._board.variants:
            self._say(f"option name {VARIANT} type combo default {variant} var {variant}")
        self._say(self._dialect.started)

    def _isready(self, words: list[str]) -> None:
        self._player()
        self._say("readyok")

    def _setoption(self, words: list[str]) -> None:
        if [word.lower() for word in words[:3:2]] != ["name", "value"] or len(words) != 4:
            raise UserError("setoption: write it as setoption name Simulations value 100")
        name, value = words[1].lower(), words[3]
        if name == VARIANT.lower() and self._board.variants:
            if value not in self._board.variants:
                raise UserError(f"setoption: the player plays {', '.join(self._board.variants)}, not {value[:40]}")
        elif name == "simulations":
            self._num_simulations = _number(value, MAX_SIMULATIONS) or None
        elif name not in self._dialect.ignored_options:
            raise UserError(f"setoption: there is no option {words[1]}")

    def _quit(self, words: list[str]) -> None:
        self.is_running = False
        self._stopped = True

    def _player(self) -> Thinker:
        """The player, made and tried out when first asked for: kernels are loaded then."""
        if self._thinker is None:
            try:
                thinker = self._make_thinker()
                try_out(thinker, self._board.pool)
            except Exception as error:
                self.failure = error
                self._quit([])
                raise
            self._thinker = thinker
        return self._thinker

    # The position.

    def _set_up(self, words: list[str]) -> None:
        setting, moves = words, list[str]()
        if "moves" in words:
            place = words.index("moves")
            setting, moves = words[:place], words[place + 1 :]
        if setting == ["startpos"]:
            self._set_position(None, tuple(moves))
        elif setting[:1] == [self._dialect.board]:
            self._set_position(" ".join(setting[1:]), tuple(moves))
        else:
            raise UserError(f"position: startpos or {self._dialect.board} is needed")

    def _set_position(self, fen: str | None, moves: tuple[str, ...]) -> None:
        """Most positions follow from the last one, and only their new moves are played."""
        told_fen, told_moves, position = self._told
        known = len(told_moves)
        if fen != told_fen or moves[:known] != told_moves:
            position, known = self._board.start(fen), 0
        position = position.after(moves[known:])
        self._told = (fen, moves, position)
        self._position = position

    # Thinking.

    def _go(self, words: list[str]) -> None:
        """Always ends in `bestmove`, but for a question about a mate."""
        if words[:1] == ["mate"] and self._dialect.no_mate:
            self._say(self._dialect.no_mate)
            return
        go = self._read_go(words)
        self._stopped = False
        answer = self._dialect.no_move
        try:
            answer = self._think(go)
        except UserError as error:
            self._complain(str(error))
        except Exception as error:  # the other program waits for a move whatever happens here
            self._complain(f"{type(error).__name__}: {error}")
        while go.is_infinite and not self._stopped and not self._lines.at_end:
            self._meet(self._lines.wait())
        self._say(f"bestmove {answer}")

    def _think(self, go: _Go) -> str:
        """The move for the position; writes the value, the speed and the expected line on the way."""
        position = self._position.playable()
        if position.is_over:
            raise UserError("go: there is no move, the game is over")
        player = self._player()
        if player.needs_history and not position.is_usual:
            raise UserError(f"go: {player.name} plays only what follows from the usual start")
        self._board.put(position)
        thought = player.think(self._board.pool, position.history, go.limits, lambda: self._should_stop(go))
        if thought.action not in position.legal_actions():
            raise UserError(f"{player.name} chose an illegal move")
        line = position.write(thought.line or (thought.action,))
        self._say(_info(thought, line))
        return line[0]

    def _should_stop(self, go: _Go) -> bool:
        """Look for lines that have come. At the end of the input a search goes on, if it has an end."""
        if len(self._waiting) < MAX_WAITING:
            self._meet(self._lines.poll())
        return self._stopped or (go.is_infinite and self._lines.at_end)

    def _meet(self, line: Line | None) -> None:
        """A line that comes while a search is under way."""
        words = line.split()[:1] if isinstance(line, str) else []
        if words in (["stop"], ["ponderhit"]):
            self._stopped = True
        elif words == ["quit"]:
            self._quit([])
        elif words == ["isready"]:
            self._say("readyok")
        elif line is not None and len(self._waiting) < MAX_WAITING:
            self._waiting.append(line)
        elif line is not None:
            self._complain("too many lines during a search: one is lost")

    def _read_go(self, words: list[str]) -> _Go:
        """Read the arguments of `go`; unknown ones are reported and have no effect."""
        given: dict[str, int] = {}
        flags, unknown = set[str](), list[str]()
        rest = deque(words)
        while rest:
            word = rest.popleft()
            if word in FLAGS:
                flags.add(word)
            elif word in NUMBERS and rest:
                number = rest.popleft()
                try:
                    given[word] = _number(number.removeprefix("-"), MAX_MILLISECONDS) * (-1 if number[0] == "-" else 1)
                except UserError:
                    unknown += [word, number]
            else:
                unknown.append(word)
        if unknown:
            self._complain(f"go: passed over {' '.join(unknown)}")
        nodes = [number for number in (given.get("nodes"), self._num_simulations) if number is not None and number > 0]
        limits = Limits(min(nodes, default=None), self._seconds(given))
        return _Go(limits, bool(flags))

    def _seconds(self, given: dict[str, int]) -> float | None:
        """Seconds for the move, by `movetime` or else by the clock of the side to move."""
        if "movetime" in given:
            return max(0, given["movetime"]) / 1000
        side = self._position.side
        overtime = max(0, given.get("byoyomi", 0))
        if f"{side}time" not in given and not overtime:
            return None
        remaining, increment = max(0, given.get(f"{side}time", 0)), max(0, given.get(f"{side}inc", 0))
        if overtime:  # each move has it, whatever is left of the clock
            remaining, increment = remaining + overtime, increment + overtime
        return move_seconds(remaining / 1000, increment / 1000, max(0, given.get("movestogo", 0)))


def centipawns(value: float) -> int:
    """A value in [-1, 1] on the scale of chess programs (Leela Chess Zero's formula: 90 tan(1.5637541897 q))."""
    return round(90 * math.tan(1.5637541897 * max(-1.0, min(1.0, value))))


def _info(thought: Thought, line: list[str]) -> str:
    milliseconds = round(thought.seconds * 1000)
    score = "" if math.isnan(thought.value) else f" score cp {centipawns(thought.value)}"
    speed = round(thought.num_simulations / thought.seconds) if thought.seconds > 0 else 0
    counts = f"nodes {thought.num_simulations} nps {speed} time {milliseconds}"
    return f"info depth {len(line)}{score} {counts} pv {' '.join(line)}"


def _number(text: str, most: int) -> int:
    """A whole number from 0. Raises UserError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and int(text) <= most):
        raise UserError(f"{printable(text, 20)} is no number from 0 to {most}")
    return int(text)
