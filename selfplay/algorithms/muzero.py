"""MuZero: AlphaZero's games and loop, with a model that is learned in place of the rules.

Source: Schrittwieser et al. 2020, "Mastering Atari, Go, chess and shogi by planning with a learned model"; Gumbel
search: Danihelka et al. 2022; chance codes: Antonoglou et al. 2022; real-valued actions: Hubert et al. 2021.
docs/muzero.md lists every departure.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np

import games
from games import TERMINAL, Game
from games.base import CHANCE
from games.environments.environment import EPISODES_SEED
from games.environments.pool import EnvironmentGame
from games.environments.registry import load_environment
from games.random_play import begin_games, draw_outcomes, random_actions
from nets.config import NetConfig
from nets.models import resolve_kind
from nets.world_inference import Departures, Roots, Steps, WorldInference
from nets.world_model import WorldModel, WorldSizes, build_world_model
from search.learned_model import LearnedModelFactory, WorldFunctions, learned_traits
from search.perspective import num_values
from search.sampled_model import SampledModelFactory, sampled_traits
from selfplay.algorithms.alphazero import AlphaZero, warm_up
from selfplay.algorithms.learner import Learner
from selfplay.algorithms.networks import CALIBRATION_POSITIONS, board_of, without_memory
from selfplay.algorithms.precision import choose_device
from selfplay.algorithms.reanalysis import Reanalysis
from selfplay.algorithms.world_learner import WorldLearner, td_steps
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.experience.openings import random_observations
from selfplay.replay.positions import PositionReplay
from selfplay.replay.priorities import Priorities
from selfplay.system.preflight import MemoryNeed, Needs

AUDITED_GAMES = 16
"""Random games that show whether the players take turns."""


REANALYSIS_TREES = 256
"""Largest number of positions that are searched again at once."""


class MuZero(AlphaZero):
    """See `selfplay.algorithms.algorithm.Algorithm`."""

    def __init__(self, config: Config) -> None:
        """Raises UserError for settings that a learned model has no use for."""
        super().__init__(config)
        self.net_config = net_config(config, self.game)
        self.sizes = world_sizes(config, self.game)
        refuse_unused(config, self.game)
        self.latent_shape = without_memory(self.make_net).latent_shape
        muzero = config.muzero
        traits = learned_traits(self.game, self.latent_shape, muzero.inner_actions, muzero.chance_codes)
        self.traits = sampled_traits(self.game, traits)

    @property
    def needs(self) -> Needs:
        """See `Algorithm.needs`: beside the memory of AlphaZero, latents, and positions that follow a sampled one."""
        config, needs = self.config, super().needs
        has_codes = config.muzero.chance_codes > 0
        is_in_bytes = len(self.latent_shape) == 3 and config.actors.dtype in ("auto", "int8") and not has_codes
        searches = max(1, config.actors.num_actors) * config.actors.games_per_actor + self._reanalysis_trees
        latents = (2 if has_codes else 1) * config.search.num_simulations  # and afterstates
        numbers = searches * latents * math.prod(self.latent_shape)
        batch, steps = config.learner.batch_size, config.muzero.unroll_steps
        followed = steps + td_steps(config, self.game)
        kept, learned = batch * followed, 4 * batch * (1 + steps)  # bytes, and then float32
        share = max(config.actors.full_search_share, 1 / self.game.most_plies)
        sampled = int(config.replay.capacity / share) * 4 * math.prod(self.game.sampled_shape)
        memory = (
            *needs.memory,
            *([MemoryNeed("replay.capacity", "sampled actions of all positions", sampled)] if sampled else []),
            MemoryNeed(
                "search.num_simulations", f"latents of {searches:,} searches", numbers * (1 if is_in_bytes else 4)
            ),
            MemoryNeed(
                "learner.batch_size",
                f"{batch:,} samples with {followed:,} moves each",
                (kept + learned) * math.prod(self.game.observation_shape),
            ),
        )
        return replace(needs, memory=memory)

    def load_game(self, config: Config) -> Game:
        """What the run plays: the episodes of an environment are games of one player."""
        if not config.environment:
            return games.load(config.game)
        return EnvironmentGame(load_environment(config.environment), sampled_actions=config.muzero.sampled_actions)

    def game_of_collector(self, rng: np.random.Generator) -> Game:
        """The game; or the environment, with episodes that no other collector has."""
        if not isinstance(self.game, EnvironmentGame):
            return self.game
        seed, sampled_actions = int(rng.integers(EPISODES_SEED)), self.config.muzero.sampled_actions
        return EnvironmentGame(self.game.environment, seed, sampled_actions)

    def warm_up(self) -> None:
        """See `Algorithm.warm_up`."""
        warm_up(self.config, self.game, self._models(BlindWorld(self.sizes), explores=True))

    def make_net(self) -> WorldModel:  # type: ignore[override]  # what is not shared by the two algorithms
        return build_world_model(self.net_config, self.sizes, self.config.seed % 2**63)

    def make_learner(self) -> Learner:
        reanalysis = self.make_reanalysis() if self.config.muzero.reanalyse_share > 0 else None
        return WorldLearner(self.make_net(), self.config, self.game, reanalysis)

    def make_reanalysis(self) -> Reanalysis:
        """What searches positions of the replay again, with the models of self-play."""
        num_trees = self._reanalysis_trees
        world, models = partial(self.make_inference, num_trees), partial(self._models, explores=True)
        return Reanalysis(self.game, self.config.search, num_trees, world, models)

    @property
    def _reanalysis_trees(self) -> int:
        """Positions that are searched again at once: all of a batch, where they are not too many."""
        muzero = self.config.muzero
        samples = muzero.reanalyse_share * self.config.learner.batch_size
        return min(REANALYSIS_TREES, math.ceil(samples * (1 + muzero.unroll_steps)))

    def make_replay(self) -> PositionReplay:
        replay, muzero = self.config.replay, self.config.muzero
        symmetries = self.game.symmetries() if self.config.learner.symmetries else []
        steps = muzero.unroll_steps + td_steps(self.config, self.game)
        priorities = None
        if muzero.priority_exponent > 0:
            priorities = Priorities(replay.capacity, muzero.priority_exponent, muzero.importance_exponent)
        return PositionReplay(replay, self.game.num_actions, symmetries, self.targets, steps, priorities)

    def make_inference(self, max_batch: int | None = None) -> WorldInference:  # type: ignore[override]
        actors = self.config.actors
        return WorldInference(
            self.net_config,
            self.sizes,
            choose_device(actors.device),
            max_batch or actors.games_per_actor,
            actors.dtype,
            calibration=self._positions(),
        )

    def _positions(self) -> np.ndarray | None:
        """Positions of random games, the same in every process, from which int8 inference learns how large activations
        get; None in an environment."""
        if isinstance(self.game, EnvironmentGame):
            return None
        return random_observations(self.game, CALIBRATION_POSITIONS, np.random.default_rng(0))

    def make_player_models(self, inference: WorldInference, symmetries: bool) -> LearnedModelFactory:  # type: ignore[override]
        if symmetries:
            raise UserError("symmetries: a learned model does not average over them; use false")
        return self._models(inference, explores=False)

    def make_models(self, inference: WorldInference, rng: np.random.Generator) -> LearnedModelFactory:  # type: ignore[override]
        return self._models(inference, explores=True)

    def _models(self, world: WorldFunctions, explores: bool) -> LearnedModelFactory:
        """`explores`: for self-play."""
        game, muzero = self.game, self.config.muzero
        if game.action_low is None:
            return LearnedModelFactory(game, world, muzero.inner_actions, muzero.chance_codes)
        uniform = round(muzero.uniform_share * muzero.sampled_actions) if explores else None
        return SampledModelFactory(game, world, muzero.inner_actions, uniform)


class BlindWorld:
    """A network that knows nothing: what a search costs without one (`search.learned_model.WorldFunctions`)."""

    latent_shape: tuple[int, ...] = (1,)
    latent_dtype = np.dtype(np.float32)

    def __init__(self, sizes: WorldSizes) -> None:
        self._sizes = sizes

    def initial(self, observations: np.ndarray) -> Roots:
        """Zeros."""
        count, sizes = len(observations), self._sizes
        latents, logits = np.zeros((count, 1), np.float32), np.zeros((count, sizes.policy_outputs), np.float32)
        return Roots(latents, logits, np.zeros((count, sizes.num_values), np.float32))

    def recurrent(self, latents: np.ndarray, choices: np.ndarray) -> Steps:
        """Zeros; players take turns."""
        rewards = np.zeros((len(choices), self._sizes.num_values), np.float32) if self._sizes.support else None
        return Steps(*self.initial(latents), rewards, None)

    def departure(self, latents: np.ndarray, actions: np.ndarray) -> Departures:
        """Zeros: every code is as likely as another."""
        return Departures(np.zeros_like(latents), np.zeros((len(actions), self._sizes.chance_codes), np.float32))


def refuse_unused(config: Config, game: Game) -> None:
    """Raise UserError for settings that a learned model has no use for."""
    if game.action_low is not None:
        if resolve_kind(config.net, game.observation_shape) == "resnet":
            raise UserError("net.kind: with real-valued actions the model of muzero keeps no board; use mlp")
        if config.actors.opening_plies > 0:
            raise UserError("actors.opening_plies: openings of real-valued actions are not kept; use 0")
        if config.muzero.chance_codes > 0:
            raise UserError("muzero.chance_codes: not with real-valued actions; use 0")
    if config.net.policy not in ("auto", "categorical" if game.action_low is None else "gaussian"):
        raise UserError(f"net.policy: {config.net.policy} does not fit the actions of {game.name}; use auto")
    if config.actors.symmetries != "none" or config.evaluation.symmetries:
        name = "evaluation" if config.evaluation.symmetries else "actors"
        value = "false" if config.evaluation.symmetries else "none"
        raise UserError(f"{name}.symmetries: a learned model does not average over them; use {value}")
    if config.net.kind == "table" or config.net.kind != "resnet" and config.net.layers == 0:
        raise UserError("net: the model of muzero needs hidden layers; use kind auto and layers 1 or more")
    transform = config.net.input_transform
    if transform not in ("none", "pixels") and net_config(config, game).input_transform == "pixels":
        raise UserError(f"net.input_transform: {transform} is not for the bytes of {game.name}; use none")
    if config.net.value_transform != "none":
        raise UserError("net.value_transform: muzero has a scale of its own, see muzero.support; use none")
    if config.learner.root_value_share > 0 and td_steps(config, game) > 0:
        raise UserError(
            "learner.root_value_share: with learner.td_steps the returns of muzero end in the value of the network; "
            "use 0 for one of the two"
        )
    for name in ("reply_head", "moves_left_head", "ownership_head", "score_head", "separate_value"):
        if getattr(config.net, name):
            raise UserError(f"net.{name}: the model of muzero has none; use false")
    if config.net.heads == "planes":
        raise UserError("net.heads: the heads of muzero read the board as a whole; use auto")
    if config.learner.policy_gradient_weight > 0:
        raise UserError("learner.policy_gradient_weight: muzero learns from the search alone; use 0")
    if config.muzero.chance_codes and game.max_chance_outcomes == 0 and not isinstance(game, EnvironmentGame):
        raise UserError(f"muzero.chance_codes: {game.name} has no chance; use 0")
    if config.search.discount < 1 and not game.has_rewards:  # the value behind the end would be discounted for ever
        raise UserError(f"search.discount: {game.name} pays at its end alone, which muzero learns as a value; use 1")


def world_sizes(config: Config, game: Game) -> WorldSizes:
    """What the network needs to know of the game."""
    return WorldSizes(
        observation_shape=game.observation_shape,
        num_actions=game.num_actions,
        num_values=num_values(game),
        support=config.muzero.support if game.has_rewards else 0,
        num_seats=0 if takes_turns(game) else game.num_players,
        dynamics_blocks=config.muzero.dynamics_blocks,
        projects=config.muzero.consistency_weight > 0,
        chance_codes=config.muzero.chance_codes,
        board=board_of(game),
        action_low=() if game.action_low is None else tuple(game.action_low.tolist()),
        action_high=() if game.action_high is None else tuple(game.action_high.tolist()),
    )


def net_config(config: Config, game: Game) -> NetConfig:
    """The settings of the network, with what the environment decides: bytes are pixels."""
    is_pixels = isinstance(game, EnvironmentGame) and game.observation_dtype == np.uint8
    return replace(config.net, input_transform="pixels") if is_pixels else config.net


def takes_turns(game: Game) -> bool:
    """Whether every player is followed by the next one, as far as some random games show."""
    if game.num_players == 1:
        return True
    rng, pool = np.random.default_rng(0), game.new_pool(AUDITED_GAMES)
    slots = np.arange(AUDITED_GAMES)
    begin_games(pool, slots, 0, rng)
    for _ in range(game.most_plies):
        mover = pool.to_play(slots).copy()
        to_play, _ = pool.step(slots, random_actions(pool, slots, rng), slots)
        to_play = to_play.copy()
        while (rows := np.flatnonzero(to_play == CHANCE)).size:
            drawn = draw_outcomes(pool, slots[rows], [rng] * len(rows))
            to_play[rows] = pool.step(slots[rows], drawn, slots[rows])[0]
        goes_on = to_play != TERMINAL
        if ((to_play - mover - 1)[goes_on] % game.num_players != 0).any():
            return False
        slots = slots[goes_on]
        if not len(slots):
            break
    return True
