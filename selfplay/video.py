"""Films of episodes: an agent in one environment, drawn by the environment, as an MP4 file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from games.environment import Environment
from games.environment_registry import load_environment
from games.parameters import canonical
from selfplay.agents import Agent
from selfplay.errors import UserError
from selfplay.files import storage_errors

FRAMES_PER_SECOND = 30
LEAST_SIDE = 240
"""Smaller pictures are enlarged by whole numbers."""


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


def film_episode(agent: Agent, environment: Environment, seed: int, path: Path) -> tuple[float, int]:
    """Play one episode and write the film. Returns its return and its length.

    Raises GameError where the environment cannot be drawn, UserError where the file cannot be written.
    """
    batch = environment.new_batch(1, seed)
    frames, total = [batch.frame()], 0.0
    try:
        while True:
            step = batch.step(agent.act(batch))
            total += float(step.reward[0])
            if step.ended[0]:  # what is to be seen now belongs to the next episode
                break
            frames.append(batch.frame())
    finally:
        batch.close()
    write_film(frames, path)
    return total, len(frames)


def write_film(frames: list[np.ndarray], path: Path) -> None:
    """Pictures uint8 [H, W, 3] of one size as an MP4 file (H.264)."""
    from imageio_ffmpeg import write_frames

    if path.suffix != ".mp4":
        raise UserError(f"{path}: films are .mp4 files")
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}")
    times = -(-LEAST_SIDE // min(frames[0].shape[:2]))
    enlarged = [frame.repeat(times, axis=0).repeat(times, axis=1) for frame in frames]
    height, width = (side - side % 2 for side in enlarged[0].shape[:2])  # the format has colours for 2x2 pixels
    with storage_errors(path):
        writer = write_frames(str(path), (width, height), fps=FRAMES_PER_SECOND, macro_block_size=2)
        writer.send(None)
        for frame in enlarged:
            writer.send(np.ascontiguousarray(frame[:height, :width]))
        writer.close()
