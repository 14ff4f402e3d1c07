"""Chess in PGN: a game of `chess` as a file, and the moves of a file for a game of chess or a variant of OpenSpiel.

OpenSpiel writes moves in the standard algebraic notation of PGN, and positions as FEN. The games of a page begin as the
rules say: a file that begins from a position of its own is refused, unless it is one of the starts of chess960.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from games import CHANCE, Game
from games.parameters import parse
from selfplay.errors import UserError
from selfplay.notation.pgn import PgnGame, read_pgn, write_pgn
from selfplay.notation.played import HERE, Line, PlayedGame, Reading, shown
from selfplay.notation.san import find_move

BLACK, WHITE = 0, 1
"""OpenSpiel's seats, by which names and returns are ordered."""

VARIANTS = {
    "chess": ("", "standard", "chess", "normal", "orthodox", "from position"),
    "chess960": ("", "chess960", "chess 960", "fischerandom", "fischerrandom", "standard"),
    "antichess": ("", "antichess", "giveaway", "suicide"),
    "crazyhouse": ("", "crazyhouse"),
}
"""The values of the tag Variant, by variant."""

USUAL_START = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1"


def write_chess(played: PlayedGame) -> str:
    """A game in PGN: its players, its start if not the usual one, every move, and its result."""
    tags = {"Event": "selfplay tournament", "Site": "?", "Date": "????.??.??", "Round": "?"}
    tags |= {"White": played.players[WHITE], "Black": played.players[BLACK], "Result": _result(played)}
    line, rest, moves = Line(played.game), list(played.moves), []
    while rest and line.to_play == CHANCE:
        line.play(rest.pop(0))
    start = line.pool.text(0)
    for move in rest:
        moves.append(line.pool.action_text(0, move))
        line.play(move)
    if len(rest) < len(played.moves):  # chance has set up the pieces
        tags |= {"SetUp": "1", "FEN": start}
    if _variant(played.game) != "chess":
        tags["Variant"] = _variant(played.game).capitalize()
    if played.forfeit:
        tags |= {"Termination": "rules infraction", "TerminationDetails": played.forfeit[:200]}
    elif not played.finished:
        tags["Termination"] = "unterminated"
    return write_pgn(tags, moves)


def _result(played: PlayedGame) -> str:
    white, black = played.returns[WHITE], played.returns[BLACK]
    if not played.finished and not played.forfeit:
        return "*"
    return "1/2-1/2" if white == black else "1-0" if white > black else "0-1"


def read_chess(game: Game, text: str) -> list[Reading]:
    """The main line of every game of a text. Raises UserError that says what cannot be honoured, and where."""
    if _is_fen(text):
        return [_read_game(game, PgnGame({"fen": text}))]
    games, readings = read_pgn(text), []
    for number, pgn in enumerate(games, 1):
        try:
            readings.append(_read_game(game, pgn))
        except UserError as error:
            raise UserError(f"PGN, game {number}: {error}" if len(games) > 1 else f"PGN: {error}") from None
    return readings


def _read_game(game: Game, pgn: PgnGame) -> Reading:
    variant = pgn.tags.get("variant", "")
    if variant.lower() not in VARIANTS.get(_variant(game), ("",)):
        raise UserError(f"a game of the variant {shown(variant)}, and this is {game.name}")
    line, words = Line(game), list(pgn.moves)
    if line.to_play == CHANCE and words and (outcome := _outcome(line, words[0])) is not None:
        line.play(outcome)  # as the page lists it
        del words[0]
    else:
        _begin(line, pgn.tags)
    number, _, dots = pgn.begins.partition(".")
    if words and number and (int(number[:9]) != 1 or dots):
        raise UserError(f"the text begins with {shown(f'{pgn.begins} {words[0]}')}; the moves before it are needed")
    for ply, word in enumerate(words):
        name = f"{ply // 2 + 1}.{'..' if ply % 2 else ''} {word}"
        line.require_running(ply + 1, name)
        try:
            line.play(find_move(line, word))
        except UserError as error:
            raise UserError(f"move {ply + 1}, {shown(name)}: {error}") from None
    return Reading(tuple(line.moves))


# Where a game begins.


def _variant(game: Game) -> str:
    """The variant by its own name: `chess960` is OpenSpiel's chess with a parameter."""
    rules = parse(game.rules)
    return "chess960" if rules.parameters.get("chess960", "").lower() == "true" else rules.name


def _is_fen(text: str) -> bool:
    words = text.split()
    is_fen = len(words) > 1 and words[0].count("/") == 7 and words[1] in ("w", "b")
    if is_fen and len(words) > 6:
        raise UserError(f'FEN: {shown(words[6])} follows it; write it as a tag, [FEN "..."], before moves')
    return is_fen


def _outcome(line: Line, word: str) -> int | None:
    """The outcome of chance with this text, as the page lists it."""
    outcomes = line.pool.chance(HERE)[1].tolist()
    return next((outcome for outcome in outcomes if line.pool.action_text(0, outcome) == word), None)


def _begin(line: Line, tags: Mapping[str, str]) -> None:
    """Bring a line to the start of a game. Raises UserError where the game here never begins so."""
    fen = tags.get("fen", "")
    if not fen and tags.get("setup", "0") not in ("0", ""):
        raise UserError("it begins from a position (SetUp), and there is no FEN to say from which")
    wanted = _start_of(fen or USUAL_START)
    if line.to_play == CHANCE:
        outcomes = line.pool.chance(HERE)[1]
        pool, slots = line.game.new_pool(len(outcomes)), np.arange(len(outcomes))
        pool.load(slots, line.pool, np.zeros(len(outcomes), np.int64))
        pool.step(slots, outcomes, slots)
        starts = {_start_of(pool.text(slot)): int(outcomes[slot]) for slot in slots.tolist()}
        if wanted in starts:
            line.play(starts[wanted])
            return
    elif not fen or wanted == _start_of(line.pool.text(0)):
        return
    raise UserError(f"it begins from a FEN, {shown(fen, 90)}, and {line.game.name} cannot; a whole game is needed")


def _start_of(fen: str) -> tuple[object, ...]:
    """What two FENs of the same position have in common, however castling rights are spelled."""
    fields = fen.split()
    board, side, castling, en_passant, halfmoves = [*fields, *("", "", "-", "-", "0")[len(fields) :]][:5]
    ranks = board.split("[")[0].split("/")
    rights = set()
    for right in castling.strip("-"):
        color, rank = ("R", ranks[-1]) if right.isupper() else ("r", ranks[0])
        row = re.sub(r"[1-8]", lambda match: " " * int(match[0]), rank)
        files = {"K": row.rfind(color), "Q": row.find(color)}
        rights.add((color, files.get(right.upper(), ord(right.upper()) - ord("A"))))
    return board, side, frozenset(rights), en_passant, halfmoves
