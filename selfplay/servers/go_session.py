"""A game of go as a controller conducts it: the board, what was played, komi and clocks, and the player's thoughts.

In the flow: `gtp_server` reads commands and calls the methods here; `own_game` is the game that the player sees, which
may have ended earlier. Every method does all that it says, or raises and changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from games import Game, GameError
from games.native.go import Go, dead_stones
from selfplay.engines.go_moves import BLACK, WHITE, go_of_size
from selfplay.errors import UserError
from selfplay.notation.go import Record
from selfplay.players.thinking import Limits, Report, Thinker, Thought, never
from selfplay.servers.go_board import GoBoard, empty_board, margin
from selfplay.servers.go_clock import Clock, TimeControl, after_move, first_clock, seconds_for_move
from selfplay.servers.own_game import OwnGame, Play

MAX_KOMI = 1000.0

MAX_MOVES = 10_000
"""Largest number of moves of a game: every move keeps those before it."""


class Refusal(Exception):
    """What a controller wants cannot be; the message is for its user."""


@dataclass(frozen=True)
class GoState:
    """All that a controller can change. It is replaced whole."""

    board: GoBoard
    stones: tuple[Play, ...] = ()
    """Stones that were set up before the first move."""
    handicap: int = 0
    """Number of black stones of a handicap that was set up; White gets a point for each."""
    first_player: int = BLACK
    moves: tuple[Play, ...] = ()
    komi: float = 0.0
    clocks: tuple[Clock | None, Clock | None] = (None, None)
    control: TimeControl | None = None

    @property
    def to_play(self) -> int:
        """Whose turn it is where turns alternate."""
        return 1 - self.moves[-1][0] if self.moves else self.first_player


class GoSession:
    """One game after the other, with one player."""

    def __init__(self, own: OwnGame, make_thinker: Callable[[Game], Thinker] | None = None) -> None:
        """`make_thinker` makes the player for another size or komi, or raises UserError; None: there is no other."""
        self.own, self._make_thinker = own, make_thinker
        self.state = self._new_game(own, GoState(_empty(own), komi=own.rules.komi))

    def close(self) -> None:
        """Free the player."""
        self.own.close()

    # The start of a game.

    def clear(self) -> None:
        """Begin a new game with the same size, komi and times."""
        self._change_komi(self._new_game(self.own, self.state))

    def resize(self, size: int) -> None:
        """Begin a new game on another board. Raises Refusal where the player does not play there."""
        own = self._own_of(size, self.state.komi)
        if own is None:
            raise Refusal("unacceptable size")
        self._sit_down(own, self._new_game(own, self.state))

    def set_komi(self, komi: float) -> None:
        """Play for another komi; a player that cannot goes on with its own, and the score counts this one."""
        if abs(komi) > MAX_KOMI:
            raise Refusal("unacceptable komi")
        self._change_komi(replace(self.state, komi=komi))

    def place_handicap(self, points: Sequence[int]) -> None:
        """Set up black stones on the empty board; White moves first."""
        state = self.state
        if state.moves or state.stones or self.own.rules.handicap:
            raise Refusal("board not empty")
        stones = tuple((BLACK, point) for point in points)
        board = self._replay(self.own, state.board, stones)
        self._change_komi(replace(state, board=board, stones=stones, handicap=len(stones), first_player=WHITE))

    def load(self, record: Record, before_move: int | None = None) -> None:
        """Take over the game of a file, all of it or what comes before a move (1 is the first)."""
        komi = self.state.komi if record.komi is None else record.komi
        own = None if abs(komi) > MAX_KOMI else self._own_of(record.size, komi + record.handicap)
        if own is None:
            raise Refusal("unacceptable size or komi")
        moves = record.moves if before_move is None else record.moves[: max(0, before_move - 1)]
        try:
            if own.rules.handicap and record.stones:
                raise Refusal("the player's game has stones of its own")
            state = self._new_game(own, self.state)
            state = replace(
                state,
                board=self._replay(own, state.board, (*record.stones, *moves)),
                stones=record.stones,
                handicap=record.handicap,
                first_player=record.first_player,
                moves=moves,
                komi=komi,
            )
            own.follow((*state.stones, *moves), None, komi + record.handicap)
        except (Refusal, GameError) as error:
            if own is not self.own:
                own.close()
            raise Refusal(str(error)) from None
        self._sit_down(own, state)

    # Moves.

    def play(self, player: int, action: int) -> None:
        """Play a move, in the player's game too where that goes on. Colours need not alternate."""
        state = self.state
        if len(state.moves) >= MAX_MOVES:
            raise Refusal("the game is too long")
        move = (player, action)
        board = self._replay(self.own, state.board, (move,))
        moves = (*state.moves, move)
        try:
            self.own.follow((*state.stones, *moves), None, state.komi + state.handicap)
        except GameError:
            raise Refusal("illegal move") from None
        self.state = replace(state, board=board, moves=moves)

    def undo(self, number: int = 1) -> None:
        """Take back moves."""
        state = self.state
        if not 1 <= number <= len(state.moves):
            raise Refusal("cannot undo")
        moves = state.moves[:-number]
        board = self._replay(self.own, _empty(self.own), (*state.stones, *moves))
        self.state = replace(state, board=board, moves=moves)

    def think(
        self,
        player: int,
        should_stop: Callable[[], bool] = never,
        report: Report | None = None,
        by_clock: bool = True,
    ) -> tuple[Thought | None, int]:
        """The player's thought for a side and the move; no thought, and a pass, where its own game has ended."""
        state = self.state
        self.own.follow((*state.stones, *state.moves), player, state.komi + state.handicap)
        if self.own.is_over:
            return None, self.own.rules.pass_action
        seconds = seconds_for_move(state.control, state.clocks[player], state.board.num_empty) if by_clock else None
        thought = self.own.think(Limits(seconds=seconds), should_stop, report)
        return thought, thought.action

    def make_move(self, player: int, report: Report | None = None) -> int:
        """Think, move, and count the time: the move. The last report is the whole thought."""
        began = time.monotonic()
        thought, action = self.think(player, report=report)
        if report is not None and thought is not None:
            report(thought)
        self.play(player, action)
        clock = self.state.clocks[player]
        if clock is not None:
            self.set_clock(player, after_move(self.state.control, clock, time.monotonic() - began))
        return action

    # Time and result.

    def set_control(self, control: TimeControl | None) -> None:
        """Set the times of both players; None for no limit."""
        clock = first_clock(control)
        self.state = replace(self.state, control=control, clocks=(clock, clock))

    def set_clock(self, player: int, clock: Clock) -> None:
        """Set what a player has left."""
        black, white = self.state.clocks
        self.state = replace(self.state, clocks=(clock, white) if player == BLACK else (black, clock))

    def margin(self) -> float:
        """By how many points Black is ahead, without the stones that are dead by the rules of the player's game."""
        handicap = self.state.handicap or len(self.own.rules.handicap)
        return margin(self.state.board.without(self.dead_stones()), self.state.komi, handicap)

    def dead_stones(self) -> set[int]:
        """Points of the stones that the rules of the player's game take off before they count."""
        if not isinstance(self.own.game, Go):
            return set()
        return set(dead_stones(self.own.rules.size, self.state.board.points))

    # The player's own game.

    def _own_of(self, size: int, komi: float) -> OwnGame | None:
        """The player's game on a board of a size, with a komi where the player plays with it; None where there is none.

        The present game where nothing would change.
        """
        present = self.own.rules.size, self.own.rules.komi
        if self.own.rules.drawn and size == self.own.rules.size:
            return self.own
        for asked in dict.fromkeys((komi, self.own.rules.komi)):
            if (size, asked) == present:
                return self.own
            if self._make_thinker is not None:
                try:
                    game = go_of_size(self.own.game, size, asked)
                    return OwnGame(game, self._make_thinker(game))
                except (GameError, UserError):
                    continue
        return None

    def _change_komi(self, state: GoState) -> None:
        """Take a state with another komi or handicap; both are the komi of the player's game."""
        self._sit_down(self._own_of(self.own.rules.size, state.komi + state.handicap) or self.own, state)

    def _sit_down(self, own: OwnGame, state: GoState) -> None:
        """Let the player play `own` from now on."""
        if own is not self.own:
            self.own.close()
        self.own, self.state = own, state

    @staticmethod
    def _new_game(own: OwnGame, state: GoState) -> GoState:
        """The start of a game with the komi and the times of `state`."""
        clock = first_clock(state.control)
        return GoState(
            _empty(own),
            first_player=own.rules.first_player,
            komi=state.komi,
            clocks=(clock, clock),
            control=state.control,
        )

    @staticmethod
    def _replay(own: OwnGame, board: GoBoard, plays: Sequence[Play]) -> GoBoard:
        """The board after plays. Raises Refusal for an illegal one."""
        for player, action in plays:
            after = board.passed() if action == own.rules.pass_action else board.play(player, action)
            if after is None:
                raise Refusal("illegal move")
            board = after
        return board


def _empty(own: OwnGame) -> GoBoard:
    """The board before any move, with the stones of a game that has a handicap."""
    return empty_board(own.rules.size, map(own.rules.read_move, own.rules.handicap))
