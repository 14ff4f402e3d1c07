"""Gymnasium's environments: the laws, and each step against the same environment stepped by hand."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from environment_helpers import check_laws, play
from gymnasium.error import DependencyNotInstalled
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, OneOf, Sequence, Text, Tuple

from games import GameError, load_environment
from games.environments.environment import Environment
from games.environments.gymnasium import GymnasiumBatch, GymnasiumEnvironment
from games.environments.gymnasium_spaces import ObservationSpace
from games.environments.gymnasium_vector import episode_seeds

ROOT = Path(__file__).parents[2]


class Corridor(gym.Env):
    """Walk to 3. Whatever can be unusual is: actions begin at 2, and all observations are one array."""

    def __init__(self, length: int = 3, slow: bool = False, scale: float = 1.0, label: str = "") -> None:
        self.settings = (length, slow, scale, label)
        self.length = length
        self.action_space = Discrete(2, start=2)
        self.observation_space = Box(-1e3, 1e3, (2,), np.float64)
        self._seen = np.zeros(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._seen[:] = 0.0, self.np_random.uniform()
        return self._seen, {}

    def step(self, action):
        assert action in (2, 3)
        self._seen[0] += action - 2
        return self._seen, self._seen[0], self._seen[0] >= self.length, False, {}


class Spaces(gym.Env):
    """Ends at once; has whatever spaces it is told."""

    SPACES = {
        "choice": Discrete(2),
        "dict": Dict({"a": Discrete(2)}),
        "many": MultiDiscrete([2, 3]),
        "too_many": MultiDiscrete([8] * 8),
        "from_minus_one": MultiDiscrete([2, 3], start=[-1, 5]),
        "switches": MultiBinary(3),
        "late_choice": Discrete(3, start=-1),
        "huge_choice": Discrete(1_000_000),
        "text": Text(5),
        "sequence": Sequence(Discrete(3)),
        "nested_sequence": Dict(a=Discrete(2), b=Sequence(Discrete(3))),
        "graph": Graph(Box(0, 1, (2,)), None),
        "one_of": OneOf([Discrete(2), Discrete(3)]),
        "nested": Dict(
            hand=Tuple([Discrete(3, start=1), MultiBinary([2, 2])]),
            place=Box(-1, 1, (2, 1), np.float64),
            speed=Box(0, 9, (), np.int64),
            level=MultiDiscrete([2, 2]),
            label=Text(9),
        ),
        "picture_and_text": Dict(image=Box(0, 255, (7, 7, 3), np.uint8), mission=Text(30)),
        "picture_and_choice": Dict(image=Box(0, 255, (7, 7, 3), np.uint8), direction=Discrete(4)),
        "picture_and_numbers": Dict(image=Box(0, 255, (6, 5, 3), np.uint8), place=Box(-9, 9, (2,))),
        "two_pictures": Tuple([Box(0, 255, (6, 5, 3), np.uint8), Box(0, 255, (1, 6, 5), np.uint8)]),
        "pictures_apart": Tuple([Box(0, 255, (6, 5, 3), np.uint8), Box(0, 255, (3, 4, 4), np.uint8)]),
        "unbounded": Box(-np.inf, np.inf, (2,)),
        "wide": Box(-1e300, 1e300, (2,), np.float64),
        "far": Box(-3e38, 3e38, (2,)),
        "none": Box(-1, 1, (0,)),
        "whole": Box(0, 5, (2,), np.int64),
        "box": Box(-1, 1, (2, 2)),
        "number": Box(0, 1, ()),
        "picture": Box(0, 255, (6, 5, 3), np.uint8),
        "planes": Box(0, 255, (3, 6, 4), np.uint8),
        "few": Box(0, 7, (4,), np.uint8),
    }

    def __init__(self, act: str = "choice", see: str = "box") -> None:
        self.action_space, self.observation_space = self.SPACES[act], self.SPACES[see]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        return self.observation_space.sample(), 0.0, True, True, {}


def without_library(**parameters):
    raise DependencyNotInstalled('Sums is not installed, run `pip install "gymnasium[sums]"`\nand be happy')


gym.register("Corridor-v0", Corridor)
gym.register("Spaces-v0", Spaces)
gym.register("Sums-v0", without_library)

STEPPED_BY_HAND = [
    "Corridor-v0(length=4)",
    "Acrobot-v1(max_episode_steps=30)",
    "Pendulum-v1(max_episode_steps=25)",
    "MountainCarContinuous-v0(max_episode_steps=40)",
]
MUJOCO = ["HalfCheetah-v5(max_episode_steps=20)", "Hopper-v5(frame_skip=8)"]
needs_mujoco = pytest.mark.skipif(
    importlib.util.find_spec("mujoco") is None, reason="MuJoCo is not installed: pip install 'gymnasium[mujoco]'"
)


def load(text: str) -> GymnasiumEnvironment:
    environment = load_environment(text)
    assert isinstance(environment, GymnasiumEnvironment)
    return environment


@pytest.mark.parametrize(
    "text",
    [
        "CartPole-v1",
        "CartPole-v1(max_episode_steps=9)",
        *STEPPED_BY_HAND,
        *(pytest.param(text, marks=needs_mujoco) for text in MUJOCO),
    ],
)
def test_laws(text: str) -> None:
    environment = load_environment(text)
    assert environment.name == text and load_environment(environment.name).name == text
    played = check_laws(environment, num_steps=60)
    assert played.ends() >= 3
    assert not play(environment.new_batch(3, seed=6), 60, seed=1).same(played)


@pytest.mark.parametrize("text", [*STEPPED_BY_HAND, *(pytest.param(text, marks=needs_mujoco) for text in MUJOCO)])
def test_steps_are_those_of_single_environments(text: str) -> None:
    check_against_single_ones(load(text), num_envs=3)


@pytest.mark.parametrize("text", ["CartPole-v1", "CartPole-v1(max_episode_steps=12)"])
def test_the_vector_cart_pole_is_the_single_one(text: str) -> None:
    # One generator draws the starts of all copies, so the episodes are those of a single one only for a batch of one.
    check_against_single_ones(load(text), num_envs=1, num_steps=150)


def check_against_single_ones(environment: GymnasiumEnvironment, num_envs: int, num_steps: int = 80) -> None:
    batch = environment.new_batch(num_envs, seed=11)
    played = play(batch, num_steps)
    ends = []
    for i, seed in enumerate(episode_seeds(11, num_envs).tolist()):
        env = gym.make(environment.spec, disable_env_checker=True, **environment.parameters)
        space = env.action_space
        np.testing.assert_array_equal(played.observations[0][i], env.reset(seed=seed)[0].astype(np.float32))
        for actions, step in zip(played.actions, played.steps):
            action = actions[i] + space.start if isinstance(space, Discrete) else actions[i].clip(space.low, space.high)
            observation, reward, terminated, truncated, _ = env.step(action)
            assert step.reward[i] == np.float32(reward)
            assert step.discount[i] == (0.0 if terminated else 1.0)
            assert step.ended[i] == (terminated or truncated)
            if step.ended[i]:
                np.testing.assert_array_equal(step.final_observation[i], observation.astype(np.float32))
                observation, _ = env.reset()
                ends.append(terminated)
            np.testing.assert_array_equal(step.observation[i], observation.astype(np.float32))
    assert ends


def test_copies_of_cart_pole_do_not_disturb_each_other() -> None:
    environment = load("CartPole-v1(max_episode_steps=30)")
    played = play(environment.new_batch(8, seed=2), 120)
    single = gym.make("CartPole-v1").unwrapped
    age = np.zeros(8, dtype=int)
    for t, step in enumerate(played.steps):
        age += 1
        for i in range(8):
            single.reset()
            single.state = played.observations[t][i].astype(np.float64)
            observation, _, terminated, _, _ = single.step(int(played.actions[t][i]))
            last = step.final_observation if step.ended[i] else step.observation
            np.testing.assert_allclose(last[i], observation, atol=1e-5)
            assert (step.discount[i], step.ended[i]) == (1.0 - terminated, terminated or age[i] == 30)
            if step.ended[i]:
                assert np.abs(step.observation[i]).max() <= 0.05
                age[i] = 0


def balanced(observation: np.ndarray) -> np.ndarray:
    """Actions that keep the pole of Cart-Pole upright for ever, as far as anybody has seen."""
    position, velocity, angle, turning = observation.T
    return (angle + 0.5 * turning + 0.05 * position + 0.1 * velocity > 0).astype(np.int64)


def test_a_balanced_pole_is_cut_off_after_500_steps_and_what_follows_has_a_value() -> None:
    batch = load_environment("CartPole-v1").new_batch(4, seed=3)
    assert batch.environment.solved_return == 475.0
    for _ in range(499):
        step = batch.step(balanced(batch.observation))
        assert not step.ended.any() and (step.reward == 1.0).all()
    step = batch.step(balanced(batch.observation))
    assert step.ended.all() and (step.discount == 1.0).all()
    assert (np.abs(step.final_observation[:, 0]) < 2.4).all()
    assert not batch.step(balanced(batch.observation)).ended.any()


def test_a_pole_without_a_limit_is_not_cut_off() -> None:
    batch = load("CartPole-v1(max_episode_steps=-1)").new_batch(2, seed=0)
    assert not batch.step(np.zeros(2, np.int64)).ended.any()
    batch.close()


def test_an_end_that_is_also_a_cut_off_is_an_end() -> None:
    step = load("Spaces-v0").new_batch(2, 0).step(np.array([0, 1]))
    assert step.ended.all() and (step.discount == 0.0).all()


def test_the_last_observation_survives_an_environment_that_writes_it_again() -> None:
    batch = load("Corridor-v0(length=1)").new_batch(2, seed=0)
    start = batch.observation.copy()
    step = batch.step(np.array([1, 0]))
    assert step.ended.tolist() == [True, False]
    assert step.final_observation[0].tolist() == [1.0, start[0, 1]]
    assert step.observation[0, 0] == 0.0 and step.observation[0, 1] != start[0, 1]


def test_parameters_have_types() -> None:
    environment = load("Corridor-v0(length=4, slow=true, scale=0.5, label=x)")
    assert environment.name == "Corridor-v0(label=x,length=4,scale=0.5,slow=True)"
    assert [type(value) for value in environment.parameters.values()] == [int, bool, float, str]
    assert gym.make(environment.spec, **environment.parameters).unwrapped.settings == (4, True, 0.5, "x")
    assert load(environment.name).parameters == environment.parameters


def test_an_environment_can_come_from_a_module() -> None:
    assert load("test_environments_gymnasium:Corridor-v0").name == "test_environments_gymnasium:Corridor-v0"


def test_actions_outside_the_bounds_count_as_the_bounds() -> None:
    environment = load("Pendulum-v1")
    assert environment.is_continuous and environment.num_actions == 0
    assert (environment.action_low.tolist(), environment.action_high.tolist()) == ([-2.0], [2.0])
    inside, outside, small = (environment.new_batch(2, seed=1) for _ in range(3))
    expected = inside.step(np.array([[2.0], [-2.0]], np.float32))
    np.testing.assert_array_equal(outside.step(np.array([[7.0], [-np.inf]])).observation, expected.observation)
    assert not np.array_equal(small.step(np.array([[1.0], [-1.0]])).observation, expected.observation)


@pytest.mark.parametrize(
    ("text", "actions"),
    [
        ("CartPole-v1", [0, 2]),
        ("CartPole-v1", [0, -1]),
        ("CartPole-v1", [0]),
        ("CartPole-v1", [0.0, 1.0]),
        ("Corridor-v0", [2, 3]),
        ("Pendulum-v1", [[0.0], [np.nan]]),
        ("Pendulum-v1", [0.0, 1.0]),
    ],
)
def test_actions_that_do_not_exist_are_refused(text: str, actions: list) -> None:
    batch = load(text).new_batch(2, seed=0)
    with pytest.raises(GameError) as refused:
        batch.step(np.array(actions))
    assert "\n" not in str(refused.value)


def test_pictures_have_their_planes_first_and_stay_bytes() -> None:
    environment = load("Spaces-v0(see=picture)")
    assert environment.observation_shape == (3, 6, 5) and environment.observation_dtype == np.uint8
    picture = np.arange(90, dtype=np.uint8).reshape(1, 6, 5, 3)
    np.testing.assert_array_equal(environment.observations(picture)[0, 2], picture[0, :, :, 2])
    check_laws(environment, num_steps=3)
    assert load("Spaces-v0(see=planes)").observation_shape == (3, 6, 4)
    assert load("Spaces-v0(see=few)").observation_dtype == np.float32
    assert load("Spaces-v0(see=number)").observation_shape == (1,)
    check_laws(load("Spaces-v0(see=number,act=box)"), num_steps=3)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Spaces-v0(see=text)", "text alone; what is taken: Box, Discrete"),
        ("Spaces-v0(see=sequence)", "have Sequence(Discrete(3), stack=False); what is taken: Box, Discrete"),
        ("Spaces-v0(see=nested_sequence)", "observations have Sequence"),
        ("Spaces-v0(see=graph)", "observations have Graph"),
        ("Spaces-v0(see=one_of)", "observations have OneOf"),
        ("Spaces-v0(see=huge_choice)", "1,000,000 one-hot numbers; at most 100,000 are taken"),
        ("Spaces-v0(see=choice,channels=last)", "channels=last is for pictures"),
        ("Spaces-v0(see=picture,channels=middle)", "channels is first, last, none or left out"),
        ("Spaces-v0(act=whole)", "what is taken: one Discrete choice, a Box of real numbers with bounds"),
        ("Spaces-v0(act=too_many)", "16,777,216 combinations; what is taken: one Discrete choice"),
        ("Spaces-v0(act=dict)", "actions are Dict('a': Discrete(2)); what is taken: one Discrete choice"),
        ("Spaces-v0(act=unbounded)", "no bounds"),
        ("Spaces-v0(act=wide)", "Box(-1e+300, 1e+300, (2,), float64), whose range float32 cannot hold"),
        ("Spaces-v0(act=far)", "whose range float32 cannot hold"),
        ("Spaces-v0(act=none)", "its actions are Box([], [], (0,), float32), of no numbers"),
        ("Spaces-v0(see=none)", "its observations are Box([], [], (0,), float32), of no numbers"),
        ("Sums-v0", 'pip install "gymnasium[sums]"`'),
        ("Corridor-v0(width=2)", "unexpected keyword argument 'width'"),
        ("Corridor-v0(length)", "is not key=value"),
        ("CartPole-v1(render_mode=human)", "render_mode is rgb_array"),
        ("CartPole-v1(disable_env_checker=true)", "leave it out"),
        ("CartPole-v1((", "malformed environment"),
        ("", "malformed environment"),
        ("CartPol-v1", "did you mean CartPole-v1"),
        ("cartpole", "did you mean CartPole-v1"),
        ("HalfCheeta-v5", "did you mean HalfCheetah-v5"),
        ("PongNoFrameskip-v4", "did you mean ALE/Pong-v5"),
        ("tic_tac_toe", "did you mean game:tic_tac_toe"),
        ("gridworld", "did you mean grid_world"),
        ("no_such_module:CartPole-v1", "cannot import the module"),
        ("sys:Nothing-v0", "does not register 'Nothing-v0'"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(GameError) as refused:
        load_environment(text)
    assert complaint in str(refused.value) and "\n" not in str(refused.value)


ONE_ROW = {
    "choice": 2,
    "late_choice": 3,
    "dict": 2,
    "many": 5,
    "from_minus_one": 5,
    "nested": 3 + 4 + 2 + 1 + 4,
    "switches": 3,
    "pictures_apart": 90 + 48,
}


@pytest.mark.parametrize("see", ONE_ROW)
@pytest.mark.parametrize("act", ["choice", "late_choice", "from_minus_one", "switches", "box"])
def test_every_space_of_numbers_keeps_the_laws(see: str, act: str) -> None:
    environment = load(f"Spaces-v0(act={act},see={see})")
    assert environment.observation_shape == (ONE_ROW[see],) and environment.observation_dtype == np.float32
    check_laws(environment, num_steps=3)


def test_choices_are_one_hot_from_their_start() -> None:
    batch = load("Spaces-v0(see=late_choice)").new_batch(40, seed=1)
    assert batch.observation.sum(axis=1).tolist() == [1.0] * 40 and (batch.observation.sum(axis=0) > 0).all()


def test_numbers_of_a_nested_space_stand_in_the_order_of_gymnasium() -> None:
    environment = load("Spaces-v0(see=nested)")
    value = {
        "hand": (3, np.array([[0, 1], [1, 0]], np.int8)),
        "place": np.array([[0.5], [-0.5]]),
        "speed": np.array(7),
        "level": np.array([1, 0]),
        "label": "left out",
    }
    text = str(Spaces.SPACES["nested"])
    row = environment._observations.read_one(value)
    assert row.tolist() == [0, 0, 1, 0, 1, 1, 0, 0.5, -0.5, 7, 0, 1, 1, 0]
    assert environment.notes == (
        "Spaces-v0(see=nested): label left out of the observations: text",
        f"Spaces-v0(see=nested): observations {text} are read as a row of 14 numbers, choices one-hot",
    )


def test_a_choice_outside_its_space_is_refused_by_name() -> None:
    environment = load("Spaces-v0(see=nested)")
    with pytest.raises(GameError, match=r"^hand.0 is 9, which is not in its Discrete\(3, start=1\)$"):
        environment._observations.read_one({"hand": (9, np.zeros((2, 2), np.int8)), "place": np.zeros((2, 1))})


def test_combinations_of_choices_are_one_choice() -> None:
    environment = load("Spaces-v0(act=from_minus_one)")
    assert environment.num_actions == 6
    given = environment.actions(6, np.arange(6))
    assert given.tolist() == [[-1, 5], [-1, 6], [-1, 7], [0, 5], [0, 6], [0, 7]]
    assert load("Spaces-v0(act=switches)").actions(3, np.array([0, 1, 6])).tolist() == [[0, 0, 0], [0, 0, 1], [1, 1, 0]]


def test_a_picture_with_text_is_that_picture() -> None:
    environment = load("Spaces-v0(see=picture_and_text)")
    assert environment.observation_shape == (3, 7, 7) and environment.observation_dtype == np.uint8
    assert [note.partition(": ")[2] for note in environment.notes] == [
        "mission left out of the observations: text",
        "observations [7, 7, 3] are read as 3 channels, 7 rows, 7 columns (channels last; channels=first as a "
        "parameter reads them otherwise)",
    ]
    check_laws(environment, num_steps=3)


class Mission(Spaces):
    """Says more than its space of texts has letters for."""

    def __init__(self) -> None:
        super().__init__(see="picture_and_text")

    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed)
        return {**observation, "mission": "go to the green square, please!" * 9}, info

    def step(self, action):
        observation, *rest = super().step(action)
        return {**observation, "mission": ""}, *rest


gym.register("Mission-v0", Mission)


def test_text_that_is_left_out_may_be_any_text() -> None:
    played = check_laws(load("Mission-v0"), num_steps=3)
    assert played.ends() == 9


def test_numbers_beside_a_picture_are_planes_of_it() -> None:
    environment = load("Spaces-v0(see=picture_and_choice)")
    assert environment.observation_shape == (7, 7, 7) and environment.observation_dtype == np.uint8
    picture = np.arange(147, dtype=np.uint8).reshape(7, 7, 3)
    seen = environment._observations.read_one({"image": picture, "direction": 2})
    assert seen[3:].min(axis=(1, 2)).tolist() == [0, 0, 255, 0] == seen[3:].max(axis=(1, 2)).tolist()
    assert np.array_equal(seen[:3], picture.transpose(2, 0, 1))
    assert "direction: a plane of the picture for every number" in environment.notes[-1]
    numbers = load("Spaces-v0(see=picture_and_numbers)")
    assert numbers.observation_shape == (5, 6, 5) and numbers.observation_dtype == np.float32
    seen = numbers._observations.read_one({"image": np.full((6, 5, 3), 51, np.uint8), "place": np.array([-4.0, 8.0])})
    assert seen[:, 2, 2] == pytest.approx([0.2, 0.2, 0.2, -4.0, 8.0])
    assert load("Spaces-v0(see=two_pictures)").observation_shape == (4, 6, 5)
    for see in ("picture_and_choice", "picture_and_numbers", "two_pictures"):
        check_laws(load(f"Spaces-v0(see={see})"), num_steps=3)


LAYOUTS = {  # shape and dtype of a Box -> channels, rows, columns
    ((84, 84, 3), np.float32): (3, 84, 84),
    ((3, 84, 84), np.float32): (3, 84, 84),
    ((4, 84, 84), np.uint8): (4, 84, 84),
    ((84, 84, 4), np.float32): (4, 84, 84),
    ((84, 84, 12), np.uint8): (12, 84, 84),
    ((4, 84, 84, 3), np.uint8): (12, 84, 84),
    ((4, 3, 84, 84), np.float32): (12, 84, 84),
    ((4, 4, 84, 84), np.uint8): (16, 84, 84),
    ((84, 84), np.float32): (1, 84, 84),
    ((210, 160), np.uint8): (1, 210, 160),
    ((210, 160, 3), np.float64): (3, 210, 160),
    ((3, 210, 160), np.float64): (3, 210, 160),
    ((4, 96, 72, 1), np.float32): (4, 96, 72),
    ((64, 64, 1), np.uint8): (1, 64, 64),
    ((10, 10, 4), np.float32): (4, 10, 10),
    ((7, 7, 20), np.float32): (20, 7, 7),
    ((20, 7, 7), np.float32): (20, 7, 7),
    ((9, 9, 9), np.float32): (9, 9, 9),
}


@pytest.mark.parametrize(("box", "expected"), LAYOUTS.items(), ids=str)
def test_rows_are_not_taken_for_channels(box: tuple, expected: tuple) -> None:
    shape, dtype = box
    read = ObservationSpace(Box(0, 255 if dtype == np.uint8 else 1, shape, dtype))
    assert read.layout.shape == expected
    assert len(read.notes) == 1 and f"{expected[0]} channel" in read.notes[0]
    assert f"{expected[1]} rows, {expected[2]} columns" in read.notes[0] and "channels=" in read.notes[0]
    batch = np.random.default_rng(0).integers(2, size=(2, *shape)).astype(dtype)
    assert read.read_batch(batch).shape == (2, *expected)
    assert tuple(shape[axis] for axis in read.layout.order[-2:]) == expected[1:]


@pytest.mark.parametrize("shape", [(5, 5), (40, 3), (100, 2, 2), (1, 1, 64), (2, 3, 4, 5, 6)])
def test_tables_of_numbers_are_no_pictures(shape: tuple[int, ...]) -> None:
    read = ObservationSpace(Box(-1, 1, shape))
    assert read.layout.shape == shape and read.notes == []


def test_channels_can_be_set() -> None:
    square = Box(0, 1, (9, 9, 5))
    assert ObservationSpace(square).layout.shape == (5, 9, 9)
    assert ObservationSpace(square, "first").layout.shape == (9, 9, 5)
    assert ObservationSpace(Box(0, 1, (9, 9, 9)), "last").layout.order == (2, 0, 1)
    assert ObservationSpace(square, "none").layout.shape == (405,)
    assert ObservationSpace(Box(0, 1, (8, 8)), "first").layout.shape == (1, 8, 8)
    assert ObservationSpace(Box(0, 1, (4, 9, 9, 9)), "last").layout.shape == (36, 9, 9)
    assert ObservationSpace(Box(0, 1, (4, 9, 9, 9)), "first").layout.order == (0, 1, 2, 3)
    environment = load("Spaces-v0(channels=first,see=picture)")
    assert environment.name == "Spaces-v0(channels=first,see=picture)" and environment.observation_shape == (6, 5, 3)
    with pytest.raises(GameError, match="for pictures of 2 to 4 axes"):
        ObservationSpace(Box(0, 1, (9,)), "last")


def test_frames_of_a_stack_stay_together() -> None:
    stack = np.arange(2 * 6 * 6 * 3, dtype=np.uint8).reshape(1, 2, 6, 6, 3)
    seen = ObservationSpace(Box(0, 255, stack.shape[1:], np.uint8)).read_batch(stack)
    assert np.array_equal(seen[0, :3], stack[0, 0].transpose(2, 0, 1))
    assert np.array_equal(seen[0, 3:], stack[0, 1].transpose(2, 0, 1))


def test_pictures_from_0_to_255_are_scaled_whatever_their_type() -> None:
    whole = ObservationSpace(Box(0, 255, (6, 6, 3), np.int32))
    assert whole.layout.dtype == np.uint8 and whole.read_batch(np.full((1, 6, 6, 3), 200, np.int32)).max() == 200
    beyond = np.array([-1, 300, 5] * 36, np.int32).reshape(1, 6, 6, 3)
    assert whole.read_batch(beyond)[0, :, 0, 0].tolist() == [0, 255, 5], "not 255 and 44"
    fractions = ObservationSpace(Box(0, 255, (6, 6, 3), np.float32))
    seen = fractions.read_batch(np.full((1, 6, 6, 3), 127.5, np.float32))
    assert seen.dtype == np.float32 and seen.max() == 0.5 and fractions.notes[0].endswith(", divided by 255")


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)


def test_importing_games_does_not_wait_for_gymnasium() -> None:
    result = run("import sys, games; print(sorted({'gymnasium', 'ale_py', 'mujoco'} & set(sys.modules)))")
    assert result.stdout.strip() == "[]", result.stderr


def test_without_mujoco_the_error_says_what_to_install() -> None:
    result = run(
        "import sys\nsys.modules['mujoco'] = None\nimport games\n"
        "try: games.load_environment('HalfCheetah-v5')\n"
        "except games.GameError as error: print(error)"
    )
    assert 'pip install "gymnasium[mujoco]"' in result.stdout and result.stdout.count("\n") == 1, result.stderr


@needs_mujoco
def test_half_cheetah_is_what_the_papers_have() -> None:
    environment: Environment = load("HalfCheetah-v5")
    assert environment.observation_shape == (17,) and environment.solved_return == 4800.0
    assert environment.action_low.tolist() == [-1.0] * 6 and environment.action_high.tolist() == [1.0] * 6


@needs_mujoco
def test_mujoco_leaves_no_log_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    batch = load("HalfCheetah-v5").new_batch(2, seed=0)
    assert isinstance(batch, GymnasiumBatch)
    batch._vector.envs[0].unwrapped.data.qvel[:] = np.nan
    with pytest.warns(RuntimeWarning, match="MuJoCo: Nan, Inf or huge value"):
        batch.step(np.zeros((2, 6)))
    assert not list(tmp_path.iterdir())


class Painted(Corridor):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        self.render_mode = render_mode

    def render(self):
        return np.full((4, 6, 3), 10 * self._seen[0], np.uint8)


class Misdrawn(Painted):
    """Pictures as some environments give them."""

    PICTURES = {
        "opacity": np.full((4, 6, 4), 9, np.uint8),
        "fractions": np.full((4, 6, 3), 0.5),
        "grey": np.zeros((4, 6), np.uint8),
        "channels_first": np.zeros((3, 4, 6), np.uint8),
        "nothing": None,
    }

    def __init__(self, picture: str, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self.picture = self.PICTURES[picture]

    def render(self):
        return self.picture


gym.register("Painted-v0", Painted)
gym.register("Misdrawn-v0", Misdrawn)


@pytest.mark.parametrize("picture", Misdrawn.PICTURES)
def test_pictures_that_are_no_colours_are_not_filmed_as_black(picture: str) -> None:
    batch = load(f"Misdrawn-v0(picture={picture},render_mode=rgb_array)").new_batch(1, seed=0)
    if picture == "opacity":
        assert (batch.frame() == 9).all() and batch.frame().shape == (4, 6, 3)
        return
    with pytest.raises(GameError, match=r"render\(\) gives .*; a picture is bytes, \[rows, columns, 3\]"):
        batch.frame()


def test_frames_are_drawn_where_they_are_asked_for() -> None:
    batch = load("Painted-v0(render_mode=rgb_array)").new_batch(1, seed=0)
    assert isinstance(batch, GymnasiumBatch)
    for expected in (10, 20, 0):
        batch.step(np.array([1]))
        frame = batch.frame()
        assert (frame.shape, frame.dtype) == ((4, 6, 3), np.uint8) and (frame == expected).all()
    with pytest.raises(GameError, match="render_mode=rgb_array"):
        load("Painted-v0").new_batch(1, seed=0).frame()


@needs_mujoco
def test_the_camera_follows_what_runs_unless_another_is_named() -> None:
    text = "Ant-v5(render_mode=rgb_array)"
    environment = load(text)
    assert environment.name == text and environment.parameters["camera_name"] == "track"
    assert "camera_name" not in load("Ant-v5").parameters
    assert "camera_name" not in load("Ant-v5(camera_id=0,render_mode=rgb_array)").parameters


class Growing(Spaces):
    """Every copy has other spaces."""

    made = 0

    def __init__(self, what: str) -> None:
        super().__init__()
        Growing.made += 1
        if what == "see":
            self.observation_space = Box(-1, 1, (Growing.made,))
        else:
            self.action_space = Discrete(1 + Growing.made)


gym.register("Growing-v0", Growing)


@pytest.mark.parametrize(
    ("what", "said"), [("see", "its observations are Box"), ("act", r"its actions are Discrete\(")]
)
def test_copies_with_other_spaces_are_refused(what: str, said: str) -> None:
    """One copy at a time was taken, and its observations had another size than the network."""
    environment = load(f"Growing-v0(what={what})")
    with pytest.raises(
        GameError, match=rf"Growing-v0\(what={what}\): {said}.* in one copy and .* in another; all copies"
    ):
        environment.new_batch(1, seed=0)
