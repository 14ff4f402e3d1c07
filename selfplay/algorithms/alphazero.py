"""AlphaZero: the network, the collector of games, and the loss. Everything else is shared (`algorithm.py`).

Source: Silver et al. 2018, "A general reinforcement learning algorithm that masters chess, shogi, and Go".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

import games
from games import Game
from games.observation_layout import layout_notes
from nets.inference import Inference
from nets.losses import (
    final_label_error,
    moves_left_error,
    policy_cross_entropy,
    policy_entropy,
    policy_gradient,
    policy_kl,
    reply_cross_entropy,
    value_mse,
)
from nets.models import PolicyValueNet, check_fit, resolve_kind
from nets.policies import Categorical
from nets.transforms import transform_value
from search import ModelFactory, ModelTraits
from selfplay.algorithms.algorithm import PLAYER, Inferences
from selfplay.algorithms.learner import Learner, Loss, LossFunction
from selfplay.algorithms.models import blind_models, network_models, selfplay_models
from selfplay.algorithms.networks import board_of, game_net_config, make_inference, make_net
from selfplay.algorithms.precision import uses_bfloat16
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.experience.figures import (
    SelfPlayCounts,
    calibration_error,
    describe_game,
    endings_metrics,
    selfplay_metrics,
)
from selfplay.experience.records import GameRecord
from selfplay.experience.self_play import SelfPlay
from selfplay.experience.targets import TargetSettings
from selfplay.replay.positions import Batch, PositionReplay
from selfplay.stats.averages import Averages
from selfplay.system.preflight import MemoryNeed, Needs, first_batch

NODE_BYTES = 64 + 32
"""A node of a search tree with one edge at least."""


class AlphaZero:
    """See `selfplay.algorithms.algorithm.Algorithm`."""

    keeps_games = True
    warm_up_note = "preparing the search; the first run after an installation compiles it, for about a minute"

    def __init__(self, config: Config) -> None:
        self.config, self.game = config, self.load_game(config)
        self.games: tuple[Game, ...] = (self.game,)
        check_labels(config, self.game)
        try:
            check_fit(config.net, self.game.observation_shape, board_of(self.game))
        except ValueError as error:
            raise UserError(str(error)) from None
        self.traits = ModelTraits.of_game(self.game)
        """Of the models that it searches in."""
        self.targets = TargetSettings.of(config, self.game)
        self.title = config.environment or config.game
        self.notes = layout_notes(self.game)
        self.limit_note = (
            f"{self.game.name}: a game was cut off after {self.game.most_plies:,} moves, and was not over; "
            "actors.max_plies sets another limit"
        )

    def load_game(self, config: Config) -> Game:
        """What the run plays. Raises UserError for an environment: the search needs the rules."""
        if config.environment:
            raise UserError(
                f"environment: {config.algorithm} searches a game and needs its rules; name one with `game`, "
                "or use muzero"
            )
        return games.load(config.game)

    def game_of_collector(self, rng: np.random.Generator) -> Game:
        """What a collector plays: the game, which has no random numbers of its own."""
        return self.game

    @property
    def needs(self) -> Needs:
        config, positions = self.config, self.config.replay.capacity
        searches = max(1, config.actors.num_actors) * config.actors.games_per_actor
        nodes = searches * config.search.num_simulations
        share = max(config.actors.full_search_share, 1 / self.game.most_plies)
        kept = int(positions / share) * math.prod(self.game.observation_shape)  # games stay whole
        memory = (
            MemoryNeed("replay.capacity", f"{positions:,} positions", kept),
            MemoryNeed("search.num_simulations", f"{searches:,} searches at once", nodes * NODE_BYTES),
        )
        min_positions, sample_reuse = config.replay.min_positions, config.replay.sample_reuse
        first_step = first_batch(config, min_positions, sample_reuse)
        return Needs(min_positions, sample_reuse, memory, tuple(first_step))

    def make_net(self) -> PolicyValueNet:
        return make_net(self.config, self.game)

    def make_learner(self) -> Learner:
        return Learner(self.make_net(), self.config.learner, make_loss(self.config, self.game))

    def make_replay(self) -> PositionReplay:
        symmetries = self.game.symmetries() if self.config.learner.symmetries else []
        return PositionReplay(self.config.replay, self.game.num_actions, symmetries, self.targets)

    def make_inference(self, max_batch: int | None = None) -> Inference:
        """`max_batch` None is that of an actor."""
        return make_inference(
            self.config, self.game, self.config.actors, max_batch or self.config.actors.games_per_actor
        )

    def make_models(self, inference: Inference, rng: np.random.Generator) -> ModelFactory:
        """The models that self-play searches in."""
        return selfplay_models(self.config, self.game, inference.predict, rng)

    def make_player_models(self, inference: Inference, symmetries: bool) -> ModelFactory:
        """The models that players search in; `symmetries`: they average over those of the game."""
        mirrors = self.game.symmetries() if symmetries else ()
        return network_models(self.game, inference.predict, self.config.search.cache_megabytes, mirrors)

    def make_collector(
        self, inferences: Inferences, rng: np.random.Generator, positions_played: int, actor_index: int
    ) -> SelfPlay:
        return self.play(inferences, rng)

    def next_round(
        self, last: SelfPlay | None, inferences: Inferences, rng: np.random.Generator, positions_played: int
    ) -> SelfPlay:
        dropped = 0 if last is None else last.dropped_in_a_row
        return self.play(inferences, rng, endless=False, dropped_in_a_row=dropped)

    def play(
        self,
        inferences: Inferences,
        rng: np.random.Generator,
        endless: bool = True,
        dropped_in_a_row: int = 0,
        num_games: int | None = None,
    ) -> SelfPlay:
        """Self-play as the settings say; the other arguments as in `SelfPlay`."""
        game, models = self.game_of_collector(rng), self.make_models(inferences[PLAYER], rng)
        search, actors = self.config.search, self.config.actors
        return SelfPlay(game, models, search, actors, rng, endless, dropped_in_a_row, num_games)

    def warm_up(self) -> None:
        warm_up(self.config, self.game, blind_models(self.game, min(1, self.config.search.cache_megabytes)))

    def finish(self, learner: Learner) -> list[tuple[str, str]]:
        return []

    def describe_record(self, averages: Averages, record: GameRecord, version: int) -> None:
        describe_game(averages, record, version)

    def metrics(self, counts: SelfPlayCounts, records: Sequence[GameRecord]) -> dict[str, float]:
        played = selfplay_metrics(counts, self.config.actors.num_actors, self.game)
        endings = endings_metrics(records, self.game)
        return {**played, **endings, **calibration_error(records, self.game, self.targets)}


def check_labels(config: Config, game: Game) -> None:
    """Raises UserError for a head that the game has no labels for."""
    if config.net.ownership_head and game.final_label_shape is None:
        raise UserError(f"net.ownership_head: {game.name} does not say whose a cell is at the end; use false")
    if config.net.score_head and game.largest_score <= 0:
        raise UserError(f"net.score_head: {game.name} has no score besides its result; use false")


def warm_up(config: Config, game: Game, models: ModelFactory) -> None:
    """Play one game with one simulation a move, so that the kernels of the search are compiled and cached.

    Actors that start together would each compile them.
    """
    small = replace(
        config,
        search=replace(config.search, num_simulations=2),
        actors=replace(config.actors, games_per_actor=1, max_plies=2),
    )
    collector = SelfPlay(game, models, small.search, small.actors, np.random.default_rng(0), endless=False)
    while not collector.done:
        collector.collect()
    collector.close()


def played_share(log_probability: Tensor, policy_target: Tensor, action: Tensor) -> Tensor:
    """[B]: `min(1, p(a) / pi(a))` for moves drawn from the search's policy pi and not from the network's p.

    So much of a gradient counts (Espeholt et al. 2018, "IMPALA", equation 1 with the clipping at 1). Self-play plays
    by pi at temperature 1; of moves at lower temperatures, which it plays more often than pi says, too much counts.
    """
    searched = policy_target.gather(1, action[:, None]).squeeze(1).clamp(min=1e-6)
    return (log_probability.detach().exp() / searched).clamp(max=1.0)


def make_loss(config: Config, game: Game) -> LossFunction:
    """Cross-entropy against the search's policy, squared error against the value target (equation 1), and the losses
    of the auxiliary heads that the network has; where it is asked for, a policy gradient on the moves played, with the
    result as return and the value as baseline."""
    net_settings, learner = game_net_config(config, game), config.learner
    transform, scale = net_settings.value_transform, net_settings.output_scale
    is_bfloat16 = uses_bfloat16(learner, resolve_kind(net_settings, game.observation_shape))

    def loss(net: nn.Module, batch: Batch, device: torch.device) -> Loss:
        assert isinstance(net, PolicyValueNet)
        legal_mask = torch.from_numpy(batch.legal_mask).to(device)
        policy_target = torch.from_numpy(batch.policy_target).to(device)
        value_target = torch.from_numpy(batch.value_target).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=is_bfloat16):
            logits, value, auxiliary = net.forward_training(torch.from_numpy(batch.observation).to(device))
        logits, value = logits.float(), value.float()
        policy_loss = policy_cross_entropy(logits, legal_mask, policy_target).mean()
        value_loss = value_mse(value / scale, transform_value(value_target, transform) / scale).mean()
        total = policy_loss + learner.value_weight * value_loss
        more = {}
        if learner.policy_gradient_weight > 0:
            advantage = transform_value(torch.from_numpy(batch.outcome).to(device), transform) - value.detach()
            action = torch.from_numpy(batch.action).to(device)
            log_probability = Categorical(logits, legal_mask).log_probability(action)
            more["policy_gradient_loss"] = (
                played_share(log_probability, policy_target, action)
                * policy_gradient(log_probability, advantage[:, 0] / scale)
            ).mean()
            total = total + learner.policy_gradient_weight * more["policy_gradient_loss"]
        if "reply" in auxiliary:
            reply = torch.from_numpy(batch.reply).to(device)
            more["reply_loss"] = reply_cross_entropy(auxiliary["reply"].float(), reply).mean()
            total = total + learner.reply_weight * more["reply_loss"]
        if "moves_left" in auxiliary:
            moves_left = torch.from_numpy(batch.moves_left).to(device)
            more["moves_left_loss"] = moves_left_error(auxiliary["moves_left"].float(), moves_left).mean()
            total = total + learner.moves_left_weight * more["moves_left_loss"]
        if "ownership" in auxiliary:
            labels = torch.from_numpy(batch.final_labels).to(device)
            more["ownership_loss"] = final_label_error(auxiliary["ownership"].float(), labels).mean()
            total = total + learner.ownership_weight * more["ownership_loss"]
        if "score" in auxiliary:
            score = torch.from_numpy(batch.final_score).to(device)[:, None] / game.largest_score
            more["score_loss"] = final_label_error(auxiliary["score"].float(), score).mean()
            total = total + learner.score_weight * more["score_loss"]
        with torch.no_grad():
            terms = {
                **more,
                "loss": total,
                "policy_loss": policy_loss,
                "value_loss": value_loss,
                "policy_entropy": policy_entropy(logits, legal_mask).mean(),
                "policy_kl": policy_kl(policy_target, logits, legal_mask).mean(),
            }
        return Loss(total, {name: term.detach() for name, term in terms.items()})

    return loss
