"""Silence on Binance's stream: a quiet market, or a connection that is mute."""

import asyncio
import contextlib
from decimal import Decimal

import pytest
from aiohttp import web

from exchanges.binance.stream import QUIET_AFTER, WATCH_EVERY_S
from exchanges.venue import FeedDown
from market.interval import SECOND_NS
from market.ticks import FeedAlive, QuoteTick, TradeTick
from risk.limits import resolve_limits
from tests.exchanges.binance.loopback import Loopback, sends, until
from tests.exchanges.binance.watching import BTC, ETH, T0, TOP, Watcher, quote, trade

TOP_PATH = "/api/v3/ticker/bookTicker"


async def test_a_mute_connection_is_noticed_and_replaced(loopback: Loopback):
    loopback.scripts += [sends(trade(1)), sends(trade(2))]
    async with Watcher(loopback, watch_every_s=0.01) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 2)
    assert watcher.of(FeedDown)[0].reason.startswith("mute")


async def test_a_quiet_market_is_no_fault(loopback: Loopback):
    loopback.scripts.append(sends(quote(1)))
    loopback.answer("GET", "/api/v3/ticker/bookTicker", [TOP])
    async with Watcher(loopback, watch_every_s=0.01) as watcher:
        await until(lambda: watcher.feed.counters.quiet_checks >= 2)
    assert watcher.of(FeedDown) == []
    assert watcher.of(FeedAlive)
    assert loopback.connections == 1


def test_a_quiet_market_is_asked_about_in_time_to_stay_fresh() -> None:
    an_answer_s = 0.5
    known_ns = int((QUIET_AFTER * WATCH_EVERY_S + an_answer_s) * SECOND_NS)
    assert known_ns < resolve_limits("moderate", "", {}).stale_after_ns


async def test_a_stream_that_stands_while_prices_move_is_mute(loopback: Loopback):
    loopback.scripts.append(sends(quote(1)))
    loopback.answer("GET", "/api/v3/ticker/bookTicker", [{**TOP, "bidPrice": "98"}])
    async with Watcher(loopback, watch_every_s=0.01) as watcher:
        await until(lambda: watcher.of(FeedDown))
    assert watcher.feed.counters.quiet_checks == 0


async def test_a_market_in_which_nothing_happened_since_the_start_is_quiet(loopback: Loopback):
    loopback.answer("GET", TOP_PATH, [TOP])
    async with Watcher(loopback, watch_every_s=0.01) as watcher:
        await until(lambda: watcher.feed.counters.quiet_checks >= 2)
    assert watcher.of(FeedDown) == []
    assert loopback.connections == 1


async def test_a_price_that_moved_while_the_line_was_away_is_told_and_its_silence_since_is_quiet(loopback: Loopback):
    loopback.answer("GET", TOP_PATH, [{**TOP, "bidPrice": "99.50"}])
    loopback.scripts.append(sends(quote(1), then_close=True))
    async with Watcher(loopback, watch_every_s=0.01, poll_every_s=600.0) as watcher:
        await until(lambda: watcher.feed.counters.quiet_checks >= 2)
    assert loopback.connections == 2
    assert len(watcher.of(FeedDown)) == 1
    assert watcher.of(QuoteTick)[-1].bid == Decimal("99.50")


async def test_a_line_that_is_mute_from_the_start_is_noticed_when_prices_move(loopback: Loopback):
    asked = 0

    async def top(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response([{**TOP, "bidPrice": str(90 + asked)}])

    loopback.handlers["GET", TOP_PATH] = top
    async with Watcher(loopback, watch_every_s=0.01) as watcher:
        await until(lambda: watcher.of(FeedDown))
    assert watcher.of(FeedDown)[0].reason.startswith("mute")
    assert watcher.feed.counters.quiet_checks == 0


async def test_a_symbol_of_which_rest_knows_no_price_makes_no_quiet_market_mute(loopback: Loopback):
    empty = {"symbol": "ETHUSDT", "bidPrice": "0", "bidQty": "0", "askPrice": "0", "askQty": "0"}
    loopback.answer("GET", TOP_PATH, [TOP, empty])
    loopback.scripts.append(sends(quote(1), quote(1, pair="ETHUSDT")))
    async with Watcher(loopback, [BTC, ETH], watch_every_s=0.01) as watcher:
        await until(lambda: watcher.feed.counters.quiet_checks >= 2)
    assert watcher.of(FeedDown) == []


async def test_a_halted_market_without_any_price_is_quiet(loopback: Loopback):
    loopback.answer("GET", TOP_PATH, [{**TOP, "bidPrice": "0", "bidQty": "0"}])
    async with Watcher(loopback, watch_every_s=0.01) as watcher:
        await until(lambda: watcher.feed.counters.quiet_checks >= 2)
    assert watcher.of(FeedDown, QuoteTick) == []


async def test_an_opening_price_that_comes_behind_the_streams_own_is_not_told(loopback: Loopback):
    late = asyncio.Event()

    async def top(_: web.Request) -> web.Response:
        await late.wait()
        return web.json_response([{**TOP, "bidPrice": "98"}])

    loopback.handlers["GET", TOP_PATH] = top
    loopback.scripts.append(sends(quote(1)))
    async with Watcher(loopback) as watcher:
        await until(lambda: watcher.of(QuoteTick))
        late.set()
        await until(lambda: not [task for task in asyncio.all_tasks() if task.get_name().endswith("opening quotes")])
    assert [tick.bid for tick in watcher.of(QuoteTick)] == [99]


async def test_what_the_sink_raises_at_an_opening_price_ends_the_feed(loopback: Loopback):
    loopback.answer("GET", TOP_PATH, [TOP])
    feed = Watcher(loopback).feed

    def broken(item: object) -> None:
        if isinstance(item, QuoteTick):
            raise OSError("the journal's disk is full")

    with pytest.raises(OSError, match="disk is full"):
        await asyncio.wait_for(feed.run([BTC], broken), 5)
    await feed.close()


async def test_opening_prices_are_asked_for_until_the_venue_tells_them(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch,
):
    """ETH moved while the line was away and rests since: nobody else tells its price, and BTC keeps the line fresh."""
    monkeypatch.setattr("exchanges.binance.stream.QUIET_CHECK_TIMEOUT_S", 0.05)
    refusals = 0

    async def top(_: web.Request) -> web.Response:
        nonlocal refusals
        if loopback.connections < 2 or refusals < 2:
            refusals += loopback.connections == 2
            return web.json_response({"code": -1000, "msg": "busy"}, status=503)
        return web.json_response([TOP, {**TOP, "symbol": "ETHUSDT", "bidPrice": "90"}])

    async def moves(socket: web.WebSocketResponse) -> None:
        with contextlib.suppress(ConnectionResetError):
            for update in range(10, 500):
                await sends(quote(update))(socket)
                await asyncio.sleep(0.01)

    loopback.handlers["GET", TOP_PATH] = top
    loopback.scripts += [sends(quote(1), quote(1, pair="ETHUSDT"), then_close=True), moves]
    async with Watcher(loopback, [BTC, ETH]) as watcher:
        await until(lambda: [each.bid for each in watcher.of(QuoteTick) if each.symbol == "ETH/USDT"] == [99, 90])
    assert len(watcher.of(FeedDown)) == 1


async def test_trades_that_stay_away_while_quotes_flow_are_noticed_where_something_is_at_stake(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch,
):
    """A stop that waits for a last price would wait for ever."""
    for name in ("QUIET_S", "EVERY_S", "ON_ITS_WAY_S"):
        monkeypatch.setattr(f"exchanges.trade_check.{name}", 0.05)

    async def quotes_alone(socket: web.WebSocketResponse) -> None:
        await sends(trade(1))(socket)
        with contextlib.suppress(ConnectionResetError):
            for update in range(500):
                await sends(quote(update))(socket)
                await asyncio.sleep(0.01)

    loopback.answer("GET", "/api/v3/trades", [
        {"id": each, "price": "90", "qty": "1", "time": T0 + each, "isBuyerMaker": True} for each in (1, 2, 3)
    ])
    loopback.scripts += [quotes_alone, sends(quote(1), trade(4))]
    async with Watcher(loopback, urgent=lambda: {"BTC/USDT"}) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 4)
    assert [tick.trade_id for tick in watcher.of(TradeTick)] == ["1", "2", "3", "4"]
    assert watcher.of(FeedDown)[0].reason.startswith("mute: BTC/USDT is traded over REST")


async def test_a_market_in_which_nobody_trades_is_left_alone(loopback: Loopback, monkeypatch: pytest.MonkeyPatch):
    for name in ("QUIET_S", "EVERY_S", "ON_ITS_WAY_S"):
        monkeypatch.setattr(f"exchanges.trade_check.{name}", 0.01)
    loopback.answer("GET", "/api/v3/trades", [
        {"id": 1, "price": "100", "qty": "1", "time": T0, "isBuyerMaker": True}
    ])
    loopback.answer("GET", TOP_PATH, [TOP])
    loopback.scripts.append(sends(trade(1), quote(1)))
    async with Watcher(loopback, urgent=lambda: {"BTC/USDT"}) as watcher:
        await until(lambda: len(loopback.calls("GET", "/api/v3/trades")) >= 5)
    assert watcher.of(FeedDown) == []
