"""Requests about orders, target weights and the paper account. Money is decimal text, never a number."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

from bus.messages.orders import OrderType, Side
from market.money import ONE, ZERO, parse_decimal
from tradingd.api.models import WHOLE, Money, Request, Symbol, Text, TrailRequest
from tradingd.api.schema_shapes import BELOW_100, Shape, one_of, or_null

_NS: int = 1_000_000_000
_WANTED = {"limit": "price", "stop": "stop_price", "take_profit": "stop_price", "trailing": "trail"}
_HUNDRED = Decimal(100)


def _moment(value: object) -> int:
    """ISO 8601 with its zone, as UTC ns."""
    remedy = 'write a time with its zone, such as "2026-11-20T18:00:00Z"'
    if not isinstance(value, str) or len(value) > 40:
        raise ValueError(remedy)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(remedy) from error
    if moment.tzinfo is None:
        raise ValueError(remedy)
    try:
        utc = moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(remedy) from error
    if not 1970 <= utc.year < 2200:  # as nanoseconds it would fit into no message
        raise ValueError("write a time from 1970 to 2199")
    return int(utc.timestamp()) * _NS + utc.microsecond * 1000


def _weight(value: object, info: ValidationInfo) -> Decimal:
    if not isinstance(value, str):
        raise ValueError('write it as a decimal string such as "0.10": a JSON number has already lost digits')
    try:
        weight = parse_decimal(value, info.field_name or "weight")
    except ValueError as error:
        raise ValueError('not a plain decimal string such as "0.10"') from error
    if not ZERO <= weight <= ONE:
        raise ValueError('a weight is a share of equity: write "0" to "1"')
    return weight


Moment = Annotated[
    int, BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-20T18:00:00Z"]}),
]
Weight = Annotated[
    Decimal, BeforeValidator(_weight),
    WithJsonSchema({"type": "string", "pattern": r"^(0(\.[0-9]{1,18})?|1(\.0{1,18})?)$", "examples": ["0.2"],
                    "description": "A share of equity as a decimal string, 0 to 1."}),
]


_PERCENT_OR_NULL = or_null(BELOW_100)


class ProtectionRequest(Request):
    """What is armed around a filled buy, in percent of its average price: whichever fires first ends the others."""

    model_config = ConfigDict(json_schema_extra=one_of([
        Shape(f"With {name}", {"stop_percent": BELOW_100 if name == "stop_percent" else _PERCENT_OR_NULL}, [name])
        for name in ("stop_percent", "take_profit_percent", "trail")
    ]))

    stop_percent: Money | None = None
    take_profit_percent: Money | None = None
    trail: TrailRequest | None = None


def _order_shapes() -> list[Shape]:
    shapes = []
    for kind, needed, without in (
        ("market", (), ("price", "stop_price", "trail")),
        ("limit", ("price",), ("stop_price", "trail")),
        ("stop", ("stop_price",), ("trail",)),
        ("take_profit", ("stop_price",), ("price", "trail")),
        ("trailing", ("trail",), ("price", "stop_price")),
    ):
        fixed: dict[str, dict[str, Any]] = {"type": {"type": "string", "const": kind}}
        if kind != "take_profit":
            fixed["side"] = {"type": "string", "const": "buy"}
            shapes.append(Shape(f"Buy, {kind}", fixed, needed, without))
        fixed = fixed | {
            "side": {"type": "string", "const": "sell"}, "ends_with_day": {"type": "boolean", "const": False},
        }
        shapes.append(Shape(f"Sell, {kind}", fixed, needed, (*without, "protection")))
    return shapes


class OrderRequest(Request):
    """A manual order. Sells only reduce what is held.

    `price` for limit, `stop_price` for stop and take_profit, `trail` for trailing; a stop with a `price` too leaves
    as that limit. `protection` of a buy. The order ends at `expire_at`, or after `max_duration_s` if that is sooner.
    `improve`: a limit or stop follows the market while it moves in the order's favour. `ends_with_day`: it ends five
    minutes before the trading day does, and what it bought is sold then.
    """

    model_config = ConfigDict(json_schema_extra=one_of(_order_shapes()))

    symbol: Symbol
    side: Side
    type: OrderType
    quantity: Money
    price: Money | None = None
    stop_price: Money | None = None
    trail: TrailRequest | None = None
    protection: ProtectionRequest | None = None
    expire_at: Moment | None = None
    max_duration_s: Annotated[int, Field(ge=1, le=31_536_000), WHOLE] | None = None
    improve: bool = False
    ends_with_day: bool = False
    tag: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9 ._:#-]*$")] = ""

    def problem(self) -> tuple[str, str] | None:
        """Field and remedy when the fields do not fit the type; None when they do."""
        wanted = _WANTED.get(self.type)
        for field in ("price", "stop_price", "trail"):
            given = getattr(self, field)
            if field == wanted and given is None:
                return field, f"a {self.type} order needs it: add it"
            is_stop_limit = field == "price" and self.type == "stop"
            if field != wanted and given is not None and not is_stop_limit:
                return field, f"a {self.type} order has none: remove it"
        if self.type == "take_profit" and self.side == "buy":
            return "side", "only a sell takes profit: give a buy a protection with take_profit_percent"
        return trail_problem("trail", self.trail) or self._protection_problem()

    def _protection_problem(self) -> tuple[str, str] | None:
        protection = self.protection
        if self.side == "sell" and self.ends_with_day:
            return "ends_with_day", "only a buy has it: remove it"
        if protection is None:
            return None
        if self.side == "sell":
            return "protection", "only a buy has one: remove it"
        if protection.stop_percent is None and protection.take_profit_percent is None and protection.trail is None:
            return "protection", "it is empty: add stop_percent, take_profit_percent or trail"
        if protection.stop_percent is not None and protection.stop_percent >= _HUNDRED:
            return "protection.stop_percent", "a stop of 100 % or more never fires: write a smaller number of percent"
        return trail_problem("protection.trail", protection.trail)


def trail_problem(field: str, trail: TrailRequest | None) -> tuple[str, str] | None:
    """A trail that could never fire."""
    problem = None if trail is None else trail.problem()
    return None if problem is None else (f"{field}.{problem[0]}", problem[1])


class ModifyRequest(Request):
    """What is to change; what is left out stays. At the venue only quantity and price can be changed."""

    model_config = ConfigDict(json_schema_extra=one_of(
        [Shape(f"With {name}", needed=[name]) for name in ("quantity", "price", "stop_price", "trail")]
    ))

    quantity: Money | None = None
    price: Money | None = None
    stop_price: Money | None = None
    trail: TrailRequest | None = None

    def problem(self) -> tuple[str, str] | None:
        """Field and remedy when nothing, or something impossible, is asked."""
        if not any((self.quantity, self.price, self.stop_price, self.trail)):
            return "quantity", "nothing is to change: name a quantity, price, stop_price or trail"
        return trail_problem("trail", self.trail)


class RebalanceRequest(Request):
    """Target weights by symbol, as shares of equity; symbols that are not named stay as they are."""

    weights: Annotated[dict[Symbol, Weight], Field(min_length=1, max_length=200)]


class FundsRequest(Request):
    """How much, in the account's currency, and why."""

    amount: Money
    reason: Text = ""


@dataclass(frozen=True, slots=True)
class RebalanceAnswer:
    """The targets, and the first orders; the others follow as money comes free."""

    weights: dict[str, str]
    orders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FundsAnswer:
    """The account after the change."""

    quote: str
    delta: str
    balance: str
