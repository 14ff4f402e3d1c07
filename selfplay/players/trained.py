"""Players from the folder of a run: its network with a search, or the network alone.

The run's `config.yaml` says which game, network and search; a checkpoint has the weights. A run trained on a game
with the same rules but another observation serves too, for it observes positions by its own game.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64

import games
from games import Game, StatePool
from games.parameters import parse
from games.registry import earlier_meaning
from search import Evaluation, Model, SearchConfig
from selfplay.algorithms.registry import kind_of
from selfplay.config import reader
from selfplay.config.curriculum import read_stages
from selfplay.config.run import Config
from selfplay.console.shell import shell_command
from selfplay.errors import UserError
from selfplay.players.options import MAX_TREES, RunOptions
from selfplay.players.player import Analysis, Forecast, MoveAnalysis, Player
from selfplay.players.search import SearchPlayer
from selfplay.players.text import PlayerSpec, compose_player
from selfplay.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from torch import Tensor

    from nets import Inference, PolicyValueNet

DIGEST_LENGTH = 32
"""Hexadecimal digits of a hash of weights that tell players apart."""


def split_target(target: str) -> tuple[Path, int | None]:
    """`RUN_DIR[@VERSION]` as folder and version; only digits after the last `@` are a version, and no folder's name."""
    match = None if Path(target).is_dir() else re.fullmatch(r"(.+)@(\d+)", target)
    return (Path(match[1]), int(match[2])) if match else (Path(target), None)


def run_config(target: str) -> Config:
    """The settings of the run. Raises UserError when there is no such run."""
    return reader.load(Config, RunFolder.open(split_target(target)[0]).config)


def learns_by_search(config: Config) -> bool:
    """Whether the run plays with a search while it learns, so that its players search too."""
    return kind_of(config).searches


def learns_policy(config: Config) -> bool:
    """Whether the network of the run has a policy that a search can use, and not values of actions instead."""
    return kind_of(config).learns_policy


def discount_of(config: Config) -> float:
    """The discount of a reward that comes a step later, as the run learns: a search has its own."""
    return config.search.discount if learns_by_search(config) else config.rewards.discount


def player_of_checkpoint(config: Config, target: str, num_simulations: int | None = None) -> str:
    """The text of the player of a run, or of one of its checkpoints.

    Args:
        config: the settings of the run.
        target: `RUN_DIR[@VERSION]`.
        num_simulations: of its search, 0 for the network alone; None for the number of the run's evaluation where it
            learns by search, else for the network alone.
    """
    if num_simulations is None:
        num_simulations = config.evaluation.num_simulations if learns_by_search(config) else 0
    if num_simulations == 0:
        return compose_player("net", target)
    return compose_player("run", target, f"simulations={num_simulations}")


def game_of_run(target: str) -> str:
    """The game that the run was trained on. Raises UserError for a run on an environment."""
    return game_of_settings(run_config(target), target)


def game_of_settings(config: Config, target: str) -> str:
    """`game_of_run` of a run whose settings have been read."""
    if config.environment:
        raise UserError(
            f"{split_target(target)[0]} was trained on {config.environment}, which is no game; "
            f"use `{shell_command('evaluate', compose_player('run', target), '--episodes', '100')}`"
        )
    return config.game


def earlier_game_hint(game: str, config_path: Path) -> str:
    """What to do about a run whose `game` had other rules when it was trained, as the end of a message; else empty."""
    earlier = earlier_meaning(game)
    if not earlier:
        return ""
    return f"; a run that was trained on OpenSpiel's {parse(earlier).name} needs `game: {earlier}` in {config_path}"


def environment_of_run(target: str) -> str | None:
    """The environment that the run was trained on; None for a run that learns by search, in a game."""
    from selfplay.algorithms.networks import environment_text

    config = run_config(target)
    return None if learns_by_search(config) and not config.environment else environment_text(config)


@dataclass(frozen=True)
class RunWeights:
    """The weights of one version of a run."""

    path: Path
    version: int
    tensors: dict[str, Tensor]

    @property
    def target(self) -> str:
        """The run with the version, as the text of a player has it."""
        return f"{self.path}@{self.version}"


def read_weights(target: str) -> RunWeights:
    """Read the weights of `RUN_DIR[@VERSION]`, the newest version if none is given.

    Raises UserError where there is no such run or version, or it is damaged.
    """
    from selfplay.storage import checkpoint  # torch takes two seconds to import

    path, version = split_target(target)
    folder = RunFolder.open(path).checkpoints
    if version is None:
        version = max(checkpoint.versions(folder), default=None)  # None: `load_weights` says what is missing
    tensors, _ = checkpoint.load_weights(folder, version)
    assert version is not None
    return RunWeights(path, version, tensors)


def identify_net(spec: PlayerSpec) -> str:
    """`PlayerSpec.identity` of a network alone: by its weights."""
    return f"{spec.kind.name}:{_weights_digest(spec.run)}"


def identify_run(spec: PlayerSpec) -> str:
    """`PlayerSpec.identity` of a network with a search: by its weights and by all that changes what is played.

    Noise, memory and how many positions are searched at once do not.
    """
    options: RunOptions = spec.options
    config = run_config(spec.run)
    usual = SearchConfig()
    unseen = {name: getattr(usual, name) for name in ("dirichlet_alpha", "dirichlet_fraction", "cache_megabytes")}
    search = dataclasses.replace(_search_of_run(options, config), **unseen)
    symmetries = config.evaluation.symmetries if options.symmetries is None else options.symmetries
    given = {"symmetries": symmetries, "temperature": options.temperature, "seed": options.seed}
    shown = [f"num_simulations={search.num_simulations}"]
    shown += [
        f"{name}={value}"
        for name, value in dataclasses.asdict(search).items()
        if name != "num_simulations" and value != getattr(usual, name)
    ]
    shown += [f"{name}={value}" for name, value in given.items() if value or value == 0 and name == "seed"]
    return f"{spec.kind.name}:{_weights_digest(spec.run)}:{','.join(shown)}"


def _weights_digest(target: str) -> str:
    """The hash of the weights of a version, or of the newest: what a checkpoint's manifest says of them.

    Raises UserError where there is no such run or version, or the manifest is damaged.
    """
    from selfplay.storage import checkpoint

    path, version = split_target(target)
    return checkpoint.weights_digest(RunFolder.open(path).checkpoints, version)[:DIGEST_LENGTH]


def _search_of_run(options: RunOptions, config: Config) -> SearchConfig:
    """The search of a player of a run: what is not given is as the run's settings say."""
    return dataclasses.replace(
        config.search,
        rule=options.rule or config.search.rule,
        num_simulations=options.simulations or config.evaluation.num_simulations,
        subtree_reuse=False,  # positions come in any order
        forced_playouts=0.0,  # they belong to the noise of self-play
    )


def make_run_player(spec: PlayerSpec, game: Game | None, seed: int) -> Player:
    """`PlayerKind.make_player` of a network with a search; `game` None: for what the run was trained on."""
    options: RunOptions = spec.options
    network = TrainedNetwork(spec.run, game, options.batch, options.symmetries)
    if not learns_policy(network.config):
        network.close()
        raise UserError(
            f"{spec.target}: {network.config.algorithm} has learned values of moves, no policy for a search; use net:"
        )
    search = _search_of_run(options, network.config)
    shown = dataclasses.replace(options, simulations=search.num_simulations)
    target = network.target if spec.kind.is_of_run else spec.target
    name = dataclasses.replace(spec, target=target, options=shown).name
    return SearchPlayer(
        name, network.models, search, seed, options.temperature, options.batch, network.close, network.forecast
    )


def make_net_player(spec: PlayerSpec, game: Game | None, seed: int) -> Player:
    """`PlayerKind.make_player` of a network alone; `game` None: for what the run was trained on."""
    network = TrainedNetwork(spec.target, game, MAX_TREES)
    return NetworkPlayer(dataclasses.replace(spec, target=network.target).name, network)


_idle: dict[tuple[Any, ...], list[Inference]] = {}
"""Inference objects that nobody uses, by their sizes: making one takes seconds, and a traced network is never freed."""


def take_idle(key: tuple[Any, ...], make: Callable[[], Inference]) -> Inference:
    """An inference object of these sizes that nobody uses, with whatever weights; a new one where there is none."""
    free = _idle.get(key)
    return free.pop() if free else make()


def leave_idle(key: tuple[Any, ...], inference: Inference) -> None:
    """Leave an inference object to who takes the next one of its sizes."""
    _idle.setdefault(key, []).append(inference)


class TrainedNetwork:
    """A checkpoint's network, ready to evaluate."""

    def __init__(self, target: str, game: Game | None, max_batch: int, symmetries: bool | None = None) -> None:
        """Load the newest version, or the one asked for. `game` None takes what the run was trained on, `symmetries`
        None leaves that to the run's settings.

        Raises UserError when it is missing or damaged, or was trained on a game with other rules than `game`.
        """
        from selfplay.algorithms.registry import searcher

        self.config = run_config(target)
        config = self.config if game is None else _config_on(game, self.config, target)
        algorithm = searcher(config)
        self.game = algorithm.game
        weights = read_weights(target)
        self.target = weights.target
        """The run with the version that was loaded, as the text of a player has it."""
        _one_thread_unless_told()
        self._key = (config.algorithm, config.net, config.muzero, config.actors, self.game.name, max_batch)
        self._inference = take_idle(self._key, lambda: algorithm.make_inference(max_batch))
        self._closed = False
        try:
            self._inference.load(weights.tensors, weights.version)
        except ValueError as error:
            if config is not self.config:
                raise UserError(_cannot_play(self.config, target, self.game)) from None
            raise UserError(
                f"{weights.path}: version {weights.version} does not fit its config.yaml: {error}"
                f"{earlier_game_hint(config.game, RunFolder.open(split_target(target)[0]).config)}"
            ) from None
        self._playing, self._tensors = config, weights.tensors
        self._whole: PolicyValueNet | None = None
        is_averaged = config.evaluation.symmetries if symmetries is None else symmetries
        self.models = algorithm.make_player_models(self._inference, is_averaged)

    def forecast(self, pool: StatePool, slot: int) -> Forecast:
        """See `Forecasts.forecast`: by the heads for learning alone, which what plays does not have."""
        import torch

        from selfplay.algorithms.networks import make_net

        net = self._playing.net
        if not learns_by_search(self._playing) or not (net.ownership_head or net.score_head):
            return Forecast()  # only a search's games teach these heads
        if self._whole is None:
            self._whole = make_net(self._playing, self.game).eval()
            self._whole.load_state_dict(self._tensors)
        own, here = self.game.new_pool(1), np.zeros(1, np.int64)
        own.load(here, pool, np.array([slot], np.int64))
        observation = np.empty((1, *self.game.observation_shape), self.game.observation_dtype)
        own.observe(here, observation)
        with torch.inference_mode():
            heads = self._whole.forward_training(torch.from_numpy(observation))[2]
        return Forecast(
            float(heads["score"][0, 0]) * self._largest_score if "score" in heads else math.nan,
            heads["ownership"][0].numpy() if "ownership" in heads else None,
        )

    @functools.cached_property
    def _largest_score(self) -> float:
        """What 1 of the score head stands for: the largest score of the game that taught it on a board of this size,
        whose komi may be another; that of the game that is played where the size is new."""
        learned = (games.load(name) for name in _games_learned(self.config))
        taught = {game.final_label_shape: game.largest_score for game in learned}
        return taught.get(self.game.final_label_shape, self.game.largest_score)

    def close(self) -> None:
        """Leave the inference object to the next network of the same sizes; this one is not used afterwards."""
        if not self._closed:
            self._closed = True
            leave_idle(self._key, self._inference)


def _config_on(game: Game, config: Config, target: str) -> Config:
    """The settings of a run for a player of `game`: its own, or on another game of the family or of
    its curriculum.

    Raises UserError where the network cannot play it.
    """
    own = games.load(game_of_settings(config, target))
    if own.rules == game.rules:
        return config
    learned = [games.load(name).rules for name in _games_learned(config)]
    if own.family and own.family == game.family or game.rules in learned:
        return dataclasses.replace(config, game=game.name)
    raise UserError(_cannot_play(config, target, game))


def _games_learned(config: Config) -> tuple[str, ...]:
    """The games that the network of a run was trained on, that of `game` first."""
    return (config.game, *(stage.game for stage in read_stages(config.curriculum)))


def _cannot_play(config: Config, target: str, game: Game) -> str:
    run = split_target(target)[0]
    hint = earlier_game_hint(config.game, RunFolder.open(run).config)
    return f"{run} was trained on {config.game}, it cannot play {game.name}{hint}"


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
        output = self._evaluate(pool, slots)
        best = [int(np.argmax(output.logits[a:b])) + a for a, b in zip(output.offsets[:-1], output.offsets[1:])]
        return output.actions[best], self._values(output, to_play)

    def analyse(self, pool: StatePool, slot: int) -> Analysis:
        """See `Analyst.analyse`. Nothing is searched: every move has its prior alone."""
        slots = np.array([slot], np.int64)
        output = self._evaluate(pool, slots)
        prior = np.exp(output.logits.astype(np.float64) - output.logits.max())
        prior /= prior.sum()
        moves = tuple(
            MoveAnalysis(int(output.actions[k]), pool.action_text(slot, int(output.actions[k])), 0, math.nan, prior[k])
            for k in np.argsort(-prior, kind="stable")
        )
        return Analysis(moves[0].action, float(self._values(output, pool.to_play(slots))[0]), moves)

    def forecast(self, pool: StatePool, slot: int) -> Forecast:
        """See `Forecasts.forecast`."""
        return self.network.forecast(pool, slot)

    def close(self) -> None:
        """Free the network and the model."""
        self.network.close()
        self._model = None

    def _values(self, output: Evaluation, to_play: np.ndarray) -> np.ndarray:
        """Values for the players to move, float64 [n]: those of the best moves where the value head learns nothing."""
        config = self.network.config
        if not learns_policy(config) and not config.dqn.duelling:
            return np.maximum.reduceat(output.logits, output.offsets[:-1]).astype(np.float64)
        return output.values[np.arange(len(to_play)), to_play].astype(np.float64)

    def _evaluate(self, pool: StatePool, slots: np.ndarray) -> Evaluation:
        """The network's output for positions, observed by the game that it was trained on."""
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
