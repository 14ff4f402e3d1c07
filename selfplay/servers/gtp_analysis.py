"""What Go programs ask of an analysis through GTP, and the lines that they get.

`lz-analyze` is Leela Zero's command, `kata-analyze` KataGo's, `analyze` Sabaki's; the forms with `genmove_` play the
move. Leela Zero has shares as whole numbers of 10,000, the others as fractions. Values are those of the player to move.

Documents: docs/GTP_Extensions.md of KataGo, docs/guides/engine-analysis-integration.md of Sabaki.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from selfplay.engines.go_moves import GtpGame
from selfplay.engines.gtp import GtpCommand, read_color
from selfplay.players.thinking import Thought

LEELA_ZERO = "lz-"
"""Begins the commands whose lines are written as Leela Zero writes them."""

MAX_NUMBER = 10**7
"""Largest number of an argument."""

MOST_MOVES = 30
"""Moves of a line where nobody asks for another number."""

MOST_LINES = 10
"""Moves of a line that have more than themselves as their expected moves: each costs half a millisecond."""

USUAL_INTERVAL = 100
"""Hundredths of a second between two lines, unless given."""

LEAST_PRIOR = 0.01
"""Moves that nothing was searched of are told from this probability on."""

NUMBERS, FLAGS = ("interval", "minmoves", "maxmoves"), ("ownership",)
"""Keys of arguments that are understood."""

PASSED_OVER = (
    "rootInfo",
    "pvVisits",
    "pvEdgeVisits",
    "movesOwnership",
    "ownershipStdev",
    "movesOwnershipStdev",
    "noResultValue",
)
"""Keys of KataGo with one value that add to a line what no player here knows."""


class AnalysisCut(Exception):
    """Something went wrong after the first line of an answer, which therefore cannot become an error any more."""


@dataclass(frozen=True)
class AnalysisRequest:
    """The arguments of a command."""

    player: int | None = None
    """Who is to move; None: whose turn it is."""
    interval: float = USUAL_INTERVAL / 100
    """Seconds between two lines."""
    min_moves: int = 0
    max_moves: int = MOST_MOVES
    ownership: bool = False


def read_request(arguments: tuple[str, ...]) -> AnalysisRequest:
    """Read `[color] [interval] [key value ...]`. Raises ValueError that says what is wrong."""
    words, request = deque(arguments), AnalysisRequest()
    if words and not words[0].isdigit() and words[0] not in (*NUMBERS, *FLAGS, *PASSED_OVER, "avoid", "allow"):
        request = replace(request, player=read_color(words.popleft()))
    if words and words[0].isdigit():
        words.appendleft("interval")
    while words:
        key = words.popleft()
        value = words.popleft() if words else ""
        if key in ("avoid", "allow"):
            raise ValueError(f"{key}: a search here cannot leave moves out")
        if key in FLAGS and value in ("true", "false"):
            request = replace(request, ownership=value == "true")
        elif key in NUMBERS and value.isascii() and value.isdigit() and int(value[:12]) <= MAX_NUMBER:
            number = int(value)
            if key == "interval":
                request = replace(request, interval=number / 100)
            elif key == "minmoves":
                request = replace(request, min_moves=number)
            else:
                request = replace(request, max_moves=max(1, number))
        elif key not in PASSED_OVER or not value:
            raise ValueError(f"{key[:20]!r} with {value[:20]!r} is not understood")
    return request


class AnalysisStream:
    """The answer to a command: its beginning, and a line an interval. Use it in a `with`."""

    def __init__(
        self, command: GtpCommand, request: AnalysisRequest, player: int, rules: GtpGame, say: Callable[[str], None]
    ) -> None:
        self.player = player
        """Who is to move."""
        self.has_written = False
        """Whether there has been a line."""
        self._request, self._rules, self._say = request, rules, say
        self._in_ten_thousands = command.name.startswith(LEELA_ZERO)
        self._beginning = f"={command.id} \n"
        self._has_begun, self._last = False, -math.inf

    def __enter__(self) -> AnalysisStream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *trace: object) -> None:
        """Begin the answer, if no line has. Raises AnalysisCut where one that has begun cannot go on."""
        if kind is None:
            self._begin()
        elif self._has_begun:
            raise AnalysisCut from error

    def report(self, thought: Thought) -> None:
        """Write a line if it is time for one."""
        now = time.monotonic()
        if now - self._last >= self._request.interval:
            self._last = now
            self.write(thought)

    def write(self, thought: Thought) -> None:
        """Write a line, if the player has something to say."""
        line = write_info(thought, self._request, self._rules, self._in_ten_thousands)
        if line:
            self._begin()
            self.has_written = True
            self._say(f"{line}\n")

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._say(self._beginning)


def write_info(thought: Thought, request: AnalysisRequest, rules: GtpGame, in_ten_thousands: bool) -> str:
    """A line of an analysis, without its end; empty where the player says nothing of the moves.

    `in_ten_thousands` writes it as Leela Zero does.
    """
    lines = {line[0]: line for line in (*thought.lines, thought.line) if line}
    known = [move for move in thought.moves if move.visits] or [m for m in thought.moves if m.prior >= LEAST_PRIOR]
    shown = thought.moves[: max(len(known), request.min_moves)][: request.max_moves]  # those come first
    parts = []
    for order, move in enumerate(shown):
        # A move without a simulation is worth what the position is, as far as anybody knows.
        value = thought.value if math.isnan(move.q) else move.q
        win = 0.5 if math.isnan(value) else min(1.0, max(0.0, (value + 1) / 2))
        text = rules.write_move(move.action)
        line = " ".join(map(rules.write_move, lines.get(move.action, (move.action,))))
        if in_ten_thousands:
            values = f"winrate {round(10_000 * win)} prior {round(10_000 * move.prior)}"
        else:
            score = thought.forecast.score if move.action == thought.action else math.nan
            lead = "" if math.isnan(score) else f" scoreMean {score:.3f} scoreLead {score:.3f}"
            values = f"winrate {win:.6f}{lead} prior {move.prior:.6f}"
        parts.append(f"info move {text} visits {move.visits} {values} order {order} pv {line}")
    ownership = thought.forecast.ownership
    if parts and request.ownership and ownership is not None and not in_ten_thousands:
        rows = np.asarray(ownership)[::-1]  # from the highest row on
        parts.append(f"ownership {' '.join(f'{value:.4f}' for value in rows.ravel())}")
    return " ".join(parts)
