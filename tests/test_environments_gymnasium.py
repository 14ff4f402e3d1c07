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
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

from games import GameError, load_environment
from games.environment import Environment
from games.gymnasium_environment import GymnasiumBatch, GymnasiumEnvironment
from games.gymnasium_vector import episode_seeds

ROOT = Path(__file__).parent.parent


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
        "unbounded": Box(-np.inf, np.inf, (2,)),
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
        ("Spaces-v0(see=dict)", "observations are Dict"),
        ("Spaces-v0(see=choice)", "observations are Discrete"),
        ("Spaces-v0(act=many)", "actions are MultiDiscrete"),
        ("Spaces-v0(act=whole)", "not one Discrete choice or a Box of real numbers"),
        ("Spaces-v0(act=unbounded)", "no bounds"),
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


gym.register("Painted-v0", Painted)


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
