"""Two games with a `uci_variant`: a made-up one of drops, and breakthrough written in plain Python."""

from __future__ import annotations

import copy

import numpy as np

import games


class DropsState(games.State):
    """Every move is legal all the time; the game ends after four."""

    TEXTS = ("P@a1", "a1a2", "a1a2+", "a2a3q", "N@b3")
    """Moves in the manner of Fairy-Stockfish, by action."""

    def __init__(self) -> None:
        self.plies = 0

    def clone(self):
        return copy.copy(self)

    def to_play(self):
        return self.plies % 2 if self.plies < 4 else games.TERMINAL

    def legal_actions(self):
        return range(len(self.TEXTS))

    def apply(self, action):
        self.plies += 1

    def rewards(self):
        return [0.0, 0.0]

    def observation(self):
        return np.full(1, self.plies, np.float32)

    def action_text(self, action):
        return self.TEXTS[action]


class Drops(games.PythonGame):
    """Its variant is `drops`."""

    uci_variant = "drops"
    num_players, num_actions, max_game_length = 2, len(DropsState.TEXTS), 4
    observation_shape = games.with_seats((1,), 2)

    def new_state(self):
        return DropsState()


class BreakthroughState(games.State):
    """Rows of 8 squares; player 0 begins on rows 0 and 1 and moves upwards. An action is square * 3 + direction."""

    def __init__(self) -> None:
        self.board = [1] * 16 + [0] * 32 + [2] * 16
        self.mover, self.winner = 0, None

    def clone(self):
        other = copy.copy(self)
        other.board = list(self.board)
        return other

    def to_play(self):
        return self.mover if self.winner is None else games.TERMINAL

    def target(self, action):
        """The square that a move goes to; None beside the board."""
        square, side = action // 3, action % 3 - 1
        row, column = square // 8 + (1 if self.mover == 0 else -1), square % 8 + side
        return row * 8 + column if 0 <= row < 8 and 0 <= column < 8 else None

    def legal_actions(self):
        own = self.mover + 1
        moves = [(a, self.target(a)) for a in range(192) if self.board[a // 3] == own]
        return [a for a, to in moves if to is not None and self.board[to] in ((0,) if a % 3 == 1 else (0, 3 - own))]

    def apply(self, action):
        to = self.target(action)
        self.board[action // 3], self.board[to] = 0, self.mover + 1
        if to // 8 == (7 if self.mover == 0 else 0) or (2 - self.mover) not in self.board:
            self.winner = self.mover
        self.mover = 1 - self.mover

    def rewards(self):
        return [0.0, 0.0] if self.winner is None else [1.0 - 2 * self.winner, 2 * self.winner - 1.0]

    def observation(self):
        return np.array(self.board, np.float32)

    def action_text(self, action):
        def name(square):
            return f"{'abcdefgh'[square % 8]}{square // 8 + 1}"

        return name(action // 3) + name(self.target(action))


class Breakthrough(games.PythonGame):
    """Breakthrough 8x8."""

    uci_variant = "breakthrough"
    num_players, num_actions, max_game_length = 2, 192, 208
    observation_shape = games.with_seats((64,), 2)

    def new_state(self):
        return BreakthroughState()


games.register("drops", Drops)
games.register("python_breakthrough", Breakthrough)
