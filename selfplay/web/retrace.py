"""From a record of self-play back to all moves of its game.

A record has them all, unless it is one of those with targets (`experience.records.TargetRecord`). These lack the
outcomes of chance and the random moves of an opening, which are found again by looking for a way from one position to
the next that is recorded: exhaustively where there are few ways, else by the ways whose observations are most like the
wanted one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from games import CHANCE, Game, GameError, StatePool
from selfplay.experience.records import NO_ACTION, GameRecord, TargetRecord
from selfplay.experience.targets import seen_by_movers
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


def retrace(game: Game, record: GameRecord | TargetRecord, opening_plies: int) -> Retraced:
    """All moves of a recorded game; the record is trusted no more than any file.

    `opening_plies` is the most random moves that a game of a `TargetRecord` may have begun with.
    """
    return _read(game, record) if isinstance(record, GameRecord) else _find(game, record, opening_plies)


def _read(game: Game, record: GameRecord) -> Retraced:
    """The game as the record has it, up to the first move that is not legal or a position that looks otherwise."""
    table = Table(game)
    notes: dict[int, Noted] = {}
    values = seen_by_movers(record, record.root_value)[:, 0]
    opening, *turns = record.history()

    def ended(complaint: str) -> Retraced:
        return Retraced(tuple(table.history), min(len(opening), table.ply), notes, complaint)

    for t, turn in enumerate([opening, *turns]):
        if t > 0:
            if not _is_here(table, record, t - 1):
                return ended(f"the position before recorded move {t} is not the one that was recorded")
            notes[table.ply] = _noted(record, t - 1, float(values[t - 1]))
        try:
            for move in turn:
                table.play(move)
        except GameError as error:
            return ended(f"{f'recorded move {t}' if t > 0 else 'the opening'}: {error}")
    return ended("")


def _is_here(table: Table, record: GameRecord, t: int) -> bool:
    """Whether the position on the table is that before recorded move `t`, counted from 0."""
    is_players = table.to_play == record.to_play[t]
    return bool(is_players and np.array_equal(_observed(table.pool, HERE)[0], record.observation[t]))


def _find(game: Game, record: TargetRecord, opening_plies: int) -> Retraced:
    """The game with what the record lacks, as far as that can be found."""
    table = Table(game)
    notes: dict[int, Noted] = {}
    opening = 0
    for t in range(len(record)):
        noted = _noted(record, t, float(record.root_value[t].ravel()[0]))
        way = _find_way(table.pool, record.observation[t], noted.player, opening_plies if t == 0 else 0)
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


def _noted(record: GameRecord | TargetRecord, t: int, value: float) -> Noted:
    """What was recorded of move `t`, with the `value` of its position for the player who made it."""
    legal, target = record.legal_actions[t], record.policy_target[t]
    shares = [(int(a), float(p)) for a, p in zip(legal, target) if a != NO_ACTION]
    shares.sort(key=lambda entry: -entry[1])
    return Noted(
        player=int(record.to_play[t]),
        value=value,
        policy=tuple(shares),
        action=int(record.action[t]),
        version=int(record.version[t]),
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
