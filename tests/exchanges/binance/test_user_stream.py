"""Binance's user stream: fills while it is there, questions while it is not."""

import asyncio

import orjson
import pytest
from aiohttp import web

from bus.ids import ClientOrderId
from bus.messages.orders import ExecutionReport
from exchanges.binance import user_stream
from tests.exchanges.approvals import approved_order
from tests.exchanges.binance.desk import ORDER, T0, Desk, order_body, ready, trade_row, user_event
from tests.exchanges.binance.loopback import Loopback, sends, until


async def test_the_user_stream_brings_fills_of_our_orders_only(loopback: Loopback):
    ready(loopback)

    async def script(socket: web.WebSocketResponse) -> None:
        for event in (user_event("web_77"), user_event("td-1", "NEW"), user_event("td-1")):
            await socket.send_str(orjson.dumps(event).decode())

    loopback.scripts.append(script)
    async with Desk(loopback, ws=True) as desk:
        await desk.venue.start()
        await until(lambda: len(desk.reports) == 2)
        assert desk.kinds == ["accepted", "fill"]
        assert desk.venue.foreign_reports == 1
        assert desk.venue.stream.is_up
    (parameters,) = loopback.subscriptions
    assert parameters["apiKey"] == "key"
    assert len(parameters["signature"]) == 64


@pytest.mark.parametrize("strange", [
    {"subscriptionId": 0, "event": {"e": "somethingNew", "E": T0, "q": ["1"]}}, {"e": "somethingNew", "E": T0},
])
async def test_an_event_that_nobody_knows_is_counted_and_the_user_stream_goes_on(loopback: Loopback, strange: dict):
    ready(loopback)
    loopback.scripts.append(sends(strange, user_event("td-1", "NEW")))
    async with Desk(loopback, ws=True) as desk:
        await desk.venue.start()
        await until(lambda: desk.kinds == ["accepted"])
        assert (desk.venue.stream.ignored, desk.venue.stream.refused) == (1, 0)
        assert loopback.connections == 1


async def test_an_event_without_a_name_may_hide_a_fill_and_the_stream_is_opened_anew(loopback: Loopback):
    ready(loopback)
    loopback.scripts += [sends({"subscriptionId": 0, "event": {"E": T0}}), sends(user_event("td-1", "NEW"))]
    async with Desk(loopback, ws=True) as desk:
        desk.venue.stream._first_backoff_s = 0.01
        await desk.venue.start()
        await until(lambda: desk.kinds == ["accepted"])
        assert (desk.venue.stream.ignored, desk.venue.stream.refused) == (0, 1)


async def test_a_report_that_nobody_can_take_does_not_end_the_user_stream(loopback: Loopback):
    ready(loopback)

    async def script(socket: web.WebSocketResponse) -> None:
        await socket.send_str(orjson.dumps(user_event("td-1", "NEW")).decode())

    loopback.scripts += [script, script]
    async with Desk(loopback, ws=True) as desk:
        desk.venue.stream._first_backoff_s = 0.01
        taken: list[str] = []

        def take(report: ExecutionReport) -> None:
            taken.append(report.exec_type)
            if len(taken) == 1:
                raise AttributeError("nobody is there yet")

        desk.venue._sink = take
        await desk.venue.start()
        await until(lambda: len(taken) == 2)
        assert desk.problems == [
            "binance: the user stream failed and is opened anew: AttributeError: nobody is there yet",
        ]
        assert desk.venue.stream.is_up


async def test_the_user_stream_is_not_opened_while_the_venue_wants_no_requests(loopback: Loopback):
    """It is served by the same address under the same limits: a connection costs weight, and lengthens a ban."""
    ready(loopback)
    loopback.answer("GET", "/x", {}, status=429, headers={"Retry-After": "1"})
    async with Desk(loopback, ws=True) as desk:
        await desk.venue._rest.once("GET", "/x")
        ends = asyncio.get_running_loop().time() + desk.venue._rest.banned_for_s()
        desk.venue.begin()
        await until(lambda: loopback.connections)
        assert asyncio.get_running_loop().time() >= ends - 0.05


async def test_a_ban_that_the_user_stream_hears_of_silences_the_requests_too(loopback: Loopback):
    ready(loopback)
    data = {"serverTime": T0, "retryAfter": T0 + 120_000}
    loopback.subscribe_error = {"status": 418, "error": {"code": -1003, "msg": "banned", "data": data}}
    async with Desk(loopback, ws=True) as desk:
        desk.venue.begin()
        await until(lambda: desk.venue._rest.banned_for_s() > 100)
        assert await desk.submitted() == ["rejected"]
    assert desk.posts == []
    assert loopback.connections == 1


async def test_after_a_broken_stream_working_orders_are_asked_for(loopback: Loopback):
    ready(loopback)
    loopback.answer("POST", ORDER, order_body("NEW", "0"))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "1")])
    cut = asyncio.Event()

    async def look(_: web.Request) -> web.Response:  # it fills while nobody listens, after the question at the loss
        return web.json_response(order_body("FILLED", "1") if loopback.connections == 2 else order_body("NEW", "0"))

    loopback.handlers[("GET", ORDER)] = look

    async def script(socket: web.WebSocketResponse) -> None:
        await cut.wait()
        await socket.close()

    loopback.scripts.append(script)
    async with Desk(loopback, ws=True, poll_every_s=60) as desk:
        desk.venue.stream._first_backoff_s = 0.1
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        await desk.submitted(wire_type="limit", price="100")
        cut.set()
        await until(lambda: "fill" in desk.kinds)
        await until(lambda: loopback.connections == 2)


async def test_a_stream_that_is_lost_makes_us_ask_before_it_is_there_again(loopback: Loopback):
    ready(loopback)
    loopback.answer("POST", ORDER, order_body("NEW", "0"))
    loopback.answer("GET", ORDER, order_body("FILLED", "1"))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "1")])
    cut = asyncio.Event()

    async def script(socket: web.WebSocketResponse) -> None:
        await cut.wait()
        await socket.close()

    loopback.scripts.append(script)
    async with Desk(loopback, ws=True, poll_every_s=60) as desk:
        desk.venue.stream._first_backoff_s = 60
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        await desk.submitted(wire_type="limit", price="100")
        cut.set()
        await until(lambda: "fill" in desk.kinds)
        assert loopback.connections == 1


async def test_what_fills_while_both_the_answer_and_the_stream_are_on_their_way_is_asked_for(loopback: Loopback):
    ready(loopback)
    loopback.answer("GET", ORDER, order_body("FILLED", "1"))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "1")])
    cut, may_answer = asyncio.Event(), asyncio.Event()

    async def accept_slowly(_: web.Request) -> web.Response:
        body = order_body("NEW", "0")
        await may_answer.wait()
        return web.json_response(body)

    async def script(socket: web.WebSocketResponse) -> None:
        await cut.wait()
        await socket.close()

    loopback.handlers[("POST", ORDER)] = accept_slowly
    loopback.scripts.append(script)
    async with Desk(loopback, ws=True, poll_every_s=60) as desk:
        desk.venue.stream._first_backoff_s = 0.01
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        desk.venue.submit(approved_order(wire_type="limit", price="100"))
        await until(lambda: desk.posts)
        cut.set()
        await until(lambda: loopback.connections == 2 and desk.venue.stream.is_up)
        may_answer.set()
        await until(lambda: "fill" in desk.kinds)


async def test_a_line_that_swallows_everything_is_given_up_within_five_seconds(loopback: Loopback):
    assert user_stream.PING_EVERY_S + user_stream.PONG_WITHIN_S <= 5.0
    ready(loopback)
    swallows = asyncio.Event()

    async def script(socket: web.WebSocketResponse) -> None:
        transport = socket._req.transport
        assert transport is not None
        transport.pause_reading()
        swallows.set()
        await asyncio.Event().wait()

    loopback.scripts.append(script)
    async with Desk(loopback, ws=True) as desk:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(user_stream, "PING_EVERY_S", 0.02)
            patch.setattr(user_stream, "PONG_WITHIN_S", 0.03)
            await desk.venue.start()
            await swallows.wait()
            await until(lambda: desk.venue.stream.reconnects)
    assert "ping timeout" in desk.venue.stream.last_problem


async def test_a_stream_that_is_there_and_mute_is_opened_anew_when_rest_tells_of_a_fill_first(
    loopback: Loopback,
):
    """Its line answers each ping; every later fill would be found half a minute late."""
    ready(loopback)
    loopback.answer("POST", ORDER, order_body("NEW", "0"))
    async with Desk(loopback, ws=True, poll_every_s=60, sweep_every_s=60) as desk:
        desk.venue.stream._first_backoff_s = 0.01
        desk.venue._witness._patience_s = 0.05
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        await desk.submitted(wire_type="limit", price="100")
        loopback.answer("GET", ORDER, order_body("PARTIALLY_FILLED", "0.4"))
        soon_ms = desk.venue._rest.timestamp_ms() + 5_000
        loopback.answer("GET", "/api/v3/myTrades", [{**trade_row(1, "0.4"), "time": soon_ms}])
        desk.venue.query(ClientOrderId("td-1"), "BTC/USDT")
        await until(lambda: loopback.connections == 2 and desk.venue.stream.is_up)
        assert desk.venue.stream.last_problem == "it did not tell of trade 1 of BTC/USDT"
        assert desk.kinds.count("fill") >= 1


async def test_a_venue_without_stream_is_polled(loopback: Loopback):
    ready(loopback)
    loopback.answer("POST", ORDER, order_body("NEW", "0"))
    loopback.answer("GET", ORDER, order_body("FILLED", "1"))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "1")])
    async with Desk(loopback, poll_every_s=0.01) as desk:
        await desk.venue.start()
        await desk.submitted(wire_type="limit", price="100")
        await until(lambda: "fill" in desk.kinds)
        asked = len(loopback.calls("GET", ORDER))
        await asyncio.sleep(0.05)
        assert len(loopback.calls("GET", ORDER)) == asked  # a filled order is not asked for again
