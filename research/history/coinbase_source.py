"""Coinbase's candles as a source of history. It gives a stretch of time, and not, as Binance, the next there are.

Where nothing traded, days are looked at to find where it goes on: a product's years before its first trade cost a few
requests. Every request waits `PAUSE_S`: the venue grants an address ten a second, says nothing of what is used, and a
daemon beside us asks eight.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from bus.clock import Clock
from exchanges.answers import Answer, VenueError
from exchanges.binance.parser import FrameError
from exchanges.binance.rest import RestClient
from exchanges.coinbase.market_rest import GRANULARITIES, parse_candles, parse_time
from exchanges.venue_time import VenueTime
from market.interval import SECOND_NS, interval_ns
from market.ticks import Candle
from research.history.kline_source import IntervalNotOfferedError
from research.history.rest_source import RestSource

PAUSE_S: Final = 0.5
CANDLES_A_CALL: Final = 300
_API: Final = "/api/v3/brokerage/"
_DAY_NS: Final = interval_ns("1d")


class CoinbaseSource(RestSource):
    """`async with CoinbaseSource(...) as source`; every trouble of the venue is a `VenueError` with the remedy."""

    def __init__(
        self, name: str, rest_url: str, clock: Clock, jitter: Callable[[], float], *, pause_s: float = PAUSE_S,
    ) -> None:
        super().__init__(name, RestClient(rest_url, clock, jitter=jitter))
        self._time = VenueTime(clock, self._ask_time)
        self._pause_s = pause_s
        self._next_s = 0.0

    async def candles(self, symbol: str, interval: str, start_ns: int, limit: int) -> Sequence[Candle]:
        """The first closed candles at or after `start_ns`, however much later they are."""
        if interval not in GRANULARITIES:
            raise IntervalNotOfferedError(f"{self.name} has no {interval} candles")
        step, closed_ns = interval_ns(interval), await self._time.now()
        cursor = -(-start_ns // step) * step
        while cursor + step <= closed_ns:
            found = await self._stretch(symbol, interval, cursor, closed_ns)
            if found:
                return found[:limit]
            cursor = await self._where_it_goes_on(symbol, cursor + CANDLES_A_CALL * step, closed_ns)
        return []

    async def _where_it_goes_on(self, symbol: str, after_ns: int, closed_ns: int) -> int:
        """From `after_ns` on: where the first day begins on which something traded, else the day that is not over."""
        today = closed_ns // _DAY_NS * _DAY_NS
        day = after_ns // _DAY_NS * _DAY_NS
        while day < today:
            found = await self._stretch(symbol, "1d", day, closed_ns)
            if found:
                return max(after_ns, found[0].ts_open)
            day += CANDLES_A_CALL * _DAY_NS
        return max(after_ns, today)

    async def _stretch(self, symbol: str, interval: str, start_ns: int, closed_ns: int) -> list[Candle]:
        """The closed candles among the next 300, oldest first."""
        end_ns = start_ns + CANDLES_A_CALL * interval_ns(interval)
        answer = await self._read(f"market/products/{symbol.replace('/', '-')}/candles", {
            "start": start_ns // SECOND_NS, "end": end_ns // SECOND_NS - 1, "granularity": GRANULARITIES[interval],
            "limit": CANDLES_A_CALL,
        })
        if answer.status == 404:
            raise VenueError(f"{self.name} does not know {symbol}: write it as BASE/QUOTE, such as BTC/USD.")
        found = self._checked(f"candles of {symbol}", answer, lambda body: parse_candles(
            body, symbol, interval, closed_ns,
        ))
        return [candle for candle in found if start_ns <= candle.ts_open < end_ns]

    async def _ask_time(self) -> int | None:
        answer = await self._read("time", {})
        return None if answer.status == 404 else self._checked("time", answer, parse_time)

    async def _read(self, path: str, parameters: dict[str, str | int]) -> Answer:
        now = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._next_s - now()))
        self._next_s = now() + self._pause_s
        return await self._rest.read(_API + path, parameters)

    def _checked(self, what: str, answer: Answer, parse: Callable[[Any], Any]) -> Any:
        if not answer.is_ok:
            raise VenueError(
                f"{self.name}: {what}: HTTP {answer.status} {answer.message}. Check --rest-url "
                f"({self._rest.rest_url})."
            )
        try:
            return parse(answer.body)
        except FrameError as error:
            raise VenueError(
                f"{self.name}: {what}: {error}. Is {self._rest.rest_url} Coinbase's REST address?"
            ) from error
