"""Public REST of Binance: by whose clock a candle is closed."""

from bus.clock import FeedClock
from exchanges.binance.market_client import MarketClient
from tests.exchanges.binance.loopback import Loopback
from tests.exchanges.binance.watching import BTC, T0


async def test_candles_still_open_are_none_when_our_clock_was_set_forward_since(loopback: Loopback):
    """A machine that starts a minute behind and is set right: what the clocks differed by then holds no more."""
    minute = 60_000
    venue_ms = T0 - T0 % minute + minute + 30_000  # half a minute into the second candle
    clock = FeedClock((venue_ms - minute) * 1_000_000)
    loopback.answer("GET", "/api/v3/time", {"serverTime": venue_ms})
    opens = [venue_ms - venue_ms % minute - minute, venue_ms - venue_ms % minute]
    loopback.answer("GET", "/api/v3/klines", [[each, "1", "2", "1", "2", "5"] for each in opens])
    client = MarketClient("binance", loopback.rest_url, clock, lambda: 0.5, is_replay=False)
    before = await client.candles(BTC, "1m", 10)
    clock.advance(venue_ms * 1_000_000)
    after = await client.candles(BTC, "1m", 10)
    await client.close()
    assert [each.ts_open for each in before] == [each.ts_open for each in after] == [opens[0] * 1_000_000]
