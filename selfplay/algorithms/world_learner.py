"""Learning of a model of the world: batches are unrolled, and every depth has a policy, a value and a reward to learn.

In the flow: `muzero` makes the learner, the trainer asks it for steps as it asks any other.

Sources: Schrittwieser et al. 2020, "Mastering Atari, Go, chess and shogi by planning with a learned model"; with chance
codes Antonoglou et al. 2022, "Planning in stochastic environments with a learned model".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from games import Game
from nets import real_policy
from nets.losses import value_mse
from nets.models import resolve_kind
from nets.supports import is_beyond, largest, two_hot
from nets.world_model import Prediction, Unrolled, UnrolledChance, WorldModel
from search.perspective import seen_after
from selfplay.algorithms.learner import Learner, Loss, StepResult
from selfplay.algorithms.observed_moments import ObservedMoments
from selfplay.algorithms.precision import uses_bfloat16
from selfplay.algorithms.reanalysis import Reanalysis, change_of, reanalysed
from selfplay.config.run import Config
from selfplay.experience.records import GameRecord
from selfplay.experience.targets import TargetSettings, outcomes
from selfplay.replay.positions import Batch
from selfplay.replay.real_actions import with_real_actions
from selfplay.replay.unroll import Bootstrap, UnrolledBatch, unrolled

REANALYSIS = 1
"""Number of the random numbers of reanalysis among those of a step; the others have none."""


def td_steps(config: Config, game: Game) -> int:
    """n of n-step returns; 0 where value targets are those of the records."""
    return config.learner.td_steps if game.has_rewards else 0


class WorldLearner(Learner):
    """Unrolls batches, and values what stands behind n-step returns by the averaged weights.

    Values that are asked for when they are learned from never grow old (MuZero Unplugged, Schrittwieser et al. 2021:
    value reanalysis with a target network). Policies of some samples are searched again, likewise.
    """

    def __init__(self, net: WorldModel, config: Config, game: Game, reanalysis: Reanalysis | None = None) -> None:
        """`reanalysis` searches for `muzero.reanalyse_share` of the samples; None where that is 0."""
        super().__init__(net, config.learner, WorldLoss(config, net))
        self._run, self._game, self._reanalysis = config, game, reanalysis
        self._observations = ObservedMoments(net.normaliser)
        self._targets = replace(TargetSettings.of(config, game), td_steps=0)
        self._remarks: tuple[str, ...] = ()

    def observe(self, record: GameRecord) -> None:
        """See `Learner.observe`: for the normaliser of the network; returns that the support does not hold are said."""
        if self._observations.is_kept:
            self._observations.add(record.observation)
        size = self._run.muzero.support
        if self._remarks or not self._game.has_rewards or not len(record):
            return
        if bool(is_beyond(torch.from_numpy(outcomes(record, self._targets)), size).any()):
            self._remarks = (
                f"muzero.support: {size} holds returns up to {largest(size):,.0f}, {self._game.name} has paid more; "
                "all beyond are learned as that, and only a new run can have a larger support",
            )

    def prepare_publication(self) -> None:
        """See `Learner.prepare_publication`: the moments so far become those that the network normalises by."""
        self._observations.publish(self.net.state_dict(), self.average)

    def state_dict(self) -> dict[str, Any]:
        """See `Learner.state_dict`; with the moments of observations."""
        return {**super().state_dict(), **self._observations.state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Learner.load_state_dict`."""
        super().load_state_dict(state)
        self._observations.load(state)

    def adopt(self, weights: Mapping[str, Tensor], gathered: Mapping[str, Tensor]) -> None:
        """See `Learner.adopt`; the moments of observations go on from those that the other run had."""
        super().adopt(weights, gathered)
        self._observations.load(gathered)

    def step(self, batch: Batch, progress: float) -> StepResult:
        """See `Learner.step`."""
        settings, game = self._run, self._game
        rng = np.random.default_rng([settings.seed, self.steps])  # a resumed run draws the same
        sample = unrolled(
            batch,
            settings.muzero.unroll_steps,
            game.num_players,
            game.has_rewards,
            td_steps(settings, game),
            settings.search.discount,
            rng,
        )
        if game.action_low is not None and game.action_high is not None:
            sample = with_real_actions(sample, batch, game.action_low, game.action_high, rng)
        change = None
        if self._reanalysis is not None and self.is_finite:  # else the loss is not finite either, and says so
            sample, change = self._reanalysed(self._reanalysis, sample, batch)
        if sample.bootstrap is not None:
            missing = self._missing(sample.bootstrap)
            sample = replace(sample, value_target=sample.value_target + missing, bootstrap=None)
        result = replace(super().step(sample, progress), remarks=self._remarks)
        if change is None or result.is_left_out:
            return result
        return replace(result, terms={**result.terms, "reanalysis_change": change})

    def _reanalysed(
        self, reanalysis: Reanalysis, sample: UnrolledBatch, batch: Batch
    ) -> tuple[UnrolledBatch, float | None]:
        """The unroll of a batch with new searches by the averaged weights, and how far they have changed the policies;
        None where nothing can be said of that."""
        rng = np.random.default_rng([self._run.seed, self.steps, REANALYSIS])
        chosen = rng.random(len(batch)) < self._run.muzero.reanalyse_share
        if not chosen.any():
            return sample, None
        reanalysis.load(self.weights(), self.steps)
        share = 0.0 if td_steps(self._run, self._game) else self.config.root_value_share
        renewed = reanalysed(reanalysis, sample, batch, chosen, share, rng)
        is_comparable = sample.sampled_actions is None  # else the policies are over other actions
        return renewed, change_of(sample, renewed, chosen) if is_comparable else None

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


class _OfNet(nn.Module):
    """A function of a network as a forward pass, which `functional_call` needs."""

    def __init__(self, net: WorldModel) -> None:
        super().__init__()
        self.net = net


class _Initial(_OfNet):
    def forward(self, observation: Tensor) -> Prediction:
        return self.net.initial(observation)


class _Represent(_OfNet):
    def forward(self, observation: Tensor) -> Tensor:
        return self.net.represent(observation)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


@dataclass(frozen=True)
class _Means:
    """Means over those entries [B, K] of a batch that count, weighted by depth and by sample."""

    scale: Tensor  # [K]
    weight: Tensor | None  # [B]; None counts all samples alike

    def __call__(self, errors: Float[Tensor, "B K"], mask: Tensor) -> Float[Tensor, ""]:
        sums = (torch.where(mask, errors, 0.0) * self.scale).sum(dim=1)
        return (sums if self.weight is None else self.weight * sums).mean()


class WorldLoss:
    """The loss of an unroll (equation 1 of the paper): the sampled position counts once, each of the K depths 1 / K.

    The policy loss is over all actions: nothing else tells the model which moves are illegal. With chance codes, each
    of the K moves has three more terms (`chance_errors_of`, and the value of the move).
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
            following = tensor(batch.following) if self._sizes.chance_codes else None
            outputs = net.unroll(tensor(batch.observation), tensor(batch.action), following)
        weight = None if batch.weight is None else tensor(batch.weight)
        every = _Means(torch.tensor([1.0] + [1.0 / steps] * steps, device=device), weight)
        later = _Means(torch.full((steps,), 1.0 / steps, device=device), weight)
        policy_mask = tensor(batch.policy_mask)
        policy_errors = self._policy_errors(net, outputs.policy_logits.float(), batch, device)
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
        if outputs.chance is not None:
            # The return of a move is that of the position that it was played in.
            move_errors = self._errors(net, outputs.chance.value_output.float(), value_target[:, :-1])
            parts["move_value_loss"] = later(move_errors, value_mask[:, :-1])
            is_known = tensor(batch.turns_mask)
            chance_errors, commitment_errors = chance_errors_of(outputs.chance)
            parts["chance_loss"] = later(chance_errors, is_known)
            parts["commitment_loss"] = later(commitment_errors, is_known)
            total = total + self._learner.value_weight * parts["move_value_loss"]
            total = total + self._settings.chance_weight * parts["chance_loss"]
            total = total + self._settings.commitment_weight * parts["commitment_loss"]
        if self._settings.consistency_weight > 0:
            parts["consistency_loss"] = later(1.0 - self._similarity(net, outputs, batch, device), exists)
            total = total + self._settings.consistency_weight * parts["consistency_loss"]
        with torch.no_grad():
            terms = {"loss": total, **parts, **self._figures(outputs, batch, policy_errors, value_errors, device)}
            errors = None if batch.weight is None else self._distances(net, outputs, value_target, value_mask)
        return Loss(total, {name: term.detach() for name, term in terms.items()}, errors)

    def _distances(
        self, net: WorldModel, outputs: Unrolled, target: Float[Tensor, "B K V"], mask: Tensor
    ) -> Float[np.ndarray, " B"]:
        """How far the value of each sampled position is from its target, in units of reward.

        Where no target is known, before a cut, it counts as the mean of the batch: neither often drawn nor never.
        """
        value, is_known = net.number(outputs.value_output[:, 0].float()), mask[:, 0]
        distances = (value - target[:, 0]).abs().mean(dim=-1)
        return torch.where(is_known, distances, _mean(distances, is_known)).cpu().numpy()

    def _policy_errors(
        self, net: WorldModel, output: Float[Tensor, "B K outputs"], batch: UnrolledBatch, device: torch.device
    ) -> Float[Tensor, "B K"]:
        """Cross-entropy of the policies to those of the search.

        Of real actions, the search's policy is known where they were sampled, so it is the density there that counts
        (Hubert et al. 2021). Its least is at the normal distribution that is nearest to that policy.
        """
        target = torch.from_numpy(batch.policy_target).to(device)
        if net.action_scale is None:
            return -(target * torch.log_softmax(output, dim=-1)).sum(dim=-1)
        assert batch.sampled_actions is not None
        sampled = net.action_scale(torch.from_numpy(batch.sampled_actions).to(device))
        return -(target * real_policy.log_density(output, sampled)).sum(dim=-1)

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

        Where there is no observation, the sampled one takes its place: zeros would spoil the statistics of the batch.
        The running statistics of batch normalisation are left to the sampled observations, one update a step.
        """
        exists = batch.exists.reshape(*batch.exists.shape, *(1,) * (batch.observation.ndim - 1))
        seen_there = np.where(exists, batch.following, batch.observation[:, None])
        observations = torch.from_numpy(seen_there).to(device).flatten(0, 1)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=self._is_bfloat16):
            own = {name: buffer.clone() for name, buffer in _under("net", dict(net.named_buffers())).items()}
            seen = torch.func.functional_call(_Represent(net), own, (observations,))
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
        of moves that are not legal there; and which codes of chance are in use."""
        figures: dict[str, Tensor] = {}
        policy_mask = torch.from_numpy(batch.policy_mask).to(device)
        value_mask = torch.from_numpy(batch.value_mask).to(device)
        is_real = bool(self._sizes.action_low)
        if is_real:
            figures["policy_entropy"] = _mean(real_policy.entropy(outputs.policy_logits.float()), policy_mask)
        legal = torch.from_numpy(batch.legal_mask).to(device)
        is_known = legal.any(dim=-1)
        shares = torch.softmax(outputs.policy_logits.float(), dim=-1)
        for name, depth in (("first", 0), ("last", self._settings.unroll_steps)):
            figures[f"policy_loss_{name}"] = _mean(policy_errors[:, depth], policy_mask[:, depth])
            figures[f"value_loss_{name}"] = _mean(value_errors[:, depth], value_mask[:, depth])
            if not is_real:
                illegal = torch.where(legal[:, depth], 0.0, shares[:, depth]).sum(dim=-1)
                figures[f"illegal_share_{name}"] = _mean(illegal, is_known[:, depth])
        if outputs.chance is not None:
            codes = outputs.chance.codes[torch.from_numpy(batch.turns_mask).to(device)]
            share = torch.bincount(codes, minlength=self._sizes.chance_codes) / max(1, len(codes))
            figures["codes_used"] = (share > 0).sum()
            figures["code_perplexity"] = torch.exp(torch.special.entr(share).sum())
        if self._sizes.support:
            target = torch.from_numpy(batch.value_target).to(device)
            figures["support_clipped"] = _mean(is_beyond(target, self._sizes.support).float().mean(dim=-1), value_mask)
        return figures


def chance_errors_of(chance: UnrolledChance) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"]]:
    """Cross-entropy of the codes that afterstates expect to those that were taken, which gives the encoder no gradient;
    and the squared distance of the encoder's shares from its one-hot codes (commitment, as in VQ-VAE, van den Oord et
    al. 2017)."""
    logits = chance.logits.float().movedim(-1, 1)
    one_hot = functional.one_hot(chance.codes, chance.shares.shape[-1])
    commitment = (chance.shares - one_hot).square().sum(dim=-1)
    return functional.cross_entropy(logits, chance.codes, reduction="none"), commitment


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the entries [B] that count; 0 where there are none."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)
