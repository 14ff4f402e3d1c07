"""Animal shogi on 3x4 (Kitao and Fujita 2008, "dobutsu shogi"): the pieces and rules of `games.native.shogi`.

A lion may be left where it is captured. The third occurrence of a position is a draw.
"""

from __future__ import annotations

import numpy as np

from games.base import Symmetry
from games.native.pieces import DIAGONAL, EVERYWHERE, FORWARD, GOLDS, STRAIGHT, moves_of
from games.native.shogi import ShogiGame, ShogiRules
from games.symmetry import mirror_of_planes, planes_of_cells

ROWS, COLUMNS = 4, 3
CHICK, ELEPHANT, GIRAFFE, LION, HEN = range(1, 6)
HANDS = 3
LETTERS = ("C", "E", "G", "L", "+C")
"""The pieces by kind; a hen is a promoted chick."""

MOVE_PLANES, ACTION_PLANES = 8, 8 + HANDS
"""Planes of actions: the directions of a move, drops by kind. A chick that reaches the last row always promotes."""

_KINDS: list[dict[str, tuple[int, ...]]] = [
    {"near": (FORWARD,)},
    {"near": DIAGONAL},
    {"near": STRAIGHT},
    {"near": EVERYWHERE},
    {"near": GOLDS},
]
_RULES = ShogiRules(
    moves=moves_of(ROWS, COLUMNS, _KINDS, is_half_turn=True),
    promoted=np.array([0, HEN, 0, 0, 0, 0]),
    held=np.array([-1, 0, 1, 2, -1, 0]),
    columns=COLUMNS,
    hands=HANDS,
    drop_plane=MOVE_PLANES,
    has_check=False,
    has_pawn_rules=False,
    occurrences=3,
    is_repetition_lost=False,
)
_HALF = [-GIRAFFE, -LION, -ELEPHANT, 0, -CHICK, 0]
_START = [*_HALF, *(-piece for piece in reversed(_HALF))]


class AnimalShogi(ShogiGame):
    """A lion, giraffe, elephant and chick each on 3x4; who captures the lion or brings home the own one wins.

    See `ShogiGame` for the observation.
    """

    name = rules = "animal_shogi"
    uci_variant = "dobutsu"
    action_planes = planes_of_cells(ACTION_PLANES, ROWS, COLUMNS)

    def __init__(self) -> None:
        super().__init__(_RULES, LETTERS, _START, LION)

    def symmetries(self) -> list[Symmetry]:
        """The mirror image of the rules; the first position is not its own mirror image."""
        moves = [-direction % 8 for direction in EVERYWHERE]
        return [mirror_of_planes(self, (*moves, *range(8, ACTION_PLANES)), keeps_start=False)]
