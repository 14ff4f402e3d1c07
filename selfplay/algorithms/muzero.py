"""MuZero: AlphaZero's games and loop, with a model that is learned in place of the rules.

Source: Schrittwieser et al. 2020, "Mastering Atari, Go, chess and shogi by planning with a learned model"; Gumbel
search: Danihelka et al. 2022. docs/muzero.md lists every departure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

import games
from games import TERMINAL, Game
from games.base import CHANCE
from games.environments.environment import EPISODES_SEED
from games.environments.pool import EnvironmentGame
from games.environments.registry import load_environment
from games.random_play import begin_games, draw_outcomes, random_actions
from nets.config import NetConfig
from nets.losses import value_mse
from nets.models import resolve_kind
from nets.supports import is_beyond, two_hot
from nets.world_inference import Roots, Steps, WorldInference
from nets.world_model import Prediction, Unrolled, WorldModel, WorldSizes, build_world_model
from search.learned_model import LearnedModelFactory, learned_traits
from search.perspective import num_values, seen_after
from selfplay.algorithms.alphazero import AlphaZero, warm_up
from selfplay.algorithms.learner import Learner, Loss, StepResult
from selfplay.algorithms.networks import CALIBRATION_POSITIONS, board_of
from selfplay.algorithms.precision import choose_device, uses_bfloat16
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.experience.openings import random_observations
from selfplay.replay.positions import Batch, PositionReplay
from selfplay.replay.unroll import Bootstrap, UnrolledBatch, unrolled
from selfplay.system.preflight import MemoryNeed, Needs

AUDITED_GAMES = 16
"""Random games that show whether the players take turns."""


class MuZero(AlphaZero):
    """See `selfplay.algorithms.algorithm.Algorithm`."""

    def __init__(self, config: Config) -> None:
        """Raises UserError for settings that a learned model has no use for."""
        super().__init__(config)
        self.net_config = net_config(config, self.game)
        self.sizes = world_sizes(config, self.game)
        refuse_unused(config, self.game)
        self.latent_shape = self.make_net().latent_shape
        self.traits = learned_traits(self.game, self.latent_shape, config.muzero.inner_actions)

    @property
    def needs(self) -> Needs:
        """See `Algorithm.needs`: beside the memory of AlphaZero, latents, and positions that follow a sampled one."""
        config, needs = self.config, super().needs
        is_in_bytes = len(self.latent_shape) == 3 and config.actors.dtype in ("auto", "int8")
        searches = max(1, config.actors.num_actors) * config.actors.games_per_actor
        numbers = searches * config.search.num_simulations * math.prod(self.latent_shape)
        batch, steps = config.learner.batch_size, config.muzero.unroll_steps
        followed = steps + _td_steps(config, self.game)
        kept, learned = batch * followed, 4 * batch * (1 + steps)  # bytes, and then float32
        memory = (
            *needs.memory,
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
        return EnvironmentGame(load_environment(config.environment))

    def game_of_collector(self, rng: np.random.Generator) -> Game:
        """The game; or the environment, with episodes that no other collector has."""
        if not isinstance(self.game, EnvironmentGame):
            return self.game
        return EnvironmentGame(self.game.environment, int(rng.integers(EPISODES_SEED)))

    def warm_up(self) -> None:
        """See `Algorithm.warm_up`."""
        models = LearnedModelFactory(self.game, BlindWorld(self.sizes), self.config.muzero.inner_actions)
        warm_up(self.config, self.game, models)

    def make_net(self) -> WorldModel:  # type: ignore[override]  # what is not shared by the two algorithms
        return build_world_model(self.net_config, self.sizes, self.config.seed % 2**63)

    def make_learner(self) -> Learner:
        return WorldLearner(self.make_net(), self.config, self.game)

    def make_replay(self) -> PositionReplay:
        replay = super().make_replay()
        replay.steps = self.config.muzero.unroll_steps + _td_steps(self.config, self.game)
        return replay

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
        return LearnedModelFactory(self.game, inference, self.config.muzero.inner_actions)

    def make_models(self, inference: WorldInference, rng: np.random.Generator) -> LearnedModelFactory:  # type: ignore[override]
        return LearnedModelFactory(self.game, inference, self.config.muzero.inner_actions)


class BlindWorld:
    """A network that knows nothing: what a search costs without one (`search.learned_model.WorldFunctions`)."""

    latent_shape: tuple[int, ...] = (1,)
    latent_dtype = np.dtype(np.float32)

    def __init__(self, sizes: WorldSizes) -> None:
        self._sizes = sizes

    def initial(self, observations: np.ndarray) -> Roots:
        """Zeros."""
        count, sizes = len(observations), self._sizes
        latents, logits = np.zeros((count, 1), np.float32), np.zeros((count, sizes.num_actions), np.float32)
        return Roots(latents, logits, np.zeros((count, sizes.num_values), np.float32))

    def recurrent(self, latents: np.ndarray, actions: np.ndarray) -> Steps:
        """Zeros; players take turns."""
        rewards = np.zeros((len(actions), self._sizes.num_values), np.float32) if self._sizes.support else None
        return Steps(*self.initial(latents), rewards, None)


def refuse_unused(config: Config, game: Game) -> None:
    """Raise UserError for settings that a learned model has no use for."""
    if config.actors.symmetries != "none" or config.evaluation.symmetries:
        name = "evaluation" if config.evaluation.symmetries else "actors"
        value = "false" if config.evaluation.symmetries else "none"
        raise UserError(f"{name}.symmetries: a learned model does not average over them; use {value}")
    if config.net.kind == "table" or config.net.kind != "resnet" and config.net.layers == 0:
        raise UserError("net: the model of muzero needs hidden layers; use kind auto and layers 1 or more")
    if config.net.input_transform == "running":
        raise UserError("net.input_transform: muzero keeps no running moments; use none or symlog")
    if config.net.value_transform != "none":
        raise UserError("net.value_transform: muzero has a scale of its own, see muzero.support; use none")
    if config.learner.root_value_share > 0 and _td_steps(config, game) > 0:
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
        board=board_of(game),
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


def _td_steps(config: Config, game: Game) -> int:
    """n of n-step returns; 0 where value targets are those of the records."""
    return config.learner.td_steps if game.has_rewards else 0


class WorldLearner(Learner):
    """Unrolls batches, and values what stands behind n-step returns by the averaged weights.

    Values that are asked for when they are learned from never grow old (MuZero Unplugged, Schrittwieser et al. 2021:
    value reanalysis with a target network).
    """

    def __init__(self, net: WorldModel, config: Config, game: Game) -> None:
        super().__init__(net, config.learner, WorldLoss(config, net))
        self._run, self._game = config, game

    def step(self, batch: Batch, progress: float) -> StepResult:
        """See `Learner.step`."""
        settings = self._run
        sample = unrolled(
            batch,
            settings.muzero.unroll_steps,
            self._game.num_players,
            self._game.has_rewards,
            _td_steps(settings, self._game),
            settings.search.discount,
            np.random.default_rng([settings.seed, self.steps]),  # a resumed run draws the same
        )
        if sample.bootstrap is not None:
            missing = self._missing(sample.bootstrap)
            sample = replace(sample, value_target=sample.value_target + missing, bootstrap=None)
        return super().step(sample, progress)

    def _missing(self, bootstrap: Bootstrap) -> Float[np.ndarray, "B depths V"]:
        """What the values behind n-step returns add to them."""
        net = self.net
        assert isinstance(net, WorldModel)
        weights = self.average if self.config.ema_decay > 0 else net.state_dict()
        observations = bootstrap.observation
        flat = torch.from_numpy(observations.reshape(-1, *observations.shape[2:])).to(self.device)
        net.eval()
        with torch.no_grad():
            prediction = torch.func.functional_call(_Initial(net), _under("net", weights), (flat,))
        net.train()
        values = prediction.value.float().cpu().numpy().reshape(*observations.shape[:2], -1)
        turned = seen_after(values, -bootstrap.turns, self._game.num_players)
        return (bootstrap.factor[..., None] * turned).astype(np.float32)


class _Initial(nn.Module):
    """`WorldModel.initial` as a forward pass, which `functional_call` needs."""

    def __init__(self, net: WorldModel) -> None:
        super().__init__()
        self.net = net

    def forward(self, observation: Tensor) -> Prediction:
        return self.net.initial(observation)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


@dataclass(frozen=True)
class _Means:
    """Means over those entries [B, K] of a batch that count, weighted by depth."""

    scale: Tensor  # [K]

    def __call__(self, errors: Float[Tensor, "B K"], mask: Tensor) -> Float[Tensor, ""]:
        return (torch.where(mask, errors, 0.0) * self.scale).sum(dim=1).mean()


class WorldLoss:
    """The loss of an unroll (equation 1 of the paper): the sampled position counts once, each of the K depths 1 / K.

    The policy loss is over all actions: nothing else tells the model which moves are illegal.
    """

    def __init__(self, config: Config, net: WorldModel) -> None:
        self._settings, self._learner, self._sizes = config.muzero, config.learner, net.sizes
        self._is_bfloat16 = uses_bfloat16(config.learner, resolve_kind(config.net, net.sizes.observation_shape))

    def __call__(self, net: nn.Module, batch: UnrolledBatch, device: torch.device) -> Loss:
        assert isinstance(net, WorldModel)

        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array).to(device)

        steps = self._settings.unroll_steps
        with torch.autocast(device.type, torch.bfloat16, enabled=self._is_bfloat16):
            outputs = net.unroll(tensor(batch.observation), tensor(batch.action))
        every = _Means(torch.tensor([1.0] + [1.0 / steps] * steps, device=device))
        later = _Means(torch.full((steps,), 1.0 / steps, device=device))
        logits = outputs.policy_logits.float()
        policy_target, policy_mask = tensor(batch.policy_target), tensor(batch.policy_mask)
        log_policy = torch.log_softmax(logits, dim=-1)
        policy_errors = -(policy_target * log_policy).sum(dim=-1)
        value_target, value_mask = tensor(batch.value_target), tensor(batch.value_mask)
        value_errors = self._errors(net, outputs.value_output.float(), value_target)
        parts = {
            "policy_loss": every(policy_errors, policy_mask),
            "value_loss": every(value_errors, value_mask),
        }
        total = parts["policy_loss"] + self._learner.value_weight * parts["value_loss"]
        if outputs.reward_output is not None:
            reward_target, reward_mask = tensor(batch.reward_target), tensor(batch.reward_mask)
            reward_errors = self._errors(net, outputs.reward_output.float(), reward_target)
            parts["reward_loss"] = later(reward_errors, reward_mask)
            total = total + parts["reward_loss"]
        exists = tensor(batch.exists)
        if outputs.seat_logits is not None:
            seat_logits, turns = outputs.seat_logits.float().flatten(0, 1), tensor(batch.turns).flatten()
            seat_errors = functional.cross_entropy(seat_logits, turns, reduction="none").view_as(exists)
            parts["seat_loss"] = later(seat_errors, tensor(batch.turns_mask))
            total = total + parts["seat_loss"]
        if self._settings.consistency_weight > 0:
            parts["consistency_loss"] = later(1.0 - self._similarity(net, outputs, batch, device), exists)
            total = total + self._settings.consistency_weight * parts["consistency_loss"]
        with torch.no_grad():
            terms = {"loss": total, **parts, **self._figures(outputs, batch, policy_errors, value_errors, device)}
        return Loss(total, {name: term.detach() for name, term in terms.items()})

    def _errors(
        self, net: WorldModel, output: Float[Tensor, "B K outputs"], target: Float[Tensor, "B K V"]
    ) -> Float[Tensor, "B K"]:
        """Cross-entropy of a distribution to its target, or the square of the difference without a support."""
        if self._sizes.support == 0:
            flat = value_mse(torch.tanh(output).flatten(0, 1), target.flatten(0, 1))
            return flat.view(target.shape[:2])
        log_probabilities = torch.log_softmax(net.distribution(output), dim=-1)
        return -(two_hot(target, self._sizes.support) * log_probabilities).sum(dim=-1).mean(dim=-1)

    def _similarity(
        self, net: WorldModel, outputs: Unrolled, batch: UnrolledBatch, device: torch.device
    ) -> Float[Tensor, "B K"]:
        """Cosines of the latents of depth 1 to K and those of the observations there.

        Where there is no observation, the sampled one takes its place: zeros would spoil the statistics of batch
        normalisation.
        """
        exists = batch.exists.reshape(*batch.exists.shape, *(1,) * (batch.observation.ndim - 1))
        seen_there = np.where(exists, batch.following, batch.observation[:, None])
        observations = torch.from_numpy(seen_there).to(device).flatten(0, 1)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=self._is_bfloat16):
            seen = net.represent(observations)
        return net.similarity(outputs.latents[:, 1:].flatten(0, 1).float(), seen.float()).view(batch.exists.shape)

    def _figures(
        self,
        outputs: Unrolled,
        batch: UnrolledBatch,
        policy_errors: Tensor,
        value_errors: Tensor,
        device: torch.device,
    ) -> dict[str, Tensor]:
        """What shows how well the model holds with depth: losses at the first and the last depth, and the probability
        of moves that are not legal there."""
        figures: dict[str, Tensor] = {}
        legal = torch.from_numpy(batch.legal_mask).to(device)
        is_known = legal.any(dim=-1)
        illegal = torch.where(legal, 0.0, torch.softmax(outputs.policy_logits.float(), dim=-1)).sum(dim=-1)
        policy_mask = torch.from_numpy(batch.policy_mask).to(device)
        value_mask = torch.from_numpy(batch.value_mask).to(device)
        for name, depth in (("first", 0), ("last", self._settings.unroll_steps)):
            figures[f"policy_loss_{name}"] = _mean(policy_errors[:, depth], policy_mask[:, depth])
            figures[f"value_loss_{name}"] = _mean(value_errors[:, depth], value_mask[:, depth])
            figures[f"illegal_share_{name}"] = _mean(illegal[:, depth], is_known[:, depth])
        if self._sizes.support:
            target = torch.from_numpy(batch.value_target).to(device)
            figures["support_clipped"] = _mean(is_beyond(target, self._sizes.support).float().mean(dim=-1), value_mask)
        return figures


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the entries [B] that count; 0 where there are none."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)
