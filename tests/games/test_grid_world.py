"""Grid worlds: published values, equality with Gymnasium's lake, laws of an environment, and maps that are refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from games.base import GameError
from games.environments.environment import Step
from games.environments.grid_map import LEGEND, MAPS, MAX_FILE_BYTES, load_map, parse_map
from games.environments.grid_world import ACTIONS, DOWN, LEFT, RIGHT, UP, GridWorld, GridWorldBatch, load_grid_world
from games.environments.mdp import (
    action_values,
    bellman_optimality,
    greedy_policy,
    optimal_q,
    policy_evaluation,
    policy_iteration,
    uniform_policy,
    value_iteration,
)
from games.environments.registry import load_environment


def world_of(text: str) -> GridWorld:
    return GridWorld(parse_map("drawn", text))


def built_in(name: str, **parameters: str) -> GridWorld:
    return load_grid_world({"map": name, **parameters})


def state_at(world: GridWorld, row: int, column: int) -> int:
    return int(np.flatnonzero((world.cells == (row, column)).all(axis=1))[0])


def random_steps(batch: GridWorldBatch, count: int, seed: int = 0) -> Iterator[Step]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield batch.step(rng.integers(4, size=batch.num_envs))


# Published values.


def test_utilities_of_the_4x3_world():
    """Russell and Norvig, "Artificial Intelligence: A Modern Approach", 3rd edition (2010), figure 17.3."""
    world = built_in("russell_norvig")
    expected = [[0.812, 0.868, 0.918, 0.0], [0.762, np.nan, 0.660, 0.0], [0.705, 0.655, 0.611, 0.388]]
    values = optimal_q(world.to_mdp(), 1.0).max(axis=1)
    np.testing.assert_allclose(world.on_grid(values), expected, atol=5e-4)
    policy = greedy_policy(optimal_q(world.to_mdp(), 1.0))
    chosen = [ACTIONS[int(row.argmax())] for row in policy[~world.terminal]]
    assert (policy[~world.terminal].max(axis=1) == 1.0).all(), "no ties"
    assert chosen == ["right"] * 3 + ["up"] * 3 + ["left"] * 3


def test_the_cliff_is_passed_along_its_edge():
    """Sutton and Barto (2018), example 6.6: 13 steps; a step into the cliff costs 100 and leads to the start."""
    world = built_in("cliff")
    mdp = world.to_mdp()
    assert world.num_states == 38
    assert mdp.start @ optimal_q(mdp, 1.0).max(axis=1) == pytest.approx(-13.0)
    start, edge = state_at(world, 3, 0), state_at(world, 2, 5)
    assert mdp.rewards[start, RIGHT] == mdp.rewards[edge, DOWN] == -100.0
    assert mdp.transitions[start, RIGHT, start] == mdp.transitions[edge, DOWN, start] == 1.0
    assert mdp.rewards[state_at(world, 2, 11), DOWN] == -1.0


def test_four_rooms_have_104_cells_and_moves_that_fail_in_every_direction():
    """Sutton, Precup and Singh (1999): 2/3 as wanted, 1/9 in each other direction."""
    world = built_in("four_rooms")
    mdp = world.to_mdp()
    assert world.num_states == 104
    middle = state_at(world, 2, 2)
    around = {UP: (1, 2), RIGHT: (2, 3), DOWN: (3, 2), LEFT: (2, 1)}
    for action in around:
        for direction, cell in around.items():
            expected = 2 / 3 if direction == action else 1 / 9
            assert mdp.transitions[middle, action, state_at(world, *cell)] == pytest.approx(expected)


def test_the_frozen_lake_is_gymnasiums():
    world = built_in("frozen_lake")
    mdp = world.to_mdp()
    table = gymnasium.make("FrozenLake-v1").unwrapped.P  # type: ignore[attr-defined]
    for state in range(16):
        for action in range(4):
            transitions, reward = np.zeros(16), 0.0
            for probability, following, paid, terminated in table[state][3 - action]:  # left, down, right, up there
                transitions[following] += probability
                reward += probability * paid
                assert terminated == mdp.terminal[following]
            np.testing.assert_allclose(mdp.transitions[state, action], transitions, atol=1e-15)
            assert mdp.rewards[state, action] == pytest.approx(reward, abs=1e-15)
    assert mdp.start.tolist() == [1.0] + [0.0] * 15
    assert world.grid.max_steps == gymnasium.spec("FrozenLake-v1").max_episode_steps


def test_the_lake_is_crossed_as_often_as_gymnasium_says():
    """Its registry notes 0.74 for 100 steps; without a limit it is 14/17."""
    mdp = built_in("frozen_lake").to_mdp()
    values = np.zeros(16)
    for _ in range(100):
        values = action_values(mdp, values, 1.0).max(axis=1)
    assert values[0] == pytest.approx(0.74, abs=0.005)
    assert optimal_q(mdp, 1.0)[0].max() == pytest.approx(14 / 17)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("discount", [0.9, 0.99, 1.0])
def test_solvers_agree_on_every_map(name, discount):
    mdp = built_in(name).to_mdp()
    values = policy_iteration(mdp, discount).values[-1]
    np.testing.assert_allclose(value_iteration(mdp, discount).values, values, atol=1e-7)


@pytest.mark.parametrize("rules", ["slip: 0.2", "slip: 0.2\nstep_reward: -1", "slip: 0"])
@pytest.mark.parametrize("discount", [0.99, 1.0])
def test_a_large_room_is_solved_to_machine_precision(rules, discount):
    """Random play takes thousands of steps here, and most values nearly tie."""
    mdp = world_of(f"{rules}\nS{'.' * 19}\n" + f"{'.' * 20}\n" * 18 + f"{'.' * 19}G").to_mdp()
    q = optimal_q(mdp, discount)
    assert np.abs(q - bellman_optimality(mdp, q, discount)).max() <= 1e-12 * max(1.0, np.abs(q).max())


# The environment.


@pytest.mark.parametrize("name", MAPS)
def test_transitions_and_rewards_are_those_of_the_process(name):
    world = built_in(name, **({"slip": "0.3"} if name == "cliff" else {}))
    mdp = world.to_mdp()
    batch = world.new_batch(256, seed=1)
    counts, paid = np.zeros(mdp.transitions.shape), np.zeros(mdp.rewards.shape)
    rng = np.random.default_rng(2)
    for _ in range(2_000):
        state, actions = batch.state, rng.integers(4, size=256)
        step = batch.step(actions)
        seen = step.observation if step.final_observation is None else step.final_observation
        np.add.at(counts, (state, actions, seen.argmax(axis=1)), 1.0)
        np.add.at(paid, (state, actions), step.reward)
    assert not counts[mdp.transitions == 0.0].any(), "only what can happen happened"
    tried = counts.sum(axis=2)
    often = tried > 100
    assert often.sum() > 20
    # Six standard errors of a frequency, plus one count; a reward is off by as much as its frequency at most.
    shares = counts[often] / tried[often][:, None]
    expected = mdp.transitions[often]
    allowed = 6.0 * np.sqrt(expected * (1 - expected) / tried[often][:, None]) + 1.0 / tried[often][:, None]
    assert (np.abs(shares - expected) <= allowed).all()
    spread = np.ptp(world.outcomes.rewards)
    means = paid[often] / tried[often]
    assert (np.abs(means - mdp.rewards[often]) <= 6.0 * spread / 2 / np.sqrt(tried[often]) + 1e-6).all()


def test_mean_return_of_the_random_policy_is_its_exact_value():
    world = built_in("russell_norvig")
    mdp = world.to_mdp()
    exact = float(mdp.start @ policy_evaluation(mdp, uniform_policy(mdp), 1.0))
    batch, returns, running = world.new_batch(512, seed=3), [], np.zeros(512)
    for step in random_steps(batch, 1_000):
        running += step.reward
        returns += running[step.ended].tolist()
        running[step.ended] = 0.0
    assert len(returns) > 10_000
    assert np.mean(returns) == pytest.approx(exact, abs=5 * np.std(returns) / np.sqrt(len(returns)))


@pytest.mark.parametrize("name", MAPS)
def test_equal_seeds_give_equal_episodes(name):
    first, second, other = (built_in(name).new_batch(8, seed) for seed in (5, 5, 6))
    same = [*zip(random_steps(first, 200), random_steps(second, 200))]
    for a, b in same:
        for field in ("observation", "reward", "discount", "ended"):
            assert (getattr(a, field) == getattr(b, field)).all()
    if built_in(name).grid.slip:
        different = random_steps(other, 200)
        assert any((a.observation != b.observation).any() for (a, _), b in zip(same, different))


@pytest.mark.parametrize("name", MAPS)
def test_steps_have_the_declared_shapes_and_meanings(name):
    world = built_in(name, max_steps="50")
    batch = world.new_batch(16, seed=0)
    assert batch.observation.shape == (16, world.num_states) == (16, *world.observation_shape)
    steps_of = np.zeros(16, np.int64)
    for step in random_steps(batch, 300):
        steps_of += 1
        assert step.observation is batch.observation
        assert step.observation.dtype == world.observation_dtype and step.reward.dtype == np.float32
        assert step.discount.dtype == np.float32 and step.ended.dtype == np.bool_
        assert (step.observation.sum(axis=1) == 1.0).all() and (step.observation.max(axis=1) == 1.0).all()
        assert (step.final_observation is not None) == step.ended.any()
        if step.final_observation is None:
            assert (step.discount == 1.0).all()
            continue
        last = step.final_observation.argmax(axis=1)
        terminated = world.terminal[last]
        assert ((step.discount == 0.0) == terminated).all() and (step.discount[~terminated] == 1.0).all()
        assert (step.ended == (terminated | (steps_of == 50))).all()
        assert np.isin(step.observation[step.ended].argmax(axis=1), world.starts).all(), "a new episode has begun"
        steps_of[step.ended] = 0


@pytest.mark.parametrize("slips", ["slip=0.8,slip_back=0.2", "slip=0.9,slip_back=0.1"])
def test_a_world_where_no_move_goes_as_it_should_has_a_process(slips):
    optimal_q(load_environment(f"grid_world(map=russell_norvig,{slips})").to_mdp(), 0.9)


def test_the_goal_ends_and_the_limit_cuts_off():
    world = world_of("max_steps: 3\nS.G")
    batch = world.new_batch(2, seed=0)
    batch.step(np.array([RIGHT, LEFT]))
    step = batch.step(np.array([RIGHT, LEFT]))
    assert step.reward.tolist() == [1.0, 0.0] and step.discount.tolist() == [0.0, 1.0]
    assert step.ended.tolist() == [True, False]
    assert step.final_observation is not None
    assert step.final_observation.tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    assert step.observation.tolist() == [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    step = batch.step(np.array([RIGHT, RIGHT]))
    assert step.ended.tolist() == [False, True] and step.discount.tolist() == [1.0, 1.0]
    assert step.final_observation is not None and step.final_observation[1].tolist() == [0.0, 1.0, 0.0]


def test_the_goal_reached_at_the_limit_is_an_end():
    batch = world_of("max_steps: 2\nS.G").new_batch(1, seed=0)
    batch.step(np.array([RIGHT]))
    assert batch.step(np.array([RIGHT])).discount.tolist() == [0.0]


def test_arrays_that_were_handed_out_are_not_written_again():
    batch = built_in("russell_norvig").new_batch(4, seed=0)
    kept = [batch.observation, batch.state]
    for step in random_steps(batch, 100):
        kept += [step.observation, step.reward, step.discount, step.ended, batch.state]
        kept += [] if step.final_observation is None else [step.final_observation]
    copies = [array.copy() for array in kept]
    assert len([*random_steps(batch, 100, seed=1)]) == 100
    assert all((a == b).all() for a, b in zip(kept, copies))


def test_episodes_begin_at_every_start():
    world = world_of("S.G\nSSS")
    states = world.new_batch(4_000, seed=0).state
    assert np.bincount(states, minlength=6)[world.starts] == pytest.approx([1_000] * 4, abs=150)
    assert world.to_mdp().start.tolist() == [0.25, 0.0, 0.0, 0.25, 0.25, 0.25]


@pytest.mark.parametrize("actions", [np.array([4]), np.array([-1]), np.array([0, 1]), np.array([0.5]), np.array(0)])
def test_actions_that_do_not_exist_are_refused_and_nothing_moves(actions):
    batch = built_in("cliff").new_batch(1, seed=0)
    before = batch.observation.copy()
    with pytest.raises(GameError):
        batch.step(actions)
    assert (batch.observation == before).all()


def test_a_frame_shows_the_agent_on_the_map():
    batch = world_of("SG").new_batch(1, seed=0)
    frame = batch.frame()
    assert frame.shape == (24, 48, 3) and frame.dtype == np.uint8
    assert (frame[12, 12] != frame[1, 1]).any() and (frame[12, 36] == frame[1, 25]).all()


# Texts.


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("grid_world", "grid_world(map=russell_norvig)"),
        ("grid_world(map=cliff)", "grid_world(map=cliff)"),
        ("grid_world(slip=0.1,map=cliff)", "grid_world(map=cliff,slip=0.1)"),
        ("grid_world(map=russell_norvig,slip=0.2)", "grid_world(map=russell_norvig)"),
        ("grid_world(map=cliff,max_steps=20,goal_reward=5)", "grid_world(goal_reward=5.0,map=cliff,max_steps=20)"),
    ],
)
def test_names_are_canonical_and_load_again(text, name):
    world = load_environment(text)
    assert isinstance(world, GridWorld)
    assert world.name == name
    again = load_environment(name)
    assert isinstance(again, GridWorld)
    assert again.grid == world.grid and again.name == name


def test_a_map_in_a_file_is_the_same_as_one_by_name(tmp_path: Path):
    path = tmp_path / "cliff.txt"
    path.write_text(MAPS["cliff"], encoding="utf-8")
    world = built_in(str(path), slip="0.5")
    assert world.name == f"grid_world(map={path},slip=0.5)"
    assert (world.to_mdp().transitions == built_in("cliff", slip="0.5").to_mdp().transitions).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("step_reward: -1", "has no rows"),
        ("S.\nG", "row 2 has 1 cells, row 1 has 2; make all rows equally long"),
        ("S.\n\nG.", "row 2 has 0 cells"),
        ("S?G", "row 1, column 2: '?' is no cell; use one of # . S G X C"),
        ("..G", "has no start; mark one with S"),
        ("S..", "has no goal; mark one with G"),
        ("SCS.G", "has a cliff and 2 starts"),
        ("S.G#.", "row 1, column 5 cannot be reached from a start; make it a wall"),
        ("S.G.X", "row 1, column 4 cannot be reached from a start"),
        ("S.G#S", "row 1, column 5 cannot reach a goal or pit"),
        ("SCG", "row 1, column 3 cannot be reached from a start"),
        ("speed: 3\nSG", "unknown parameter 'speed'; it has: cliff_reward, goal_reward"),
        ("slip: much\nSG", "slip=much is not of type float"),
        ("slip: 0.1\nslip: 0.2\nSG", "gives 'slip' twice or without a number"),
        ("slip:\nSG", "gives 'slip' twice or without a number"),
        ("slip: 1.5\nSG", "slip=1.5 and slip_back=0.0 are no probabilities"),
        ("slip: 0.6\nslip_back: 0.6\nSG", "are no probabilities"),
        ("slip: -0.1\nSG", "are no probabilities"),
        ("max_steps: 0\nSG", "max_steps=0 ends no episode"),
        ("max_steps: 1.5\nSG", "max_steps=1.5 is not of type int"),
        ("goal_reward: inf\nSG", "out of range"),
        ("SG\nslip: 0.1", "row 2 has 9 cells"),
        ("S" + "." * 2_000 + "G", "has 2,002 cells to stand on; 2,000 can be solved exactly"),
    ],
)
def test_bad_maps_are_refused_with_one_line(text, message):
    with pytest.raises(GameError) as caught:
        parse_map("drawn", text)
    assert message in str(caught.value)
    assert str(caught.value).startswith("grid_world: ") and "\n" not in str(caught.value)


def test_files_that_are_no_maps_are_refused(tmp_path: Path):
    (tmp_path / "image").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "huge").write_bytes(b"." * (MAX_FILE_BYTES + 1))
    for name, message in (
        ("clif", "did you mean cliff?"),
        ("nowhere.txt", "four_rooms, frozen_lake, russell_norvig, start_anywhere or the path of a text file"),
        (str(tmp_path), "cannot read map"),
        ("\0", "cannot read map"),
        (str(tmp_path / "image"), "is no text in UTF-8"),
        (str(tmp_path / "huge"), "more than 100,000 bytes"),
    ):
        with pytest.raises(GameError) as caught:
            load_map(name)
        assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"speed": "3"}, "unknown parameter 'speed'"),
        ({"slip": "2"}, "slip=2.0"),
        ({"max_steps": "-3"}, "max_steps=-3 ends no episode"),
        ({"map": "cliff", "slip": "nan"}, "slip=nan is not of type float"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(GameError, match=message):
        load_grid_world(parameters)


def test_every_character_of_the_legend_is_used_by_some_map():
    assert set("".join("".join(load_map(name).rows) for name in MAPS)) == set(LEGEND)
