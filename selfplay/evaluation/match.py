"""Matches: two players, many games at once, every opening played with each seating, or all in one.

All games of a match run in lockstep in one pool, so that each player sees hundreds of positions in one call. Games of
more than two players seat the first player once in each seat against copies of the second. In a game for one player
both play alone with the same luck, and the higher return wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from games import CHANCE, TERMINAL, Game, GameError, check_action
from games.base import chance_rounds
from games.random_play import draw_outcomes
from games.soundness import UnsoundError
from selfplay.errors import UserError
from selfplay.evaluation.openings import Opening, draw_openings
from selfplay.players.player import Player
from selfplay.stats.intervals import elo_difference, score_interval

FIRST, SECOND = 0, 1

BOTH = "both"
COLOURS = (BOTH, "first", "second")
"""Seats of the first player in the games of a match: each seat once an opening, or always the first or the second."""

Thinking = Callable[[int, list[list[int]]], None]

SAME_RETURN = 1e-9
"""Returns that differ by less are equal."""


@dataclass(frozen=True)
class MatchGame:
    """One game of a match."""

    moves: tuple[int, ...]
    """Actions and chance outcomes from the start, the opening included."""
    seats: tuple[int, ...]
    """Who sat where: FIRST or SECOND for each seat."""
    returns: tuple[float, ...]
    """The return of each seat."""
    plies: int
    """Number of moves of players."""
    finished: bool
    """False when it was cut off."""
    score: float
    """Score of the first player, in [0, 1]."""
    forfeit: str = ""
    """Why a player lost the game without its end; empty for all other games."""


@dataclass(frozen=True)
class TableSetup:
    """A game before it begins: its opening, who sits where, and its luck."""

    opening: Opening
    seats: tuple[int, ...]
    """FIRST or SECOND for each seat."""
    luck: np.random.SeedSequence
    """Seed of the chance outcomes; the same for all seatings of an opening."""


@dataclass(frozen=True)
class MatchResult:
    """The result from the view of the first player."""

    game: str
    first: str
    second: str
    colour: str
    """Seats of the first player, one of `COLOURS`."""
    score: float
    """Share of the wins, draws counted half, in [0, 1]."""
    score_low: float
    score_high: float
    """Upper end of its 95 % interval (`selfplay.stats.intervals.score_interval`); `score_low` is the lower end."""
    wins: int
    draws: int
    losses: int
    games: int
    distinct_games: int
    """Number of games that differ in their moves, no matter who played them."""
    unfinished: int
    """Number of games that were cut off after the most moves allowed: judged where the game has a judge, else draws; a
    game for one player has its return so far."""
    elo: float | None
    """Elo points by which the first player is ahead of the second, who has 0; None at a score of 0 or 1, where the
    difference is infinite."""
    elo_low: float | None
    """Lower end of its 95 % interval; None for minus infinity."""
    elo_high: float | None
    """Upper end of its 95 % interval; None for infinity."""
    mean_length: float
    """Mean number of moves of players in a game, the opening included."""
    records: tuple[MatchGame, ...]

    def as_json(self) -> dict[str, Any]:
        """Everything but the games, for `json.dumps`."""
        return {key: value for key, value in vars(self).items() if key != "records"}


def play_match(
    game: Game,
    first: Player,
    second: Player,
    num_games: int,
    seed: int = 0,
    opening_plies: int | None = None,
    max_plies: int | None = None,
    games_at_once: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    colour: str = BOTH,
) -> MatchResult:
    """Play `num_games` games, a multiple of the number of players so that every opening gets every seating.

    Args:
        num_games: in a game for one player, the number of comparisons, each of one game of each player. With a fixed
            `colour` any number will do.
        seed: of openings and chance; players have their own seeds.
        opening_plies: random moves at the start, see `draw_openings`.
        max_plies: moves of players after which a game is cut off (see `MatchResult.unfinished`); None means
            `Game.most_plies`.
        games_at_once: fewer save memory; None plays all together.
        on_progress: called with the number of finished games and of all games.
        colour: one of `COLOURS`. A fixed one is for games of two players, and every game has an opening of its own.

    Raises UserError for a bad number of games or colour, and where a player chooses an illegal move.
    """
    seats = _seatings_of(game, colour)
    group_size = len(seats) if game.num_players > 1 else 1
    if num_games < 1 or num_games % group_size:
        raise UserError(
            f"games: {num_games} is not a multiple of {group_size}; every opening is played with each seating"
        )
    groups = num_games // group_size
    openings_seed, chance_seed = np.random.SeedSequence(seed).spawn(2)
    openings = draw_openings(game, groups, np.random.default_rng(openings_seed), opening_plies)
    tables = [
        TableSetup(opening, seating, luck)
        for opening, luck in zip(openings, chance_seed.spawn(groups))
        for seating in seats
    ]
    finished: list[MatchGame] = []
    size = games_at_once or len(tables)
    for start in range(0, len(tables), size):
        part = tables[start : start + size]

        def show(done: int, start: int = start) -> None:
            if on_progress:
                on_progress(start + done, len(tables))

        finished += play_tables(game, (first, second), part, max_plies, on_progress=show)
    return summarise(game, first.name, second.name, score_comparisons(game, finished), colour)


def seat(game: Game, opening: Opening, luck: np.random.SeedSequence) -> list[TableSetup]:
    """The tables of one opening, one for each seating."""
    return [TableSetup(opening, seats, luck) for seats in seatings(game.num_players)]


def play_tables(
    game: Game,
    players: tuple[Player, Player],
    tables: Sequence[TableSetup],
    max_plies: int | None = None,
    forfeits: bool = False,
    on_progress: Callable[[int], None] | None = None,
    on_thinking: Thinking | None = None,
) -> list[MatchGame]:
    """Play one game at each table, all at once.

    Args:
        max_plies: see `play_match`.
        forfeits: a player that raises an error or chooses an illegal move loses the game. False raises UserError.
        on_progress: called with the number of finished games.
        on_thinking: called before a player is asked, with FIRST or SECOND and the moves of all games.
    """
    hall = _Hall(game, tables, players, game.most_plies if max_plies is None else max_plies, forfeits, on_thinking)
    while hall.advance():
        if on_progress:
            on_progress(hall.num_finished)
    return hall.results()


def forfeit(table: TableSetup, moves: Sequence[int], loser: int, reason: str) -> MatchGame:
    """The record of a game that FIRST or SECOND has lost without its end."""
    others = max(1, sum(who != loser for who in table.seats))
    returns = tuple(-1.0 if who == loser else table.seats.count(loser) / others for who in table.seats)
    score = 0.0 if loser == FIRST else 1.0
    return MatchGame(tuple(moves), table.seats, returns, len(moves), finished=False, score=score, forfeit=reason)


def score_comparisons(game: Game, records: list[MatchGame]) -> list[MatchGame]:
    """Games with their scores; those for one player get theirs here, from the two games of each opening."""
    if game.num_players > 1:
        return records
    return [scored for i in range(0, len(records), 2) for scored in _compare(records[i], records[i + 1])]


def whole_groups(game: Game, num_games: int) -> int:
    """The least number of games, at least `num_games`, in which a pair plays every opening with every seating."""
    size = len(seatings(game.num_players))
    return -(-num_games // size) * size


def groups_of(game: Game, scores: Sequence[float], colour: str = BOTH) -> list[Sequence[float]]:
    """Scores of games in the order in which a pair played them, opening by opening: what is independent of each other.

    Two games of one player with the same luck are one comparison. With a fixed `colour` every game is a group.
    """
    size = len(_seatings_of(game, colour))
    groups = [scores[i : i + size] for i in range(0, len(scores), size)]
    return groups if game.num_players > 1 else [group[:1] for group in groups]


def draw_score(game: Game) -> float:
    """The score of a player in a game that all players draw."""
    return 1.0 / max(2, game.num_players)


def summarise(game: Game, first: str, second: str, records: list[MatchGame], colour: str = BOTH) -> MatchResult:
    """The result of games that are grouped by opening, each group with every seating of `colour` in turn."""
    size = len(_seatings_of(game, colour))
    groups = [records[i : i + size] for i in range(0, len(records), size)]
    games = groups if game.num_players == 1 else [[record] for record in records]
    scores = [played[0].score for played in games]
    score = sum(scores) / len(scores)
    low, high = score_interval(groups_of(game, [record.score for record in records], colour), draw_score(game))
    wins, losses = scores.count(1.0), scores.count(0.0)
    return MatchResult(
        game=game.name,
        first=first,
        second=second,
        colour=colour,
        score=score,
        score_low=low,
        score_high=high,
        wins=wins,
        draws=len(scores) - wins - losses,
        losses=losses,
        games=len(scores),
        distinct_games=len({tuple(record.moves for record in played) for played in games}),
        unfinished=sum(not record.finished and not record.forfeit for record in records),
        elo=elo_difference(score, game.num_players),
        elo_low=elo_difference(low, game.num_players),
        elo_high=elo_difference(high, game.num_players),
        mean_length=sum(record.plies for record in records) / len(records),
        records=tuple(records),
    )


def seatings(num_players: int) -> list[tuple[int, ...]]:
    """Who sits where in the games of one opening."""
    if num_players == 1:
        return [(FIRST,), (SECOND,)]
    return [tuple(FIRST if seat == own else SECOND for seat in range(num_players)) for own in range(num_players)]


def _seatings_of(game: Game, colour: str) -> list[tuple[int, ...]]:
    """`seatings` in which the first player has its `colour`. Raises UserError."""
    if colour not in COLOURS:
        raise UserError(f"colour: {colour!r} is not one of {', '.join(COLOURS)}")
    if colour != BOTH and game.num_players != 2:
        raise UserError(f"colour: {game.name} is no game for two players; leave the colour out")
    return [
        seats for seats in seatings(game.num_players) if colour == BOTH or seats[COLOURS.index(colour) - 1] == FIRST
    ]


class _Hall:
    """Games played in lockstep; game i is in slot i of the pool."""

    def __init__(
        self,
        game: Game,
        tables: Sequence[TableSetup],
        players: tuple[Player, Player],
        max_plies: int,
        forfeits: bool,
        on_thinking: Thinking | None,
    ) -> None:
        self.game, self.tables, self.players, self.max_plies = game, tables, players, max_plies
        self.forfeits, self.on_thinking = forfeits, on_thinking
        self.forfeited: dict[int, tuple[int, str]] = {}  # game: who lost it, and why
        self.luck = [np.random.default_rng(table.luck) for table in tables]
        n = len(tables)
        self.pool = game.new_pool(n)
        self.seats = np.array([table.seats for table in tables])  # [n, P]
        self.num_finished = 0
        self.moves: list[list[int]] = [[] for _ in tables]
        self.plies = np.zeros(n, np.int64)
        self.returns = np.zeros((n, game.num_players))
        self.pool.reset(np.arange(n))
        self.to_play = self.pool.to_play(np.arange(n)).copy()
        for ply in range(max(len(table.opening) for table in tables)):
            rows = np.array([i for i in range(n) if ply < len(tables[i].opening)])
            self._step(rows, np.array([tables[i].opening[ply] for i in rows]))

    def advance(self) -> bool:
        """One move (with the chance events before it) in every game; False when all games have ended."""
        events = chance_rounds(self.game)
        while (at_chance := np.nonzero(self.to_play == CHANCE)[0]).size:
            next(events)
            self._step(at_chance, draw_outcomes(self.pool, at_chance, [self.luck[i] for i in at_chance]))
        running = np.nonzero((self.to_play >= 0) & (self.plies < self.max_plies))[0]
        self.num_finished = len(self.tables) - len(running)
        sitting = self.seats[running, self.to_play[running]]
        for which, player in enumerate(self.players):
            mine = running[sitting == which]
            if mine.size:
                if self.on_thinking:
                    self.on_thinking(which, self.moves)
                self._play(which, player, mine)
        return running.size > 0

    def results(self) -> list[MatchGame]:
        """The games, in the order of the tables."""
        records = []
        for i, table in enumerate(self.tables):
            finished = bool(self.to_play[i] == TERMINAL)
            if i in self.forfeited:
                records.append(forfeit(table, self.moves[i], *self.forfeited[i]))
                continue
            judged = None if finished else self.game.judge(self.pool, np.array([i]))
            total = self.returns[i] if judged is None else self.returns[i] + judged[0]
            returns = tuple(float(value) for value in total)
            draw = 1.0 / self.game.num_players
            decided = (finished or judged is not None) and self.game.num_players > 1  # `_compare` scores one player
            records.append(
                MatchGame(
                    moves=tuple(self.moves[i]),
                    seats=table.seats,
                    returns=returns,
                    plies=int(self.plies[i]),
                    finished=finished,
                    score=_share(returns, table.seats.index(FIRST)) if decided else draw,
                )
            )
        return records

    def _play(self, which: int, player: Player, rows: np.ndarray) -> None:
        """A player's moves in games `rows` [n]."""
        try:
            self._step(rows, self._ask(player, rows))
        except UnsoundError:  # the game's mistake, and no player's
            raise
        except Exception as error:
            if not self.forfeits:
                raise
            if len(rows) > 1:  # which game is it?
                for row in rows:
                    self._play(which, player, np.array([row]))
                return
            row = int(rows[0])
            self.forfeited[row] = which, f"{player.name}: {str(error).splitlines()[0] if str(error) else repr(error)}"
            self.to_play[row] = TERMINAL

    def _ask(self, player: Player, rows: np.ndarray) -> np.ndarray:
        """A player's moves for games `rows` [n], checked: they may come from another program."""
        actions = np.asarray(player.choose(self.pool, rows, [self.moves[i] for i in rows]))
        if actions.shape != rows.shape:
            raise UserError(f"player {player.name}: chose {actions.shape} moves for {len(rows)} positions")
        for row, action in zip(rows.tolist(), actions.tolist()):
            try:
                check_action(self.pool, row, action)
            except UnsoundError:
                raise
            except GameError as error:
                raise UserError(f"player {player.name}: {error}") from None
        return actions.astype(np.int64)

    def _step(self, rows: np.ndarray, actions: np.ndarray) -> None:
        self.plies[rows] += self.to_play[rows] >= 0
        to_play, rewards = self.pool.step(rows, actions, rows)
        self.to_play[rows] = to_play
        self.returns[rows] += rewards
        for row, action in zip(rows, actions):
            self.moves[row].append(int(action))


def _share(returns: tuple[float, ...], seat: int) -> float:
    """1 for the best return, a share of it when others have the same, 0 otherwise."""
    best = max(returns) - SAME_RETURN
    return 1.0 / sum(value >= best for value in returns) if returns[seat] >= best else 0.0


def _compare(first: MatchGame, second: MatchGame) -> tuple[MatchGame, MatchGame]:
    """Score two games of one player each by their returns; a forfeit is less than any of them."""
    if first.forfeit or second.forfeit:
        score = (1.0 + bool(second.forfeit) - bool(first.forfeit)) / 2
        return replace(first, score=score), replace(second, score=score)
    score = _share((first.returns[0], second.returns[0]), 0)
    return replace(first, score=score), replace(second, score=score)
