"""`selfplay.storage.shards`: no finished game is lost, no damaged one is read."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from crashing import killed_at
from hypothesis import given
from hypothesis import strategies as st

from selfplay.errors import UserError
from selfplay.storage import shards
from selfplay.storage.files import sweep_temporaries
from selfplay.storage.shards import drop_after, inspect, read_shards, recover, totals, trim, write_shard

Record = dict[str, np.ndarray]


def game(seed: int, length: int) -> Record:
    """A record of `length` plies with every kind of field."""
    rng = np.random.default_rng(seed)
    return {
        "observation": rng.integers(0, 256, (length, 2, 3, 3)).astype(np.uint8),
        "policy_target": rng.random((length, 9), dtype=np.float32),
        "returns": rng.choice([-1.0, 0.0, 1.0], 2),
        "version": np.array(seed, dtype=np.int64),
        "file": np.array([length % 2 == 0]),
    }


def games(seed: int, lengths: list[int]) -> list[Record]:
    return [game(seed * 100 + i, length) for i, length in enumerate(lengths)]


def write(folder: Path, shard_id: int, lengths: list[int]) -> list[Record]:
    records = games(shard_id, lengths)
    write_shard(folder, shard_id, records, sum(lengths))
    return records


def read(folder: Path, newest: int | None = None) -> tuple[dict[int, list[Record]], list[str]]:
    warnings: list[str] = []
    return dict(read_shards(folder, newest, warnings.append)), warnings


def assert_same(actual: list[Record], expected: list[Record]) -> None:
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert one.keys() == other.keys()
        for field in one:
            assert one[field].dtype == other[field].dtype
            np.testing.assert_array_equal(one[field], other[field], strict=True)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_records_come_back_bit_for_bit(lengths: list[int]) -> None:
    records = games(1, lengths)
    restored, positions = shards._unpack(shards._pack(4, records, 17), 4)
    assert_same(restored, records)
    assert positions == 17


def test_equal_games_make_equal_files(tmp_path: Path) -> None:
    write(tmp_path / "a", 0, [3, 4])
    write(tmp_path / "b", 0, [3, 4])
    for name in os.listdir(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_empty_or_missing_folder_has_no_games(tmp_path: Path) -> None:
    assert totals(tmp_path / "games") == (0, 0, 0)
    assert read(tmp_path / "games") == ({}, [])
    assert recover(tmp_path / "games", pytest.fail) == 0
    assert drop_after(tmp_path / "games", -1) == 0


def test_only_the_newest_shards_that_fill_the_window_are_read_oldest_first(tmp_path: Path) -> None:
    written = {shard_id: write(tmp_path, shard_id, [4, 6]) for shard_id in range(5)}
    assert totals(tmp_path) == (10, 50, 5)
    for newest, expected in [(None, [0, 1, 2, 3, 4]), (50, [0, 1, 2, 3, 4]), (21, [2, 3, 4]), (20, [3, 4]), (0, [])]:
        restored, warnings = read(tmp_path, newest)
        assert list(restored) == expected and not warnings
        for shard_id, records in restored.items():
            assert_same(records, written[shard_id])


def test_the_order_is_by_id_not_by_mtime(tmp_path: Path) -> None:
    for shard_id in range(3):
        write(tmp_path, shard_id, [5])
        os.utime(tmp_path / f"{shard_id:08d}.npz", (1e9 - shard_id, 1e9 - shard_id))
    assert list(read(tmp_path, 10)[0]) == [1, 2]


@pytest.mark.parametrize(
    "change",
    [
        lambda record: {"observation": record["observation"]},
        lambda record: record | {"policy_target": record["policy_target"].astype(np.float64)},
        lambda record: record | {"policy_target": record["policy_target"][:, :8]},
        lambda record: record | {"returns": np.array(1.0)},
        lambda record: record | {"extra": np.array(1.0)},
    ],
)
def test_records_that_differ_in_kind_are_refused(tmp_path: Path, change) -> None:
    with pytest.raises(ValueError, match="differ"):
        write_shard(tmp_path, 0, [game(0, 3), change(game(1, 3))], 6)
    assert os.listdir(tmp_path) == []


def test_objects_empty_shards_and_used_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="objects"):
        write_shard(tmp_path, 0, [{"field": np.array([print], dtype=object)}], 1)
    with pytest.raises(ValueError, match="at least one"):
        write_shard(tmp_path, 0, [], 0)
    write(tmp_path, 0, [3])
    with pytest.raises(ValueError, match="exists already"):
        write(tmp_path, 0, [3])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


DAMAGE = {
    "flipped bit": flip,
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "foreign": lambda path: path.write_bytes(pickle.dumps({"a": 1})),
    "another shard": lambda path: path.write_bytes((path.parent / "00000000.npz").read_bytes()),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_bad_shard_is_quarantined_once_and_an_older_one_fills_the_window(tmp_path: Path, damage) -> None:
    for shard_id in range(4):
        write(tmp_path, shard_id, [5, 5])
    damage(tmp_path / "00000002.npz")
    restored, warnings = read(tmp_path, 20)
    assert list(restored) == [1, 3]
    assert len(warnings) == 1 and "00000002.npz does not match its sha256; moved to" in warnings[0]
    assert (tmp_path / "quarantine" / "00000002.npz").exists()
    assert read(tmp_path, 20)[1] == []
    assert totals(tmp_path) == (6, 30, 4)


def test_a_missing_shard_is_reported_once(tmp_path: Path) -> None:
    for shard_id in range(2):
        write(tmp_path, shard_id, [5])
    (tmp_path / "00000001.npz").unlink()
    restored, warnings = read(tmp_path)
    assert list(restored) == [0]
    assert len(warnings) == 1 and "00000001.npz is missing" in warnings[0]
    assert read(tmp_path)[1] == []


def test_the_id_of_a_quarantined_shard_is_not_used_again(tmp_path: Path) -> None:
    write(tmp_path, 0, [5])
    flip(tmp_path / "00000000.npz")
    read(tmp_path)
    assert totals(tmp_path) == (0, 0, 1)


@pytest.mark.parametrize("gap", ["after_open", "mid_write", "before_fsync", "before_rename"])
def test_a_kill_before_a_shard_is_published_leaves_the_earlier_ones(tmp_path: Path, gap: str) -> None:
    write(tmp_path, 0, [5])
    killed_at(f"shard.{gap}", lambda: write(tmp_path, 1, [5]))
    assert sweep_temporaries(tmp_path) == 1
    assert recover(tmp_path, pytest.fail) == 0
    assert totals(tmp_path) == (1, 5, 1)


def test_a_shard_that_was_published_without_its_line_is_adopted(tmp_path: Path) -> None:
    write(tmp_path, 0, [5])
    killed_at("shard.before_manifest", lambda: write(tmp_path, 1, [3, 4]))
    assert totals(tmp_path) == (1, 5, 2)  # the id is taken, so nothing can overwrite the games
    assert recover(tmp_path, pytest.fail) == 1
    assert totals(tmp_path) == (3, 12, 2)
    assert_same(read(tmp_path)[0][1], games(1, [3, 4]))
    assert recover(tmp_path, pytest.fail) == 0


@pytest.mark.parametrize("cut", [1, 30, 10_000])
def test_a_torn_manifest_loses_no_game(tmp_path: Path, cut: int) -> None:
    for shard_id in range(3):
        write(tmp_path, shard_id, [5])
    before = totals(tmp_path)
    manifest = tmp_path / shards.MANIFEST
    os.truncate(manifest, max(0, manifest.stat().st_size - cut))
    recover(tmp_path, pytest.fail)
    assert totals(tmp_path) == before
    write(tmp_path, 3, [5])
    assert list(read(tmp_path)[0]) == [0, 1, 2, 3]


def test_a_flipped_bit_in_the_manifest_loses_no_game(tmp_path: Path) -> None:
    for shard_id in range(3):
        write(tmp_path, shard_id, [5])
    flip(tmp_path / shards.MANIFEST)
    assert recover(tmp_path, pytest.fail) == 1
    assert totals(tmp_path) == (3, 15, 3)
    assert read(tmp_path)[1] == []


@pytest.mark.parametrize("damage", [*DAMAGE.values(), lambda path: np.savez(path, meta=np.zeros(3))])
def test_a_damaged_shard_without_a_line_is_not_adopted(tmp_path: Path, damage) -> None:
    write(tmp_path, 0, [5])
    killed_at("shard.before_manifest", lambda: write(tmp_path, 1, [3, 4]))
    damage(tmp_path / "00000001.npz")
    warnings: list[str] = []
    assert recover(tmp_path, warnings.append) == 0
    assert len(warnings) == 1 and "00000001.npz" in warnings[0]
    assert totals(tmp_path) == (1, 5, 2)
    assert not (tmp_path / "00000001.npz").exists()


def test_a_small_file_that_unpacks_to_a_huge_one_is_refused_before_unpacking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shard(tmp_path, 0, [{"observation": np.zeros((1000, 1000), dtype=np.uint8)}], 1000)
    (tmp_path / shards.MANIFEST).unlink()
    monkeypatch.setattr(shards, "MAX_SHARD_BYTES", 999_999)
    warnings: list[str] = []
    assert recover(tmp_path, warnings.append) == 0
    assert len(warnings) == 1 and "unpacks to 1,000," in warnings[0]


@pytest.mark.parametrize("games", [0, -1, 1 << 40])
def test_a_shard_that_says_it_holds_more_games_than_it_can_is_refused_at_once(tmp_path: Path, games: int) -> None:
    meta = np.array([shards.FORMAT_VERSION, 0, games, 5])
    np.savez(tmp_path / "00000000.npz", meta=meta, **{"scalar/version": np.zeros(2, np.int64)})
    warnings: list[str] = []
    assert recover(tmp_path, warnings.append) == 0
    assert len(warnings) == 1 and f"says that it holds {games:,} games" in warnings[0]


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    np.savez(tmp_path / "00000000.npz", meta=np.array([Evil()], dtype=object))
    assert recover(tmp_path, lambda line: None) == 0
    assert not (tmp_path / "ran").exists()


def test_a_shard_of_another_format_is_refused_not_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "FORMAT_VERSION", 3)
    write(tmp_path, 0, [5])
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"format 3, this program reads 1 and 2"):
        read(tmp_path)
    assert (tmp_path / "00000000.npz").exists()


def test_drop_after_forgets_later_games_and_frees_their_ids(tmp_path: Path) -> None:
    for shard_id in range(5):
        write(tmp_path, shard_id, [5])
    flip(tmp_path / "00000003.npz")
    read(tmp_path)
    killed_at("shard.before_manifest", lambda: write(tmp_path, 5, [5]))
    assert drop_after(tmp_path, 1) == 3
    assert totals(tmp_path) == (2, 10, 2)
    assert recover(tmp_path, pytest.fail) == 0
    write(tmp_path, 2, [7])
    assert {shard_id: len(records) for shard_id, records in read(tmp_path)[0].items()} == {0: 1, 1: 1, 2: 1}
    assert drop_after(tmp_path, 2) == 0


def test_a_kill_while_dropping_is_finished_by_the_next_try(tmp_path: Path) -> None:
    for shard_id in range(3):
        write(tmp_path, shard_id, [5])
    killed_at("publish.before_rename", lambda: drop_after(tmp_path, 0))
    drop_after(tmp_path, 0)
    assert totals(tmp_path) == (1, 5, 1)
    assert read(tmp_path)[1] == []


def size_of(folder: Path, *shard_ids: int) -> int:
    return sum((folder / f"{shard_id:08d}.npz").stat().st_size for shard_id in shard_ids)


def test_the_oldest_shards_make_room_and_their_games_still_count(tmp_path: Path) -> None:
    written = {shard_id: write(tmp_path, shard_id, [5, 5]) for shard_id in range(5)}
    before = totals(tmp_path)
    assert trim(tmp_path, size_of(tmp_path, 0, 1, 2, 3, 4)) == 0
    assert trim(tmp_path, size_of(tmp_path, 2, 3, 4)) == 2
    assert shards.shard_ids(tmp_path) == [2, 3, 4]
    assert totals(tmp_path) == before
    restored, warnings = read(tmp_path)
    assert list(restored) == [2, 3, 4] and not warnings
    assert_same(restored[3], written[3])
    assert [state.is_removed for state in inspect(tmp_path, 4)] == [True, True, False, False, False]
    assert all(state.damage is None for state in inspect(tmp_path, 4))
    assert trim(tmp_path, 0) == 2, "the newest one stays"
    assert list(read(tmp_path)[0]) == [4]


def test_a_kill_in_a_removal_is_finished_at_the_next_start(tmp_path: Path) -> None:
    for shard_id in range(3):
        write(tmp_path, shard_id, [5])
    before = totals(tmp_path)
    killed_at("shard.during_trim", lambda: trim(tmp_path, 0))
    assert shards.shard_ids(tmp_path) == [0, 1, 2]
    assert list(read(tmp_path)[0]) == [1, 2], "what its line calls removed is not read"
    assert recover(tmp_path, pytest.fail) == 0
    assert shards.shard_ids(tmp_path) == [1, 2]
    assert totals(tmp_path) == before


def test_an_exact_resume_forgets_removals_after_its_checkpoint(tmp_path: Path) -> None:
    for shard_id in range(4):
        write(tmp_path, shard_id, [5])
    trim(tmp_path, 0)
    assert drop_after(tmp_path, 1) == 1
    assert totals(tmp_path) == (2, 10, 2)
    write(tmp_path, 2, [5])
    assert list(read(tmp_path)[0]) == [2]


def test_a_shard_that_says_it_holds_less_than_nothing_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path, 0, games(1, [3, 4]), -7)
    (tmp_path / shards.MANIFEST).unlink()
    warnings: list[str] = []
    assert recover(tmp_path, warnings.append) == 0
    assert len(warnings) == 1 and "says that it holds -7 positions of 2 games" in warnings[0]


def test_a_shard_with_a_record_that_is_no_game_makes_room_for_an_older_one(tmp_path: Path) -> None:
    written = {shard_id: write(tmp_path, shard_id, [5, 5]) for shard_id in range(4)}

    def understand(record: Record) -> int:
        if int(record["version"]) == 201:  # the second game of shard 2
            raise ValueError("it is no game")
        return int(record["version"])

    (damage,) = [state.damage for state in inspect(tmp_path, 3, understand) if state.damage]
    assert damage == "game 1: it is no game"
    warnings: list[str] = []
    found = read_shards(tmp_path, 20, warnings.append, understand)
    assert found == [(i, [int(record["version"]) for record in written[i]]) for i in (1, 3)]
    assert len(warnings) == 1 and "00000002.npz game 1: it is no game; moved to" in warnings[0]
    assert read_shards(tmp_path, 20, pytest.fail, understand) == found
