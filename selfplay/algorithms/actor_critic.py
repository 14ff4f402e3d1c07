"""Policy gradients: REINFORCE, A2C and PPO as choices of estimator and loss. Everything else is shared.

In the flow: see `selfplay.algorithms.algorithm`. `reinforce` learns once from whole episodes by their returns,
`actor_critic` from rollouts of a few steps by generalised advantages, with PPO's clipping where `actor_critic.clip`
asks for it.

Sources: Williams 1992; Mnih et al. 2016 (A3C, of which A2C is the synchronous form); Schulman et al. 2016 and 2017.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nets.config import NetConfig
from nets.inference import Inference
from nets.losses import clipped_policy_gradient, policy_gradient, value_mse
from nets.models import PolicyValueNet, resolve_kind
from nets.policies import POLICIES
from nets.transforms import transform_value
from selfplay.algorithms.learner import Loss, LossFunction
from selfplay.algorithms.model_free import ModelFree, ModelFreeLearner
from selfplay.algorithms.networks import environment_net_config, make_behaviour
from selfplay.algorithms.observed_moments import ObservedMoments
from selfplay.algorithms.precision import uses_bfloat16
from selfplay.config.run import Config, LearnerConfig
from selfplay.errors import UserError
from selfplay.experience.rollouts import Experience, Rollout, stacked_observations
from selfplay.replay.on_policy import (
    Estimator,
    RolloutBatch,
    RolloutReplay,
    generalised_advantages,
    monte_carlo_returns,
)
from selfplay.replay.rewards import Rewards
from selfplay.system.preflight import Needs, PlayNeed


class ActorCritic(ModelFree):
    """See `selfplay.algorithms.algorithm.Algorithm`: A2C, and PPO where `actor_critic.clip` is above 0."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.check_settings()

    def check_settings(self) -> None:
        """Raise UserError for settings that this algorithm has no use for."""
        reuse = self.config.replay.sample_reuse
        if reuse != int(reuse):
            raise UserError(f"replay.sample_reuse: {reuse:g} is no number of passes over a rollout")

    @property
    def needs(self) -> Needs:
        """See `Algorithm.needs`: a rollout is learned from as soon as it is there."""
        return self._needs_of(min_positions=1)

    @property
    def rollout_steps(self) -> int | None:
        """Steps of a rollout; None for whole episodes."""
        return self.config.actors.rollout_steps

    def make_estimator(self) -> Estimator:
        """What makes advantages and value targets of a rollout."""
        return generalised_advantages(self.config.rewards.discount, self.config.actor_critic.gae_lambda)

    def make_learner(self) -> NormalisingLearner:
        """See `Algorithm.make_learner`."""
        return NormalisingLearner(self.make_net(), self.config.learner, self.make_loss())

    def make_loss(self) -> LossFunction:
        """What is minimised."""
        return self._loss(sums_episodes=False)

    def _loss(self, sums_episodes: bool) -> LossFunction:
        net = environment_net_config(self.config, self.environment)
        return make_loss(self.config, net, resolve_kind(net, self.environment.observation_shape), sums_episodes)

    def make_replay(self) -> RolloutReplay:
        """See `Algorithm.make_replay`."""
        # As often as actors wait for: where they play on after fewer, rollouts would come in faster than they go.
        passes = math.ceil(self.config.replay.least_reuse or self.needs.sample_reuse)
        return RolloutReplay(self.make_estimator(), Rewards(self.config.rewards), passes)

    def make_experience(
        self, inference: Inference, rng: np.random.Generator, positions_played: int, endless: bool
    ) -> Experience:
        """See `ModelFree.make_experience`."""
        behaviour, num_envs = make_behaviour(self.environment, is_greedy=False), self.config.actors.games_per_actor
        return Experience(
            self.environment, inference, behaviour, num_envs, self.rollout_steps, rng, endless, threads=self.threads
        )


class Reinforce(ActorCritic):
    """See `selfplay.algorithms.algorithm.Algorithm`: whole episodes, each learned from once, by their returns."""

    def check_settings(self) -> None:
        """See `ActorCritic.check_settings`."""
        if self.config.actor_critic.clip > 0:
            raise UserError("actor_critic.clip: reinforce learns from an episode once, there is no ratio to clip")

    @property
    def needs(self) -> Needs:
        """See `Algorithm.needs`: an episode of every environment, each of which may be one step.

        A second pass over it would follow another policy than the one that acted.
        """
        episodes = self.config.actors.games_per_actor
        first_step = (PlayNeed("an episode of each of actors.games_per_actor", episodes, episodes),)
        return Needs(min_positions=1, sample_reuse=1.0, first_step=first_step)

    @property
    def rollout_steps(self) -> None:
        """See `ActorCritic.rollout_steps`."""
        return None

    def make_estimator(self) -> Estimator:
        """See `ActorCritic.make_estimator`."""
        settings = self.config.actor_critic
        return monte_carlo_returns(self.config.rewards.discount, settings.reward_to_go, settings.baseline)

    def make_loss(self) -> LossFunction:
        """See `ActorCritic.make_loss`."""
        return self._loss(sums_episodes=True)


class NormalisingLearner(ModelFreeLearner):
    """Normalises observations by the moments of those that it has observed, where the network has a normaliser."""

    net: PolicyValueNet

    def __init__(self, net: PolicyValueNet, config: LearnerConfig, loss: LossFunction) -> None:
        super().__init__(net, config, loss)
        self._observations = ObservedMoments(net.normaliser)

    def observe(self, record: Rollout) -> None:
        """Count its observations."""
        if self._observations.is_kept:
            self._observations.add(stacked_observations(record).reshape(-1, *self.net.observation_shape))

    def prepare_publication(self) -> None:
        """The moments of the observations so far become those that the network normalises by.

        Not before: what has been acted on and what is learned from must be the same function of the observation.
        """
        self._observations.publish(self.net.state_dict(), self.average)

    def state_dict(self) -> dict[str, Any]:
        """See `Learner.state_dict`; with the moments of observations."""
        return {**super().state_dict(), **self._observations.state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Learner.load_state_dict`; runs from before there were moments have none."""
        super().load_state_dict(state)
        self._observations.load(state)

    def adopt(self, weights: Mapping[str, Tensor], gathered: Mapping[str, Tensor]) -> None:
        """See `Learner.adopt`; the moments of observations go on from those that the other run had."""
        super().adopt(weights, gathered)
        self._observations.load(gathered)


def make_loss(config: Config, net_settings: NetConfig, kind: str, sums_episodes: bool) -> LossFunction:
    """The policy gradient, the squared error of the value, and the entropy, for a network as `net_config` has it.

    With `sums_episodes` the mean over steps is turned into the textbook's mean over episodes of the sum over steps, and
    the value is learned only where it is REINFORCE's baseline.
    """
    settings, learner, policy_class = config.actor_critic, config.learner, POLICIES[net_settings.policy]
    transform, scale = net_settings.value_transform, net_settings.output_scale
    is_bfloat16 = uses_bfloat16(learner, kind)

    def loss(net: nn.Module, batch: RolloutBatch, device: torch.device) -> Loss:
        assert isinstance(net, PolicyValueNet)
        legal_mask = None if batch.legal_mask is None else torch.from_numpy(batch.legal_mask).to(device)
        action, old_log_probability, advantage, target = (
            torch.from_numpy(array).to(device)
            for array in (batch.action, batch.log_probability, batch.advantage, batch.target)
        )
        with torch.autocast(device.type, torch.bfloat16, enabled=is_bfloat16):
            output, value = net(torch.from_numpy(batch.observation).to(device))
        policy = policy_class(output.float(), legal_mask)
        if settings.normalise_advantages and len(advantage) > 1:
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        log_probability = policy.log_probability(action)
        if settings.clip > 0:
            gains = clipped_policy_gradient(log_probability, old_log_probability, advantage, settings.clip)
        else:
            gains = policy_gradient(log_probability, advantage)
        policy_loss = gains.mean() * (batch.episode_length if sums_episodes else 1.0)
        wanted = transform_value(target[:, None], transform)
        value_loss = value_mse(value.float() / scale, wanted / scale).mean()
        entropy = policy.entropy().mean()
        total = policy_loss - settings.entropy_weight * entropy
        if not sums_episodes or settings.baseline:
            total = total + learner.value_weight * value_loss
        with torch.no_grad():
            log_ratio = log_probability - old_log_probability
            terms = {
                "loss": total,
                "policy_loss": policy_loss,
                "value_loss": value_loss,
                "policy_entropy": entropy,
                "policy_kl": (torch.expm1(log_ratio) - log_ratio).mean(),  # from the policy that acted; >= 0
            }
            if settings.clip > 0:
                terms["clipped_share"] = (torch.expm1(log_ratio).abs() > settings.clip).float().mean()
        return Loss(total, {name: term.detach() for name, term in terms.items()})

    return loss
