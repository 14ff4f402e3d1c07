"""From a position in a pool to what the page shows of it: a drawing where the game has one, text and moves for all.

`DRAWINGS` says which function draws which game. A function reads the text of the position, as OpenSpiel and our own
games write it. Where that does not work (other parameters, another game of the same name) the text itself is shown with
a list of moves, so every game can be played.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from games import Game, StatePool
from games.parameters import parse
from games.registry import OPENSPIEL
from selfplay.drawings import linked_boards, odd_boards, piece_boards, stone_boards
from selfplay.drawings.drawing import Draw, Drawing, Position

MAX_CELLS = 1_600
"""Largest number of cells of a drawing. Larger boards are shown as text: a page with more buttons is slow."""

MAX_TEXT = 20_000
"""Largest number of characters of a position that are sent."""

_ANSI = re.compile(r"\x1b\[[0-9;]*m")

DRAWINGS: dict[str, Draw] = {
    "2048": odd_boards.tiles_2048,
    "amazons": piece_boards.amazons,
    "animal_shogi": piece_boards.animal_shogi,
    "antichess": piece_boards.chess,
    "banqi": piece_boards.banqi,
    "breakthrough": piece_boards.breakthrough,
    "catch": odd_boards.catch,
    "checkers": piece_boards.checkers,
    "chess": piece_boards.chess,
    "chinese_checkers": odd_boards.chinese_checkers,
    "cliff_walking": odd_boards.cliff_walking,
    "clobber": piece_boards.clobber,
    "connect_four": stone_boards.connect_four,
    "crazyhouse": piece_boards.chess,
    "cursor_go": stone_boards.go,
    "dots_and_boxes": odd_boards.dots_and_boxes,
    "einstein_wurfelt_nicht": piece_boards.einstein,
    "gardner_chess": piece_boards.small_chess,
    "go": stone_boards.go,
    "gomoku": stone_boards.gomoku,
    "havannah": stone_boards.havannah,
    "hex": stone_boards.hex_board,
    "hive": linked_boards.hive,
    "lines_of_action": piece_boards.lines_of_action,
    "mancala": odd_boards.mancala,
    "mini_shogi": piece_boards.mini_shogi,
    "mnk": stone_boards.tic_tac_toe,
    "morpion_solitaire": odd_boards.morpion_solitaire,
    "nim": odd_boards.nim,
    "nine_mens_morris": odd_boards.nine_mens_morris,
    "othello": stone_boards.othello,
    "oware": odd_boards.oware,
    "pentago": stone_boards.pentago,
    "quoridor": odd_boards.quoridor,
    "shogi": piece_boards.shogi,
    "tic_tac_toe": stone_boards.tic_tac_toe,
    "twixt": linked_boards.twixt,
    "ultimate_tic_tac_toe": stone_boards.ultimate_tic_tac_toe,
    "xiangqi": piece_boards.xiangqi,
    "y": stone_boards.y_board,
}
"""The function that draws a game, by the name of its rules."""


@dataclass(frozen=True)
class View:
    """A position as the page shows it."""

    text: str
    to_play: int
    """Player, `games.CHANCE` or `games.TERMINAL`."""
    legal: tuple[tuple[int, str], ...]
    """Legal moves of a player, action and text; empty elsewhere."""
    drawing: Drawing | None

    def as_json(self) -> dict[str, Any]:
        """Plain values: text, drawing, moves with the cells to click."""
        moves = []
        for action, text in self.legal:
            move: dict[str, Any] = {"action": action, "text": text}
            place = self.drawing.places.get(action) if self.drawing else None
            if place is not None:
                move["cells"] = list(place.cells)
                if place.start is not None:
                    move["from"] = place.start
            moves.append(move)
        drawing = self.drawing.as_json() if self.drawing else None
        return {"text": self.text, "to_play": self.to_play, "moves": moves, "drawing": drawing}


def look_at(pool: StatePool, slot: int) -> View:
    """The position in `slot`, which is left as it is."""
    slots = np.array([slot], np.int64)
    to_play = int(pool.to_play(slots)[0])
    text = _ANSI.sub("", pool.text(slot))
    legal: tuple[tuple[int, str], ...] = ()
    if to_play >= 0:
        legal = tuple((action, pool.action_text(slot, action)) for action in pool.legal(slots)[1].tolist())
    return View(text[:MAX_TEXT], to_play, legal, _draw(pool, slot, text, to_play, legal))


def cells_of(view: View, action: int) -> tuple[int, ...]:
    """Where a move of the position is on the board: the cell, after that of the piece that moves; empty for nowhere."""
    place = view.drawing.places.get(action) if view.drawing is not None else None
    if place is None:
        return ()
    return place.cells[:1] if place.start is None else (place.start, place.cells[0])


def last_cells(game: Game, history: Sequence[int], view: View) -> tuple[int, ...]:
    """The cells of the last move in the position `view` that `history` led to, as the page marks them.

    Empty at the start, after an outcome of chance, and where the move changed the cells of the board.
    """
    if not history or view.drawing is None:
        return ()
    pool, slots = game.new_pool(1), np.zeros(1, np.int64)
    pool.reset(slots)
    for action in history[:-1]:
        pool.step(slots, np.array([action], np.int64), slots)
    before = look_at(pool, 0)
    pool.close()
    same = before.drawing is not None and len(before.drawing.cells) == len(view.drawing.cells)
    return cells_of(before, history[-1]) if same else ()


def side_names(game: Game, view: View) -> list[str]:
    """What the players are called, by seat."""
    if view.drawing is not None and len(view.drawing.sides) == game.num_players:
        return list(view.drawing.sides)
    return [f"player {seat + 1}" for seat in range(game.num_players)]


def outcome_text(pool: StatePool, slot: int, outcome: int) -> str:
    """A chance outcome of the position in words, where the game has words for it."""
    try:
        return pool.action_text(slot, outcome)
    except Exception:  # games of one's own may have texts for moves only
        return f"outcome {outcome}"


def _draw(pool: StatePool, slot: int, text: str, to_play: int, legal: tuple[tuple[int, str], ...]) -> Drawing | None:
    rules = parse(pool.game.rules)
    draw = DRAWINGS.get(rules.name)
    if draw is None or rules.prefix not in ("", OPENSPIEL):
        return None

    def texts_after() -> list[str]:
        return _texts_after(pool, slot, [action for action, _ in legal])

    position = Position(pool.game, rules.name, rules.parameters, text, to_play, legal, texts_after)
    try:
        drawing = draw(position)
    except Exception:  # the text is not what the function knows: it is shown as it is
        return None
    count = len(drawing.cells)
    places_fit = all(
        0 <= cell < count
        for place in drawing.places.values()
        for cell in (*place.cells, *(() if place.start is None else (place.start,)))
    )
    return drawing if 0 < count <= MAX_CELLS and places_fit and all(p.cells for p in drawing.places.values()) else None


def _texts_after(pool: StatePool, slot: int, actions: list[int]) -> list[str]:
    """The text of the position after each of `actions`."""
    if not actions:
        return []
    after = pool.game.new_pool(len(actions))
    slots = np.arange(len(actions))
    after.load(slots, pool, np.full(len(actions), slot))
    after.step(slots, np.array(actions, np.int64), slots)
    return [_ANSI.sub("", after.text(i)) for i in slots.tolist()]
