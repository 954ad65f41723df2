"""The venue's time is asked for once a round, is never ahead, and is asked for anew when it may be another."""

import asyncio
from dataclasses import replace

import pytest

from bus.clock import FeedClock
from exchanges.answers import VenueError
from exchanges.binance.rest import RestClient
from exchanges.binance.weight_budget import WeightBudget
from exchanges.coinbase.market_client import MarketClient
from exchanges.venue_time import KEPT_S, VenueTime
from market.interval import MINUTE_NS, SECOND_NS
from tests.exchanges.coinbase.exchange import Exchange, answers
from tests.exchanges.coinbase.watching import BTC
from tradingd.partial_candles import SETTLED_NS, STILL_NEW_NS

START = 1_800_000_000 * SECOND_NS
POLL_S = 1
"""How often it is looked for what is due."""


class Venue:
    """Whose clock is `ahead_ns` ahead of ours; an answer takes `way_ns` back."""

    def __init__(self, ahead_ns: int = 3 * SECOND_NS, way_ns: int = 0) -> None:
        self.clock = FeedClock(START)
        self.monotonic_s = 0.0
        self.ahead_ns = ahead_ns
        self.way_ns = way_ns
        self.asked = 0
        self.problem: VenueError | None = None
        self.time = VenueTime(self.clock, self.tell, monotonic=lambda: self.monotonic_s)

    async def tell(self) -> int | None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.problem is not None:
            raise self.problem
        told = self.now
        self.passes(self.way_ns)
        return told

    @property
    def now(self) -> int:
        return self.clock.now() + self.ahead_ns

    def passes(self, ns: int) -> None:
        self.clock.advance(self.clock.now() + ns)
        self.monotonic_s += ns / SECOND_NS


async def test_who_asks_at_the_same_time_asks_once() -> None:
    venue = Venue()
    told = await asyncio.gather(*(venue.time.now() for _ in range(50)))
    assert set(told) == {venue.now}
    assert venue.asked == 1


async def test_an_answer_serves_for_a_minute() -> None:
    venue = Venue()
    for _ in range(5):
        assert await venue.time.now() == venue.now
        venue.passes(round(KEPT_S * SECOND_NS / 4))
    assert venue.asked == 2


async def test_a_slow_answer_is_behind_and_never_ahead() -> None:
    venue = Venue(way_ns=4 * SECOND_NS)
    assert await venue.time.now() == venue.now - 4 * SECOND_NS
    venue.passes(5 * SECOND_NS)
    assert await venue.time.now() == venue.now - 4 * SECOND_NS


async def test_a_clock_that_was_set_or_slept_is_compared_anew() -> None:
    venue = Venue()
    await venue.time.now()
    venue.clock.advance(venue.clock.now() + MINUTE_NS // 2)  # set forward, and by nobody's monotonic clock
    venue.ahead_ns -= MINUTE_NS // 2
    assert await venue.time.now() == venue.now
    venue.monotonic_s += 1.0  # our clock stands still
    venue.ahead_ns += SECOND_NS
    assert await venue.time.now() == venue.now
    assert venue.asked == 3


async def test_a_venue_that_does_not_answer_is_asked_again_by_the_next() -> None:
    venue = Venue()
    venue.problem = VenueError("away")
    for _ in range(2):
        with pytest.raises(VenueError, match="away"):
            await venue.time.now()
    venue.problem = None
    assert await venue.time.now() == venue.now
    assert venue.asked == 3


async def test_where_no_time_is_told_ours_is_meant(exchange: Exchange) -> None:
    exchange.fail("GET", "/time", answers({"error": "NOT_FOUND"}, 404))
    exchange.bodies["/market/products/BTC-USD/candles"] = {"candles": []}
    clock = FeedClock(START)
    client = MarketClient("coinbase", exchange.rest_url, clock, lambda: 0.5)
    assert await client.candles(BTC, "1m", 1) == []
    await client.close()
    ((query, _),) = exchange.calls("GET", "/market/products/BTC-USD/candles")
    assert int(query["end"]) == START // SECOND_NS


async def test_a_hundred_symbols_cost_a_hundred_and_one_requests_which_leave_in_time_to_decide(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Counted, not timed: what the pacer would let wait is worked out, and nobody waits."""
    symbols = [replace(BTC, symbol=f"C{n}/USD", venue_symbol=f"C{n}-USD", base=f"C{n}") for n in range(100)]
    for each in symbols:
        exchange.bodies[f"/market/products/{each.venue_symbol}/candles"] = {"candles": []}
    waits: list[float] = []
    budgets: list[WeightBudget] = []
    now = 0.0

    async def noted(rest: RestClient, _path: str, weight: int, reserve: float) -> None:
        nonlocal now
        budgets[:] = budgets or [WeightBudget(rest._address.budget._burst)]
        now += budgets[0].wait_s(now, weight, reserve)
        assert budgets[0].take_now(now, weight, reserve)
        waits.append(now)

    monkeypatch.setattr(RestClient, "_take_leave", noted)
    client = MarketClient("coinbase", exchange.rest_url, FeedClock(START), lambda: 0.5)
    await asyncio.gather(*(client.candles(each, "1m", 2) for each in symbols))
    await client.close()
    assert len(exchange.calls("GET", "/time")) == 1
    assert len(exchange.requests) == len(waits) == 101
    assert SETTLED_NS / SECOND_NS + POLL_S + max(waits) < STILL_NEW_NS / SECOND_NS
