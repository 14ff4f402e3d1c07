"""The tournament itself: rounds of blocks, played, kept and gone on with; and when to stop early.

In the flow: `selfplay.commands.tournament` gives a folder and a plan; what was played before is read, the rest is
played (`selfplay.tournament.workers`), and the games of all blocks come back for `selfplay.tournament.standings`.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

import games
from games import Game
from selfplay.evaluation.match import MatchGame, score_comparisons, seatings
from selfplay.evaluation.openings import Opening, draw_openings
from selfplay.stats.sprt import Sprt, SprtState, sprt_state
from selfplay.tournament.schedule import Block, Pair, all_pairs, ladder, split, swiss_pairs, swiss_rounds
from selfplay.tournament.store import Conditions, Kept, TournamentFolder
from selfplay.tournament.workers import play_blocks

OPENINGS = 2
"""Second number of the seeds of openings, beside `workers.LUCK` and `players.PLAYERS`."""

FEWEST_OPENINGS = 64
"""Number of openings that are drawn first; the number of all is doubled until there are enough."""


@dataclass(frozen=True)
class Played:
    """The games of one block."""

    block: Block
    games: tuple[MatchGame, ...]
    """The games with their scores, group after group."""


@dataclass(frozen=True)
class TournamentPlan:
    """Who plays, and how many games."""

    names: tuple[str, ...]
    """The players, all different."""
    format: str
    """One of `schedule.FORMATS`, or `ladder`."""
    num_games: int
    """Number of games in all; rounded up to whole openings with every seating."""
    num_anchors: int = 0
    """Number of players at the head of `names` that meet every other one, in a ladder."""
    recorded: tuple[str, ...] = ()
    """The names of the players in the folder (`TournamentFolder.recognise`); empty: those of `names`."""


@dataclass(frozen=True)
class Outcome:
    """All games, in the order of the schedule."""

    game: str
    plan: TournamentPlan
    played: tuple[Played, ...]
    sprt: SprtState | None


def play_tournament(
    folder: TournamentFolder,
    plan: TournamentPlan,
    processes: int,
    sprt: Sprt | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    seconds: float | None = None,
) -> Outcome:
    """Play what the folder lacks of a tournament.

    Args:
        processes: number of processes that play; 0 plays in this one.
        sprt: a test of two players that stops the tournament as soon as it is decided.
        on_progress: called with the number of games that are there, and of all.
        seconds: time after which no more games are begun; the outcome has the games so far. Not for Swiss rounds, which
            follow from all games before them.

    Raises UserError where a player cannot be made.
    """
    until = math.inf if seconds is None else time.monotonic() + seconds
    return _Tournament(folder, plan, processes, sprt, on_progress, until).run()


class _Tournament:
    def __init__(
        self,
        folder: TournamentFolder,
        plan: TournamentPlan,
        processes: int,
        sprt: Sprt | None,
        on_progress: Callable[[int, int], None] | None,
        until: float,
    ) -> None:
        self.until = until
        self.folder, self.conditions, self.plan, self.processes = folder, folder.conditions, plan, processes
        self.sprt, self.on_progress = sprt, on_progress
        self.game: Game = games.load(self.conditions.game)
        self.group_size = len(seatings(self.game.num_players))
        self.num_groups = -(-plan.num_games // self.group_size)
        self.state = sprt_state(sprt, [], self.group_size) if sprt else None
        self.done: dict[str, Played] = {}
        self.order: list[Block] = []
        self.recorded = dict(zip(plan.names, plan.recorded or plan.names))
        self.before: dict[str, Kept] = {}
        """The games that the folder has from earlier, by the keys of their blocks."""
        self._read, self._scores = 0, list[float]()  # number of blocks that the test has read, and their groups' scores

    def run(self) -> Outcome:
        """Play round after round."""
        self.before = self.folder.played(tuple(self.recorded.values()), self.group_size)
        for blocks in self._rounds():
            self.order += blocks
            for block in blocks:
                kept, size = self.before.get(block.key), block.num_groups * self.group_size
                if kept is not None and len(kept.games) >= size:
                    self._take(block, kept.games[:size])
            left = [block for block in blocks if block.key not in self.done]
            self._report()
            if left and not self._is_decided(blocks) and time.monotonic() < self.until:
                self._play(blocks, left)
        return Outcome(self.game.name, self.plan, tuple(self._in_order()), self.state)

    def _play(self, blocks: list[Block], left: list[Block]) -> None:
        needed = max(block.first_opening + block.num_groups for block in left)
        openings = make_openings(self.game, self.conditions, needed)
        with contextlib.closing(play_blocks(self.conditions, openings, left, self.processes)) as playing:
            for block, played in playing:
                self.folder.add(block, played)
                self._take(block, played)
                self._report()
                if self._is_decided(blocks) or time.monotonic() >= self.until:
                    return

    def _rounds(self) -> Iterator[list[Block]]:
        """The blocks of each round; those of a Swiss round follow from the games before it."""
        names = self.plan.names
        if self.plan.format != "swiss":
            is_ladder = self.plan.format == "ladder"
            pairs = ladder(self.plan.num_anchors, len(names)) if is_ladder else all_pairs(self.plan.format, len(names))
            yield self._split(pairs, self.num_groups)
            return
        met: set[Pair] = set()
        byes: set[int] = set()
        points = np.zeros(len(names))
        for number, groups in enumerate(swiss_rounds(self.num_groups, len(names))):
            pairs, out = swiss_pairs(points.tolist(), met, byes)
            blocks = self._split(pairs[:groups], groups, opening=number)
            yield blocks
            met.update(pairs)
            if out is not None:
                byes.add(out)
                points[out] += 1.0
            for block in blocks:
                scores = [game.score for game in self.done[block.key].games]
                share = sum(scores) / len(scores)
                won = points_of(share, self.group_size)
                points[[names.index(block.first), names.index(block.second)]] += (won, 1.0 - won)

    def _split(self, pairs: Sequence[Pair], groups: int, opening: int = 0) -> list[Block]:
        return [piece for block in split(self.plan.names, pairs, groups, opening) for piece in self._pieces(block)]

    def _pieces(self, block: Block) -> Iterator[Block]:
        """The parts of a block that the folder has, and the rest: when more games are asked for, those that were
        played stay."""
        recorded = (self.recorded[block.first], self.recorded[block.second])
        rest = replace(block, recorded=recorded)
        while rest.num_groups > 0:
            piece = self._kept_way_round(rest)
            kept = self.before.get(piece.key)
            size = min(rest.num_groups, len(kept.games) // self.group_size) if kept else rest.num_groups
            yield replace(piece, num_groups=size)
            rest = replace(rest, first_opening=rest.first_opening + size, num_groups=rest.num_groups - size)

    def _kept_way_round(self, block: Block) -> Block:
        """The block with its players in the order in which the folder has it, where their order makes no difference."""
        first, second = block.names
        swapped = replace(block, first=block.second, second=block.first, recorded=(second, first))
        may_swap = self.game.num_players == 2 and self.sprt is None
        return swapped if may_swap and block.key not in self.before and swapped.key in self.before else block

    def _in_order(self) -> Iterator[Played]:
        """The games in the order of the schedule, up to the verdict of a test: processes may be ahead of it."""
        groups = 0
        for block in self.order:
            if self.state is not None and self.state.verdict and groups >= self.state.groups:
                return
            if block.key in self.done:
                yield self.done[block.key]
                groups += block.num_groups

    def _take(self, block: Block, played: Sequence[MatchGame]) -> None:
        self.done[block.key] = Played(block, tuple(score_comparisons(self.game, list(played))))

    def _report(self) -> None:
        if self.on_progress:
            self.on_progress(sum(len(played.games) for played in self.done.values()), self.num_groups * self.group_size)

    def _is_decided(self, blocks: list[Block]) -> bool:
        """Whether the test has ended, by the blocks in their order as far as there is no gap: what is read does not
        depend on which process was faster."""
        if self.sprt is None:
            return False
        while not (self.state and self.state.verdict) and self._read < len(blocks):
            block = blocks[self._read]
            if block.key not in self.done:
                return False
            self._scores += group_scores(self.done[block.key].games, self.group_size)
            self.state = sprt_state(self.sprt, self._scores, self.group_size)
            self._read += 1
        return bool(self.state and self.state.verdict)


def points_of(share: float, num_players: int) -> float:
    """The points of a player, in [0, 1], that won a share of the games against copies of one opponent.

    They are half where it won one game of P, as an equal player does (see `stats.intervals.elo_difference`).
    """
    odds = (num_players - 1) * share
    return odds / (odds + 1.0 - share)


def group_scores(played: tuple[MatchGame, ...], group_size: int) -> list[float]:
    """The mean score of each group of games."""
    scores = [game.score for game in played]
    return [sum(scores[i : i + group_size]) / group_size for i in range(0, len(scores), group_size)]


def make_openings(game: Game, conditions: Conditions, count: int) -> list[Opening]:
    """The first `count` openings of a tournament. A longer list begins with the shorter one."""
    given = conditions.openings
    if given:
        return [given[i % len(given)] for i in range(count)]
    openings: list[Opening] = []
    size = FEWEST_OPENINGS
    while len(openings) < count:
        rng = np.random.default_rng((conditions.seed, OPENINGS, size))
        drawn = draw_openings(game, size, rng, conditions.opening_plies)
        new = [opening for opening in dict.fromkeys(drawn) if opening not in set(openings)] or drawn
        openings += [new[i % len(new)] for i in range(size - len(openings))]
        size *= 2
    return openings[:count]
