"""Binance's public REST answers to typed facts: instruments, candles, book snapshots, past trades. Pure."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from exchanges.binance.parser import FrameError, parse_levels
from market.instrument import Instrument
from market.interval import interval_ns
from market.money import ZERO, MoneyError, parse_decimal
from market.ticks import BookSnapshot, Candle, QuoteTick, TradeTick

_MS_NS: Final = 1_000_000
_NAME = re.compile(r"[A-Z0-9]{1,40}\Z")
DEFAULT_FEE: Final = Decimal("0.001")
"""Binance's regular spot fee; an account's own is known only with keys."""
MOST_QUANTITY: Final = "9000000"
_MOST_DIGITS: Final = 18


def parse_instruments(body: object) -> list[Instrument]:
    """The spot pairs of an `exchangeInfo` answer; one whose increments cannot be told is left out.

    They come from the filters, or where a pair has none from the digits that the venue keeps.

    Raises `FrameError` when the answer as a whole is not what the venue documents.
    """
    if not isinstance(body, dict) or not isinstance(body.get("symbols"), list):
        raise FrameError("unknown_shape", "exchangeInfo without symbols")
    instruments = []
    for entry in body["symbols"]:
        try:
            instruments.append(_instrument(entry))
        except (KeyError, TypeError, AttributeError, ValueError):
            continue  # one odd listing must not keep the daemon from the others
    return instruments


def _instrument(entry: dict[str, Any]) -> Instrument:
    name, base, quote = entry["symbol"], entry["baseAsset"], entry["quoteAsset"]
    for text in (name, base, quote):
        if not _NAME.match(text):
            raise ValueError(f"odd name {text!r}")
    filters = {str(each["filterType"]): each for each in entry.get("filters") or ()}
    price = filters.get("PRICE_FILTER") or {"tickSize": _from_digits(entry, "quotePrecision", "quoteAssetPrecision")}
    lot = filters.get("LOT_SIZE") or {"stepSize": _from_digits(entry, "baseAssetPrecision")}
    market_lot = filters.get("MARKET_LOT_SIZE", {})
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
    step = parse_decimal(lot["stepSize"], "stepSize")
    largest = parse_decimal(lot.get("maxQty", MOST_QUANTITY), "maxQty")
    market_largest = parse_decimal(market_lot.get("maxQty", "0"), "maxQty")
    if market_largest > ZERO:
        largest = min(largest, market_largest)  # one limit for both kinds: the tighter one
    instrument = Instrument(
        symbol=f"{base}/{quote}", venue_symbol=name, base=base, quote=quote,
        price_tick=parse_decimal(price["tickSize"], "tickSize"),
        quantity_step=step, max_quantity=largest,
        min_quantity=parse_decimal(lot["minQty"], "minQty") if "minQty" in lot else step,
        min_notional=parse_decimal(notional.get("minNotional", "0"), "minNotional"),
        maker_fee=DEFAULT_FEE, taker_fee=DEFAULT_FEE,
        is_trading=entry.get("status") == "TRADING" and entry.get("isSpotTradingAllowed", True) is not False,
    )
    if instrument.price_tick <= ZERO or instrument.quantity_step <= ZERO or largest <= ZERO:
        raise ValueError(f"{name}: a step of zero")
    return instrument


def _from_digits(entry: dict[str, Any], *keys: str) -> str:
    """The increment of a pair that no filter restricts: the last digit that the venue keeps. Raises `KeyError`."""
    for key in keys:
        digits = entry.get(key)
        if type(digits) is int and 0 <= digits <= _MOST_DIGITS:
            return f"{Decimal(1).scaleb(-digits):f}"
    raise KeyError(keys[0])


def parse_candles(body: object, symbol: str, interval: str, closed_before_ns: int) -> list[Candle]:
    """The closed candles of a `klines` answer, oldest first: those that ended at or before the given time."""
    if not isinstance(body, list):
        raise FrameError("unknown_shape", "klines without a list")
    length_ns = interval_ns(interval)
    candles: list[Candle] = []
    for row in body:
        try:
            candle = _candle(row, symbol, interval, length_ns)
        except (IndexError, TypeError, MoneyError) as error:
            raise FrameError("unknown_shape", f"klines: {error}") from None
        is_newer = not candles or candle.ts_open > candles[-1].ts_open
        if is_newer and candle.ts_init <= closed_before_ns:
            candles.append(candle)
    return candles


def _candle(row: Any, symbol: str, interval: str, length_ns: int) -> Candle:
    opened, trades = row[0], row[8] if len(row) > 8 else 0
    if type(opened) is not int or type(trades) is not int or opened < 0 or trades < 0:
        raise TypeError("open time and number of trades must be whole numbers")
    ts_open = opened * _MS_NS
    first, high, low, close = (parse_decimal(row[index], "price") for index in range(1, 5))
    volume = parse_decimal(row[5], "volume")
    if not ZERO < low <= min(first, close) or high < max(first, close) or volume < ZERO:
        raise MoneyError(f"prices {first} {high} {low} {close} and volume {volume} do not fit together")
    return Candle(
        symbol, interval, ts_open, first, high, low, close, volume, trades, ts_open + length_ns, is_warmup=True,
        taker_buy_volume=_taker_buy_volume(row, volume),
    )


def _taker_buy_volume(row: Any, volume: Decimal) -> Decimal | None:
    """The tenth column; a candle is as good without it, so what makes no sense is not known."""
    if len(row) < 10:
        return None
    bought = parse_decimal(row[9], "taker buy volume")
    return bought if ZERO <= bought <= volume else None


def parse_snapshot(body: object, symbol: str, ts_init: int) -> BookSnapshot:
    """A `depth` answer (empty sides are legal); raises `FrameError`."""
    try:
        if not isinstance(body, dict) or type(body["lastUpdateId"]) is not int:
            raise TypeError("no lastUpdateId")
        bids, asks = parse_levels(body["bids"]), parse_levels(body["asks"])
    except (KeyError, TypeError, MoneyError) as error:
        raise FrameError("unknown_shape", f"depth: {error}", symbol) from None
    if bids and asks and max(price for price, _ in bids) >= min(price for price, _ in asks):
        raise FrameError("crossed", "the snapshot's best bid is not below its best ask", symbol)
    return BookSnapshot(symbol, bids, asks, body["lastUpdateId"], ts_init, ts_init)


def parse_trades(body: object, symbol: str, ts_init: int) -> list[tuple[int, TradeTick]]:
    """A `trades` or `historicalTrades` answer: (number, tick), oldest first; raises `FrameError`."""
    if not isinstance(body, list):
        raise FrameError("unknown_shape", "trades without a list")
    parsed = []
    for row in body:
        try:
            number, at_ms, is_buyer_maker = row["id"], row["time"], row["isBuyerMaker"]
            price, quantity = parse_decimal(row["price"], "price"), parse_decimal(row["qty"], "qty")
        except (KeyError, TypeError, MoneyError) as error:
            raise FrameError("unknown_shape", f"trades: {error}") from None
        if type(number) is not int or type(at_ms) is not int or price <= ZERO or quantity <= ZERO:
            raise FrameError("money", f"trade {str(number)[:40]!r}")
        aggressor = "sell" if is_buyer_maker is True else "buy"
        parsed.append((number, TradeTick(symbol, price, quantity, aggressor, str(number), at_ms * _MS_NS, ts_init)))
    parsed.sort(key=lambda pair: pair[0])
    return parsed


def parse_top_quotes(body: object, symbols: Mapping[str, str], now: int) -> list[QuoteTick]:
    """A `ticker/bookTicker` answer as quotes of the symbols in the table (wire name -> ours), in its order.

    A row that is empty, crossed or malformed is left out; raises `FrameError` when it is no such answer.
    """
    rows: Sequence[Any] = body if isinstance(body, list) else [body]
    quotes: dict[str, QuoteTick] = {}
    for row in rows:
        try:
            name = row["symbol"]
            if name not in symbols:
                continue
            bid, bid_quantity, ask, ask_quantity = (
                parse_decimal(row[key], key) for key in ("bidPrice", "bidQty", "askPrice", "askQty")
            )
        except (KeyError, TypeError) as error:
            raise FrameError("unknown_shape", f"bookTicker: {error}") from None
        except MoneyError:
            continue
        if ZERO < bid < ask and bid_quantity > ZERO and ask_quantity > ZERO:
            quotes[name] = QuoteTick(symbols[name], bid, bid_quantity, ask, ask_quantity, now, now)
    return [quotes[name] for name in symbols if name in quotes]
