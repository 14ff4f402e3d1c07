"""Boards of OpenSpiel's games turned to the player to move, for networks that read them as one player.

OpenSpiel shows chess from white's side whoever moves, while it counts the squares of a move from the mover's side. With
`egocentric_obs_tensor` the observation is turned too, as in AlphaZero (Silver et al. 2017): the squares of an action
are those of the observation, so a policy head can have a plane for each kind of move.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from games.base import NO_CELL, ActionPlanes

EGOCENTRIC = "egocentric_obs_tensor"
"""The parameter that asks for a view; it changes no rules. Some games of OpenSpiel have it themselves."""


@dataclass(frozen=True, eq=False)
class View:
    """How the observation of a game is turned, and where its actions are on the board then."""

    turn: Callable[[Float32[np.ndarray, "n C H W"], Float32[np.ndarray, " n"]], None]
    """(observations without seat planes, players to move): turns in place what is not shown from the mover's side."""
    action_planes: ActionPlanes


CHESS_SIDE, CHESS_KINDS = 8, 73
"""Rows of the board, and kinds of moves from a square."""

CHESS_BLACK = 0
"""OpenSpiel's player 0 is black."""

PIECES, CASTLING = 12, 16
"""Planes of pieces, white's and black's in turn, and the first of the castling rights, two of white, two of black."""


def _turn_chess(observations: np.ndarray, to_play: np.ndarray) -> None:
    of_black = np.flatnonzero(to_play == CHESS_BLACK)
    if not of_black.size:
        return
    seen = observations[of_black][:, :, ::-1]
    turned = seen.copy()
    turned[:, 0:PIECES:2], turned[:, 1:PIECES:2] = seen[:, 1:PIECES:2], seen[:, 0:PIECES:2]
    turned[:, CASTLING : CASTLING + 2], turned[:, CASTLING + 2 : CASTLING + 4] = (
        seen[:, CASTLING + 2 : CASTLING + 4],
        seen[:, CASTLING : CASTLING + 2],
    )
    observations[of_black] = turned


def _chess_planes() -> ActionPlanes:
    """A plane for each of the 73 kinds of moves; castling, the last two actions, is nowhere on the board."""
    moves = np.arange(CHESS_SIDE * CHESS_SIDE * CHESS_KINDS)
    column, row = np.divmod(moves // CHESS_KINDS, CHESS_SIDE)
    plane = np.append(moves % CHESS_KINDS, [NO_CELL, NO_CELL])
    cell = np.append(row * CHESS_SIDE + column, [NO_CELL, NO_CELL])
    return ActionPlanes(CHESS_KINDS, (CHESS_SIDE, CHESS_SIDE), plane, cell)


VIEWS = {"chess": View(_turn_chess, _chess_planes())}
"""By OpenSpiel's name of the game."""
