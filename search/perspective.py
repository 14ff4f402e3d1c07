"""Whose value is it? A network's value belongs to the player to move, the tree has values for every player.

A network's value has V numbers. V is 1 for one player, and for two players whose returns sum to zero. Otherwise V is P,
and entry k belongs to player `(to_play + k) % P`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from games import Game
from search.kernels import kernel


def num_values(game: Game) -> int:
    """V, the numbers a value head needs for the game."""
    return 1 if game.num_players == 1 or (game.num_players == 2 and game.zero_sum) else game.num_players


@kernel
def to_players(values: np.ndarray, to_play: np.ndarray, out: np.ndarray) -> None:
    """Values for the player to move [n, V] into values per player `out` [n, P]."""
    num_players = out.shape[1]
    for i in range(values.shape[0]):
        for k in range(num_players):
            player = (to_play[i] + k) % num_players
            if values.shape[1] == 1:
                out[i, player] = values[i, 0] if k == 0 else -values[i, 0]
            else:
                out[i, player] = values[i, k]


def from_players(
    values: Float[np.ndarray, "n P"], to_play: Int[np.ndarray, " n"], num_values: int
) -> Float[np.ndarray, "n V"]:
    """Values for the player to move [n, V] from values per player: the inverse of `to_players`."""
    players = (to_play[:, None] + np.arange(num_values)) % values.shape[1]
    return np.take_along_axis(values, players, axis=1)


def seen_after(values: np.ndarray, turns: int | np.ndarray, num_players: int) -> np.ndarray:
    """Values [..., V] as the player sees them who sits `turns` seats after the one whose values they are.

    `turns` [...] may be negative: seats before.
    """
    turns = np.asarray(turns) % num_players
    num_values = values.shape[-1]
    if num_values == 1:  # one player, or two whose values are opposite
        return np.where(np.broadcast_to(turns, values.shape[:-1])[..., None] == 0, values, -values)
    index = (np.arange(num_values) + np.broadcast_to(turns, values.shape[:-1])[..., None]) % num_values
    return np.take_along_axis(values, index, axis=-1)
