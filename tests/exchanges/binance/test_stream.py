import asyncio
import contextlib
import time
from decimal import Decimal

import orjson
import pytest

from bus.clock import LiveClock
from exchanges.answers import VenueError
from exchanges.binance.stream import REFUSED_IN_A_ROW
from exchanges.venue import FeedDown, FeedEnded, FeedItem, FeedTime, FeedUp
from market.ticks import BookDelta, BookInvalid, BookSnapshot, FeedAlive, QuoteInvalid, QuoteTick, TradeTick
from tests.exchanges.binance import recordings
from tests.exchanges.binance.loopback import Loopback, sends, until
from tests.exchanges.binance.watching import (
    BTC,
    DEPTH_PATH,
    T0,
    TOP,
    Watcher,
    book,
    clock_frame,
    depth,
    end_frame,
    quote,
    trade,
)


async def test_frames_become_items_in_order_after_the_subscription_is_confirmed(loopback: Loopback):
    loopback.scripts.append(sends(trade(1), quote(5), trade(2, "100.5")))
    async with Watcher(loopback) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 2)
    assert [type(item) for item in watcher.items] == [FeedUp, TradeTick, QuoteTick, TradeTick]
    assert loopback.subscriptions == [["btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms"]]
    stamps = [item.ts_init for item in watcher.items]
    assert stamps == sorted(stamps)


async def test_frames_that_overtake_the_answer_are_kept_until_it_is_there(loopback: Loopback):
    loopback.sent_before_the_answer = [trade(1), quote(5)]
    loopback.scripts.append(sends(trade(2)))
    async with Watcher(loopback) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 2)
    assert [type(item) for item in watcher.items] == [FeedUp, TradeTick, QuoteTick, TradeTick]


async def test_a_first_price_ten_times_away_from_what_is_known_is_refused_until_two_more_agree(loopback: Loopback):
    loopback.scripts.append(sends(
        trade(1, "10000"), quote(1, "10000", "10001"), trade(2, "100"), trade(3, "1"), trade(4, "1"), trade(5, "1"),
    ))
    watcher = Watcher(loopback)
    watcher.feed.know_prices({"BTC/USDT": Decimal(130), "ETH/USDT": Decimal(5)})
    async with watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 2)
    assert [(tick.trade_id, tick.price) for tick in watcher.of(TradeTick)] == [("2", 100), ("5", 1)]
    assert watcher.of(QuoteTick) == []
    assert watcher.feed.counters.refused_by_reason == {"jump": 4}


async def test_duplicates_and_older_frames_are_ignored_and_gaps_counted(loopback: Loopback):
    loopback.scripts.append(sends(
        trade(10), trade(10), trade(9), trade(11), trade(15), quote(5), quote(5), quote(4, bid="98"), quote(6, bid="97")
    ))
    async with Watcher(loopback) as watcher:
        await until(lambda: len(watcher.of(QuoteTick)) == 2)
    assert [tick.trade_id for tick in watcher.of(TradeTick)] == ["10", "11", "15"]
    assert [tick.bid for tick in watcher.of(QuoteTick)] == [99, 97]
    counters = watcher.feed.counters
    assert (counters.duplicates, counters.trade_gaps, counters.missed_trades) == (4, 1, 3)


async def test_bad_frames_are_counted_and_nothing_of_them_is_told(loopback: Loopback):
    loopback.scripts.append(sends(
        trade(1), "{broken", trade(2, "NaN"), trade(3, "-5"), quote(1, bid="102"), trade(4, "10000"), {"e": "what"},
        trade(5, "100.1"),
    ))
    async with Watcher(loopback) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 2)
    assert [tick.price for tick in watcher.of(TradeTick)] == [100, Decimal("100.1")]
    assert watcher.of(QuoteTick) == []
    assert [item.symbol for item in watcher.of(QuoteInvalid)] == ["BTC/USDT"]
    assert watcher.feed.counters.refused_by_reason == {
        "malformed": 1, "money": 2, "crossed": 1, "jump": 1, "unknown_event": 1
    }


async def test_the_book_joins_a_snapshot_fetched_while_frames_flow(loopback: Loopback):
    release = asyncio.Event()

    async def script(socket) -> None:
        await sends(depth(5, 8), depth(9, 11))(socket)
        await release.wait()
        await sends(depth(12, 12), trade(1))(socket)

    loopback.scripts.append(script)
    loopback.answer("GET", DEPTH_PATH, book(9))
    async with Watcher(loopback) as watcher:
        await until(lambda: loopback.calls("GET", DEPTH_PATH))
        release.set()
        await until(lambda: watcher.of(BookSnapshot))
    assert loopback.calls("GET", DEPTH_PATH) == [{"symbol": "BTCUSDT", "limit": "1000"}]
    deltas = watcher.of(BookDelta)
    assert [(each.first_sequence, each.last_sequence) for each in deltas][:2] == [(9, 11), (12, 12)]


async def test_a_book_gap_is_told_at_once_and_healed_by_a_new_snapshot(loopback: Loopback):
    gapped = asyncio.Event()

    async def script(socket) -> None:
        await sends(depth(10, 11))(socket)
        await until(lambda: watcher.feed.counters.snapshots == 0 and loopback.calls("GET", DEPTH_PATH))
        number = 12
        while not watcher.of(BookDelta):
            await sends(depth(number, number))(socket)
            number += 1
            await asyncio.sleep(0.005)
        loopback.answer("GET", DEPTH_PATH, book(number + 50))
        await sends(depth(number + 50, number + 51))(socket)
        gapped.set()
        number += 52
        while len(watcher.of(BookSnapshot)) < 2:
            await sends(depth(number, number))(socket)
            number += 1
            await asyncio.sleep(0.005)

    loopback.scripts.append(script)
    loopback.answer("GET", DEPTH_PATH, book(10))
    async with Watcher(loopback) as watcher:
        await until(lambda: len(watcher.of(BookSnapshot)) == 2)
    kinds = [type(item) for item in watcher.of(BookSnapshot, BookInvalid)]
    assert kinds == [BookSnapshot, BookInvalid, BookSnapshot]
    assert watcher.feed.counters.book_gaps == 1


async def test_a_closed_socket_is_told_and_reconnected_and_missed_trades_are_fetched(loopback: Loopback):
    loopback.scripts.append(sends(trade(1), trade(2), then_close=True))
    loopback.scripts.append(sends(trade(5), trade(6)))
    loopback.answer("GET", "/api/v3/trades", [
        {"id": number, "price": "100", "qty": "1", "time": T0 + number, "isBuyerMaker": True} for number in (2, 3, 4, 5)
    ])
    async with Watcher(loopback) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 6)
    assert [tick.trade_id for tick in watcher.of(TradeTick)] == ["1", "2", "3", "4", "5", "6"]
    down = watcher.of(FeedDown)
    assert len(down) == 1
    assert "closed by the venue" in down[0].reason
    # What was missed comes before the feed is called up again; trade 5, seen already, only proves life.
    assert [type(item) for item in watcher.items] == [
        FeedUp, TradeTick, TradeTick, FeedDown, TradeTick, TradeTick, TradeTick, FeedUp, FeedAlive, TradeTick
    ]
    assert watcher.feed.counters.reconnects == 1
    assert watcher.feed.counters.backfilled_trades == 3
    assert watcher.feed.counters.missed_trades == 0


async def test_a_lost_connection_voids_the_books(loopback: Loopback):
    async def script(socket) -> None:
        number = 11
        while not watcher.of(BookSnapshot):
            await sends(depth(number, number))(socket)
            number += 1
            await asyncio.sleep(0.005)
        await socket.close()

    loopback.answer("GET", DEPTH_PATH, book(10))
    loopback.scripts.append(script)
    async with Watcher(loopback) as watcher:
        await until(lambda: loopback.connections == 2)
    after_down = watcher.items[[type(item) for item in watcher.items].index(FeedDown) + 1]
    assert isinstance(after_down, BookInvalid)


async def test_while_the_stream_is_away_prices_are_asked_over_rest(loopback: Loopback):
    loopback.answer("GET", "/api/v3/ticker/bookTicker", [TOP])
    loopback.subscribe_error = {"error": {"code": 1, "msg": "maintenance"}}
    async with Watcher(loopback, poll_every_s=60.0) as watcher:
        await until(lambda: loopback.connections >= 4 and watcher.of(QuoteTick))
    (quote_tick,) = watcher.of(QuoteTick)  # not more often than asked for
    assert (quote_tick.bid, quote_tick.ask) == (99, 101)
    assert watcher.feed.counters.polled_quotes == 1


async def test_a_blocked_loop_is_not_taken_for_silence(loopback: Loopback):
    loopback.scripts.append(sends(trade(1), trade(2)))
    watcher = Watcher(loopback, watch_every_s=0.005)
    got: list[FeedItem] = []

    def slow(item: FeedItem) -> None:
        got.append(item)
        if isinstance(item, TradeTick) and item.trade_id == "1":
            time.sleep(20 * 0.005)  # far beyond MUTE_AFTER looks

    task = asyncio.create_task(watcher.feed.run([BTC], slow))
    await until(lambda: len(got) == 3)
    assert not any(isinstance(item, FeedDown) for item in got)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await watcher.feed.close()


async def test_messages_that_come_faster_than_they_are_handled_are_counted_as_a_backlog(loopback: Loopback):
    """F13: prices that wait are old, however lately they were taken from the wire."""
    loopback.scripts.append(sends(*(trade(number) for number in range(1, 61))))
    watcher = Watcher(loopback, watch_every_s=0.005)
    most = 0

    def busy(item: FeedItem) -> None:
        nonlocal most
        most = max(most, watcher.feed.counters.behind_looks)
        time.sleep(0.006)  # longer than one turn of the socket

    task = asyncio.create_task(watcher.feed.run([BTC], busy))
    await until(lambda: most >= 3)
    await until(lambda: watcher.feed.counters.behind_looks == 0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await watcher.feed.close()


async def test_a_frame_above_five_megabytes_ends_the_connection_and_is_counted(loopback: Loopback):
    loopback.scripts += [sends("[" + " " * 5_000_001 + "]"), sends(trade(1))]
    async with Watcher(loopback) as watcher:
        await until(lambda: watcher.of(TradeTick))
    assert watcher.feed.counters.refused_by_reason == {"too_large": 1}


async def test_only_nonsense_leads_to_a_new_subscription(loopback: Loopback):
    loopback.scripts += [sends(*["{nonsense"] * REFUSED_IN_A_ROW), sends(trade(1))]
    async with Watcher(loopback) as watcher:
        await until(lambda: watcher.of(TradeTick))
    assert "refused" in watcher.of(FeedDown)[0].reason
    assert watcher.feed.counters.reconnects == 1


async def test_a_refused_subscription_is_told_once_with_the_venues_words(loopback: Loopback):
    loopback.subscribe_error = {"error": {"code": 2, "msg": "Invalid request: unknown stream"}}
    async with Watcher(loopback) as watcher:
        await until(lambda: loopback.connections == 3)
    (down,) = watcher.items
    assert isinstance(down, FeedDown)
    assert "unknown stream" in down.reason


async def test_what_the_sink_raises_ends_the_feed(loopback: Loopback):
    loopback.scripts.append(sends(trade(1)))
    feed = Watcher(loopback).feed

    def broken(item: FeedItem) -> None:
        raise OSError("the journal's disk is full")

    with pytest.raises(OSError, match="disk is full"):
        await feed.run([BTC], broken)
    await feed.close()


async def test_every_frame_is_shown_as_it_came_behind_what_followed_from_it(loopback: Loopback):
    said: list[object] = []
    frames = [trade(1), trade(2, "NaN"), quote(5)]
    loopback.scripts.append(sends(*frames))
    feed = Watcher(loopback, on_frame=lambda ns, raw: said.append((ns, orjson.loads(raw)))).feed

    def sink(item: FeedItem) -> None:
        said.append(item)
        if isinstance(item, QuoteTick):
            raise OSError("the journal's disk is full")

    with pytest.raises(OSError, match="disk is full"):
        await feed.run([BTC], sink)
    await feed.close()
    up, first, first_frame, bad_frame, second, second_frame = said
    assert isinstance(up, FeedUp)
    assert isinstance(first, TradeTick)
    assert isinstance(second, QuoteTick)
    assert [first_frame, second_frame] == [(first.ts_init, frames[0]), (second.ts_init, frames[2])]
    assert isinstance(bad_frame, tuple)
    assert bad_frame[1] == frames[1]


async def test_too_many_symbols_are_refused_with_the_remedy(loopback: Loopback):
    feed = Watcher(loopback).feed
    with pytest.raises(VenueError, match="Shorten `symbols`"):
        await feed.run([BTC] * 400, lambda item: None)
    await feed.close()


# ---- replay ----------------------------------------------------------------------------------------


async def replay(server: Loopback, *frames: dict, snapshot: int = 10) -> list[FeedItem]:
    server.scripts.append(sends(*frames))
    server.answer("GET", DEPTH_PATH, book(snapshot))
    async with Watcher(server, is_replay=True) as watcher:
        assert watcher.task is not None
        await asyncio.wait_for(watcher.task, 5)
    return watcher.items


async def test_a_replay_owns_the_time_and_ends_for_good(loopback: Loopback):
    items = await replay(loopback, clock_frame(1), trade(1), clock_frame(7), quote(1), trade(2), end_frame(9))
    at = [(T0 + offset) * 1_000_000 for offset in (1, 7, 9)]
    assert [type(item) for item in items] == [
        FeedTime, FeedUp, TradeTick, FeedTime, QuoteTick, TradeTick, FeedEnded
    ]
    assert [item.ts_init for item in items] == [at[0], at[0], at[0], at[1], at[1], at[1], at[2]]


async def test_a_replay_subscribes_everything_in_one_message(loopback: Loopback):
    await replay(loopback, end_frame(1))
    assert loopback.subscriptions == [
        ["btcusdt@trade", "btcusdt@aggTrade", "btcusdt@bookTicker", "btcusdt@depth@100ms", "practice@clock"]
    ]


async def test_a_replay_fetches_its_snapshot_before_the_first_frame_and_joins_at_the_bridge(loopback: Loopback):
    items = await replay(
        loopback, clock_frame(1), depth(8, 9), clock_frame(2), depth(10, 12), depth(13, 13), end_frame(3)
    )
    assert [type(item) for item in items if not isinstance(item, FeedAlive)] == [
        FeedTime, FeedUp, FeedTime, BookSnapshot, BookDelta, BookDelta, FeedEnded
    ]
    assert len(loopback.calls("GET", DEPTH_PATH)) == 1


async def test_a_gap_in_a_recording_is_healed_without_asking_the_server(loopback: Loopback):
    items = await replay(loopback, clock_frame(1), depth(11, 12), depth(20, 22), depth(23, 23), end_frame(3))
    kinds = [type(item) for item in items if isinstance(item, BookSnapshot | BookDelta | BookInvalid)]
    assert kinds == [BookSnapshot, BookDelta, BookInvalid, BookSnapshot, BookDelta, BookDelta]
    assert len(loopback.calls("GET", DEPTH_PATH)) == 1


async def test_aggregated_trades_count_only_until_the_first_trade(loopback: Loopback):
    items = await replay(
        loopback, clock_frame(1), trade(5, kind="aggTrade"), trade(6, kind="aggTrade"), trade(100),
        trade(7, kind="aggTrade"), trade(101), end_frame(3),
    )
    assert [item.trade_id for item in items if isinstance(item, TradeTick)] == ["agg-5", "agg-6", "100", "101"]


async def test_the_same_recording_gives_the_same_items_twice(loopback: Loopback):
    frames = [clock_frame(1), depth(8, 11), trade(1), quote(3), clock_frame(2), depth(14, 15), trade(1), trade(9),
              clock_frame(300), quote(2), end_frame(400)]
    first = await replay(loopback, *frames)
    assert await replay(loopback, *frames) == first


def recorded_script(limit: int) -> tuple[list[dict | str], dict]:
    """The first frames of a recording as the practice exchange replays them, and its book snapshot."""
    frames: list[dict | str] = []
    snapshot, last_ms = {}, 0
    for received, direction, text in recordings.lines("ws_spot_btcusdt_20240808.tsv.gz"):
        if direction == "=":
            snapshot = orjson.loads(text.split(" ", 1)[1])
        elif direction == "<" and len(frames) < limit:
            if received // 1_000_000 > last_ms:
                last_ms = received // 1_000_000
                frames.append({"stream": "practice@clock", "data": {"e": "practiceClock", "N": received}})
            frames.append(text)
    frames.append({"stream": "practice@clock", "data": {"e": "practiceEnd", "N": received}})
    return frames, snapshot


@pytest.mark.shared
async def test_a_recorded_market_replays_whole_in_time_order_and_the_same_twice(loopback: Loopback):
    frames, snapshot = recorded_script(6000)
    runs: list[list[FeedItem]] = []
    for _ in range(2):
        loopback.scripts.append(sends(*frames))
        loopback.answer("GET", DEPTH_PATH, snapshot)
        async with Watcher(loopback, is_replay=True) as watcher:
            assert watcher.task is not None
            await asyncio.wait_for(watcher.task, 30)
        runs.append(watcher.items)
        counters = watcher.feed.counters
        assert counters.refused_by_reason == {}
        assert (counters.duplicates, counters.trade_gaps, counters.book_gaps) == (0, 0, 0)
    assert runs[0] == runs[1]
    stamps = [item.ts_init for item in runs[0]]
    assert stamps == sorted(stamps)
    sent = [frame for frame in frames if isinstance(frame, str)]
    assert sum(isinstance(item, QuoteTick) for item in runs[0]) == sum("bookTicker" in frame for frame in sent)
    assert sum(isinstance(item, TradeTick) for item in runs[0]) == sum("@trade" in frame for frame in sent)
    assert [type(item) for item in runs[0]].count(BookSnapshot) == 1
    assert not [item for item in runs[0] if isinstance(item, BookInvalid)]


# ---- REST ------------------------------------------------------------------------------------------


async def test_candles_leave_out_the_one_still_open(loopback: Loopback):
    now_ms = LiveClock().now() // 1_000_000
    opened = now_ms - now_ms % 60_000
    rows = [
        [opened - 60_000 * back, "10", "12", "9", "11", "5", 0, "50", 7, "2", "20", "0"] for back in (2, 1, 0)
    ]
    loopback.answer("GET", "/api/v3/klines", rows)
    loopback.answer("GET", "/api/v3/time", {"serverTime": now_ms})
    feed = Watcher(loopback).feed
    candles = await feed.candles(BTC, "1m", 10)
    await feed.close()
    assert [candle.ts_open // 1_000_000 for candle in candles] == [opened - 120_000, opened - 60_000]
    assert all(candle.is_warmup and candle.ts_init == candle.ts_open + 60_000_000_000 for candle in candles)
    assert (candles[0].open, candles[0].high, candles[0].low, candles[0].close) == (10, 12, 9, 11)
    assert (candles[0].volume, candles[0].taker_buy_volume) == (5, 2)
    assert loopback.calls("GET", "/api/v3/klines") == [{"symbol": "BTCUSDT", "interval": "1m", "limit": "11"}]


async def test_candles_of_a_replay_end_where_the_recording_begins(loopback: Loopback):
    rows = [[T0 - T0 % 1000 + 1000 * number, "10", "12", "9", "11", "5", 0, "50", 7] for number in range(5)]
    loopback.answer("GET", "/api/v3/klines", rows)
    loopback.answer("GET", "/practice/v1/info", {"first_ns": (rows[2][0] + 500) * 1_000_000})
    feed = Watcher(loopback, is_replay=True).feed
    candles = await feed.candles(BTC, "1s", 100)
    await feed.close()
    assert len(candles) == 2


async def test_an_interval_the_venue_lacks_gives_no_candles(loopback: Loopback):
    loopback.answer("GET", "/api/v3/time", {"serverTime": T0})
    loopback.answer("GET", "/api/v3/klines", {"code": -1120, "msg": "Invalid interval."}, status=400)
    feed = Watcher(loopback).feed
    assert await feed.candles(BTC, "5s", 10) == []
    await feed.close()


async def test_an_address_that_is_no_binance_is_explained(loopback: Loopback):
    loopback.answer("GET", "/api/v3/exchangeInfo", {"hello": 1})
    feed = Watcher(loopback).feed
    with pytest.raises(VenueError, match="rest_url"):
        await feed.instruments()
    await feed.close()
