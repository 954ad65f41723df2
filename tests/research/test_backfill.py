"""Backfill against a venue on this machine: chunks, resuming, holes, a second source."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.clock import LiveClock
from exchanges.answers import VenueError
from market.ticks import Candle
from research.history.backfill import Backfill, BackfillReport, count_opens, missing_stretches, reconcile
from research.history.kline_source import IntervalNotOfferedError, KlineSource
from store.candles import CandleStore
from tests.research.loopback_venue import BEGIN_MS, LoopbackVenue

BTC = "BTC/USDT"
MINUTE = 60_000_000_000
BEGIN = BEGIN_MS * 1_000_000


def at(minute: int) -> int:
    return BEGIN + minute * MINUTE


def source(venue: LoopbackVenue, name: str = "loopback") -> KlineSource:
    return KlineSource(name, venue.url, LiveClock(), lambda: 0.5)


async def run(
    store: CandleStore, *venues: LoopbackVenue, start: int = 0, end: int = 1000,
    told: list[tuple[int, int]] | None = None,
) -> BackfillReport:
    sources = [source(venue, name) for venue, name in zip(venues, ("loopback", "second"), strict=False)]
    progress = (lambda done, of: told.append((done, of))) if told is not None else (lambda done, of: None)
    try:
        made = Backfill(
            store, sources, BTC, "1m", venues[0].now_ms * 1_000_000, pause_s=0.0, progress=progress
        )
        return await made.run(at(start), at(end))
    finally:
        for each in sources:
            await each.__aexit__(None, None, None)


async def test_a_stretch_is_fetched_in_chunks_of_300_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    store, told = CandleStore(tmp_path), list[tuple[int, int]]()
    async with LoopbackVenue().running() as venue:
        report = await run(store, venue, told=told)
        assert (report.wanted, report.requests, report.written.added, report.absent) == (1000, 4, 1000, 0)
        assert [int(each["limit"]) for each in venue.asked] == [300, 300, 300, 100]
        assert told == [(300, 1000), (600, 1000), (900, 1000), (1000, 1000)]
        again = await run(store, venue)
        assert (again.wanted, again.requests) == (0, 0)
    assert store.coverage(BTC, "1m").gaps == ()
    assert [each.trades for each in store.iter_candles(BTC, "1m", at(0), at(2))] == [3, 3]


async def test_only_gaps_are_asked_for(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    async with LoopbackVenue().running() as venue:
        await run(store, venue, start=10, end=20)
        await run(store, venue, start=30, end=40)
        venue.asked.clear()
        report = await run(store, venue, start=5, end=45)
        assert (report.wanted, report.requests) == (20, 3)
        assert [(int(each["startTime"]) - BEGIN_MS) // 60_000 for each in venue.asked] == [5, 20, 40]


async def test_what_the_venue_has_not_is_noted_and_not_asked_for_again(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    async with LoopbackVenue(first_ms=BEGIN_MS + 100 * 60_000, absent={BEGIN_MS + 200 * 60_000}).running() as venue:
        report = await run(store, venue, end=400)
        assert (report.wanted, report.written.added, report.absent) == (400, 299, 101)
        assert report.requests <= 3  # the time before the listing costs no requests
        assert store.absent(BTC, "1m") == [(at(0), at(100)), (at(200), at(201))]
        assert (await run(store, venue, end=400)).requests == 0
    assert [gap.is_confirmed for gap in store.coverage(BTC, "1m").gaps] == [True]


async def test_what_may_still_come_is_not_noted_as_absent(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    async with LoopbackVenue(now_ms=BEGIN_MS + 100 * 60_000).running() as venue:
        venue.absent = {BEGIN_MS + minute * 60_000 for minute in range(95, 100)}
        report = await run(store, venue, end=1000)
        assert (report.wanted, report.written.added) == (100, 95)
    assert store.absent(BTC, "1m") == []


async def test_a_clock_that_is_ahead_makes_nothing_absent(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    async with LoopbackVenue(now_ms=BEGIN_MS + 100 * 60_000, absent={BEGIN_MS + 50 * 60_000}).running() as venue:
        async with source(venue) as klines:
            await Backfill(store, [klines], BTC, "1m", at(1440), pause_s=0.0).run(at(0), at(1440))
        assert store.absent(BTC, "1m") == [(at(50), at(51))]
        venue.now_ms = BEGIN_MS + 2000 * 60_000
        assert (await run(store, venue, end=1440)).absent == 1


async def test_a_backfill_that_fails_keeps_what_came_and_goes_on_there(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    async with LoopbackVenue().running() as venue:
        inner = source(venue)

        class Cut:
            name = "cut"

            async def candles(self, symbol: str, interval: str, start_ns: int, limit: int) -> Sequence[Candle]:
                if start_ns >= at(600):
                    raise VenueError("the line was cut")
                return await inner.candles(symbol, interval, start_ns, limit)

        with pytest.raises(VenueError, match="cut"):
            await Backfill(store, [Cut()], BTC, "1m", at(100_000), pause_s=0.0).run(at(0), at(1000))
        assert store.coverage(BTC, "1m").candles == 600
        await inner.__aexit__(None, None, None)
        venue.asked.clear()
        report = await run(store, venue)
        assert (report.wanted, report.requests) == (400, 2)


async def test_a_cancelled_backfill_keeps_what_came(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    async with LoopbackVenue().running() as venue:
        inner, is_waiting = source(venue), asyncio.Event()

        class Hanging:
            name = "hanging"

            async def candles(self, symbol: str, interval: str, start_ns: int, limit: int) -> Sequence[Candle]:
                if start_ns >= at(300):
                    is_waiting.set()
                    await asyncio.Event().wait()
                return await inner.candles(symbol, interval, start_ns, limit)

        backfill = Backfill(store, [Hanging()], BTC, "1m", at(100_000), pause_s=0.0)
        work = asyncio.create_task(backfill.run(at(0), at(900)))
        await is_waiting.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        await inner.__aexit__(None, None, None)
    assert store.coverage(BTC, "1m").candles == 300


async def test_a_second_source_gives_what_the_first_lacks(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    holes = {BEGIN_MS + minute * 60_000 for minute in (*range(50, 60), 70)}
    async with LoopbackVenue(absent=holes).running() as first, LoopbackVenue(
        absent={BEGIN_MS + 70 * 60_000}, price=105.0
    ).running() as second:
        report = await run(store, first, second, end=100)
    assert (report.written.added, report.from_fallback, report.absent) == (99, 10, 1)
    close = store.load(BTC, "1m").close
    assert close[50:60].tolist() == [105.0] * 10
    assert close[:50].tolist() == [100.0] * 50
    assert store.absent(BTC, "1m") == [(at(70), at(71))]


async def test_a_second_source_is_asked_for_what_the_first_was_known_to_lack_and_once(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    holes = {BEGIN_MS + minute * 60_000 for minute in (*range(50, 60), 70)}
    async with LoopbackVenue(absent=holes).running() as first, LoopbackVenue(
        absent={BEGIN_MS + 70 * 60_000}
    ).running() as second:
        await run(store, first, end=100)
        assert [gap.is_confirmed for gap in store.coverage(BTC, "1m").gaps] == [True, True]
        first.asked.clear()
        report = await run(store, first, second, end=100)
        assert (report.wanted, report.written.added, report.from_fallback, report.absent) == (11, 10, 10, 1)
        assert (len(first.asked), len(second.asked)) == (0, 2)
        assert (await run(store, first, second, end=100)).requests == 0
    assert [gap.is_confirmed for gap in store.coverage(BTC, "1m").gaps] == [True]


async def test_a_second_source_gives_all_of_it_while_the_first_is_away(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    async with LoopbackVenue(failures={"klines": [400]}).running() as first, LoopbackVenue().running() as second:
        report = await run(store, first, second, end=100)
        assert (report.written.added, report.from_fallback, report.absent) == (100, 100, 0)
        assert "HTTP 400" in report.troubles[0]
        first.failures = {"klines": [400]}
        second.absent = {BEGIN_MS + 170 * 60_000}
        with pytest.raises(VenueError, match="loopback: klines of BTC/USDT: HTTP 400"):  # it may have what is left
            await run(store, first, second, end=200)
        assert store.coverage(BTC, "1m").candles == 199
        assert store.absent(BTC, "1m") == []
        assert (await run(store, first, second, end=200)).written.added == 1
    assert store.coverage(BTC, "1m").gaps == ()


async def test_two_sources_are_reconciled_field_by_field(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    async with LoopbackVenue().running() as first, LoopbackVenue(absent={BEGIN_MS}, price=100.5).running() as second:
        await run(store, first, end=400)
        theirs = source(second)
        compared, differences = await reconcile(store, theirs, BTC, "1m", at(0), at(400), pause_s=0.0)
        await theirs.__aexit__(None, None, None)
        same = source(first)
        assert await reconcile(store, same, BTC, "1m", at(0), at(400), pause_s=0.0) == (400, [])
        await same.__aexit__(None, None, None)
    assert compared == 399
    assert len(differences) == 399 * 4  # the volumes agree
    assert (differences[0].ts_ns, differences[0].field) == (at(1), "open")
    assert (differences[0].ours, differences[0].theirs) == ("100", "100.50000000")


async def test_a_venue_in_trouble_is_asked_again_and_an_unknown_interval_is_said(tmp_path: Path) -> None:
    async with LoopbackVenue().running() as venue:
        venue.failures = {"klines": [503]}
        async with source(venue) as klines:
            assert len(await klines.candles(BTC, "1m", at(0), 5)) == 5
            with pytest.raises(IntervalNotOfferedError):
                await klines.candles(BTC, "4h", at(0), 5)
            with pytest.raises(VenueError, match="does not know"):
                await klines.candles("NO/PAIR", "1m", at(0), 5)


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(0, 50)), st.integers(0, 50), st.integers(0, 50), st.sets(st.integers(0, 50)))
def test_missing_stretches_are_those_of_a_plain_loop(there: set[int], first: int, last: int, absent: set[int]) -> None:
    told = missing_stretches(
        np.array([at(each) for each in sorted(there)], np.int64), at(first), at(last), MINUTE,
        [(at(each), at(each + 1)) for each in sorted(absent)],
    )
    inside = [(start + step * MINUTE) for start, end in told for step in range((end - start) // MINUTE)]
    assert inside == [at(each) for each in range(first, last) if each not in there | absent]
    assert all(before[1] < after[0] for before, after in pairwise(told))


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 1000))
def test_opens_within_a_stretch_are_counted_as_a_loop_would(start: int, length: int, step: int) -> None:
    length %= 20 * step
    assert count_opens((start, start + length), step) == sum(1 for ts in range(start, start + length) if ts % step == 0)
