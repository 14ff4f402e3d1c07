"""The players of a tournament, before it begins and in a block of games; who is who among them.

The weights and the settings of play identify a player, not the folder that they lie in (`PlayerSpec.identity`). The
folder of a tournament keeps the identity beside the name that a player had when it joined. Older games have names
alone; `is_recorded_as` tells whose they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from games import Game
from selfplay.errors import UserError
from selfplay.players.kinds import parse_player, read_player
from selfplay.players.player import Player
from selfplay.players.text import PlayerSpec
from selfplay.players.trained import split_target
from selfplay.storage.run_folder import RATINGS, RunFolder
from selfplay.tournament.schedule import Block

PLAYERS = 1
"""Second number of the seeds of players, beside `workers.LUCK` and `tournament.OPENINGS`."""


@dataclass(frozen=True)
class Entrant:
    """A player that wants to join a tournament."""

    name: str
    """The text that makes the player from the current folder, with the version of a run."""
    identity: str


def check_players(texts: Sequence[str], game: Game) -> tuple[Entrant, ...]:
    """Who the players are, with the versions of runs. Raises UserError for one that cannot play, or twice the same."""
    entrants: list[Entrant] = []
    for text in texts:
        if read_player(text).kind.is_person:
            raise UserError("human: people play with `selfplay play` and `selfplay serve`")
        player = parse_player(text, game)
        player.close()
        entrant = Entrant(player.name, read_player(player.name).identity)
        for other in entrants:
            if entrant.name == other.name:
                raise UserError(f"{entrant.name} is given twice; an option such as seed=1 makes another player")
            if entrant.identity == other.identity:
                raise UserError(
                    f"{other.name} and {entrant.name} are the same player, with the same weights and settings; "
                    f"an option such as seed=1 makes another player"
                )
        entrants.append(entrant)
    return tuple(entrants)


def as_joined(text: str, entrant: Entrant, recorded: str, identity: str | None) -> Entrant:
    """The player of a text that has joined a folder before: the run in the version of then, if that is still there.

    Args:
        text: as it was given, maybe without a version.
        entrant: the player that the text makes now.
        recorded: the name that the folder keeps.
        identity: the identity that the folder keeps, None where it keeps the name alone.
    """
    given, old = read_player(text), read_player(recorded)
    if not given.kind.is_of_run or old.kind != given.kind or split_target(given.target)[1] is not None:
        return entrant
    now = _in_folder(read_player(entrant.name), split_target(given.target)[0], split_target(old.target)[1])
    try:
        joined = Entrant(now.name, now.identity)
    except UserError:  # its checkpoint is gone, its games are not
        return Entrant(recorded, identity or recorded)
    return joined if identity in (None, joined.identity) else entrant


def is_recorded_as(entrant: Entrant, recorded: str, folder: Path) -> bool:
    """Whether a name that was kept without an identity, in the folder of a tournament, is that of the player.

    The name must say the same version and settings. Its path may be another one to the same run, from here or from one
    of the folders above the tournament. In a run's own folder of ratings it may be any that is no other run's now: the
    run has been moved since.
    """
    if recorded == entrant.name:
        return True
    try:
        spec, old = read_player(entrant.name), read_player(recorded)
        if not spec.kind.is_of_run or old.kind != spec.kind:
            return False
        (path, version), (old_path, old_version) = split_target(spec.target), split_target(old.target)
        if version != old_version or not (
            any((base / old_path).resolve() == path.resolve() for base in (Path(), *folder.resolve().parents))
            or (folder.resolve() == path.resolve() / RATINGS and not RunFolder(old_path).config.exists())
        ):
            return False
        return _in_folder(old, path, version).identity == entrant.identity
    except (UserError, OSError, ValueError):
        return False


def _in_folder(spec: PlayerSpec, path: Path, version: int | None) -> PlayerSpec:
    return dataclasses.replace(spec, target=f"{path}@{version}")


def make_players(game: Game, seed: int, block: Block) -> tuple[Player, Player]:
    """The pair of a block; their seeds follow from the tournament's and the block."""
    entropy = int.from_bytes(blake2b(block.key.encode(), digest_size=16).digest())
    seeds = np.random.SeedSequence((seed, PLAYERS, entropy)).generate_state(2)
    first, second = (parse_player(name, game, int(s)) for name, s in zip((block.first, block.second), seeds))
    return first, second
