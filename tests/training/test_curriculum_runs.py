"""Runs with a curriculum: one network, three sizes of board, stages by the budget."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import line_game
import numpy as np
import pytest
import torch
from run_helpers import Watcher, tiny_config

import selfplay
from selfplay import cli
from selfplay.algorithms.curriculum import CurriculumAlphaZero
from selfplay.algorithms.registry import load_algorithm
from selfplay.config import reader
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.experience.figures import SelfPlayCounts
from selfplay.experience.records import from_arrays
from selfplay.players.kinds import parse_player
from selfplay.replay.positions import PositionReplay
from selfplay.storage import checkpoint, shards
from selfplay.storage.metrics import read_metrics, unknown_names
from selfplay.training.verification import verify
from selfplay.web.browse import Browser
from selfplay.web.library import Library

SIZES = (5, 3, 4)
"""Of the game that the run is for, and of those of its curriculum."""

STAGES = (f"{line_game.NAME}(size=3) until=0.25", f"{line_game.NAME}(size=4) until=0.5", f"{line_game.NAME} share=0.25")
"""The size of the last is the default one, 4."""

SETTINGS = (
    *("--game", f"{line_game.NAME}(size=5)", "--curriculum", *STAGES, "--net.kind", "auto"),
    *("--net.channels", "4", "--net.blocks", "1", "--net.policy_channels", "2", "--net.value_channels", "2"),
    *("--net.value_hidden", "4", "--net.ownership_head", "--net.score_head", "--net.reply_head"),
    *("--actors.games_per_actor", "4", "--search.num_simulations", "2", "--actors.full_search_share", "0.7"),
    *("--actors.fast_simulations", "1", "--replay.sample_reuse", "1", "--replay.min_positions", "30"),
)


def config_of(folder: Path, *settings: str) -> Config:
    return tiny_config(folder, *SETTINGS, *settings)


def games_played(run: Path) -> Iterator[tuple[int, int]]:
    """Size and length of every game on disk, shard by shard. Each shard has games of one size."""
    for shard_id in shards.shard_ids(run / "games"):
        records = shards.read_shard(run / "games", shard_id)
        sizes = {record["observation"].shape[2] for record in records}
        assert len(sizes) == 1
        yield from ((sizes.copy().pop(), len(record["action"])) for record in records)


def in_order(run: Path) -> list[int]:
    """Sizes of all games in the order in which they ended."""
    rows = [row for shard_id in shards.shard_ids(run / "games") for row in shards.read_shard(run / "games", shard_id)]
    assert all("number" in row for row in rows), "several sizes were saved together"
    assert sorted(int(row["number"]) for row in rows) == list(range(len(rows)))
    return [row["observation"].shape[2] for row in sorted(rows, key=lambda row: int(row["number"]))]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in one process, started from the command line."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "settings.yaml").write_text(reader.dump(config_of(folder, "--budget.games", "80")))
    sample, sizes = PositionReplay.sample, []

    def watched(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        batch = sample(self, *args, **kwargs)
        sizes.append(batch.observation.shape[2])
        assert (
            batch.final_labels.shape == (16, sizes[-1], sizes[-1]) and batch.legal_mask.shape[1] == sizes[-1] ** 2 + 1
        )
        return batch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PositionReplay, "sample", watched)
        assert cli.main(["train", str(folder / "settings.yaml"), "--run-dir", str(folder / "run")]) == 0
    assert set(sizes) == set(SIZES), "all sizes are learned from, one in each batch"
    return folder / "run"


def test_every_stage_plays_its_games_in_their_shares(finished: Path) -> None:
    played = in_order(finished)
    assert set(played[:20]) == {3} and set(played[20:40]) == {4}
    share = np.mean(np.array(played[40:]) == 4)
    assert share == 0.25 and set(played[40:]) == {4, 5}, "4 games a round, a quarter of them"
    assert len(played) == 80 and verify(finished).problems == []
    rows = list(read_metrics(finished / "metrics.jsonl"))
    assert not [name for row in rows for name in unknown_names(row)]
    assert all("train/ownership_loss" in row for row in rows if row["step"])
    names = [f"selfplay/share/{line_game.load(size).name}" for size in SIZES]
    assert all(sum(row[name] for name in names) == pytest.approx(1) for row in rows if names[0] in row)
    records = [from_arrays(row) for row in shards.read_shard(finished / "games", 1)]
    other = [from_arrays(row) for row in shards.read_shard(finished / "games", 2)]
    values = load_algorithm(reader.load(Config, finished / "config.yaml")).metrics(SelfPlayCounts(), [*records, *other])
    positions = {size: sum(len(r) for r in (*records, *other) if r.observation.shape[2] == size) for size in SIZES}
    expected = [positions[size] / sum(positions.values()) for size in SIZES]
    assert [values[name] for name in names] == pytest.approx(expected) and sorted(expected)[0] == 0


def test_its_players_play_every_game_of_the_curriculum(finished: Path) -> None:
    for size in SIZES:
        game = line_game.load(size)
        pool, at = game.new_pool(1), np.zeros(1, np.int64)
        pool.reset(at)
        for text in (f"run:{finished}:simulations=2", f"net:{finished}"):
            player = parse_player(text, game)
            assert player.choose(pool, at, [[]])[0] in pool.legal(at)[1]
            player.close()
    with pytest.raises(UserError, match=r"run was trained on \S+\(size=5\), it cannot play \S+\(size=6\)"):
        parse_player(f"net:{finished}", line_game.load(6))


def test_a_run_in_parts_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    """Stopped within the first stage, and within the last."""
    settings = ("--budget.steps", "14", "--replay.window_start", "60")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    selfplay.train(config_of(tmp_path, *settings), whole, Watcher())

    def stop_at(step: int) -> Watcher:
        return Watcher(lambda status: os.kill(os.getpid(), signal.SIGTERM) if status.step == step else None)

    assert selfplay.train(config_of(tmp_path, *settings), parts, stop_at(2)).version == 2
    assert selfplay.resume(parts, display=stop_at(10)).version == 10
    assert selfplay.resume(parts, display=Watcher()).version == 14
    one, other = (checkpoint.load(run / "checkpoints") for run in (whole, parts))
    assert all(torch.equal(tensor, other.weights[name]) for name, tensor in one.weights.items())
    assert all(torch.equal(tensor, other.learner[name]) for name, tensor in one.learner.items())
    for name in ("kept", "games", "positions", "samples", "rounds", "sampling_rng"):
        assert one.state[name] == other.state[name], name
    assert sorted(games_played(whole)) == sorted(games_played(parts)) and len(set(games_played(whole))) > 3
    assert len(shards.shard_ids(parts / "games")) > len(shards.shard_ids(whole / "games"))
    assert verify(parts).problems == []


def test_a_full_replay_has_its_games_again_whichever_shards_they_are_in(tmp_path: Path) -> None:
    """It holds fewer rows than were saved, and the oldest of them are in several shards that were written together."""
    settings = ("--budget.steps", "16", "--actors.games_per_actor", "6", "--replay.capacity", "80")
    settings = (*settings, "--replay.window_start", "20", "--replay.min_positions", "20")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    selfplay.train(config_of(tmp_path, *settings), whole, Watcher())
    stop = Watcher(lambda status: os.kill(os.getpid(), signal.SIGTERM) if status.step == 13 else None)
    selfplay.train(config_of(tmp_path, *settings), parts, stop)
    selfplay.resume(parts, display=Watcher())
    one, other = (checkpoint.load(run / "checkpoints") for run in (whole, parts))
    assert one.state["kept"] == other.state["kept"] > 200
    assert all(torch.equal(tensor, other.weights[name]) for name, tensor in one.weights.items())


@pytest.mark.slow
def test_actor_processes_follow_the_stages_also_when_resumed(tmp_path: Path) -> None:
    settings = ("--actors.num_actors", "1", "--budget.positions", "900")
    run = tmp_path / "run"
    stop = Watcher(lambda status: os.kill(os.getpid(), signal.SIGTERM) if status.positions > 550 else None)
    assert selfplay.train(config_of(tmp_path, *settings), run, stop).stopped_by == "SIGTERM"
    before = [size for size, _ in games_played(run)]
    assert set(before) >= {3, 4}
    selfplay.resume(run, display=Watcher())
    after = [size for size, _ in games_played(run)][len(before) :]
    assert set(after) <= {4, 5} and 5 in after, "the actors of the second start know how far the run is"
    assert verify(run).problems == [] and not [line for line in stop.lines if "warning" in line]


def test_a_run_on_another_size_may_be_what_it_starts_with(tmp_path: Path, finished: Path) -> None:
    run, steps = tmp_path / "run", ("--budget.steps", "1")
    larger = config_of(tmp_path, *steps, "--game", f"{line_game.NAME}(size=6)", "--init", str(finished))
    selfplay.train(larger, run, Watcher())
    before, first = checkpoint.load(finished / "checkpoints"), checkpoint.load(run / "checkpoints", 0)
    assert all(torch.equal(tensor, first.weights[name]) for name, tensor in before.weights.items())
    alone = tmp_path / "alone"
    selfplay.train(config_of(tmp_path, *steps, "--curriculum", "--init", str(run)), alone, Watcher())
    assert checkpoint.versions(alone / "checkpoints")[-1] == 1


def test_stages_may_move_in_a_run_that_has_started_and_games_may_not_come_or_go(tmp_path: Path) -> None:
    run = tmp_path / "run"
    selfplay.train(config_of(tmp_path, "--budget.games", "8"), run, Watcher())

    def other(*stages: str) -> Config:
        return config_of(tmp_path, "--budget.games", "12", "--curriculum", *stages)

    for stages in ((), STAGES[:1], (*STAGES[:2], f"{line_game.NAME}(size=6)")):
        with pytest.raises(UserError, match="curriculum cannot change in a run that has started; the games on disk"):
            selfplay.resume(run, lambda _, stages=stages: other(*stages), Watcher())
    seen, later = Watcher(), STAGES[0].replace("0.25", "0.3").replace("size=", " size = ")  # the same game
    selfplay.resume(run, lambda _: other(later, *STAGES[1:]), seen)
    assert any(line.startswith("curriculum: for new games only; the 8 games on disk stay") for line in seen.lines)


REFUSALS = [
    (("--net.heads", "dense"), r"line_game\(size=5\) needs weights that fit every size of board: a resnet with"),
    (("--net.kind", "mlp", "--net.ownership_head", "false"), "needs weights that fit every size of board"),
    (("--curriculum", "line_game:plain_line_game until=0.5"), r"plain_line_game needs weights that fit every size"),
    (
        ("--curriculum", "line_game:wide_line_game until=0.5"),
        r"line_game:wide_line_game has 2 planes of actions, line_game:line_game\(size=5\) has 1; one network needs as",
    ),
    (("--curriculum", "line_game:scaled_line_game until=0.5"), "scale their planes differently"),
    (("--curriculum", "tic_tac_toe until=0.5", "--net.ownership_head", "false", "--net.score_head", "false"), "needs"),
    (("--curriculum", f"{line_game.NAME}(size=2) until=0.5"), r"\(size=2\) has a board of 2x2; .* of at least 3x3"),
    (
        ("--curriculum", f"{line_game.NAME}(size=2) until=0.5", "--net.kind", "resnet"),
        r"\(size=2\) has a board of 2x2; one network for several sizes needs boards of at least 3x3",
    ),
    (("--curriculum", "no_such_game until=0.5"), "unknown game 'no_such_game'"),
    (("--budget.games", "0"), "its stages are parts of the budget, and there is none; set budget.minutes, say"),
    (("--algorithm", "muzero"), "muzero plays one game; use alphazero, or leave it out"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSALS)
def test_what_one_network_cannot_play_is_one_line_and_nothing_is_made(
    tmp_path: Path, settings: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file, run = tmp_path / "settings.yaml", tmp_path / "run"
    file.write_text(reader.dump(config_of(tmp_path, "--budget.games", "8", *settings)))
    assert cli.main(["train", str(file), "--run-dir", str(run)]) == cli.BAD_INPUT
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and not run.exists()
    assert lines[0].startswith("selfplay: error: curriculum: ") and re.search(message, lines[0]), lines[0]


def test_loss_and_evaluation_are_those_of_a_run_of_each_game_alone(tmp_path: Path, finished: Path) -> None:
    algorithm = load_algorithm(reader.load(Config, finished / "config.yaml"))
    assert isinstance(algorithm, CurriculumAlphaZero)
    learner, inference = algorithm.make_learner(), algorithm.make_inference()
    weights = {name: torch.randn_like(tensor) if tensor.is_floating_point() else tensor
               for name, tensor in learner.raw_weights().items()}  # fmt: skip
    weights |= {name: tensor.abs() for name, tensor in weights.items() if name.endswith("running_var")}
    inference.load(weights, 3)
    records = [
        from_arrays(row)
        for id in shards.shard_ids(finished / "games")
        for row in shards.read_shard(finished / "games", id)
    ]
    for number, (part, size) in enumerate(zip(algorithm.parts, SIZES, strict=True)):
        alone, replay, own = part.make_learner(), part.make_replay(), part.make_inference()
        learner.net.load_state_dict(weights)
        alone.net.load_state_dict(weights)
        own.load(weights, 3)
        for record in records:
            if record.observation.shape[2] == size:
                replay.add(record)
        batch = replay.sample(12, np.random.default_rng(0))
        one, other = (each.loss(each.net, batch, torch.device("cpu")) for each in (learner, alone))
        assert {name: float(term) for name, term in one.terms.items()} == {
            name: float(term) for name, term in other.terms.items()
        } and float(one.terms["score_loss"].detach()) > 0
        for mine, its in zip(inference.predict(number, batch.observation), own.predict(batch.observation), strict=True):
            np.testing.assert_array_equal(mine, its)


def test_its_games_are_shown_on_the_page(finished: Path) -> None:
    library = Library([finished])
    browser, names = Browser(library), set()
    for shard_id in browser.shards(0):
        assert browser.shard(0, shard_id)
        shown = browser.self_play_game(0, shard_id, 0)
        names.add(shown.game.name)
        assert not shown.complaint and len(shown.moves) > 0
    assert names == {line_game.load(size).name for size in SIZES} <= set(library.game_names())
