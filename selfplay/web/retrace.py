"""From a record of self-play back to all moves of its game.

A record has the moves that were searched, with the observation of each position, but neither the outcomes of chance nor
the random moves of an opening. Both are found again by looking for a way from one position to the next that is
recorded: exhaustively where there are few ways, else by the ways whose observations are most like the wanted one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from games import CHANCE, Game, GameError, StatePool
from selfplay.experience.records import NO_ACTION
from selfplay.storage.shards import Record
from selfplay.web.table import HERE, Table

BEAM = 2_000
"""Largest number of positions that are followed from one move to the next."""

MAX_EDGES = 60_000
"""Largest number of moves and outcomes tried at once; yacht throws five dice in 7 776 ways."""

CHUNK = 1_024
"""Number of positions that are observed together."""

LONGEST_CHAIN = 8
"""Largest number of chance outcomes in a row."""


@dataclass(frozen=True)
class Noted:
    """What was recorded of a position."""

    player: int
    value: float
    """Expected return of the player to move."""
    policy: tuple[tuple[int, float], ...]
    """Share of the search by action, the greatest first."""
    action: int
    version: int


@dataclass(frozen=True)
class Retraced:
    """A game from its start, as far as it could be followed."""

    moves: tuple[int, ...]
    opening: int
    """Moves before the first recorded one."""
    notes: dict[int, Noted]
    """What was recorded of positions, by ply."""
    complaint: str
    """Why it could not be followed to its end; empty if it was."""


def retrace(game: Game, record: Record, opening_plies: int) -> Retraced:
    """All moves of a recorded game; the record is trusted no more than any file."""
    table = Table(game)
    notes: dict[int, Noted] = {}
    opening = 0
    for t in range(len(record["action"])):
        noted = _noted(record, t)
        way = _find_way(table.pool, record["observation"][t], noted.player, opening_plies if t == 0 else 0)
        if way is None:
            what = "the opening of this game" if t == 0 else f"what came before recorded move {t + 1}"
            return Retraced(tuple(table.history), opening, notes, f"{what} was not recorded and could not be found")
        for move in way:
            table.play(move)
        if t == 0:
            opening = table.ply
        notes[table.ply] = noted
        try:
            table.play(noted.action)
        except GameError as error:
            return Retraced(tuple(table.history), opening, notes, f"recorded move {t + 1}: {error}")
    return Retraced(tuple(table.history), opening, notes, "")


def _noted(record: Record, t: int) -> Noted:
    legal, target = record["legal_actions"][t], record["policy_target"][t]
    shares = [(int(a), float(p)) for a, p in zip(legal, target) if a != NO_ACTION]
    shares.sort(key=lambda entry: -entry[1])
    return Noted(
        player=int(record["to_play"][t]),
        value=float(record["root_value"][t].ravel()[0]),  # of whoever is to move
        policy=tuple(shares),
        action=int(record["action"][t]),
        version=int(record["version"][t]),
    )


def _find_way(source: StatePool, wanted: np.ndarray, player: int, plies: int) -> list[int] | None:
    """Outcomes, and at most `plies` moves, that lead from the position in slot 0 to the one that looks as `wanted`."""
    game = source.game
    pool = game.new_pool(1)
    pool.load(HERE, source, HERE)
    ways: list[tuple[int, ...]] = [()]
    moved = np.zeros(1, np.int64)
    for _ in range(LONGEST_CHAIN + plies + 1):
        slots = np.arange(len(ways))
        to_play = pool.to_play(slots)
        for i in np.nonzero(to_play == player)[0]:
            if np.array_equal(_observed(pool, slots[i : i + 1])[0], wanted):
                return list(ways[i])
        source_slots, actions = _edges(pool, slots, to_play, moved, plies)
        if not 0 < len(actions) <= MAX_EDGES:
            return None
        following, here = game.new_pool(len(actions)), np.arange(len(actions))
        following.load(here, pool, source_slots)
        following.step(here, actions, here)
        moved = moved[source_slots] + (to_play[source_slots] >= 0)
        ways = [(*ways[s], int(a)) for s, a in zip(source_slots, actions)]
        kept = _nearest(following, wanted)
        pool = game.new_pool(len(kept))
        pool.load(np.arange(len(kept)), following, kept)
        ways, moved = [ways[i] for i in kept], moved[kept]
    return None


def _edges(
    pool: StatePool, slots: np.ndarray, to_play: np.ndarray, moved: np.ndarray, plies: int
) -> tuple[np.ndarray, np.ndarray]:
    """What may follow: the slots and, for each, a move or an outcome."""
    sources, actions = [], []
    for slot in slots:
        place = slots[slot : slot + 1]
        if to_play[slot] == CHANCE:
            following = pool.chance(place)[1]
        elif to_play[slot] >= 0 and moved[slot] < plies:
            following = pool.legal(place)[1]
        else:
            continue
        sources.append(np.full(len(following), slot))
        actions.append(following.copy())
    if not actions:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate(sources), np.concatenate(actions)


def _nearest(pool: StatePool, wanted: np.ndarray) -> np.ndarray:
    """One of each of the positions that look different, those that are most like `wanted` first, at most `BEAM`."""
    slots = np.arange(pool.capacity)
    to_play = pool.to_play(slots)
    seen: dict[bytes, int] = {}
    distances = np.empty(len(slots), np.int64)
    own = wanted.shape[0] - pool.game.num_players  # seat planes differ with every move
    for start in range(0, len(slots), CHUNK):
        part = slots[start : start + CHUNK]
        observations = _observed(pool, part)
        differs = (observations[:, :own] != wanted[:own]).reshape(len(part), -1)
        distances[part] = np.count_nonzero(differs, axis=1)
        for slot, observation in zip(part, observations):
            seen.setdefault(to_play[slot].tobytes() + observation.tobytes(), int(slot))
    kept = np.array(list(seen.values()), np.int64)
    return kept[np.argsort(distances[kept], kind="stable")][:BEAM]


def _observed(pool: StatePool, slots: np.ndarray) -> np.ndarray:
    out = np.empty((len(slots), *pool.game.observation_shape), np.float32)
    pool.observe(slots, out)
    return out
