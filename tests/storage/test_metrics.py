"""The record of a run: rows survive kills and a full disk, averages and calibration equal slow references."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from crashing import largest_file
from hypothesis import given
from hypothesis import strategies as st

from selfplay.errors import UserError
from selfplay.stats.averages import Averages, calibration
from selfplay.storage.files import StorageError
from selfplay.storage.metrics import AXES, METRICS, MetricsWriter, add_row, read_metrics, to_json_value, unknown_names

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


def write_rows(path: Path, count: int) -> list[dict]:
    with MetricsWriter(path) as writer:
        return [
            writer.write({"train/loss": 1.0 / (i + 1)}, step=i, positions=10 * i, time_s=0.5 * i) for i in range(count)
        ]


def test_matches_after_the_budget_stay_when_the_run_is_resumed():
    kept: list[dict[str, float]] = []
    for step, positions, seconds in ((100, 9, 600.0), (100, 9, 630.0), (100, 9, 660.0), (110, 12, 612.0)):
        add_row(kept, {"step": step, "positions": positions, "time_s": seconds, "was": seconds})
    assert [row["was"] for row in kept] == [600.0, 630.0, 660.0, 612.0]
    assert [row["time_s"] for row in kept] == [600.0, 612.0, 612.0, 612.0]


def test_rows_come_back_as_written(tmp_path):
    path = tmp_path / "run" / "metrics.jsonl"
    rows = write_rows(path, 3)
    assert rows[2] == {"step": 2, "positions": 20, "time_s": 1.0, "train/loss": 1.0 / 3.0}
    assert list(read_metrics(path)) == rows


def test_a_row_is_readable_before_the_file_is_closed(tmp_path):
    writer = MetricsWriter(tmp_path / "metrics.jsonl")
    row = writer.write({}, step=1, positions=2, time_s=3.0)
    assert list(read_metrics(tmp_path / "metrics.jsonl")) == [row]
    writer.close()


def test_a_file_cut_anywhere_keeps_its_whole_rows_and_can_be_continued(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = write_rows(path, 3)
    content = path.read_bytes()
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        whole = content[:length].count(b"\n")
        assert list(read_metrics(path)) == rows[:whole]
        with MetricsWriter(path) as writer:
            new = writer.write({}, step=9, positions=9, time_s=9.0)
        assert list(read_metrics(path)) == [*rows[:whole], new]


def test_a_torn_line_longer_than_a_block_is_cut_off(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = write_rows(path, 1)
    with open(path, "ab") as file:
        file.write(b'{"train/loss": "' + b"x" * 10_000)
    MetricsWriter(path).close()
    assert list(read_metrics(path)) == rows
    path.write_bytes(b"\0" * 10_000)  # what a power cut can leave
    MetricsWriter(path).close()
    assert path.read_bytes() == b""


@pytest.mark.parametrize("line", [b"{\n", b"[1]\n", b"\xff\n", b"\n", b"[" * 100_000 + b"\n"])
def test_a_damaged_line_is_named_with_its_number(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + line + b'{"step": 2}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl:2: not a JSON object"):
        list(read_metrics(path))


def test_a_missing_file_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="metrics.jsonl: No such file"):
        list(read_metrics(tmp_path / "metrics.jsonl"))


def test_a_row_that_does_not_fit_on_the_disk_leaves_no_part_of_itself(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = write_rows(path, 2)
    with MetricsWriter(path) as writer:
        with largest_file(path.stat().st_size + 10), pytest.raises(StorageError, match="metrics.jsonl"):
            writer.write({}, step=2, positions=2, time_s=2.0)
        assert list(read_metrics(path)) == rows
        rows.append(writer.write({}, step=3, positions=3, time_s=3.0))
    assert list(read_metrics(path)) == rows


def test_values_that_json_lacks_are_null(tmp_path):
    values = {
        "train/loss": math.nan,
        "train/value_loss": np.float32("inf"),
        "train/grad_norm": np.float32(0.5),
        "train/games": np.int64(3),
        "train/learning_rate": np.array(0.25),
    }
    with MetricsWriter(tmp_path / "metrics.jsonl") as writer:
        writer.write(values, step=0, positions=0, time_s=0.0)
    text = (tmp_path / "metrics.jsonl").read_text()
    row = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert [row[name] for name in values] == [None, None, 0.5, 3, 0.25]


@pytest.mark.parametrize("value", [[1.0], np.zeros(2), object(), 1j])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError):
        to_json_value(value)


def test_averages_equal_numpy_and_start_afresh():
    rng = np.random.default_rng(1)
    values, weights = rng.normal(size=50), rng.integers(0, 5, size=50)
    averages = Averages()
    for value, weight in zip(values, weights):
        averages.add_mean({"mean": value, "negated": -value}, weight)
        averages.add_sum("sum", value)
        averages.add_max("max", value)
    report = averages.report()
    expected = np.average(values, weights=weights)
    assert report == pytest.approx({"mean": expected, "negated": -expected, "sum": values.sum(), "max": values.max()})
    assert averages.report() == {}
    averages.add_mean({"mean": 3.0})
    assert averages.report() == {"mean": 3.0}


def test_averages_show_a_nan_unless_it_weighs_nothing():
    averages = Averages()
    averages.add_mean({"seen": math.nan, "unseen": 1.0}, 2.0)
    averages.add_mean({"unseen": math.nan, "never": 1.0}, 0.0)
    averages.add_max("max", math.nan)
    averages.add_max("max", 1.0)
    report = averages.report()
    assert math.isnan(report["seen"]) and math.isnan(report["max"])
    assert report["unseen"] == 1.0 and "never" not in report


def test_averages_refuse_negative_weights_and_two_kinds_of_one_name():
    averages = Averages()
    with pytest.raises(ValueError, match="weight -1"):
        averages.add_mean({"a": 1.0}, -1.0)
    averages.add_mean({"a": 1.0})
    averages.add_sum("a", 1.0)
    with pytest.raises(ValueError, match="metric a was added as two kinds"):
        averages.report()


def test_calibration_of_worked_numbers():
    # Two bins. Below 0: predicted -0.5, -0.3 (mean -0.4), results -1, -1. From 0 on: 0.0, 0.8 (mean 0.4), results 1, 0.
    result = calibration(np.array([-0.5, 0.0, -0.3, 0.8]), np.array([-1.0, 1.0, -1.0, 0.0]), bins=2)
    assert result.counts.tolist() == [2, 2]
    assert result.edges.tolist() == [-1.0, 0.0, 1.0]
    assert result.mean_predicted == pytest.approx([-0.4, 0.4])
    assert result.mean_outcome == pytest.approx([-1.0, 0.5])
    assert result.error == pytest.approx(0.5 * 0.6 + 0.5 * 0.1)


@given(
    st.lists(st.tuples(st.floats(-1.5, 1.5), st.sampled_from([-1.0, 0.0, 1.0])), min_size=1, max_size=40),
    st.integers(1, 12),
)
def test_calibration_equals_a_loop_over_bins(pairs, bins):
    predicted, outcome = (np.array(column) for column in zip(*pairs))
    result = calibration(predicted, outcome, bins)
    error = 0.0
    for i in range(bins):
        low = -math.inf if i == 0 else result.edges[i]
        high = math.inf if i == bins - 1 else result.edges[i + 1]
        inside = [(p, o) for p, o in pairs if low <= p < high]
        assert result.counts[i] == len(inside)
        if not inside:
            assert math.isnan(result.mean_predicted[i]) and math.isnan(result.mean_outcome[i])
            continue
        error += abs(sum(p - o for p, o in inside)) / len(pairs)
    assert result.error == pytest.approx(error, abs=1e-12)


def test_calibration_of_nothing_is_nan_and_of_unequal_arrays_an_error(unchecked_shapes):
    empty = calibration(np.zeros(0), np.zeros(0))
    assert math.isnan(empty.error) and empty.counts.sum() == 0
    with pytest.raises(ValueError, match="calibration of"):
        calibration(np.zeros(3), np.zeros(2))


def test_the_document_shows_every_name_with_its_unit_and_meaning():
    rows = re.findall(r"^\| `([^`]+)` \| (.*?) ?\| (.*?) \|$", DOCUMENT.read_text(), re.MULTILINE)
    table = {**AXES, **METRICS}
    assert rows == [(name, metric.unit, metric.meaning) for name, metric in table.items()]


def test_names_outside_the_table_are_found():
    known = {"step": 1, "train/loss": 0.0, "eval/score/mcts:simulations=1000": 0.5}
    assert unknown_names(known) == []
    assert unknown_names({**known, "train/los": 0.0, "eval/score/": 1.0}) == ["train/los", "eval/score/"]
