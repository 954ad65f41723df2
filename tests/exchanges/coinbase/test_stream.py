import asyncio

from exchanges.coinbase import stream as stream_module
from exchanges.venue import FeedDown, FeedUp
from market.ticks import BookDelta, BookInvalid, BookSnapshot, FeedAlive, QuoteInvalid, QuoteTick, TradeTick
from tests.exchanges.coinbase.exchange import Exchange, Feed, answers, until
from tests.exchanges.coinbase.watching import HEARTBEAT, SNAPSHOT, D, Watcher, book, plays, ticker, trade, trade_row


async def test_every_channel_is_asked_for_and_its_frames_become_items_in_order(exchange: Exchange):
    exchange.on_subscribed.append(plays(
        trade(5, kind="snapshot"), ticker("98.5", "101"), SNAPSHOT, trade(6), book("update", ("bid", "99.7", "2")),
        trade(7, "100.5"),
    ))
    async with Watcher(exchange) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 2)
    assert [wish["channel"] for wish in exchange.subscriptions] == ["heartbeats", "market_trades", "ticker", "level2"]
    assert all(wish["product_ids"] == ["BTC-USD"] for wish in exchange.subscriptions)
    kinds = [type(item) for item in watcher.items if not isinstance(item, FeedAlive)]
    assert kinds == [FeedUp, QuoteTick, BookSnapshot, QuoteTick, TradeTick, BookDelta, QuoteTick, TradeTick]
    assert [tick.trade_id for tick in watcher.of(TradeTick)] == ["6", "7"]
    assert [quote.bid for quote in watcher.of(QuoteTick)] == [D("98.5"), 99, D("99.7")]
    assert watcher.served().best_bid == (D("99.7"), D(2))


async def test_a_first_price_ten_times_away_from_what_is_known_is_refused(exchange: Exchange):
    exchange.on_subscribed.append(plays(SNAPSHOT, trade(5, "10000"), ticker("10000", "10001"), trade(6, "100.5")))
    watcher = Watcher(exchange)
    watcher.feed.know_prices({"BTC/USD": D(130)})
    async with watcher:
        await until(lambda: watcher.of(TradeTick))
    assert [tick.price for tick in watcher.of(TradeTick)] == [D("100.5")]
    assert watcher.feed.counters.refused_by_reason["jump"] >= 1


async def test_a_missing_frame_voids_the_book_and_the_missed_trades_come_before_anything_newer(exchange: Exchange):
    async def skip(feed: Feed) -> None:
        await plays(SNAPSHOT, trade(6))(feed)
        feed.sequence += 1
        await plays(trade(9))(feed)

    exchange.bodies["/market/products/BTC-USD/ticker"] = {
        "trades": [trade_row(number) for number in (9, 8, 7, 6)], "best_bid": "", "best_ask": "",
    }
    exchange.on_subscribed += [plays(trade(5), SNAPSHOT, trade(6)), plays(SNAPSHOT, trade(10))]
    exchange.on_subscribed[0] = skip
    async with Watcher(exchange) as watcher:
        await until(lambda: [tick.trade_id for tick in watcher.of(TradeTick)][-1:] == ["10"])
    assert [tick.trade_id for tick in watcher.of(TradeTick)] == ["6", "7", "8", "9", "10"]
    kinds = [type(item) for item in watcher.items]
    assert kinds.index(BookInvalid) < kinds.index(FeedDown)
    assert watcher.feed.counters.backfilled_trades == 3
    assert watcher.feed.counters.book_gaps == 1
    assert watcher.served().is_valid


async def test_trades_of_the_opening_snapshot_fill_the_hole_after_a_reconnect(exchange: Exchange):
    opening = ("market_trades", {"type": "snapshot", "trades": [trade_row(8), trade_row(7), trade_row(6)]})
    exchange.on_subscribed += [plays(SNAPSHOT, trade(6)), plays(opening, SNAPSHOT, trade(9))]
    async with Watcher(exchange) as watcher:
        await until(lambda: watcher.of(TradeTick))
        await exchange.drop()
        await until(lambda: len(watcher.of(TradeTick)) == 4)
    assert [tick.trade_id for tick in watcher.of(TradeTick)] == ["6", "7", "8", "9"]


async def test_frames_seen_before_change_nothing(exchange: Exchange):
    async def script(feed: Feed) -> None:
        await plays(SNAPSHOT, trade(6), book("update", ("bid", "99.5", "1")))(feed)
        await feed.send("l2_data", [book("update", ("bid", "99.5", "0"))[1]], sequence=feed.sequence - 1)
        await feed.send("market_trades", [trade(7)[1]], sequence=feed.sequence - 1)
        await plays(trade(6), trade(8))(feed)

    exchange.on_subscribed.append(script)
    async with Watcher(exchange) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 2)
    assert [tick.trade_id for tick in watcher.of(TradeTick)] == ["6", "8"]
    assert watcher.served().best_bid == (D("99.5"), D(1))
    assert watcher.feed.counters.duplicates == 3


async def test_a_crossed_book_is_void_at_once_and_asked_for_anew_on_the_same_connection(exchange: Exchange):
    exchange.on_subscribed += [
        plays(SNAPSHOT, book("update", ("bid", "102", "1")), trade(6), book("update", ("bid", "98", "5"))),
        plays(book("snapshot", ("bid", "98", "1"), ("offer", "100", "1"))),
    ]
    async with Watcher(exchange) as watcher:
        await until(lambda: len(watcher.of(BookSnapshot)) == 2)
    assert watcher.of(BookDelta) == []
    assert [item.reason for item in watcher.of(BookInvalid)] == ["the book is crossed"]
    assert [item.symbol for item in watcher.of(QuoteInvalid)] == ["BTC/USD"]
    assert watcher.feed.counters.reconnects == 0
    assert [wish["type"] for wish in exchange.subscriptions[4:]] == ["unsubscribe", "subscribe"]
    assert watcher.served().best_ask == (D(100), D(1))
    assert all(quote.bid < quote.ask for quote in watcher.of(QuoteTick))


async def test_a_crossed_snapshot_is_never_served(exchange: Exchange):
    exchange.on_subscribed.append(plays(book("snapshot", ("bid", "102", "1"), ("offer", "101", "1")), trade(6)))
    async with Watcher(exchange) as watcher:
        await until(lambda: watcher.of(TradeTick))
    assert watcher.of(BookSnapshot, QuoteTick) == []


async def test_bad_frames_are_counted_and_nothing_of_them_is_told(exchange: Exchange):
    exchange.on_subscribed += [plays(
        SNAPSHOT, trade(6), "{broken", trade(7, "NaN"), trade(8, "-5"), ticker("102", "101"), trade(9, "100000"),
        book("update", ("bid", "NaN", "1")), trade(10, "100.1"),
    ), plays(SNAPSHOT)]
    async with Watcher(exchange) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 2)
        await until(lambda: len(watcher.of(BookSnapshot)) == 2)
    assert [tick.price for tick in watcher.of(TradeTick)] == [100, D("100.1")]
    assert watcher.feed.counters.refused_by_reason == {"malformed": 1, "money": 3, "crossed": 1, "jump": 1}
    assert len(watcher.of(QuoteInvalid)) == 1
    assert len(watcher.of(BookInvalid)) == 1


async def test_a_connection_that_falls_mute_after_a_heartbeat_is_given_up(exchange: Exchange, monkeypatch):
    monkeypatch.setattr("exchanges.coinbase.silence.MUTE_S", 0.05)
    exchange.on_subscribed += [plays(SNAPSHOT, HEARTBEAT), plays(SNAPSHOT, HEARTBEAT, trade(6))]
    async with Watcher(exchange) as watcher:
        await until(lambda: watcher.of(TradeTick))
    assert any("mute" in item.reason for item in watcher.of(FeedDown))


async def test_a_quiet_market_without_heartbeats_is_no_fault_while_rest_agrees(exchange: Exchange, monkeypatch):
    monkeypatch.setattr("exchanges.coinbase.silence.QUIET_S", 0.02)
    monkeypatch.setattr("exchanges.coinbase.silence.MUTE_S", 1.0)
    exchange.on_subscribed.append(plays(SNAPSHOT))  # 99 and 101, as REST says too
    async with Watcher(exchange) as watcher:
        await until(lambda: watcher.feed.counters.quiet_checks >= 2)
    assert watcher.of(FeedDown) == []


async def test_a_channel_that_dies_on_a_living_connection_is_noticed(exchange: Exchange, monkeypatch):
    monkeypatch.setattr("exchanges.coinbase.silence.DEAD_CHANNEL_S", 0.05)
    monkeypatch.setattr("exchanges.coinbase.silence.QUIET_S", 0.03)
    exchange.on_subscribed += [plays(book("snapshot", ("bid", "50", "1"), ("offer", "51", "1")), HEARTBEAT), plays()]
    async with Watcher(exchange) as watcher:
        async def beat() -> None:
            while not watcher.of(FeedDown):
                await exchange.broadcast(*HEARTBEAT)
                await asyncio.sleep(0.005)

        await asyncio.wait_for(beat(), 5)
    assert "no frame tells of it" in watcher.of(FeedDown)[0].reason


async def test_best_prices_are_asked_over_rest_while_the_stream_is_away(exchange: Exchange):
    exchange.is_mute = True
    async with Watcher(exchange, poll_every_s=0.01) as watcher:
        original, stream_module.ANSWER_TIMEOUT_S = stream_module.ANSWER_TIMEOUT_S, 0.02  # type: ignore[misc]
        try:
            await until(lambda: watcher.of(QuoteTick))
        finally:
            stream_module.ANSWER_TIMEOUT_S = original  # type: ignore[misc]
    first = watcher.of(QuoteTick)[0]
    assert (first.bid, first.ask) == (99, 101)
    assert watcher.of(FeedUp) == []


async def test_a_refused_subscription_is_told_in_the_venues_words(exchange: Exchange):
    async def refuse(feed: Feed) -> None:
        await feed.socket.send_str('{"type":"error","message":"unknown product"}')

    exchange.on_subscribed.append(refuse)
    async with Watcher(exchange) as watcher:
        await until(lambda: watcher.of(FeedDown))
    assert "unknown product" in watcher.of(FeedDown)[0].reason


async def test_candles_and_instruments_come_over_rest(exchange: Exchange):
    exchange.bodies["/market/products/BTC-USD/candles"] = {"candles": [
        {"start": str(start), "low": "1", "high": "3", "open": "2", "close": "2.5", "volume": "7"}
        for start in (1_700_000_160, 1_700_000_100, 4_000_000_000)
    ]}
    watcher = Watcher(exchange)
    (instrument,) = await watcher.feed.instruments()
    candles = await watcher.feed.candles(instrument, "1m", 10)
    assert await watcher.feed.candles(instrument, "1s", 10) == []
    offset = await watcher.feed.clock_offset_ns()
    await watcher.feed.close()
    assert (instrument.symbol, instrument.price_tick, instrument.min_notional) == ("BTC/USD", D("0.01"), D(1))
    assert [candle.ts_open // 10**9 for candle in candles] == [1_700_000_100, 1_700_000_160]
    assert abs(offset) < 10**9


async def test_rest_reads_are_repeated_after_errors_that_pass(exchange: Exchange):
    exchange.fail("GET", "/market/products", answers("oops", 503), answers("slow down", 429, {"Retry-After": "0"}))
    watcher = Watcher(exchange)
    watcher.feed._rest._rest._first_pause_s = 0.001
    assert len(await watcher.feed.instruments()) == 1
    await watcher.feed.close()
