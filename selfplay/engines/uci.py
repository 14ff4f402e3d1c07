"""The Universal Chess Interface (Meyer-Kahlen and Huber, 2000) from the side of the program that asks the engine."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from selfplay.engines.process import EngineError, EngineProcess

VARIANT = "UCI_Variant"
"""The option of engines that play variants of chess."""

USUAL_VARIANT = "chess"
"""What engines without that option play."""

NO_MOVE = ("(none)", "0000", "NULL")
"""Answers of engines where there is no move."""


class UciEngine:
    """A running engine. After an EngineError it is used no more."""

    def __init__(self, command: str, seconds: float) -> None:
        """Start `command`. `seconds`: how long it may take to answer. Raises UserError."""
        self._process = EngineProcess(command)
        self.name, self.seconds = self._process.name, seconds
        try:
            lines = self._ask("uci", "uciok")
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
        known = re.findall(r"(?<= var )\S+", self.options.get(VARIANT, f" var {USUAL_VARIANT}"))
        if variant not in known:
            raise EngineError(f"engine {self.name}: does not play {variant}; an engine of variants is Fairy-Stockfish")
        if VARIANT in self.options:
            self._send(f"setoption name {VARIANT} value {variant}")

    def new_game(self) -> None:
        """Let the engine forget what it has searched."""
        self._send("ucinewgame")
        self._ask("isready", "readyok")

    def best_move(self, moves: Sequence[str], limits: str, more_seconds: float = 0.0) -> str:
        """The engine's move after `moves` from the usual start, in UCI's text; `limits` follow `go`.

        Raises EngineError where the engine fails or finds no move.
        """
        self._send("position startpos" + (f" moves {' '.join(moves)}" if moves else ""))
        words = self._ask(f"go {limits}", "bestmove", more_seconds)[-1].split()
        if len(words) < 2 or words[1] in NO_MOVE:
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
