"""A backfill beside a daemon from the same address: it keeps the venue's limits, and the bans that either is told."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.clock import LiveClock
from exchanges import long_bans
from exchanges.answers import VenueError
from research.backfill_cli import BackfillJob, run_job
from research.history.kline_source import KlineSource
from store.candles import CandleStore
from tests.exchanges.binance.loopback import until
from tests.research.loopback_venue import BEGIN_MS, LoopbackVenue

BEGIN = BEGIN_MS * 1_000_000
MINUTE = 60_000_000_000
A_MINUTE = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 1_200}


@pytest.fixture(autouse=True)
def forgetting() -> Iterator[None]:
    """What the test's process knows of bans ends with it."""
    yield
    long_bans.of_this_process.keep_in(None)


def job(venue: LoopbackVenue, *symbols: str) -> BackfillJob:
    return BackfillJob(
        symbols, "1m", BEGIN, BEGIN + 600 * MINUTE, "rest", "binance", venue.url, "", "", 0.0, reconciles=False
    )


async def test_it_follows_what_the_venue_grants_and_waits_while_others_have_used_that_up() -> None:
    venue = LoopbackVenue(limits=[A_MINUTE], headers={"X-MBX-USED-WEIGHT-1M": "1100"})
    venue.now_ms += 30_000  # half a minute is over there
    async with venue.running(), KlineSource("loopback", venue.url, LiveClock(), lambda: 0.5) as source:
        assert len(await source.candles("BTC/USDT", "1m", BEGIN, 10)) == 10
        more = asyncio.create_task(source.candles("BTC/USDT", "1m", BEGIN, 10))
        await until(lambda: any(each.locked() for each in source._rest._turns.values()))
        budget, now = source._rest._address.budget, asyncio.get_running_loop().time()
        assert budget.wait_s(now, 2) > 20.0  # nor would a daemon's own question leave yet
        assert not more.done()
        assert len(venue.asked) == 1
        more.cancel()


async def test_a_symbol_that_is_not_listed_does_not_keep_it_from_learning_what_is_granted() -> None:
    venue = LoopbackVenue(limits=[A_MINUTE])
    async with venue.running(), KlineSource("loopback", venue.url, LiveClock(), lambda: 0.5) as source:
        with pytest.raises(VenueError, match="does not know"):
            await source.candles("NONE/USDT", "1m", BEGIN, 10)
        await source.candles("BTC/USDT", "1m", BEGIN, 10)
        budget, now = source._rest._address.budget, asyncio.get_running_loop().time()
        assert budget.wait_s(now, 200) > 0.0  # of 1,000 at once it would be there


async def test_it_leaves_most_of_what_may_go_at_once_to_a_daemon() -> None:
    venue = LoopbackVenue(limits=[A_MINUTE])
    async with venue.running(), KlineSource("loopback", venue.url, LiveClock(), lambda: 0.5) as source:
        await source.candles("BTC/USDT", "1m", BEGIN, 10)
        budget = source._rest._address.budget
        budget.spend(20)
        assert budget.wait_s(asyncio.get_running_loop().time(), 100) == 0.0
        more = asyncio.create_task(source.candles("BTC/USDT", "1m", BEGIN, 10))
        await until(lambda: any(each.locked() for each in source._rest._turns.values()))
        assert len(venue.asked) == 1
        more.cancel()


async def test_after_a_ban_no_further_symbol_is_asked_for_and_the_daemon_learns_of_it(tmp_path: Path) -> None:
    venue = LoopbackVenue(failures={"klines": [418]}, headers={"Retry-After": "120"})
    async with venue.running():
        rows = await run_job(CandleStore(tmp_path / "history"), job(venue, "BTC/USDT", "ETH/USDT"))
        assert ["no requests for another 1" in row["problem"] for row in rows] == [True, True]
        assert len(venue.asked) == 1
        again = await run_job(CandleStore(tmp_path / "history"), job(venue, "BTC/USDT"))
        assert "(rate limit)" in again[0]["problem"]
        assert len(venue.asked) == 1
    daemon = long_bans.LongBans()
    daemon.keep_in(tmp_path)
    assert daemon.left_s(venue.url, LiveClock().now()) > 100


async def test_a_ban_that_the_daemon_was_told_of_is_obeyed(tmp_path: Path) -> None:
    async with LoopbackVenue().running() as venue:
        daemon = long_bans.LongBans()
        daemon.keep_in(tmp_path)
        daemon.note(venue.url, 120.0, LiveClock().now())
        rows = await run_job(CandleStore(tmp_path / "history"), job(venue, "BTC/USDT"))
        assert "no requests for another" in rows[0]["problem"]
        assert venue.asked == []
