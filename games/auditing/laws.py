"""Laws of whole games that `games.auditing.promises` checks: the same moves again, the judge, and mirror images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from games.auditing.positions import TOLERANCE, BrokenError, Look, asked, choose, look, try_move
from games.base import Game, Symmetry
from games.python_pool import new_state

MIRRORED_GAMES = 12
"""Number of games that are played beside their mirror image, for each symmetry."""
MIRRORED_MOVES = 500
"""Largest number of moves of these games together, for each symmetry; the last game is cut off there."""
JUDGE_EVERY = 7
"""Number of positions from one question to the judge to the next."""


def check_again(game: Game, actions: Sequence[int], looks: Sequence[Look]) -> None:
    """The same moves from a new start, in the way that a pool plays them, and the judge on the way."""
    state = asked("new_state", "new_state()", new_state, game)
    pool = asked("new_pool", "new_pool(3)", game.new_pool, 3)
    place, other = np.zeros(1, np.int64), np.ones(1, np.int64)
    asked("new_pool", "reset of its pool", pool.reset, place)
    every = [*actions, None]
    for number, (action, expected) in enumerate(zip(every, looks)):
        if difference := look(game, state).difference(expected):
            raise BrokenError(
                "apply",
                f"the same moves from a new start led to another {difference}: something is kept outside the position",
                number,
            )
        if number % JUDGE_EVERY == 0 and expected.to_play >= 0:
            _check_judge(game, asked("judge", "judge()", game.judge, pool, place), number)
        if action is None:
            break
        asked("apply", f"apply({action})", state.apply, action)
        moved = np.array([action], np.int64)
        to_play, rewards = asked("apply", "step of its pool", pool.step, place, moved, other)
        after = looks[number + 1]
        expected_rewards = np.array(after.rewards) / game.utility_scale
        if to_play[0] != after.to_play or not np.allclose(rewards[0], expected_rewards, atol=TOLERANCE):
            raise BrokenError("new_pool", "step of its pool led to another position than apply", number + 1)
        place, other = other, place
    pool.close()


def _check_judge(game: Game, returns: Any, number: int) -> None:
    """Raises BrokenError unless `returns` is a judge's output for the position after `number` moves."""
    if returns is None:
        return
    if not isinstance(returns, np.ndarray) or returns.shape != (1, game.num_players) or not np.isfinite(returns).all():
        raise BrokenError(
            "judge", f"judge() is {returns!r} for one position; it is an array [1, {game.num_players}]", number
        )
    if game.zero_sum and abs(float(returns.sum())) > TOLERANCE:
        raise BrokenError("judge", f"judge() is {returns[0].tolist()}, which does not sum to 0", number)
    if not game.has_rewards and float(np.abs(returns).max()) > 1 + TOLERANCE:
        raise BrokenError("judge", f"judge() is {returns[0].tolist()}, outside -1 to 1", number)


def check_symmetries(game: Game, rng: np.random.Generator, moves: list[str]) -> None:
    """A game and its mirror image, side by side: of symmetries that keep the first position, for no other is known."""
    size = math.prod(game.observation_shape)
    seats = size // game.observation_shape[0] * game.num_players
    for number, symmetry in enumerate(asked("symmetries", "symmetries()", game.symmetries)):
        same_size = symmetry.observation.size == size and symmetry.action.size == game.num_actions
        if not same_size or not all(np.array_equal(np.sort(a), np.arange(a.size)) for a in
                                    (symmetry.observation, symmetry.action)):  # fmt: skip
            raise BrokenError("symmetries", f"symmetry {number} does not name every number and every action once")
        if not np.array_equal(symmetry.observation[-seats:], np.arange(size)[-seats:]):
            raise BrokenError("symmetries", f"symmetry {number} moves the seats")
        left = MIRRORED_MOVES
        for _ in range(MIRRORED_GAMES if symmetry.keeps_start else 0):
            moves.clear()
            _play_mirrored(game, symmetry, number, rng, moves, left)
            left -= len(moves)


def _play_mirrored(
    game: Game, symmetry: Symmetry, number: int, rng: np.random.Generator, moves: list[str], most: int
) -> None:
    """`most` moves, as far as the first chance, whose outcomes no symmetry names."""
    inverse = np.argsort(symmetry.action)  # mirrored[i] = old[action[i]], so old action a becomes its inverse
    planes = game.observation_shape[0]
    own = math.prod(game.observation_shape) // planes * (planes - game.num_players)
    state, mirrored = new_state(game), new_state(game)
    for _ in range(most):
        here, there = look(game, state), look(game, mirrored)
        own_view, other_view = (np.frombuffer(x.observation, np.float32) for x in (here, there))
        if here.to_play >= 0 and there.to_play >= 0:
            alike = np.array_equal(own_view[symmetry.observation[:own]], other_view)
            alike = alike and sorted(inverse[list(here.legal_actions)].tolist()) == list(there.legal_actions)
        if here.to_play != there.to_play or here.rewards != there.rewards or (here.to_play >= 0 and not alike):
            raise BrokenError("symmetries", f"with symmetry {number} the mirrored game is not the mirror image")
        if here.to_play < 0:
            return
        action = choose(here, rng)
        try_move(state, here, action, moves)
        mirrored.apply(int(inverse[action]))
