"""The game of go that a player of a GTP server sees, and its thoughts about it.

A controller may let one colour play twice, or set stones up; the player's game knows turns alone. So a pass is put in
where a colour moves out of turn, or a pass just before is taken out: either way the same side is to move on the same
board.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from games import TERMINAL, Game, GameError, check_action
from games.native.go import komi_outcome
from selfplay.engines.go_moves import GtpGame, gtp_game
from selfplay.players.thinking import Limits, Report, Thinker, Thought, never

Play = tuple[int, int]
"""Who played, and the action."""

HERE = np.zeros(1, np.int64)


class OwnGame:
    """A game and the player that thinks about it, at the position that `follow` was last asked for."""

    def __init__(self, game: Game, thinker: Thinker) -> None:
        """Raises UserError for a game that is not played through GTP."""
        self.game, self.rules, self.thinker = game, gtp_game(game), thinker
        self.pool = game.new_pool(1)
        self._history = list[int]()
        self.follow((), None, self.rules.komi)

    @property
    def is_over(self) -> bool:
        """Whether the player's game has ended; others may play on."""
        return bool(self.pool.to_play(HERE)[0] == TERMINAL)

    def follow(self, plays: Sequence[Play], player: int | None, komi: float) -> None:
        """Go to the position after `plays` from the start, with `player` to move (None: whose turn it is).

        Plays after the end of the player's game are left out. A game that draws its komi has the one that is nearest to
        `komi`. Raises GameError for an illegal play; the position is then the one before the call.
        """
        before = self._history
        try:
            self._go_to([*komi_outcome(self.game, komi), *in_turn(self.rules, plays, player)])
        except GameError:
            self._go_to(before)
            raise

    def think(self, limits: Limits, should_stop: Callable[[], bool] = never, report: Report | None = None) -> Thought:
        """The player's thought about the position, whose game is not over. Raises GameError for an illegal move."""
        more = {} if report is None else {"report": report}
        thought = self.thinker.think(self.pool, self._history, limits, should_stop, **more)
        check_action(self.pool, 0, thought.action)
        return thought

    def close(self) -> None:
        """Free the player."""
        self.thinker.close()

    def _go_to(self, history: Sequence[int]) -> None:
        """Go to the position after actions and outcomes of chance, or to the end of the game before."""
        if not self._history or list(history[: len(self._history)]) != self._history:
            self.pool.reset(HERE)
            self._history = []
        for action in history[len(self._history) :]:
            if self.is_over:
                return
            check_action(self.pool, 0, action)
            self.pool.step(HERE, np.array([action], np.int64), HERE)
            self._history = [*self._history, action]


def in_turn(rules: GtpGame, plays: Sequence[Play], player: int | None = None) -> list[int]:
    """The actions of `plays` with turns that alternate, and after them `player` to move."""
    actions, turn = list[int](), rules.first_player
    for who, action in plays:
        if who != turn:
            _change_turn(actions, rules.pass_action)
        actions.append(action)
        turn = 1 - who
    if player is not None and player != turn:
        _change_turn(actions, rules.pass_action)
    return actions


def _change_turn(actions: list[int], pass_action: int) -> None:
    if actions and actions[-1] == pass_action:
        actions.pop()
    else:
        actions.append(pass_action)
