"""Seat planes: the last P planes (or rows, or numbers) of every observation, one-hot of the player to move.

Many OpenSpiel observations do not say whose turn it is, so a value "for the player to move" could not be learned from
them. Every pool appends the seats with the functions here, and they alone know the layout.
"""

from __future__ import annotations

import numpy as np
from numba import njit


def with_seats(shape: tuple[int, ...], num_players: int) -> tuple[int, ...]:
    """Shape of an observation after its seats are appended: `(C, H, W)` becomes `(C + P, H, W)`, `(N,)` `(N + P,)`."""
    return (shape[0] + num_players, *shape[1:])


def write_seats(out: np.ndarray, to_play: np.ndarray, num_players: int) -> None:
    """Fill the seats of `out [B, *observation_shape]` from `to_play [B]`; all zero where no player moves."""
    one_hot = to_play[:, None] == np.arange(num_players)
    out[:, out.shape[1] - num_players :] = one_hot.reshape(*one_hot.shape, *(1,) * (out.ndim - 2))


@njit(cache=True)
def mark_seat(observation, cells, num_players, mover):  # type: ignore[no-untyped-def]
    """`write_seats` for kernels: the seats, planes of `cells` numbers, of one flat observation."""
    own = observation.size - num_players * cells
    for seat in range(num_players):
        observation[own + seat * cells : own + (seat + 1) * cells] = seat == mover
