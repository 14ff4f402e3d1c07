"""Settings of the search, each with the value of the paper it comes from.

Plain data: reading them imports neither the games nor Numba.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class SearchConfig:
    """How a tree is searched. The same settings serve self-play, evaluation and the baselines."""

    rule: str = field(
        default="puct",
        metadata={
            "help": "how an edge is chosen: puct (AlphaZero), gumbel (Danihelka et al. 2022), uct (plain MCTS)",
            "choices": ("puct", "gumbel", "uct"),
        },
    )
    num_simulations: int = field(
        default=100,
        metadata={"help": "simulations a move; AlphaZero 800, Gumbel AlphaZero 16 to 200", "min": 1, "max": 10_000_000},
    )
    pb_c_init: float = field(
        default=1.25, metadata={"help": "PUCT exploration constant (MuZero, appendix B: 1.25)", "min": 0, "max": 100}
    )
    pb_c_base: float = field(
        default=19652.0, metadata={"help": "PUCT growth of exploration (AlphaZero: 19652)", "min": 1, "max": 1e9}
    )
    fpu_reduction: float = field(
        default=0.2,
        metadata={
            "help": "an unvisited move counts as the node's mean value less this times the root of the visited prior "
            "(KataGo, Wu 2019: 0.2, at a root with noise 0)",
            "min": 0,
            "max": 10,
        },
    )
    dirichlet_alpha: float = field(
        default=0.0,
        metadata={
            "help": "concentration of the root noise; 0 means 10 / legal moves (AlphaZero: 0.3 chess, 0.03 Go)",
            "min": 0,
            "max": 100,
        },
    )
    dirichlet_fraction: float = field(
        default=0.25,
        metadata={"help": "share of the noise in the root prior in self-play (AlphaZero: 0.25)", "min": 0, "max": 1},
    )
    c_uct: float = field(
        default=1.4, metadata={"help": "UCT exploration constant (Kocsis and Szepesvari 2006)", "min": 0, "max": 100}
    )
    max_considered_actions: int = field(
        default=16, metadata={"help": "moves sampled at a Gumbel root (paper: 16)", "min": 2, "max": 10_000}
    )
    c_visit: float = field(default=50.0, metadata={"help": "Gumbel sigma: c_visit (paper: 50)", "min": 0, "max": 1e6})
    c_scale: float = field(
        default=1.0, metadata={"help": "Gumbel sigma: c_scale on values in [0, 1] (paper: 1.0)", "min": 0, "max": 1e3}
    )
    discount: float = field(
        default=1.0, metadata={"help": "discount of later rewards, per move (board games: 1)", "min": 0, "max": 1}
    )
    forced_playouts: float = field(
        default=0.0,
        metadata={
            "help": "k of forced playouts: with noise, a visited move at the root is visited again until it has "
            "sqrt(k * prior * visits of the root) visits; 0 for none. The policy target leaves out those that did not "
            "pay (puct only; KataGo, Wu 2019, section 3.2: k = 2)",
            "min": 0,
            "max": 100,
        },
    )
    subtree_reuse: bool = field(
        default=False, metadata={"help": "keep the subtree of the move played; its visits count (puct and uct only)"}
    )
    proven_values: bool = field(
        default=False, metadata={"help": "propagate exact values of solved nodes (MCTS-Solver, Winands et al. 2008)"}
    )
    cache_megabytes: int = field(
        default=64,
        metadata={"help": "memory of the evaluation cache of an actor; 0 turns it off", "min": 0, "max": 65536},
    )
