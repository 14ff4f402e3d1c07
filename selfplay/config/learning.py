"""Settings of what learns: the replay, gradient descent, and those of single algorithms."""

from __future__ import annotations

from dataclasses import dataclass

from selfplay.config.schema import setting


@dataclass(frozen=True)
class ReplayConfig:
    """The positions that the learner samples from."""

    capacity: int = setting(500_000, "largest number of positions kept (AlphaGo Zero: 500 000 games)", 1)
    min_positions: int = setting(5_000, "number of positions in the replay from which the learner starts", 1)
    window_start: int = setting(25_000, "number of positions from which the window grows (KataGo, Wu 2019: 250 000)", 1)
    window_exponent: float = setting(
        0.75, "1 keeps every position, 0 keeps a window of fixed size (KataGo: 0.75)", 0, 1
    )
    sample_reuse: float = setting(
        4.0,
        "largest number of samples that the learner draws for each new position; then it waits (KataGo: about 4; DQN: "
        "8; for actor_critic the passes over a rollout, PPO on Atari: 4)",
        0.01,
        1000,
    )
    least_reuse: float = setting(
        0.0,
        "number of samples for each new position below which the actors wait; 0 stands for sample_reuse. A smaller "
        "number lets both work all the time on a machine whose speed changes",
        0,
        1000,
    )
    max_policy_lag: int = setting(
        0,
        "largest number of learner steps between the weights that played a position and the newest of the actors. "
        "Positions of older weights, as of an actor that was held up, are counted and not learned from. 0 takes all; "
        "not for dqn, which learns from any policy",
        0,
    )


@dataclass(frozen=True)
class LearnerConfig:
    """Gradient descent."""

    batch_size: int = setting(
        256,
        "number of positions a step (AlphaZero: 4096; DQN: 32); 0 takes all of a rollout (A2C, REINFORCE)",
        0,
        1 << 20,
    )
    optimizer: str = setting(
        "adamw",
        "AlphaZero: sgd with momentum; A2C (Mnih et al. 2016): rmsprop",
        choices=("adamw", "sgd", "rmsprop"),
    )
    learning_rate: float = setting(2e-3, "highest learning rate (AlphaZero: 0.2 for sgd)", 0, 10)
    final_learning_rate: float = setting(0.05, "share of learning_rate that is left at the end of the budget", 0, 1)
    schedule: str = setting(
        "cosine", "course of the learning rate over the budget", choices=("cosine", "linear", "constant")
    )
    warmup_steps: int = setting(100, "number of steps over which the learning rate rises", 0)
    adam_epsilon: float = setting(1e-8, "epsilon of adamw and rmsprop (A2C, PPO: 1e-5; DQN on Atari: 1.5e-4)", 0, 1)
    momentum: float = setting(0.9, "momentum of sgd (AlphaZero: 0.9)", 0, 1)
    weight_decay: float = setting(1e-4, "weight decay (AlphaZero: 1e-4)", 0, 10)
    gradient_clip: float = setting(5.0, "largest norm of the gradient; 0 for none", 0)
    value_weight: float = setting(1.0, "weight of the value loss against the policy loss (AlphaZero: 1)", 0)
    root_value_share: float = setting(
        0.0, "share of the search's root value in the value target; the rest is the result (AlphaZero: 0)", 0, 1
    )
    policy_surprise: float = setting(
        0.0,
        "share of a position's weight in learning that goes by how much the search changed the network's policy, "
        "against the mean of its game (policy surprise weighting, KataGo: 0.5)",
        0,
        1,
    )
    policy_gradient_weight: float = setting(
        0.0,
        "weight of a policy gradient on the moves played, beside the cross-entropy to the search (AlphaZero: 0)",
        0,
        100,
    )
    reply_weight: float = setting(
        0.15,
        "weight of the loss of net.reply_head, the answer to the move played (Wu 2019, section 3.4: 0.15)",
        0,
    )
    moves_left_weight: float = setting(
        0.1, "weight of the loss of net.moves_left_head (Leela Chess Zero has such a head)", 0
    )
    ownership_weight: float = setting(
        1.5, "weight of the loss of net.ownership_head, a mean square over the cells (Wu 2019, KataGo: 1.5)", 0
    )
    score_weight: float = setting(
        0.5, "weight of the loss of net.score_head, as a share of the largest score (no paper: KataGo learns points)", 0
    )
    td_steps: int = setting(
        0, "number of moves of the n-step returns of games with rewards; 0 goes to the end (MuZero: 10)", 0
    )
    ema_decay: float = setting(
        0.99, "decay of the averaged weights, which play and are saved; 0 takes the last ones", 0, 0.99999
    )
    symmetries: bool = setting(True, "train on random symmetries of the game (AlphaGo Zero)")
    publish_steps: int = setting(50, "number of steps between new weights for the actors", 1)
    device: str = setting("auto", "where the learner runs", choices=("auto", "cpu", "cuda"))
    dtype: str = setting(
        "auto",
        "number type of forward and backward pass; weights and optimiser stay float32. auto is bfloat16 for "
        "convolutions on GPUs and on processors that are faster with it (tried at the start), else float32; float64 "
        "is for tables, the weights too",
        choices=("auto", "float32", "bfloat16", "float64"),
    )
    threads: int = setting(1, "number of threads of the learner on a CPU; with num_actors 0 they play too", 1, 1024)


@dataclass(frozen=True)
class DqnConfig:
    """Q-learning from a replay (Mnih et al. 2015), and what came after."""

    epsilon: float = setting(1.0, "share of random actions at the start", 0, 1)
    final_epsilon: float = setting(0.05, "share of random actions in the end (Mnih et al. 2015: 0.1)", 0, 1)
    epsilon_positions: int = setting(
        10_000,
        "number of steps over which epsilon falls, linearly (Mnih et al. 2015: 250 000 agent steps)",
        1,
    )
    target_steps: int = setting(
        500, "number of learner steps between copies of the network for the targets (Mnih: 10 000)", 1
    )
    double: bool = setting(False, "the network chooses the action whose target value counts (van Hasselt 2016)")
    duelling: bool = setting(False, "values and advantages have a head each (Wang et al. 2016)")
    n_step: int = setting(1, "number of rewards before the target's value (Rainbow, Hessel et al. 2018: 3)", 1, 100)
    priority_exponent: float = setting(
        0.0, "transitions are drawn by error ** this; 0 draws uniformly (Schaul et al. 2016: 0.6)", 0, 1
    )
    importance_exponent: float = setting(
        0.4,
        "exponent of the weights that correct for priorities, at the start; it rises to 1 (Schaul et al. 2016: 0.4)",
        0,
        1,
    )
    huber_delta: float = setting(1.0, "error beyond which errors count linearly (Mnih et al. 2015: 1)", 1e-6)


@dataclass(frozen=True)
class ActorCriticConfig:
    """Policy gradients: REINFORCE (Williams 1992), A2C (Mnih et al. 2016) and PPO (Schulman et al. 2017)."""

    gae_lambda: float = setting(
        0.95, "lambda of generalised advantage estimation (Schulman et al. 2016: 0.95; A2C: 1)", 0, 1
    )
    clip: float = setting(0.0, "PPO's clipping of the probability ratio (PPO: 0.2); 0 is A2C", 0, 1)
    entropy_weight: float = setting(0.0, "weight of the policy's entropy (A2C, PPO on Atari: 0.01)", 0, 10)
    normalise_advantages: bool = setting(False, "advantages of a batch get mean 0 and deviation 1 (PPO: true)")
    baseline: bool = setting(True, "reinforce: the value is taken off the return (Williams 1992)")
    reward_to_go: bool = setting(True, "reinforce: an action counts what came after it, not the whole return")


@dataclass(frozen=True)
class MuZeroConfig:
    """A model of the game that is learned, and searched in (Schrittwieser et al. 2020)."""

    unroll_steps: int = setting(5, "number of moves K that the model is unrolled for in training (MuZero: 5)", 1, 100)
    dynamics_blocks: int = setting(1, "residual blocks of the dynamics (MuZero: 16 of 256 channels)", 1, 100)
    support: int = setting(
        20,
        "with rewards: size S of the supports of rewards and values, bins -S to S on the scale h(x); 20 holds returns "
        "up to 422 (MuZero: 300)",
        1,
        600,
    )
    inner_actions: int = setting(
        32, "largest number of actions of a node below the root, the likeliest ones (MuZero: all)", 1, 10_000
    )
    consistency_weight: float = setting(
        0.0,
        "weight of the loss that draws latents after a step to those of the next observation (EfficientZero: 2)",
        0,
        100,
    )
    reanalyse_share: float = setting(
        0.0,
        "share of the samples whose policies, and root values where they are learned from, are searched again with the "
        "newest averaged weights when they are sampled; each costs muzero.unroll_steps + 1 searches (MuZero Reanalyze: "
        "0.8; EfficientZero: 0.99)",
        0,
        1,
    )
    priority_exponent: float = setting(
        0.0,
        "positions are sampled by the error of their value ** this; 0 samples uniformly (MuZero on Atari: 1; board "
        "games: 0)",
        0,
        1,
    )
    importance_exponent: float = setting(
        1.0,
        "exponent of the weights that correct for priorities, at the start; it rises to 1 (MuZero: 1)",
        0,
        1,
    )
    chance_codes: int = setting(
        0,
        "number of codes M for what chance does after a move; 0 learns a model without chance (Stochastic MuZero, "
        "Antonoglou et al. 2022: 32)",
        0,
        64,
    )
    chance_weight: float = setting(
        1.0, "weight of the loss of foreseeing the code after a move (Stochastic MuZero: 1)", 0, 100
    )
    commitment_weight: float = setting(
        0.0,
        "weight of the loss that makes the encoder sure of its codes (LightZero: 1; above 0.01 one code was left in "
        "trials)",
        0,
        100,
    )
    sampled_actions: int = setting(
        20,
        "where actions are real numbers: how many are sampled in a position, for the search to choose from (Sampled "
        "MuZero, Hubert et al. 2021: 20)",
        2,
        1000,
    )
    uniform_share: float = setting(
        0.1,
        "where actions are real numbers: share of those sampled at a root of self-play that are drawn uniformly, and "
        "not from the policy (no paper: Hubert et al. 2021 have noise in the priors)",
        0,
        0.9,
    )
