"""What ccxt says about markets, trades and prices as typed facts. Pure; ccxt must make Decimals of numbers."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from market.instrument import Instrument
from market.interval import interval_ns
from market.money import ZERO, MoneyError, parse_decimal
from market.ticks import Candle, QuoteTick, TradeTick

DECIMAL_PLACES: Final = 2
TICK_SIZE: Final = 4
"""ccxt's two precision modes with steps that do not depend on the price; its third (3, significant digits) has none."""
_MOST: Final = Decimal(10**12)
_ABSURD: Final = Decimal(10**15)
"""No price and no size of a market."""
_DEAR_FEE: Final = Decimal("0.006")
"""Of a venue that does not tell: an estimate that errs to the dear side costs nothing."""
_MS_NS: Final = 1_000_000


class RowError(ValueError):
    """A row that cannot be believed; the text says why."""


def parse_instrument(row: Mapping[str, Any], precision_mode: int) -> Instrument | None:
    """A spot pair; None for other kinds and for pairs whose increments cannot be told."""
    base, quote, name = row.get("base"), row.get("quote"), row.get("id")
    if row.get("spot") is not True or not all(isinstance(text, str) and text for text in (base, quote, name)):
        return None
    try:
        tick = _step(row["precision"].get("price"), precision_mode)
        step = _step(row["precision"].get("amount"), precision_mode)
        limits = row.get("limits") or {}
        amount, cost = limits.get("amount") or {}, limits.get("cost") or {}
        return Instrument(
            symbol=f"{base}/{quote}", venue_symbol=str(name), base=str(base), quote=str(quote), price_tick=tick,
            quantity_step=step, min_quantity=_number(amount.get("min"), step),
            max_quantity=_number(amount.get("max"), _MOST) or _MOST, min_notional=_number(cost.get("min"), ZERO),
            maker_fee=_number(row.get("maker"), _DEAR_FEE), taker_fee=_number(row.get("taker"), _DEAR_FEE),
            is_trading=row.get("active") is not False,
        )
    except (KeyError, TypeError, AttributeError, RowError):
        return None


def _step(value: object, precision_mode: int) -> Decimal:
    number = _number(value, None)
    if precision_mode == DECIMAL_PLACES and number == number.to_integral_value() and abs(number) <= 18:
        return Decimal(1).scaleb(-int(number))
    if precision_mode == TICK_SIZE and number > ZERO:
        return number
    raise RowError(f"a step of {value!r}")


def _number(value: object, default: Decimal | None) -> Decimal:
    if value is None and default is not None:
        return default
    try:
        number = parse_decimal(str(value), "number")
    except MoneyError:
        number = _from_exponent(str(value))
    if number < ZERO:
        raise RowError(f"{value!r} is negative")
    return number


def _from_exponent(text: str) -> Decimal:
    """"1e-8", as ccxt writes small steps."""
    mantissa, mark, exponent = text.lower().partition("e")
    if not mark or not exponent.lstrip("+-").isdecimal() or len(exponent) > 3:
        raise RowError(f"{text[:40]!r} is no number")
    try:
        return parse_decimal(mantissa, "number").scaleb(int(exponent))
    except MoneyError as error:
        raise RowError(str(error)) from None


def parse_trade(row: Mapping[str, Any], symbol: str, ts_init: int) -> TradeTick:
    """Raises `RowError`. A trade without an id has its time and content for one."""
    price, quantity = _above_zero(row, "price"), _above_zero(row, "amount")
    at_ms = row.get("timestamp")
    if type(at_ms) is not int or at_ms <= 0:
        raise RowError(f"timestamp {at_ms!r}")
    trade_id = row.get("id")
    known = str(trade_id) if trade_id else f"{at_ms}-{price}-{quantity}"
    aggressor = "sell" if row.get("side") == "sell" else "buy"
    return TradeTick(symbol, price, quantity, aggressor, known, at_ms * _MS_NS, ts_init)


def parse_book(row: Mapping[str, Any], symbol: str, ts_init: int) -> QuoteTick:
    """The best prices of an order book; raises `RowError` when a side is empty or they cross."""
    try:
        (bid, bid_quantity), (ask, ask_quantity) = row["bids"][0][:2], row["asks"][0][:2]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise RowError(f"a book without best prices: {type(error).__name__}") from None
    quote = QuoteTick(
        symbol, _amount(bid), _amount(bid_quantity), _amount(ask), _amount(ask_quantity), ts_init, ts_init,
    )
    if not ZERO < quote.bid < quote.ask:
        raise RowError(f"bid {quote.bid} is not below ask {quote.ask}")
    return quote


def parse_candle(row: Any, symbol: str, interval: str) -> Candle:
    """A row of `fetch_ohlcv`; raises `RowError`."""
    try:
        opened, *values = row[:6]
        first, high, low, close, volume = (_amount(value) for value in values)
    except (TypeError, ValueError) as error:
        raise RowError(str(error)) from None
    if type(opened) is not int or not ZERO < low <= min(first, close) or high < max(first, close):
        raise RowError("prices that do not fit together")
    ts_open = opened * _MS_NS
    return Candle(
        symbol, interval, ts_open, first, high, low, close, volume, 0, ts_open + interval_ns(interval), is_warmup=True
    )


def _above_zero(row: Mapping[str, Any], key: str) -> Decimal:
    number = _amount(row.get(key))
    if number <= ZERO:
        raise RowError(f"{key} is {number}")
    return number


def _amount(value: object) -> Decimal:
    """A price or size of the market, which may be zero."""
    number = _number(value, None)
    if number >= _ABSURD:
        raise RowError(f"{value!r} is absurd")
    return number
