"""Coinbase's public REST answers to typed facts: instruments, candles, past trades, best prices. Pure."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from exchanges.binance.parser import FrameError
from exchanges.coinbase.parser import parse_trade
from exchanges.coinbase.wire_values import TimeError, positive
from market.instrument import Instrument
from market.interval import SECOND_NS, interval_ns
from market.money import ZERO, MoneyError, parse_decimal
from market.ticks import Candle, QuoteTick, TradeTick

DEFAULT_MAKER_FEE: Final = Decimal("0.006")
DEFAULT_TAKER_FEE: Final = Decimal("0.012")
"""The fees of the lowest tier; an account's own are known only with keys (`parse_fees`)."""
GRANULARITIES: Final[Mapping[str, str]] = {
    "1m": "ONE_MINUTE", "5m": "FIVE_MINUTE", "15m": "FIFTEEN_MINUTE", "30m": "THIRTY_MINUTE", "1h": "ONE_HOUR",
    "2h": "TWO_HOUR", "4h": "FOUR_HOUR", "6h": "SIX_HOUR", "1d": "ONE_DAY",
}
MOST_QUANTITY: Final = "1000000000"
"""Of a product without a largest size."""
_NAME = re.compile(r"[A-Z0-9]{1,40}\Z")
_CLOSED_TO_US: Final = ("trading_disabled", "is_disabled", "cancel_only", "post_only", "view_only", "auction_mode")


def parse_instruments(
    body: object, fees: tuple[Decimal, Decimal] = (DEFAULT_MAKER_FEE, DEFAULT_TAKER_FEE)
) -> list[Instrument]:
    """The spot pairs of a `market/products` answer; one without complete rules is left out.

    Raises `FrameError` when the answer as a whole is not what the venue documents.
    """
    rows = body.get("products") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise FrameError("unknown_shape", "an answer without products")
    instruments = []
    for row in rows:
        try:
            if row.get("product_type", "SPOT") == "SPOT":
                instruments.append(_instrument(row, *fees))
        except (KeyError, TypeError, AttributeError, ValueError):
            continue  # one odd listing must not keep the daemon from the others
    return instruments


def _instrument(row: dict[str, Any], maker_fee: Decimal, taker_fee: Decimal) -> Instrument:
    name, base, quote = row["product_id"], row["base_currency_id"], row["quote_currency_id"]
    if not _NAME.match(base) or not _NAME.match(quote) or name != f"{base}-{quote}":
        raise ValueError(f"odd name {str(name)[:40]!r}")
    return Instrument(
        symbol=f"{base}/{quote}", venue_symbol=name, base=base, quote=quote,
        price_tick=positive(row.get("price_increment") or row["quote_increment"]),
        quantity_step=positive(row["base_increment"]),
        min_quantity=parse_decimal(row.get("base_min_size") or row["base_increment"], "base_min_size"),
        max_quantity=positive(row.get("base_max_size") or MOST_QUANTITY),
        min_notional=parse_decimal(row.get("quote_min_size") or "0", "quote_min_size"),
        maker_fee=maker_fee, taker_fee=taker_fee,
        is_trading=row.get("status", "online") in ("online", "")
        and not any(row.get(key) is True for key in _CLOSED_TO_US),
    )


def parse_aliases(body: object) -> dict[str, str]:
    """The products whose market is another one's (BTC-USDC trades in BTC-USD's book), as name -> the other's name."""
    rows = body.get("products") if isinstance(body, dict) else None
    aliases = {}
    for row in rows if isinstance(rows, list) else ():
        name, alias = (row.get("product_id"), row.get("alias")) if isinstance(row, dict) else (None, None)
        if isinstance(name, str) and isinstance(alias, str) and alias and alias != name:
            aliases[name] = alias
    return aliases


def parse_fees(body: object) -> tuple[Decimal, Decimal]:
    """Maker and taker ratios of a `transaction_summary`; raises `FrameError`."""
    try:
        tier = body["fee_tier"]  # type: ignore[index]  # whatever it is instead raises TypeError
        fees = tuple(parse_decimal(tier[key], key) for key in ("maker_fee_rate", "taker_fee_rate"))
    except (KeyError, TypeError, MoneyError) as error:
        raise FrameError("unknown_shape", f"transaction_summary: {error}") from None
    if not all(ZERO <= fee < 1 for fee in fees):
        raise FrameError("money", f"transaction_summary: fees of {fees}")
    return fees[0], fees[1]


def parse_time(body: object) -> int:
    """The `time` answer as UTC nanoseconds; raises `FrameError`."""
    told = body if isinstance(body, dict) else {}
    for key, unit_ns in (("epochMillis", 1_000_000), ("epochSeconds", SECOND_NS)):
        value = told.get(key)
        if isinstance(value, str | int) and str(value).isdecimal():
            return int(value) * unit_ns
    raise FrameError("unknown_shape", f"time: epochMillis is {str(told.get('epochMillis'))[:40]!r}")


def parse_candles(body: object, symbol: str, interval: str, closed_before_ns: int) -> list[Candle]:
    """The closed candles, oldest first: those that ended at or before the given time. Raises `FrameError`."""
    rows = body.get("candles") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise FrameError("unknown_shape", "an answer without candles")
    length_ns = interval_ns(interval)
    by_open: dict[int, Candle] = {}
    for row in rows:
        try:
            candle = _candle(row, symbol, interval, length_ns)
        except (KeyError, TypeError, MoneyError) as error:
            raise FrameError("unknown_shape", f"candles: {error}") from None
        if candle.ts_init <= closed_before_ns:
            by_open[candle.ts_open] = candle
    return [by_open[ts_open] for ts_open in sorted(by_open)]


def _candle(row: Any, symbol: str, interval: str, length_ns: int) -> Candle:
    start = row["start"]
    if type(start) is not str or not start.isdecimal() or len(start) > 11:
        raise TypeError(f"start {str(start)[:40]!r}")
    ts_open = int(start) * SECOND_NS
    first, high, low, close = (parse_decimal(row[key], key) for key in ("open", "high", "low", "close"))
    volume = parse_decimal(row["volume"], "volume")
    if not ZERO < low <= min(first, close) or high < max(first, close) or volume < ZERO:
        raise MoneyError(f"prices {first} {high} {low} {close} and volume {volume} do not fit together")
    # The venue does not count a candle's trades.
    return Candle(symbol, interval, ts_open, first, high, low, close, volume, 0, ts_open + length_ns, is_warmup=True)


def parse_trades(body: object, symbol: str, ts_init: int) -> list[tuple[int, TradeTick]]:
    """The trades of a `ticker` answer: (number, tick), oldest first; raises `FrameError`."""
    rows = body.get("trades") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise FrameError("unknown_shape", "an answer without trades")
    try:
        ticks = [parse_trade(row, symbol, ts_init) for row in rows]
    except (KeyError, TypeError, MoneyError, TimeError) as error:
        raise FrameError("unknown_shape", f"trades: {error}") from None
    return sorted(((int(tick.trade_id), tick) for tick in ticks), key=lambda pair: pair[0])


def parse_quote(body: object, symbol: str, now: int) -> QuoteTick | None:
    """The best prices of a `product_book` answer; None where a side is empty or they cross. Raises `FrameError`."""
    try:
        book = body["pricebook"]  # type: ignore[index]  # whatever it is instead raises TypeError
        if not book["bids"] or not book["asks"]:
            return None
        bid, ask = book["bids"][0], book["asks"][0]
        quote = QuoteTick(
            symbol, positive(bid["price"]), positive(bid["size"]), positive(ask["price"]), positive(ask["size"]),
            now, now,
        )
    except (KeyError, TypeError, IndexError, MoneyError) as error:
        raise FrameError("unknown_shape", f"product_book: {error}") from None
    return quote if quote.bid < quote.ask else None
