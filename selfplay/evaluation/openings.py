"""Random openings, so that games between players that always play the same move are not all the same game.

A match plays every opening once with each seating; an opening that favours one side favours both players once. What
training begins with is in `selfplay.experience.openings`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import games
from games import CHANCE, TERMINAL, Game, GameError, StatePool, check_action
from games.base import chance_rounds
from games.random_play import draw_outcomes, random_actions
from selfplay.errors import UserError
from selfplay.notation.encoding import decode
from selfplay.notation.forms import Form, form_of
from selfplay.notation.played import Line
from selfplay.storage.files import read_named, read_named_lines

Opening = tuple[int, ...]
"""Actions and chance outcomes from the start of the game."""

USUAL_PLIES = (2, 3, 4)
"""Lengths tried by default, shortest first, until there are as many different openings as asked for."""

ROUNDS = 20
"""Number of times that openings are drawn before fewer than asked for are taken."""


def draw_openings(game: Game, count: int, rng: np.random.Generator, plies: int | None = None) -> list[Opening]:
    """`count` openings of `plies` random moves that do not end the game, in different positions where there are enough.

    `plies` None means 0 for games with chance or one player, whose games differ anyway, and else the least of
    `USUAL_PLIES` that has enough positions. Raises UserError where every game ends within `plies` moves.
    """
    if plies is None and (game.max_chance_outcomes > 0 or game.num_players == 1):
        plies = 0
    if plies == 0:
        return [()] * count
    openings: list[Opening] = []
    for length in USUAL_PLIES if plies is None else (plies,):
        different = _different_openings(game, count, rng, length)
        if len(different) > len(openings):
            openings = different
        if len(openings) == count:
            break
    if not openings and plies is not None:
        raise UserError(f"opening plies: {plies} random moves end every game of {game.name}; take fewer")
    openings = openings or [()]
    return [openings[i % len(openings)] for i in range(count)]


def read_openings(path: Path, game: Game) -> tuple[Opening, ...]:
    """The openings of a file with one JSON object a line, `{"moves": [3, 3, 2], ...}`. A `game` must be this one; other
    fields are passed over, so labelled positions are openings too. Of a file of games (`.sgf`, `.pgn`) each main line
    is one.

    Raises UserError that names file and line, also for moves that end the game.
    """
    form = form_of(game)
    if form is not None and path.suffix.lower() == f".{form.ending}":
        return _openings_of_games(path, game, form)
    lines = read_named_lines(path)
    pool, place = game.new_pool(1), np.zeros(1, np.int64)
    openings = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            opening = json.loads(line)
            moves = opening["moves"]
            _check_game(opening.get("game", game.name), game)
            pool.reset(place)
            for move in moves:
                if type(move) is not int:
                    raise TypeError
                check_action(pool, 0, move)
                pool.step(place, np.array([move]), place)
        except (ValueError, KeyError, TypeError, RecursionError) as error:  # GameError is a ValueError
            reason = str(error) if isinstance(error, GameError) else 'expected {"moves": [actions]}'
            raise UserError(f"{path}, line {number}: {reason}") from None
        if pool.to_play(place)[0] == TERMINAL:
            raise UserError(f"{path}, line {number}: the game is over after these moves")
        openings.append(tuple(moves))
    if not openings:
        raise UserError(f"{path}: no openings; one JSON object with moves a line is expected")
    return tuple(openings)


def _check_game(name: object, game: Game) -> None:
    """Raises GameError for moves of another game: they may be legal here and mean something else."""
    if name != game.name and games.load(str(name), may_import=False).rules != game.rules:
        raise GameError(f"the moves are of {name}, and {game.name} is played")


def _openings_of_games(path: Path, game: Game, form: Form) -> tuple[Opening, ...]:
    """The main lines of a file of games. Raises UserError."""
    data = read_named(path)
    try:
        openings = tuple(reading.moves for reading in form.read(game, decode(data)))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    for number, moves in enumerate(openings, start=1):
        line = Line(game)
        for move in moves:
            line.play(move)
        if line.to_play == TERMINAL:
            raise UserError(f"{path}, game {number}: the game is over after these moves")
    if not openings:
        raise UserError(f"{path}: no games")
    return openings


def _different_openings(game: Game, count: int, rng: np.random.Generator, plies: int) -> list[Opening]:
    """Up to `count` openings that lead to positions with different observations."""
    pool = game.new_pool(count)
    observations = np.empty((count, *game.observation_shape), np.float32)
    by_observation: dict[bytes, Opening] = {}
    for _ in range(ROUNDS):
        slots, moves = play_random(pool, np.full(count, plies), rng)
        pool.observe(slots, observations[: len(slots)])
        for i, slot in enumerate(slots):
            by_observation.setdefault(observations[i].tobytes(), tuple(moves[slot]))
        if len(by_observation) >= count:
            break
    pool.close()
    return list(by_observation.values())[:count]


def play_random(pool: StatePool, plies: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[list[int]]]:
    """Play a game in each slot 0 .. n-1 for `plies` [n] random moves: the slots where a player is to move then, and the
    moves and outcomes of all n."""
    count = len(plies)
    slots = np.arange(count)
    moves: list[list[int]] = [[] for _ in range(count)]
    pool.reset(slots)
    played, events = np.zeros(count, np.int64), chance_rounds(pool.game)
    while True:
        to_play = pool.to_play(slots)
        running = slots[(to_play == CHANCE) | ((to_play >= 0) & (played < plies))]
        if not running.size:
            return slots[to_play >= 0], moves
        at_chance = to_play[running] == CHANCE
        if at_chance.all():
            next(events)
        else:
            events = chance_rounds(pool.game)
        actions = np.empty(len(running), np.int64)
        actions[at_chance] = draw_outcomes(pool, running[at_chance], [rng] * int(at_chance.sum()))
        actions[~at_chance] = random_actions(pool, running[~at_chance], rng)
        played[running[~at_chance]] += 1
        for slot, action in zip(running, actions):
            moves[slot].append(int(action))
        pool.step(running, actions, running)
