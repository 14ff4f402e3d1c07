"""Positions that a person pastes: a list of moves, a game as a file of chess or Go has it, or the picture of a board.

Files are read by `selfplay.notation`. In a list, moves are written as the game writes them or as numbers of actions,
one after the other. Of games in which stones are only added, a board as text will do: an order of moves is looked for
that leads to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from games import CHANCE, TERMINAL, Game
from games.native.go import drawn_komis, komi_outcome
from games.parameters import parse
from selfplay.drawings.boards import DRAWINGS, outcome_text
from selfplay.drawings.drawing import Cell, Drawing, Position
from selfplay.errors import UserError
from selfplay.notation.forms import PGN, SGF, form_of
from selfplay.notation.played import Reading
from selfplay.web.refusals import Refused, shown
from selfplay.web.table import HERE, Table

MAX_TEXT = 20_000
"""Largest number of characters of a pasted position."""

MAX_MOVES = 2_000

ADDING = frozenset({"connect_four", "go", "gomoku", "havannah", "hex", "mnk", "tic_tac_toe", "y"})
"""Names of rules by which a board determines its moves, except for their order."""

MAX_TRIES = 1_000
"""Largest number of positions that are tried on the way to a pasted board."""


def read_position(game: Game, text: str) -> Table:
    """The position that was pasted. Raises Refused with one line that says what is wrong."""
    if not text.strip():
        raise Refused("nothing was pasted; expected moves or a board")
    board = _board_of(game, text)
    if board is not None:
        return _reach(game, board, _komi_drawn(game, text), _side_to_move(text))
    reading = _read_file(game, text)
    if reading is not None:
        table = Table(game, reading.moves)
        if reading.remarks:
            table.remark = f"The pasted game says: {'; '.join(reading.remarks)}."
        return table
    return _play(game, _split(game, text))


def _read_file(game: Game, text: str) -> Reading | None:
    """The game of a text in the form of files that the game has; None for a list of moves."""
    own = form_of(game)
    for form, name, kind in ((SGF, "SGF", "go"), (PGN, "PGN", "chess")):
        if (own is None or own.ending != form.ending) and form.matches(text):
            raise Refused(f"this is {name}, which is read for {kind}; the game here is {game.name}")
    are_numbers = all(word.isdigit() for word in text.replace(",", " ").split())
    if own is None or are_numbers or _json_moves(text) is not None:
        return None
    if own is SGF and "[" not in text and not own.matches(text):  # moves, one after the other
        return None
    try:
        readings = own.read(game, text)
    except UserError as error:
        raise Refused(str(error)) from None
    if len(readings) != 1:
        raise Refused(f"{len(readings)} games in the text; paste one of them" if readings else "no moves in the text")
    if len(readings[0].moves) > MAX_MOVES:
        raise Refused(f"more than {MAX_MOVES} moves")
    return readings[0]


def _play(game: Game, moves: Sequence[str | int]) -> Table:
    """The position after the moves of a list."""
    table = Table(game)
    for number, move in enumerate(moves, 1):
        if number > MAX_MOVES:
            raise Refused(f"more than {MAX_MOVES} moves")
        if table.to_play == TERMINAL:
            raise Refused(f"move {number}: the game is over before {shown(move)}")
        action = _find(table, move)
        if action is None:
            raise Refused(f"move {number}: {shown(move)} is not a legal move; the position has {_examples(table)}")
        table.play(action)
    return table


def _split(game: Game, text: str) -> Sequence[str | int]:
    """The moves of a list, one by one. Their numbers, comments in braces and a result may stand in it."""
    numbers = _json_moves(text)
    if numbers is not None:
        return numbers
    usual = [move for _, move in _moves_now(Table(game))]
    text = re.sub(r"\{[^}]*\}", " ", text.lstrip("\ufeff"))
    if re.search(r"[;\n]", text.strip()) and any(" " in move for move in usual):  # a line each, or parted by semicolons
        return [part.strip() for part in re.split(r"[;\n]", text) if part.strip()]
    if not any("," in move for move in usual):
        text = text.replace(",", " ")
    words = re.sub(r"\b\d+\.+", " ", text).replace(";", " ").split()
    return [word for word in words if word not in ("1-0", "0-1", "1/2-1/2", "*")]


def _json_moves(text: str) -> list[int] | None:
    """The numbers of `[3, 3, 2]` or `{"moves": [3, 3, 2]}`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        value = value.get("moves")
    if not isinstance(value, list) or not all(type(move) is int for move in value):
        return None
    return value


def _find(table: Table, move: str | int) -> int | None:
    """The action that a text stands for: the text of the move first, then its last word, its number at the end."""
    legal: Sequence[tuple[int, str]] = _moves_now(table)
    if isinstance(move, int):
        return move if any(action == move for action, _ in legal) else None
    wanted = move.rstrip("+#!?").lower()
    for texts in (
        {action: text for action, text in legal if text == move},
        {action: text for action, text in legal if text.rstrip("+#").lower() == wanted},
        {action: text for action, text in legal if text.lower().split()[-1:] == [wanted]},
        {action: text for action, text in legal if str(action) == move},
    ):
        if len(texts) == 1:
            return next(iter(texts))
    return None


def _moves_now(table: Table) -> list[tuple[int, str]]:
    if table.to_play == CHANCE:
        outcomes = table.pool.chance(HERE)[1].tolist()
        return [(outcome, outcome_text(table.pool, 0, outcome)) for outcome in outcomes]
    return [(action, table.pool.action_text(0, action)) for action in table.pool.legal(HERE)[1].tolist()]


def _examples(table: Table) -> str:
    moves = [text for _, text in _moves_now(table)]
    return ", ".join(moves[:8]) + (", ..." if len(moves) > 8 else "")


# Boards.


def _draw(game: Game, text: str, legal: Sequence[tuple[int, str]] = ()) -> Drawing:
    rules = parse(game.rules)
    return DRAWINGS[rules.name](Position(game, rules.name, rules.parameters, text, 0, tuple(legal), list))


def _board_of(game: Game, text: str) -> list[str] | None:
    """The pieces on a pasted board, cell by cell, if the text is a board of the game."""
    rules = parse(game.rules)
    if rules.name not in ADDING or rules.prefix or not re.search(r"\S\s*\n\s*\S", text):
        return None
    start = Table(game, _komi_drawn(game, text))
    try:
        cells = _draw(game, text.strip("\n").rstrip() + "\n").cells
    except Exception:  # not a board, so moves
        return None
    if [cell.label for cell in cells] != [cell.label for cell in _draw(game, start.view.text).cells]:
        return None
    return [_name(cell) for cell in cells]


def _side_to_move(text: str) -> int | None:
    """Who is to move on a pasted board of go, as OpenSpiel writes it; None where the text does not say."""
    match = re.search(r"to_play=([BW])", text)
    return "BW".index(match[1]) if match else None


def _komi_drawn(game: Game, text: str) -> list[int]:
    """What a game that draws its komi begins with: the komi that a pasted board names, or the one in the middle."""
    komis, match = drawn_komis(game), re.search(r"komi=(-?\d+(?:\.\d+)?)", text)
    return komi_outcome(game, float(match[1]) if match else komis[len(komis) // 2]) if komis else []


def _reach(game: Game, wanted: list[str], drawn: Sequence[int] = (), side: int | None = None) -> Table:
    """A game that leads to a board, with `side` to move; `drawn` comes before its moves. Raises Refused where none is
    found.

    Depth-first: the player to move places one of the stones that are still missing; positions with the same stones are
    visited once.
    """
    start = Table(game, drawn)
    names, before = _piece_names(game, drawn), _stones(start)
    counts = [wanted.count(name) for name in names]
    first = start.to_play
    placed = [count - before.count(name) for count, name in zip(counts, names)]
    if not set(wanted) <= {*names, ""} or placed[first] - placed[1 - first] not in (0, 1):
        raise Refused(f"no game leads to this board: {counts[0]} of {names[0]} and {counts[1]} of {names[1]}")
    visited: set[tuple[str, ...]] = set()
    stack: list[list[int]] = [list(drawn)]
    while stack and len(visited) < MAX_TRIES:
        moves = stack.pop()
        table = Table(game, moves)
        stones = _stones(table)
        if stones == wanted and side in (None, table.to_play):
            return table
        if tuple(stones) in visited or any(h and h != w for h, w in zip(stones, wanted)) or table.to_play < 0:
            continue
        visited.add(tuple(stones))
        mine = names[table.to_play]
        places = sorted(_drawn(table).places.items(), reverse=True)
        fitting = [a for a, p in places if wanted[p.cells[0]] == mine and not stones[p.cells[0]]]
        stack += [[*moves, action] for action in fitting]
    raise Refused("no game that leads to this board was found; paste its moves")


def _stones(table: Table) -> list[str]:
    """The names of the pieces, cell by cell; empty where there is none."""
    return [_name(cell) for cell in _drawn(table).cells]


def _name(cell: Cell) -> str:
    return "" if cell.piece is None else cell.piece.name


def _piece_names(game: Game, drawn: Sequence[int]) -> tuple[str, str]:
    """What the stones of the two players are called, by seat."""
    table = Table(game, drawn)
    names = ["", ""]
    for _ in range(2):
        action, player = min(_drawn(table).places), table.to_play
        cell = _drawn(table).places[action].cells[0]
        table.play(action)
        names[player] = _stones(table)[cell]
    return names[0], names[1]


def _drawn(table: Table) -> Drawing:
    if table.view.drawing is None:
        raise Refused(f"{table.game.name} has no board to paste; paste moves")
    return table.view.drawing
