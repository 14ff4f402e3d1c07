"""Shared by the commands of the two servers, `gtp` and `uci`: which player serves, of which game."""

from __future__ import annotations

from typing import BinaryIO

import games
from games import Game
from selfplay.errors import UserError
from selfplay.players.kinds import read_player
from selfplay.players.text import PlayerSpec
from selfplay.players.trained import player_of_checkpoint, run_config, split_target


def read_served_player(text: str) -> PlayerSpec:
    """The player of a PLAYER's text, or of a run's folder, `RUN_DIR[@VERSION]`. Raises UserError."""
    try:
        return read_player(text)
    except UserError:
        if split_target(text)[0].is_dir():
            return read_player(player_of_checkpoint(run_config(text), text))
        raise


def served_game(command: str, spec: PlayerSpec, wanted: str | None, usual: str | None = None) -> Game:
    """The game asked for, else the one that the player was trained on, else the usual one.

    Raises UserError, GameError.
    """
    name = wanted or spec.game or usual
    if name is None:
        raise UserError(f"{command}: --game is missing; a player that is no run plays any game")
    if spec.kind.is_person:
        raise UserError(f"{command}: people do not sit behind a program; `selfplay play` is for them")
    return games.load(name)


def standard_input() -> BinaryIO:
    """Standard input without a buffer: lines arrive at once, and a thread that reads it holds no lock."""
    return open(0, "rb", buffering=0, closefd=False)
