"""Binance frames to typed facts. Pure: no clock, no sequence memory; a frame is good or it is refused.

What is refused raises `FrameError` with a short `reason` for the counters: nothing doubtful (NaN, zero,
negative, crossed, absurd, a number where a decimal string belongs) gets past this module. Fields the
exchange adds are ignored; fields it drops are an error. Checks that need memory (sequence, sudden jumps)
are in `sequence.py`.

Formats: developers.binance.com, "WebSocket Streams" and "User Data Streams" of the spot API.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from bus.messages.orders import ExecutionReport
from exchanges.binance.user_events import (
    ACCOUNT_EVENTS,
    StreamEndedError,
    UnknownEventError,
    UserEventError,
    balances_told,
    executed_in_all,
    parse_user_event,
)
from exchanges.venue import AssetBalance
from market.money import ZERO, MoneyError, parse_decimal
from market.ticks import BookDelta, QuoteTick, TradeTick

MAX_FRAME_BYTES: Final = 5_000_000
MAX_LEVELS: Final = 20_000
MS_NS: Final = 1_000_000
ABSURD: Final = Decimal(10) ** 15
NOT_FOR_US: Final = frozenset({"unknown_event", "unknown_symbol"})
"""Refused and counted, but no sign that a connection is spoilt: a venue may say more than it was asked for."""
_EARLIEST_MS: Final = 1_230_768_000_000  # 2009: there was nothing to trade before
_LATEST_MS: Final = 4_102_444_800_000  # 2100
_MAX_SEQUENCE: Final = 2**63
_MOST_SILENCE_MS: Final = 7 * 86_400_000  # bans last three days at most
_new = tuple.__new__  # a named tuple's own way to be born is a function more
_ALIVE_EVENTS: Final = frozenset(
    {"kline", "24hrTicker", "24hrMiniTicker", "avgPrice", "1hTicker", "4hTicker", "1dTicker"}
)


class FrameError(ValueError):
    """A frame that must not be believed. `reason` is one of a few words; `symbol` when a book is hit, `quoted` when
    it told of best prices that cannot be.
    """

    def __init__(self, reason: str, detail: str, symbol: str = "", quoted: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.symbol = symbol
        self.quoted = quoted


class TradeFrame(NamedTuple):
    """A trade and its number in the venue's unbroken count (aggregates have a count of their own)."""

    tick: TradeTick
    number: int
    is_aggregate: bool


class QuoteFrame(NamedTuple):
    """Best bid and ask, and the order book update it belongs to."""

    tick: QuoteTick
    update_id: int


class AliveFrame(NamedTuple):
    """A good frame with nothing in it for us."""

    what: str


class ClockFrame(NamedTuple):
    """A replay's time moves on (UTC ns)."""

    ts: int


class EndFrame(NamedTuple):
    """A replay is over (UTC ns)."""

    ts: int


@dataclass(frozen=True, slots=True)
class AnswerFrame:
    """The venue's answer to a request of ours; `error` is "" when it obeyed.

    `silence_s`: for so long it wants to hear nothing (an answer of 429 or 418).
    """

    request_id: int | None
    error: str
    silence_s: float = 0.0


@dataclass(frozen=True, slots=True)
class UserFrame:
    """What happened to our account: reports in order (none for a balance message).

    `executed`: so much of their order was executed in all, None where it is not said. `balances`: new ones by asset.
    """

    reports: tuple[ExecutionReport, ...]
    executed: Decimal | None = None
    balances: Mapping[str, AssetBalance] = field(default_factory=dict)


Frame = TradeFrame | QuoteFrame | BookDelta | AliveFrame | ClockFrame | EndFrame | AnswerFrame | UserFrame


class _Amounts(dict[str, Decimal]):
    """Prices and quantities by their text: the same few thousand come again and again. Raises `MoneyError`."""

    def __missing__(self, text: str) -> Decimal:
        value = parse_decimal(text)
        if not ZERO < value < ABSURD:
            raise MoneyError(f"{text} is not above zero and below 10^15")
        if len(self) >= _AMOUNTS_KEPT:
            self.clear()
        self[text] = value
        return value


_AMOUNTS_KEPT: Final = 8_192
_POSITIVE: Final = _Amounts()


@lru_cache(maxsize=8_192)
def _not_negative(text: str) -> Decimal:
    value = parse_decimal(text)
    if not ZERO <= value < ABSURD or text[0] == "-":
        raise MoneyError(f"{text} is negative or above 10^15")
    return value


class FrameParser:
    """Parses what the market stream sends, for the symbols it was made with.

    `symbols` maps the wire's name to the product's: {"BTCUSDT": "BTC/USDT"}.
    """

    __slots__ = ("_symbols",)

    def __init__(self, symbols: Mapping[str, str]) -> None:
        self._symbols = dict(symbols)

    def parse_frame(self, frame: str | bytes, ts_init: int) -> Frame:
        """One frame, wrapped ({"stream", "data"}) or raw; raises `FrameError` and nothing else.

        `ts_init` is the receive time (UTC ns); it also serves as `ts_event` of a quote, which carries none.
        """
        if len(frame) > MAX_FRAME_BYTES:
            raise FrameError("too_large", f"{len(frame)} bytes, at most {MAX_FRAME_BYTES} are read")
        try:
            data = orjson.loads(frame)
        except (orjson.JSONDecodeError, RecursionError) as error:
            raise FrameError("malformed", str(error)) from None
        if type(data) is dict and "stream" in data:
            data = data.get("data")
        if type(data) is not dict:
            if type(data) is list:  # all-market tickers
                return AliveFrame("list")
            raise FrameError("unknown_shape", f"expected an object, got {type(data).__name__}")
        try:
            event = data.get("e")
            if event == "trade":  # the one kind of frame that sends orders off
                return self._trade(data, data["t"], ts_init, is_aggregate=False)
            if event == "bookTicker" or (event is None and "a" in data and "u" in data):  # the most frequent one
                return self._quote(data, ts_init)
            return self._parse_event(event, data, ts_init)
        except (KeyError, TypeError) as error:
            raise FrameError("unknown_shape", f"{type(error).__name__} {error} in {_excerpt(frame)}") from None
        except MoneyError as error:
            raise FrameError("money", str(error), self._book_symbol(data)) from None

    def _parse_event(self, event: Any, data: dict[str, Any], ts_init: int) -> Frame:
        """All that is neither a trade nor a quote."""
        if event is None:
            return _parse_control(data, self._symbols)
        if event == "depthUpdate":
            return self._depth(data, ts_init)
        if event == "aggTrade":
            return self._trade(data, data["a"], ts_init, is_aggregate=True)
        if event in _ALIVE_EVENTS:
            return AliveFrame(event)
        if event == "practiceClock":
            return ClockFrame(_recorded_ns(data["N"]))
        if event == "practiceEnd":
            return EndFrame(_recorded_ns(data["N"]))
        if event in ACCOUNT_EVENTS:  # without the envelope that the websocket API puts around it
            return _account(data, self._symbols)
        raise FrameError("unknown_event", f"event {str(event)[:40]!r}")

    def _symbol(self, data: dict[str, Any]) -> str:
        symbol = self._symbols.get(data["s"])
        if symbol is None:
            raise FrameError("unknown_symbol", f"{str(data['s'])[:40]!r} was not subscribed")
        return symbol

    def _book_symbol(self, data: dict[str, Any]) -> str:
        name = data.get("s")
        if data.get("e") != "depthUpdate" or type(name) is not str:
            return ""
        return self._symbols.get(name, "")

    def _quote(self, data: dict[str, Any], ts_init: int) -> QuoteFrame:
        amounts = _POSITIVE
        bid, ask = amounts[data["b"]], amounts[data["a"]]
        if bid >= ask:
            name = self._symbol(data)
            raise FrameError("crossed", f"bid {bid} is not below ask {ask} of {name}", quoted=name)
        update_id = data["u"]
        if type(update_id) is not int or update_id < 0:
            raise FrameError("sequence", f"update id {str(update_id)[:40]!r}")
        symbol = self._symbols.get(data["s"])
        if symbol is None:
            symbol = self._symbol(data)
        ts_event = _event_ns(data["E"]) if "E" in data else ts_init
        tick = _new(QuoteTick, (symbol, bid, amounts[data["B"]], ask, amounts[data["A"]], ts_event, ts_init))
        return _new(QuoteFrame, (tick, update_id))

    def _trade(self, data: dict[str, Any], number: object, ts_init: int, *, is_aggregate: bool) -> TradeFrame:
        if type(number) is not int or number < 0:
            raise FrameError("sequence", f"trade id {str(number)[:40]!r}")
        is_buyer_maker = data["m"]
        if type(is_buyer_maker) is not bool:
            raise FrameError("unknown_shape", f"m is {str(is_buyer_maker)[:40]!r}, not true or false")
        trade_id = f"agg-{number}" if is_aggregate else str(number)
        tick = _new(TradeTick, (
            self._symbol(data), _POSITIVE[data["p"]], _POSITIVE[data["q"]],
            "sell" if is_buyer_maker else "buy", trade_id, _event_ns(data["T"]), ts_init,
        ))
        return _new(TradeFrame, (tick, number, is_aggregate))

    def _depth(self, data: dict[str, Any], ts_init: int) -> BookDelta:
        symbol = self._symbol(data)
        first, last = data["U"], data["u"]
        before = data.get("pu")  # perpetuals count across all symbols and name the event before instead
        if type(before) is int and type(first) is int:
            first = min(before + 1, first)
        if type(first) is not int or type(last) is not int or not 0 <= first <= last < _MAX_SEQUENCE:
            raise FrameError("sequence", f"U {str(first)[:40]!r} u {str(last)[:40]!r}", symbol)
        try:
            return BookDelta(
                symbol, parse_levels(data["b"]), parse_levels(data["a"]), first, last, _event_ns(data["E"]), ts_init
            )
        except (KeyError, TypeError) as error:
            raise FrameError("unknown_shape", f"depth: {error}", symbol) from None


def parse_levels(levels: object) -> tuple[tuple[Decimal, Decimal], ...]:
    """[["price", "quantity"], ...]; quantity 0 is allowed. Raises `MoneyError` or `TypeError`."""
    if type(levels) is not list or len(levels) > MAX_LEVELS:
        raise TypeError(f"levels are not a list of at most {MAX_LEVELS}")
    parsed = []
    for level in levels:
        if type(level) is not list or len(level) < 2:
            raise TypeError("a level is not a pair")
        parsed.append((_POSITIVE[level[0]], _not_negative(level[1])))
    return tuple(parsed)


def _parse_control(data: dict[str, Any], symbols: Mapping[str, str]) -> Frame:
    """Answers to our requests, errors, and the user stream's envelopes."""
    if "event" in data:
        return _account(data["event"], symbols)
    request_id = data.get("id")
    if type(request_id) is str and request_id.isdecimal() and len(request_id) < 19:  # echoed as text
        request_id = int(request_id)
    if request_id is not None and type(request_id) is not int:
        raise FrameError("unknown_shape", f"id {str(request_id)[:40]!r}")
    problem = data.get("error", data if "code" in data and "msg" in data else None)
    if problem is not None:
        if type(problem) is not dict:
            raise FrameError("unknown_shape", "error is not an object")
        return AnswerFrame(request_id, f"{problem.get('code')}: {str(problem.get('msg'))[:200]}", _silence_s(problem))
    if "result" in data or ("id" in data and "status" in data):
        return AnswerFrame(request_id, "")
    raise FrameError("unknown_shape", f"keys {sorted(map(str, data))[:10]}")


def _silence_s(problem: dict[str, Any]) -> float:
    """Seconds from the venue's time to the moment it tells in `retryAfter`; 0 without one."""
    told = problem.get("data")
    until_ms, now_ms = (told.get("retryAfter"), told.get("serverTime")) if type(told) is dict else (None, None)
    if type(until_ms) is not int or type(now_ms) is not int or not 0 < until_ms - now_ms < _MOST_SILENCE_MS:
        return 0.0
    return (until_ms - now_ms) / 1_000


def _account(event: object, symbols: Mapping[str, str]) -> UserFrame:
    try:
        return UserFrame(parse_user_event(event, symbols), executed_in_all(event), balances_told(event))
    except StreamEndedError as error:
        raise FrameError("ended", str(error)) from None
    except UnknownEventError as error:
        raise FrameError("unknown_event", str(error)) from None
    except UserEventError as error:
        raise FrameError("unknown_shape", str(error)) from None


def _event_ns(value: object) -> int:
    """The venue's milliseconds as nanoseconds."""
    if type(value) is not int or not _EARLIEST_MS <= value <= _LATEST_MS:
        raise FrameError("time", f"{str(value)[:40]!r} is no time in milliseconds")
    return value * MS_NS


def _recorded_ns(value: object) -> int:
    if type(value) is not int or not _EARLIEST_MS * MS_NS <= value <= _LATEST_MS * MS_NS:
        raise FrameError("time", f"{str(value)[:40]!r} is no time in nanoseconds")
    return value


def _excerpt(frame: str | bytes) -> str:
    return repr(frame[:120])
