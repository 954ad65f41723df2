"""What became of an order at Binance, asked for and told after a cancel."""

import asyncio

import pytest
from aiohttp import web

from bus.ids import ClientOrderId, VenueOrderId
from tests.exchanges.binance.desk import ORDER, T0, Desk, order_body, trade_row
from tests.exchanges.binance.loopback import Loopback, until


async def queried(desk: Desk) -> list[str]:
    desk.venue.query(ClientOrderId("td-1"), "BTC/USDT")
    await until(lambda: desk.reports)
    return desk.kinds


async def test_a_query_tells_the_whole_story(loopback: Loopback):
    loopback.answer("GET", ORDER, order_body("CANCELED", "0.7", updateTime=T0))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "0.3"), trade_row(2, "0.4")])
    async with Desk(loopback) as desk:
        assert await queried(desk) == ["accepted", "fill", "fill", "cancelled"]
    assert loopback.calls("GET", "/api/v3/myTrades")[0]["orderId"] == "28"
    assert desk.reports[1].is_maker
    assert desk.reports[1].ts_event == (T0 + 5) * 1_000_000


async def test_trades_of_other_orders_that_nobody_asked_for_are_not_taken_for_its_own(loopback: Loopback):
    loopback.answer("GET", ORDER, order_body("FILLED", "0.7", origQty="0.7"))
    foreign = {**trade_row(7, "2"), "orderId": 27}
    loopback.answer("GET", "/api/v3/myTrades", [foreign, {**trade_row(1, "0.7"), "orderId": 28}])
    async with Desk(loopback) as desk:
        assert await queried(desk) == ["accepted", "fill"]
    assert desk.reports[1].trade_id == "1"


async def test_an_order_of_more_fills_than_a_page_holds_is_told_whole(loopback: Loopback):
    rows = [trade_row(number, "0.0004") for number in range(1, 2_501)]

    async def page(request: web.Request) -> web.Response:
        limit, first = int(request.query["limit"]), request.query.get("fromId")
        told = rows[-limit:] if first is None else [row for row in rows if row["id"] >= int(first)][:limit]
        return web.json_response(told)

    loopback.answer("GET", ORDER, order_body("FILLED", "1"))
    loopback.handlers[("GET", "/api/v3/myTrades")] = page
    async with Desk(loopback) as desk:
        assert await queried(desk) == ["accepted", *["fill"] * 2_500]
    assert len({each.trade_id for each in desk.reports}) == 2_501


async def test_a_server_that_gives_the_same_page_for_ever_is_not_asked_for_ever(loopback: Loopback):
    loopback.answer("GET", ORDER, order_body("FILLED", "1"))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(number, "0.0004") for number in range(1, 1_001)])
    async with Desk(loopback) as desk:
        assert (await queried(desk))[-1] == "unknown"
    assert len(loopback.calls("GET", "/api/v3/myTrades")) < 5


async def test_an_order_that_is_done_with_less_than_was_asked_for_has_ended(loopback: Loopback):
    """Self-trade prevention (DECREMENT) takes away the rest of an order that did fill."""
    loopback.answer("GET", ORDER, order_body("FILLED", "0.7", preventedQuantity="0.3"))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "0.7")])
    async with Desk(loopback) as desk:
        assert await queried(desk) == ["accepted", "fill", "expired"]


async def test_an_order_that_the_venue_has_archived_ended_without_a_fill(loopback: Loopback):
    said = "Order was canceled or expired with no executed qty over 90 days ago and has been archived."
    loopback.answer("GET", ORDER, {"code": -2026, "msg": said}, status=400)
    async with Desk(loopback) as desk:
        assert await queried(desk) == ["cancelled"]


async def test_the_end_is_not_told_before_every_fill_is_known(loopback: Loopback):
    loopback.answer("GET", ORDER, order_body("CANCELED", "0.7"))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "0.3")])
    async with Desk(loopback) as desk:
        assert await queried(desk) == ["accepted", "fill", "unknown"]


async def test_an_order_the_venue_never_saw_is_not_found(loopback: Loopback):
    loopback.answer("GET", ORDER, {"code": -2013, "msg": "Order does not exist."}, status=400)
    async with Desk(loopback) as desk:
        assert await queried(desk) == ["not_found"]


async def test_a_question_that_comes_while_another_is_answered_is_asked_too(loopback: Loopback):
    """The answer on its way may be older than what made us ask: a fill in between would stay unknown."""
    asked, may_answer = asyncio.Event(), asyncio.Event()
    filled = False

    async def slowly(_: web.Request) -> web.Response:
        body = order_body("FILLED", "1") if filled else order_body("NEW", "0")
        asked.set()
        await may_answer.wait()
        return web.json_response(body)

    loopback.handlers[("GET", ORDER)] = slowly
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "1")])
    async with Desk(loopback) as desk:
        desk.venue.query(ClientOrderId("td-1"), "BTC/USDT")
        await asked.wait()
        filled = True
        desk.venue.query(ClientOrderId("td-1"), "BTC/USDT")
        may_answer.set()
        await until(lambda: len(desk.reports) == 3)
        assert desk.kinds == ["accepted", "accepted", "fill"]


async def test_answers_that_come_slower_than_the_poll_are_answers_all_the_same(loopback: Loopback):
    """Without a user stream working orders are asked for again and again: who waits for his answers gets them."""
    async def slowly(_: web.Request) -> web.Response:
        await asyncio.sleep(0.1)
        return web.json_response(order_body("NEW", "0"))

    loopback.handlers[("GET", ORDER)] = slowly
    loopback.answer("POST", ORDER, order_body("NEW", "0"))
    async with Desk(loopback, poll_every_s=0.01) as desk:
        assert await desk.submitted() == ["accepted"]
        desk.venue.begin()
        await until(lambda: loopback.calls("GET", ORDER))
        desk.venue.query(ClientOrderId("td-1"), "BTC/USDT")
        assert desk.venue.questions == 1
        await until(lambda: desk.venue.questions == 0)


async def test_what_became_of_an_order_is_asked_while_others_have_used_more_than_their_share(loopback: Loopback):
    loopback.answer("GET", ORDER, order_body("FILLED", "1"))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "1")])
    async with Desk(loopback) as desk:
        budget = desk.venue._rest._address.budget
        budget.note_used(asyncio.get_running_loop().time(), 5_000, 30.0)
        heavy = asyncio.create_task(desk.venue.open_orders())
        await asyncio.sleep(0)
        assert await queried(desk) == ["accepted", "fill"]
        assert loopback.calls("GET", "/api/v3/openOrders") == []
        heavy.cancel()


async def test_a_cancel_does_not_wait_behind_heavy_questions(loopback: Loopback):
    loopback.answer("DELETE", ORDER, order_body("CANCELED", "0"))
    async with Desk(loopback) as desk:
        heavy = asyncio.create_task(desk.venue._rest.read("/api/v3/openOrders", weight=100_000))
        await asyncio.sleep(0)
        desk.venue.cancel(ClientOrderId("td-1"), VenueOrderId("28"), "BTC/USDT")
        await until(lambda: loopback.calls("DELETE", ORDER))
        heavy.cancel()


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_a_query_without_a_clear_answer_leaves_it_unknown(loopback: Loopback, status: int):
    loopback.answer("GET", ORDER, {"code": -1100, "msg": "Illegal characters"}, status=status)
    async with Desk(loopback) as desk:
        assert await queried(desk) == ["unknown"]


async def test_a_cancel_tells_what_filled_before_it(loopback: Loopback):
    loopback.answer("DELETE", ORDER, order_body("CANCELED", "0.3", origClientOrderId="td-1", clientOrderId="x"))
    loopback.answer("GET", ORDER, order_body("CANCELED", "0.3"))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "0.3")])
    async with Desk(loopback) as desk:
        desk.venue.cancel(ClientOrderId("td-1"), VenueOrderId("28"), "BTC/USDT")
        await until(lambda: len(desk.reports) == 3)
        assert desk.kinds == ["accepted", "fill", "cancelled"]


async def test_a_cancel_that_came_too_late_brings_the_fill(loopback: Loopback):
    loopback.answer("DELETE", ORDER, {"code": -2011, "msg": "Unknown order sent."}, status=400)
    loopback.answer("GET", ORDER, order_body("FILLED", "1"))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "1")])
    async with Desk(loopback) as desk:
        desk.venue.cancel(ClientOrderId("td-1"), VenueOrderId("28"), "BTC/USDT")
        await until(lambda: len(desk.reports) == 3)
        assert desk.kinds == ["cancel_rejected", "accepted", "fill"]
