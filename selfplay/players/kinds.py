"""The kinds of players, and where the text of a PLAYER becomes a player: `read_player`, `parse_player`.

Every command that takes a PLAYER reads it here; `register_player` adds a kind of one's own.

    random      legal moves, all equally likely
    mcts        the usual honest baseline: UCT (Kocsis and Szepesvari 2006) with random games at the leaves, a new tree
                every move, no knowledge, and no proven values unless `solve=true` asks for them
    uniform     search that knows only how games end
    run         a trained network with search
    net         a trained network alone
    pretrained  a trained network that comes with the program, with search
    solver      the value of every move, in small games
    human       a person at the terminal
    gtp, uci, usi  other programs that speak these protocols (docs/engines.md)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int64

from games import Game, StatePool
from games.environments.environment import Environment
from games.random_play import random_actions
from search import SearchConfig
from selfplay.algorithms.models import rollout_models, uniform_models
from selfplay.engines.options import GtpOptions, UciOptions
from selfplay.players.agents import make_cart_pole_agent, make_net_agent, make_random_agent, make_run_agent
from selfplay.players.options import MctsOptions, RandomOptions, RunOptions, SolverOptions, UniformOptions
from selfplay.players.player import Agent, Player
from selfplay.players.pretrained import pretrained_game, pretrained_run
from selfplay.players.search import SearchPlayer
from selfplay.players.text import RUN_DIR, NoOptions, PlayerKind, PlayerSpec, read_text
from selfplay.players.trained import (
    environment_of_run,
    game_of_run,
    identify_net,
    identify_run,
    make_net_player,
    make_run_player,
)


def parse_player(text: str, game: Game, seed: int = 0) -> Player:
    """The player that `text` describes, for one game. Raises UserError with one line for a person."""
    return read_player(text).make_player(game, seed)


def read_player(text: str) -> PlayerSpec:
    """Check the text of a player without making it. Raises UserError with one line for a person."""
    return read_text(text, _kinds)


def register_player(
    kind: str,
    make: Callable[[PlayerSpec, Game, int], Player],
    options: type | None = None,
    target: str = "",
    find_game: Callable[[str], str | None] | None = None,
    is_command: bool = False,
    identify: Callable[[PlayerSpec], str] | None = None,
    make_agent: Callable[[PlayerSpec, Environment, int], Agent] | None = None,
) -> None:
    """Make `KIND` a player everywhere a PLAYER is taken.

    `make(spec, game, seed)` builds it. `options` is a frozen dataclass as `selfplay.config.schema` describes it, with a
    default for every field. `target` names what must follow the kind, if anything, and `find_game(target)` the game
    that it fixes; `is_command` says that it is a command line. `identify(spec)` is for players whose text does not say
    who they are, such as a folder that may be moved (`PlayerSpec.identity`). `make_agent(spec, environment, seed)`
    builds who acts as the player does in environments. Registering a kind again replaces the earlier one.
    """
    if not kind.isidentifier():
        raise ValueError(f"cannot register a player as {kind!r}: use letters, digits and underscores")
    _kinds[kind] = PlayerKind(kind, make, options or NoOptions, target, find_game, is_command, identify, make_agent)


class RandomPlayer:
    """Every legal move is equally likely."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self._rng = np.random.default_rng(seed)

    def choose(
        self, pool: StatePool, slots: Int64[np.ndarray, " n"], histories: Sequence[Sequence[int]]
    ) -> Int64[np.ndarray, " n"]:
        """See `Player.choose`."""
        return random_actions(pool, slots, self._rng)

    def close(self) -> None:
        """Nothing to free."""


def _make_random(spec: PlayerSpec, game: Game, seed: int) -> Player:
    return RandomPlayer(spec.name, seed)


def _make_mcts(spec: PlayerSpec, game: Game, seed: int) -> Player:
    options: MctsOptions = spec.options
    config = SearchConfig(rule="uct", num_simulations=options.simulations, c_uct=options.c, proven_values=options.solve)
    trees_seed, rollouts_seed = np.random.SeedSequence(seed).generate_state(2)
    models = rollout_models(game, np.random.default_rng(rollouts_seed), options.rollouts)
    return SearchPlayer(spec.name, models, config, int(trees_seed))


def _make_uniform(spec: PlayerSpec, game: Game, seed: int) -> Player:
    options: UniformOptions = spec.options
    config = SearchConfig(
        rule="puct", num_simulations=options.simulations, pb_c_init=options.c, proven_values=options.solve
    )
    return SearchPlayer(spec.name, uniform_models(game), config, seed)


def _make_solver(spec: PlayerSpec, game: Game, seed: int) -> Player:
    from selfplay.players.solver import SolverPlayer, shared_solver

    return SolverPlayer(spec.name, shared_solver(game.name), seed)


def _make_human(spec: PlayerSpec, game: Game, seed: int) -> Player:
    from selfplay.players.human import HumanPlayer

    return HumanPlayer()


def _make_gtp(spec: PlayerSpec, game: Game, seed: int) -> Player:
    from selfplay.engines.gtp_player import GtpPlayer

    return GtpPlayer(spec.name, spec.target, game, spec.options)


def _make_uci(spec: PlayerSpec, game: Game, seed: int) -> Player:
    from selfplay.engines.uci_player import UciPlayer

    return UciPlayer(spec.name, spec.target, game, spec.options)


def _make_usi(spec: PlayerSpec, game: Game, seed: int) -> Player:
    from selfplay.engines.uci import USI
    from selfplay.engines.uci_player import UciPlayer

    return UciPlayer(spec.name, spec.target, game, spec.options, USI)


_kinds = {
    kind.name: kind
    for kind in (
        PlayerKind("random", _make_random, RandomOptions, make_agent=make_random_agent),
        PlayerKind("mcts", _make_mcts, MctsOptions, make_agent=make_cart_pole_agent),
        PlayerKind("uniform", _make_uniform, UniformOptions, make_agent=make_cart_pole_agent),
        PlayerKind(
            "run",
            make_run_player,
            RunOptions,
            RUN_DIR,
            game_of_run,
            identify=identify_run,
            make_agent=make_run_agent,
            find_environment=environment_of_run,
            find_run=str,
        ),
        PlayerKind(
            "net",
            make_net_player,
            target=RUN_DIR,
            find_game=game_of_run,
            identify=identify_net,
            make_agent=make_net_agent,
            find_environment=environment_of_run,
            find_run=str,
        ),
        PlayerKind(
            "pretrained",
            make_run_player,
            RunOptions,
            "GAME",
            pretrained_game,
            identify=identify_run,
            find_run=pretrained_run,
        ),
        PlayerKind("solver", _make_solver, SolverOptions),
        PlayerKind("human", _make_human, is_person=True),
        PlayerKind("gtp", _make_gtp, GtpOptions, "COMMAND", is_command=True),
        PlayerKind("uci", _make_uci, UciOptions, "COMMAND", is_command=True),
        PlayerKind("usi", _make_usi, UciOptions, "COMMAND", is_command=True),
    )
}
"""The kinds of players by name; `register_player` adds to it."""
