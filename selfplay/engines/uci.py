"""The Universal Chess Interface from the side of the program that asks the engine, and its Japanese sibling for shogi.

UCI: Meyer-Kahlen and Huber, 2000. USI: Romstad, "The Universal Shogi Interface", 2007. They differ in some words
(`Dialect`) and in how moves are written (`selfplay.engines.uci_game`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from selfplay.engines.process import EngineError, EngineProcess

VARIANT = "UCI_Variant"
"""The option of engines that play variants of chess."""


@dataclass(frozen=True)
class Dialect:
    """The words of one of the two interfaces."""

    start: str
    """Asks an engine who it is; it ends its answer with `started`."""
    started: str
    new_game: str
    memory: str
    """The option for the megabytes of the engine's table."""
    sides: tuple[str, str]
    """Letters of the first and the second player in positions and clocks."""
    usual_variant: str
    """What engines without the option `UCI_Variant` play."""
    no_move: str
    """The answer where a player has no move."""
    refusals: tuple[str, ...]
    """All answers of engines that are no move."""
    movetime: str
    """Arguments of `go` for a move of some milliseconds."""
    board: str
    """The word before a position as text, in `position`."""
    ignored_options: tuple[str, ...]
    """In lower case: options that other programs set without asking, and that mean nothing to our player."""
    no_mate: str
    """The answer to `go mate` of an engine that searches for none; empty where such a `go` is answered as any other."""


UCI = Dialect(
    start="uci",
    started="uciok",
    new_game="ucinewgame",
    memory="Hash",
    sides=("w", "b"),
    usual_variant="chess",
    no_move="(none)",
    refusals=("(none)", "0000", "NULL"),
    movetime="movetime {}",
    board="fen",
    ignored_options=(),
    no_mate="",
)
USI = Dialect(
    start="usi",
    started="usiok",
    new_game="usinewgame",
    memory="USI_Hash",
    sides=("b", "w"),
    usual_variant="shogi",
    no_move="resign",
    refusals=("resign", "win"),
    movetime="btime 0 wtime 0 byoyomi {}",
    board="sfen",
    ignored_options=("usi_ponder", "usi_hash"),
    no_mate="checkmate notimplemented",
)


class UciEngine:
    """A running engine. After an EngineError it is used no more."""

    def __init__(self, command: str, seconds: float, dialect: Dialect = UCI) -> None:
        """Start `command`. `seconds`: how long it may take to answer. Raises UserError."""
        self._process, self._dialect = EngineProcess(command), dialect
        self.name, self.seconds = self._process.name, seconds
        try:
            lines = self._ask(dialect.start, dialect.started)
        except EngineError:
            self._process.close()
            raise
        matches = (re.match(r"option name (.+?) type \w+(.*)", line) for line in lines)
        self.options = {match[1]: match[2] for match in matches if match}
        """The description of each option by the engine: `default 20 min 0 max 20`."""

    def set_option(self, name: str, value: bool | int) -> None:
        """Set an option. Raises EngineError where the engine does not have it, or not with that value."""
        if name not in self.options:
            raise EngineError(f"engine {self.name}: has no option {name!r}")
        bounds = re.search(r"min (-?\d+) max (-?\d+)", self.options[name])
        if bounds and not int(bounds[1]) <= value <= int(bounds[2]):
            raise EngineError(f"engine {self.name}: {name} goes from {bounds[1]} to {bounds[2]}, not to {value}")
        self._send(f"setoption name {name} value {str(value).lower() if isinstance(value, bool) else value}")

    def set_variant(self, variant: str) -> None:
        """Let the engine play a variant of chess. Raises EngineError where it does not know it."""
        known = re.findall(r"(?<= var )\S+", self.options.get(VARIANT, f" var {self._dialect.usual_variant}"))
        if variant not in known:
            raise EngineError(f"engine {self.name}: does not play {variant}; an engine of variants is Fairy-Stockfish")
        if VARIANT in self.options:
            self._send(f"setoption name {VARIANT} value {variant}")

    def new_game(self) -> None:
        """Let the engine forget what it has searched."""
        self._send(self._dialect.new_game)
        self._ask("isready", "readyok")

    def best_move(self, moves: Sequence[str], limits: str, more_seconds: float = 0.0) -> str:
        """The engine's move after `moves` from the usual start, as text; `limits` follow `go`.

        Raises EngineError where the engine fails or finds no move.
        """
        self._send("position startpos" + (f" moves {' '.join(moves)}" if moves else ""))
        words = self._ask(f"go {limits}", "bestmove", more_seconds)[-1].split()
        if len(words) < 2 or words[1] in self._dialect.refusals:
            raise EngineError(f"engine {self.name}: found no move")
        return words[1]

    def close(self) -> None:
        """End the engine."""
        self._process.close()

    def _send(self, line: str) -> None:
        self._process.send(line, time.monotonic() + self.seconds)

    def _ask(self, line: str, last: str, more_seconds: float = 0.0) -> list[str]:
        """Send a line; what the engine writes up to and with the line that begins with the word `last`."""
        deadline = time.monotonic() + self.seconds + more_seconds
        self._process.send(line, deadline)
        lines: list[str] = []
        while not lines or lines[-1].split()[:1] != [last]:
            answer = self._process.read_line(deadline).strip()
            if not answer.startswith("info"):  # there may be any number of these
                lines.append(answer)
            if len(lines) > 10_000:
                raise EngineError(f"engine {self.name}: an answer to {line!r} without end")
        return lines
