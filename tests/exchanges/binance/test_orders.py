"""A new order at Binance: posted once, and what its answer is taken for."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from bus.clock import LiveClock
from tests.exchanges.approvals import approved_order
from tests.exchanges.binance.desk import ORDER, T0, Desk, fill, hang_after_accepting, order_body
from tests.exchanges.binance.loopback import Loopback, until

D = Decimal


async def test_a_market_order_is_posted_once_and_its_fills_are_told(loopback: Loopback):
    loopback.answer("POST", ORDER, order_body(fills=[fill(7, "0.4"), fill(8, "0.6", "100.5")]))
    async with Desk(loopback) as desk:
        assert await desk.submitted(quantity="1.000") == ["accepted", "fill", "fill"]
    (sent,) = desk.posts
    assert {key: sent[key] for key in ("symbol", "side", "type", "quantity", "newClientOrderId", "newOrderRespType")} \
        == {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1", "newClientOrderId": "td-1",
            "newOrderRespType": "FULL"}
    assert "timeInForce" not in sent
    assert len(sent["signature"]) == 64
    second = desk.reports[2]
    assert (second.trade_id, second.quantity, second.price, second.fee, second.fee_asset) == (
        "8", D("0.6"), D("100.5"), D("0.001"), "BTC"
    )
    assert second.venue_order_id == "28"
    assert not second.simulated


async def test_an_order_names_its_sender_for_firewalls_refuse_requests_of_nobody(loopback: Loopback):
    names: list[str | None] = []

    async def taken(request: web.Request) -> web.Response:
        names.append(request.headers.get("User-Agent"))
        return web.json_response(order_body("NEW", "0", clientOrderId=request.query["newClientOrderId"]))

    loopback.handlers[("POST", ORDER)] = taken
    async with Desk(loopback) as desk:
        await desk.submitted()
        prepared = desk.venue.prepare(approved_order("td-2").order)
        assert prepared is not None
        prepared.send(approved_order("td-2"))
        await until(lambda: len(desk.reports) == 2)
    assert names == ["tradingd", "tradingd"]


async def test_a_limit_order_carries_price_and_time_in_force(loopback: Loopback):
    loopback.answer("POST", ORDER, order_body("EXPIRED", "0.4", [fill(7, "0.4")]))
    async with Desk(loopback) as desk:
        kinds = await desk.submitted(wire_type="limit", price="0.00001230", time_in_force="IOC", side="sell")
    assert kinds == ["accepted", "fill", "expired"]
    assert (desk.posts[0]["price"], desk.posts[0]["timeInForce"], desk.posts[0]["side"]) == ("0.0000123", "IOC", "SELL")


async def test_a_refusal_of_the_venue_is_a_rejection_in_its_words(loopback: Loopback):
    loopback.answer("POST", ORDER, {"code": -2010, "msg": "Account has insufficient balance."}, status=400)
    async with Desk(loopback) as desk:
        assert await desk.submitted() == ["rejected"]
    assert desk.reports[0].reason == "-2010: Account has insufficient balance."


async def test_a_timeout_after_the_order_arrived_is_unknown_and_never_sent_again(loopback: Loopback):
    hang_after_accepting(loopback)
    async with Desk(loopback, order_timeout_s=0.05) as desk:
        assert await desk.submitted() == ["unknown"]
        await asyncio.sleep(0.1)
        assert len(desk.posts) == 1


async def test_a_lost_answer_is_unknown_and_never_sent_again(loopback: Loopback):
    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    loopback.handlers[("POST", ORDER)] = handler
    async with Desk(loopback) as desk:
        assert await desk.submitted() == ["unknown"]
        assert len(desk.posts) == 1


async def test_an_address_where_nobody_listens_leaves_the_order_unknown():
    nowhere = Loopback(base="127.0.0.1:1")
    async with Desk(nowhere) as desk:
        assert await desk.submitted() == ["unknown"]


@pytest.mark.parametrize(("status", "body", "exec_type"), [
    (500, {"code": -1000, "msg": "An unknown error occurred"}, "unknown"),
    (503, "Service Unavailable", "unknown"),
    (504, {"code": -1007, "msg": "Timeout waiting for response from backend server."}, "unknown"),
    (502, {"code": -2010, "msg": "Account has insufficient balance for requested action."}, "unknown"),
    (400, {"code": -1006, "msg": "An unexpected response was received"}, "unknown"),
    (400, {"code": -1007, "msg": "Timeout"}, "unknown"),
    (400, {"code": -2010, "msg": "Duplicate order sent."}, "unknown"),
    (404, "not a venue", "unknown"),
    (302, {}, "unknown"),
    (200, "not json at all", "unknown"),
    (429, {"code": -1015, "msg": "Too many new orders"}, "rejected"),
    (418, {"code": -1003, "msg": "banned"}, "rejected"),
    (403, "WAF", "rejected"),
    (400, {"code": -1013, "msg": "Filter failure: LOT_SIZE"}, "rejected"),
    (400, {"code": -1121, "msg": "Invalid symbol."}, "rejected"),
])
async def test_only_the_venues_own_no_ends_an_order(loopback: Loopback, status: int, body: Any, exec_type: str):
    loopback.answer("POST", ORDER, body, status=status)
    async with Desk(loopback) as desk:
        assert set(await desk.submitted()) == {exec_type}  # a slow machine hears a question's answer, too
        assert len(desk.posts) == 1


@pytest.mark.parametrize("body", [
    order_body(clientOrderId="td-other"), order_body("WHAT"), order_body(executedQty=1.0), {}, [], None,
    order_body(fills=[{**fill(7, "1"), "price": "0"}]), order_body(fills=[fill(7, "0.4")]),
])
async def test_an_odd_answer_leaves_the_order_unknown(loopback: Loopback, body: Any):
    loopback.answer("POST", ORDER, body)
    async with Desk(loopback) as desk:
        assert (await desk.submitted())[-1] == "unknown"


async def test_while_banned_nothing_is_sent(loopback: Loopback):
    loopback.answer("POST", ORDER, {"code": -1003, "msg": "Way too many"}, status=429, headers={"Retry-After": "30"})
    async with Desk(loopback) as desk:
        await desk.submitted()
        desk.venue.submit(approved_order("td-2"))
        await until(lambda: len(desk.reports) == 2)
    assert desk.kinds == ["rejected", "rejected"]
    assert "not sent" in desk.reports[1].reason
    assert len(desk.posts) == 1


async def test_a_wrong_clock_is_set_and_the_order_sent_once_more(loopback: Loopback):
    left = [(400, {"code": -1021, "msg": "Timestamp"}), (200, order_body("NEW", "0"))]

    async def handler(request: web.Request) -> web.Response:
        status, body = left.pop(0)
        return web.json_response(body, status=status)

    loopback.handlers[("POST", ORDER)] = handler
    loopback.answer("GET", "/api/v3/time", {"serverTime": LiveClock().now() // 1_000_000 + 60_000})
    async with Desk(loopback) as desk:
        assert await desk.submitted() == ["accepted"]
        first, second = desk.posts
        assert first["newClientOrderId"] == second["newClientOrderId"] == "td-1"
        assert int(second["timestamp"]) - int(first["timestamp"]) > 50_000
        assert (desk.problems, desk.refusals) == ([], [])


async def test_an_order_that_is_refused_for_its_stamp_is_rejected_also_where_the_clock_cannot_be_set(
    loopback: Loopback
):
    loopback.answer("POST", ORDER, {"code": -1021, "msg": "Timestamp"}, status=400)
    loopback.answer("GET", "/api/v3/time", {}, status=503)
    async with Desk(loopback) as desk:
        assert await desk.submitted() == ["rejected"]
        assert "refuses our clock" in desk.refusals[0]
        assert len(desk.posts) == 1



async def test_a_clock_that_cannot_be_set_is_told(loopback: Loopback):
    loopback.answer("POST", ORDER, {"code": -1021, "msg": "Timestamp"}, status=400)
    loopback.answer("GET", "/api/v3/time", {"serverTime": T0})
    async with Desk(loopback) as desk:
        assert await desk.submitted() == ["rejected"]
        assert len(desk.posts) == 2
    assert "clock" in desk.refusals[0]


async def test_a_refused_key_is_told(loopback: Loopback):
    loopback.answer("POST", ORDER, {"code": -2015, "msg": "Invalid API-key"}, status=401)
    async with Desk(loopback) as desk:
        assert await desk.submitted() == ["rejected"]
    assert "keys" in desk.refusals[0]


async def test_a_defect_of_ours_leaves_the_order_unknown_not_forgotten(loopback: Loopback):
    async with Desk(loopback) as desk:
        assert await desk.submitted(symbol="NO/SUCH") == ["unknown"]
    assert "submit td-1 failed" in desk.problems[0]
