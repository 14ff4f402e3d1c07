"""The players of a tournament, before it begins and in a block of games."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from games import Game
from selfplay.errors import UserError
from selfplay.player import Player
from selfplay.players import parse_player, read_player
from selfplay.tournament.schedule import Block

PLAYERS = 1
"""What a seed is for."""


def check_players(texts: Sequence[str], game: Game) -> tuple[str, ...]:
    """What the players are called, with the versions of runs. Raises UserError for one that cannot play, or twice the
    same."""
    names: list[str] = []
    for text in texts:
        if read_player(text).kind == "human":
            raise UserError("human: people play with `selfplay play` and `selfplay serve`")
        player = parse_player(text, game)
        player.close()
        if player.name in names:
            raise UserError(f"{player.name} is given twice; an option such as seed=1 makes another player")
        names.append(player.name)
    return tuple(names)


def make_players(game: Game, seed: int, block: Block) -> tuple[Player, Player]:
    """The pair of a block; their seeds follow from the tournament's and the block."""
    entropy = int.from_bytes(blake2b(block.key.encode(), digest_size=16).digest())
    seeds = np.random.SeedSequence((seed, PLAYERS, entropy)).generate_state(2)
    first, second = (parse_player(name, game, int(s)) for name, s in zip((block.first, block.second), seeds))
    return first, second
