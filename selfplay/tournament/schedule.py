"""Who meets whom, and in which pieces the games are played.

Games come in groups: one opening with every seating. A block is the unit of work, some groups of one pair; what happens
in it follows from itself and the conditions of the tournament, so a block that was lost is played again to the same
games. Blocks are in an order in which all pairs make headway.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

Pair = tuple[int, int]
"""Two players, by their places in the list of all."""

FORMATS = ("round-robin", "gauntlet", "swiss")

BLOCK_GROUPS = 16
"""Largest number of groups of a block: fewer keep network batches small, more are lost with a kill."""


@dataclass(frozen=True)
class Block:
    """Some groups of games of one pair."""

    first: str
    """The player whose scores are kept."""
    second: str
    """The opponent of `first`."""
    first_opening: int
    """Number of the first opening; a group plays each of `num_groups` openings in turn."""
    num_groups: int
    recorded: tuple[str, str] | None = None
    """The names of the two in the folder, where other texts make them now: a run may have been moved."""

    @property
    def names(self) -> tuple[str, str]:
        """The names of the two in the folder."""
        return self.recorded or (self.first, self.second)

    @property
    def key(self) -> str:
        """Tells blocks of a tournament apart."""
        return f"{' '.join(self.names)} {self.first_opening}"


def all_pairs(format: str, num_players: int) -> list[Pair]:
    """The pairs of a round robin, or of a gauntlet of the first player against all others."""
    if format == "gauntlet":
        return [(0, other) for other in range(1, num_players)]
    return list(combinations(range(num_players), 2))


def ladder(num_anchors: int, num_players: int) -> list[Pair]:
    """Every player against every anchor, which come first, and neighbours against each other."""
    later = range(num_anchors, num_players)
    pairs = [(player, anchor) for player in later for anchor in range(num_anchors)]
    return pairs + [(player, player - 1) for player in (*range(1, num_anchors), *later[1:])]


def split(names: Sequence[str], pairs: Sequence[Pair], groups: int, opening: int = 0) -> list[Block]:
    """Blocks that give the pairs `groups` groups together, as evenly as can be, every pair the openings from `opening`
    on."""
    least, more = divmod(groups, len(pairs))
    of_pair = [least + (k < more) for k in range(len(pairs))]
    return [
        Block(names[a], names[b], opening + first, min(BLOCK_GROUPS, count - first))
        for first in range(0, max(of_pair), BLOCK_GROUPS)
        for (a, b), count in zip(pairs, of_pair)
        if first < count
    ]


def swiss_pairs(points: Sequence[float], met: set[Pair], byes: set[int]) -> tuple[list[Pair], int | None]:
    """The pairs of the next round, and who sits out where the players are odd in number.

    Players of equal points meet, and nobody meets the same opponent twice unless there is no other way. Of those that
    have not sat out yet, the player with the fewest points does.
    """
    order = sorted(range(len(points)), key=lambda player: (-points[player], player))
    out = None
    if len(order) % 2:
        out = next((player for player in reversed(order) if player not in byes), order[-1])
        order.remove(out)
    pairs = _match_up(order, met) or [(a, b) for a, b in zip(order[::2], order[1::2])]
    return [(min(pair), max(pair)) for pair in pairs], out


def _match_up(order: Sequence[int], met: set[Pair], most_steps: int = 100_000) -> list[Pair] | None:
    """Pair the first with the next it has not met, and so on, going back where it must; None where that fails."""
    steps = 0

    def search(left: tuple[int, ...]) -> list[Pair] | None:
        nonlocal steps
        if not left:
            return []
        first, rest = left[0], left[1:]
        for other in rest:
            steps += 1
            if steps > most_steps:
                return None
            if (min(first, other), max(first, other)) in met:
                continue
            below = search(tuple(player for player in rest if player != other))
            if below is not None:
                return [(first, other), *below]
        return None

    return search(tuple(order))


def swiss_rounds(groups: int, num_players: int) -> Iterator[int]:
    """Groups of games in each round: one for every pair, until `groups` are played."""
    tables = num_players // 2
    for start in range(0, groups, tables):
        yield min(tables, groups - start)
