"""The codec's fast lane: a plain function per type, written from its type hints and compiled once.

A packer turns a body into what JSON knows. An unpacker turns that back, and knows only two ends: the body, or
`Doubt`. It never explains: whoever gets a doubt asks the slow reader in `bus.codec`, which names the place.
So an unpacker may be narrower than the slow reader (an int for a float is a doubt), but never wider.
"""

import dataclasses
import sys
import types
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, Literal, NewType, Union, get_args, get_origin, get_type_hints

from market.money import MoneyError, parse_decimal

Packer = Callable[[Any], dict[str, Any]]
Unpacker = Callable[[Any], Any]

MOST_NUMBER_TEXT: Final = 60
"""Characters of a decimal number, out and in."""

_LARGEST: Final = sys.float_info.max
PACKERS: dict[type, Packer] = {}
_unpackers: dict[type, Unpacker] = {}


class Doubt(Exception):
    """Not obviously good: the slow reader decides."""


def is_body(kind: object) -> bool:
    """Whether this is a dataclass or a named tuple: what may be a body or a part of one."""
    return isinstance(kind, type) and (dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"))


def field_names(kind: Any) -> tuple[str, ...]:
    """In the order of the constructor's arguments."""
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    return tuple(kind._fields)


def packer(kind: type) -> Packer:
    """body -> dict. It raises `ValueError`, `TypeError` or `AttributeError` for a value that cannot travel."""
    made = PACKERS.get(kind)
    if made is None:
        scope = _Scope()
        hints = get_type_hints(kind)
        items = ", ".join(f'"{name}": {_packed(hints[name], f"body.{name}", scope)}' for name in field_names(kind))
        source = f"def function(body):\n    return {{{items}}}\n"
        made = PACKERS[kind] = scope.function(source, f"pack {kind.__name__}")
    return made


def unpacker(kind: type) -> Unpacker:
    """dict -> body, or `Doubt`, `KeyError` or `TypeError` when the dict is not exactly what `packer` makes."""
    made = _unpackers.get(kind)
    if made is None:
        scope = _Scope()
        hints = get_type_hints(kind)
        names = field_names(kind)
        lines = [f"    if type(data) is not dict or len(data) != {len(names)}: raise Doubt"]
        values = []
        for index, name in enumerate(names):
            lines.append(f'    v{index} = data["{name}"]')
            lines += [f"    {line}" for line in _checks(hints[name], f"v{index}", scope)]
            values.append(f"v{index}")
        lines.append(f"    return {scope.name(kind)}({', '.join(values)})")
        made = _unpackers[kind] = scope.function("def function(data):\n" + "\n".join(lines) + "\n", kind.__name__)
    return made


class _Scope:
    """The names a compiled function may use."""

    def __init__(self) -> None:
        self._names: dict[str, object] = {"Doubt": Doubt, "LARGEST": _LARGEST}

    def name(self, thing: object) -> str:
        name = f"n{len(self._names)}"
        self._names[name] = thing
        return name

    def function(self, source: str, what: str) -> Any:
        # The source is made of our own types' field names: nothing from outside is ever compiled.
        exec(compile(source, f"<codec: {what}>", "exec"), self._names)  # noqa: S102
        return self._names["function"]


# ---- out -----------------------------------------------------------------------------------------------

def _packed(hint: Any, value: str, scope: _Scope) -> str:
    """An expression that makes `value` plain."""
    hint = _plain_hint(hint)
    origin = get_origin(hint)
    if hint in (str, int, bool) or origin is Literal:
        return value
    if hint is Decimal:
        return f"{scope.name(_money_text)}({value})"
    if hint is float:
        return f"{scope.name(_finite)}({value})"
    if origin is Union or origin is types.UnionType:
        return f"(None if {value} is None else {_packed(_optional(hint), value, scope)})"
    if origin is tuple:
        items = get_args(hint)
        if len(items) == 2 and items[1] is Ellipsis:
            each = _packed(items[0], "item", scope)
            return f"list({value})" if each == "item" else f"[{each} for item in {value}]"
        return f"{scope.name(_fixed_packer(items))}({value})"
    if is_body(hint):
        return f"{scope.name(packer(hint))}({value})"
    raise TypeError(f"the codec has no rule for {hint!r}")


def _fixed_packer(items: tuple[Any, ...]) -> Callable[[Any], list[Any]]:
    scope = _Scope()
    parts = ", ".join(_packed(item, f"v{index}", scope) for index, item in enumerate(items))
    names = ", ".join(f"v{index}" for index in range(len(items)))
    packed: Callable[[Any], list[Any]] = scope.function(
        f"def function(value):\n    {names}, = value\n    return [{parts}]\n", "tuple"
    )
    return packed


def _money_text(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError(f"{value} is not a number that can be sent")
    text = format(value, "f")
    if len(text) > MOST_NUMBER_TEXT:
        raise ValueError(f"{value:.3E} has more digits than can be read again")
    return text


def _finite(value: float) -> float:
    if not -_LARGEST <= value <= _LARGEST:
        raise ValueError(f"{value} is not a number that can be sent")
    return value


# ---- in ------------------------------------------------------------------------------------------------

def _checks(hint: Any, name: str, scope: _Scope) -> list[str]:
    """Statements that turn the plain value in `name` into the typed one, or raise."""
    hint = _plain_hint(hint)
    origin = get_origin(hint)
    if hint in (str, int, bool):
        return [f"if type({name}) is not {hint.__name__}: raise Doubt"]
    if origin is Literal:
        allowed = scope.name(frozenset(get_args(hint)))
        return [f"if type({name}) is not str or {name} not in {allowed}: raise Doubt"]
    if hint is float:
        return [f"if type({name}) is not float or not -LARGEST <= {name} <= LARGEST: raise Doubt"]
    if hint is Decimal:
        return [f"{name} = {scope.name(_money)}({name})"]
    if origin is Union or origin is types.UnionType:
        inner = _checks(_optional(hint), name, scope)
        return [f"if {name} is not None:", *(f"    {line}" for line in inner)]
    if origin is tuple:
        return [f"{name} = {scope.name(_tuple_unpacker(get_args(hint)))}({name})"]
    if is_body(hint):
        return [f"{name} = {scope.name(unpacker(hint))}({name})"]
    raise TypeError(f"the codec has no rule for {hint!r}")


def _tuple_unpacker(items: tuple[Any, ...]) -> Unpacker:
    scope = _Scope()
    lines = ["    if type(data) is not list: raise Doubt"]
    if len(items) == 2 and items[1] is Ellipsis:
        lines += ["    items = []", "    for v in data:"]
        lines += [f"        {line}" for line in _checks(items[0], "v", scope)]
        lines += ["        items.append(v)", "    return tuple(items)"]
    else:
        names = ", ".join(f"v{index}" for index in range(len(items)))
        lines += [f"    if len(data) != {len(items)}: raise Doubt", f"    {names}, = data"]
        for index, item in enumerate(items):
            lines += [f"    {line}" for line in _checks(item, f"v{index}", scope)]
        lines.append(f"    return ({names},)")
    unpacked: Unpacker = scope.function("def function(data):\n" + "\n".join(lines) + "\n", "tuple")
    return unpacked


def _money(text: object) -> Decimal:
    try:
        return parse_decimal(text)
    except MoneyError:
        raise Doubt from None


def _plain_hint(hint: Any) -> Any:
    while isinstance(hint, NewType):
        hint = hint.__supertype__
    return hint


def _optional(hint: Any) -> Any:
    inner = [option for option in get_args(hint) if option is not types.NoneType]
    if len(inner) != 1:
        raise TypeError(f"the codec has no rule for the union {hint!r}")
    return inner[0]
