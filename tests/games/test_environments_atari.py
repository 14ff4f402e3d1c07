"""Atari: the laws, every step against the emulator driven by hand, and what the presets differ in."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace

import ale_py
import numpy as np
import pytest
from ale_py import roms
from environment_helpers import check_laws, play

from games import GameError, load_environment
from games.environments.atari import PRESETS, Atari, Preset

MNIH, MACHADO = PRESETS["mnih2015"], PRESETS["machado2018"]
PLAIN = Preset(sticky=0.0, all_actions=False, life_loss_ends=True, noop_max=0, fire_reset=False)
"""Nothing random: what the emulator does when it is driven by hand."""


def atari(rom: str, preset: Preset, draw: bool = False) -> Atari:
    return Atari(rom, preset, name=rom, draw=draw)


@functools.cache
def area_means(pixels: int, means: int) -> np.ndarray:
    """[means, pixels] weights that shrink a row of pixels to means over equal parts of it."""
    edges = np.linspace(0.0, pixels, means + 1)[:, None]
    inside = np.clip(edges, np.arange(pixels), np.arange(1, pixels + 1)) - np.arange(pixels)  # left of each edge
    return np.diff(inside, axis=0) * means / pixels


def shrunk(screen: np.ndarray) -> np.ndarray:
    """[rows, columns] as float64 [84, 84]. Not by `@`, whose threads wait for each other on busy cores."""
    rows, columns = (area_means(pixels, 84) for pixels in screen.shape)
    return np.einsum("ir,rc->ic", rows, np.einsum("rc,jc->rj", screen, columns))


class ByHand:
    """The preprocessing of DQN, step by step, on the bare emulator."""

    def __init__(self, rom: str) -> None:
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self.ale = ale_py.ALEInterface()
        self.ale.setFloat("repeat_action_probability", 0.0)
        self.ale.loadROM(str(roms.get_rom_path(rom)))
        self.actions = self.ale.getMinimalActionSet()
        self.reset()

    def reset(self) -> None:
        self.ale.reset_game()
        screen = self.ale.getScreenGrayscale()
        self.last_two = [screen, np.zeros_like(screen)]
        self.stack = [np.zeros((84, 84))] * 3 + [shrunk(np.maximum(*self.last_two))]

    def step(self, action: int) -> tuple[int, bool, bool]:
        """Reward, whether a life was lost, whether the game is over."""
        lives, reward = self.ale.lives(), 0
        for frame in range(4):
            reward += self.ale.act(self.actions[action])
            if self.ale.game_over():
                break
            if frame >= 2:
                self.last_two[3 - frame] = self.ale.getScreenGrayscale()
        self.stack = self.stack[1:] + [shrunk(np.maximum(*self.last_two))]
        return reward, self.ale.lives() < lives, self.ale.game_over()

    def shows(self, observation: np.ndarray) -> bool:
        """Whether `observation` is the stack, up to rounding to whole numbers."""
        return bool(np.abs(np.array(self.stack) - observation).max() <= 0.5 + 1e-6)


@pytest.mark.parametrize(("rom", "num_steps"), [("breakout", 450), ("space_invaders", 600)])
def test_steps_are_those_of_the_emulator(rom: str, num_steps: int) -> None:
    batch, by_hand = atari(rom, PLAIN).new_batch(1, seed=0), ByHand(rom)
    assert by_hand.shows(batch.observation[0])
    played = play(batch, num_steps)
    lost, ends = 0, 0
    for (action,), step in zip(played.actions, played.steps):
        reward, life_lost, over = by_hand.step(int(action))
        assert step.reward[0] == reward
        assert step.ended[0] == over
        assert step.discount[0] == (0.0 if life_lost or over else 1.0)
        lost += life_lost and not over
        if over:
            assert step.final_observation is not None and by_hand.shows(step.final_observation[0])
            by_hand.reset()
            ends += 1
        assert by_hand.shows(step.observation[0])
    assert lost >= 2 and ends >= 1
    if rom == "space_invaders":
        assert max(step.reward[0] for step in played.steps) > 1.0, "rewards are not clipped"


@pytest.mark.parametrize("text", ["ALE/Breakout-v5", "ALE/Breakout-v5(preset=machado2018)"])
def test_laws(text: str) -> None:
    environment = load_environment(text)
    assert environment.name == text and environment.frame_stack == 4
    assert environment.observation_shape == (4, 84, 84) and environment.observation_dtype == np.uint8
    played = check_laws(environment, num_steps=250)
    assert not play(environment.new_batch(3, seed=6), 250, seed=1).same(played)
    assert played.ends() >= 1


def test_presets() -> None:
    pong, full = load_environment("ALE/Pong-v5"), load_environment("ALE/Pong-v5(preset=machado2018)")
    assert isinstance(pong, Atari) and isinstance(full, Atari)
    assert (pong.preset, full.preset) == (MNIH, MACHADO)
    assert (pong.num_actions, full.num_actions) == (6, 18)
    assert load_environment("ALE/Pong-v5(preset=mnih2015,frame_skip=4)").name == "ALE/Pong-v5"
    skipping = load_environment("ALE/SpaceInvaders-v5(frame_skip=3)")
    assert skipping.name == "ALE/SpaceInvaders-v5(frame_skip=3)"
    assert isinstance(skipping, Atari) and skipping.preset == replace(MNIH, frame_skip=3)
    assert skipping.rom == "space_invaders"


def test_only_mnih2015_ends_what_follows_a_lost_life() -> None:
    """And only there: the game goes on, for the screen does."""
    lost = [step for step in lives_lost(MNIH) if not step.ended.any()]
    assert len(lost) >= 4
    assert all(step.final_observation is None for step in lost)
    assert not [step for step in lives_lost(MACHADO) if not step.ended.any()]


def lives_lost(preset: Preset) -> Iterator:
    played = play(atari("breakout", preset).new_batch(1, seed=4), 300)
    return (step for step in played.steps if step.discount[0] == 0.0)


def test_sticky_actions_and_no_ops_are_what_is_random() -> None:
    def same(preset: Preset) -> bool:
        environment = atari("pong", preset)
        first, second = (play(environment.new_batch(1, seed), 60) for seed in (1, 2))
        return first.same(second)

    assert same(replace(MNIH, noop_max=0)) and not same(MNIH)
    assert same(replace(MACHADO, sticky=0.0)) and not same(MACHADO)


def test_frame_skip_is_how_long_an_action_is_held() -> None:
    held, single = (atari("breakout", replace(PLAIN, frame_skip=skip)).new_batch(1, 0) for skip in (4, 1))
    paid, lost = 0.0, 0
    for action in np.random.default_rng(5).integers(4, size=(110, 1)):
        step = held.step(action)
        steps = [single.step(action) for _ in range(4)]
        assert step.reward[0] == sum(part.reward[0] for part in steps)
        assert step.discount[0] == min(part.discount[0] for part in steps)
        paid, lost = paid + step.reward[0], lost + (step.discount[0] == 0.0)
    assert paid > 0.0 and lost >= 1


def test_the_limit_on_frames_cuts_off_and_what_follows_has_a_value() -> None:
    assert MNIH.max_frames == MACHADO.max_frames == 108_000
    batch = atari("pong", replace(MNIH, max_frames=200)).new_batch(2, seed=0)
    played = play(batch, 120)
    ended = [t for t, step in enumerate(played.steps, start=1) if step.ended.any()]
    assert ended == [50, 100]
    assert all(played.steps[t - 1].ended.all() and (played.steps[t - 1].discount == 1.0).all() for t in ended)


def test_the_lives_of_the_next_episode_are_not_lives_lost() -> None:
    batch = atari("breakout", replace(MNIH, max_frames=8)).new_batch(1, seed=0)
    batch.step(np.array([0]))
    batch._lives = batch._lives + 1  # as if the player had won one
    step = batch.step(np.array([0]))
    assert step.ended.all() and (step.discount == 1.0).all()


def test_episodes_do_not_depend_on_the_number_of_threads() -> None:
    environment = atari("breakout", MACHADO)
    one, two = (play(environment.new_batch(3, seed=0, threads=threads), 60) for threads in (1, 2))
    assert one.same(two)


def test_neighbouring_seeds_do_not_share_episodes() -> None:
    environment = atari("breakout", MACHADO)
    one, two = (environment.new_batch(2, seed) for seed in (1, 2))
    actions = np.random.default_rng(0).integers(18, size=60)
    for action in actions:
        one.step(np.full(2, action))
        two.step(np.full(2, action))
    assert not np.array_equal(one.observation[1], two.observation[0])


@pytest.mark.parametrize("actions", [[0, 6], [-1, 0], [0], [0.0, 1.0], [[0], [1]]])
def test_an_action_that_would_hang_the_emulator_is_refused(actions: list) -> None:
    batch = load_environment("ALE/Pong-v5").new_batch(2, seed=0)
    before = batch.observation
    with pytest.raises(GameError):
        batch.step(np.array(actions))
    assert batch.observation is before
    batch.step(np.array([5, 5]))


def test_frames_show_the_same_episode_in_colour() -> None:
    environment = load_environment("ALE/Breakout-v5(preset=machado2018,render_mode=rgb_array)")
    batch = environment.new_batch(2, seed=0)
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(260):
        step = batch.step(rng.integers(18, size=2))
        ends += step.ended[0]
        frame = batch.frame()
        assert (frame.shape, frame.dtype) == ((210, 160, 3), np.uint8)
        grey = shrunk((frame * [0.299, 0.587, 0.114]).sum(axis=2))
        assert np.abs(grey - batch.observation[0, -1]).max() < 3.0
    assert ends >= 1
    assert len(np.unique(frame.reshape(-1, 3), axis=0)) > 6, "there are colours"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ALE/Pongg-v5", "did you mean ALE/Pong-v5"),
        ("ALE/Pong-v5(preset=dopamine)", "there are: mnih2015, machado2018"),
        ("ALE/Pong-v5(frame_skip=0)", "out of range"),
        ("ALE/Pong-v5(frame_skip=4.5)", "not of type int"),
        ("ALE/Pong-v5(full_action_space=true)", "it has: frame_skip, preset, render_mode"),
        ("ALE/Pong-v5(render_mode=human)", "render_mode is rgb_array"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(GameError) as refused:
        load_environment(text)
    assert complaint in str(refused.value) and "\n" not in str(refused.value)
    with pytest.raises(GameError, match="render_mode=rgb_array"):
        load_environment("ALE/Pong-v5").new_batch(1, seed=0).frame()
