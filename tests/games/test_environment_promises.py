"""Usual mistakes in an environment of one's own: the audit names the rule that is broken, and the actions."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Text, Tuple

from games import GameError, load_environment
from games.environments.promises import EnvironmentReport, audit_environment, format_environment_report
from selfplay import cli


class Kept(gym.Env):
    """Eight steps without a mistake."""

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, render_mode: str | None = None) -> None:
        self.observation_space, self.action_space = Box(0, 9, (2,), np.float32), Discrete(3, start=1)
        self.age, self.start = 0, 0.0

    def see(self):
        return np.array([self.age, self.start], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.age, self.start = 0, self.np_random.uniform()
        return self.see(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.age += 1
        return self.see(), float(action), self.age == 8, False, {}

    def render(self):
        return np.zeros((4, 5, 3), np.uint8)


def audit(kind: type[gym.Env]) -> EnvironmentReport:
    gym.registry.pop("Audited-v0", None)
    gym.register("Audited-v0", kind)
    return audit_environment(load_environment("Audited-v0"), steps=60)


def broken(kind: type[gym.Env], **methods: object) -> tuple[str, str]:
    """The rule that is broken, and the line about it."""
    (found,) = audit(type("Mistaken", (kind,), methods)).broken
    return found.rule, str(found)


@pytest.mark.parametrize(
    "text",
    ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1", "Blackjack-v1", "Taxi-v4", "grid_world(map=cliff)", "game:pig"],
)
def test_shipped_environments_keep_their_promises(text: str) -> None:
    assert audit_environment(load_environment(text), steps=120).broken == ()


def test_an_environment_without_a_mistake_keeps_its_promises() -> None:
    report = audit(Kept)
    assert report.broken == () and report.notes == ()
    assert (report.steps, report.lengths) == (60, (8,) * 7)
    text = format_environment_report(report)
    assert "2, float32" in text and "3 choices" in text and "steps: mean 8.0, longest 8" in text


def answer(place: int, value: object):
    """A step whose answer has `value` in one place."""

    def step(self, action):
        given = list(Kept.step(self, action))
        if self.age == 5:
            given[place] = value
        return tuple(given)

    return step


@pytest.mark.parametrize(
    ("place", "value", "rule", "complaint"),
    [
        (0, np.array([5, np.nan], np.float32), "observation", "has nan in it, no finite number"),
        (0, np.array([5, np.inf], np.float32), "observation", "has inf in it"),
        (0, np.zeros(3, np.float32), "observation", "has shape [3], its space [2]"),
        (0, np.zeros(2, np.float64), "observation", "has dtype float64, its space float32"),
        (0, np.array([5, 10], np.float32), "observation", "has 10.0 in it, outside the bounds"),
        (0, [0.0, 0.0], "observation", "is a list of 2, not an array"),
        (1, np.nan, "reward", "is nan, not a finite number"),
        (1, None, "reward", "is None"),
        (1, np.ones(1), "reward", "is array([1.])"),
        (1, "1", "reward", "is '1'"),
        (2, 1, "ends", "terminated is 1, neither True nor False"),
        (3, None, "ends", "truncated is None"),
        (4, None, "step", "gives None (NoneType) for info"),
    ],
)
def test_answers_of_a_step_that_are_none(place: int, value: object, rule: str, complaint: str) -> None:
    found, line = broken(Kept, step=answer(place, value))
    assert found == rule and complaint in line and "after 5 actions: 1, 2, 3, " in line


def test_the_step_of_the_old_gym() -> None:
    def step(self, action):
        observation, reward, terminated, _, info = Kept.step(self, action)
        return observation, reward, terminated, info

    assert broken(Kept, step=step)[0] == "step"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [(np.zeros(2, np.float32), "gives an array [2] of float32"), ((np.zeros(2, np.float32), None), "for info")],
)
def test_resets_that_are_none(given: object, complaint: str) -> None:
    rule, line = broken(Kept, reset=lambda self, *, seed=None, options=None: given)
    assert rule == "reset" and complaint in line and "at the start" in line


def test_a_reset_that_takes_no_seed() -> None:
    rule, line = broken(Kept, reset=lambda self: (np.zeros(2, np.float32), {}))
    assert rule == "reset" and "raises TypeError" in line


def test_a_seed_that_changes_nothing() -> None:
    def reset(self, *, seed=None, options=None):
        self.age, self.start = 0, random.random()
        return self.see(), {}

    rule, line = broken(Kept, reset=reset)
    assert rule == "seed" and "led to another observation" in line


def test_rewards_by_numpys_own_generator() -> None:
    def step(self, action):
        observation, _, *rest = Kept.step(self, action)
        return observation, np.random.normal(), *rest

    rule, line = broken(Kept, step=step)
    assert rule == "seed" and "led to another reward" in line and "after 1 actions: 1" in line


def test_copies_that_share_a_class_attribute() -> None:
    class Mistake(Kept):
        shared = 0

        def reset(self, *, seed=None, options=None):
            Mistake.shared = 0
            return super().reset(seed=seed)

        def see(self):
            return np.array([Mistake.shared, self.start], np.float32)

        def step(self, action):
            Mistake.shared = min(9, Mistake.shared + 1)
            return super().step(action)

    assert broken(Mistake)[0] == "copies"


def test_an_observation_that_is_written_again() -> None:
    class Mistake(Kept):
        def __init__(self, render_mode=None):
            super().__init__()
            self.seen = np.zeros(2, np.float32)

        def see(self):
            self.seen[:] = self.age, self.start
            return self.seen

    rule, line = broken(Mistake)
    assert rule == "own arrays" and "after 1 actions: 1" in line


def test_an_action_that_raises() -> None:
    def step(self, action):
        if action == 3:
            raise ZeroDivisionError("division by zero")
        return Kept.step(self, action)

    rule, line = broken(Kept, step=step)
    assert rule == "step" and "step(3) raises ZeroDivisionError: division by zero (" in line
    assert "test_environment_promises.py, line " in line


@pytest.mark.parametrize("picture", [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3)), None])
def test_pictures_that_are_none(picture: object) -> None:
    assert broken(Kept, render=lambda self: picture)[0] == "render"


def test_a_mistake_in_render_is_no_lack_of_a_display() -> None:
    rule, line = broken(Kept, render=lambda self: [][self.age])
    assert rule == "render" and "render() raises IndexError: list index out of range (" in line
    rule, line = broken(Kept, render=gym.Env.render)
    assert rule == "render" and "raises NotImplementedError" in line


def test_a_library_that_cannot_draw_is_a_note() -> None:
    def render(self):
        raise OSError("no display")

    report = audit(type("Displayless", (Kept,), {"render": render}))
    assert report.broken == () and report.notes[0].startswith("no films: render() raises OSError: no display (")


def test_a_close_that_fails_is_named() -> None:
    def close(self):
        raise OSError("already closed")

    rule, line = broken(Kept, close=close)
    assert rule == "close" and "close() raises OSError: already closed (" in line


@pytest.mark.parametrize(
    ("space", "value", "complaint"),
    [
        (Discrete(3), 3, "is 3, which is not in Discrete(3)"),
        (MultiDiscrete([2, 2]), np.array([0, 2]), "which is not in MultiDiscrete"),
        (Dict(a=Discrete(3)), {"b": 0}, "it has the keys a"),
        (Dict(a=Tuple([Discrete(3)])), {"a": (3,)}, "the observation, its a, its number 0 is 3"),
        (Tuple([Discrete(3)]), (0, 0), "not a tuple of 1"),
        (Dict(a=Box(0, 1, (2,)), b=Text(3)), {"a": np.zeros(3, np.float32), "b": ""}, "its a has shape [3]"),
    ],
)
def test_choices_that_the_space_does_not_have(space: gym.Space, value: object, complaint: str) -> None:
    def init(self, render_mode=None):
        Kept.__init__(self)
        self.observation_space = space

    def see(self):
        return value if self.age == 3 else space.sample()

    rule, line = broken(Kept, __init__=init, see=see)
    assert rule == "observation" and complaint in line


def test_no_limit_and_no_pictures_are_notes() -> None:
    class Endless(Kept):
        metadata: dict = {"render_modes": ["human"]}

        def see(self):
            return np.array([self.age % 9, self.start], np.float32)

        def step(self, action):
            return *super().step(action)[:2], False, False, {}

    report = audit(Endless)
    assert report.broken == ()
    no_films, no_end = report.notes
    assert no_films.startswith("no films: ")
    assert no_end.startswith("no episode ended in 60 steps")
    assert "is cut off after 27,000: max_episode_steps=N" in no_end


def test_the_command_names_rule_and_actions_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    gym.register("Kept-v0", Kept)
    gym.register("Mistaken-v0", type("Mistaken", (Kept,), {"step": answer(1, np.nan)}))
    assert cli.main(["audit", "--env", "Mistaken-v0"]) == 1
    out = capsys.readouterr().out
    assert "Mistaken-v0 breaks 1 promise of docs/adding_an_environment.md" in out
    assert "  reward: the reward is nan" in out
    assert cli.main(["audit", "--env", "Kept-v0"]) == 0
    assert "promises       kept" in capsys.readouterr().out
    assert cli.main(["audit", "--env", "NoSuch-v0"]) == 2


def test_the_environment_of_the_page_keeps_its_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "adding_an_environment.md").read_text(encoding="utf-8")
    code = page.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "hallway_of_the_page.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    environment = load_environment("hallway_of_the_page:Hallway-v0(length=6)")
    assert environment.observation_shape == (8,)
    report = audit_environment(environment, steps=200)
    assert report.broken == () and max(report.returns) == 1.0


def test_minigrid_is_its_picture_and_the_direction() -> None:
    pytest.importorskip("minigrid", reason="minigrid is not installed: pip install minigrid")
    environment = load_environment("MiniGrid-Empty-5x5-v0")
    assert environment.observation_shape == (3 + 4, 7, 7) and environment.observation_dtype == np.uint8
    assert "mission left out of the observations: text" in environment.notes[0]
    assert audit_environment(environment, steps=60).broken == ()


def test_without_minigrid_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minigrid", None)
    with pytest.raises(GameError, match="MiniGrid-Empty-5x5-v0 needs minigrid .*: pip install minigrid"):
        load_environment("MiniGrid-Empty-5x5-v0")
