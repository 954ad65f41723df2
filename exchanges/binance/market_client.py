"""Public REST of Binance as typed facts: asks, checks the answer, and explains what goes wrong."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import orjson

from bus.clock import Clock
from exchanges.answers import Answer, TransportError, VenueError
from exchanges.binance.market_rest import (
    parse_candles,
    parse_instruments,
    parse_snapshot,
    parse_top_quotes,
    parse_trades,
)
from exchanges.binance.parser import FrameError
from exchanges.binance.rest import RestClient
from exchanges.binance.weight_budget import FOR_BOOKS, FOR_MISSED_TRADES, FOR_PRICES
from exchanges.venue_time import VenueTime
from market.instrument import Instrument
from market.ticks import BookSnapshot, Candle, QuoteTick, TradeTick

MOST_CANDLES: Final = 1000
_INVALID_INTERVAL: Final = -1120
_INVALID_SYMBOL: Final = -1121
_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True, slots=True)
class RecordingInfo:
    """Is it a replay, when does it begin (UTC ns, shifted), were its ticks made from candles?

    `shift_days`: by so many days it was moved.
    """

    is_replay: bool
    first_ns: int
    has_candles: bool
    shift_days: int = 0


class MarketClient:
    """Every method raises `VenueError` with the remedy when the venue gives no answer to be believed."""

    def __init__(
        self, name: str, rest_url: str, clock: Clock, jitter: Callable[[], float], *, is_replay: bool
    ) -> None:
        self._name = name
        self._clock = clock
        self._is_replay = is_replay
        self._rest = RestClient(rest_url, clock, jitter=jitter)
        self._time = VenueTime(clock, self._ask_time)

    async def rules(self, instruments: Sequence[Instrument]) -> list[Instrument]:
        """These pairs as the venue has them now; one that it lists no more is left out."""
        names = orjson.dumps([each.venue_symbol for each in instruments]).decode()
        answer = await self._rest.read("/api/v3/exchangeInfo", {"symbols": names}, weight=20, reserve=FOR_PRICES)
        if answer.code == _INVALID_SYMBOL:
            return await self.instruments()
        return self._checked("exchangeInfo", answer, parse_instruments)

    async def instruments(self) -> list[Instrument]:
        """All spot pairs."""
        answer = await self._rest.read("/api/v3/exchangeInfo", weight=20, reserve=FOR_PRICES)
        return self._checked("exchangeInfo", answer, parse_instruments)

    async def candles(self, instrument: Instrument, interval: str, limit: int) -> list[Candle]:
        """The latest closed candles, oldest first; none where the venue has no such interval.

        In a replay: those that closed before the recording begins.
        """
        if limit <= 0:
            return []
        closed_before = (await self.recording()).first_ns if self._is_replay else await self._time.now()
        answer = await self._rest.read(
            "/api/v3/klines",
            {"symbol": instrument.venue_symbol, "interval": interval, "limit": min(limit + 1, MOST_CANDLES)}, weight=2,
            reserve=FOR_PRICES,
        )
        if answer.code == _INVALID_INTERVAL:
            return []
        return self._checked(
            f"klines of {instrument.symbol}", answer,
            lambda body: parse_candles(body, instrument.symbol, interval, closed_before),
        )[-limit:]

    async def snapshot(self, instrument: Instrument) -> BookSnapshot:
        """The book, a thousand levels deep; its stamps are set when it is joined to the stream."""
        answer = await self._rest.read(
            "/api/v3/depth", {"symbol": instrument.venue_symbol, "limit": 1000}, weight=50, reserve=FOR_BOOKS
        )
        now = self._clock.now()
        return self._checked(
            f"depth of {instrument.symbol}", answer, lambda body: parse_snapshot(body, instrument.symbol, now)
        )

    async def recent_trades(self, instrument: Instrument) -> list[tuple[int, TradeTick]]:
        """The last thousand trades with their numbers, oldest first."""
        answer = await self._rest.read(
            "/api/v3/trades", {"symbol": instrument.venue_symbol, "limit": 1000}, weight=25, reserve=FOR_MISSED_TRADES
        )
        now = self._clock.now()
        return self._checked(
            f"trades of {instrument.symbol}", answer, lambda body: parse_trades(body, instrument.symbol, now)
        )

    async def quotes(self, instruments: Sequence[Instrument]) -> list[QuoteTick]:
        """Best bid and ask of each, in the order asked; one that cannot be believed is left out."""
        names = orjson.dumps([each.venue_symbol for each in instruments]).decode()
        answer = await self._rest.read(
            "/api/v3/ticker/bookTicker", {"symbols": names}, weight=4, reserve=FOR_PRICES
        )
        if answer.code == _INVALID_SYMBOL:  # one of them is listed no more, and the venue tells of none
            answer = await self._rest.read("/api/v3/ticker/bookTicker", weight=4, reserve=FOR_PRICES)
        symbols = {each.venue_symbol: each.symbol for each in instruments}
        now = self._clock.now()
        return self._checked("bookTicker", answer, lambda body: parse_top_quotes(body, symbols, now))

    async def clock_offset_ns(self) -> int:
        """How far the venue's clock is ahead of ours."""
        try:
            await self._rest.synchronise_clock()
        except TransportError as error:
            raise VenueError(f"{self._name}: {error}. Check the network and rest_url in config.toml.") from error
        return self._rest.clock_offset_ns

    async def close(self) -> None:
        """Close the connections."""
        await self._rest.close()

    async def _ask_time(self) -> int:
        before = self._clock.now()
        offset_ns = await self.clock_offset_ns()  # by which the requests are paced, too
        after = self._clock.now()
        return after + offset_ns - (after - before) // 2  # as old as its way here, if the whole way was that

    async def recording(self) -> RecordingInfo:
        """What the practice exchange plays; zeros for a venue that plays nothing."""
        answer = await self._rest.read("/practice/v1/info", reserve=FOR_PRICES)
        body = answer.body if answer.is_ok and isinstance(answer.body, dict) else {}
        first, days = body.get("first_ns"), body.get("shift_days")
        return RecordingInfo(
            body.get("mode") == "replay", first if type(first) is int else 0, body.get("has_candles") is True,
            days if type(days) is int else 0,
        )

    def _checked(self, what: str, answer: Answer, parse: Callable[[Any], _Parsed]) -> _Parsed:
        if not answer.is_ok:
            raise VenueError(
                f"{self._name}: {what}: the venue answered HTTP {answer.status} {answer.message}. "
                f"Check symbols and venues.{self._name}.rest_url ({self._rest.rest_url}) in config.toml."
            )
        try:
            return parse(answer.body)
        except FrameError as error:
            raise VenueError(
                f"{self._name}: {what}: {error}. Is {self._rest.rest_url} (rest_url) really a Binance REST address?"
            ) from error
