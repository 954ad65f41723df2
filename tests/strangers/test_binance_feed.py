"""The market stream on a Binance of somebody else: how it may be addressed, and what it may say unasked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

import exchanges.binance.subscription as subscription_module
from bus.clock import LiveClock
from exchanges.binance.stream import BinanceFeed
from exchanges.venue import FeedDown, FeedItem, FeedUp
from market.ticks import BookDelta, BookSnapshot, QuoteTick, TradeTick
from tests.exchanges.binance.loopback import until
from tests.strangers.sessions import StrangeBinance, strange_binance


@asynccontextmanager
async def heard(stranger: StrangeBinance, ws: str = "/stream") -> AsyncIterator[tuple[BinanceFeed, list[FeedItem]]]:
    """A feed that runs, and what it tells."""
    clock = LiveClock()
    feed = BinanceFeed(
        "binance", f"http://{stranger.served.address}", f"ws://{stranger.served.address}{ws}", clock=clock,
        jitter=Random(1).random, first_backoff_s=0.01,
    )
    pairs = [each for each in await feed.instruments() if each.base in ("SOL", "DOGE")]
    items: list[FeedItem] = []
    running = asyncio.create_task(feed.run(pairs, items.append))
    try:
        yield feed, items
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await feed.close()


def has_everything(items: list[FeedItem]) -> bool:
    """Trades, best prices and a book that follows."""
    wanted = (TradeTick, QuoteTick, BookSnapshot, BookDelta)
    return all(any(isinstance(item, kind) for item in items) for kind in wanted)


@pytest.mark.parametrize("ws", ["/stream", "/stream/", "/ws", "/ws/", ""])
async def test_any_address_of_the_streams_will_do(ws: str) -> None:
    with strange_binance() as stranger:
        async with heard(stranger, ws) as (feed, items):
            await until(lambda: has_everything(items))
        assert feed.counters.refused_by_reason == {}
        assert not any(isinstance(item, FeedDown) for item in items)


@pytest.mark.parametrize("ws", ["/stream", "/ws"])
async def test_where_messages_are_not_read_the_address_names_the_streams(
    ws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription_module, "ANSWER_TIMEOUT_S", 0.2)
    with strange_binance() as stranger:
        stranger.streams.is_deaf = True
        async with heard(stranger, ws) as (_, items):
            await until(lambda: has_everything(items))
            stranger.served.wait_for(stranger.streams.close_all())
            await until(lambda: sum(isinstance(item, FeedUp) for item in items) == 2)


async def test_streams_that_come_without_an_answer_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription_module, "ANSWER_TIMEOUT_S", 0.5)
    with strange_binance() as stranger:
        stranger.streams.answers = False
        async with heard(stranger) as (_, items):
            await until(lambda: has_everything(items))


async def test_an_announced_shutdown_is_met_by_a_new_connection_before_the_old_one_ends() -> None:
    with strange_binance() as stranger:
        async with heard(stranger) as (feed, items):
            await until(lambda: has_everything(items))
            stranger.served.do(stranger.streams.announce_shutdown)
            await until(lambda: sum(isinstance(item, FeedUp) for item in items) == 2)
        (down,) = (item for item in items if isinstance(item, FeedDown))
        assert "announced" in down.reason
        assert feed.counters.refused_by_reason == {}


async def test_streams_of_other_symbols_and_events_of_other_kinds_are_counted_and_spoil_nothing() -> None:
    with strange_binance() as stranger:
        async with heard(stranger) as (feed, items):
            await until(lambda: has_everything(items))
            for client in stranger.streams.clients:
                client.streams |= {"btcusdt@trade", "btcusdt@bookTicker"}
            stranger.exchange.markets[0].status = stranger.exchange.markets[1].status = "BREAK"  # BTC alone speaks
            await until(lambda: feed.counters.refused_by_reason.get("unknown_symbol", 0) > 25, 10)
        assert not any(isinstance(item, FeedDown) for item in items)


async def test_a_server_that_comes_back_with_older_numbers_is_believed() -> None:
    with strange_binance() as stranger:
        port = stranger.served.port
        async with heard(stranger) as (feed, items):
            await until(lambda: has_everything(items))
    fresh: list[FeedItem] = []
    with strange_binance(port=port) as stranger:
        for market in stranger.exchange.markets:
            market.update = 5
        async with heard(stranger) as (feed, fresh):
            await until(lambda: has_everything(fresh))
    assert feed.counters.refused_by_reason == {}
