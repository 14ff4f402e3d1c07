"""Losses, as pure functions of one batch: AlphaZero, REINFORCE and DQN are sums of these.

Every loss is per sample, `[B]`, so that the caller weighs and averages. `legal_mask` is True where an action is legal;
illegal logits never enter a loss and never get a gradient. Targets are data: gradients flow into the network's output
only.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def masked_log_softmax(logits: Float[Tensor, "B A"], legal_mask: Bool[Tensor, "B A"]) -> Float[Tensor, "B A"]:
    """Log-probabilities over the legal actions; 0 (not -inf) at illegal ones.

    The 0 keeps `probability * log_probability` finite, in value and gradient, where the probability is 0.
    """
    lowest = torch.finfo(logits.dtype).min  # -inf would give NaN in a row without legal actions
    log_probabilities = torch.log_softmax(logits.masked_fill(~legal_mask, lowest), dim=-1)
    return log_probabilities.masked_fill(~legal_mask, 0.0)


def policy_cross_entropy(
    logits: Float[Tensor, "B A"], legal_mask: Bool[Tensor, "B A"], policy_target: Float[Tensor, "B A"]
) -> Float[Tensor, " B"]:
    """`- sum_a pi(a) log p(a)` against the search policy pi.

    "Mastering Chess and Shogi by Self-Play" (Silver et al. 2017), equation 1. `policy_target` rows sum to 1 and are 0
    at illegal actions.
    """
    return -(policy_target.detach() * masked_log_softmax(logits, legal_mask)).sum(dim=-1)


def value_mse(value: Float[Tensor, "B V"], target: Float[Tensor, "B V"]) -> Float[Tensor, " B"]:
    """`(z - v)^2`, averaged over the V values so that its weight does not grow with the number of players.

    Silver et al. 2017, equation 1. Both on the network's scale (`nets.transform_value`).
    """
    return torch.square(target.detach() - value).mean(dim=-1)


def reply_cross_entropy(logits: Float[Tensor, "B A"], reply: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
    """`- log p(reply)` of the move that followed the next one; 0 where there was none (`reply` below 0).

    "Accelerating Self-Play Learning in Go" (Wu 2019), section 3.4, which learns the opponent's search policy; the move
    played is a draw from that. The actions that will be legal then are not known, so none is left out.
    """
    log_probabilities = torch.log_softmax(logits, dim=-1)
    chosen = log_probabilities.gather(-1, reply.long().clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return torch.where(reply >= 0, -chosen, 0.0)


def moves_left_error(predicted: Float[Tensor, "B 1"], moves_left: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """`(log(1 + m) - y)^2`: an error of a tenth weighs the same in long and short games."""
    return torch.square(torch.log1p(moves_left.detach()) - predicted.squeeze(-1))


def final_label_error(predicted: Float[Tensor, "B ..."], labels: Float[Tensor, "B ..."]) -> Float[Tensor, " B"]:
    """`(y - l)^2`, averaged over the numbers of a sample; a label that is not a number counts nothing.

    Ownership and score in "Accelerating Self-Play Learning in Go" (Wu 2019), section 3.5, which has cross-entropies.
    """
    labels = labels.detach()
    error = torch.square(labels.nan_to_num(0.0) - predicted)
    return torch.where(labels.isnan(), 0.0, error).flatten(1).mean(dim=1)


def policy_gradient(log_probability: Float[Tensor, " B"], advantage: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """`- A_t log p(a_t)`: its gradient is that of REINFORCE with a baseline.

    "Simple Statistical Gradient-Following Algorithms" (Williams 1992). `advantage` is the return less the baseline,
    `log_probability` that of the action taken (`nets.policies`).
    """
    return -advantage.detach() * log_probability


def clipped_policy_gradient(
    log_probability: Float[Tensor, " B"],
    old_log_probability: Float[Tensor, " B"],
    advantage: Float[Tensor, " B"],
    clip: float,
) -> Float[Tensor, " B"]:
    """`- min(r A, clip(r, 1 - clip, 1 + clip) A)` with r = p(a) / p_old(a), the probability at the time of acting.

    "Proximal Policy Optimization Algorithms" (Schulman et al. 2017), equation 7.
    """
    advantage = advantage.detach()
    ratio = torch.exp(log_probability - old_log_probability.detach())
    return -torch.minimum(ratio * advantage, ratio.clamp(1.0 - clip, 1.0 + clip) * advantage)


def action_values(
    advantages: Float[Tensor, "B A"], value: Float[Tensor, "B 1"], duelling: bool
) -> Float[Tensor, "B A"]:
    """Q of every action from the two heads of the network: the policy head itself, or `V + (A - mean_a A)`.

    "Dueling Network Architectures for Deep Reinforcement Learning" (Wang et al. 2016), equation 9.
    """
    return value + advantages - advantages.mean(dim=-1, keepdim=True) if duelling else advantages


def bellman_error(
    q: Float[Tensor, "B A"], action: Int[Tensor, " B"], target: Float[Tensor, " B"], delta: float = 1.0
) -> Float[Tensor, " B"]:
    """Huber loss of `Q(s_tm1, a_tm1) - y_t`: half its square up to `delta`, linear beyond.

    "Human-level control through deep reinforcement learning" (Mnih et al. 2015), which clips the error to [-1, 1].
    `target` is y_t, e.g. `r_t + discount_t max_a Q(s_t, a)` of the target network.
    """
    chosen = q.gather(-1, action.long().unsqueeze(-1)).squeeze(-1)
    return torch.nn.functional.huber_loss(chosen, target.detach(), reduction="none", delta=delta)


def policy_entropy(logits: Float[Tensor, "B A"], legal_mask: Bool[Tensor, "B A"]) -> Float[Tensor, " B"]:
    """`- sum_a p(a) log p(a)` in nats, in [0, log(number of legal actions)]."""
    log_probabilities = masked_log_softmax(logits, legal_mask)
    return -(log_probabilities.exp() * log_probabilities).sum(dim=-1)


def policy_kl(
    policy_target: Float[Tensor, "B A"], logits: Float[Tensor, "B A"], legal_mask: Bool[Tensor, "B A"]
) -> Float[Tensor, " B"]:
    """`KL(pi || p) = sum_a pi(a) (log pi(a) - log p(a))` in nats, >= 0: how far search moved from the prior."""
    policy_target = policy_target.detach()
    entropy_terms = torch.xlogy(policy_target, policy_target)  # 0 log 0 = 0
    return (entropy_terms - policy_target * masked_log_softmax(logits, legal_mask)).sum(dim=-1)
