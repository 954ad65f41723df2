"""Several products on one feed: what befalls one of them is not the others' trouble."""

import asyncio

import pytest
from aiohttp import web

from market.ticks import TradeTick
from tests.exchanges.coinbase.exchange import Exchange, until
from tests.exchanges.coinbase.watching import BTC, ETH, SNAPSHOT, Watcher, plays, trade, trade_row


async def test_missed_trades_that_came_in_time_are_told_although_others_did_not(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchanges.coinbase.stream.BACKFILL_TIMEOUT_S", 0.3)

    async def late(_: web.Request) -> None:
        await asyncio.sleep(2.0)

    exchange.fail("GET", "/market/products/BTC-USD/ticker", late)
    for product in ("BTC-USD", "ETH-USD"):
        exchange.bodies[f"/market/products/{product}/ticker"] = {
            "trades": [trade_row(number, product=product) for number in (7, 6)], "best_bid": "", "best_ask": "",
        }
    exchange.on_subscribed += [plays(SNAPSHOT, trade(6), trade(6, product="ETH-USD")), plays(SNAPSHOT)]
    async with Watcher(exchange, [BTC, ETH], urgent=lambda: {"ETH/USD"}) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 2)
        await exchange.drop()
        await until(lambda: len(watcher.of(TradeTick)) == 3)
        await until(lambda: len(exchange.feeds) == 1)
    told = [(tick.symbol, tick.trade_id) for tick in watcher.of(TradeTick)]
    assert told == [("BTC/USD", "6"), ("ETH/USD", "6"), ("ETH/USD", "7")]
    assert watcher.feed.counters.last_problem == "trades of 1 of 2 symbols were not backfilled in time"
    asked = [path for _, path, _, _ in exchange.requests if path.endswith("/ticker")]
    assert [path.split("/")[-2] for path in asked] == ["ETH-USD", "BTC-USD"]
