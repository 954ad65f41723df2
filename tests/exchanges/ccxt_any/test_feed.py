"""An unmodified ccxt against the practice exchange: pushed, asked for, and cut off."""

import asyncio
import decimal
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
from websockets.asyncio.server import ServerConnection, serve

from bus.clock import LiveClock
from exchanges.answers import VenueError
from exchanges.ccxt_any.feed import CcxtFeed
from exchanges.practice.config import PracticeConfig, PracticeUrls
from exchanges.venue import FeedDown, FeedItem, FeedUp
from market.instrument import Instrument
from market.ticks import QuoteTick, TradeTick
from tests.exchanges.binance.loopback import until
from tests.exchanges.practice.running import running

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def pointed(urls: PracticeUrls, *, is_pushed: bool) -> Any:
    import ccxt.pro

    exchange = ccxt.pro.binance({
        "enableRateLimit": False,
        "options": {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False,
                    "fetchMargins": False},
    })

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: replaced(one) for key, one in value.items()}
        return f"{urls.rest_url}/api/v3" if isinstance(value, str) else value

    sockets = {**exchange.urls["api"]["ws"], "spot": urls.ws_url.replace("/stream", "/ws")}
    exchange.urls["api"] = {**replaced(exchange.urls["api"]), "ws": sockets}
    if not is_pushed:
        exchange.has = {**exchange.has, "watchTrades": False, "watchOrderBook": False}
    return exchange


@pytest_asyncio.fixture
async def urls(tmp_path: Path) -> AsyncIterator[PracticeUrls]:
    async with running(PracticeConfig(tmp_path, symbols=("BTC/USDT", "ETH/USDT"))) as found:
        yield found


def feed_of(urls: PracticeUrls, *, is_pushed: bool = True) -> CcxtFeed:
    return CcxtFeed(
        "binance", clock=LiveClock(), jitter=lambda: 0.5, poll_every_s=0.05, first_backoff_s=0.05,
        make_exchange=lambda: pointed(urls, is_pushed=is_pushed),
    )


@pytest.mark.parametrize("is_pushed", [True, False])
async def test_trades_and_quotes_of_every_symbol_come_once(urls: PracticeUrls, is_pushed: bool):
    feed, items = feed_of(urls, is_pushed=is_pushed), list[FeedItem]()
    instruments = await feed.instruments()
    assert [each.symbol for each in instruments] == ["BTC/USDT", "ETH/USDT"]
    running_feed = asyncio.create_task(feed.run(instruments, items.append))
    try:
        wanted = {(kind, each.symbol) for kind in (TradeTick, QuoteTick) for each in instruments}
        await until(lambda: wanted <= {(type(item), getattr(item, "symbol", "")) for item in items}, 15)
    finally:
        running_feed.cancel()
        await asyncio.gather(running_feed, return_exceptions=True)
        await feed.close()
    assert isinstance(items[0], FeedUp)
    trades = [(item.symbol, item.trade_id) for item in items if isinstance(item, TradeTick)]
    assert len(trades) == len(set(trades))


@pytest.mark.parametrize("is_pushed", [True, False])
async def test_prices_ten_times_away_from_what_is_known_are_refused_until_three_agree(
    urls: PracticeUrls, is_pushed: bool,
):
    feed, items = feed_of(urls, is_pushed=is_pushed), list[FeedItem]()
    instruments = await feed.instruments()
    feed.know_prices({"BTC/USDT": Decimal(1)})
    running_feed = asyncio.create_task(feed.run(instruments, items.append))
    try:
        await until(lambda: any(getattr(item, "symbol", "") == "BTC/USDT" for item in items), 15)
    finally:
        running_feed.cancel()
        await asyncio.gather(running_feed, return_exceptions=True)
        await feed.close()
    assert feed.counters.refused_by_reason == {"jump": 2}


async def test_a_symbol_that_is_left_out_is_not_asked_about_until_it_is_listed_again(urls: PracticeUrls):
    feed, items = feed_of(urls), list[FeedItem]()
    instruments = await feed.instruments()
    feed.leave_out({"ETH/USDT"})
    running_feed = asyncio.create_task(feed.run(instruments, items.append))
    try:
        await until(lambda: sum(isinstance(item, TradeTick) for item in items) >= 3, 15)
        assert {item.symbol for item in items if isinstance(item, TradeTick | QuoteTick)} == {"BTC/USDT"}
        feed.leave_out(set())
        await until(lambda: any(isinstance(item, TradeTick) and item.symbol == "ETH/USDT" for item in items), 15)
    finally:
        running_feed.cancel()
        await asyncio.gather(running_feed, return_exceptions=True)
        await feed.close()
    (down,) = [item for item in items if isinstance(item, FeedDown)]
    assert down.reason == "the venue lists other symbols than before"


async def test_trades_stamped_far_ahead_of_our_clock_count_as_heard_and_are_counted(urls: PracticeUrls):
    class SlowClock(LiveClock):
        def now(self) -> int:
            return super().now() - 3_600_000_000_000

    items = list[FeedItem]()
    feed = CcxtFeed(
        "binance", clock=SlowClock(), jitter=lambda: 0.5, first_backoff_s=0.05,
        make_exchange=lambda: pointed(urls, is_pushed=True),
    )
    running_feed = asyncio.create_task(feed.run(await feed.instruments(), items.append))
    try:
        await until(lambda: any(isinstance(item, TradeTick) for item in items), 15)
    finally:
        running_feed.cancel()
        await asyncio.gather(running_feed, return_exceptions=True)
        await feed.close()
    trades = [item for item in items if isinstance(item, TradeTick)]
    assert all(trade.ts_event == trade.ts_init for trade in trades)
    assert feed.counters.future_stamps == len(trades)


async def test_rest_answers_are_typed_and_the_rounding_of_money_stays_ours(urls: PracticeUrls):
    before = decimal.getcontext().rounding
    feed = feed_of(urls)
    (btc, _) = await feed.instruments()
    assert await feed.rules([btc]) == [btc]
    candles = await feed.candles(btc, "1m", 10)
    assert len(candles) == 10
    assert all(candle.is_warmup for candle in candles)
    assert await feed.candles(btc, "7s", 10) == []
    assert abs(await feed.clock_offset_ns()) < 1_000_000_000
    await feed.close()
    assert decimal.getcontext().rounding == before


async def test_by_a_clock_that_is_ahead_of_the_venues_no_open_candle_is_a_closed_one(urls: PracticeUrls):
    class FastClock(LiveClock):
        def now(self) -> int:
            return super().now() + 90_000_000_000

    feed = CcxtFeed(
        "binance", clock=FastClock(), jitter=lambda: 0.5, make_exchange=lambda: pointed(urls, is_pushed=True),
    )
    btc, _ = await feed.instruments()
    candles = await feed.candles(btc, "1m", 10)
    await feed.close()
    assert len(candles) == 10
    assert candles[-1].ts_init <= LiveClock().now()


async def test_a_venue_that_goes_away_is_told_and_asked_for_again():
    nowhere = PracticeUrls("http://127.0.0.1:9", "ws://127.0.0.1:9/stream", "", "", "")
    feed, items = feed_of(nowhere), list[FeedItem]()
    with pytest.raises(VenueError, match="markets"):
        await feed.instruments()
    running_feed = asyncio.create_task(feed.run([], items.append))
    await until(lambda: feed.counters.reconnects > 1, 15)
    running_feed.cancel()
    await asyncio.gather(running_feed, return_exceptions=True)
    await feed.close()
    assert [type(item) for item in items] == [FeedDown]


async def test_a_name_that_ccxt_does_not_know_is_explained():
    feed = CcxtFeed("nowhere", clock=LiveClock(), jitter=lambda: 0.5)
    with pytest.raises(VenueError, match="ccxt knows no exchange"):
        await feed.instruments()


ADA = Instrument(
    "ADA/USD", "ADAUSD", "ADA", "USD", Decimal("0.01"), Decimal("0.01"), Decimal("0.01"), Decimal(10**6), Decimal(1)
)


async def test_the_best_prices_of_a_book_that_ccxt_keeps_are_the_best_by_value():
    """Kraken's book, unlike Binance's, is kept in the numbers that ccxt was told to make, and its sizes of 0 delete."""

    def level(price: float, quantity: float) -> dict[str, float]:
        return {"price": price, "qty": quantity}

    async def speak(connection: ServerConnection) -> None:
        async for raw in connection:
            wish = orjson.loads(raw)
            if wish.get("method") != "subscribe" or wish["params"]["channel"] != "book":
                continue
            book = [level(9.9, 1), level(10.01, 2)], [level(10.1, 3), level(100.5, 4)]
            await tell(connection, "snapshot", *book)
            await tell(connection, "update", [level(10.01, 0), level(9.95, 0.0000005)], [])  # then it is quiet

    async def tell(connection: ServerConnection, kind: str, bids: list[Any], asks: list[Any]) -> None:
        data = [{"symbol": "ADA/USD", "bids": bids, "asks": asks, "checksum": 1}]
        await connection.send(orjson.dumps({"channel": "book", "type": kind, "data": data}).decode())

    def kraken() -> Any:
        import ccxt.pro

        exchange = ccxt.pro.kraken()
        address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        exchange.urls["api"]["ws"] = dict.fromkeys(exchange.urls["api"]["ws"], address)
        exchange.set_markets([exchange.safe_market_structure({
            "id": "ADAUSD", "symbol": "ADA/USD", "base": "ADA", "quote": "USD", "spot": True, "info": {},
        })])
        return exchange

    items: list[FeedItem] = []
    async with serve(speak, "127.0.0.1", 0) as server:
        feed = CcxtFeed("kraken", clock=LiveClock(), jitter=lambda: 0.5, make_exchange=kraken)
        running_feed = asyncio.create_task(feed.run([ADA], items.append))
        try:
            await until(lambda: any(isinstance(item, QuoteTick) and item.bid == Decimal("9.95") for item in items))
        finally:
            running_feed.cancel()
            await asyncio.gather(running_feed, return_exceptions=True)
            await feed.close()
    (*_, last) = [item for item in items if isinstance(item, QuoteTick)]
    assert (last.bid_quantity, last.ask, last.ask_quantity) == (Decimal("0.0000005"), Decimal("10.1"), Decimal(3))
