"""Several products on one feed: what befalls one of them is not the others' trouble."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from exchanges.venue import FeedDown, FeedUp
from market.ticks import BookInvalid, BookSnapshot, QuoteTick, TradeTick
from tests.exchanges.coinbase.exchange import Exchange, Feed, answers, until
from tests.exchanges.coinbase.watching import (
    BTC,
    ETH,
    HEARTBEAT,
    SNAPSHOT,
    Watcher,
    book,
    plays,
    ticker,
    trade,
    trade_row,
)

SOL = replace(ETH, symbol="SOL/USD", venue_symbol="SOL-USD", base="SOL")


async def test_missed_trades_that_came_in_time_are_told_although_others_did_not(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchanges.coinbase.stream.BACKFILL_OTHERS_S", 0.3)

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


async def test_missed_trades_of_symbols_at_stake_are_waited_for_and_those_of_others_hold_nothing_up(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchanges.coinbase.stream.BACKFILL_OTHERS_S", 0.02)
    monkeypatch.setattr("exchanges.coinbase.stream.BACKFILL_TIMEOUT_S", 600.0)
    release = asyncio.Event()

    async def slow(_: web.Request) -> None:
        await asyncio.sleep(0.2)

    async def mute(_: web.Request) -> None:
        await release.wait()

    exchange.fail("GET", "/market/products/ETH-USD/ticker", slow)
    exchange.fail("GET", "/market/products/BTC-USD/ticker", mute)
    for product in ("BTC-USD", "ETH-USD"):
        exchange.bodies[f"/market/products/{product}/ticker"] = {
            "trades": [trade_row(number, product=product) for number in (7, 6)], "best_bid": "", "best_ask": "",
        }
    exchange.on_subscribed += [plays(SNAPSHOT, trade(6), trade(6, product="ETH-USD")), plays(SNAPSHOT)]
    async with Watcher(exchange, [BTC, ETH], urgent=lambda: {"ETH/USD"}) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 2)
        await exchange.drop()
        await until(lambda: len(watcher.of(FeedUp)) == 2)
        told = [(tick.symbol, tick.trade_id) for tick in watcher.of(TradeTick)]
        release.set()
    assert told == [("BTC/USD", "6"), ("ETH/USD", "6"), ("ETH/USD", "7")]


def holds_prices_back(exchange: Exchange, *products: str) -> asyncio.Event:
    """The next questions for best prices of these are not answered until the event is set."""
    release = asyncio.Event()

    async def hold(request: web.Request) -> None:
        if request.query["product_id"] in products:
            await release.wait()

    exchange.fail("GET", "/market/product_book", hold, hold)
    return release


async def test_while_the_stream_is_away_each_price_is_told_when_it_comes(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchanges.coinbase.stream.ANSWER_TIMEOUT_S", 0.02)
    monkeypatch.setattr("exchanges.coinbase.stream.POLL_TIMEOUT_S", 600.0)
    exchange.is_mute = True
    release = holds_prices_back(exchange, "BTC-USD")
    async with Watcher(exchange, [BTC, ETH], urgent=lambda: {"ETH/USD"}, poll_every_s=600.0) as watcher:
        await until(lambda: watcher.of(QuoteTick))
        assert [tick.symbol for tick in watcher.of(QuoteTick)] == ["ETH/USD"]
        reconnects = watcher.feed.counters.reconnects  # they go on meanwhile, and so does the asking
        await until(lambda: watcher.feed.counters.reconnects > reconnects + 1)
        release.set()
        await until(lambda: len(watcher.of(QuoteTick)) == 2)
    asked = [query["product_id"] for _, path, query, _ in exchange.requests if path.endswith("/product_book")]
    assert asked == ["ETH-USD", "BTC-USD"]


async def test_the_stream_is_back_before_all_prices_have_come_and_none_of_them_is_told_after_it(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchanges.coinbase.stream.POLL_TIMEOUT_S", 600.0)
    release = holds_prices_back(exchange, "BTC-USD", "ETH-USD")
    exchange.on_subscribed += [plays(SNAPSHOT, HEARTBEAT), plays(SNAPSHOT, trade(6))]
    async with Watcher(exchange, [BTC, ETH], first_backoff_s=0.05) as watcher:
        await until(lambda: watcher.of(BookSnapshot))
        await exchange.drop()
        await until(lambda: watcher.of(TradeTick))
        asked = [path for _, path, _, _ in exchange.requests if path.endswith("/product_book")]
        release.set()
        await exchange.broadcast(*trade(7))
        await until(lambda: len(watcher.of(TradeTick)) == 2)
    assert len(asked) == 2
    assert [type(item) for item in watcher.of(FeedUp, FeedDown)] == [FeedUp, FeedDown, FeedUp]
    assert watcher.feed.counters.polled_quotes == 0


async def test_a_feed_that_is_ended_while_it_asks_for_prices_leaves_no_question_behind(exchange: Exchange) -> None:
    refuses(exchange, "BTC-USD")
    release = holds_prices_back(exchange, "BTC-USD")
    before = asyncio.all_tasks()
    async with Watcher(exchange) as watcher:
        await until(lambda: any(path.endswith("/product_book") for _, path, _, _ in exchange.requests))
        names = {each.get_name() for each in asyncio.all_tasks() - before}
        assert "coinbase best prices" in names
    assert "coinbase best prices" not in {each.get_name() for each in asyncio.all_tasks() - before}
    release.set()
    assert watcher.of(QuoteTick) == []


async def test_what_the_sink_raises_at_a_price_that_was_asked_for_comes_out(exchange: Exchange) -> None:
    def sink(item: object) -> None:
        if isinstance(item, QuoteTick):
            raise ZeroDivisionError

    exchange.on_subscribed.append(plays('{"type":"error","message":"maintenance"}'))
    feed = Watcher(exchange, first_backoff_s=30.0).feed
    running = asyncio.create_task(feed.run([BTC], sink))
    await until(running.done)  # long before the pause is over
    with pytest.raises(ZeroDivisionError):
        await running
    await feed.close()


def asked_for(exchange: Exchange, channel: str = "level2", kind: str = "subscribe") -> list[list[str]]:
    """The products of each wish."""
    return [
        wish["product_ids"] for wish in exchange.subscriptions if (wish["channel"], wish["type"]) == (channel, kind)
    ]


def refuses(exchange: Exchange, *products: str) -> None:
    """The venue as it is for these once they are delisted: it does not obey a wish that names one, and says so."""
    obey = exchange._subscribe

    async def subscribe(feed: Feed, wish: dict[str, Any]) -> None:
        for product in products:
            if product in wish["product_ids"] and wish["type"] == "subscribe":
                await feed.socket.send_str(
                    f'{{"type":"error","message":"Failed to subscribe","reason":"{product} is not a valid product"}}'
                )
                return
        await obey(feed, wish)

    exchange._subscribe = subscribe  # type: ignore[method-assign]


async def test_products_that_the_venue_refuses_are_left_out_and_the_others_are_heard(exchange: Exchange) -> None:
    refuses(exchange, "ETH-USD", "SOL-USD")
    exchange.on_subscribed.append(plays(SNAPSHOT, trade(6), trade(7)))
    async with Watcher(exchange, [ETH, SOL, BTC]) as watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 2)
    assert asked_for(exchange, "market_trades")[-1] == ["BTC-USD"]
    assert len(watcher.of(FeedUp)) == 1
    problem = "left out SOL/USD: the venue says Failed to subscribe SOL-USD is not a valid product"
    assert watcher.feed.counters.last_problem == problem


async def test_a_venue_that_refuses_the_only_product_is_never_asked_for_all_products(exchange: Exchange) -> None:
    refuses(exchange, "BTC-USD")
    async with Watcher(exchange) as watcher:
        await until(lambda: watcher.feed.counters.reconnects == 4)
    assert {tuple(wish["product_ids"]) for wish in exchange.subscriptions} == {("BTC-USD",)}
    assert "not a valid product" in watcher.of(FeedDown)[0].reason


async def test_a_refused_product_is_tried_again_on_the_living_connection_and_heard_when_it_is_back(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchanges.listed_symbols.FIRST_REFUSAL_S", 0.05)
    obey = exchange._subscribe
    refuses(exchange, "ETH-USD")
    exchange.on_subscribed += [plays(SNAPSHOT, HEARTBEAT), plays(trade(6, product="ETH-USD"))]
    async with Watcher(exchange, [BTC, ETH]) as watcher:
        await until(lambda: asked_for(exchange, "market_trades").count(["ETH-USD"]) == 1)
        exchange._subscribe = obey  # type: ignore[method-assign]
        await until(lambda: watcher.of(TradeTick))
    assert watcher.of(TradeTick)[0].symbol == "ETH/USD"
    assert len(watcher.of(FeedUp)) == 1


async def test_a_product_whose_book_never_comes_leaves_the_others_connection_alone(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchanges.coinbase.book_repair.BOOK_GRACE_S", 0.01)
    monkeypatch.setattr("exchanges.coinbase.book_repair.BOOK_TRIES", 2)
    monkeypatch.setattr("exchanges.coinbase.book_repair._LONGEST_PAUSE_S", 0.01)
    exchange.on_subscribed.append(plays(SNAPSHOT, HEARTBEAT, trade(6)))
    async with Watcher(exchange, [BTC, ETH]) as watcher:
        await until(lambda: asked_for(exchange).count(["ETH-USD"]) == 5)
    assert watcher.of(FeedDown) == []
    assert watcher.served().is_valid


async def test_a_delisted_product_is_no_part_of_the_next_connection_and_is_subscribed_to_when_it_is_back(
    exchange: Exchange,
) -> None:
    exchange.on_subscribed += [plays(SNAPSHOT, HEARTBEAT), plays(SNAPSHOT, HEARTBEAT)]
    async with Watcher(exchange, [BTC, ETH]) as watcher:
        await until(lambda: watcher.of(BookSnapshot))
        watcher.feed.leave_out({"ETH/USD"})
        await exchange.drop()
        await until(lambda: len(watcher.of(FeedUp)) == 2)
        assert asked_for(exchange, "market_trades") == [["BTC-USD", "ETH-USD"], ["BTC-USD"]]
        watcher.feed.leave_out(set())
        await until(lambda: len(asked_for(exchange, "level2")) == 3)
    assert [wish["channel"] for wish in exchange.subscriptions if wish["product_ids"] == ["ETH-USD"]] == [
        "heartbeats", "market_trades", "ticker", "level2"
    ]
    assert len(watcher.of(FeedUp)) == 2


async def test_while_the_stream_is_away_prices_are_told_although_one_product_was_delisted(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchanges.coinbase.stream.ANSWER_TIMEOUT_S", 0.02)
    exchange.is_mute = True
    exchange.fail("GET", "/market/product_book", answers({"error": "NOT_FOUND"}, 404))
    async with Watcher(exchange, [BTC, ETH], urgent=lambda: {"ETH/USD"}, poll_every_s=600.0) as watcher:
        await until(lambda: watcher.of(QuoteTick))
    assert [(tick.symbol, tick.bid) for tick in watcher.of(QuoteTick)] == [("BTC/USD", 99)]


async def test_no_more_is_asked_at_once_than_the_venue_grants_a_second(exchange: Exchange) -> None:
    feed = Watcher(exchange).feed
    began = asyncio.get_running_loop().time()
    await asyncio.gather(*[feed.clock_offset_ns() for _ in range(12)])
    assert asyncio.get_running_loop().time() - began >= 0.24  # ten at once, then eight a second
    await feed.close()


USDC = replace(BTC, symbol="BTC/USDC", venue_symbol="BTC-USDC", quote="USDC")


async def test_a_product_that_is_told_under_anothers_name_is_heard_beside_that_one(exchange: Exchange) -> None:
    """The venue: other channels than the user's "return the same data as the corresponding -USD based products"."""
    exchange.products.append({
        **exchange.products[0], "product_id": "BTC-USDC", "quote_currency_id": "USDC", "alias": "BTC-USD",
    })
    exchange.on_subscribed.append(plays(
        trade(5, kind="snapshot"), ticker("98", "101"), SNAPSHOT, trade(6), book("update", ("bid", "100", "1")),
        trade(7), book("update", ("bid", "NaN", "1")), trade(8),
    ))
    watcher = Watcher(exchange, [BTC, USDC])
    await watcher.feed.instruments()
    async with watcher:
        await until(lambda: len(watcher.of(TradeTick)) == 6)
    for symbol in ("BTC/USD", "BTC/USDC"):
        told = [each for each in watcher.items if getattr(each, "symbol", "") == symbol]
        assert [each.trade_id for each in told if isinstance(each, TradeTick)] == ["6", "7", "8"]
        assert [each.bid for each in told if isinstance(each, QuoteTick)] == [98, 99, 100]
        assert [type(each) for each in told if isinstance(each, BookSnapshot | BookInvalid)] == [
            BookSnapshot, BookInvalid,
        ]
