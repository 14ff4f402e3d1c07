"""The players that a request may name, and the ones that are made.

A seat of a request is `{"kind": "mcts", "simulations": 400}`: a kind of the table below, whole numbers, and for trained
networks the number of a run in the list. The text of the player is made here from these alone, so neither commands nor
paths come from a request.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from games import Game
from games.solvers.connect_four import ConnectFourSolver
from games.solvers.hex import HexSolver
from selfplay.players.kinds import parse_player
from selfplay.players.player import Player
from selfplay.players.text import compose_player
from selfplay.web.library import Library
from selfplay.web.refusals import Fields, Refused

MAX_SIMULATIONS = 100_000
"""Largest number of simulations: more would fill memory with the tree of one position."""

USUAL_SIMULATIONS = 400

STRENGTHS = ("easy", "medium", "strong")

STRENGTHENED = (1, 8)
"""How many times as long as in evaluations a medium and a strong opponent search; an easy one does not search."""

PRETRAINED_SIMULATIONS = (2, 50, 400)
"""Simulations of the network that comes with the program, in the three strengths."""

UNTRAINED_SIMULATIONS = (25, 400, 4_000)
"""Simulations of plain MCTS in the three strengths, where nothing has learned the game."""

KEPT = 4
"""Number of players that are kept for their next move: networks take seconds to load."""

SEARCHING = ("mcts", "uniform", "run", "pretrained")
KINDS = ("human", "random", "net", "solver", *SEARCHING)
WITH_RUN = ("run", "net")

SOLVED = frozenset({"tic_tac_toe", "nim", "catch", "dots_and_boxes"})
"""Games that are solved within a second or two, all positions at once."""

MAX_CELLS_CONNECT_FOUR, MAX_CELLS_HEX = 20, 12
"""Largest boards that are solved: on larger ones a solver would hold up the page."""


@dataclass(frozen=True)
class Seat:
    """Who plays a seat."""

    kind: str = "human"
    simulations: int | None = None
    run: int | None = None
    version: int | None = None

    @property
    def is_human(self) -> bool:
        return self.kind == "human"

    def as_json(self) -> dict[str, Any]:
        """The fields of the seat that are set."""
        return {name: value for name, value in vars(self).items() if value is not None}


HUMAN = Seat()


class Opponents:
    """Reads seats and makes players. `make` belongs to the thread that thinks, all else may be called from any."""

    def __init__(self, library: Library, seed: int) -> None:
        self.library, self._seed = library, seed
        self._made: OrderedDict[tuple[str, Seat], Player] = OrderedDict()

    def read(self, value: object, game: Game) -> Seat:
        """The seat of a request, complete with version and simulations. Raises Refused."""
        fields = Fields(value).only("kind", "simulations", "run", "version")
        kind = fields.text("kind", 20)
        if kind not in KINDS:
            raise Refused(f"kind: a player is one of {', '.join(KINDS)}")
        simulations = run = version = None
        if kind in SEARCHING:
            simulations = fields.integer("simulations", 1, MAX_SIMULATIONS, USUAL_SIMULATIONS)
        if kind in WITH_RUN:
            run = fields.integer("run", 0, 10_000)
            entry = self.library.run(run)
            if kind == "run" and not entry.searches:
                raise Refused(f"{entry.name} has learned values of moves, no policy for a search; take it alone")
            version = self._version(run, fields.integer("version", 0, 2**53, None), game)
        if kind == "solver" and not can_solve(game):
            raise Refused(f"solver: {game.name} is too large to be solved while somebody waits")
        if kind == "pretrained" and self.library.pretrained(game) is None:
            raise Refused(f"pretrained: no trained network for {game.name} comes with selfplay")
        return Seat(kind, simulations, run, version)

    def label(self, seat: Seat) -> str:
        """The seat in words."""
        searched = f", {seat.simulations} simulations" if seat.simulations else ""
        if seat.run is not None:
            alone = " (network alone)" if seat.kind == "net" else ""
            return f"{self.library.runs[seat.run].name} @{seat.version}{alone}{searched}"
        names = {"human": "you", "random": "random moves", "mcts": "plain MCTS", "uniform": "search without knowledge",
                 "solver": "perfect play", "pretrained": "the trained network of selfplay"}  # fmt: skip
        return names[seat.kind] + searched

    def strengths(self, game: Game) -> list[tuple[str, Seat]]:
        """Three opponents by name, from weak to strong: of the newest run, a network of the program, or MCTS."""
        newest = self.library.newest_run(game.rules)
        if newest is None and self.library.pretrained(game) is not None:
            seats = [Seat("pretrained", count) for count in PRETRAINED_SIMULATIONS]
        elif newest is None:
            seats = [Seat("mcts", count) for count in UNTRAINED_SIMULATIONS]
        else:
            run, versions = self.library.run(newest), self.library.run(newest).versions()
            if run.searches:
                usual = run.config.evaluation.num_simulations
                seats = [Seat("net", run=newest, version=versions[-1])]
                seats += [
                    Seat("run", min(MAX_SIMULATIONS, times * usual), newest, versions[-1]) for times in STRENGTHENED
                ]
            else:
                spread = (versions[0], versions[len(versions) // 2], versions[-1])
                seats = [Seat("net", run=newest, version=version) for version in spread]
        return list(zip(STRENGTHS, seats))

    def make(self, seat: Seat, game: Game) -> Player:
        """The player, one of the last few made if it is among them. Raises UserError where it cannot play."""
        key = (game.name, seat)
        if key not in self._made:
            while len(self._made) >= KEPT:
                self._made.popitem(last=False)[1].close()
            self._made[key] = parse_player(self._text(seat, game), game, self._seed)
        self._made.move_to_end(key)
        return self._made[key]

    def close(self) -> None:
        """Free all players."""
        while self._made:
            self._made.popitem()[1].close()

    def _version(self, run: int, version: int | None, game: Game) -> int:
        entry = self.library.run(run)
        if entry.config.environment:
            raise Refused(f"{entry.name} was trained on {entry.config.environment}, which is no game")
        if game.rules not in (own.rules for own in entry.games):
            raise Refused(f"{entry.name} was trained on {entry.game.name}, it cannot play {game.name}")
        versions = entry.versions()
        if not versions:
            raise Refused(f"{entry.name} has no checkpoint yet")
        if version is not None and version not in versions:
            raise Refused(f"{entry.name} has no version {version}; it has {versions[0]} to {versions[-1]}")
        return versions[-1] if version is None else version

    def _text(self, seat: Seat, game: Game) -> str:
        """The PLAYER of a seat in a game."""
        options = {} if seat.simulations is None else {"simulations": seat.simulations}
        target = self.library.pretrained(game) or "" if seat.kind == "pretrained" else ""
        if seat.run is not None:
            target = f"{self.library.runs[seat.run].folder.path}@{seat.version}"
        if seat.kind in ("run", "pretrained"):
            options["batch"] = 1
        return compose_player(seat.kind, target, ",".join(f"{name}={value}" for name, value in options.items()))


def can_solve(game: Game) -> bool:
    """Whether a solver answers within a second or two."""
    if ConnectFourSolver.supports(game):
        return game.max_game_length <= MAX_CELLS_CONNECT_FOUR
    if HexSolver.supports(game):
        return game.max_game_length <= MAX_CELLS_HEX
    return game.name in SOLVED
