"""Go in SGF: a game of `go` as a file, and the moves of a file for a game of `go`.

A game here has a board, stones of a handicap and a side to move that its parameters fix. A file that says otherwise is
refused by name; one with another komi or other rules has the same positions, and is read with a remark. A game that
draws its komi takes the one that is nearest to that of the file.

Points in SGF count from the upper left corner, actions from the lower left; the last action is the pass.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from games import Game, GameError
from games.go_text import read_board
from games.native.go import drawn_komis, handicap_points, komi_outcome
from games.parameters import parse
from selfplay.errors import UserError
from selfplay.notation.played import Line, PlayedGame, Reading, shown, walk
from selfplay.notation.sgf import Node, plain, read_sgf, write_sgf

BLACK, WHITE = 0, 1
"""Seats, by which names and returns are ordered."""

SIDES = ("Black", "White")

GO = 1
"""The number of the game in SGF."""

GAMES = {
    2: "Othello", 3: "chess", 4: "Gomoku or Renju", 5: "Nine Men's Morris", 6: "Backgammon", 7: "Chinese chess",
    8: "Shogi", 9: "Lines of Action", 10: "Ataxx", 11: "Hex", 18: "Amazons", 21: "Twixt", 24: "Yinsh", 27: "Hive",
    37: "Dvonn", 40: "Kropki",
}  # fmt: skip
"""Names of others that a message may need (red-bean.com/sgf/properties.html#GM)."""

USUAL_SIZE = 19
"""Size of the board of a file that gives none, and the largest on which `tt` is a pass."""

AREA_RULES = ("chinese", "aga", "nz", "newzealand", "tromptaylor", "goe", "ing")
"""Rules that count points as the game here does."""

Stones = dict[int, str]
"""Set-up stones by action: `X` black, `O` white."""


@dataclass(frozen=True)
class Record:
    """What a file says of a game."""

    size: int
    """Rows and columns of the board."""
    komi: float | None
    """None where the file gives none that is a number."""
    handicap: int
    """Stones of a handicap, which are among `stones`; 0 for none."""
    stones: tuple[tuple[int, int], ...]
    """Seat and point of each stone that is set up before the first move."""
    first_player: int
    """Who is to move first."""
    moves: tuple[tuple[int, int], ...]
    """Seat and action of each move; they need not alternate, and nothing says that they are legal."""


def write_go(played: PlayedGame) -> str:
    """A game in SGF: the stones of the handicap, who begins, every move, and the result."""
    size, chance = _size(played.game), 1 if drawn_komis(played.game) else 0
    drawn = list(played.moves[:chance])
    komi = drawn_komis(played.game)[drawn[0]] if drawn else _komi(played.game)
    start = _begin(played.game, drawn)
    root: dict[str, Sequence[str]] = {"FF": ["4"], "GM": [str(GO)], "CA": ["UTF-8"], "SZ": [str(size)]}
    root |= {"KM": [f"{komi:g}"], "RU": ["Chinese"]}
    stones = _stones(start)
    black = [_point(action, size) for action, color in stones.items() if color == "X"]
    if len(black) > 1:
        root["HA"] = [str(len(black))]
    if black:
        root["AB"] = black
    if start.to_play != BLACK:
        root["PL"] = ["W"]
    root |= {"PB": [played.players[BLACK]], "PW": [played.players[WHITE]], "RE": [_result(played)]}
    if played.forfeit:
        root["C"] = [played.forfeit]
    moves = [{"BW"[line.to_play]: [_point(move, size)]} for line, move in walk(played.game, played.moves)][chance:]
    return write_sgf([root, *moves])


def _begin(game: Game, drawn: Sequence[int]) -> Line:
    """A game before its first move. `drawn` is the outcome of its komi, where there is one."""
    line = Line(game)
    for outcome in drawn:
        line.play(outcome)
    return line


def _result(played: PlayedGame) -> str:
    black, white = played.returns[BLACK], played.returns[WHITE]
    if not played.finished and not played.forfeit:
        return "Void"
    if black == white:
        return "0"
    return ("B+" if black > white else "W+") + ("F" if played.forfeit else "")


def read_go(game: Game, text: str) -> list[Reading]:
    """The main line of every game of a text. Raises UserError that says what cannot be honoured, and where."""
    games = read_sgf(text)
    readings = []
    for number, nodes in enumerate(games, 1):
        try:
            readings.append(_read_game(game, nodes))
        except UserError as error:
            raise UserError(f"SGF, game {number}: {error}" if len(games) > 1 else f"SGF: {error}") from None
    return readings


def read_record(text: str) -> Record:
    """The first game of a text, whatever board it is played on. Raises UserError that says what cannot be read."""
    nodes = read_sgf(text)[0]
    try:
        return _read_record(nodes)
    except UserError as error:
        raise UserError(f"SGF: {error}") from None


def _read_record(nodes: Sequence[Node]) -> Record:
    _, (columns, rows) = _read_size(nodes[0])
    if columns != rows:
        raise UserError(f"a board of {columns} by {rows}, which is no square")
    first = next((i for i, node in enumerate(nodes) if any(_moves_of(node))), len(nodes))
    stones, side = dict[int, int](), ""
    for number, node in enumerate(nodes):
        if _set_up_of(node) and (number > first or node.get("AE")):
            raise UserError(f"stones are set up, or taken away, in the middle of the game ({_set_up_of(node)})")
        for player, name in enumerate(("AB", "AW")):
            for value in node.get(name, ()):
                stones |= dict.fromkeys(_points(plain(value), rows, name), player)
        side = _one(node, "PL", "") if number <= first and not side else side
    given = _one(nodes[0], "HA", "")
    handicap = int(given) if given.isascii() and given.isdigit() and 2 <= int(given[:4]) <= len(stones) else 0
    try:
        komi = float(_one(nodes[0], "KM", "nan"))
    except ValueError:
        komi = math.nan
    moves: list[tuple[int, int]] = []
    for player, value in (move for node in nodes for move in _moves_of(node)):
        is_pass = not value or (value == "tt" and rows <= USUAL_SIZE)
        moves.append((player, rows * rows if is_pass else _action(value, rows, f"move {len(moves) + 1}")))
    begins = {"b": BLACK, "w": WHITE}.get(side[:1].lower(), WHITE if stones and WHITE not in stones.values() else BLACK)
    return Record(
        size=rows,
        komi=komi if math.isfinite(komi) else None,
        handicap=handicap,
        stones=tuple((player, point) for point, player in stones.items()),
        first_player=begins,
        moves=tuple(moves),
    )


def _read_game(game: Game, nodes: Sequence[Node]) -> Reading:
    _check_game(game, nodes[0])
    line, size, komi = _begin(game, komi_outcome(game, _file_komi(game, nodes[0]))), _size(game), _komi(game)
    if komis := drawn_komis(game):
        komi = komis[line.moves[0]]
    first = next((i for i, node in enumerate(nodes) if any(_moves_of(node))), len(nodes))
    _check_start(line, nodes[: first + 1], size)
    for node in nodes:
        if _made(line) and _set_up_of(node):
            raise UserError(f"stones are set up after move {_made(line)} ({_set_up_of(node)})")
        moves = list(_moves_of(node))
        if not moves:  # beside a move it may speak of the position before or after it
            _check_side(line, node)
        if len(moves) > 1:
            raise UserError(f"more than one move after move {_made(line)}, in one node")
        for player, value in moves:
            _play(line, player, value, size)
    return Reading(tuple(line.moves), tuple(_remarks(komi, nodes[0])))


def _made(line: Line) -> int:
    """The number of moves of a line: its komi may have been drawn before them."""
    return len(line.moves) - (1 if drawn_komis(line.game) else 0)


def _check_game(game: Game, root: Node) -> None:
    """Raise UserError for another game or another size."""
    kind = _one(root, "GM", str(GO))
    if kind != str(GO):
        name = GAMES.get(int(kind)) if kind.isascii() and kind.isdigit() and len(kind) < 4 else None
        raise UserError(f"a game of {name or 'another kind'} (GM[{kind[:20]}]), not of go (GM[1])")
    text, (columns, rows) = _read_size(root)
    size = _size(game)
    if (columns, rows) != (size, size):
        given = f"SZ[{text}]" if text else "no SZ means 19"
        fitting = f"; go(board_size={rows}) fits" if columns == rows and 2 <= rows <= USUAL_SIZE else ""
        raise UserError(f"a board of {columns} by {rows} ({given}), and {game.name} has {size} by {size}{fitting}")


def _read_size(root: Node) -> tuple[str, tuple[int, int]]:
    """The size that a root gives, as it stands there, and the columns and rows of the board. Raises UserError."""
    text = _one(root, "SZ", "")
    sides = text.split(":")
    if text and (len(sides) > 2 or not all(re.fullmatch(r"\s*\d{1,4}\s*", side, re.ASCII) for side in sides)):
        raise UserError(f"{shown(text)} is no size of a board (SZ)")
    return text, (int(sides[0]), int(sides[-1])) if text else (USUAL_SIZE, USUAL_SIZE)


def _check_start(line: Line, nodes: Sequence[Node], size: int) -> None:
    """Raise UserError where stones, or their number, are not those that the game begins with."""
    wanted: Stones = {}
    for node in nodes:
        for name, color in (("AE", ""), ("AB", "X"), ("AW", "O")):
            for value in node.get(name, ()):
                wanted |= dict.fromkeys(_points(plain(value), size, name), color)
    wanted = {point: color for point, color in wanted.items() if color}
    has = _stones(line)
    if wanted != has:
        fitting = f"; go(board_size={size},handicap={len(wanted)}) fits" if _is_handicap(wanted, size) else ""
        raise UserError(
            f"it begins with {_listed(wanted, size)}, and {line.game.name} with {_listed(has, size)}{fitting}"
        )
    handicap = _one(nodes[0], "HA", "")
    if handicap and handicap not in ({"0", "1"} if not has else {str(len(has))}):
        raise UserError(f"a handicap of {shown(handicap)} (HA), and {line.game.name} has {len(has) or 'none'}")


def _is_handicap(stones: Stones, size: int) -> bool:
    """Whether `go(handicap=...)` begins with these stones."""
    if not stones or set(stones.values()) != {"X"}:
        return False
    try:
        return set(handicap_points(size, len(stones)).tolist()) == set(stones)
    except GameError:
        return False


def _check_side(line: Line, node: Node) -> None:
    """Raise UserError where a node says that the other side is to move."""
    side = _one(node, "PL", "")
    player = {"b": BLACK, "black": BLACK, "w": WHITE, "white": WHITE}.get(side.lower())
    if side and player is None:
        raise UserError(f"{shown(side)} is no side (PL)")
    if player is not None and line.to_play >= 0 and player != line.to_play:
        raise UserError(f"{SIDES[player]} is to make move {_made(line) + 1} (PL), here it is {SIDES[1 - player]}")


def _play(line: Line, player: int, value: str, size: int) -> None:
    """Play a move of the file. Raises UserError where it is none."""
    number = _made(line) + 1
    move = f"{'BW'[player]}[{value}]"
    line.require_running(number, move)
    if player != line.to_play:
        raise UserError(f"move {number}, {shown(move)}: it is {SIDES[line.to_play]}'s turn")
    action = size * size
    if value and not (value == "tt" and size <= USUAL_SIZE):
        action = _action(value, size, f"move {number}, {'BW'[player]}")
    if action not in line.legal():
        name = f"{SIDES[player]} {point_name(action, size)}"
        why = "a stone lies there" if action in _stones(line) else "ko, or a stone without a liberty"
        raise UserError(f"move {number}, {shown(move)}: {name} is not a legal move ({why})")
    line.play(action)


def _moves_of(node: Node) -> Iterator[tuple[int, str]]:
    for player, name in enumerate("BW"):
        for value in node.get(name, ()):
            yield player, plain(value)


def _set_up_of(node: Node) -> str:
    """The first property that sets up stones, as text; empty where there is none."""
    return next((f"{name}[{plain(node[name][0])[:20]}]" for name in ("AB", "AW", "AE") if node.get(name)), "")


def _points(value: str, size: int, name: str) -> list[int]:
    """A point, or all of a rectangle (`aa:cc`)."""
    if not value:
        return []
    corners = [_action(corner.strip(), size, name) for corner in value.split(":")]
    if len(corners) > 2:
        raise UserError(f"{name}[{value[:20]}] is no rectangle")
    rows, columns = zip(*(divmod(corner, size) for corner in corners))
    return [
        row * size + column
        for row in range(min(rows), max(rows) + 1)
        for column in range(min(columns), max(columns) + 1)
    ]


def _action(value: str, size: int, name: str) -> int:
    """The action of a point. Raises UserError where it is none of the board."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    column, row = (letters.find(mark) for mark in value) if len(value) == 2 else (-1, -1)
    if not (0 <= column < size and 0 <= row < size):
        raise UserError(f"{name}[{value[:20]}]: {shown(value)} is no point of a board of {size} by {size}")
    return (size - 1 - row) * size + column


def _point(action: int, size: int) -> str:
    """An action as SGF has it; a pass is empty."""
    row, column = divmod(action, size)
    return "" if action == size * size else f"{chr(ord('a') + column)}{chr(ord('a') + size - 1 - row)}"


def point_name(action: int, size: int) -> str:
    """An action as a person says it: `E5`, without a column I, or `pass`."""
    row, column = divmod(action, size)
    return "pass" if action == size * size else f"{'ABCDEFGHJKLMNOPQRST'[column]}{row + 1}"


def _listed(stones: Stones, size: int) -> str:
    if not stones:
        return "an empty board"
    parts = []
    for color, name in (("X", "black"), ("O", "white")):
        points = [point_name(point, size) for point in sorted(stones) if stones[point] == color]
        if points:
            rest = f" and {len(points) - 4} more" if len(points) > 4 else ""
            parts.append(f"{name} stones on {', '.join(points[:4])}{rest}")
    return " and ".join(parts)


def _stones(line: Line) -> Stones:
    marks = [mark for row in read_board(line.pool.text(0)) for mark in row]
    return {point: mark for point, mark in enumerate(marks) if mark in "XO"}


def _size(game: Game) -> int:
    return math.isqrt(game.num_actions - 1)


def _komi(game: Game) -> float:
    return float(parse(game.rules).parameters.get("komi", "7.5"))


def _one(node: Node, name: str, default: str) -> str:
    """The value of a property that has one. Raises UserError where there are several that differ."""
    values = {plain(value) for value in node.get(name, ())}
    if len(values) > 1:
        raise UserError(f"{name} has more than one value")
    return values.pop() if values else default


def _file_komi(game: Game, root: Node) -> float:
    """The komi of a file; that of the game where it gives none, or what is no number."""
    try:
        komi = float(_one(root, "KM", "") or _komi(game))
    except ValueError:
        return _komi(game)
    return komi if math.isfinite(komi) else _komi(game)


def _remarks(here: float, root: Node) -> Iterator[str]:
    """What the file says otherwise than the game, which is played with a komi of `here`."""
    komi = _one(root, "KM", "")
    try:
        differs = float(komi or here) != here
    except ValueError:
        differs = True
    if differs:
        yield f"komi {shown(komi)} where this game has {here:g}"
    rules = _one(root, "RU", "")
    if rules and re.sub(r"[^a-z]", "", rules.lower()) not in AREA_RULES:
        yield f"rules {shown(rules)} where this game counts area"
