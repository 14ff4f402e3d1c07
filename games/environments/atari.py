"""Atari 2600 games: `ALE/Pong-v5` and the like, through ALE's own vector environment, with presets of preprocessing.

Every option of `AtariVectorEnv` is given: its defaults are neither the papers' nor those of `gymnasium.make`. Rewards
are the game's scores; clipping is a matter of the learner. The loss of a life is read from the count of lives, because
the environment's own option starts a whole new game at each.

Mnih et al. 2015, "Human-level control through deep reinforcement learning"; Machado et al. 2018, "Revisiting the Arcade
Learning Environment". Frames of the emulator are `frame_skip` times the steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import ale_py
import gymnasium as gym
import numpy as np
from ale_py import roms
from ale_py.vector_env import AtariVectorEnv
from gymnasium.vector import AutoresetMode

from games.base import GameError
from games.environments.actions import checked_choices
from games.environments.environment import Environment, EnvironmentBatch, Step
from games.environments.gymnasium_vector import episode_seeds
from games.parameters import Value, canonical, typed

SIZE = 84
"""Rows and columns of an observation, in pixels."""
STACK = 4
"""Frames of an observation."""
SCREEN = (210, 160)
"""Rows and columns of a picture, in pixels."""
RENDER_MODE = "rgb_array"
MAX_FRAME_SKIP = 60


@dataclass(frozen=True)
class Preset:
    """How an Atari game is played. Observations are the same in all: 84x84, grey, 4 frames, each the maximum of the
    last two that the emulator drew."""

    sticky: float
    """Probability that a frame of the emulator repeats the action before, in [0, 1)."""
    all_actions: bool
    """All 18 actions of the joystick; else those that the game uses."""
    life_loss_ends: bool
    """Nothing that follows the loss of a life counts for what came before it (discount 0); the game goes on."""
    noop_max: int
    """An episode begins after 0 to `noop_max` - 1 frames without an action (ALE's way of counting), drawn uniformly;
    0: at once."""
    fire_reset: bool
    """The last of those frames presses FIRE, where the game has it: some games wait for that."""
    frame_skip: int = 4
    """Frames that an action is held."""
    max_frames: int = 108_000
    """Frames after which an episode is cut off: half an hour."""


PRESETS = {
    # The paper of 2013 has the same, with frame_skip=3 in Space Invaders. FIRE comes from OpenAI's Baselines.
    "mnih2015": Preset(sticky=0.0, all_actions=False, life_loss_ends=True, noop_max=30, fire_reset=True),
    # As `ALE/...-v5` and Dopamine have it, but for all 18 actions; the paper's own experiments have frame_skip=5.
    "machado2018": Preset(sticky=0.25, all_actions=True, life_loss_ends=False, noop_max=0, fire_reset=False),
}
DEFAULT_PRESET = "mnih2015"


class Atari(Environment):
    """A game of the Arcade Learning Environment (Bellemare et al. 2013). `load_atari` makes it from text."""

    observation_shape = (STACK, SIZE, SIZE)
    observation_dtype = np.dtype(np.uint8)
    frame_stack = STACK

    def __init__(self, rom: str, preset: Preset, name: str, draw: bool = False) -> None:
        """`rom` is ALE's name of the game, `space_invaders`. `draw`: batches can draw pictures, at twice the time."""
        self.rom = rom
        self.preset = preset
        self.name = name
        self.draw = draw
        self.step_limit = math.ceil(preset.max_frames / preset.frame_skip)
        self.num_actions = int(self.new_vector(1, 1).single_action_space.n)  # type: ignore[attr-defined]

    def new_batch(self, num_envs: int, seed: int, threads: int = 1) -> AtariBatch:
        """See `Environment`. The episodes do not depend on `threads`."""
        return AtariBatch(self, num_envs, seed, threads)

    def new_vector(self, num_envs: int, threads: int, **changed: Any) -> AtariVectorEnv:
        """ALE's vector environment of the preset; `changed` are options that shall differ."""
        options: dict[str, Any] = {
            "batch_size": 0,  # all of them
            "num_threads": max(1, min(threads, num_envs)),
            "thread_affinity_offset": -1,
            "max_num_frames_per_episode": self.preset.max_frames,
            "repeat_action_probability": self.preset.sticky,
            "full_action_space": self.preset.all_actions,
            "continuous": False,
            "autoreset_mode": AutoresetMode.SAME_STEP,
            "img_height": SIZE,
            "img_width": SIZE,
            "grayscale": True,
            "stack_num": STACK,
            "frameskip": self.preset.frame_skip,
            "maxpool": True,
            "noop_max": self.preset.noop_max,
            "episodic_life": False,
            "life_loss_info": False,
            "reward_clipping": False,
            "use_fire_reset": self.preset.fire_reset,
        }
        return AtariVectorEnv(self.rom, num_envs, **(options | changed))


class AtariBatch(EnvironmentBatch):
    """Copies of a game in ALE's threads."""

    def __init__(self, environment: Atari, num_envs: int, seed: int, threads: int) -> None:
        self.environment: Atari = environment
        self.num_envs = num_envs
        seeds = episode_seeds(seed, num_envs)
        self._vector = environment.new_vector(num_envs, threads)
        self.observation, info = self._vector.reset(seed=seeds)
        self._lives = info["lives"]
        self._painter: AtariVectorEnv | None = None
        if environment.draw:  # the vector environment has no pictures: the same episode again, in colour
            height, width = SCREEN
            self._painter = environment.new_vector(
                1, 1, grayscale=False, img_height=height, img_width=width, stack_num=1
            )
            self._picture, _ = self._painter.reset(seed=seeds[:1])

    def step(self, actions: np.ndarray) -> Step:
        """See `EnvironmentBatch`. Discount 0 without an end is the loss of a life, where the preset says so."""
        actions = checked_choices(self.environment, self.num_envs, actions)  # another one would hang the emulator
        self.observation, reward, terminated, truncated, info = self._vector.step(actions)
        if self._painter is not None:
            self._picture, *_ = self._painter.step(actions[:1])
        ended = terminated | truncated
        over = terminated
        if self.environment.preset.life_loss_ends:
            # Where an episode ended the lives are those of the next one.
            over = over | ((info["lives"] < self._lives) & ~ended)
        self._lives = info["lives"]
        return Step(
            observation=self.observation,
            reward=reward.astype(np.float32),
            discount=1.0 - over.astype(np.float32),
            ended=ended,
            final_observation=info["final_obs"] if ended.any() else None,
        )

    def frame(self) -> np.ndarray:
        """See `EnvironmentBatch`: 210 rows, 160 columns."""
        if self._painter is None:
            raise GameError(f"{self.environment.name}: no pictures without the parameter render_mode={RENDER_MODE}")
        return np.array(self._picture[0, -1])


def register_atari() -> None:
    """Make `ALE/...` known to Gymnasium."""
    gym.register_envs(ale_py)


def load_atari(name: str, given: Mapping[str, str]) -> Atari:
    """The game of a registered `ALE/...` id and parameters as text. Raises GameError."""
    defaults: dict[str, Value] = {"preset": DEFAULT_PRESET, "frame_skip": 0, "render_mode": ""}
    wanted = typed(name, given, defaults)
    chosen = str(wanted.get("preset", DEFAULT_PRESET))
    if chosen not in PRESETS:
        raise GameError(f"{name}: there is no preset {chosen[:40]!r}; there are: {', '.join(PRESETS)}")
    preset = PRESETS[chosen]
    frame_skip = int(wanted.get("frame_skip", preset.frame_skip))
    if not 1 <= frame_skip <= MAX_FRAME_SKIP:
        raise GameError(f"{name}: frame_skip={frame_skip} is out of range (1 to {MAX_FRAME_SKIP})")
    render_mode = wanted.get("render_mode", "")
    if render_mode not in ("", RENDER_MODE):
        raise GameError(f"{name}: render_mode is {RENDER_MODE} or left out")
    usual: dict[str, Value] = {"preset": DEFAULT_PRESET, "frame_skip": preset.frame_skip}
    changed = {key: value for key, value in wanted.items() if value != usual.get(key, "")}
    rom = gym.spec(name).kwargs["game"]
    if roms.get_rom_path(rom) is None:
        raise GameError(f"{name}: ALE has no ROM of it")
    return Atari(rom, replace(preset, frame_skip=frame_skip), canonical(name, changed), draw=bool(render_mode))
