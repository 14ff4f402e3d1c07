"""Plans: the model's numbers fit together, the rules follow the measurements, what is given stays, each warning has its
regime. Measurements are made up here, but for one tiny round of measuring."""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from pathlib import Path

import pytest
import yaml

import games
from nets import NetConfig
from selfplay import cli
from selfplay.config import reader
from selfplay.config.run import BudgetConfig, Config, SearchConfig
from selfplay.config.schema import with_values
from selfplay.planning import measurements
from selfplay.planning.measurements import candidate_nets, measure
from selfplay.planning.model import Measurements, NetSpeed, predict
from selfplay.planning.report import plan_text
from selfplay.planning.rules import REUSE, SAMPLES_PER_WEIGHT, Plan, propose
from selfplay.planning.warnings import warnings_of
from selfplay.system.together import TogetherError
from selfplay.training import train


def tower(channels: int, blocks: int, weights: int, best: float, learner: float) -> NetSpeed:
    """A residual tower whose batch is full with 256."""
    rates = {32: 0.6 * best, 128: 0.9 * best, 256: best}
    return NetSpeed(NetConfig("resnet", channels, blocks), f"{channels}x{blocks}", weights, "int8", rates, learner)


TOWERS = (
    tower(32, 4, 75_000, 40_000, 3600),
    tower(64, 3, 225_000, 22_000, 1800),
    tower(64, 5, 373_000, 15_000, 1100),
    tower(96, 6, 1_002_000, 1_900, 470),
    tower(128, 6, 1_779_000, 4_200, 300),
)
"""Two cores of a Xeon with instructions for bytes, Connect Four (rounded)."""

XEON = Measurements(
    cores=2,
    memory=20_000_000_000,
    on_gpu=False,
    squares=42,
    game_length=25.0,
    learned_share=1.0,
    position_bytes=300.0,
    compile_seconds=1.0,
    start_seconds=5.0,
    overhead=6e-6,
    evaluations=0.6,
    searched=0.92,
    cache_hits=0.4,
    actor_bytes=450_000_000,
    tree_bytes=400.0,
    learner_bytes=550_000_000,
    thread_gain={1: 1.0},
    nets=TOWERS,
)
MANY_CORES = dataclasses.replace(XEON, cores=16, thread_gain={1: 1.0, 2: 1.8, 4: 3.2, 8: 5.5})
CONFIG = Config(search=SearchConfig(rule="gumbel", num_simulations=32), budget=BudgetConfig(minutes=15))


def minutes(count: float) -> Config:
    return dataclasses.replace(CONFIG, budget=BudgetConfig(minutes=count))


def scaled(measured: Measurements, network: float = 1.0, learner: float = 1.0) -> Measurements:
    """The same machine with networks and learner so many times as fast."""
    nets = [
        dataclasses.replace(
            speed,
            inference={size: network * rate for size, rate in speed.inference.items()},
            learner=learner * speed.learner,
        )
        for speed in measured.nets
    ]
    return dataclasses.replace(measured, nets=tuple(nets))


def plan_with(measured: Measurements = XEON, config: Config = CONFIG, **given: object) -> Plan:
    """A plan with settings given as section__option=value."""
    values = {key.replace("__", "."): value for key, value in given.items()}
    return propose(with_values(config, values), list(values), measured)


def test_connect_four_on_two_cores_gets_what_was_found_best_by_hand():
    quarter = plan_with()
    assert quarter.chosen.name == "64x3"
    assert (quarter.config.net.channels, quarter.config.net.blocks) == (64, 3)
    assert (quarter.config.actors.num_actors, quarter.config.learner.threads) == (1, 1)
    assert quarter.config.actors.games_per_actor == 512 and quarter.config.search.num_simulations == 40
    assert 1.5 <= quarter.config.replay.sample_reuse <= 2.5
    assert warnings_of(quarter) == []
    hour = plan_with(config=minutes(60))
    assert hour.chosen.name == "64x5" and 40 <= hour.config.search.num_simulations <= 64
    assert warnings_of(hour) == []


@pytest.mark.parametrize("measured", [XEON, MANY_CORES, dataclasses.replace(XEON, cores=1)], ids=["2", "16", "1 core"])
@pytest.mark.parametrize("reuse", [0.5, 2.0, 30.0])
def test_numbers_of_a_prediction_fit_together(measured, reuse):
    plan = plan_with(measured, replay__sample_reuse=reuse)
    p, config = plan.prediction, plan.config
    assert p.steps * config.learner.batch_size == pytest.approx(p.samples)
    assert p.samples == pytest.approx(reuse * p.positions)
    assert p.positions == pytest.approx(p.games * measured.game_length)
    assert p.positions < p.positions_per_second * p.play_seconds < p.positions_per_second * 900
    assert p.samples_per_weight == pytest.approx(p.samples / plan.chosen.weights)
    assert 0 < p.actors_busy <= 1 + 1e-9 and 0 < p.learner_busy <= 1 + 1e-9
    assert max(p.actors_busy, p.learner_busy) == pytest.approx(1) or measured.cores == 1
    assert p.window <= p.positions


def test_positions_follow_from_the_time_of_a_simulation():
    config = with_values(CONFIG, {"actors.num_actors": 1, "actors.games_per_actor": 512, "replay.sample_reuse": 0.01})
    expected = 1 / ((6e-6 + 0.6 / 22_000) * 0.92 * 32)  # a batch of 307 is as fast a position as one of 256
    assert predict(config, XEON, TOWERS[1]).positions_per_second == pytest.approx(expected)
    crowded = predict(with_values(config, {"actors.num_actors": 3}), XEON, TOWERS[1])
    assert crowded.positions_per_second == pytest.approx(3 * expected * 2 / 4), "four busy processes on two cores"


def test_a_trunk_without_weights_has_a_prediction():
    none = dataclasses.replace(TOWERS[1], weights=0)
    assert predict(CONFIG, XEON, none).samples_per_weight == predict(CONFIG, XEON, none).samples


def test_between_least_and_most_reuse_nobody_waits():
    config = with_values(CONFIG, {"actors.num_actors": 1, "actors.games_per_actor": 512, "replay.sample_reuse": 0.01})
    alone = predict(config, XEON, TOWERS[1]).positions_per_second
    between = predict(with_values(config, {"replay.sample_reuse": 50.0, "replay.least_reuse": 0.01}), XEON, TOWERS[1])
    assert between.positions_per_second == pytest.approx(alone)
    assert between.actors_busy == pytest.approx(1) and between.learner_busy == pytest.approx(1)
    assert between.samples == pytest.approx(between.positions * 1800 / alone), "as many as the learner can draw"


def test_on_one_core_and_on_one_gpu_they_take_turns():
    config = with_values(CONFIG, {"actors.num_actors": 1, "actors.games_per_actor": 512, "replay.sample_reuse": 2.0})
    simulations, network, sample = 0.92 * 32, 0.6 / 22_000, 1 / 1800
    one_core = predict(config, dataclasses.replace(XEON, cores=1), TOWERS[1])
    assert 1 / one_core.positions_per_second == pytest.approx(simulations * (6e-6 + network) + 2 * sample)
    gpu = dataclasses.replace(MANY_CORES, on_gpu=True)
    many = predict(with_values(config, {"actors.num_actors": 15}), gpu, TOWERS[1])
    assert 1 / many.positions_per_second == pytest.approx(simulations * network + 2 * sample)
    assert 1 <= plan_with(gpu).config.actors.num_actors < 15, "one GPU is busy with fewer"


def test_more_cores_more_actors_and_more_threads_for_the_learner():
    planned = [plan_with(dataclasses.replace(MANY_CORES, cores=cores)).config for cores in (4, 8, 16, 32)]
    actors = [config.actors.num_actors for config in planned]
    assert actors == sorted(set(actors)) and actors[0] > 1
    assert all(c.actors.num_actors + c.learner.threads <= cores for c, cores in zip(planned, (4, 8, 16, 32)))
    assert planned[2].learner.threads > 1


def test_a_slow_learner_gets_fewer_samples_a_position_and_a_smaller_network():
    slow = plan_with(scaled(XEON, learner=0.5))
    fast = plan_with()
    assert slow.chosen.weights < fast.chosen.weights
    same = {"net__channels": 64, "net__blocks": 3, "search__num_simulations": 40}
    measured = dataclasses.replace(XEON, nets=TOWERS[1:2])
    slow, fast = plan_with(scaled(measured, learner=0.7), **same), plan_with(measured, **same)
    assert slow.config.replay.sample_reuse < fast.config.replay.sample_reuse
    assert slow.prediction.actors_busy == fast.prediction.actors_busy == 1, "actors never wait"


def test_the_least_reuse_of_a_file_is_lowered_to_what_the_learner_can_do():
    measured = scaled(dataclasses.replace(XEON, nets=TOWERS[1:2]), learner=0.4)
    file = with_values(CONFIG, {"replay.sample_reuse": 4.0, "replay.least_reuse": 3.0})
    same = {"net__channels": 64, "net__blocks": 3, "search__num_simulations": 40}
    plan = plan_with(measured, file, **same)
    assert plan.config.replay.least_reuse == plan.config.replay.sample_reuse < 3.0
    train.check(plan.config)
    asked = plan_with(measured, file, **same, replay__least_reuse=3.0)
    assert asked.config.replay.least_reuse == asked.config.replay.sample_reuse == 3.0
    assert plan_with(measured, CONFIG, **same).config.replay.least_reuse == 0.0


def test_simulations_grow_where_the_learner_could_not_follow():
    measured = scaled(dataclasses.replace(XEON, nets=TOWERS[1:2]), network=4)
    plan = plan_with(measured)
    assert plan.config.search.num_simulations > 40 and plan.config.replay.sample_reuse >= REUSE[0]


def test_longer_budgets_never_get_smaller_networks_or_fewer_simulations():
    plans = [plan_with(config=minutes(count)) for count in (2, 5, 15, 60, 240, 2000)]
    sizes = [plan.chosen.weights for plan in plans]
    assert sizes == sorted(sizes) and len(set(sizes)) > 2
    assert "96x6" not in [plan.chosen.name for plan in plans], "128x6 is evaluated twice as fast"
    for plan in plans[1:]:
        assert plan.prediction.samples_per_weight >= SAMPLES_PER_WEIGHT
    same = [plan_with(config=minutes(count), net__blocks=3).config.search.num_simulations for count in (5, 15, 60, 240)]
    assert same == sorted(same)


def test_settings_that_are_given_stay_and_are_planned_around():
    given = {
        "search.num_simulations": 100,
        "actors.num_actors": 3,
        "replay.sample_reuse": 7.0,
        "replay.capacity": 12_345,
        "actors.games_per_actor": 48,
    }
    plan = propose(with_values(CONFIG, given), [*given, "seed"], XEON)
    assert {key: attrgetter(key)(plan.config) for key in given} == given
    assert set(plan.given) == set(given) and not set(plan.changes) & set(given)
    assert plan.prediction.window <= 12_345
    assert plan_with(actors__num_actors=0).config.actors.num_actors == 0
    from_file = propose(with_values(CONFIG, {"actors.num_actors": 0}), [], XEON)
    assert from_file.config.actors.num_actors == 1, "the file's settings may be changed"


def test_changes_are_options_and_yaml_that_load_to_the_plan(tmp_path):
    plan = plan_with(config=minutes(60))
    assert plan.changes and reader.load(Config, None, ["--budget.minutes", "60", *plan.overrides]) == (
        with_values(Config(budget=BudgetConfig(minutes=60)), {key: new for key, (_, new) in plan.changes.items()})
    )
    text = plan_text(plan, "my.yaml")
    lines = text.split("it differs from my.yaml:\n")[1].split("\n\n")[0].splitlines()
    changed = yaml.safe_load("\n".join(line for line in lines if line.startswith("    ")))
    flat = {f"{section}.{name}": value for section, values in changed.items() for name, value in values.items()}
    assert flat == {key: new for key, (_, new) in plan.changes.items()}
    for speed in XEON.nets:
        assert speed.name in text


def test_the_text_names_what_was_given_and_the_warnings():
    text = plan_text(plan_with(replay__sample_reuse=20.0), "my.yaml")
    assert "kept as given on the command line: replay.sample_reuse" in text
    assert "warning: the actors wait" in text


@pytest.mark.parametrize(
    ("measured", "config", "given", "part"),
    [
        (XEON, CONFIG, {"replay__sample_reuse": 0.2}, "the learner waits"),
        (XEON, CONFIG, {"replay__sample_reuse": 6.0}, "the actors wait"),
        (XEON, CONFIG, {"replay__sample_reuse": 9.0}, "sampled 9 times"),
        (XEON, CONFIG, {"actors__num_actors": 4}, "share 2 cores"),
        (XEON, minutes(2), {"actors__games_per_actor": 2048}, "a game takes"),
        (dataclasses.replace(XEON, compile_seconds=60.0), minutes(5), {}, "compiling took 60 s"),
        (XEON, minutes(0.12), {}, "nothing is learned"),
        (XEON, minutes(0.3), {}, "learning starts only after"),
        (scaled(XEON, 0.01, 0.01), CONFIG, {}, "samples for each weight of 32x4"),
        (scaled(XEON, 0.05), CONFIG, {}, "few for a game of this size"),
        (XEON, CONFIG, {"replay__capacity": 5_000}, "samples from 200 games only"),
        (dataclasses.replace(XEON, memory=900_000_000), CONFIG, {}, "memory: actors with their trees"),
        (XEON, CONFIG, {"actors__games_per_actor": 65536, "search__num_simulations": 800}, "memory: actors"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_bad_regime_has_its_warning(measured, config, given, part):
    lines = warnings_of(plan_with(measured, config, **given))
    assert any(part in line for line in lines), lines
    assert all("\n" not in line for line in lines)


def test_trees_and_replay_are_planned_to_fit_into_memory():
    small = plan_with(dataclasses.replace(MANY_CORES, memory=3_000_000_000, tree_bytes=8_000.0))
    assert small.prediction.actor_memory <= 1_600_000_000
    assert small.config.replay.capacity * 300 <= 750_000_000


def test_candidates_are_the_usual_sizes_and_that_of_the_settings():
    board, flat = games.load("connect_four"), games.load("pig")
    config = with_values(CONFIG, {"net.channels": 48, "net.blocks": 2})
    sizes = [(net.channels, net.blocks) for net in candidate_nets(config, board, [])]
    assert (48, 2) in sizes and (64, 3) in sizes and (128, 10) in sizes
    assert {net.channels for net in candidate_nets(config, board, ["net.channels"])} == {48}
    assert [(n.channels, n.blocks) for n in candidate_nets(config, board, ["net.channels", "net.blocks"])] == [(48, 2)]
    assert {net.layers for net in candidate_nets(CONFIG, flat, ["net.layers"])} == {3}


def test_a_tiny_round_of_measuring_gives_a_plan(monkeypatch):
    overrides = ["--game", "tic_tac_toe", "--budget.minutes", "1", "--search.num_simulations", "2"]
    overrides += ["--net.kind", "mlp", "--net.hidden", "8", "--net.layers", "1", "--learner.batch_size", "16"]
    overrides += ["--actors.device", "cpu", "--actors.dtype", "float32", "--learner.device", "cpu"]
    config, given = reader.load(Config, None, overrides), reader.given_keys(Config, overrides)

    def in_this_process(work, processes, *arguments):
        return [work(lambda: 0, *arguments)]

    monkeypatch.setattr(measurements, "run_together", in_this_process)
    monkeypatch.setattr(measurements, "usable_cores", lambda: 1)
    measured = measure(config, given, 0.01)
    assert [speed.name for speed in measured.nets] == ["8x1"]
    assert measured.squares == 9 and 5 <= measured.game_length <= 9
    assert 0 < measured.evaluations <= 1.5 and 0 < measured.searched <= 1
    plan = propose(config, given, measured)
    assert plan.prediction.positions > 0 and plan.config.search.num_simulations == 2


@pytest.fixture
def fake_measurements(monkeypatch):
    """Measuring takes no time and finds the Xeon."""
    monkeypatch.setattr(measurements, "measure", lambda config, given, seconds: XEON)


def test_a_measurement_that_fails_is_one_line(tmp_path, monkeypatch, capsys):
    def fail(*arguments):
        raise TogetherError("ValueError: int8 needs a resnet")

    monkeypatch.setattr(measurements, "measure", fail)
    (tmp_path / "a.yaml").write_text("game: connect_four\nbudget: {minutes: 15}\n")
    assert cli.main(["plan", str(tmp_path / "a.yaml")]) == 2
    assert capsys.readouterr().err == "selfplay: error: plan: measuring failed: ValueError: int8 needs a resnet\n"


def test_plan_command_prints_the_proposal(fake_measurements, tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("game: connect_four\nsearch: {rule: gumbel}\n")
    path = str(tmp_path / "a.yaml")
    assert cli.main(["plan", path, "--budget.minutes", "60", "--seconds", "1", "--actors.games-per-actor", "100"]) == 0
    printed = capsys.readouterr().out
    assert "--net.blocks 5" not in printed, "64x5 is the default"
    assert "--search.num-simulations 48" in printed and "with 64x5 and 48 simulations" in printed
    assert "kept as given on the command line: actors.games_per_actor" in printed


def test_train_with_plan_trains_with_the_planned_settings(fake_measurements, tmp_path, monkeypatch, capsys):
    trained = []

    def no_training(config: Config, run_dir: Path) -> train.Result:
        trained.append(config)
        return train.Result(run_dir, 0, "budget", None)

    monkeypatch.setattr(train, "train", no_training)
    (tmp_path / "a.yaml").write_text("game: connect_four\nsearch: {rule: gumbel}\nbudget: {minutes: 15}\n")
    arguments = ["train", str(tmp_path / "a.yaml"), "--plan", "--run-dir", str(tmp_path / "run"), "--seed", "7"]
    assert cli.main([*arguments, "--replay.capacity", "300000"]) == 0
    (config,) = trained
    assert (config.seed, config.replay.capacity) == (7, 300_000), "given"
    assert (config.net.blocks, config.search.num_simulations, config.actors.games_per_actor) == (3, 40, 512), "planned"
    assert "proposed" in capsys.readouterr().out


def test_given_keys_are_those_of_the_flags():
    tokens = ["--search.num-simulations", "5", "--seed=3", "--search.no-proven-values", "--no.such", "1"]
    assert reader.given_keys(Config, tokens) == ["search.num_simulations", "seed", "search.proven_values"]


def test_measuring_is_announced_before_it_begins(fake_measurements, tmp_path, monkeypatch, capsys):
    seen = []

    def measure(config, given, seconds):
        seen.append(capsys.readouterr().out)
        return XEON

    monkeypatch.setattr(measurements, "measure", measure)
    (tmp_path / "a.yaml").write_text("game: connect_four\nbudget: {minutes: 15}\n")
    assert cli.main(["plan", str(tmp_path / "a.yaml"), "--seconds", "5"]) == 0
    assert "about 5 s" in seen[0]
