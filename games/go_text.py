"""The board in OpenSpiel's text of a position of go."""

from __future__ import annotations


def read_board(text: str) -> list[list[str]]:
    """The points of the board, row 0 (the lowest) first: `X` black, `O` white, `+` empty."""
    rows = [line.split() for line in text.splitlines()]
    return [list(words[1]) for words in reversed(rows) if len(words) == 2 and words[0].isdigit()]
