"""The exact value of every move in any small game: all positions from the start on, and their values backwards.

Forwards, level by level, every position that can be reached is listed once. Positions with the same text, observation
and player to move are one, and so are chance nodes with the same text, outcomes and probabilities. So a game whose text
and observation hide something is not solved exactly. Backwards, values are computed from those of following positions
until none changes. One sweep is enough where no position comes back. It is retrograde analysis where some do, and value
iteration where chance decides whether they do (Shapley, "Stochastic Games", 1953). A game without an end counts as a
draw, 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from games.base import CHANCE, TERMINAL, Game, GameError, StatePool

MAX_POSITIONS = 300_000
"""Largest number of positions of a game that is solved; more take minutes and gigabytes."""

BATCH = 1024
"""Number of positions that are expanded together."""

TOLERANCE = 1e-12
"""Largest change of a value in the last sweep over all positions."""

MAX_SWEEPS = 100_000

CHECKED_GAMES, CHECKED_PLIES = 64, 200
"""Random games, and their moves and outcomes, that show whether text and observation say all that decides the moves."""

_OVER = b""
"""Key of all positions where the game is over: their rewards belong to the move before."""


@dataclass(frozen=True, eq=False)
class _Graph:
    """N positions in the order in which they were found, and the E moves and outcomes that lead from one to another."""

    index: dict[bytes, int]
    """Position by key."""
    to_play: Int[np.ndarray, " N"]
    offsets: Int[np.ndarray, " N+1"]
    """Position i has the edges `offsets[i]` to `offsets[i + 1]`."""
    moves: Int[np.ndarray, " E"]
    """The action or outcome of an edge."""
    probabilities: Float[np.ndarray, " E"]
    """1 for actions."""
    rewards: Float[np.ndarray, " E"]
    """Reward of player 0."""
    children: Int[np.ndarray, " E"]
    levels: tuple[int, ...]
    """Positions `levels[l]` to `levels[l + 1]` are l moves and outcomes from the start."""


class _Edges(NamedTuple):
    """The E moves and outcomes from N positions, position by position; fields as in `_Graph`."""

    counts: Int[np.ndarray, " N"]
    """Number of edges of each position."""
    moves: Int[np.ndarray, " E"]
    probabilities: Float[np.ndarray, " E"]
    rewards: Float[np.ndarray, " E"]
    children: Int[np.ndarray, " E"]


class RetrogradeSolver:
    """All positions of a game of one player, or of two with zero sum, with their values."""

    def __init__(self, game: Game) -> None:
        """Solves the game. Raises GameError where it has more than `MAX_POSITIONS`, more players, or returns of two
        players that do not sum to zero."""
        if game.num_players > 2 or (game.num_players == 2 and not game.zero_sum):
            raise GameError(f"{game.name}: exact play is defined for one player, and for two with zero sum")
        _require_texts(game)
        self._graph = _explore(game)
        _require_whole(game, self._graph)
        self._values, self._settled = _solve(self._graph, game.name)

    @property
    def num_positions(self) -> int:
        """Different positions, all those where the game is over counted as one."""
        return len(self._graph.to_play)

    def move_values(self, pool: StatePool, slot: int) -> dict[int, float]:
        """The return of the player to move, from here on, after each legal move of the position and perfect play."""
        moves, values, _ = self._look_up(pool, slot)
        return dict(zip(moves.tolist(), values.tolist()))

    def best_moves(self, pool: StatePool, slot: int) -> list[int]:
        """The moves with the greatest value; of those that win, the ones that get nearer to the end."""
        moves, values, settled = self._look_up(pool, slot)
        best = values >= values.max() - TOLERANCE
        if values.max() > 0:
            best &= settled == settled[best].min()
        return moves[best].tolist()

    def _look_up(self, pool: StatePool, slot: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """An entry for each legal move: action, value for the mover, and the round that settled the next position."""
        graph = self._graph
        position = graph.index.get(_keys(pool, np.array([slot]))[0])
        if position is None:
            raise _hides(pool.game)
        edges = slice(graph.offsets[position], graph.offsets[position + 1])
        children = graph.children[edges]
        sign = 1.0 if graph.to_play[position] == 0 else -1.0
        return graph.moves[edges], sign * (graph.rewards[edges] + self._values[children]), self._settled[children]


def _require_texts(game: Game) -> None:
    """Raises GameError for a game of Python's whose positions all have a text of their own, equal ones too."""
    place, pools = np.zeros(1, np.int64), [game.new_pool(1), game.new_pool(1)]
    for pool in pools:
        pool.reset(place)
    if len({pool.text(0) for pool in pools}) > 1:
        raise GameError(f"{game.name}: exact play tells positions apart by their text; its State needs `__str__`")


def _hides(game: Game) -> GameError:
    return GameError(
        f"{game.name}: what may be played depends on moves that text and observation do not show; it cannot be solved"
    )


def _require_whole(game: Game, graph: _Graph) -> None:
    """Raises GameError where random games lead to positions that were not found, or that have other moves."""
    rng, pool = np.random.default_rng(0), game.new_pool(CHECKED_GAMES)
    slots = np.arange(CHECKED_GAMES)
    pool.reset(slots)
    for _ in range(CHECKED_PLIES):
        slots = slots[pool.to_play(slots) != TERMINAL]
        if not slots.size:
            return
        places = [graph.index.get(key) for key in _keys(pool, slots)]
        counts, moves, _ = _edges(pool, slots)
        ends = np.cumsum(counts)
        for place, first, last in zip(places, ends - counts, ends):
            if place is None or not np.array_equal(
                graph.moves[graph.offsets[place] : graph.offsets[place + 1]], moves[first:last]
            ):
                raise _hides(game)
        chosen = moves[ends - counts + rng.integers(counts)]
        pool.step(slots, chosen, slots)


def _keys(pool: StatePool, slots: np.ndarray) -> list[bytes]:
    """A key for each position, equal for positions that count as one."""
    to_play = pool.to_play(slots)
    playing = np.nonzero(to_play >= 0)[0]
    observations = np.empty((len(playing), *pool.game.observation_shape), np.float32)
    pool.observe(slots[playing], observations)
    telling = {i: observation.tobytes() for i, observation in zip(playing.tolist(), observations)}
    waiting = np.nonzero(to_play == CHANCE)[0]
    if waiting.size:
        rows, outcomes, likely = pool.chance(slots[waiting])
        for i, first, last in zip(waiting.tolist(), rows, rows[1:]):
            telling[i] = outcomes[first:last].tobytes() + likely[first:last].tobytes()
    keys = []
    for i, (slot, player) in enumerate(zip(slots.tolist(), to_play.tolist())):
        if player == TERMINAL:
            keys.append(_OVER)
            continue
        key = blake2b(f"{player} {pool.text(slot)}".encode(), digest_size=16)
        if i in telling:
            key.update(telling[i])
        keys.append(key.digest())
    return keys


def _explore(game: Game) -> _Graph:
    """Find all positions, level by level."""
    start = game.new_pool(1)
    start.reset(np.zeros(1, np.int64))
    index = {_keys(start, np.zeros(1, np.int64))[0]: 0}
    to_play, edges = [np.asarray(start.to_play(np.zeros(1, np.int64))).copy()], []
    level, levels = [start], [0, 1]
    while levels[-1] > levels[-2]:
        following = []
        for pool in level:
            for first in range(0, pool.capacity, BATCH):
                slots = np.arange(first, min(first + BATCH, pool.capacity))
                new, chunk = _expand(game, pool, slots, index)
                edges.append(chunk)
                following.append(new)
                to_play.append(new.to_play(np.arange(new.capacity)).copy())
                if len(index) > MAX_POSITIONS:
                    raise GameError(f"{game.name}: more than {MAX_POSITIONS:,} positions; too large to be solved")
            pool.close()
        level = following
        levels.append(len(index))
    every = _Edges(*(np.concatenate(parts) for parts in zip(*edges)))
    offsets = np.concatenate([[0], np.cumsum(every.counts)])
    return _Graph(index, np.concatenate(to_play), offsets, *every[1:], levels=tuple(levels[:-1]))


def _expand(game: Game, pool: StatePool, slots: np.ndarray, index: dict[bytes, int]) -> tuple[StatePool, _Edges]:
    """Positions that follow those in `slots`: a pool of those not in `index` yet, which are added to it in order.

    Beside it the edges from `slots`."""
    counts, moves, probabilities = _edges(pool, slots)
    work = game.new_pool(len(slots) + max(1, len(moves)))
    sources, targets = np.arange(len(slots)), np.arange(len(slots), len(slots) + len(moves))
    work.load(sources, pool, slots)
    rewards = np.zeros(len(moves))
    if moves.size:
        rewards = work.step(np.repeat(sources, counts), moves, targets)[1][:, 0].copy()
    children, unknown = np.empty(len(moves), np.int64), []
    for i, key in enumerate(_keys(work, targets)):
        if key not in index:
            index[key] = len(index)
            unknown.append(targets[i])
        children[i] = index[key]
    new = game.new_pool(len(unknown))
    new.load(np.arange(len(unknown)), work, np.array(unknown, np.int64))
    work.close()
    return new, _Edges(counts, moves, probabilities, rewards, children)


def _edges(pool: StatePool, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number of moves or outcomes by position, the moves or outcomes, and their probabilities (1 for moves)."""
    counts = np.zeros(len(slots), np.int64)
    waiting = np.nonzero(pool.to_play(slots) == CHANCE)[0]
    offsets, moves = (part.copy() for part in pool.legal(slots))
    counts = np.diff(offsets)
    probabilities = np.ones(len(moves))
    if waiting.size:
        rows, outcomes, likely = pool.chance(slots[waiting])
        at = np.repeat(offsets[waiting], np.diff(rows))
        moves, probabilities = np.insert(moves, at, outcomes), np.insert(probabilities, at, likely)
        counts[waiting] = np.diff(rows)
    return counts, moves, probabilities


def _solve(graph: _Graph, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Values for player 0, and a number that grows with the sweep and level in which each became what it is."""
    values, settled = np.zeros(len(graph.to_play)), np.zeros(len(graph.to_play), np.int64)
    levels = [
        (np.arange(first, last), slice(graph.offsets[first], graph.offsets[last]))
        for first, last in zip(graph.levels, graph.levels[1:])
    ][::-1]
    for sweep in range(MAX_SWEEPS):
        changed = 0.0
        for number, (positions, edges) in enumerate(levels):
            returns = graph.rewards[edges] + values[graph.children[edges]]
            after = _combine(graph, positions, returns, graph.probabilities[edges])
            change = np.abs(after - values[positions])
            values[positions] = after
            settled[positions[change > TOLERANCE]] = 1 + sweep * len(levels) + number
            changed = max(changed, float(change.max(initial=0.0)))
        if changed <= TOLERANCE:
            return values, settled
    raise GameError(f"{name}: values still change after {MAX_SWEEPS:,} sweeps; too large to be solved")


def _combine(graph: _Graph, positions: np.ndarray, returns: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Values of a level's positions from the returns along its edges.

    The greatest for player 0, the least for player 1, the mean at chance nodes, 0 where the game is over."""
    starts = graph.offsets[positions] - graph.offsets[positions[0]]
    to_play = graph.to_play[positions]
    after = np.zeros(len(positions))
    going_on = to_play != TERMINAL  # they have edges
    if going_on.any():
        rows = starts[going_on]
        player = to_play[going_on]
        means = np.add.reduceat(returns * probabilities, rows)
        best = np.where(player == 0, np.maximum.reduceat(returns, rows), np.minimum.reduceat(returns, rows))
        after[going_on] = np.where(player == CHANCE, means, best)
    return after
