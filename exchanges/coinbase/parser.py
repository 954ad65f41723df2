"""Coinbase Advanced Trade market frames to typed facts. Pure: no clock, no memory; a frame is good or it is refused.

Every frame is an envelope (channel, sequence number of the connection, timestamp) around events. What is refused
raises `FrameError` with a short `reason` for the counters: nothing doubtful gets past this module. Fields the
exchange adds are ignored; fields it drops are an error. What needs memory (sequence, jumps, books) is in
`market_state.py`.

Formats: docs.cdp.coinbase.com, "Advanced Trade WebSocket channels", and recordings.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

import orjson

from exchanges.binance.parser import FrameError
from exchanges.coinbase.wire_values import TimeError, not_negative, positive, time_ns
from market.money import ZERO, MoneyError
from market.ticks import QuoteTick, TradeTick

MAX_FRAME_BYTES: Final = 32_000_000
"""A whole book comes in one frame: fifty thousand levels of some hundred bytes each for the busiest pairs."""
MAX_LEVELS: Final = 200_000
_MAX_SEQUENCE: Final = 2**63
_QUIET_CHANNELS: Final = frozenset({"status", "candles", "ticker_batch", "futures_balance_summary"})
_NUMBER: Final = re.compile("[0-9]{1,18}")
Levels = tuple[tuple[Decimal, Decimal], ...]


class Envelope(NamedTuple):
    """What every frame says: `channel` is "error" for a refusal, whose words are in `error`; `sequence` is -1 there."""

    channel: str
    sequence: int
    ts_event: int
    events: list[Any]
    error: str = ""


class Trade(NamedTuple):
    """A public trade and its number in the product's count. `is_past`: from the snapshot that opens a subscription."""

    tick: TradeTick
    number: int
    is_past: bool


class BookChange(NamedTuple):
    """A whole book (`is_snapshot`) or absolute quantities of changed levels (0 removes one)."""

    symbol: str
    is_snapshot: bool
    bids: Levels
    asks: Levels
    ts_event: int


MarketEvent = Trade | QuoteTick | BookChange


def parse_envelope(frame: str | bytes) -> Envelope:
    """The outside of one frame of any channel; raises `FrameError` and nothing else."""
    if len(frame) > MAX_FRAME_BYTES:
        raise FrameError("too_large", f"{len(frame)} bytes, at most {MAX_FRAME_BYTES} are read")
    try:
        data = orjson.loads(frame)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise FrameError("malformed", str(error)) from None
    if type(data) is not dict:
        raise FrameError("unknown_shape", f"expected an object, got {type(data).__name__}")
    if data.get("type") == "error":
        said = f"{data.get('message', '')} {data.get('reason', '')}".strip()
        return Envelope("error", -1, 0, [], said[:200] or "no words")
    channel, sequence, events = data.get("channel"), data.get("sequence_num"), data.get("events")
    if type(channel) is not str or type(events) is not list:
        raise FrameError("unknown_shape", f"keys {sorted(map(str, data))[:10]}")
    if type(sequence) is not int or not 0 <= sequence < _MAX_SEQUENCE:
        raise FrameError("sequence", f"sequence_num {str(sequence)[:40]!r}")
    try:
        return Envelope(channel, sequence, time_ns(data.get("timestamp")), events)
    except TimeError as error:
        raise FrameError("time", str(error)) from None


def confirmed_channels(envelope: Envelope) -> frozenset[str]:
    """The channels that a "subscriptions" frame names, by the names they are asked for with; raises `FrameError`."""
    names: set[str] = set()
    for event in envelope.events:
        subscriptions = event.get("subscriptions") if type(event) is dict else None
        if type(subscriptions) is not dict:
            raise FrameError("unknown_shape", "subscriptions without a table")
        names.update("level2" if name == "l2_data" else str(name) for name in subscriptions)
    return frozenset(names)


class MarketParser:
    """Parses the events of market frames, for the products it was made with: {"BTC-USD": "BTC/USD"}."""

    __slots__ = ("_symbols",)

    def __init__(self, symbols: Mapping[str, str]) -> None:
        self._symbols = dict(symbols)

    def parse(self, envelope: Envelope, ts_init: int) -> list[MarketEvent]:
        """What the frame says, in order (trades oldest first); raises `FrameError` and nothing else."""
        channel = envelope.channel
        found: list[MarketEvent] = []
        try:
            for event in envelope.events:
                if channel == "l2_data":
                    found.append(self._book(event, envelope.ts_event))
                elif channel == "market_trades":
                    found += self._trades(event, ts_init)
                elif channel == "ticker":
                    found += self._quotes(event, envelope.ts_event, ts_init)
                elif channel not in _QUIET_CHANNELS:
                    raise FrameError("unknown_event", f"channel {channel[:40]!r}")
        except (KeyError, TypeError, AttributeError) as error:
            raise FrameError(
                "unknown_shape", f"{channel}: {type(error).__name__} {str(error)[:100]}", self._book_symbol(envelope)
            ) from None
        except MoneyError as error:
            raise FrameError("money", str(error), self._book_symbol(envelope)) from None
        except TimeError as error:
            raise FrameError("time", str(error), self._book_symbol(envelope)) from None
        return found

    def _symbol(self, product: object) -> str:
        symbol = self._symbols.get(product) if type(product) is str else None
        if symbol is None:
            raise FrameError("unknown_symbol", f"{str(product)[:40]!r} was not subscribed")
        return symbol

    def _book_symbol(self, envelope: Envelope) -> str:
        """Whose book misses something when the frame is refused; of several products the first."""
        if envelope.channel != "l2_data":
            return ""
        names = (event.get("product_id") for event in envelope.events if type(event) is dict)
        return next((self._symbols[name] for name in names if type(name) is str and name in self._symbols), "")

    def _book(self, event: dict[str, Any], ts_event: int) -> BookChange:
        symbol, kind, updates = self._symbol(event["product_id"]), event["type"], event["updates"]
        if kind not in ("snapshot", "update") or type(updates) is not list or len(updates) > MAX_LEVELS:
            raise FrameError("unknown_shape", f"l2_data of type {str(kind)[:40]!r}", symbol)
        bids: dict[Decimal, Decimal] = {}
        asks: dict[Decimal, Decimal] = {}
        for update in updates:
            side = update["side"]
            if side not in ("bid", "offer"):
                raise FrameError("unknown_shape", f"l2_data: side {str(side)[:40]!r}", symbol)
            levels = bids if side == "bid" else asks
            levels[positive(update["price_level"])] = not_negative(update["new_quantity"])  # the last word counts
        if kind == "snapshot":
            return BookChange(symbol, True, _whole(bids, is_bid=True), _whole(asks, is_bid=False), ts_event)
        return BookChange(symbol, False, tuple(bids.items()), tuple(asks.items()), ts_event)

    def _trades(self, event: dict[str, Any], ts_init: int) -> list[Trade]:
        kind = event["type"]
        if kind not in ("snapshot", "update"):
            raise FrameError("unknown_shape", f"market_trades of type {str(kind)[:40]!r}")
        trades = [
            Trade(parse_trade(row, self._symbol(row["product_id"]), ts_init), int(row["trade_id"]), kind == "snapshot")
            for row in event["trades"]
        ]
        trades.sort(key=lambda trade: trade.number)  # the venue lists the newest first
        return trades

    def _quotes(self, event: dict[str, Any], ts_event: int, ts_init: int) -> list[QuoteTick]:
        return [
            quote for row in event["tickers"]
            if (quote := _quote(row, self._symbol(row["product_id"]), ts_event, ts_init)) is not None
        ]


def parse_trade(row: Mapping[str, Any], symbol: str, ts_init: int) -> TradeTick:
    """A public trade of the stream or of REST, which share one shape; raises what reading it raises.

    `side` is the maker's: the aggressor is the other one.
    """
    trade_id, side = row["trade_id"], row["side"]
    if type(trade_id) is not str or not _NUMBER.fullmatch(trade_id):
        raise FrameError("sequence", f"trade_id {str(trade_id)[:40]!r}")
    if side not in ("BUY", "SELL"):
        raise FrameError("unknown_shape", f"side {str(side)[:40]!r}")
    aggressor = "sell" if side == "BUY" else "buy"
    return TradeTick(
        symbol, positive(row["price"]), positive(row["size"]), aggressor, trade_id, time_ns(row["time"]), ts_init
    )


def _quote(row: dict[str, Any], symbol: str, ts_event: int, ts_init: int) -> QuoteTick | None:
    """None where a side of the market is empty: that is no fault, and no quote either."""
    prices = (row["best_bid"], row["best_bid_quantity"], row["best_ask"], row["best_ask_quantity"])
    if any(text == "" or (type(text) is str and not_negative(text) == ZERO) for text in prices):
        return None
    bid, bid_quantity, ask, ask_quantity = (positive(text) for text in prices)
    if bid >= ask:
        raise FrameError("crossed", f"bid {bid} is not below ask {ask} of {symbol}", quoted=symbol)
    return QuoteTick(symbol, bid, bid_quantity, ask, ask_quantity, ts_event, ts_init)


def _whole(levels: dict[Decimal, Decimal], *, is_bid: bool) -> Levels:
    """A book's side without empty levels, best first."""
    return tuple(sorted(((price, size) for price, size in levels.items() if size), reverse=is_bid))
