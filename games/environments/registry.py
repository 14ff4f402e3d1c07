"""From a text to an `Environment`: `load_environment`.

    CartPole-v1                          any environment that Gymnasium has registered
    HalfCheetah-v5(frame_skip=4)         the same, with parameters of `gymnasium.make`
    my_module:MyEnv-v0                   the same, registered by a module that is imported first
    MiniGrid-Empty-5x5-v0                one of the package minigrid, imported for such names
    ALE/Pong-v5(preset=mnih2015)         Atari, with a named preset of preprocessing
    grid_world(map=cliff,slip=0.1)       a grid world, by the name of a map or its file
    game:tic_tac_toe                     any game of `games.load` with one player, or two and zero sum
    game:hex(board_size=5,max_plies=20)  the same, cut off after 20 moves

Parameters stand in parentheses, as in game strings. Libraries are imported for the environments that need them only.
"""

from __future__ import annotations

import difflib
import importlib
import re
from typing import Any

from games.base import GameError
from games.environments.environment import Environment
from games.parameters import split_parameters
from games.registry import names

GAME = "game:"
GRID_WORLD = "grid_world"
ATARI = "ALE/"

PACKAGES = {"MiniGrid-": "minigrid", "BabyAI-": "minigrid"}
"""By the beginning of an environment's name: the package that registers it with Gymnasium when it is imported."""

_ENVIRONMENT = re.compile(r"(?P<name>[^()\s]+)(?:\((?P<parameters>[^()]*)\))?")


def load_environment(text: str) -> Environment:
    """The environment of a text. Raises GameError with one line for a person."""
    text = text.strip()
    if text.startswith(GAME):
        from games.environments.game import load_game_environment

        return load_game_environment(text.removeprefix(GAME))
    match = _ENVIRONMENT.fullmatch(text)
    if match is None:
        raise GameError(f"malformed environment {text[:80]!r}: write it as name or name(key=value,...)")
    name, parameters = match["name"], split_parameters(match["name"], match["parameters"] or "")
    if name == GRID_WORLD:
        from games.environments.grid_world import load_grid_world

        return load_grid_world(parameters)
    return _load_registered(name, parameters)


def _load_registered(name: str, parameters: dict[str, str]) -> Environment:
    """An environment that Gymnasium has registered, Atari included."""
    try:
        import gymnasium
    except ImportError as error:
        raise GameError(f"{name} needs Gymnasium ({error}): pip install 'gymnasium[atari,box2d,mujoco]'") from None
    from games.environments.gymnasium import load_gymnasium

    _import_package(name)
    if ":" in name or (name in gymnasium.registry and not _is_atari(gymnasium.registry[name])):
        return load_gymnasium(name, parameters)
    try:
        from games.environments.atari import load_atari, register_atari
    except ImportError as error:
        if name.startswith(ATARI):
            raise GameError(f"{name} needs ale-py ({error}): pip install 'gymnasium[atari]'") from None
    else:
        register_atari()
        if name.startswith(ATARI) and name in gymnasium.registry:
            return load_atari(name, parameters)
    known = [key for key, spec in gymnasium.registry.items() if key.startswith(ATARI) or not _is_atari(spec)]
    known += [GRID_WORLD, *(GAME + info.name for info in names() if info.supported)]
    raise GameError(f"unknown environment {name[:60]!r}{_near(name, known)}")


def _import_package(name: str) -> None:
    """Import the package that registers such names. Raises GameError where it is missing."""
    package = next((package for prefix, package in PACKAGES.items() if name.startswith(prefix)), None)
    if package is not None:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise GameError(f"{name} needs {package} ({error}): pip install {package}") from None


def _is_atari(spec: Any) -> bool:
    """Also of the old ids, such as `PongNoFrameskip-v4`, which have frames without any preprocessing."""
    return str(spec.entry_point).startswith("ale_py")


def _near(name: str, known: list[str]) -> str:
    """Names near `name`, as the end of a message. A name without version, `ALE/` or `game:` is near too."""
    plain = {_plain(full): full for full in known}
    close = [plain[near] for near in difflib.get_close_matches(_plain(name), plain, n=3)]
    return f": did you mean {' or '.join(close)}?" if close else ""


def _plain(name: str) -> str:
    return re.sub(r"^(ALE/|game:)|(NoFrameskip)?-v\d+$", "", name).lower()
