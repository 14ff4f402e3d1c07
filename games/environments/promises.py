"""Rules that an environment must keep to, checked: `audit_environment` plays random actions and names what is broken.

The rules are those of docs/adding_an_environment.md; each is named as it is there. Gymnasium's environments are checked
as they come from `gymnasium.make`, before their outputs become arrays; others (grid worlds, Atari, games) through their
batches.
"""

from __future__ import annotations

import copy
import traceback
import warnings
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import data_equivalence

from games.auditing.positions import BrokenError, asked, describe
from games.auditing.promises import Broken
from games.environments.answers import action_text, kind, reset, step
from games.environments.environment import Environment, EnvironmentBatch
from games.environments.gymnasium import RENDER_MODE, GymnasiumEnvironment

MISTAKES = (
    ArithmeticError, AssertionError, AttributeError, LookupError, NameError, NotImplementedError, TypeError, ValueError,
)  # fmt: skip
"""Exceptions of mistakes in the code; others may come from a missing display or library."""


@dataclass(frozen=True)
class EnvironmentReport:
    """Figures of an environment from random actions, and the rules that it broke."""

    environment: str
    observation_shape: tuple[int, ...]
    observation_dtype: str
    actions: str
    steps: int
    lengths: tuple[int, ...]
    """Numbers of steps of the episodes that ended."""
    returns: tuple[float, ...]
    notes: tuple[str, ...]
    """Lines that a person should know and that are no mistakes."""
    broken: tuple[Broken, ...]


class _Episodes:
    """Random actions and the outputs of the environment, to be played again and compared."""

    def __init__(self) -> None:
        self.actions: list[Any] = []
        self.outputs: list[tuple] = []  # observation, reward, terminated, truncated; the observation alone of a reset
        self.lengths: list[int] = []
        self.returns: list[float] = []


def audit_environment(environment: Environment, steps: int = 500, seed: int = 0) -> EnvironmentReport:
    """Play `steps` steps with random actions, some of them several times, and report what they showed.

    Nothing that the environment does raises an exception from here.
    """
    found: list[Broken] = []
    played, notes = _Episodes(), list(environment.notes)
    try:
        if isinstance(environment, GymnasiumEnvironment):
            _check_gymnasium(environment, steps, seed, played, notes)
        else:
            _check_batches(environment, steps, seed, played)
    except BrokenError as error:
        found.append(Broken(error.rule, error.what, tuple(map(action_text, played.actions)), "actions"))
    except Exception as error:  # in a part that `asked` does not guard
        found.append(
            Broken("environment", f"it raises {describe(error)}", tuple(map(action_text, played.actions)), "actions")
        )
    if not found and not played.lengths:
        notes.append(f"no episode ended in {steps} steps of random actions{_limit_note(environment)}")
    low, high = environment.action_low, environment.action_high
    vector = f"{len(low)} real numbers, {low.min():g} to {high.max():g}" if low is not None and high is not None else ""
    return EnvironmentReport(
        environment.name,
        environment.observation_shape,
        str(environment.observation_dtype),
        vector or f"{environment.num_actions} choices",
        len(played.outputs) - len(played.lengths) - 1,
        tuple(played.lengths),
        tuple(played.returns),
        tuple(notes),
        tuple(found),
    )


def format_environment_report(report: EnvironmentReport) -> str:
    """One report as a block of lines; without what is broken."""
    shape = "x".join(map(str, report.observation_shape))
    length = f"mean {np.mean(report.lengths):.1f}, longest {max(report.lengths)}" if report.lengths else "none ended"
    rows = [
        ("observation", f"{shape}, {report.observation_dtype}"),
        ("actions", report.actions),
        ("episodes", f"{len(report.lengths)} with random actions; steps: {length}"),
        ("returns", f"{min(report.returns):g} to {max(report.returns):g}" if report.returns else "none"),
        *(("note", note) for note in report.notes),
    ]
    return "\n".join([report.environment, *(f"  {label:<14} {text}" for label, text in rows)])


def _limit_note(environment: Environment) -> str:
    if not environment.default_limit:
        return ""
    return (
        f"; it has no limit of steps of its own and is cut off after {environment.default_limit:,}: "
        f"{environment.limit_parameter}=N among its parameters sets another one"
    )


def _check_gymnasium(
    environment: GymnasiumEnvironment, steps: int, seed: int, played: _Episodes, notes: list[str]
) -> None:
    """Raises BrokenError."""
    env = _make(environment)
    _play(environment, env, steps, seed, played)
    kept = list(played.actions)
    _play_again(env, seed, played, "seed", "reset with the same seed, and the same actions, led to another")
    other, twin = _make(environment), _make(environment)
    other.reset(seed=seed + 1)
    _play_again(twin, seed, played, "copies", "a second copy, beside a third one, gave another", beside=other)
    for made in (env, other, twin):
        asked("close", "close()", made.close)
    played.actions = []
    _check_pictures(environment, notes)
    played.actions = kept


def _make(environment: GymnasiumEnvironment, **changed: Any) -> gym.Env:
    parameters = {**environment.parameters, **changed}
    return asked(
        "new environment",
        "making it once more",
        lambda: gym.make(environment.spec, disable_env_checker=True, **parameters),
    )


def _play(environment: GymnasiumEnvironment, env: gym.Env, steps: int, seed: int, played: _Episodes) -> None:
    """Random actions, episode by episode; the first ones try every choice that there is."""
    rng = np.random.default_rng(seed)
    observation = reset(env, seed)
    played.outputs.append((copy.deepcopy(observation),))
    total, length = 0.0, 0
    for number in range(steps):
        before = copy.deepcopy(observation)
        action = _random_action(environment, number, rng)
        played.actions.append(action)
        last = observation
        observation, reward, terminated, truncated = step(env, action)
        if not _same(last, before):
            raise BrokenError("own arrays", "the observation of the step before was written again in this step")
        played.outputs.append((copy.deepcopy(observation), float(reward), bool(terminated), bool(truncated)))
        total, length = total + float(reward), length + 1
        if terminated or truncated:
            played.returns.append(total)
            played.lengths.append(length)
            last, before = observation, copy.deepcopy(observation)
            observation = reset(env)
            if not _same(last, before):
                raise BrokenError("own arrays", "the last observation of an episode was written again by reset")
            played.outputs.append((copy.deepcopy(observation),))
            total, length = 0.0, 0


def _play_again(
    env: gym.Env, seed: int, played: _Episodes, rule: str, complaint: str, beside: gym.Env | None = None
) -> None:
    """The same actions once more. `beside`: another copy that is played at the same time."""
    actions, played.actions = played.actions, []
    outputs = iter(played.outputs)
    _compare((copy.deepcopy(reset(env, seed)),), next(outputs), rule, complaint)
    for number, action in enumerate(actions):
        if beside is not None:
            _, _, terminated, truncated = step(beside, actions[number // 2])
            if terminated or truncated:
                reset(beside)
        played.actions.append(action)
        output = step(env, action)
        _compare(output, next(outputs), rule, complaint)
        if output[2] or output[3]:
            _compare((reset(env),), next(outputs), rule, complaint)
    played.actions = actions


def _compare(output: tuple, expected: tuple, rule: str, complaint: str) -> None:
    for name, here, there in zip(("observation", "reward", "terminated", "truncated"), output, expected):
        if not (_same(here, there) if name == "observation" else here == there):
            raise BrokenError(rule, f"{complaint} {name}")


def _check_pictures(environment: GymnasiumEnvironment, notes: list[str]) -> None:
    """Raises BrokenError unless `render` returns a picture, where there is a render mode for films."""
    if RENDER_MODE not in (environment.parameters.get("render_mode"), *_render_modes(environment)):
        notes.append(f"no films: its metadata have no render mode {RENDER_MODE}")
        return
    env = _make(environment, render_mode=RENDER_MODE)
    reset(env, 0)
    try:
        with warnings.catch_warnings():  # of libraries that find no display
            warnings.simplefilter("ignore")
            picture: Any = env.render()
    except Exception as error:
        if isinstance(error, MISTAKES) and _is_own(env, error):
            raise BrokenError("render", f"render() raises {describe(error)}") from None
        # No library to draw with, or no display.
        notes.append(f"no films: render() raises {describe(error)}")
        return
    finally:
        asked("close", "close()", env.close)
    if (
        not isinstance(picture, np.ndarray)
        or picture.dtype != np.uint8
        or picture.ndim != 3
        or picture.shape[2] not in (3, 4)
    ):
        raise BrokenError("render", f"render() gives {kind(picture)}, not an array [rows, columns, 3] of bytes")


def _render_modes(environment: GymnasiumEnvironment) -> list[str]:
    env = _make(environment)
    modes = env.metadata.get("render_modes") or []
    asked("close", "close()", env.close)
    return list(modes)


def _is_own(env: gym.Env, error: Exception) -> bool:
    """Whether an exception comes from the file with the environment's `render`, not from a library that draws."""
    frames = traceback.extract_tb(error.__traceback__)
    code = getattr(type(env.unwrapped).render, "__code__", None)
    return code is not None and bool(frames) and frames[-1].filename == code.co_filename


def _check_batches(environment: Environment, steps: int, seed: int, played: _Episodes) -> None:
    """Batches of an environment that is not Gymnasium's: finite numbers that repeat. Raises BrokenError."""
    first, again = (asked("new environment", "new_batch", environment.new_batch, 2, seed) for _ in range(2))
    rng = np.random.default_rng(seed)
    totals, ages = np.zeros(2), np.zeros(2, np.int64)
    played.outputs.append((first.observation,))
    for _ in range(steps):
        actions = _random_actions(first, rng)
        played.actions.append(actions)
        here, other = (asked("step", "step", batch.step, actions) for batch in (first, again))
        if here.observation.shape != (2, *environment.observation_shape) or not np.isfinite(here.observation).all():
            raise BrokenError("observation", "observations are not finite numbers of the shape that is declared")
        if not np.isfinite(here.reward).all():
            raise BrokenError("reward", f"the rewards are {here.reward.tolist()}, not finite numbers")
        _compare((here.observation,), (other.observation,), "seed", "the same seed and actions led to another")
        played.outputs.append((here.observation,))
        totals, ages = totals + here.reward, ages + 1
        if here.ended[0]:
            played.outputs.append(())
            played.returns.append(float(totals[0]))
            played.lengths.append(int(ages[0]))
        totals[here.ended], ages[here.ended] = 0.0, 0
    for batch in (first, again):
        asked("close", "close()", batch.close)


def _random_actions(batch: EnvironmentBatch, rng: np.random.Generator) -> np.ndarray:
    environment = batch.environment
    if environment.action_low is not None and environment.action_high is not None:
        low = environment.action_low
        return rng.uniform(low, environment.action_high, (batch.num_envs, low.size)).astype(np.float32)
    if batch.legal_mask is None:
        return rng.integers(environment.num_actions, size=batch.num_envs)
    return np.array([rng.choice(np.flatnonzero(row)) for row in batch.legal_mask])


def _random_action(environment: GymnasiumEnvironment, number: int, rng: np.random.Generator) -> Any:
    """Action `number` of an audit as the environment has it: each choice once first; of vectors both bounds first."""
    if environment.action_low is not None and environment.action_high is not None:
        low, high = environment.action_low, environment.action_high
        vector = low if number == 0 else high if number == 1 else rng.uniform(low, high).astype(np.float32)
        return environment.actions(1, vector[None])[0]
    choice = number if number < environment.num_actions else rng.integers(environment.num_actions)
    return environment.actions(1, np.array([choice]))[0]


def _same(here: Any, there: Any) -> bool:
    return data_equivalence(here, there, exact=True)
