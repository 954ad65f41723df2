"""A venue's klines as history: by what moment a candle is closed."""

from aiohttp import web

from bus.clock import FeedClock
from research.history.kline_source import KlineSource
from tests.exchanges.binance.loopback import Loopback
from tests.research.loopback_venue import BEGIN_MS

BEGIN = BEGIN_MS * 1_000_000
MINUTE = 60_000_000_000


async def test_a_candle_that_ended_while_the_answer_was_on_its_way_was_open_in_it() -> None:
    clock, venue = FeedClock(BEGIN + MINUTE - 100_000_000), Loopback()
    venue.answer("GET", "/api/v3/time", {"serverTime": clock.now() // 1_000_000})
    venue.answer("GET", "/api/v3/exchangeInfo", {"rateLimits": [], "symbols": []})

    async def klines(_: web.Request) -> web.Response:
        clock.advance(BEGIN + MINUTE + 100_000_000)
        return web.json_response([[BEGIN_MS, "1", "2", "1", "2", "5"]])

    venue.handlers["GET", "/api/v3/klines"] = klines
    await venue.start()
    try:
        async with KlineSource("loopback", venue.rest_url, clock, lambda: 0.5) as source:
            assert await source.candles("BTC/USDT", "1m", BEGIN, 10) == []
    finally:
        await venue.stop()
