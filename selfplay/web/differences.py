"""Positions of self-play games in which two players would play different moves.

In the flow: the page Compare asks a session for them; the thread that thinks looks at one batch of positions after the
other, and the session shows what has been found so far.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from games import Game
from selfplay.players.player import Player
from selfplay.web.browse import RecordedPosition

MOST_POSITIONS = 400
"""Largest number of positions that are looked at, those of the newest games."""

MOST_DIFFERENCES = 40
"""Largest number of differences that are found."""

AT_ONCE = 16
"""Positions that a player gets together; the search for differences can be stopped after each batch."""


@dataclass(frozen=True)
class Difference:
    """A position, and the move of each player in it as text."""

    position: RecordedPosition
    moves: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"title": self.position.title, "history": list(self.position.history), "moves": list(self.moves)}


def find_differences(
    game: Game,
    players: Sequence[Player],
    positions: Sequence[RecordedPosition],
    report: Callable[[int, list[Difference]], bool],
) -> None:
    """Ask all players in all positions. `report` gets the number of positions looked at and the differences in them,
    after each batch; it answers whether to go on."""
    pool = game.new_pool(AT_ONCE)
    for start in range(0, len(positions), AT_ONCE):
        batch = positions[start : start + AT_ONCE]
        slots = np.arange(len(batch))
        pool.reset(slots)
        for slot, position in enumerate(batch):
            place = np.array([slot])
            for action in position.history:
                pool.step(place, np.array([action], np.int64), place)
        chosen = [player.choose(pool, slots, [list(position.history) for position in batch]) for player in players]
        found = []
        for slot, position in enumerate(batch):
            actions = [int(actions[slot]) for actions in chosen]
            if len(set(actions)) > 1:
                found.append(Difference(position, tuple(pool.action_text(slot, action) for action in actions)))
        if not report(len(batch), found):
            return
