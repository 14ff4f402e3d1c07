"""Settings of what plays: the actors, and what rewards count."""

from __future__ import annotations

from dataclasses import dataclass

from selfplay.config.schema import setting


@dataclass(frozen=True)
class ActorsConfig:
    """Processes that play."""

    num_actors: int = setting(
        2,
        "number of actor processes; with 0, one process plays and learns in turn, which repeats exactly from a seed",
        0,
        1024,
    )
    games_per_actor: int = setting(
        128,
        "number of games, or of copies of the environment, that an actor plays at once; their positions share a "
        "network call",
        1,
        65536,
    )
    rollout_steps: int = setting(
        32,
        "without search: number of steps in every environment before the learner gets them (A2C: 5; PPO on Atari: "
        "128); reinforce plays whole episodes instead",
        1,
        1_000_000,
    )
    temperature: float = setting(
        1.0, "moves are drawn in proportion to visits ** (1 / temperature) (AlphaZero: 1)", 0, 100
    )
    temperature_plies: int = setting(
        20, "number of moves after which the temperature is final_temperature (AlphaGo Zero: 30)", 0
    )
    final_temperature: float = setting(0.0, "temperature after temperature_plies; 0 plays the best move", 0, 100)
    opening_plies: int = setting(
        0,
        "largest number of random moves that a game begins with; they are not learned from, and give variety for "
        "players that meet any position (KataGo, Wu 2019, appendix D draws openings from the policy)",
        0,
        10_000,
    )
    opening_moves: str = setting(
        "uniform",
        "how these moves are drawn: uniform from the legal ones, or policy, from the network's, without search "
        "(KataGo and Sayuri: policy, where a random move decides a game)",
        choices=("uniform", "policy"),
    )
    full_search_share: float = setting(
        1.0,
        "share of the moves that are searched in full; the others are searched fast, without noise, and not learned "
        "from (playout cap randomisation, Wu 2019, section 3.1: 0.25)",
        0.01,
        1,
    )
    fast_simulations: int = setting(
        16, "number of simulations of a fast search (Wu 2019: a sixth of a full one)", 1, 10_000_000
    )
    resign_value: float = setting(
        0.0,
        "value from which a game is decided when a player keeps it for resign_plies moves; 0 never decides. A decided "
        "game is played to its end with fast searches, which shows how often the verdict was wrong (soft resignation, "
        "KataGo: 0.9)",
        0,
        1,
    )
    resign_plies: int = setting(3, "number of moves in a row that decide a game (KataGo: 3)", 1)
    resign_wrong_share: float = setting(
        1.0,
        "largest share of wrong verdicts, in the last 200 games that an actor saw decided: with more, or with fewer "
        "than 50 games, games are searched and learned from in full to their end; 1 trusts every verdict (AlphaGo "
        "Zero: 0.05)",
        0,
        1,
    )
    resign_weight: float = setting(0.1, "weight of the positions of a decided game in learning (KataGo: 0.1)", 0, 1)
    symmetries: str = setting(
        "none",
        "how actors use the symmetries of the game: none; random sees every position under one drawn at random "
        "(AlphaGo Zero); mean averages over all of them, at the price of a prediction each",
        choices=("none", "random", "mean"),
    )
    max_plies: int = setting(
        0,
        "alphazero: number of moves after which a game is cut off, valued by its judge or the search; 0 means never. "
        "The other algorithms take environment: game:NAME(max_plies=N)",
        0,
    )
    device: str = setting("auto", "where actors run the network", choices=("auto", "cpu", "cuda"))
    dtype: str = setting(
        "auto",
        "number type of inference; auto measures them at the start and takes the fastest",
        choices=("auto", "float32", "bfloat16", "int8"),
    )


@dataclass(frozen=True)
class RewardsConfig:
    """How rewards count, for the algorithms without search (`search.discount` is that of a search)."""

    discount: float = setting(0.99, "discount of a reward that comes a step later (DQN, PPO: 0.99)", 0, 1)
    clip: float = setting(
        0.0, "largest size of a reward; greater ones are cut to it before learning (DQN on Atari: 1); 0 never cuts", 0
    )
    normalise: bool = setting(
        False, "divide rewards by the deviation of the discounted return so far (PPO for locomotion: true)"
    )
