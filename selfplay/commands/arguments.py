"""Types of command-line arguments that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def integer(minimum: int, maximum: int) -> Callable[[str], int]:
    """An argparse `type` for whole numbers of a range, bounds included."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected an integer, got {text[:60]!r}") from None
        if not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(f"{text[:60]} is out of range; expected from {minimum} to {maximum}")
        return value

    return parse
