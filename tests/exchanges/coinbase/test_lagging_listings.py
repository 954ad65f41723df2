"""Listings that lag behind what the venue has told itself: in an answer, or on the user channel."""

import asyncio
from decimal import Decimal

import pytest
from aiohttp import web

from bus.ids import ClientOrderId
from tests.exchanges.coinbase.desk import Desk
from tests.exchanges.coinbase.exchange import Exchange, until

D = Decimal


async def test_an_order_that_the_user_channel_calls_filled_is_booked_from_its_fills_though_the_listing_lags(
    exchange: Exchange,
):
    async with Desk(exchange, ws=True, poll_every_s=60) as desk:
        await desk.rests()
        order = exchange.of("td-1")
        exchange.bodies[f"/orders/historical/{order['order_id']}"] = {"order": dict(order)}  # as it was before
        exchange.fill("td-1", "1")
        await exchange.tell("td-1")
        await until(lambda: "fill" in desk.kinds)
        assert desk.kinds == ["accepted", "accepted", "fill"]


async def test_an_end_is_not_told_before_the_last_fill_is_listed(exchange: Exchange):
    async with Desk(exchange, ws=True) as desk:
        await desk.rests()
        exchange.fill("td-1", "0.7", is_listed=False)
        exchange.end("td-1")
        await exchange.tell("td-1")
        await until(lambda: exchange.calls("GET", "/orders/historical/fills"))
        assert "cancelled" not in desk.kinds
        exchange.fills.append(exchange.hidden)
        await until(lambda: "cancelled" in desk.kinds)
        assert list(desk.fills().values()) == [D("0.7")]


async def listed_behind_its_end(desk: Desk, server: Exchange) -> None:
    """0.7 were executed and the order is over; the listings say that it ended with 0.3."""
    await desk.rests()
    server.fill("td-1", "0.3")
    order = server.of("td-1")
    server.bodies[f"/orders/historical/{order['order_id']}"] = {"order": {**order, "status": "CANCELLED"}}
    server.fill("td-1", "0.4", is_listed=False)
    server.end("td-1")


async def test_an_end_that_is_listed_with_less_than_the_user_channel_told_waits_for_the_rest(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("exchanges.coinbase.orders.FIRST_PAUSE_S", 0.001)
    async with Desk(exchange, ws=True, poll_every_s=0.02) as desk:
        await listed_behind_its_end(desk, exchange)
        await exchange.tell("td-1")
        await until(lambda: desk.kinds.count("unknown") > 1)
        assert "cancelled" not in desk.kinds
        exchange.bodies.clear()
        exchange.fills.append(exchange.hidden)
        await until(lambda: "cancelled" in desk.kinds)
        assert sorted(desk.fills().values()) == [D("0.3"), D("0.4")]


async def test_news_of_more_than_was_told_at_its_end_is_asked_for_until_the_listing_has_it(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("exchanges.coinbase.orders.FIRST_PAUSE_S", 0.001)
    async with Desk(exchange, ws=True, poll_every_s=0.02) as desk:
        await listed_behind_its_end(desk, exchange)
        desk.venue.query(ClientOrderId("td-1"), "BTC/USD")
        await until(lambda: "cancelled" in desk.kinds)  # nothing said yet that there is more
        await exchange.tell("td-1")
        await until(lambda: desk.kinds.count("unknown") > 1)
        exchange.bodies.clear()
        exchange.fills.append(exchange.hidden)
        await until(lambda: len(desk.fills()) == 2)
        await until(lambda: not desk.venue._memory.owed())
        assert (desk.kinds[-1], desk.venue._memory._late) == ("cancelled", {})


async def test_what_fills_while_both_the_answer_and_the_stream_are_on_their_way_is_asked_for(exchange: Exchange):
    may_answer = asyncio.Event()

    async def accept_slowly(request: web.Request) -> None:
        exchange.place(await request.json())
        await may_answer.wait()

    exchange.fail("POST", "/orders", accept_slowly)
    async with Desk(exchange, ws=True, poll_every_s=60) as desk:
        desk.venue.stream._first_backoff_s = 0.01
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        desk.submit(wire_type="limit", price="99")
        await until(lambda: exchange.orders)
        await exchange.drop()
        exchange.fill("td-1", "1")
        await until(lambda: desk.venue.stream.reconnects == 1 and desk.venue.stream.is_up)
        may_answer.set()
        await until(lambda: desk.fills())


async def test_an_order_that_the_user_channel_told_of_is_not_absent_because_the_listing_lags(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch,
):
    async def accept_and_fail(request: web.Request) -> web.Response:
        exchange.place(await request.json())
        await exchange.tell("td-1")
        await asyncio.sleep(0.05)
        exchange.orders.clear()  # the listings do not have it yet
        return web.Response(status=504, text="gateway timeout")

    exchange.fail("POST", "/orders", accept_and_fail)
    async with Desk(exchange, ws=True, absence_s=0.0, poll_every_s=60) as desk:
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        desk.submit(wire_type="limit", price="99")
        await until(lambda: desk.kinds == ["accepted", "unknown"])
        desk.venue.query(ClientOrderId("td-1"), "BTC/USD")
        await until(lambda: len(desk.kinds) == 3)
        assert desk.kinds[-1] == "unknown"
        assert "does not list it yet" in desk.reports[-1].reason
        monkeypatch.setattr("exchanges.working_order.TOLD_OF_S", 0.0)
        desk.venue.query(ClientOrderId("td-1"), "BTC/USD")
        await until(lambda: desk.kinds[-1] == "not_found")
        assert len(desk.posts) == 1
