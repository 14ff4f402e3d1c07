"""Self-play of several games at once: the collector of a run with a curriculum.

In the flow: an actor calls `collect` as it does with one game. Every game has a `SelfPlay` of its own, with its own
trees, and a network call has positions of one game. When a game is over, the next one in its place is drawn from the
games of the present stage. So no game is broken off where a stage ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64, Int64

from selfplay.experience.figures import SelfPlayCounts, add_counts
from selfplay.experience.records import GameRecord
from selfplay.experience.self_play import SelfPlay

MakePlay = Callable[[int], SelfPlay]
"""Makes the self-play of a game, not endless and without a game under way. The number: games of it that were dropped in
a row before."""

Shares = Callable[[float], Float64[np.ndarray, " G"]]
"""The shares of the games among those that begin, from the share of the budget that is spent."""


class CurriculumPlay:
    """B games under way, of G different ones. See `algorithm.Collector`."""

    def __init__(
        self,
        make: Sequence[MakePlay],
        shares: Shares,
        size: int,
        rng: np.random.Generator,
        endless: bool = True,
        dropped: Sequence[int] = (),
    ) -> None:
        """`make` has an entry a game, and makes what plays it when its first game begins. `size` is B. `endless` as in
        `SelfPlay`. `dropped`: see `dropped_in_a_row`."""
        self._make, self._shares, self._size, self._rng, self._endless = make, shares, size, rng, endless
        self.dropped_in_a_row = list(dropped) or [0] * len(make)
        """Of each game, those that were dropped since the last that came to its end."""
        self.plays: dict[int, SelfPlay] = {}
        """What plays, by the number of the game; made and given up as stages begin and end."""
        self._given_up = SelfPlayCounts()  # what those counted that were given up
        self._version, self._progress = 0, 0.0
        self._has_begun = False

    @property
    def counts(self) -> SelfPlayCounts:
        """See `Collector.counts`."""
        total = SelfPlayCounts()
        for counts in (self._given_up, *(play.counts for play in self.plays.values())):
            add_counts(total, counts)
        return total

    @property
    def done(self) -> bool:
        """See `Collector.done`."""
        return self._has_begun and not self._endless and all(play.done for play in self.plays.values())

    def collect(self) -> list[GameRecord]:
        """One simulation in every game, as `SelfPlay.collect`; games begin where there is room for them."""
        if self._endless or not self._has_begun:
            self._begin()
        records = []
        for number, play in self.plays.items():
            if not play.done:
                records += play.collect()
                self.dropped_in_a_row[number] = play.dropped_in_a_row
        return records

    def weights_changed(self, version: int) -> None:
        """See `Collector.weights_changed`."""
        self._version = version
        for play in self.plays.values():
            play.weights_changed(version)

    def progress_changed(self, progress: float) -> None:
        """See `Collector.progress_changed`."""
        self._progress = progress

    def take_counts(self) -> SelfPlayCounts:
        """See `Collector.take_counts`."""
        total, self._given_up = self._given_up, SelfPlayCounts()
        for play in self.plays.values():
            add_counts(total, play.take_counts())
        return total

    def close(self) -> None:
        """See `Collector.close`."""
        for play in self.plays.values():
            play.close()

    def _begin(self) -> None:
        """Begin games up to B, and give up what plays games that are over and have no share any more."""
        self._has_begun = True
        free = self._size - sum(len(play.running) for play in self.plays.values())
        if not free:
            return
        shares = self._shares(self._progress)
        for number, count in enumerate(divided(shares, free, self._rng).tolist()):
            if count:
                self._play_of(number).begin(count)
            elif shares[number] == 0 and number in self.plays and self.plays[number].done:
                add_counts(self._given_up, self.plays.pop(number).take_counts())

    def _play_of(self, number: int) -> SelfPlay:
        if number not in self.plays:
            self.plays[number] = self._make[number](self.dropped_in_a_row[number])
            self.plays[number].weights_changed(self._version)
        return self.plays[number]


def divided(shares: Float64[np.ndarray, " G"], count: int, rng: np.random.Generator) -> Int64[np.ndarray, " G"]:
    """`count` games divided by `shares`, which sum to 1: each share times `count`, rounded up or down at random, and
    exactly that on average (systematic resampling)."""
    sums = np.cumsum(shares)
    edges = np.floor(sums * count + rng.random()).astype(np.int64)
    edges[sums >= 1.0 - 1e-9] = count  # floats may sum to a little less, and a share of 0 gets nothing
    return np.diff(edges, prepend=0)
