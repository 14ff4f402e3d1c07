"""AlphaZero as three choices: the network, the generator of games, and the loss. Everything else is shared.

Source: Silver et al. 2018, "A general reinforcement learning algorithm that masters chess, shogi, and Go".
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from games import Game
from nets.config import NetConfig
from nets.inference import Inference
from nets.losses import (
    moves_left_error,
    policy_cross_entropy,
    policy_entropy,
    policy_kl,
    reply_cross_entropy,
    value_mse,
)
from nets.models import PolicyValueNet, build
from nets.transforms import transform_value
from search import NetworkEvaluator
from search.perspective import num_values
from selfplay.learner import LossFunction, choose_device
from selfplay.openings import random_observations
from selfplay.replay import Batch
from selfplay.self_play import SelfPlay
from selfplay.settings import ActorsConfig, Config

CALIBRATION_POSITIONS = 256
"""Positions of random games, from which int8 inference learns how large activations get."""


def net_config(config: Config, game: Game) -> NetConfig:
    """The settings of the network; returns that no tanh can hold are learned on another scale."""
    if game.has_rewards and config.net.value_transform == "none":
        return replace(config.net, value_transform="signed_sqrt")
    return config.net


def make_net(config: Config, game: Game) -> PolicyValueNet:
    """A fresh network for the game; the seed of the run decides its weights."""
    return build(
        net_config(config, game), game.observation_shape, game.num_actions, num_values(game), seed=config.seed % 2**63
    )


def make_inference(config: Config, game: Game, actors: ActorsConfig, max_batch: int) -> Inference:
    """The same network for evaluation only, without weights yet.

    The positions that int8 takes its scales from are the same in every process.
    """
    return Inference(
        net_config(config, game),
        game.observation_shape,
        game.num_actions,
        num_values(game),
        device=choose_device(actors.device),
        max_batch=max_batch,
        dtype=actors.dtype,
        calibration=random_observations(game, CALIBRATION_POSITIONS, np.random.default_rng(0)),
    )


def make_generator(
    config: Config, game: Game, inference: Inference, rng: np.random.Generator, endless: bool = True
) -> SelfPlay:
    """Games of self-play with the network in `inference`."""
    symmetries = game.symmetries() if config.actors.symmetries != "none" else []
    symmetry_rng = rng.spawn(1)[0] if config.actors.symmetries == "random" else None
    evaluator = NetworkEvaluator(game, inference.predict, config.search.cache_megabytes, symmetries, symmetry_rng)
    return SelfPlay(game, evaluator, config.search, config.actors, config.learner, rng, endless)


def warm_up(config: Config, game: Game) -> None:
    """Play one game with one simulation a move, so that the kernels of the search are compiled and cached.

    Actors that start together would each compile them.
    """
    small = replace(
        config,
        search=replace(config.search, num_simulations=2),
        actors=replace(config.actors, games_per_actor=1, max_plies=2),
    )
    values = num_values(game)

    def predict(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = len(observations)
        return np.zeros((n, game.num_actions), np.float32), np.zeros((n, values), np.float32)

    evaluator = NetworkEvaluator(game, predict, min(1, config.search.cache_megabytes))
    rng = np.random.default_rng(0)
    generator = SelfPlay(game, evaluator, small.search, small.actors, small.learner, rng, endless=False)
    while not generator.done:
        generator.advance()


def make_loss(config: Config, game: Game) -> LossFunction:
    """Cross-entropy against the search's policy, squared error against the value target (equation 1), and the losses
    of the auxiliary heads that the network has."""
    net_settings, learner = net_config(config, game), config.learner
    transform, scale = net_settings.value_transform, net_settings.value_scale
    is_bfloat16 = learner.dtype == "bfloat16"

    def loss(net: nn.Module, batch: Batch, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
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
        if "reply" in auxiliary:
            reply = torch.from_numpy(batch.reply).to(device)
            more["reply_loss"] = reply_cross_entropy(auxiliary["reply"].float(), reply).mean()
            total = total + learner.reply_weight * more["reply_loss"]
        if "moves_left" in auxiliary:
            moves_left = torch.from_numpy(batch.moves_left).to(device)
            more["moves_left_loss"] = moves_left_error(auxiliary["moves_left"].float(), moves_left).mean()
            total = total + learner.moves_left_weight * more["moves_left_loss"]
        with torch.no_grad():
            terms = {
                **more,
                "loss": total,
                "policy_loss": policy_loss,
                "value_loss": value_loss,
                "policy_entropy": policy_entropy(logits, legal_mask).mean(),
                "policy_kl": policy_kl(policy_target, logits, legal_mask).mean(),
            }
        return total, {name: term.detach() for name, term in terms.items()}

    return loss
