"""DQN's replay on disk: it comes back as it was, fits other settings, and a damaged one is set aside."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counting_environment import CountingEnvironment
from test_transition_replay import GAMMA, all_transitions, newest_only, play

from selfplay.errors import UserError
from selfplay.replay import saved, transitions
from selfplay.replay.transitions import TransitionReplay
from selfplay.storage import failpoints
from selfplay.storage.files import digest, seal, unseal


def replay_of(
    capacity: int, streams: int = 3, n_step: int = 3, stack: int = 4, exponent: float = 0.5, legal: bool = False
) -> TransitionReplay:
    return TransitionReplay(CountingEnvironment(stack, legal), capacity, streams, n_step, GAMMA, 0.0, exponent)


def played(replay: TransitionReplay, steps: int = 63, seed: int = 1) -> TransitionReplay:
    """With steps of all its environments, and an error for some of them."""
    for rollout in play(replay.environment, replay.num_streams, 9, steps // 9, seed):
        replay.add(newest_only(rollout))
    rng = np.random.default_rng(seed)
    for _ in range(5):
        replay.learned(replay.sample(8, rng), rng.random(8), 0.0)
    return replay


def written(folder: Path, replay: TransitionReplay, step: int = 7) -> Path:
    saved.save(folder, step, replay)
    (path,) = folder.glob("[0-9]*")
    return path


def read(folder: Path, into: TransitionReplay) -> TransitionReplay:
    assert saved.load_latest(folder, into, pytest.fail) == 7
    return into


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece holds some rows, so that there are many."""
    monkeypatch.setattr(transitions, "PIECE_BYTES", 300)


@pytest.mark.parametrize("legal", [False, True])
@pytest.mark.parametrize("capacity", [90, 10_000])
def test_a_replay_was_empty_after_a_stop(tmp_path: Path, capacity: int, legal: bool) -> None:
    replay = played(replay_of(capacity, legal=legal))
    path = written(tmp_path / "replay", replay)
    assert len(list(path.glob("*.npz"))) > 5
    again = read(tmp_path / "replay", replay_of(capacity, legal=legal))
    assert (again.total, len(again)) == (replay.total, len(replay))
    assert again._priorities.largest == replay._priorities.largest
    order = np.concatenate([row_numbers(replay, stream) for stream in range(3)])
    there = np.concatenate([row_numbers(again, stream) for stream in range(3)])
    for name, column in replay._columns().items():
        np.testing.assert_array_equal(again._columns()[name][there], column[order], err_msg=name)
    before, after = replay._priorities.of(order), again._priorities.of(there)
    np.testing.assert_array_equal(after[before > 0], before[before > 0])
    assert (after[before == 0] > 0).sum() <= 3 * replay.n_step, "only what waited for the next rows"


def row_numbers(replay: TransitionReplay, stream: int) -> np.ndarray:
    """The rows of a stream, the oldest first."""
    written = replay._written[stream]
    return replay._row(np.array([stream]), np.arange(max(0, written - replay._length), written))


@pytest.mark.parametrize("exponent", [0.0, 0.5])
@pytest.mark.parametrize("stack", [1, 4])
@pytest.mark.parametrize(
    ("capacity", "streams", "n_step"),
    [(10_000, 3, 3), (90, 3, 3), (10_000, 3, 1), (90, 3, 6), (60, 3, 3), (10_000, 1, 3), (80, 7, 2), (70, 2, 5)],
)
def test_a_replay_of_other_settings_hands_out_nothing_torn(
    tmp_path: Path, capacity: int, streams: int, n_step: int, stack: int, exponent: float
) -> None:
    """Saved with three streams and returns over three steps; an episode under way at the stop is not joined to the
    next, whatever is played after it."""
    environment = CountingEnvironment(stack)
    before = play(environment, 3, 7, 9, seed=1)
    for saved_capacity in (10_000, 90):
        replay = replay_of(saved_capacity, stack=stack)
        for rollout in before:
            replay.add(newest_only(rollout))
        folder = tmp_path / str(saved_capacity)
        written(folder, replay)
        again = read(folder, replay_of(capacity, streams, n_step, stack, exponent))
        expected = all_transitions(before, n_step)
        check_draws(again, expected)
        after = play(environment, streams, 5, 12, seed=2)
        assert after[0].begins
        for rollout in after:  # numbers that were not seen before
            new = newest_only(rollout)
            new.observation[...] += 1000.0
            new.final_observation[...] += 1000.0
            again.add(new)
        drawn = check_draws(again, expected)
        assert drawn["new"] > 0


def check_draws(replay: TransitionReplay, expected: dict[tuple[float, ...], tuple]) -> dict[str, int]:
    """What is drawn of the old rows is what was played, and has nothing of the new ones."""
    rng, counts = np.random.default_rng(0), {"old": 0, "new": 0}
    for _ in range(40):
        batch = replay.sample(16, rng)
        for i in range(16):
            key = tuple(batch.observation[i, -3:].tolist())
            if key[0] >= 1000:
                counts["new"] += 1
                assert (batch.observation[i][batch.observation[i] != 0] >= 1000).all()
                assert (batch.next_observation[i][batch.next_observation[i] != 0] >= 1000).all()
                continue
            counts["old"] += 1
            observation, action, reward, factor, following = expected[key]
            np.testing.assert_array_equal(batch.observation[i], observation)
            assert (batch.action[i], batch.reward[i]) == (action, pytest.approx(reward, rel=1e-5))
            assert batch.factor[i] == pytest.approx(factor)
            np.testing.assert_array_equal(batch.next_observation[i], following)
    return counts


def test_the_newest_rows_are_kept_where_there_is_less_room(tmp_path: Path) -> None:
    replay = played(replay_of(10_000, streams=2))
    written(tmp_path / "replay", replay)
    again = read(tmp_path / "replay", replay_of(40, streams=2))
    assert len(again) == 40 and again.total == replay.total
    for stream in range(2):
        np.testing.assert_array_equal(
            again._frames[row_numbers(again, stream)], replay._frames[row_numbers(replay, stream)[-20:]]
        )


@pytest.mark.parametrize(("old", "new"), [(0.5, 1.0), (0.5, 0.0), (0.0, 0.5)])
def test_another_priority_exponent_was_for_new_errors_only(tmp_path: Path, old: float, new: float) -> None:
    replay = played(replay_of(10_000, exponent=old))
    written(tmp_path / "replay", replay)
    again = read(tmp_path / "replay", replay_of(10_000, exponent=new))
    rows = np.flatnonzero(replay._priorities.of(np.arange(len(replay._actions))) > 0)
    wanted = replay._priorities.of(rows) ** (new / old) if old and new else np.ones(len(rows))
    np.testing.assert_allclose(again._priorities.of(rows), wanted)


def test_a_second_replay_takes_the_place_of_the_first(tmp_path: Path) -> None:
    replay = played(replay_of(90))
    first = written(tmp_path, replay)
    played(replay, seed=2)
    second = written(tmp_path, replay)
    assert first != second and not first.exists()


def damage_piece(path: Path) -> None:
    piece = sorted(path.glob("*.npz"))[3]
    data = bytearray(piece.read_bytes())
    data[len(data) // 2] ^= 1
    piece.write_bytes(data)


def cut_manifest(path: Path) -> None:
    manifest = path / saved.MANIFEST
    manifest.write_bytes(manifest.read_bytes()[:-20])


@pytest.mark.parametrize(
    "spoil",
    [damage_piece, cut_manifest, lambda path: sorted(path.glob("*.npz"))[0].unlink()],
    ids=["flipped", "cut", "missing"],
)
def test_a_damaged_replay_is_set_aside_and_filled_again(tmp_path: Path, spoil) -> None:
    folder, warnings = tmp_path / "replay", []
    path = written(folder, played(replay_of(90)))
    assert saved.damage(path) is None
    spoil(path)
    assert saved.damage(path) is not None
    again = replay_of(90)
    assert saved.load_latest(folder, again, warnings.append) is None
    assert len(warnings) == 1 and warnings[0].startswith(f"damaged replay: {path}: ")
    assert not path.exists() and (folder / "quarantine" / path.name).is_dir()
    assert again.total == len(again) == again._priorities.total == 0
    played(again)


def test_a_replay_of_another_environment_does_not_fit(tmp_path: Path) -> None:
    written(tmp_path / "replay", played(replay_of(90)))
    warnings: list[str] = []
    other = replay_of(90, legal=True)
    assert saved.load_latest(tmp_path / "replay", other, warnings.append) is None
    assert len(warnings) == 1 and "it has the columns " in warnings[0]
    assert len(other) == other._priorities.total == 0


def test_a_replay_of_another_format_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, played(replay_of(90)))
    monkeypatch.setattr(saved, "FORMAT_VERSION", 2)
    with pytest.raises(UserError, match=f"{path} has format 1, this program reads 2"):
        saved.load_latest(tmp_path, replay_of(90), pytest.fail)
    assert path.is_dir()


@pytest.mark.parametrize("place", ["mid_write:raise:4", "before_manifest:raise", "before_rename:raise"])
def test_a_replay_that_cannot_be_written_leaves_the_one_before(tmp_path: Path, place: str) -> None:
    path = written(tmp_path, played(replay_of(90)))
    failpoints.arm(f"replay.{place}")
    with pytest.raises(failpoints.FailpointReached):
        saved.save(tmp_path, 8, played(replay_of(90)))
    failpoints.arm("")
    assert list(tmp_path.iterdir()) == [path]
    assert saved.damage(path) is None


def test_a_kill_between_two_replays_leaves_the_newer_one(tmp_path: Path) -> None:
    replay = played(replay_of(90))
    first = written(tmp_path, replay)
    failpoints.arm("replay.before_remove:raise")
    with pytest.raises(failpoints.FailpointReached):
        saved.save(tmp_path, 8, played(replay, seed=2))
    failpoints.arm("")
    assert first.is_dir() and len(saved.numbers(tmp_path)) == 2
    again = replay_of(90)
    assert saved.load_latest(tmp_path, again, pytest.fail) == 8
    assert again.total == replay.total
    saved.save(tmp_path, 9, again)
    assert len(saved.numbers(tmp_path)) == 1


def test_a_replay_with_a_pickle_is_set_aside_unread(tmp_path: Path) -> None:
    path = written(tmp_path, played(replay_of(90)))
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        saved._pack({"frames": np.array([object()])})
    buffer = io.BytesIO()
    np.savez(buffer, priorities=np.array([print], object))
    manifest = unseal((path / saved.MANIFEST).read_bytes())
    assert manifest is not None
    (path / "00000.npz").write_bytes(buffer.getvalue())
    manifest["files"]["00000.npz"] = {"sha256": digest(buffer.getvalue()), "bytes": len(buffer.getvalue())}
    (path / saved.MANIFEST).write_bytes(seal(manifest))
    warnings: list[str] = []
    assert saved.load_latest(tmp_path, replay_of(90), warnings.append) is None
    assert len(warnings) == 1 and "00000.npz cannot be read" in warnings[0]


def rewritten(path: Path, change: Callable[[dict[str, np.ndarray], dict[str, Any]], object]) -> None:
    """Change a piece and what is known of the whole as a program would that wrote them so: all hashes are right."""
    manifest = unseal((path / saved.MANIFEST).read_bytes())
    assert manifest is not None
    piece = path / "00003.npz"
    arrays = saved._load(piece, piece.read_bytes())
    change(arrays, manifest["facts"])
    piece.write_bytes(data := saved._pack(arrays))
    manifest["files"][piece.name] = {"sha256": digest(data), "bytes": len(data)}
    (path / saved.MANIFEST).write_bytes(seal(manifest))


def put(name: str, value: float) -> Callable[[dict[str, np.ndarray], dict[str, Any]], None]:
    def change(arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        arrays[name].reshape(-1)[0] = value

    return change


def say(name: str, value: Any) -> Callable[[dict[str, np.ndarray], dict[str, Any]], None]:
    return lambda arrays, facts: facts.update({name: value})


WRONG: dict[str, tuple[Callable[[dict[str, np.ndarray], dict[str, Any]], object], str]] = {
    "an action beyond all": (put("actions", 10**6), "its actions have 1000000 in row "),
    "an action below 0": (put("actions", -1), "its actions have -1 in row "),
    "a reward that is NaN": (put("rewards", np.nan), "its rewards are not finite in row "),
    "a frame that is infinite": (put("frames", np.inf), "its frames are not finite in row "),
    "a discount that is infinite": (put("discounts", -np.inf), "its discounts are not finite in row "),
    "a priority that is NaN": (put("priorities", np.nan), "its priorities are not finite in row "),
    "a priority below 0": (put("priorities", -1.0), "its priorities are below 0 in row "),
    "priorities of another type": (
        lambda arrays, facts: arrays.update(priorities=arrays["priorities"].astype("U8")),
        "its priorities are <U8",
    ),
    "steps that are NaN": (say("steps", float("nan")), "its steps is nan"),
    "steps below 0": (say("steps", -3), "its steps is -3"),
    "an exponent that is text": (say("priority_exponent", "0.5"), "its priority_exponent is '0.5'"),
    "a largest priority of 0": (say("largest_priority", 0.0), "its largest_priority is 0"),
    "no streams": (say("streams", []), "its streams have [] rows"),
    "rows below 0": (say("streams", [90, -10, 4]), "its streams have [90, -10, 4] rows"),
    "fewer rows than there are": (say("streams", [1, 1, 1]), "it has more than 3 rows"),
    "more rows than there are": (say("streams", [900, 1, 1]), "rows, not 902"),
    "rows beyond all numbers": (say("streams", [10**30]), "too large"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_replay_with_wrong_numbers_was_called_sound_and_taken_in(tmp_path: Path, name: str) -> None:
    change, fault = WRONG[name]
    folder, warnings = tmp_path / "replay", []
    path = written(folder, played(replay_of(90)))
    assert saved.damage(path, replay_of(90)) is None
    rewritten(path, change)
    assert fault in str(saved.damage(path, replay_of(90)))
    again = replay_of(90)
    assert saved.load_latest(folder, again, warnings.append) is None
    (line,) = warnings
    assert line.startswith(f"damaged replay: {path}: ") and fault in line and "\n" not in line
    assert again.total == len(again) == again._priorities.total == 0
    played(again)
