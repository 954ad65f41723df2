"""Our own Coinbase adapter at the practice exchange's Coinbase door, over real sockets, keys checked."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path

import orjson
import pytest_asyncio

from bus.clock import LiveClock
from bus.ids import ClientOrderId, VenueOrderId
from bus.messages.orders import ExecutionReport
from exchanges.coinbase.orders import CoinbaseConfig, CoinbaseVenue
from exchanges.coinbase.stream import CoinbaseFeed
from exchanges.practice.config import PracticeConfig, PracticeUrls
from exchanges.venue import FeedItem
from market.book import OrderBook
from market.ticks import BookDelta, BookInvalid, BookSnapshot, QuoteTick, TradeTick
from tests.exchanges.approvals import approved_order
from tests.exchanges.practice.running import running


async def until(look: Callable[[], object], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not look():  # noqa: ASYNC110  # what is awaited is a list that another task fills
            await asyncio.sleep(0.005)


@pytest_asyncio.fixture
async def urls(tmp_path: Path) -> AsyncIterator[PracticeUrls]:
    async with running(PracticeConfig(tmp_path, symbols=("BTC/USD",), checks_coinbase_key=True)) as found:
        yield found


def feed_of(urls: PracticeUrls) -> CoinbaseFeed:
    return CoinbaseFeed("coinbase", urls.rest_url, urls.coinbase_ws_url, clock=LiveClock(), jitter=lambda: 0.5)


async def test_the_market_arrives_without_a_refusal_and_its_book_never_crosses(urls: PracticeUrls) -> None:
    feed = feed_of(urls)
    instruments = await feed.instruments()
    book = OrderBook("BTC/USD")
    counts = {QuoteTick: 0, TradeTick: 0, BookDelta: 0}

    def sink(item: FeedItem) -> None:
        assert not isinstance(item, BookInvalid)
        if isinstance(item, BookSnapshot):
            assert book.apply_snapshot(item)
        elif isinstance(item, BookDelta):
            assert book.apply_delta(item)
        if type(item) in counts:
            counts[type(item)] += 1

    task = asyncio.create_task(feed.run(instruments, sink))
    await until(lambda: all(count >= 5 for count in counts.values()) and book.is_valid)
    candles = await feed.candles(instruments[0], "1m", 50)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await feed.close()
    assert feed.counters.refused_by_reason == {}
    assert feed.counters.book_gaps == feed.counters.trade_gaps == 0
    assert len(candles) == 50


async def test_orders_live_and_end_as_the_exchange_says(urls: PracticeUrls, tmp_path: Path) -> None:
    reports: list[ExecutionReport] = []

    def kinds(client_order_id: str) -> list[str]:
        return [each.exec_type for each in reports if each.client_order_id == client_order_id]

    feed = feed_of(urls)
    instruments = await feed.instruments()
    await feed.close()
    key = orjson.loads((tmp_path / "practice" / "coinbase-key.json").read_bytes())
    config = CoinbaseConfig("coinbase", urls.rest_url, urls.coinbase_ws_user_url, key["name"], key["privateKey"])
    venue = CoinbaseVenue(config, reports.append, LiveClock(), instruments, jitter=lambda: 0.5)
    await venue.start()
    try:
        before = await venue.balances()
        venue.submit(approved_order(
            "td-buy", symbol="BTC/USD", wire_type="limit", time_in_force="IOC", price="120000.00", quantity="0.01",
        ))
        await until(lambda: "fill" in kinds("td-buy"))
        after = await venue.balances()
        fills = {each.trade_id: each for each in reports if each.exec_type == "fill"}.values()
        assert sum(each.quantity for each in fills) == after["BTC"] == Decimal("0.01")
        assert before["USD"] - after["USD"] == sum(each.quantity * each.price + each.fee for each in fills)
        assert {each.fee_asset for each in fills} == {"USD"}

        venue.submit(approved_order("td-rest", symbol="BTC/USD", wire_type="limit", price="1000.00", quantity="0.02"))
        await until(lambda: "accepted" in kinds("td-rest"))
        assert [each.client_order_id for each in await venue.open_orders()] == ["td-rest"]
        venue.cancel(ClientOrderId("td-rest"), VenueOrderId(""), "BTC/USD")
        await until(lambda: "cancelled" in kinds("td-rest"))
        venue.submit(approved_order("td-much", symbol="BTC/USD", wire_type="limit", price="90000.00", quantity="1000"))
        await until(lambda: "rejected" in kinds("td-much"))
    finally:
        await venue.close()
