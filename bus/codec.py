"""Messages to bytes and back: one JSON object with type, version, session, header and fields.

Strict on the way in: unknown type, version or field, a missing field that has no default, a number where money is
expected, NaN, infinity or oversize text is a `CodecError` that names the place.

What is good takes the compiled functions of `bus.codec_plans`; what they doubt is read again here, slowly and
with the place in hand, and this module's word is final.
"""

import math
import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from decimal import Decimal
from typing import Any, Final, Literal, NewType, Union, get_args, get_origin, get_type_hints

import orjson

from bus.codec_plans import MOST_NUMBER_TEXT, PACKERS, Doubt, field_names, is_body, packer, unpacker
from bus.ids import SessionId
from bus.messages import council, grid, ledger, orders, system
from bus.messages.header import Header, Message
from market import ticks
from market.money import MoneyError, parse_decimal

VERSION: Final = 1
MAX_BYTES: Final = 1_000_000

Converter = Callable[[Any, str], Any]


class CodecError(ValueError):
    """Bytes that are not a message of the vocabulary; the text names the field."""


BODY_TYPES: Final[dict[str, type]] = {
    name: kind
    for module in (orders, ledger, council, system, grid, ticks)
    for name, kind in sorted(vars(module).items())
    if is_body(kind) and kind.__module__ == module.__name__
}
"""Every type that may be a message's body, by its wire name."""


def encode(message: Message) -> bytes:
    """The wire form of a message; raises `CodecError` for a body that cannot travel (NaN, a foreign type)."""
    header = message.header
    body = message.body
    kind = type(body)
    try:
        return orjson.dumps(
            {
                "type": kind.__name__,
                "version": VERSION,
                "session": header.session,
                "header": (
                    header.source, header.seq, header.ts, header.cause, header.expires, header.priority, header.target
                ),
                "fields": (PACKERS.get(kind) or packer(kind))(body),
            }
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise CodecError(f"a {kind.__name__} cannot travel: {error}") from error


def why_unsayable(body: object) -> str:
    """Why this body could not be written down or travel; "" when it can."""
    try:
        packer(type(body))(body)
    except (TypeError, ValueError, AttributeError) as error:
        return f"a {type(body).__name__} cannot travel: {error}"
    return ""


def decode(data: bytes | str) -> Message:
    """The message behind the wire form; raises `CodecError`."""
    if len(data) > MAX_BYTES:
        raise CodecError(f"message of {len(data)} bytes: the limit is {MAX_BYTES}")
    try:
        outer = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise CodecError(f"not JSON: {error}") from error
    if type(outer) is not dict or outer.keys() != _OUTER:
        raise CodecError("expected exactly type, version, session, header and fields")
    name = outer["type"]
    kind = BODY_TYPES.get(name) if type(name) is str else None
    if kind is None:
        raise CodecError(f"type: {str(name)[:60]!r} is not in the vocabulary")
    if outer["version"] != VERSION:
        raise CodecError(f"version: {outer['version']!r} is not {VERSION}: another version of the product wrote this")
    header = _header(outer["session"], outer["header"])
    fields = outer["fields"]
    try:
        return Message(header, unpacker(kind)(fields))
    except (Doubt, KeyError, TypeError):
        return Message(header, _decoder(kind)(fields, name))


def prepare() -> None:
    """Compile the functions of every type now, not when the first message of it is in a hurry."""
    for kind in BODY_TYPES.values():
        packer(kind)
        unpacker(kind)


_OUTER: Final = {"type", "version", "session", "header", "fields"}
_HEADER_TYPES: Final = (str, int, int, str, int, int, str)


def _header(session: object, values: object) -> Header:
    if type(session) is not str or type(values) is not list or len(values) != len(_HEADER_TYPES):
        raise CodecError("header: expected a session and [source, seq, ts, cause, expires, priority, target]")
    source, seq, ts, cause, expires, priority, target = values
    if (
        type(source) is type(cause) is type(target) is str
        and type(seq) is type(ts) is type(expires) is type(priority) is int
    ):
        return Header(source, SessionId(session), seq, ts, cause, expires, priority, target)
    for value, kind in zip(values, _HEADER_TYPES, strict=True):
        if type(value) is not kind:
            raise CodecError(f"header: {str(value)[:60]!r} is not {kind.__name__}")
    raise CodecError("header: not what it should be")


# ---- in ------------------------------------------------------------------------------------------------

_decoders: dict[type, Converter] = {}


def _decoder(kind: Any) -> Converter:
    made = _decoders.get(kind)
    if made is None:
        hints = get_type_hints(kind)
        plan = tuple((name, _converter(hints[name])) for name in field_names(kind))
        expected = frozenset(name for name, _ in plan)
        # What an earlier version wrote lacks the fields that were added since; each of those has a default.
        added = {each.name for each in fields(kind) if each.default is not MISSING} if is_dataclass(kind) else set()
        needed = expected - added

        def made(value: Any, where: str) -> Any:
            if not isinstance(value, dict):
                raise CodecError(f"{where}: expected an object")
            if not needed <= value.keys() <= expected:
                odd = sorted((value.keys() - expected) | (needed - value.keys()))
                raise CodecError(f"{where}: missing or unknown field {', '.join(map(str, odd))[:200]}")
            return kind(**{name: convert(value[name], f"{where}.{name}") for name, convert in plan if name in value})

        _decoders[kind] = made
    return made


def _converter(hint: Any) -> Converter:
    if isinstance(hint, NewType):
        return _converter(hint.__supertype__)
    origin = get_origin(hint)
    if origin is Literal:
        return _literal(get_args(hint))
    if origin is Union or origin is types.UnionType:
        return _optional(get_args(hint))
    if origin is tuple:
        return _tuple(get_args(hint))
    if hint is Decimal:
        return _decimal
    if hint is float:
        return _float
    if hint in (str, int, bool):
        return _exact(hint)
    if is_body(hint):
        return lambda value, where: _decoder(hint)(value, where)
    raise TypeError(f"the codec has no rule for {hint!r}")


def _exact(kind: type) -> Converter:
    def convert(value: Any, where: str) -> Any:
        if type(value) is not kind:
            raise CodecError(f"{where}: expected {kind.__name__}, got {type(value).__name__}")
        return value

    return convert


def _float(value: Any, where: str) -> float:
    if type(value) not in (float, int) or not math.isfinite(value):
        raise CodecError(f"{where}: expected a finite number")
    return float(value)


def _decimal(value: Any, where: str) -> Decimal:
    if type(value) is str and len(value) <= MOST_NUMBER_TEXT:
        try:
            return parse_decimal(value, where)
        except MoneyError:
            try:
                exact = Decimal(value)
            except ArithmeticError:
                exact = None
            # Averages carry more digits than a wire price: plain notation is still required.
            if exact is not None and exact.is_finite() and not set(value) - set("-0123456789."):
                return exact
    raise CodecError(f"{where}: expected a decimal string, got {str(value)[:40]!r}")


def _literal(allowed: tuple[Any, ...]) -> Converter:
    def convert(value: Any, where: str) -> Any:
        if type(value) is not str or value not in allowed:
            raise CodecError(f"{where}: {str(value)[:40]!r} is not one of {', '.join(map(str, allowed))}")
        return value

    return convert


def _optional(options: tuple[Any, ...]) -> Converter:
    inner = [option for option in options if option is not type(None)]
    if len(inner) != 1:
        raise TypeError(f"the codec has no rule for the union {options!r}")
    convert_inner = _converter(inner[0])
    return lambda value, where: None if value is None else convert_inner(value, where)


def _tuple(items: tuple[Any, ...]) -> Converter:
    if len(items) == 2 and items[1] is Ellipsis:
        each = _converter(items[0])

        def convert_many(value: Any, where: str) -> Any:
            if not isinstance(value, list):
                raise CodecError(f"{where}: expected a list")
            return tuple(each(item, f"{where}[{index}]") for index, item in enumerate(value))

        return convert_many
    converters = tuple(_converter(item) for item in items)

    def convert_fixed(value: Any, where: str) -> Any:
        if not isinstance(value, list) or len(value) != len(converters):
            raise CodecError(f"{where}: expected a list of {len(converters)}")
        return tuple(
            convert(item, f"{where}[{index}]")
            for index, (convert, item) in enumerate(zip(converters, value, strict=True))
        )

    return convert_fixed
