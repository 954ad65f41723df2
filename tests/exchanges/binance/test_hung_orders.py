"""An order whose request hangs is asked for soon, and believed to be absent when the venue would accept it no more."""

import asyncio
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from bus.clock import LiveClock
from bus.ids import ClientOrderId
from exchanges.answers import TransportError
from exchanges.binance.rest import POST_TIMEOUT_S, POST_WINDOW_MS, RestClient
from exchanges.http_line import HttpLine
from orders.reports import NOT_FOUND_GRACE_NS
from tests.exchanges.approvals import approved_order
from tests.exchanges.binance.desk import ORDER, Desk, hang_after_accepting, order_body
from tests.exchanges.binance.loopback import Loopback, until

ABSENT = {"code": -2013, "msg": "Order does not exist."}
AHEAD_MS = 1_000
"""So far ahead of its clock a stamp may be ("Timing security" of the spot API)."""
TD_1 = ClientOrderId("td-1")


def test_no_order_is_accepted_any_more_when_the_engine_believes_its_absence() -> None:
    assert (POST_WINDOW_MS + AHEAD_MS) * 1_000_000 <= NOT_FOUND_GRACE_NS
    assert POST_TIMEOUT_S * 1_000_000_000 < NOT_FOUND_GRACE_NS


async def test_an_order_waits_less_for_its_answer_than_a_question(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchanges.binance.rest.POST_TIMEOUT_S", 0.05)
    hang_after_accepting(loopback)

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.2)
        return web.json_response({})

    loopback.handlers[("GET", "/x")] = slow
    rest = RestClient(loopback.rest_url, LiveClock(), api_key="k", api_secret="s", timeout_s=10.0)
    with pytest.raises(TransportError, match=r"no answer within 0\.05 s"):
        await rest.once("POST", ORDER, {}, signed=True)
    assert (await rest.read("/x")).is_ok
    await rest.close()


async def test_a_hung_order_is_unknown_at_once_and_absent_once_none_is_accepted_any_more(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchanges.binance.rest.POST_TIMEOUT_S", 0.05)
    hang_after_accepting(loopback)
    loopback.answer("GET", ORDER, ABSENT, status=400)
    async with Desk(loopback, order_timeout_s=10.0, absence_s=0.3) as desk:
        desk.venue.submit(approved_order())
        await until(lambda: desk.kinds == ["unknown"], timeout_s=2.0)
        desk.venue.query(TD_1, "BTC/USDT")
        await until(lambda: len(desk.kinds) == 2)
        assert desk.kinds[-1] == "not_found"  # which the engine does not believe yet
        assert desk.venue.is_watching(TD_1)
        await until(lambda: not desk.venue._may_be_under_way(TD_1))
        desk.venue.query(TD_1, "BTC/USDT")
        await until(lambda: len(desk.kinds) == 3)
        assert desk.kinds[-1] == "not_found"
        assert not desk.venue.is_watching(TD_1)
    assert len(desk.posts) == 1


def first_then_hangs(server: Loopback, first: web.Response) -> None:
    left = [first]

    async def handler(_: web.Request) -> web.Response:
        if left:
            return left.pop()
        await asyncio.sleep(60)
        return web.json_response({})

    server.handlers[("POST", ORDER)] = handler


@pytest.mark.parametrize("delay", ["a wrong clock", "a ban"])
async def test_an_order_that_was_sent_late_is_not_said_to_be_absent_before_its_own_time_is_over(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch, delay: str
) -> None:
    monkeypatch.setattr("exchanges.binance.rest.POST_TIMEOUT_S", 0.05)
    loopback.answer("GET", ORDER, ABSENT, status=400)

    async def slow_clock(_: web.Request) -> web.Response:
        await asyncio.sleep(0.2)
        return web.json_response({"serverTime": LiveClock().now() // 1_000_000})

    loopback.handlers[("GET", "/api/v3/time")] = slow_clock
    first_then_hangs(loopback, web.json_response({"code": -1021, "msg": "Timestamp"}, status=400))
    async with Desk(loopback, order_timeout_s=10.0, absence_s=1.0) as desk:
        if delay == "a ban":
            first_then_hangs(loopback, web.json_response(order_body("NEW", "0")))
            assert await desk.submitted(client_order_id="td-1") == ["accepted"]
            desk.reports.clear()
            desk.venue._rest.keep_silent(0.3)
        name = ClientOrderId("td-2")
        desk.venue.submit(approved_order(name, side="sell"))
        await until(lambda: len(desk.posts) == 2 and "unknown" in desk.kinds)
        asked = len(desk.kinds)
        desk.venue.query(name, "BTC/USDT")
        await until(lambda: len(desk.kinds) > asked)
        assert desk.kinds[-1] == "unknown"
        assert "may still be under way" in desk.reports[-1].reason
        await until(lambda: not desk.venue._may_be_under_way(name))
        desk.venue.query(name, "BTC/USDT")
        await until(lambda: desk.kinds[-1] == "not_found")


async def test_every_way_of_posting_an_order_says_how_long_it_holds(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    loopback.answer("POST", ORDER, {})
    rest = RestClient(loopback.rest_url, LiveClock(), api_key="k", api_secret="s")
    await rest.once("POST", ORDER, {"symbol": "BTCUSDT"}, signed=True)
    await rest.once("GET", ORDER, {"symbol": "BTCUSDT"}, signed=True)
    assert [query["recvWindow"] for _, _, query in loopback.requests] == [str(POST_WINDOW_MS), "5000"]
    monkeypatch.setattr(HttpLine, "send_bytes", lambda _, request: sent.append(request))
    rest.post_now(ORDER, {"symbol": "BTCUSDT"})
    prepared = rest.prepare_post(ORDER, {"symbol": "BTCUSDT"})
    assert prepared is not None
    prepared.send()
    for request in sent:
        assert parse_qs(request.split(b" ")[1].decode())["recvWindow"] == [str(POST_WINDOW_MS)]
    assert len(sent) == 2
    await rest.close()


@pytest.mark.parametrize("skew_ms", [9_000, 4_500, -1_500, -9_000, 3_600_000])
async def test_a_clock_that_is_off_by_more_than_an_order_holds_is_set_and_the_order_sent_again(
    loopback: Loopback, skew_ms: int
) -> None:
    def venue_ms() -> int:
        return LiveClock().now() // 1_000_000 + skew_ms

    async def judges(request: web.Request) -> web.Response:
        stamp, window = int(request.query["timestamp"]), int(request.query["recvWindow"])
        if stamp < venue_ms() + AHEAD_MS and venue_ms() - stamp <= window:
            return web.json_response(order_body("NEW", "0"))
        return web.json_response({"code": -1021, "msg": "Timestamp outside of the recvWindow."}, status=400)

    async def tells(_: web.Request) -> web.Response:
        return web.json_response({"serverTime": venue_ms()})

    loopback.handlers |= {("POST", ORDER): judges, ("GET", "/api/v3/time"): tells}
    async with Desk(loopback) as desk:
        assert await desk.submitted() == ["accepted"]
        assert desk.refusals == []
        desk.reports.clear()
        desk.venue.submit(approved_order("td-2"))
        await until(lambda: len(desk.posts) == 3)  # the next one is right at once
