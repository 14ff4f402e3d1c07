"""Games and an environment that print whatever they do, in every way: at import, in C, in child processes, at exit."""

import atexit
import ctypes
import os
import sys

import gymnasium
import numpy as np

import games
from games import Game


def chat(where: str) -> None:
    print(f"chatty: {where}, in Python")
    print(f"chatty: {where}, in Python, past sys.stdout", file=sys.__stdout__)
    ctypes.CDLL(None).puts(f"chatty: {where}, in C".encode())
    os.write(1, f"chatty: {where}, to the descriptor\n".encode())
    os.system(f"echo 'chatty: {where}, in a child process'")


chat("import")
atexit.register(chat, "exit")


def _loud(game: Game) -> Game:
    chat("load")
    quiet_pool = game.new_pool

    def new_pool(capacity: int) -> games.StatePool:
        chat("new pool")
        return quiet_pool(capacity)

    game.new_pool = new_pool  # type: ignore[method-assign]
    return game


def tic_tac_toe() -> Game:
    return _loud(games.load("tic_tac_toe"))


def go() -> Game:
    return _loud(games.load("go(board_size=5)"))


def chess() -> Game:
    return _loud(games.load("chess"))


class Environment(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None) -> None:
        chat("make")

    def reset(self, *, seed=None, options=None):
        chat("reset")
        return np.zeros(2, np.float32), {}

    def step(self, action):
        chat("step")
        return np.zeros(2, np.float32), 1.0, True, False, {}


gymnasium.register("Chatty-v0", Environment)
for factory in (tic_tac_toe, go, chess):
    games.register(f"chatty_{factory.__name__}", factory)
