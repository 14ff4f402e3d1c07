"""Requests that are turned down, and fields of a request that are read one by one, each with its type and range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfplay.errors import UserError

BAD_REQUEST, FORBIDDEN, NOT_FOUND, CONFLICT, TOO_LARGE, TIMEOUT = 400, 403, 404, 409, 413, 408

MISSING: Any = object()
"""Default of a field that must be given."""


class Refused(UserError):
    """A request that changes nothing; the message is one line for a person, `status` the code of HTTP."""

    def __init__(self, message: str, status: int = BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


def shown(value: object, limit: int = 60) -> str:
    """A value from outside in an error message: short, on one line, without control characters."""
    return ascii(value)[:limit]


class Fields:
    """The fields of a JSON object or of a query; every method raises `Refused` for what is not as asked for."""

    def __init__(self, values: object, are_text: bool = False) -> None:
        """`are_text` is for queries, whose numbers are text."""
        if not isinstance(values, Mapping):
            raise Refused(f"expected an object, got {shown(values)}")
        self._values, self._are_text = values, are_text

    def integer(self, name: str, low: int, high: int, default: Any = MISSING) -> Any:
        """A whole number from `low` to `high`."""
        value = self._get(name, default)
        if value is default and default is not MISSING:
            return default
        if self._are_text and value.isascii() and value.isdigit() and len(value) <= 18:
            value = int(value)
        if type(value) is not int or not low <= value <= high:
            raise Refused(f"{name}: expected a whole number from {low} to {high}, got {shown(value)}")
        return value

    def text(self, name: str, limit: int, default: Any = MISSING) -> Any:
        """Text of at most `limit` characters."""
        value = self._get(name, default)
        if value is default and default is not MISSING:
            return default
        if not isinstance(value, str) or len(value) > limit:
            raise Refused(f"{name}: expected text of at most {limit} characters, got {shown(value)}")
        return value

    def items(self, name: str, limit: int, default: Any = MISSING) -> Any:
        """A list of at most `limit` entries."""
        value = self._get(name, default)
        if value is default and default is not MISSING:
            return default
        if not isinstance(value, list) or len(value) > limit:
            raise Refused(f"{name}: expected a list of at most {limit} entries, got {shown(value)}")
        return value

    def value(self, name: str) -> object:
        """Anything, for a reader of its own."""
        return self._get(name, MISSING)

    def only(self, *names: str) -> Fields:
        """Refuse fields with other names."""
        for name in self._values:
            if name not in names:
                raise Refused(f"unknown field {shown(name)}; expected {', '.join(names)}")
        return self

    def _get(self, name: str, default: Any) -> Any:
        value = self._values.get(name, default)
        if value is MISSING:
            raise Refused(f"{name} is missing")
        return value
