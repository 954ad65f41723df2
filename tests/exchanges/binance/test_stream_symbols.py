"""Several symbols on one feed: what befalls one of them is not the others' trouble."""

import asyncio

import pytest
from aiohttp import web

from exchanges.venue import FeedDown, FeedUp
from market.ticks import QuoteTick, TradeTick
from tests.exchanges.binance.loopback import Loopback, sends, until
from tests.exchanges.binance.watching import BTC, ETH, T0, TOP, Watcher, quote, trade

TRADES_PATH = "/api/v3/trades"
TOP_PATH = "/api/v3/ticker/bookTicker"


def trade_rows(*numbers: int) -> list[dict]:
    return [{"id": each, "price": "100", "qty": "1", "time": T0 + each, "isBuyerMaker": True} for each in numbers]


async def test_missed_trades_that_came_in_time_are_told_although_others_did_not(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchanges.binance.stream.BACKFILL_OTHERS_S", 0.3)

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


async def test_missed_trades_of_symbols_at_stake_are_waited_for_and_those_of_others_hold_nothing_up(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchanges.binance.stream.BACKFILL_OTHERS_S", 0.02)
    monkeypatch.setattr("exchanges.binance.stream.BACKFILL_TIMEOUT_S", 600.0)
    release = asyncio.Event()

    async def trades(request: web.Request) -> web.Response:
        await (release.wait() if request.query["symbol"] == "BTCUSDT" else asyncio.sleep(0.2))
        return web.json_response(trade_rows(1, 2))

    loopback.handlers["GET", TRADES_PATH] = trades
    loopback.scripts.append(sends(trade(1), trade(1, pair="ETHUSDT"), then_close=True))
    async with Watcher(loopback, [BTC, ETH], urgent=lambda: {"ETH/USDT"}) as watcher:
        await until(lambda: len(watcher.of(FeedUp)) == 2)
        told = [(tick.symbol, tick.trade_id) for tick in watcher.of(TradeTick)]
        release.set()
    assert told == [("BTC/USDT", "1"), ("ETH/USDT", "1"), ("ETH/USDT", "2")]


async def test_the_stream_is_back_before_the_prices_have_come_and_none_of_them_is_told_after_it(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchanges.binance.stream.POLL_TIMEOUT_S", 600.0)
    held: list[str] = []
    release = asyncio.Event()

    async def top(request: web.Request) -> web.Response:
        if watcher.of(FeedDown) and not held:
            held.append(request.query["symbols"])
            await release.wait()
            return web.json_response([{**TOP, "bidPrice": "50"}])
        return web.json_response([TOP])

    async def script(socket: web.WebSocketResponse) -> None:
        await release.wait()
        await sends(trade(1))(socket)

    loopback.handlers["GET", TOP_PATH] = top
    loopback.scripts += [sends(then_close=True), script]
    async with Watcher(loopback, first_backoff_s=0.05) as watcher:
        await until(lambda: len(watcher.of(FeedUp)) == 2 and watcher.of(QuoteTick))
        release.set()
        await until(lambda: watcher.of(TradeTick))
    assert held == ['["BTCUSDT"]']
    assert {tick.bid for tick in watcher.of(QuoteTick)} == {99}


def lists_only_btc(loopback: Loopback) -> None:
    """The venue as it is for ETH once that is delisted: one unknown symbol refuses the question about all."""

    async def top(request: web.Request) -> web.Response:
        if "ETHUSDT" in request.query.get("symbols", ""):
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        other = {"symbol": "XXXYYY", "bidPrice": "1", "bidQty": "1", "askPrice": "2", "askQty": "1"}
        return web.json_response([other, TOP])

    loopback.handlers["GET", TOP_PATH] = top


async def test_while_the_stream_is_away_prices_are_told_although_one_symbol_was_delisted(loopback: Loopback) -> None:
    lists_only_btc(loopback)
    loopback.subscribe_error = {"error": {"code": 1, "msg": "maintenance"}}
    async with Watcher(loopback, [BTC, ETH]) as watcher:
        await until(lambda: watcher.of(QuoteTick))
    assert [(tick.symbol, tick.bid) for tick in watcher.of(QuoteTick)] == [("BTC/USDT", 99)]


async def test_a_quiet_market_is_no_fault_although_one_symbol_was_delisted(loopback: Loopback) -> None:
    lists_only_btc(loopback)
    loopback.scripts.append(sends(quote(1), quote(1, pair="ETHUSDT")))
    async with Watcher(loopback, [BTC, ETH], watch_every_s=0.01) as watcher:
        await until(lambda: watcher.feed.counters.quiet_checks >= 2)
    assert watcher.of(FeedDown) == []


async def test_nothing_is_asked_over_rest_about_a_symbol_that_is_left_out(loopback: Loopback) -> None:
    lists_only_btc(loopback)
    loopback.answer("GET", TRADES_PATH, trade_rows(1, 2))
    loopback.scripts.append(sends(trade(1), trade(1, pair="ETHUSDT"), then_close=True))
    watcher = Watcher(loopback, [BTC, ETH])
    watcher.feed.leave_out({"ETH/USDT"})
    async with watcher:
        await until(lambda: watcher.feed.counters.backfilled_trades and len(loopback.subscriptions) == 2)
    assert [query["symbol"] for query in loopback.calls("GET", TRADES_PATH)] == ["BTCUSDT"]
    assert all("ETHUSDT" not in query["symbols"] for query in loopback.calls("GET", TOP_PATH))
    assert "ethusdt@trade" in loopback.subscriptions[1]  # one that is listed again is heard at once
