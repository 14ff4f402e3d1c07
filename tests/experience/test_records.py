"""Records of finished games: what they know, how they come back from disk, and what is left out of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import old_records
import pytest
from record_helpers import facts
from search_helpers import noisy_predict

import games
from games.base import compressed
from games.native.connect_four import ConnectFour, ConnectFourPool
from search import SearchConfig
from search.perspective import num_values
from selfplay.algorithms.models import network_models
from selfplay.config.run import ActorsConfig
from selfplay.experience.records import (
    NO_ACTION,
    UNDECIDED,
    Ending,
    GameRecord,
    TargetRecord,
    compact_observations,
    from_arrays,
    pad_columns,
    widen,
)
from selfplay.experience.self_play import SelfPlay
from selfplay.experience.targets import NO_LABEL, TargetSettings, labels_seen, weights_of
from selfplay.storage import shards
from selfplay.storage.run_folder import RunFolder
from selfplay.training.run_state import save_games


def recorded(name: str, **actors) -> list[GameRecord]:
    """Games of a network that says anything."""
    game = games.load(name)
    settings = ActorsConfig(**({"games_per_actor": 8} | actors))
    search = SearchConfig(num_simulations=6, cache_megabytes=1)
    playing = SelfPlay(
        game, network_models(game, noisy_predict(game), 1), search, settings, np.random.default_rng(3), endless=False
    )
    records = []
    while not playing.done:
        records += playing.collect()
    return records


def read_back(records: list[GameRecord], path: Path) -> list[GameRecord | TargetRecord]:
    with RunFolder.create(path, "run") as folder:
        save_games(folder, records)
        return [from_arrays(row) for _, rows in shards.read_shards(folder.games, None, pytest.fail) for row in rows]


@pytest.mark.parametrize(
    ("name", "actors"),
    [
        ("connect_four", {"full_search_share": 0.5, "resign_value": 0.1, "resign_plies": 1, "opening_plies": 3}),
        ("pig(winscore=15)", {"max_plies": 12, "opening_plies": 2}),
        ("2048", {"max_plies": 9}),
        ("othello", {}),
        ("othello", {"max_plies": 9}),
        ("chinese_checkers(players=3)", {"max_plies": 7, "games_per_actor": 3}),
    ],
)
def test_a_record_comes_back_from_disk_as_it_was(tmp_path: Path, name: str, actors: dict) -> None:
    records = recorded(name, **actors)
    found = read_back(records, tmp_path / "run")
    assert len(found) == len(records)
    for record, again in zip(records, found, strict=True):
        assert isinstance(again, GameRecord) and again.games == 1
        assert (again.decided_at, again.ending) == (record.decided_at, record.ending)
        width = record.legal_actions.shape[1]
        for name, array in record.arrays().items():
            kept = again.arrays()[name]
            if name in ("legal_actions", "policy_target"):
                kept = kept[:, :width]
            np.testing.assert_array_equal(kept, array, err_msg=name)
            assert kept.dtype == array.dtype or "observation" in name
    if name == "connect_four":
        assert {record.decided_at == UNDECIDED for record in records} <= {True, False}
        assert any(len(record.opening) for record in records) and not any(len(record.chance) for record in records)
        assert any(not record.is_full.all() for record in records)


def test_how_a_game_ended_is_known() -> None:
    assert {record.ending for record in recorded("tic_tac_toe")} == {Ending.OVER}
    for record in recorded("2048", max_plies=5):
        assert record.ending == Ending.CUT_OFF and len(record) == 5
        assert len(record.final_observation) == len(record.final_to_play) == 1 <= len(record.final_legal_actions)
        assert record.chance_count.tolist() == [1] * 5, "a tile after each move"
        assert len(record.opening) == 2, "two tiles to begin with"
    for record in recorded("chinese_checkers(players=3)", max_plies=6, games_per_actor=3):
        assert record.ending == Ending.JUDGED and record.judge_reward.any()
        assert not record.reward.any(), "what the judge says is kept apart"


def test_labels_of_the_end_are_those_of_the_game_played_again() -> None:
    game = games.load("othello")
    for record in recorded("othello"):
        pool, here = game.new_pool(1), np.zeros(1, np.int64)
        pool.reset(here)
        for action in (action for turn in record.history() for action in turn):
            pool.step(here, np.array([action]), here)
        discs = [line.split()[1:9] for line in pool.text(0).splitlines()[2:10]]
        expected = np.array([[{"x": 1, "o": -1, "-": 0}[disc] for disc in row] for row in discs])
        np.testing.assert_array_equal(record.final_labels, expected)
        assert record.final_score.tolist() == [expected.sum()]
        assert np.sign(expected.sum()) == record.reward[-1, 0]
        labels, score = labels_seen(record, TargetSettings(1, label_shape=(8, 8)))
        for t, mover in enumerate(record.to_play.tolist()):
            sign = 1 if mover == 0 else -1
            np.testing.assert_array_equal(labels[t], sign * expected)
            assert score[t] == sign * expected.sum()


def test_a_game_that_was_cut_off_has_no_labels() -> None:
    for record in recorded("othello", max_plies=9):
        assert record.ending == Ending.CUT_OFF and record.final_labels.shape == (0, 8) and not len(record.final_score)
        labels, score = labels_seen(record, TargetSettings(1, label_shape=(8, 8)))
        assert (labels == NO_LABEL).all() and np.isnan(score).all()


class Picky(ConnectFourPool):
    """Connect Four where the search does not look at the leftmost column while another is open."""

    may_leave_out = True

    def candidates(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        offsets, actions = self.legal(slots)
        rows = np.split(actions.copy(), offsets[1:-1])
        return compressed([row[row > 0] if len(row) > 1 else row for row in rows], np.int64)


def test_moves_that_the_search_leaves_out_stay_legal_with_a_target_of_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConnectFour, "new_pool", lambda game, capacity: Picky(game, capacity))
    left_out = 0
    for record in recorded("connect_four", opening_plies=0):
        for legal, target, action in zip(record.legal_actions, record.policy_target, record.action, strict=True):
            if legal[0] == 0 and legal[1] != NO_ACTION:
                assert target[0] == 0 and action != 0 and target.sum() == pytest.approx(1)
                left_out += 1
    assert left_out > 20


def test_positions_of_old_networks_are_left_out_of_a_new_record() -> None:
    record = facts(4, version=np.array([3, 4, 5, 6], np.int32), is_chosen=np.array([True, False, True, True]))
    newer, left_out = record.leave_out_older(6)
    assert newer.learn.tolist() == [False, False, False, True]
    assert left_out == 2, "a fast search would not have been learned from"
    assert record.learn.all(), "the record itself stays as it is"
    again, left_out = newer.leave_out_older(6)
    assert left_out == 0 and again.learn.tolist() == newer.learn.tolist()


def test_games_of_older_versions_keep_their_targets() -> None:
    game = games.load("tic_tac_toe")
    (record, *_) = recorded("tic_tac_toe")
    row = old_records.with_targets(record, TargetSettings(num_values(game), td_steps=1)).arrays()
    found = from_arrays(row)
    assert isinstance(found, TargetRecord)
    np.testing.assert_array_equal(found.value_target, row["value_target"])
    del row["weight"]  # as it was before positions had weights
    found = from_arrays(row)
    assert isinstance(found, TargetRecord) and (found.weight == 1).all()


def test_a_move_after_the_verdict_was_recorded_as_searched_in_full() -> None:
    chosen = np.array([True, False, True, True, True])
    record = facts(5, is_chosen=chosen, decided_at=3)
    assert record.is_full.tolist() == [True, False, True, False, False]
    assert facts(5, is_chosen=chosen).is_full.tolist() == chosen.tolist()
    settings = TargetSettings(1, resign_weight=0.5)
    assert weights_of(record, settings).tolist() == [1, 0, 1, 0.5, 0.5], "the lot decides what is learned from"


def test_what_decides_the_weights_had_another_name_on_disk() -> None:
    for record in recorded("connect_four", full_search_share=0.5, resign_value=0.1, resign_plies=1):
        row = record.arrays()
        row["is_full"] = row.pop("is_chosen")
        again = from_arrays(row)
        assert isinstance(again, GameRecord)
        np.testing.assert_array_equal(again.is_chosen, record.is_chosen)
        np.testing.assert_array_equal(again.is_full, record.is_full)


def test_a_row_that_is_no_game_is_refused() -> None:
    row = facts(3).arrays()
    for name in row.keys() - {"final_labels", "final_score", "sampled_actions"}:  # games of before have none
        with pytest.raises(ValueError, match=f"no field '{name}'"):
            from_arrays({key: value for key, value in row.items() if key != name})
    with pytest.raises(ValueError, match=r"fields of \[2, 3\] moves"):
        from_arrays(row | {"reward": np.zeros((2, 2))})
    with pytest.raises(ValueError, match="chance outcomes"):
        from_arrays(row | {"chance": np.zeros(1, np.int32)})
    with pytest.raises(ValueError, match="chance outcomes"):
        from_arrays(row | {"chance_count": np.array([1, -1, 0], np.int32)})
    for name, wrong in (("reward", np.array(1.0)), ("chance", np.array(0)), ("decided_at", np.zeros(2))):
        with pytest.raises(ValueError, match="a game has "):
            from_arrays(row | {name: wrong})
    with pytest.raises(ValueError, match="is not a valid Ending"):
        from_arrays(row | {"ending": np.array(9)})


@pytest.mark.parametrize("kind", [GameRecord, TargetRecord])
def test_a_row_whose_arrays_are_of_another_type_or_shape_is_refused(kind: type) -> None:
    record = facts(3)
    if kind is TargetRecord:
        record = old_records.with_targets(record, TargetSettings(num_values=1))
    row = record.arrays()
    assert isinstance(from_arrays(row), kind)
    for name, array in row.items():
        others = [array.astype(np.complex128), array.astype("U8")]
        others += [array[..., None]] if name != "observation" else []  # whose shape is the game's
        others += [np.zeros((), array.dtype)] if array.ndim else []
        for other in others:
            with pytest.raises(ValueError, match="a game has "):
                from_arrays(row | {name: other})
    if kind is GameRecord:
        with pytest.raises(ValueError, match="chance outcomes"):
            from_arrays(row | {"chance_count": np.array([-1, 1, 0], np.int32)})


def test_observations_become_bytes_only_where_nothing_is_lost():
    whole = np.array([[0.0, 1.0, 255.0]], np.float32)
    assert compact_observations(whole).dtype == np.uint8
    np.testing.assert_array_equal(compact_observations(whole), whole)
    for lossy in ([0.5], [-1.0], [256.0], [1e9], [np.nan]):
        observations = np.array([lossy], np.float32)
        kept = compact_observations(observations)
        assert kept.dtype == np.float32
        np.testing.assert_array_equal(kept, observations)


def test_rows_are_padded_on_the_right():
    rows = [np.array([4, 5], np.int32), np.array([6], np.int32)]
    padded = pad_columns(rows, 3, -1)
    assert padded.dtype == np.int32 and padded.tolist() == [[4, 5, -1], [6, -1, -1]]
    assert widen(padded, 4, -1).tolist() == [[4, 5, -1, -1], [6, -1, -1, -1]]
    assert widen(padded, 3, -1) is padded
