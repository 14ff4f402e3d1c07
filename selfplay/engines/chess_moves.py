"""Chess between OpenSpiel and UCI: moves as `e2e4` and `e7e8q`, and positions as FEN.

OpenSpiel's own parsers print and abort where text is wrong, so text never reaches them unchecked. A move is looked up
among the legal ones. A FEN has to be sound: one king each, the side that has moved not in check, rights and squares
that fit the board.

FEN: Edwards, "Portable Game Notation Specification", 1994, section 16.1. UCI: Meyer-Kahlen and Huber, 2000.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import pyspiel

from games.open_spiel.load import quiet
from selfplay.errors import UserError

CHESS = "chess"

ChessState = Any
"""`pyspiel.ChessState`."""

Squares = dict[tuple[int, int], str]
"""Letters of pieces by file and rank, both from 0."""

_CASTLING = {"K": ("e1", "h1"), "Q": ("e1", "a1"), "k": ("e8", "h8"), "q": ("e8", "a8")}
"""Where king and rook must be."""

_KNIGHT = ((1, 2), (2, 1), (2, -1), (1, -2), (-1, -2), (-2, -1), (-2, 1), (-1, 2))
_STRAIGHT = ((1, 0), (-1, 0), (0, 1), (0, -1))
_DIAGONAL = ((1, 1), (1, -1), (-1, 1), (-1, -1))


def start_state(fen: str | None = None) -> ChessState:
    """The start of a game, or the position of a FEN. Raises UserError where the FEN is not sound."""
    game = pyspiel.load_game(CHESS)
    if fen is None:
        return game.new_initial_state()
    sound = check_fen(fen)
    try:
        with quiet():
            return game.new_initial_state(sound)
    except pyspiel.SpielError:
        raise UserError("FEN: the position cannot be set up") from None


def legal_moves(state: ChessState) -> dict[str, int]:
    """Legal actions by their UCI text; empty where the game is over by OpenSpiel's rules."""
    board = state.board()
    return {pyspiel.chess.action_to_move(action, board).to_lan(): action for action in state.legal_actions()}


def write_moves(state: ChessState, actions: Iterable[int]) -> list[str]:
    """Actions that follow each other from `state`, which is left alone, in UCI's text."""
    now, moves = state.clone(), list[str]()
    for action in actions:
        moves.append(pyspiel.chess.action_to_move(action, now.board()).to_lan())
        now.apply_action(action)
    return moves


def check_fen(fen: str) -> str:
    """The FEN with all six fields. Raises UserError that says what is wrong with it."""
    fields = fen.split()
    if len(fields) == 4:
        fields += ["0", "1"]
    if len(fields) != 6:
        raise UserError("FEN: six fields are needed: board, side, castling, en passant, halfmoves, move")
    board, side, castling, en_passant, *counters = fields
    squares = _read_board(board)
    if side not in ("w", "b"):
        raise UserError("FEN: the side to move is w or b")
    _check_castling(castling, squares)
    _check_en_passant(en_passant, side, squares)
    if not all(re.fullmatch(r"\d{1,4}", counter, re.ASCII) for counter in counters):
        raise UserError("FEN: halfmoves and move are numbers of up to four digits")
    waiting_king = "K" if side == "b" else "k"
    king = next(square for square, piece in squares.items() if piece == waiting_king)
    if _is_attacked(squares, king, by_white=side == "w"):
        raise UserError("FEN: the side that has moved is in check")
    return " ".join(fields)


def _read_board(text: str) -> Squares:
    ranks = text.split("/")
    if len(ranks) != 8:
        raise UserError("FEN: a board has eight ranks")
    squares: Squares = {}
    for rank, row in zip(range(7, -1, -1), ranks):
        file = 0
        for mark in row[:9]:
            if mark in "12345678":
                file += int(mark)
            elif mark in "pnbrqkPNBRQK":
                squares[file, rank] = mark
                file += 1
            else:
                raise UserError(f"FEN: {mark!r} is no piece")
        if file != 8 or len(row) > 8:
            raise UserError("FEN: a rank has eight squares")
    pieces = list(squares.values())
    if pieces.count("K") != 1 or pieces.count("k") != 1:
        raise UserError("FEN: each side has one king")
    if any(piece in "pP" and rank in (0, 7) for (_, rank), piece in squares.items()):
        raise UserError("FEN: a pawn on the first or last rank")
    return squares


def _check_castling(castling: str, squares: Squares) -> None:
    if castling == "-":
        return
    if not re.fullmatch(r"(?=.)K?Q?k?q?", castling):
        raise UserError("FEN: castling rights are - or some of KQkq, in this order")
    for right in castling:
        king, rook = ("K", "R") if right.isupper() else ("k", "r")
        if [squares.get(_square(name)) for name in _CASTLING[right]] != [king, rook]:
            raise UserError(f"FEN: no castling {right} with king and rook where they are")


def _check_en_passant(text: str, side: str, squares: Squares) -> None:
    if text == "-":
        return
    if not re.fullmatch(r"[a-h]6" if side == "w" else r"[a-h]3", text):
        raise UserError("FEN: no such square en passant")
    file, rank = _square(text)
    forward = -1 if side == "w" else 1  # where the pawn went that has just moved
    pawn = "p" if side == "w" else "P"
    if squares.get((file, rank + forward)) != pawn or (file, rank) in squares or (file, rank - forward) in squares:
        raise UserError("FEN: no pawn has just gone past the square en passant")


def _square(name: str) -> tuple[int, int]:
    return ord(name[0]) - ord("a"), int(name[1]) - 1


def _is_attacked(squares: Squares, target: tuple[int, int], by_white: bool) -> bool:
    """Whether a piece of one side could capture on `target`."""

    def is_there(square: tuple[int, int], pieces: str) -> bool:
        piece = squares.get(square, " ")
        return piece.lower() in pieces and piece.isupper() == by_white

    file, rank = target
    below = rank - 1 if by_white else rank + 1  # a pawn captures forwards
    if any(is_there((file + side, below), "p") for side in (-1, 1)):
        return True
    if any(is_there((file + dx, rank + dy), "n") for dx, dy in _KNIGHT):
        return True
    if any(is_there((file + dx, rank + dy), "k") for dx, dy in _STRAIGHT + _DIAGONAL):
        return True
    return any(
        is_there(_first_piece(squares, target, direction), sliders)
        for directions, sliders in ((_STRAIGHT, "rq"), (_DIAGONAL, "bq"))
        for direction in directions
    )


def _first_piece(squares: Squares, start: tuple[int, int], direction: Sequence[int]) -> tuple[int, int]:
    """The first square with a piece in a direction; one beyond the board where there is none."""
    file, rank = start[0] + direction[0], start[1] + direction[1]
    while 0 <= file < 8 and 0 <= rank < 8 and (file, rank) not in squares:
        file, rank = file + direction[0], rank + direction[1]
    return file, rank
