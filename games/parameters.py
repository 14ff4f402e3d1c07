"""Game strings: `name`, `name(key=value,...)` and `prefix:name(key=value,...)`, read and written.

The first stop of `games.load`: text from a person becomes a name and parameters of the right types, or one clear
line. Nothing is constructed here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from games.base import GameError

Value: TypeAlias = bool | int | float | str

MAX_NUMBER = 1_000_000
"""Largest absolute value of a parameter; to build a game with a larger one can hang."""

_GAME_STRING = re.compile(r"(?:(?P<prefix>[A-Za-z_][\w.]*):)?(?P<name>[\w-]+)(?:\((?P<parameters>[^()]*)\))?")


@dataclass(frozen=True)
class GameString:
    """The parts of a game string, parameters still as text."""

    name: str
    parameters: dict[str, str] = field(default_factory=dict)
    prefix: str = ""


def parse(text: str) -> GameString:
    """Split a game string. Raises GameError when it is malformed."""
    match = _GAME_STRING.fullmatch(text.strip())
    if match is None:
        raise GameError(f"malformed game {text[:80]!r}: write it as name or name(key=value,...)")
    return GameString(match["name"], split_parameters(match["name"], match["parameters"] or ""), match["prefix"] or "")


def split_parameters(name: str, inside: str) -> dict[str, str]:
    """The parameters between the parentheses after `name`, still as text. Raises GameError when it is malformed."""
    parameters: dict[str, str] = {}
    for part in filter(None, map(str.strip, inside.split(","))):
        key, equals, value = map(str.strip, part.partition("="))
        if not (key and equals and value) or key in parameters:
            raise GameError(f"{name}: parameter {part[:80]!r} is not key=value, or is given twice")
        parameters[key] = value
    return parameters


def typed(name: str, given: Mapping[str, str], defaults: Mapping[str, Value]) -> dict[str, Value]:
    """Parameters as values of the types of their defaults. Raises GameError for unknown names and bad values."""
    values: dict[str, Value] = {}
    for key, text in given.items():
        if key not in defaults:
            known = ", ".join(sorted(defaults)) or "none"
            raise GameError(f"{name}: unknown parameter '{key[:40]}'; it has: {known}")
        values[key] = _convert(name, key, text, defaults[key])
    return values


def _convert(name: str, key: str, text: str, default: Value) -> Value:
    kind = type(default)
    if kind is str:
        return text
    value: Value | None = None
    try:
        value = {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        pass
    if value is None or value != value:
        raise GameError(f"{name}: {key}={text[:40]} is not of type {kind.__name__} (default: {default})")
    if not isinstance(value, str) and abs(value) > MAX_NUMBER:
        raise GameError(f"{name}: {key}={text[:40]} is out of range (at most {MAX_NUMBER} in absolute value)")
    return value


def canonical(name: str, parameters: Mapping[str, Value]) -> str:
    """The game string of `parameters`, keys in alphabetical order."""
    inside = ",".join(f"{key}={value}" for key, value in sorted(parameters.items()))
    return f"{name}({inside})" if inside else name
