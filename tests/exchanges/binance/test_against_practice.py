"""The client modules against the practice exchange, over real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest_asyncio

from bus.clock import FeedClock, LiveClock
from bus.ids import ClientOrderId, VenueOrderId
from bus.messages.orders import ExecutionReport
from exchanges.binance.orders import BinanceConfig, BinanceVenue
from exchanges.binance.stream import BinanceFeed
from exchanges.practice.config import PracticeConfig, PracticeUrls
from exchanges.practice.server import serve
from exchanges.venue import FeedEnded, FeedItem, FeedTime, FeedUp
from market.book import OrderBook
from market.ticks import BookDelta, BookInvalid, BookSnapshot, QuoteTick, TradeTick
from tests.exchanges.approvals import approved_order
from tests.exchanges.binance import recordings
from tests.exchanges.binance.loopback import until
from tests.shared_data import shared_file


@contextlib.asynccontextmanager
async def running(config: PracticeConfig) -> AsyncIterator[PracticeUrls]:
    ready: asyncio.Future[PracticeUrls] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(config, ready.set_result))
    try:
        yield await asyncio.wait_for(ready, 10)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest_asyncio.fixture
async def practice(tmp_path: Path) -> AsyncIterator[PracticeUrls]:
    async with running(PracticeConfig(tmp_path, symbols=("BTC/USDT", "ETH/USDT"))) as urls:
        yield urls


def feed_of(urls: PracticeUrls, *, is_replay: bool = False) -> BinanceFeed:
    return BinanceFeed(
        "practice", urls.rest_url, urls.ws_url, clock=FeedClock() if is_replay else LiveClock(), jitter=lambda: 0.5,
        is_replay=is_replay,
    )


async def test_the_synthetic_market_arrives_without_a_refusal_and_its_books_never_cross(practice: PracticeUrls):
    feed = feed_of(practice)
    instruments = await feed.instruments()
    books = {each.symbol: OrderBook(each.symbol) for each in instruments}
    counts = {QuoteTick: 0, TradeTick: 0, BookDelta: 0}

    def sink(item: FeedItem) -> None:
        assert not isinstance(item, BookInvalid)
        if isinstance(item, BookSnapshot):
            assert books[item.symbol].apply_snapshot(item)
        elif isinstance(item, BookDelta):
            assert books[item.symbol].apply_delta(item)
        if type(item) in counts:
            counts[type(item)] += 1

    task = asyncio.create_task(feed.run(instruments, sink))
    await until(lambda: all(count >= 5 for count in counts.values()) and all(b.is_valid for b in books.values()), 15)
    candles = await feed.candles(instruments[0], "1s", 50)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await feed.close()
    assert feed.counters.refused_by_reason == {}
    assert feed.counters.book_gaps == feed.counters.trade_gaps == 0
    assert len(candles) == 50
    opens = [candle.ts_open for candle in candles]
    assert opens == list(range(opens[0], opens[0] + 50 * 10**9, 10**9))


async def test_orders_live_and_end_as_the_exchange_says(practice: PracticeUrls):
    feed = feed_of(practice)
    instruments = await feed.instruments()
    reports: list[ExecutionReport] = []
    venue = BinanceVenue(
        BinanceConfig("practice", practice.rest_url, practice.ws_api_url, "key", "secret"), reports.append,
        LiveClock(), instruments, jitter=lambda: 0.5,
    )

    def kinds(client_order_id: str) -> list[str]:
        return [each.exec_type for each in reports if each.client_order_id == client_order_id]

    await venue.start()
    before = await venue.balances()
    await until(lambda: venue.stream.is_up)
    venue.submit(approved_order("td-market", quantity="0.01"))
    # Told twice, by the answer and by the stream: the trade id makes it one.
    await until(lambda: kinds("td-market").count("fill") >= 2)
    assert len({each.trade_id for each in reports if each.exec_type == "fill"}) * 2 == kinds("td-market").count("fill")
    after = await venue.balances()
    fills = {each.trade_id: each for each in reports if each.exec_type == "fill"}.values()
    assert before["USDT"] - after["USDT"] == sum(each.quantity * each.price for each in fills)
    assert after["BTC"] == sum(each.quantity - each.fee for each in fills)

    venue.submit(approved_order("td-rest", wire_type="limit", price="1000.00", quantity="0.02"))
    await until(lambda: "accepted" in kinds("td-rest"))
    (working,) = await venue.open_orders()
    assert (working.client_order_id, working.symbol, working.quantity) == ("td-rest", "BTC/USDT", Decimal("0.02"))
    venue.cancel(ClientOrderId("td-rest"), VenueOrderId(""), "BTC/USDT")
    await until(lambda: "cancelled" in kinds("td-rest"))
    assert await venue.open_orders() == []

    venue.submit(approved_order("td-much", quantity="1000"))
    venue.query(ClientOrderId("td-never"), "BTC/USDT")
    await until(lambda: "rejected" in kinds("td-much") and kinds("td-never"))
    assert kinds("td-never") == ["not_found"]
    await venue.close()
    await feed.close()


async def replayed(tmp_path: Path, name: str) -> list[FeedItem]:
    items: list[FeedItem] = []

    def sink(item: FeedItem) -> None:
        items.append(item)

    config = PracticeConfig(
        tmp_path, replay=(shared_file(f"messages/binance/{name}"),), speed=0.0, not_before_ns=1_800_000_000_000_000_000
    )
    async with running(config) as urls:
        feed = feed_of(urls, is_replay=True)
        await asyncio.wait_for(feed.run(await feed.instruments(), sink), 30)
        assert feed.counters.refused_by_reason == {}
        await feed.close()
    return items


async def test_a_replay_gives_every_recorded_fact_and_the_same_ones_twice(tmp_path: Path):
    name = "ws1.tsv.gz"
    first = await replayed(tmp_path / "a", name)
    assert await replayed(tmp_path / "b", name) == first
    texts = [text for _, text in recordings.frames(name)]
    assert sum(isinstance(item, QuoteTick) for item in first) == sum("bookTicker" in text for text in texts)
    assert [type(item) for item in first[:2]] == [FeedTime, FeedUp]
    assert isinstance(first[-1], FeedEnded)
    stamps = [item.ts_init for item in first]
    assert stamps == sorted(stamps)
