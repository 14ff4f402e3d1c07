"""Films of episodes: an agent in one environment, drawn by the environment, as an MP4 file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from games.base import EPISODE_STEPS
from games.environments.environment import Environment
from games.environments.registry import load_environment
from games.parameters import canonical
from selfplay.errors import UserError
from selfplay.players.player import Agent
from selfplay.storage.files import storage_errors

FRAMES_PER_SECOND = 30
LEAST_SIDE = 240
"""Shorter side of a film, in pixels, at least: smaller pictures are enlarged by whole numbers."""


def with_pictures(environment: Environment) -> Environment:
    """The same environment, made so that it can be drawn."""
    os.environ.setdefault("MUJOCO_GL", "egl")  # without a display; read when MuJoCo is imported for drawing
    batch = environment.new_batch(1, seed=0)
    try:
        batch.frame()
        return environment
    except ValueError:
        name, bracket, rest = environment.name.partition("(")
        parameters = dict(part.split("=", 1) for part in rest.rstrip(")").split(",")) if bracket else {}
        return load_environment(canonical(name, {**parameters, "render_mode": "rgb_array"}))
    finally:
        batch.close()


def check_film_path(path: Path) -> None:
    """Raises UserError for a place where no film can be written."""
    if path.suffix != ".mp4":
        raise UserError(f"{path}: films are .mp4 files")
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}")
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UserError(f"{path}: cannot be written")


def film_episode(agent: Agent, environment: Environment, seed: int, path: Path) -> tuple[float, int]:
    """Play one episode and write the film. Returns its return and its length.

    Raises GameError where the environment cannot be drawn, UserError where the file cannot be written.
    """
    batch = environment.new_batch(1, seed)
    rewards: list[float] = []

    def play() -> Iterator[np.ndarray]:
        while True:
            yield batch.frame()
            step = batch.step(agent.act(batch))
            rewards.append(float(step.reward[0]))
            if step.ended[0]:  # what is to be seen now belongs to the next episode
                return
            if environment.is_endless and len(rewards) >= EPISODE_STEPS:
                return

    try:
        write_film(play(), path)
    finally:
        batch.close()
    return sum(rewards), len(rewards)


def write_film(frames: Iterator[np.ndarray], path: Path) -> None:
    """Pictures uint8 [H, W, 3] of one size as an MP4 file (H.264), written as they come. See `check_film_path`."""
    from imageio_ffmpeg import write_frames

    first = next(frames)
    times = -(-LEAST_SIDE // min(first.shape[:2]))
    height, width = (times * side - times * side % 2 for side in first.shape[:2])  # a colour is for 2x2 pixels
    with storage_errors(path):
        writer = write_frames(str(path), (width, height), fps=FRAMES_PER_SECOND, macro_block_size=2)
        try:
            writer.send(None)
            for frame in chain([first], frames):
                enlarged = frame.repeat(times, axis=0).repeat(times, axis=1)
                writer.send(np.ascontiguousarray(enlarged[:height, :width]))
        finally:
            writer.close()
