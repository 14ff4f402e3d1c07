"""Players from the folder of a run: its network with a search, or the network alone.

The run's `config.yaml` says which game, network and search; a checkpoint has the weights. A run trained on a game
with the same rules but another observation serves too, for it sees positions through its own game.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64

import games
from games import Game, StatePool
from search import Evaluation, Model
from selfplay.algorithms import networks
from selfplay.algorithms.models import network_models
from selfplay.config import reader as config_reader
from selfplay.config.run import Config
from selfplay.console.shell import shell_command
from selfplay.errors import UserError
from selfplay.players.player import Analysis, MoveAnalysis
from selfplay.players.text import compose_player
from selfplay.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from nets import Inference


DIGEST_LENGTH = 32
"""Hexadecimal digits of a hash of weights that tell players apart."""


def split_target(target: str) -> tuple[Path, int | None]:
    """`RUN_DIR[@VERSION]` as folder and version; only digits after the last `@` are a version, and no folder's name."""
    match = None if Path(target).is_dir() else re.fullmatch(r"(.+)@(\d+)", target)
    return (Path(match[1]), int(match[2])) if match else (Path(target), None)


def run_config(target: str) -> Config:
    """The settings of the run. Raises UserError when there is no such run."""
    return config_reader.load(Config, RunFolder.open(split_target(target)[0]).config)


def weights_digest(target: str) -> str:
    """The hash of the weights of a version, or of the newest: what a checkpoint's manifest says of them.

    Raises UserError where there is no such run or version, or the manifest is damaged.
    """
    from selfplay.storage import checkpoint

    path, version = split_target(target)
    return checkpoint.weights_digest(RunFolder.open(path).checkpoints, version)[:DIGEST_LENGTH]


def game_of_run(target: str) -> str:
    """The game that the run was trained on. Raises UserError for a run on an environment."""
    config = run_config(target)
    if config.environment:
        raise UserError(
            f"{split_target(target)[0]} was trained on {config.environment}, which is no game; "
            f"use `{shell_command('evaluate', compose_player('run', target), '--episodes', '100')}`"
        )
    return config.game


_idle: dict[tuple[Any, ...], list[Inference]] = {}
"""Inference objects by sizes that nobody uses: making one takes seconds, and a traced network is never freed."""


class TrainedNetwork:
    """A checkpoint's network, ready to evaluate."""

    def __init__(self, target: str, game: Game, max_batch: int, symmetries: bool | None = None) -> None:
        """Load the newest version, or the one asked for. `symmetries` None leaves that to the run's settings.

        Raises UserError when it is missing or damaged, or was trained on a game with other rules than `game`.
        """
        from selfplay.storage import checkpoint  # torch takes two seconds to import

        path, version = split_target(target)
        self.config = run_config(target)
        self.game = games.load(game_of_run(target))
        if self.game.rules != game.rules:
            raise UserError(f"{path} was trained on {self.game.name}, it cannot play {game.name}")
        folder = RunFolder.open(path).checkpoints
        if version is None:
            version = max(checkpoint.versions(folder), default=None)  # None: `load_weights` says what is missing
        weights, _ = checkpoint.load_weights(folder, version)
        _one_thread_unless_told()
        self._key = (self.config.net, self.config.actors, self.game.name, max_batch)
        free = _idle.get(self._key)
        self._inference = (
            free.pop() if free else networks.make_inference(self.config, self.game, self.config.actors, max_batch)
        )
        self._closed = False
        try:
            self._inference.load(weights, version or 0)
        except ValueError as error:
            raise UserError(f"{path}: version {version} does not fit its config.yaml: {error}") from None
        self.target = f"{path}@{version}"
        """The run with the version that was loaded, as the text of a player has it."""
        if symmetries is None:
            symmetries = self.config.evaluation.symmetries
        self.models = network_models(
            self.game,
            self._inference.predict,
            self.config.search.cache_megabytes,
            self.game.symmetries() if symmetries else (),
        )

    def close(self) -> None:
        """Leave the inference object to the next network of the same sizes; this one is not used afterwards."""
        if not self._closed:
            self._closed = True
            _idle.setdefault(self._key, []).append(self._inference)


class NetworkPlayer:
    """Plays the move that the network alone thinks likeliest."""

    def __init__(self, name: str, network: TrainedNetwork) -> None:
        self.name, self.network = name, network
        self._model: Model | None = None
        self._num_slots = 0

    def choose(
        self, pool: StatePool, slots: Int64[np.ndarray, " n"], histories: Sequence[Sequence[int]]
    ) -> Int64[np.ndarray, " n"]:
        """See `Player.choose`."""
        return self.decide(pool, slots, histories)[0]

    def decide(
        self, pool: StatePool, slots: np.ndarray, histories: Sequence[Sequence[int]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Evaluates.decide`."""
        to_play = pool.to_play(slots)
        found = self._evaluate(pool, slots)
        best = [int(np.argmax(found.logits[a:b])) + a for a, b in zip(found.offsets[:-1], found.offsets[1:])]
        return found.actions[best], self._worth(found, to_play)

    def analyse(self, pool: StatePool, slot: int) -> Analysis:
        """See `Analyst.analyse`. Nothing is searched: every move has its prior alone."""
        slots = np.array([slot], np.int64)
        found = self._evaluate(pool, slots)
        prior = np.exp(found.logits.astype(np.float64) - found.logits.max())
        prior /= prior.sum()
        moves = tuple(
            MoveAnalysis(int(found.actions[k]), pool.action_text(slot, int(found.actions[k])), 0, math.nan, prior[k])
            for k in np.argsort(-prior, kind="stable")
        )
        return Analysis(moves[0].action, float(self._worth(found, pool.to_play(slots))[0]), moves)

    def close(self) -> None:
        """Free the network and the model."""
        self.network.close()
        self._model = None

    def _worth(self, found: Evaluation, to_play: np.ndarray) -> np.ndarray:
        """[n]: values for the players to move; those of DQN are of their best moves, its value head learns nothing."""
        config = self.network.config
        if config.algorithm == "dqn" and not config.dqn.duelling:
            return np.maximum.reduceat(found.logits, found.offsets[:-1]).astype(np.float64)
        return found.values[np.arange(len(to_play)), to_play].astype(np.float64)

    def _evaluate(self, pool: StatePool, slots: np.ndarray) -> Evaluation:
        """The network's view of positions, seen through the game that it was trained on."""
        if self._model is None or self._num_slots < len(slots):
            self._model, self._num_slots = self.network.models.make_model(), len(slots)
            self._model.allocate(len(slots))
        own = np.arange(len(slots))
        self._model.load(own, pool, slots)
        return self._model.evaluate(own)


def _one_thread_unless_told() -> None:
    """Use one thread for the network, or as many as OMP_NUM_THREADS asks for: the cores may be busy training."""
    import nets

    if "OMP_NUM_THREADS" not in os.environ:
        nets.one_thread()
