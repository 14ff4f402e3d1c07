"""Shared by the commands of the servers, `gtp`, `uci` and `usi`: which player serves, of which game."""

from __future__ import annotations

from typing import BinaryIO, TextIO

import numpy as np

import games
from games import Game
from selfplay.engines.lines import LineQueue
from selfplay.engines.uci import Dialect
from selfplay.errors import UserError
from selfplay.players.kinds import read_player
from selfplay.players.text import PlayerSpec
from selfplay.players.thinking import Thinker, make_thinker
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


def serve_engine(command: str, player: str, wanted: str | None, seed: int | None, dialect: Dialect, out: TextIO) -> int:
    """Answer a program that speaks UCI or USI until it says `quit`; returns the exit status.

    `player`, `wanted` and `seed` are the arguments of the command. Raises UserError, GameError, and what went wrong
    where the player cannot be made.
    """
    from selfplay.servers.uci_server import UciServer

    spec = read_served_player(player)
    game = served_game(command, spec, wanted, dialect.usual_variant)
    seed = int(np.random.SeedSequence(seed).generate_state(1)[0])

    def make() -> Thinker:  # only when asked: other programs wait for the answer to their first line
        return make_thinker(spec.make_player(game, seed))

    server = UciServer(game, make, LineQueue(standard_input()), out, dialect)
    try:
        server.serve()
    finally:
        server.close()
    if server.failure is not None:
        raise server.failure
    return 0
