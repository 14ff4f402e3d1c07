"""A person against a player in the terminal: boards, moves as text, hints, undo.

`TerminalGame` is one game with everything; `HumanPlayer` is the same prompt as a `Player`, for matches. Both talk
through a `Terminal`, which tests replace, and show the board of `selfplay.drawings.terminal`.
"""

from __future__ import annotations

import io
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

import numpy as np
from jaxtyping import Int64

from games import CHANCE, TERMINAL, Game, StatePool
from games.base import chance_rounds
from games.random_play import draw_outcomes
from selfplay.drawings.boards import View, cells_of, last_cells, look_at
from selfplay.drawings.terminal import Screen, board, screen_of
from selfplay.players.player import Analysis, Analyst, Player

BAR = 20
"""Length of a full bar in a hint, in characters."""

HINT_MOVES = 10
"""Largest number of moves in a hint."""

MAX_LINE = 4096
"""Largest number of characters of a typed line; a longer one is passed over."""

HELP = {
    "moves": "list the legal moves",
    "board": "show the board again",
    "hint": "what the other player thinks of your position",
    "undo": "take back your last move and the answer to it",
    "resign": "give the game up",
    "quit": "leave",
    "help": "this list",
}
IN_A_MATCH = ("moves", "board", "quit", "help")


class LeftError(Exception):
    """The person left: `quit`, or the input ended."""


@dataclass(frozen=True)
class Terminal:
    """Where the person reads and types."""

    source: TextIO
    screen: TextIO

    def say(self, text: str = "") -> None:
        """Print a line."""
        print(text, file=self.screen, flush=True)

    def show(self, pool: StatePool, slot: int, history: Sequence[int]) -> None:
        """Print the position that `history` led to, in colour where the screen has colours."""
        self.say(board_text(pool, slot, history, screen_of(self.screen, os.environ)))

    def ask(self, prompt: str) -> str:
        """One line of input without spaces around it. Raises LeftError at the end of the input."""
        while True:
            print(prompt, end="", file=self.screen, flush=True)
            line = self.source.readline(MAX_LINE + 1)
            if len(line) <= MAX_LINE or line.endswith("\n"):
                break
            while line and not line.endswith("\n"):
                line = self.source.readline(MAX_LINE)
            self.say(f"that line is longer than {MAX_LINE} characters")
        if not line:
            self.say()
            raise LeftError
        if not self.source.isatty():  # nobody sees what comes through a pipe
            self.say(line.strip())
        return line.strip()


def standard_terminal(screen: TextIO) -> Terminal:
    """Standard input and `screen`. Bytes that are no text come as marks, and so do letters that the screen lacks."""
    for stream, errors in ((sys.stdin, "replace"), (screen, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)
    return Terminal(sys.stdin or io.StringIO(), screen)


def board_text(pool: StatePool, slot: int, history: Sequence[int], screen: Screen) -> str:
    """The position that `history` led to: as a board with the last move marked, or as the text of the game."""
    view = look_at(pool, slot)
    return board(view, screen, last_cells(pool.game, history, view)) or plain_text(pool, slot)


def plain_text(pool: StatePool, slot: int) -> str:
    """The text of the game; where it has one action a column, the actions stand below their columns."""
    text = pool.text(slot).rstrip("\n")
    num_actions = pool.game.num_actions
    if all(len(line) == num_actions for line in text.splitlines()):
        text += "\n" + "".join(str(action % 10) for action in range(num_actions))
    return text


def find_move(pool: StatePool, slot: int, typed: str) -> int | None:
    """The legal action whose text, number or place was typed; text goes first, its case after that.

    A place is what the board calls it, as `c3`, or the two places of a piece that moves, as `e2e4`.
    """
    view = look_at(pool, slot)
    for matches in (
        [action for action, text in view.legal if text == typed],
        [action for action, text in view.legal if text.lower() == typed.lower()],
        [action for action, _ in view.legal if str(action) == typed],
        [action for action, _ in view.legal if typed and place_name(view, action) == typed.lower()],
    ):
        if len(matches) == 1:
            return matches[0]
    return None


def ask_move(
    terminal: Terminal, pool: StatePool, slot: int, history: Sequence[int], commands: Sequence[str]
) -> int | str:
    """Ask until a legal move or one of `commands` other than the ones answered here comes. Raises LeftError."""
    while True:
        typed = terminal.ask("your move> ")
        if typed in ("quit", "exit", "q"):
            raise LeftError
        action = find_move(pool, slot, typed)
        if action is not None:
            return action
        if typed == "moves":
            terminal.say(_moves_text(pool, slot))
        elif typed == "board":
            terminal.show(pool, slot, history)
        elif typed == "help":
            terminal.say("\n".join(f"  {name:8}{HELP[name]}" for name in commands))
        elif typed in commands:
            return typed
        elif typed:
            terminal.say(f"{typed[:60]!r} is not a legal move; type 'moves' to see them, 'help' for the commands")


def hint_text(analysis: Analysis) -> str:
    """An analysis as a table with a bar for each move: visits, or the prior where nothing was searched."""
    total = sum(move.visits for move in analysis.moves)
    rows = [f"  {'move':10} {'visits':>7} {'value':>6} {'prior':>6}"]
    for move in analysis.moves[:HINT_MOVES]:
        share = move.visits / total if total else move.prior
        value = f"{'-':>6}" if math.isnan(move.q) else f"{move.q:+6.2f}"
        rows.append(f"  {move.text:10} {move.visits:7} {value} {move.prior:6.1%} {'#' * round(BAR * share)}".rstrip())
    return "\n".join([*rows, f"  value of the position for you: {analysis.value:+.2f}"])


class HumanPlayer:
    """A person at the terminal, as a player of matches."""

    name = "human"

    def __init__(self, terminal: Terminal | None = None) -> None:
        # Standard output belongs to the result of the match.
        self._terminal = terminal or standard_terminal(sys.stderr)

    def choose(
        self, pool: StatePool, slots: Int64[np.ndarray, " n"], histories: Sequence[Sequence[int]]
    ) -> Int64[np.ndarray, " n"]:
        """Ask for one position after the other. Raises KeyboardInterrupt when the person leaves."""
        actions = []
        for slot, history in zip(slots.tolist(), histories):
            self._terminal.say()
            self._terminal.show(pool, slot, history)
            seat = int(pool.to_play(np.array([slot]))[0])
            self._terminal.say(f"player {seat}{_side(look_at(pool, slot), seat)} to move")
            try:
                actions.append(ask_move(self._terminal, pool, slot, history, IN_A_MATCH))
            except LeftError:
                raise KeyboardInterrupt from None
        return np.array(actions, np.int64)

    def close(self) -> None:
        """Nothing to free."""


class TerminalGame:
    """One game of a person in `seat` against `player` in all other seats; `rng` draws chance.

    It is played in slot 0 of a pool of its own.
    """

    def __init__(self, game: Game, player: Player, seat: int, terminal: Terminal, rng: np.random.Generator) -> None:
        self.game, self.player, self.seat, self.terminal, self.rng = game, player, seat, terminal, rng
        self.pool = game.new_pool(1)
        self.slot = np.zeros(1, np.int64)
        self.turns: list[int] = []
        """Length of the history at each of the person's moves, for undo."""
        self._set_up([])

    def run(self) -> None:
        """Play until the end of the game, or until the person leaves."""
        place = f"player {self.seat} of {self.game.num_players}{_side(look_at(self.pool, 0), self.seat)}"
        self.terminal.say(f"{self.game.name}: you are {place}, against {self.player.name}; 'help' lists the commands")
        try:
            events = chance_rounds(self.game)
            while (to_play := int(self.pool.to_play(self.slot)[0])) != TERMINAL:
                if to_play == CHANCE:
                    next(events)
                    self._step(int(draw_outcomes(self.pool, self.slot, [self.rng])[0]))
                    continue
                events = chance_rounds(self.game)
                if to_play != self.seat:
                    self._let_player_move()
                elif not self._let_person_move():
                    return
        except LeftError:
            self.terminal.say("You left the game.")
            return
        self._show()
        self.terminal.say(self._result())

    def _show(self) -> None:
        self.terminal.say()
        self.terminal.show(self.pool, 0, self.history)

    def _let_person_move(self) -> bool:
        """Ask for a move or a command; False when the person resigned."""
        self._show()
        while True:
            answer = ask_move(self.terminal, self.pool, 0, self.history, tuple(HELP))
            if isinstance(answer, int):
                self.turns.append(len(self.history))
                self._step(answer)
                return True
            if answer == "resign":
                self.terminal.say("You resigned.")
                return False
            if answer == "hint":
                self.terminal.say(self._hint())
            elif answer == "undo" and self.turns:
                self._set_up(self.history[: self.turns.pop()])
                return True
            else:
                self.terminal.say("There is nothing to take back.")

    def _let_player_move(self) -> None:
        if isinstance(self.player, Analyst):
            analysis = self.player.analyse(self.pool, 0)
            action, opinion = analysis.action, f" (it expects {analysis.value:+.2f} for itself)"
        else:
            action, opinion = int(self.player.choose(self.pool, self.slot, [self.history])[0]), ""
        self.terminal.say(f"{self.player.name} plays {self.pool.action_text(0, action)}{opinion}")
        self._step(action)

    def _hint(self) -> str:
        if not isinstance(self.player, Analyst):
            return f"{self.player.name} has no opinion about positions."
        return hint_text(self.player.analyse(self.pool, 0))

    def _set_up(self, history: list[int]) -> None:
        """Go to the position after `history`."""
        self.history: list[int] = []
        self.returns = np.zeros(self.game.num_players)
        self.pool.reset(self.slot)
        for action in history:
            self._step(action)

    def _step(self, action: int) -> None:
        _, rewards = self.pool.step(self.slot, np.array([action], np.int64), self.slot)
        self.returns += rewards[0]
        self.history.append(action)

    def _result(self) -> str:
        if self.game.num_players == 1:
            return f"The game is over: {self.returns[0] * self.game.utility_scale:g} points."
        others = np.delete(self.returns, self.seat).max()
        if self.returns[self.seat] > others:
            return "You win."
        return "You lose." if self.returns[self.seat] < others else "A draw."


def _side(view: View, seat: int) -> str:
    """What the pieces of a seat are called, after a comma; empty where no drawing names them."""
    sides = view.drawing.sides if view.drawing is not None else ()
    return f", {sides[seat]}" if seat < len(sides) else ""


def place_name(view: View, action: int) -> str:
    """The names of the cells of a move, one after the other; empty where the board has no place for it."""
    cells = view.drawing.cells if view.drawing is not None else ()
    return "".join(cells[index].label for index in cells_of(view, action)).lower()


def _legal(pool: StatePool, slot: int) -> list[int]:
    return pool.legal(np.array([slot], np.int64))[1].tolist()


def _moves_text(pool: StatePool, slot: int) -> str:
    """Legal moves as text, each with its number where the text does not show it."""
    entries = []
    for action in _legal(pool, slot):
        text = pool.action_text(slot, action)
        entries.append(text if text == str(action) else f"{text} [{action}]")
    return "  ".join(entries)
