"""The settings that a config class declares, and the values that each of them accepts.

A config class is a frozen dataclass whose fields are settings or sections (frozen dataclasses again). A setting is
a `bool`, `int`, `float` or `str`, one of these or `None`, or `tuple[X, ...]` of them. The metadata of its field may
hold `help`, inclusive bounds `min` and `max`, and `choices`; `setting` writes such a field. A class variable `renamed`
may hold a table of dotted keys, old to new: the old ones are read too. A condition between settings goes into
`__post_init__`, which raises `UserError`.

The checks of values are pydantic's, made from these declarations; so config classes need not know it.
`selfplay.config.reader` reads YAML and flags by this schema, so that both get the same checks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from selfplay.errors import shown

if TYPE_CHECKING:
    from pydantic import TypeAdapter

ConfigT = TypeVar("ConfigT")

Raw = str | None | list[str]
"""A value as text, before its type is known: a scalar, null, or a list."""

BOOL_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
NULL_WORDS = frozenset({"none", "null"})

_KIND_NAMES = {bool: "true or false", int: "an integer", float: "a number", str: "text"}
_LARGEST_EXACT_FLOAT = 2**53


def setting(
    default: Any, help: str, min: float | None = None, max: float | None = None, choices: tuple[Any, ...] | None = None
) -> Any:
    """The field of a setting: its default, its help, inclusive bounds, and the only values that are allowed."""
    return dataclasses.field(default=default, metadata={"help": help, "min": min, "max": max, "choices": choices})


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting of a config class."""

    key: str  # dotted, e.g. search.num_simulations
    kind: type  # bool, int, float or str
    optional: bool  # None is allowed
    many: bool  # a tuple of `kind`
    help: str
    min: float | None
    max: float | None
    choices: tuple[Any, ...] | None

    @property
    def expected(self) -> str:
        """The type of its values as a person reads it."""
        name = _KIND_NAMES[self.kind]
        if self.many:
            return f"a list, each entry {name}"
        return f"{name} or null" if self.optional else name

    @property
    def allowed(self) -> str:
        """The range or the choices as a person reads them; empty when anything goes."""
        if self.choices is not None:
            return f"one of {', '.join(str(choice) for choice in self.choices)}"
        low, high = (
            bound if bound is None or isinstance(bound, int) else f"{bound:.12g}" for bound in (self.min, self.max)
        )
        if low is None:
            return "" if high is None else f"at most {high}"
        return f"at least {low}" if high is None else f"from {low} to {high}"

    @property
    def is_switch(self) -> bool:
        """Its flag needs no value."""
        return self.kind is bool and not self.many

    @property
    def explained(self) -> str:
        """The help text with the range or the choices."""
        return "; ".join(filter(None, (self.help, self.allowed)))

    def parse(self, raw: Raw) -> Any:
        """The value that `raw` stands for. Raises `ValueError`, its message one line for a person."""
        value: Any = _converted(self.kind, raw)
        if self.many and isinstance(raw, list):
            value = tuple(_converted(self.kind, entry) for entry in raw)
        elif self.optional and isinstance(raw, str) and raw.lower() in NULL_WORDS:
            value = None
        self.check(value)
        return value

    def check(self, value: Any) -> None:
        """Raises `ValueError` unless `value` has the setting's type, is finite and lies in its range."""
        from pydantic import ValidationError

        try:
            self._checker.validate_python(value)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            kind, got = problem["type"], shown(problem["input"])
            if kind in ("greater_than_equal", "less_than_equal"):
                raise ValueError(f"{got} is out of range; expected {self.allowed}") from None
            expected = {"finite_number": "a finite number", "literal_error": self.allowed}.get(kind, self.expected)
            if kind == "value_error":  # of `_refuse`
                expected = str(problem["ctx"]["error"])
            raise ValueError(f"expected {expected}, got {got}") from None

    @functools.cached_property
    def _checker(self) -> TypeAdapter[Any]:
        # Here, because commands without settings need not wait for its import.
        from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter

        hint: Any = self.kind if self.choices is None else Literal[self.choices]
        hint = Annotated[hint, Field(ge=self.min, le=self.max), BeforeValidator(self._refuse)]
        if self.many:
            hint = tuple[hint, ...]
        return TypeAdapter(hint | None if self.optional else hint, config=ConfigDict(strict=True, allow_inf_nan=False))

    def _refuse(self, entry: Any) -> Any:
        """Raises `ValueError` for an entry that pydantic would let through; its message is what is expected."""
        if self.kind is float and not isinstance(entry, int | float):  # such as numpy's, which no file can hold
            raise ValueError(self.expected)
        if self.kind is str and isinstance(entry, str) and not entry.isprintable():
            raise ValueError("printable text on one line")
        if self.kind is str and self.many and str(entry).startswith("-"):  # would be read as the next option
            raise ValueError("an entry that does not begin with '-'")
        return entry


@functools.cache
def settings_of(config_class: type) -> Mapping[str, Setting]:
    """All settings of a config class by dotted key, in the order of their declaration."""
    hints = typing.get_type_hints(config_class)
    found: dict[str, Setting] = {}
    for field in dataclasses.fields(config_class):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            for inner in settings_of(typing.cast(type, hint)).values():
                found[f"{field.name}.{inner.key}"] = dataclasses.replace(inner, key=f"{field.name}.{inner.key}")
        else:
            found[field.name] = _setting(field, hint)
    return types.MappingProxyType(found)


def names_of(config_class: type) -> dict[str, Setting]:
    """All settings of a config class by the dotted keys that are read: their own, and those that they once had."""
    settings = settings_of(config_class)
    renamed: Mapping[str, str] = getattr(config_class, "renamed", {})
    return {**settings, **{old: settings[new] for old, new in renamed.items()}}


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


def with_values(config: ConfigT, values: Mapping[str, Any]) -> ConfigT:
    """A config object that has other values, given by dotted key."""
    changes: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        name, dot, rest = key.partition(".")
        if dot:
            inner.setdefault(name, {})[rest] = value
        else:
            changes[name] = value
    changes |= {name: with_values(getattr(config, name), section) for name, section in inner.items()}
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]


def _setting(field: dataclasses.Field[Any], hint: Any) -> Setting:
    arguments = typing.get_args(hint)
    optional = typing.get_origin(hint) in (types.UnionType, typing.Union) and types.NoneType in arguments
    many = typing.get_origin(hint) is tuple and arguments[1:] == (Ellipsis,)
    kinds = {hint} if not arguments else set(arguments) - {types.NoneType, Ellipsis}
    kind = kinds.pop()
    if kinds or kind not in _KIND_NAMES or (arguments and not (optional or many)):
        raise TypeError(f"{field.name}: a setting cannot have the type {hint}; see the docstring of {__name__}")
    metadata = field.metadata
    return Setting(
        field.name, kind, optional, many, metadata.get("help", ""), *map(metadata.get, ("min", "max", "choices"))
    )


def _converted(kind: type, text: Raw) -> Any:
    """The value of `kind` that a text writes, else the text as it is, which no check lets through.

    Integral floats such as 1e6 are integers while they are exact.
    """
    if not isinstance(text, str) or kind is str:
        return text
    if kind is bool:
        return BOOL_WORDS.get(text.lower(), text)
    with contextlib.suppress(ValueError):
        return kind(text)
    with contextlib.suppress(ValueError):
        number = float(text)
        if number.is_integer() and abs(number) <= _LARGEST_EXACT_FLOAT:
            return int(number)
    return text
