"""Every setting of a run: one frozen dataclass a section, help and range beside each field.

Plain data; reading it imports neither torch nor Numba nor the games. The sections `search` and `net` live with the code
that they set up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from nets.config import NetConfig
from search.config import SearchConfig
from selfplay.config.curriculum import read_stages
from selfplay.config.learning import ActorCriticConfig, DqnConfig, LearnerConfig, MuZeroConfig, ReplayConfig
from selfplay.config.playing import ActorsConfig, RewardsConfig
from selfplay.config.schema import setting
from selfplay.errors import UserError, shown


@dataclass(frozen=True)
class EvaluationConfig:
    """Matches or episodes played during training, in a process of their own."""

    opponents: tuple[str, ...] = setting(
        ("random", "mcts:simulations=100", "mcts:simulations=1000"), "players that the current network meets"
    )
    games: int = setting(40, "number of games against each opponent, or of episodes", 2, 100_000)
    final_games: int = setting(
        100, "number of games against each opponent, or of episodes, after the last step", 2, 100_000
    )
    final_minutes: float = setting(
        30.0, "minutes after which the evaluation after the last step ends, with what was played by then", 0.01
    )
    every_minutes: float = setting(3.0, "minutes between evaluations; 0 evaluates only at the end", 0)
    num_simulations: int = setting(100, "number of simulations a move of the network's player", 1, 1_000_000)
    symmetries: bool = setting(
        False, "players of a run average the network over the game's symmetries (AlphaGo Zero drew one)"
    )
    max_plies: int = setting(
        0, "number of moves after which a game is cut off, judged or drawn; 0 is the game's longest", 0
    )
    gate: bool = setting(False, "actors get new weights only when they beat those of the champion (AlphaGo Zero: true)")
    gate_elo: float = setting(
        35.0, "Elo above the champion that the gate's test tells from 0 (AlphaGo Zero: 55 %, 35 points)", 1, 1000
    )
    gate_games: int = setting(400, "largest number of games of the gate (AlphaGo Zero: 400)", 2, 100_000)


PROJECT_REFUSES = "/\\#?%:"
"""Signs that W&B refuses in the name of a project (`wandb.Settings.validate_project`)."""


@dataclass(frozen=True)
class WandbConfig:
    """The mirror of metrics.jsonl in Weights & Biases. A new run obeys variables of W&B before these settings."""

    mode: str = setting(
        "auto",
        "auto is online with credentials and offline without; WANDB_MODE and WANDB_DISABLED can allow less",
        choices=("auto", "offline", "online", "disabled"),
    )
    project: str = setting("selfplay", "project of the run")
    entity: str | None = setting(None, "user or team; null for the default")
    group: str | None = setting(None, "name of the runs that belong together, up to 128 characters; null for none")
    tags: tuple[str, ...] = setting((), "words by which the run is found, up to 64 characters each")
    notes: str | None = setting(None, "text about the run; null for none")
    job_type: str | None = setting(None, "kind of the run within its group, up to 64 characters; null for none")
    weights_megabytes: float | None = setting(
        None,
        "largest size in MB of the versions of the weights that W&B keeps; beyond it the oldest are removed. null "
        "sends none",
        0.001,
    )
    finish_seconds: float = setting(
        20.0, "largest number of seconds that uploads take at the end of a run", 0.1, 86_400
    )

    def __post_init__(self) -> None:
        """Raises UserError for texts that W&B refuses."""
        longest = [
            ("project", 128, self.project),
            ("group", 128, self.group),
            ("job_type", 64, self.job_type),
            *(("tags", 64, tag) for tag in self.tags),
        ]
        for name, limit, text in longest:
            if text is not None and not 0 < len(text) <= limit:
                raise UserError(f"wandb.{name}: W&B takes 1 to {limit} characters, got {shown(text)}")
        if unfit := [sign for sign in PROJECT_REFUSES if sign in self.project]:
            raise UserError(f"wandb.project: W&B takes no {unfit[0]} in it, got {shown(self.project)}")


@dataclass(frozen=True)
class BudgetConfig:
    """When training stops: at the first limit that is reached. 0 is no limit."""

    minutes: float = setting(0.0, "minutes of training, compiling included", 0)
    steps: int = setting(0, "steps of the learner", 0)
    games: int = setting(0, "finished games of self-play, or episodes", 0)
    positions: int = setting(0, "moves of self-play, or steps of the environment", 0)


@dataclass(frozen=True)
class CheckpointConfig:
    """What is kept on disk."""

    every_minutes: float = setting(2.0, "minutes between checkpoints", 0.01)
    every_steps: int = setting(0, "number of steps between checkpoints; 0 goes by minutes alone", 0)
    keep_last: int = setting(5, "number of newest checkpoints kept", 1)
    keep_every: int = setting(
        1000, "number of steps from one checkpoint that stays beside the newest to the next; 0 keeps only the newest", 0
    )
    games_gigabytes: float = setting(
        0.0,
        "largest size in GB of the games on disk; beyond it the oldest are removed, and a resumed run fills its replay "
        "with what is left. 0 keeps all",
        0,
    )
    replay: bool = setting(
        False,
        "dqn writes its replay to the run's folder when the run stops, so that a resumed run learns at once; its size "
        "is said at the start. The others need none: games are on disk, rollouts are forgotten",
    )


@dataclass(frozen=True)
class Config:
    """A run."""

    renamed: ClassVar[Mapping[str, str]] = {}
    """Dotted keys that settings once had, and those that they have now. The old ones are read with a warning."""

    game: str = setting("connect_four", "the game; `selfplay games` lists them")
    curriculum: tuple[str, ...] = setting(
        (),
        "alphazero: games on boards of other sizes that the same network plays first or beside `game`, a text for each "
        "stage: 'go(board_size=5) until=0.05' plays nothing else until 5 % of the budget are spent, 'go(board_size=7) "
        "share=0.2' is a fifth of the games from there to the end (no paper: Wu 2019 mixes all sizes in every batch)",
    )
    environment: str = setting(
        "", "what algorithms without search play in place of a game: CartPole-v1, ALE/Pong-v5, ..."
    )
    name: str = setting("run", "name of the run, part of its folder's name")
    algorithm: str = setting(
        "alphazero", "what learns", choices=("alphazero", "muzero", "dqn", "reinforce", "actor_critic", "q_iteration")
    )
    seed: int = setting(1, "seed of everything random", 0, 2**63 - 1)
    init: str | None = setting(
        None,
        "the run whose network and normaliser this one starts with, RUN_DIR[@VERSION] or a player of it such as "
        "pretrained:connect_four; null for untrained weights",
    )
    search: SearchConfig = field(default_factory=SearchConfig)
    net: NetConfig = field(default_factory=NetConfig)
    actors: ActorsConfig = field(default_factory=ActorsConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    rewards: RewardsConfig = field(default_factory=RewardsConfig)
    muzero: MuZeroConfig = field(default_factory=MuZeroConfig)
    dqn: DqnConfig = field(default_factory=DqnConfig)
    actor_critic: ActorCriticConfig = field(default_factory=ActorCriticConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    wandb: WandbConfig = field(default_factory=WandbConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)

    def __post_init__(self) -> None:
        """Raises UserError for a curriculum that is none."""
        read_stages(self.curriculum)
