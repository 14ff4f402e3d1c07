"""Options in a text, `name=value` each, as players and stages of a curriculum have them.

They are the fields of a frozen dataclass as `selfplay.config.schema` describes it, so they get the checks and the
messages of all other settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from selfplay.config.schema import settings_of
from selfplay.errors import UserError, did_you_mean

LONGEST_SHOWN = 200
"""Largest number of characters of the given text in an error message."""


def quoted(text: str) -> str:
    """A text as an error message shows it."""
    shown = repr(text)
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}..."


def read_options(what: str, options: type, parts: Sequence[str], hint: str = "") -> Any:
    """An object of the frozen dataclass `options` from `name=value` parts. Raises UserError that begins with `what`."""
    settings = settings_of(options)
    values: dict[str, Any] = {}
    for part in parts:
        key, equals, value = map(str.strip, part.partition("="))
        if not (key and equals):
            raise UserError(f"{what}: option {quoted(part)} is not name=value{hint}")
        if key not in settings:
            raise UserError(f"{what}: unknown option {quoted(key)}{did_you_mean(key, settings) or hint}")
        if key in values:
            raise UserError(f"{what}: option {quoted(key)} is given twice")
        try:
            values[key] = settings[key].parse(value)
        except ValueError as error:
            raise UserError(f"{what}: {key}: {error}") from None
    return options(**values)
