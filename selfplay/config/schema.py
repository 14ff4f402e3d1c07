"""The settings that a config class declares, and what text each of them accepts.

A config class is a frozen dataclass whose fields are settings or sections (frozen dataclasses again). A setting is
a `bool`, `int`, `float` or `str`, one of these or `None`, or `tuple[X, ...]` of them; its field's metadata may hold
`help`, inclusive bounds `min` and `max`, and `choices`. `selfplay.config.reader` reads YAML and flags by this schema,
so that both get the same checks. A condition between settings goes into `__post_init__`, which raises `UserError`.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any

Raw = str | None | list[str]
"""A value as text, before its type is known: a scalar, null, or a list."""

TRUE_WORDS = frozenset({"true", "yes", "on"})
FALSE_WORDS = frozenset({"false", "no", "off"})
NULL_WORDS = frozenset({"none", "null"})

_KIND_NAMES = {bool: "true or false", int: "an integer", float: "a number", str: "text"}
_LARGEST_EXACT_FLOAT = 2**53
_SHOWN_CHARACTERS = 60


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting of a config class."""

    key: str  # dotted, e.g. search.num_simulations
    kind: type  # bool, int, float or str
    optional: bool  # None is allowed
    many: bool  # a tuple of `kind`
    help: str
    minimum: float | None
    maximum: float | None
    choices: tuple[Any, ...] | None

    @property
    def expected(self) -> str:
        """What the setting takes, for error messages."""
        name = _KIND_NAMES[self.kind]
        if self.many:
            return f"a list, each entry {name}"
        return f"{name} or null" if self.optional else name

    @property
    def allowed(self) -> str:
        """The range or the choices as a person reads them; empty when anything goes."""
        if self.choices is not None:
            return f"one of {', '.join(str(choice) for choice in self.choices)}"
        low, high = (None if bound is None else _bound_text(bound) for bound in (self.minimum, self.maximum))
        if low and high:
            return f"from {low} to {high}"
        if low:
            return f"at least {low}"
        return f"at most {high}" if high else ""

    def parse(self, raw: Raw) -> Any:
        """The value that `raw` stands for. Raises `ValueError`, its message one line for a person."""
        try:
            value = self._convert(raw)
        except (ValueError, OverflowError):
            raise ValueError(f"expected {self.expected}, got {shown(raw)}") from None
        self.check(value)
        return value

    def check(self, value: Any) -> None:
        """Raises `ValueError` unless `value` has the setting's type, is finite and lies in its range."""
        if value is None and self.optional:
            return
        if self.many is not isinstance(value, tuple):
            raise ValueError(f"expected {self.expected}, got {shown(value)}")
        for entry in value if self.many else (value,):
            self._check_entry(entry)

    def _convert(self, raw: Raw) -> Any:
        if self.many:
            if not isinstance(raw, list):
                raise ValueError
            return tuple(_parse_scalar(self.kind, entry) for entry in raw)
        if self.optional and (raw is None or (isinstance(raw, str) and raw.lower() in NULL_WORDS)):
            return None
        if not isinstance(raw, str):
            raise ValueError
        return _parse_scalar(self.kind, raw)

    def _check_entry(self, entry: Any) -> None:
        has_type = isinstance(entry, (int, float) if self.kind is float else self.kind)
        if not has_type or (isinstance(entry, bool) and self.kind is not bool):
            raise ValueError(f"expected {self.expected}, got {shown(entry)}")
        if self.kind is float and not math.isfinite(entry):
            raise ValueError(f"expected a finite number, got {entry}")
        if self.kind is str and not entry.isprintable():
            raise ValueError(f"expected printable text on one line, got {shown(entry)}")
        if self.kind is str and self.many and entry.startswith("-"):  # would be read as the next option
            raise ValueError(f"an entry of a list cannot begin with '-', got {shown(entry)}")
        if self.choices is not None and entry not in self.choices:
            raise ValueError(f"expected {self.allowed}, got {shown(entry)}")
        too_low = self.minimum is not None and entry < self.minimum
        if too_low or (self.maximum is not None and entry > self.maximum):
            raise ValueError(f"{shown(entry)} is out of range; expected {self.allowed}")


def settings_of(config_class: type, prefix: str = "") -> dict[str, Setting]:
    """All settings of a config class by dotted key, in the order of their declaration."""
    hints = typing.get_type_hints(config_class)
    found: dict[str, Setting] = {}
    for field in dataclasses.fields(config_class):
        key, hint = prefix + field.name, hints[field.name]
        if dataclasses.is_dataclass(hint):
            found |= settings_of(typing.cast(type, hint), f"{key}.")
        else:
            found[key] = _setting(key, hint, field.metadata)
    return found


def flatten(config: Any) -> dict[str, Any]:
    """The values of a config object by dotted key."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            values |= {f"{field.name}.{key}": inner for key, inner in flatten(value).items()}
        else:
            values[field.name] = value
    return values


def shown(raw: object) -> str:
    """A value as an error message shows it: quoted, on one line, cut when long."""
    if raw is None or raw == "":
        return "nothing"
    text = repr(raw)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."


def _setting(key: str, hint: Any, metadata: types.MappingProxyType[Any, Any]) -> Setting:
    kind, optional, many = hint, False, False
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) in (types.UnionType, typing.Union) and type(None) in arguments and len(arguments) == 2:
        kind, optional = next(argument for argument in arguments if argument is not type(None)), True
    elif typing.get_origin(hint) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        kind, many = arguments[0], True
    if kind not in _KIND_NAMES:
        raise TypeError(f"{key}: a setting cannot have the type {hint}; see the docstring of {__name__}")
    return Setting(
        key,
        kind,
        optional,
        many,
        help=metadata.get("help", ""),
        minimum=metadata.get("min"),
        maximum=metadata.get("max"),
        choices=metadata.get("choices"),
    )


def _bound_text(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:.12g}"


def _parse_scalar(kind: type, text: str) -> Any:
    """Text to a value of `kind`, or `ValueError`. Integral floats such as 1e6 are integers while they are exact."""
    if kind is str:
        return text
    if kind is bool:
        word = text.lower()
        if word not in TRUE_WORDS | FALSE_WORDS:
            raise ValueError
        return word in TRUE_WORDS
    if kind is float:
        return float(text)
    try:
        return int(text)
    except ValueError:
        number = float(text)
        if not number.is_integer() or abs(number) > _LARGEST_EXACT_FLOAT:
            raise
        return int(number)
