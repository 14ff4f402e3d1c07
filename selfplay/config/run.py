"""Every setting of a run: one frozen dataclass a section, help and range beside each field.

Plain data; reading it imports neither torch nor the games. The sections `search` and `net` live with the code that
they set up.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nets.config import NetConfig
from search.config import SearchConfig


@dataclass(frozen=True)
class ActorsConfig:
    """Processes that play."""

    num_actors: int = field(
        default=2,
        metadata={
            "help": "actor processes; 0 plays and learns in turn in one process, which repeats exactly from a seed",
            "min": 0,
            "max": 1024,
        },
    )
    games_per_actor: int = field(
        default=128,
        metadata={
            "help": "games, or copies of the environment, that an actor plays at once; their positions share a network "
            "call",
            "min": 1,
            "max": 65536,
        },
    )
    rollout_steps: int = field(
        default=32,
        metadata={
            "help": "without search: steps in every environment before the learner gets them (A2C: 5; PPO on Atari: "
            "128); reinforce plays whole episodes instead",
            "min": 1,
            "max": 1_000_000,
        },
    )
    temperature: float = field(
        default=1.0,
        metadata={"help": "moves are drawn by visits ** (1 / temperature) (AlphaZero: 1)", "min": 0, "max": 100},
    )
    temperature_plies: int = field(
        default=20,
        metadata={"help": "after so many moves the temperature is final_temperature (AlphaGo Zero: 30)", "min": 0},
    )
    final_temperature: float = field(
        default=0.0,
        metadata={"help": "temperature after temperature_plies; 0 plays the best move", "min": 0, "max": 100},
    )
    opening_plies: int = field(
        default=0,
        metadata={
            "help": "a game begins with up to so many random moves, which are not learned from; variety for players "
            "that meet any position (KataGo, Wu 2019, appendix D draws openings from the policy)",
            "min": 0,
            "max": 10_000,
        },
    )
    full_search_share: float = field(
        default=1.0,
        metadata={
            "help": "share of the moves that are searched in full; the others are searched fast, without noise, and "
            "not learned from (playout cap randomisation, Wu 2019, section 3.1: 0.25)",
            "min": 0.01,
            "max": 1,
        },
    )
    fast_simulations: int = field(
        default=16,
        metadata={
            "help": "simulations of a fast search (Wu 2019: a sixth of a full one)",
            "min": 1,
            "max": 10_000_000,
        },
    )
    resign_value: float = field(
        default=0.0,
        metadata={
            "help": "a game is decided once a player's value was at least this for resign_plies moves; it is played to "
            "its end with fast searches, which shows how often the verdict was wrong (soft resignation, KataGo: 0.9); "
            "0 never decides",
            "min": 0,
            "max": 1,
        },
    )
    resign_plies: int = field(default=3, metadata={"help": "moves in a row that decide a game (KataGo: 3)", "min": 1})
    resign_weight: float = field(
        default=0.1,
        metadata={
            "help": "how much a position of a decided game counts in learning (KataGo: 0.1)",
            "min": 0,
            "max": 1,
        },
    )
    symmetries: str = field(
        default="none",
        metadata={
            "help": "how actors use the game's symmetries: none; random sees every position under one drawn at random "
            "(AlphaGo Zero); mean averages over all of them, at the price of a prediction each",
            "choices": ("none", "random", "mean"),
        },
    )
    max_plies: int = field(
        default=0,
        metadata={
            "help": "alphazero cuts a game off after so many moves, valued by its judge or the search; 0 means never. "
            "The others take environment: game:NAME(max_plies=N)",
            "min": 0,
        },
    )
    device: str = field(
        default="auto",
        metadata={"help": "where actors run the network", "choices": ("auto", "cpu", "cuda")},
    )
    dtype: str = field(
        default="auto",
        metadata={
            "help": "number type of inference; auto measures them at the start and takes the fastest",
            "choices": ("auto", "float32", "bfloat16", "int8"),
        },
    )


@dataclass(frozen=True)
class ReplayConfig:
    """The positions that the learner samples from."""

    capacity: int = field(
        default=500_000, metadata={"help": "positions kept at most (AlphaGo Zero: 500 000 games)", "min": 1}
    )
    min_positions: int = field(
        default=5_000, metadata={"help": "learning starts with so many positions at the earliest", "min": 1}
    )
    window_start: int = field(
        default=25_000,
        metadata={
            "help": "the window grows from this size on (KataGo, Wu 2019: 250 000)",
            "min": 1,
        },
    )
    window_exponent: float = field(
        default=0.75,
        metadata={"help": "1 keeps every position, 0 a window of fixed size (KataGo: 0.75)", "min": 0, "max": 1},
    )
    sample_reuse: float = field(
        default=4.0,
        metadata={
            "help": "samples the learner draws for each new position at most; then it waits (KataGo: about 4; DQN: 8; "
            "for actor_critic the passes over a rollout, PPO on Atari: 4)",
            "min": 0.01,
            "max": 1000,
        },
    )
    least_reuse: float = field(
        default=0.0,
        metadata={
            "help": "samples for each new position below which the actors wait; 0 is sample_reuse. Less than that lets "
            "both work all the time on a machine whose speed changes",
            "min": 0,
            "max": 1000,
        },
    )
    max_policy_lag: int = field(
        default=0,
        metadata={
            "help": "positions that were played with weights older than the actors' newest by more than so many steps "
            "are counted and not learned from; an actor that was held up sends such. 0 takes all; not for dqn, which "
            "learns from any policy",
            "min": 0,
        },
    )


@dataclass(frozen=True)
class LearnerConfig:
    """Gradient descent."""

    batch_size: int = field(
        default=256,
        metadata={
            "help": "positions a step (AlphaZero: 4096; DQN: 32); 0 takes all of a rollout (A2C, REINFORCE)",
            "min": 0,
            "max": 1 << 20,
        },
    )
    optimizer: str = field(
        default="adamw",
        metadata={
            "help": "AlphaZero: sgd with momentum; A2C (Mnih et al. 2016): rmsprop",
            "choices": ("adamw", "sgd", "rmsprop"),
        },
    )
    learning_rate: float = field(
        default=2e-3, metadata={"help": "highest learning rate (AlphaZero: 0.2 for sgd)", "min": 0, "max": 10}
    )
    final_learning_rate: float = field(
        default=0.05,
        metadata={"help": "share of learning_rate that is left at the end of the budget", "min": 0, "max": 1},
    )
    schedule: str = field(
        default="cosine",
        metadata={"help": "course of the learning rate over the budget", "choices": ("cosine", "linear", "constant")},
    )
    warmup_steps: int = field(default=100, metadata={"help": "steps over which the learning rate rises", "min": 0})
    adam_epsilon: float = field(
        default=1e-8,
        metadata={"help": "of adamw and rmsprop (A2C, PPO: 1e-5; DQN on Atari: 1.5e-4)", "min": 0, "max": 1},
    )
    momentum: float = field(default=0.9, metadata={"help": "of sgd (AlphaZero: 0.9)", "min": 0, "max": 1})
    weight_decay: float = field(default=1e-4, metadata={"help": "AlphaZero: 1e-4", "min": 0, "max": 10})
    gradient_clip: float = field(default=5.0, metadata={"help": "largest norm of the gradient; 0 for none", "min": 0})
    value_weight: float = field(
        default=1.0, metadata={"help": "weight of the value loss against the policy loss (AlphaZero: 1)", "min": 0}
    )
    root_value_share: float = field(
        default=0.0,
        metadata={
            "help": "share of the search's root value in the value target, the rest is the result (AlphaZero: 0)",
            "min": 0,
            "max": 1,
        },
    )
    policy_surprise: float = field(
        default=0.0,
        metadata={
            "help": "share of a position's weight in learning that goes by how much the search changed the network's "
            "policy, against the mean of its game (policy surprise weighting, KataGo: 0.5)",
            "min": 0,
            "max": 1,
        },
    )
    policy_gradient_weight: float = field(
        default=0.0,
        metadata={
            "help": "weight of a policy gradient on the moves played, beside the cross-entropy to the search "
            "(AlphaZero: 0)",
            "min": 0,
            "max": 100,
        },
    )
    reply_weight: float = field(
        default=0.15,
        metadata={
            "help": "weight of the loss of net.reply_head, the answer to the move played (Wu 2019, section 3.4: 0.15)",
            "min": 0,
        },
    )
    moves_left_weight: float = field(
        default=0.1,
        metadata={"help": "weight of the loss of net.moves_left_head (Leela Chess Zero has such a head)", "min": 0},
    )
    td_steps: int = field(
        default=0,
        metadata={
            "help": "n-step returns for games with rewards; 0 goes to the end (MuZero: 10)",
            "min": 0,
        },
    )
    ema_decay: float = field(
        default=0.99,
        metadata={"help": "averaged weights play and are saved; 0 takes the last ones", "min": 0, "max": 0.99999},
    )
    symmetries: bool = field(default=True, metadata={"help": "train on random symmetries of the game (AlphaGo Zero)"})
    publish_steps: int = field(default=50, metadata={"help": "steps between new weights for the actors", "min": 1})
    device: str = field(default="auto", metadata={"help": "where the learner runs", "choices": ("auto", "cpu", "cuda")})
    dtype: str = field(
        default="auto",
        metadata={
            "help": "number type of forward and backward pass; weights and optimiser stay float32. auto is bfloat16 "
            "for convolutions on GPUs and on processors that are faster with it (tried at the start), else float32; "
            "float64 is for tables, the weights too",
            "choices": ("auto", "float32", "bfloat16", "float64"),
        },
    )
    threads: int = field(
        default=1,
        metadata={"help": "threads of the learner on a CPU; with num_actors 0 they play too", "min": 1, "max": 1024},
    )


@dataclass(frozen=True)
class RewardsConfig:
    """What rewards count, for the algorithms without search (`search.discount` is that of a search)."""

    discount: float = field(
        default=0.99, metadata={"help": "of a reward that comes a step later (DQN, PPO: 0.99)", "min": 0, "max": 1}
    )
    clip: float = field(
        default=0.0,
        metadata={
            "help": "rewards are cut to this size before they are learned from (DQN on Atari: 1); 0 never",
            "min": 0,
        },
    )
    normalise: bool = field(
        default=False,
        metadata={"help": "divide rewards by the deviation of the discounted return so far (PPO for locomotion: true)"},
    )


@dataclass(frozen=True)
class DqnConfig:
    """Q-learning from a replay (Mnih et al. 2015), and what came after."""

    epsilon: float = field(default=1.0, metadata={"help": "share of random actions at the start", "min": 0, "max": 1})
    final_epsilon: float = field(
        default=0.05, metadata={"help": "the same in the end (Mnih et al. 2015: 0.1)", "min": 0, "max": 1}
    )
    epsilon_positions: int = field(
        default=10_000,
        metadata={"help": "steps over which it falls, linearly (Mnih et al. 2015: 250 000 agent steps)", "min": 1},
    )
    target_steps: int = field(
        default=500,
        metadata={"help": "learner steps between copies of the network for the targets (Mnih: 10 000)", "min": 1},
    )
    double: bool = field(
        default=False, metadata={"help": "the network chooses the action whose target value counts (van Hasselt 2016)"}
    )
    duelling: bool = field(
        default=False, metadata={"help": "values and advantages have a head each (Wang et al. 2016)"}
    )
    n_step: int = field(
        default=1,
        metadata={"help": "rewards before the target's value (Rainbow, Hessel et al. 2018: 3)", "min": 1, "max": 100},
    )
    priority_exponent: float = field(
        default=0.0,
        metadata={
            "help": "transitions are drawn by error ** this; 0 draws uniformly (Schaul et al. 2016: 0.6)",
            "min": 0,
            "max": 1,
        },
    )
    importance_exponent: float = field(
        default=0.4,
        metadata={
            "help": "how far that is corrected by weights at the start; it rises to 1 (Schaul et al. 2016: 0.4)",
            "min": 0,
            "max": 1,
        },
    )
    huber_delta: float = field(
        default=1.0, metadata={"help": "errors beyond this count linearly (Mnih et al. 2015: 1)", "min": 1e-6}
    )


@dataclass(frozen=True)
class ActorCriticConfig:
    """Policy gradients: REINFORCE (Williams 1992), A2C (Mnih et al. 2016) and PPO (Schulman et al. 2017)."""

    gae_lambda: float = field(
        default=0.95,
        metadata={
            "help": "of generalised advantage estimation (Schulman et al. 2016: 0.95; A2C: 1)",
            "min": 0,
            "max": 1,
        },
    )
    clip: float = field(
        default=0.0,
        metadata={"help": "PPO's clipping of the probability ratio (PPO: 0.2); 0 is A2C", "min": 0, "max": 1},
    )
    entropy_weight: float = field(
        default=0.0, metadata={"help": "weight of the policy's entropy (A2C, PPO on Atari: 0.01)", "min": 0, "max": 10}
    )
    normalise_advantages: bool = field(
        default=False, metadata={"help": "advantages of a batch get mean 0 and deviation 1 (PPO: true)"}
    )
    baseline: bool = field(
        default=True, metadata={"help": "reinforce: the value is taken off the return (Williams 1992)"}
    )
    reward_to_go: bool = field(
        default=True, metadata={"help": "reinforce: an action counts what came after it, not the whole return"}
    )


@dataclass(frozen=True)
class EvaluationConfig:
    """Matches or episodes played during training, in a process of their own."""

    opponents: tuple[str, ...] = field(
        default=("random", "mcts:simulations=100", "mcts:simulations=1000"),
        metadata={"help": "players the current network meets"},
    )
    games: int = field(
        default=40, metadata={"help": "games against each of them, or episodes", "min": 2, "max": 100_000}
    )
    final_games: int = field(default=100, metadata={"help": "the same after the last step", "min": 2, "max": 100_000})
    final_minutes: float = field(
        default=30.0,
        metadata={
            "help": "minutes after which the evaluation after the last step ends, with what was played by then",
            "min": 0.01,
        },
    )
    every_minutes: float = field(
        default=3.0, metadata={"help": "minutes between evaluations; 0 evaluates only at the end", "min": 0}
    )
    num_simulations: int = field(
        default=100, metadata={"help": "simulations a move of the network's player", "min": 1, "max": 1_000_000}
    )
    symmetries: bool = field(
        default=False,
        metadata={"help": "players of a run average the network over the game's symmetries (AlphaGo Zero drew one)"},
    )
    max_plies: int = field(
        default=0,
        metadata={"help": "games are cut off after so many moves, judged or drawn; 0 is the game's longest", "min": 0},
    )
    gate: bool = field(
        default=False,
        metadata={"help": "actors get new weights only when they beat those of the champion (AlphaGo Zero: true)"},
    )
    gate_elo: float = field(
        default=35.0,
        metadata={
            "help": "Elo above the champion that the gate's test tells from 0 (AlphaGo Zero: 55 %, 35 points)",
            "min": 1,
            "max": 1000,
        },
    )
    gate_games: int = field(
        default=400, metadata={"help": "most games of the gate (AlphaGo Zero: 400)", "min": 2, "max": 100_000}
    )


@dataclass(frozen=True)
class WandbConfig:
    """The mirror of metrics.jsonl in Weights & Biases."""

    mode: str = field(
        default="auto",
        metadata={
            "help": "auto is online with credentials and offline without; WANDB_MODE and WANDB_DISABLED can allow less",
            "choices": ("auto", "offline", "online", "disabled"),
        },
    )
    project: str = field(default="selfplay", metadata={"help": "project of the run"})
    entity: str | None = field(default=None, metadata={"help": "user or team; null for the default"})


@dataclass(frozen=True)
class BudgetConfig:
    """When training stops: at the first limit reached. 0 is no limit."""

    minutes: float = field(default=0.0, metadata={"help": "minutes of training, compiling included", "min": 0})
    steps: int = field(default=0, metadata={"help": "steps of the learner", "min": 0})
    games: int = field(default=0, metadata={"help": "finished games of self-play, or episodes", "min": 0})
    positions: int = field(default=0, metadata={"help": "moves of self-play, or steps of the environment", "min": 0})


@dataclass(frozen=True)
class CheckpointConfig:
    """What is kept on disk."""

    every_minutes: float = field(default=2.0, metadata={"help": "minutes between checkpoints", "min": 0.01})
    every_steps: int = field(
        default=0, metadata={"help": "steps between checkpoints; 0 goes by minutes alone", "min": 0}
    )
    keep_last: int = field(default=5, metadata={"help": "newest checkpoints kept", "min": 1})
    keep_every: int = field(
        default=1000,
        metadata={"help": "beside them the first checkpoint of every so many steps stays; 0 for none", "min": 0},
    )
    games_gigabytes: float = field(
        default=0.0,
        metadata={
            "help": "the oldest games on disk are removed beyond so many GB; a resumed run fills its replay with what "
            "is left. 0 keeps all",
            "min": 0,
        },
    )
    replay: bool = field(
        default=False,
        metadata={
            "help": "dqn writes its replay to the run's folder when the run stops, so that a resumed run learns at "
            "once; its size is said at the start. The others need none: games are on disk, rollouts are forgotten"
        },
    )


@dataclass(frozen=True)
class Config:
    """A run."""

    game: str = field(default="connect_four", metadata={"help": "the game; `selfplay games` lists them"})
    environment: str = field(
        default="",
        metadata={"help": "what algorithms without search play in place of a game: CartPole-v1, ALE/Pong-v5, ..."},
    )
    name: str = field(default="run", metadata={"help": "name of the run, part of its folder's name"})
    algorithm: str = field(
        default="alphazero",
        metadata={"help": "what learns", "choices": ("alphazero", "dqn", "reinforce", "actor_critic", "q_iteration")},
    )
    seed: int = field(default=1, metadata={"help": "seed of everything random", "min": 0, "max": 2**63 - 1})
    search: SearchConfig = field(default_factory=SearchConfig)
    net: NetConfig = field(default_factory=NetConfig)
    actors: ActorsConfig = field(default_factory=ActorsConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    rewards: RewardsConfig = field(default_factory=RewardsConfig)
    dqn: DqnConfig = field(default_factory=DqnConfig)
    actor_critic: ActorCriticConfig = field(default_factory=ActorCriticConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    wandb: WandbConfig = field(default_factory=WandbConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
