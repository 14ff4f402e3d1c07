"""Mini shogi on 5x5 (Kusumoto 1970): the pieces and rules of `games.native.shogi`.

The fourth occurrence of a position is lost for who gave check all the time between the occurrences; else it is lost
for player 0, the first player, as Fairy-Stockfish and the tournaments of the Computer Games Olympiad have it.
"""

from __future__ import annotations

import numpy as np

from games.base import Symmetry
from games.native.pieces import DIAGONAL, EVERYWHERE, FORWARD, GOLDS, STRAIGHT, moves_of
from games.native.shogi import PAWN, ShogiGame, ShogiRules
from games.symmetry import mirror_of_planes, planes_of_cells

SIZE = 5
SILVER, GOLD, BISHOP, ROOK, KING = range(PAWN + 1, 7)
HANDS = 5
LETTERS = ("P", "S", "G", "B", "R", "K", "+P", "+S", "+B", "+R")
"""The pieces by kind; promoted ones have a plus."""

MOVE_PLANES, ACTION_PLANES = 16, 16 + HANDS
"""Planes of actions: the directions of a move, the same with promotion, drops by kind."""

_TOKIN, _PROMOTED_SILVER, _HORSE, _DRAGON = range(7, 11)
_KINDS: list[dict[str, tuple[int, ...]]] = [
    {"near": (FORWARD,)},
    {"near": (*DIAGONAL, FORWARD)},
    {"near": GOLDS},
    {"far": DIAGONAL},
    {"far": STRAIGHT},
    {"near": EVERYWHERE},
    {"near": GOLDS},
    {"near": GOLDS},
    {"far": DIAGONAL, "near": STRAIGHT},
    {"far": STRAIGHT, "near": DIAGONAL},
]
_PROMOTED = np.zeros(1 + len(_KINDS), np.int64)
_PROMOTED[[PAWN, SILVER, BISHOP, ROOK]] = _TOKIN, _PROMOTED_SILVER, _HORSE, _DRAGON
_RULES = ShogiRules(
    moves=moves_of(SIZE, SIZE, _KINDS, is_half_turn=True),
    promoted=_PROMOTED,
    held=np.array([-1, 0, 1, 2, 3, 4, -1, 0, 1, 3, 4]),
    columns=SIZE,
    hands=HANDS,
    drop_plane=MOVE_PLANES,
    has_check=True,
    has_pawn_rules=True,
    occurrences=4,
    is_repetition_lost=True,
)
_FIRST_ROW = [KING, GOLD, SILVER, BISHOP, ROOK]
_FIRST_HALF = [*(-piece for piece in reversed(_FIRST_ROW)), 0, 0, 0, 0, -PAWN]
_START = [*_FIRST_HALF, *[0] * SIZE, *(-piece for piece in reversed(_FIRST_HALF))]


class MiniShogi(ShogiGame):
    """Shogi on 5x5 with a pawn, silver, gold, bishop, rook and king each; the last row promotes. See `ShogiGame`."""

    name = rules = "mini_shogi"
    uci_variant = "minishogi"
    action_planes = planes_of_cells(ACTION_PLANES, SIZE, SIZE)

    def __init__(self) -> None:
        super().__init__(_RULES, LETTERS, _START, KING)

    def symmetries(self) -> list[Symmetry]:
        """The mirror image of the rules; the first position is not its own mirror image."""
        moves = [8 * promotes + -direction % 8 for promotes in (0, 1) for direction in EVERYWHERE]
        return [mirror_of_planes(self, (*moves, *range(MOVE_PLANES, ACTION_PLANES)), keeps_start=False)]
