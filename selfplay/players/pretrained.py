"""`pretrained:GAME`: trained networks that come with the program, so that nobody has to train first.

Each is a folder like that of a run (`selfplay.shipped.pretrained_runs`): `config.yaml`, one checkpoint that has the
weights and nothing to go on from, and `card.json`, which says how it was made and what was measured.
`benchmarks/pretrained.py` makes them. GAME is the name of the folder, or a game with the same rules.
"""

from __future__ import annotations

import games
from selfplay.errors import UserError, shown
from selfplay.players.trained import game_of_run
from selfplay.shipped import pretrained_runs


def pretrained_names() -> dict[str, str]:
    """The names of the trained networks by the rules of the games that they play (`Game.rules`)."""
    return {games.load(game_of_run(str(folder))).rules: name for name, folder in pretrained_runs().items()}


def pretrained_run(target: str) -> str:
    """The folder of the network that `pretrained:TARGET` plays with. Raises UserError, which lists all, for another."""
    runs = pretrained_runs()
    name = target if target in runs else _name_by_game(target)
    if name is None:
        raise UserError(f"pretrained: no network for {shown(target)} comes with selfplay; there are {', '.join(runs)}")
    return str(runs[name])


def pretrained_game(target: str) -> str:
    """The game that the network was trained on. Raises UserError as `pretrained_run`."""
    return game_of_run(pretrained_run(target))


def _name_by_game(text: str) -> str | None:
    try:
        return pretrained_names().get(games.load(text).rules)
    except games.GameError:
        return None
