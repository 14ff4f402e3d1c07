"""The replay of a run that plays several games: a `PositionReplay` each, with one capacity and one window for all.

In the flow: the driver adds finished games of any of them, and the learner samples batches of one game each. The window
is as that of one game: the newest rows, whichever game they are of. A batch is of the game of a row that is drawn from
the window, so every row is sampled as often as another, and a game that is played no more leaves it by and by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from games import Game
from selfplay.config.run import ReplayConfig
from selfplay.experience.record_faults import game_of
from selfplay.experience.records import GameRecord, TargetRecord
from selfplay.replay.positions import Batch, PositionReplay, window_size

NO_GAME = -1
"""In place of the number of a game, for a row that is not there."""


class CurriculumReplay:
    """Games of several kinds, told apart by the shape of their observations."""

    def __init__(self, config: ReplayConfig, games: Sequence[Game], replays: Sequence[PositionReplay]) -> None:
        """`replays` are empty ones with the same settings, one for each of `games`."""
        self.config, self.total = config, 0
        self._games, self._replays = tuple(games), tuple(replays)
        self._owners = np.full(config.capacity, NO_GAME, np.int8)  # row n is of game [n % capacity]
        self._kept = np.zeros(len(games), np.int64)  # rows of each game among the newest `capacity`

    def __len__(self) -> int:
        return min(self.total, self.config.capacity)

    @property
    def capacity(self) -> int:
        """Rows that are kept at most, of all games together."""
        return self.config.capacity

    @property
    def window(self) -> int:
        """Rows that are sampled at present, of all games together."""
        return window_size(self.total, self.config)

    def window_of(self, number: int) -> int:
        """Rows of a game, by its number, that are sampled at present."""
        oldest = self._owners[(self.total - self.window) % self.config.capacity :]
        newest = self._owners[: self.total % self.config.capacity]
        if len(oldest) < self.window:
            return int(np.count_nonzero(oldest == number) + np.count_nonzero(newest == number))
        return int(np.count_nonzero(oldest[: self.window] == number))

    def rows_of(self, record: GameRecord | TargetRecord) -> int:
        """See `PositionReplay.rows_of`."""
        return self._replays[self._number_of(record)].rows_of(record)

    def add(self, record: GameRecord | TargetRecord) -> None:
        """See `PositionReplay.add`; the oldest games make room, whichever they are."""
        number = self._number_of(record)
        replay = self._replays[number]
        before = replay.total
        replay.add(record)
        added = replay.total - before
        places = np.arange(self.total, self.total + added)[-self.config.capacity :] % self.config.capacity
        overwritten = self._owners[places]
        self._kept -= np.bincount(overwritten + 1, minlength=len(self._games) + 1)[1:]
        self._kept[number] += len(places)
        self._owners[places] = number
        self.total += added
        for other, rows in zip(self._replays, self._kept.tolist(), strict=True):
            other.keep(rows)

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """`size` rows of one game, drawn as by `PositionReplay.sample`; the game of a row drawn from the window.

        Raises ValueError while the replay is empty.
        """
        if self.total == 0:
            raise ValueError("replay: nothing to sample yet")
        row = self.total - 1 - int(rng.integers(0, self.window))
        number = int(self._owners[row % self.config.capacity])
        return self._replays[number].sample(size, rng, window=self.window_of(number))

    def learned(self, batch: Batch, errors: np.ndarray | None, progress: float) -> None:
        """Every position is drawn as often as another."""

    def state_dict(self) -> dict[str, Any]:
        """See `PositionReplay.state_dict`."""
        return {"kept": self.total}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `PositionReplay.load_state_dict`. The numbers of rows within a game begin anew: they are counted from the
        newest backwards."""
        self.total = state["kept"]

    def _number_of(self, record: GameRecord | TargetRecord) -> int:
        return self._games.index(game_of(record.observation, self._games))
