"""The table of animal shogi: its moves are the game's, its values follow from each other, its labels are right."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from games_helpers import slots

import games
from games.native.pieces import WIN
from selfplay.evaluation.labelled import set_up

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks"
POSITIONS = SCRIPTS / "data" / "animal_shogi_positions.jsonl"
GAME = games.load("animal_shogi")
HERE, THERE = slots(0), slots(1)


@pytest.fixture
def table(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("animal_shogi_table")


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("animal_shogi_positions")


def key_of(table, pool: games.StatePool, slot: int) -> int:
    return table.packed(pool._rows.position[slot])


def after(table, key: int) -> dict[int, int | None]:
    """What follows a position by the game: keys, with the result for who moved where that ends it, else None."""
    pool = GAME.new_pool(2)
    cells = [key >> 4 * cell & 15 for cell in range(12)]
    hands = [key >> 48 + 2 * kind & 3 for kind in range(6)]
    pool.place(0, [piece if piece < 8 else 8 - piece for piece in cells], hands)
    found = {}
    for action in pool.legal(HERE)[1].tolist():
        to_play, rewards = pool.step(HERE, slots(action), THERE)
        found[key_of(table, pool, 1)] = int(rewards[0, 0]) if to_play[0] == games.TERMINAL else None
    return found


def children(table, key: int) -> dict[int, int]:
    keys, kinds = np.empty(table.MOST, np.int64), np.empty(table.MOST, np.uint8)
    count = table.children(key, keys, kinds)
    return dict(zip(keys[:count].tolist(), kinds[:count].tolist()))


def parents(table, key: int) -> set[int]:
    keys = np.empty(table.MOST, np.int64)
    return set(keys[: table.parents(key, keys)].tolist())


def random_keys(table, count: int, seed: int) -> list[int]:
    """Positions of random games that are played on from."""
    pool, rng, keys = GAME.new_pool(1), np.random.default_rng(seed), []
    pool.reset(HERE)
    while len(keys) < count:
        if pool.to_play(HERE)[0] == games.TERMINAL:
            pool.reset(HERE)
        key = key_of(table, pool, 0)
        if table.kind_of(key) == table.NEW:
            keys.append(key)
        pool.step(HERE, slots(rng.choice(pool.legal(HERE)[1])), HERE)
    return keys


def test_moves_and_ends_are_those_of_the_game(table) -> None:
    """A lion that came home safely has won; where one can be captured, the next move is a capture that wins."""
    kinds = set()
    for key in random_keys(table, 300, 1):
        found, ends = children(table, key), after(table, key)
        assert found.keys() == ends.keys()
        for child, kind in found.items():
            kinds.add(kind)
            assert (ends[child] == WIN) == (kind == table.HOME) and ends[child] in (WIN, None)
            assert kind == table.kind_of(child)
            if kind != table.HOME:
                assert (WIN in after(table, child).values()) >= (kind == table.CAPTURE)
    assert kinds == {table.NEW, table.CAPTURE, table.HOME}


def test_moves_back_are_the_moves_forward(table) -> None:
    for key in random_keys(table, 60, 2):
        for child in children(table, key):
            assert key in parents(table, child)
        for parent in parents(table, key):
            assert key in children(table, parent)


def small(table, *pieces: int) -> int:
    """The key of a position with two lions and few other pieces in the hand of the player to move."""
    cells = np.zeros(18, np.int8)
    cells[[10, 1]] = table.LION, -table.LION
    for piece in pieces:
        cells[11 + piece] += 1
    return table.packed(cells)


@pytest.mark.parametrize("pieces", [(1,), (2, 3), (1, 3), (1, 1)])
def test_values_follow_from_those_of_the_next_positions(table, pieces: tuple[int, ...]) -> None:
    """Where that is so everywhere, numbers of moves included, the values are right."""
    solver = table.Table(small(table, *pieces), buckets=18)
    *_, count = solver.find()
    *_, (solved, _) = solver.solve()
    used = np.flatnonzero(solver.keys)
    assert len(used) == count > solved > 100
    values = dict(zip(solver.keys[used].tolist(), solver.values[used].tolist()))
    rng = np.random.default_rng(0)
    for key in rng.choice(list(values), min(len(values), 700), replace=False).tolist():
        ends = after(table, key)
        distances = [_distance(table, values, child, result) for child, result in ends.items()]
        lost = [distance for distance in distances if distance % 2 == 0]
        if lost:
            assert values[key] == 1 + min(lost)
        elif np.inf in distances:
            assert values[key] >= table.UNSOLVED
        else:
            assert values[key] == 1 + max(distances)


def _distance(table, values: dict[int, int], child: int, result: int | None) -> float:
    """The number of moves to the end from a position, infinite where there is none."""
    if result is not None:
        assert result == WIN
        return 0
    if table.kind_of(child) == table.CAPTURE:
        return 1
    return values[child] if values[child] < table.UNSOLVED else np.inf


def test_all_positions_of_two_lions_and_a_chick_are_counted(table) -> None:
    solver = table.Table(small(table, 1), buckets=14)
    *_, count = solver.find(with_ends=True)
    found, waiting = set(), [small(table, 1)]
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            if table.kind_of(key) == table.NEW:
                waiting += after(table, key)
    assert count == len(found) == np.count_nonzero(solver.keys)


def test_the_files_hold_what_was_solved(table, tmp_path, capsys) -> None:
    table.run(tmp_path / "new", small(table, 1), with_ends=True, buckets=14)
    keys, values = np.load(tmp_path / "new" / "keys.npy"), np.load(tmp_path / "new" / "values.npy")
    assert (np.diff(keys) > 0).all() and all(table.kind_of(key) == table.NEW for key in keys.tolist())
    first = values[np.searchsorted(keys, small(table, 1))]
    printed = capsys.readouterr().out
    assert f"s: {len(keys):,} positions to be solved, " in printed
    assert f"the first position ends in {first} moves" in printed
    won = np.count_nonzero((values < table.UNSOLVED) & (values % 2 == 1))
    assert f"s: {won:,} won, " in printed


def test_a_table_that_is_too_small_is_refused(table) -> None:
    solver = table.Table(table.start_key(), buckets=8)
    with pytest.raises(MemoryError, match="too small"):
        list(solver.find())


def test_labels_are_drawn_by_class(script) -> None:
    distances = [3, 3, 3, 5, 7, 9, 230, 99, 17, 201, 15]
    made = [script.Label(i, [], {0: 1}, distance) for i, distance in enumerate(distances)]
    kept = script.chosen(iter(made), 10)
    assert [label.distance for label in kept] == [3, 3, 5, 7, 9, 230, 99, 17, 201, 15]
    assert script.Label(0, [], {0: 1, 1: 0}, 3).is_wanted()
    assert not script.Label(0, [], {0: 1, 1: 1, 2: 0}, 3).is_wanted()
    assert not script.Label(0, [], {0: 1, 1: 0}, 1).is_wanted()


def proven(pool: games.StatePool, slot: int, depth: int) -> int:
    """1 or -1 where the player to move in a slot wins or loses within `depth` moves, by trying everything; else 0."""
    values = list(proven_moves(pool, slot, depth).values())
    return 1 if 1 in values else -1 if set(values) == {-1} else 0


def proven_moves(pool: games.StatePool, slot: int, depth: int) -> dict[int, int]:
    """The same after each move, which counts."""
    values, mover = {}, int(pool.to_play(slots(slot))[0])
    for action in pool.legal(slots(slot))[1].tolist() if depth else ():
        to_play, rewards = pool.step(slots(slot), slots(action), slots(slot + 1))
        over = to_play[0] == games.TERMINAL
        values[action] = int(rewards[0, mover]) if over else -proven(pool, slot + 1, depth - 1)
    return values


def test_the_shipped_labels_are_those_of_a_plain_search() -> None:
    """All are hard and differ; none of a part of them contradicts what three moves prove."""
    pool, won, known = GAME.new_pool(4), 0, set()
    for number, line in enumerate(POSITIONS.read_text().splitlines()):
        label = json.loads(line)
        set_up(pool, 0, label["moves"])
        values = {int(action): value for action, value in label["values"].items()}
        best = max(values.values())
        assert label["game"] == "animal_shogi" and best in (0, 1)
        assert 2 * list(values.values()).count(best) <= len(values)
        known.add(pool.text(0))
        if number % 5 == 0:
            found = proven_moves(pool, 0, 3)
            assert found.keys() == values.keys()
            assert all(value in (0, values[action]) for action, value in found.items())
            won += 1 in found.values()
    assert won > 20 and len(known) == 700
