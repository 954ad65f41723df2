"""Several symbols on one feed: what befalls one of them is not the others' trouble."""

import asyncio

import pytest
from aiohttp import web

from market.ticks import TradeTick
from tests.exchanges.binance.loopback import Loopback, sends, until
from tests.exchanges.binance.watching import BTC, ETH, T0, Watcher, trade

TRADES_PATH = "/api/v3/trades"


def trade_rows(*numbers: int) -> list[dict]:
    return [{"id": each, "price": "100", "qty": "1", "time": T0 + each, "isBuyerMaker": True} for each in numbers]


async def test_missed_trades_that_came_in_time_are_told_although_others_did_not(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchanges.binance.stream.BACKFILL_TIMEOUT_S", 0.3)

    async def trades(request: web.Request) -> web.Response:
        if request.query["symbol"] == "BTCUSDT":
            await asyncio.sleep(2.0)
        return web.json_response(trade_rows(1, 2, 3))

    loopback.handlers["GET", TRADES_PATH] = trades
    loopback.scripts += [sends(trade(1), trade(1, pair="ETHUSDT"), then_close=True), sends(trade(4, pair="ETHUSDT"))]
    async with Watcher(loopback, [BTC, ETH]) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 5)
    told = [(tick.symbol, tick.trade_id) for tick in watcher.of(TradeTick)]
    assert told == [("BTC/USDT", "1"), ("ETH/USDT", "1"), ("ETH/USDT", "2"), ("ETH/USDT", "3"), ("ETH/USDT", "4")]
    assert watcher.feed.counters.last_problem == "trades of 1 of 2 symbols were not backfilled in time"


async def test_missed_trades_of_symbols_at_stake_are_asked_for_first(loopback: Loopback) -> None:
    loopback.answer("GET", TRADES_PATH, trade_rows(1, 2))
    loopback.scripts.append(sends(trade(1), trade(1, pair="ETHUSDT"), then_close=True))
    async with Watcher(loopback, [BTC, ETH], urgent=lambda: {"ETH/USDT"}) as watcher:
        await until(lambda: watcher.feed.counters.backfilled_trades == 2)
    assert [query["symbol"] for query in loopback.calls("GET", TRADES_PATH)] == ["ETHUSDT", "BTCUSDT"]
