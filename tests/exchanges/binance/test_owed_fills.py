"""A frame of the user stream was lost on a line that is well: the total of a later one (`z`) gives it away."""

import asyncio
from decimal import Decimal

import pytest
from aiohttp import web

from bus.ids import ClientOrderId, VenueOrderId
from exchanges.binance.order_answers import parse_status
from exchanges.binance.user_events import UserEventError, executed_in_all
from tests.exchanges.approvals import approved_order
from tests.exchanges.binance.desk import ORDER, Desk, order_body, ready, trade_row, user_event
from tests.exchanges.binance.loopback import Loopback, sends, until

D = Decimal
ASKED_AGAIN = {"poll_every_s": 0.02, "sweep_every_s": 60}


def of_total(executed: str, execution: str = "CANCELED", **more: object) -> dict:
    event = user_event("td-1", execution)
    event["event"] |= {"z": executed, **more}
    return event


async def rests_and_hears(desk: Desk, server: Loopback, *frames: dict) -> None:
    """An order of 1 rests at the venue; then its stream says this."""
    is_resting = asyncio.Event()

    async def script(socket: web.WebSocketResponse) -> None:
        await is_resting.wait()
        await sends(*frames)(socket)

    server.scripts.append(script)
    ready(server)
    server.answer("POST", ORDER, order_body("NEW", "0"))
    await desk.venue.start()
    await until(lambda: desk.venue.stream.is_up)
    desk.venue.submit(approved_order(wire_type="limit", price="110", side="sell"))
    await until(lambda: desk.kinds == ["accepted"])
    is_resting.set()


def has_it(server: Loopback, status: str, executed: str, *rows: dict) -> None:
    server.answer("GET", ORDER, order_body(status, executed))
    server.answer("GET", "/api/v3/myTrades", list(rows))


@pytest.mark.parametrize(("execution", "status", "end"), [
    ("CANCELED", "CANCELED", "cancelled"), ("EXPIRED", "EXPIRED", "expired"), ("REJECTED", "REJECTED", "cancelled"),
])
async def test_an_end_that_counts_a_fill_which_never_came_is_told_after_it(
    loopback: Loopback, execution: str, status: str, end: str,
):
    has_it(loopback, status, "0.4", trade_row(7, "0.4"))
    async with Desk(loopback, ws=True, **ASKED_AGAIN) as desk:
        await rests_and_hears(desk, loopback, of_total("0.4", execution))
        await until(lambda: end in desk.kinds)
        assert desk.kinds == ["accepted", "accepted", "fill", end]
        assert (desk.reports[2].trade_id, desk.reports[2].quantity) == ("7", D("0.4"))


async def test_an_end_whose_fills_all_came_is_told_at_once_and_nothing_is_asked(loopback: Loopback):
    fill = of_total("0.4", "TRADE", l="0.4", t=7)
    async with Desk(loopback, ws=True, **ASKED_AGAIN) as desk:
        await rests_and_hears(desk, loopback, fill, fill, of_total("0.4"))
        await until(lambda: "cancelled" in desk.kinds)
        assert desk.kinds == ["accepted", "fill", "fill", "cancelled"]
        await until(lambda: desk.venue.stream.is_up)
    assert loopback.calls("GET", ORDER) == []


async def test_while_rest_fails_or_lags_behind_the_end_waits_and_is_asked_for_again(loopback: Loopback):
    loopback.answer("GET", ORDER, {"code": -1008, "msg": "Server is overloaded"}, status=400)
    async with Desk(loopback, ws=True, **ASKED_AGAIN) as desk:
        await rests_and_hears(desk, loopback, of_total("0.4"))
        await until(lambda: len(loopback.calls("GET", ORDER)) > 2)
        has_it(loopback, "NEW", "0")  # a copy of the venue's table that has not heard of it yet
        asked = len(loopback.calls("GET", ORDER))
        await until(lambda: len(loopback.calls("GET", ORDER)) > asked + 2)
        has_it(loopback, "PARTIALLY_FILLED", "0.4", trade_row(7, "0.4"))
        asked = len(loopback.calls("GET", ORDER))
        await until(lambda: len(loopback.calls("GET", ORDER)) > asked + 2)
        assert set(desk.kinds) == {"accepted", "unknown"}
        has_it(loopback, "CANCELED", "0.4", trade_row(7, "0.4"))
        await until(lambda: "cancelled" in desk.kinds)
        assert desk.kinds[-2:] == ["fill", "cancelled"]
        asked = len(loopback.calls("GET", ORDER))
        await until(lambda: len(desk.reports) and not desk.venue._working)
        await asyncio.sleep(0.1)
        assert len(loopback.calls("GET", ORDER)) <= asked + 1


async def test_a_fill_that_counts_more_than_was_told_brings_the_one_that_was_lost(loopback: Loopback):
    has_it(loopback, "FILLED", "1", trade_row(7, "0.4"), trade_row(8, "0.6"))
    async with Desk(loopback, ws=True, **ASKED_AGAIN) as desk:
        await rests_and_hears(desk, loopback, of_total("1", "TRADE", l="0.6", t=8, X="FILLED"))
        await until(lambda: {each.trade_id for each in desk.reports if each.exec_type == "fill"} == {"7", "8"})
    assert len(loopback.calls("GET", ORDER)) == 1


async def test_the_stream_that_repeats_what_the_answer_to_the_order_told_asks_for_nothing(loopback: Loopback):
    rows = [{**trade_row(number, size), "tradeId": number} for number, size in ((7, "0.4"), (8, "0.2"))]
    ready(loopback)
    loopback.answer("POST", ORDER, order_body("EXPIRED", "0.6", rows))
    is_told = asyncio.Event()

    async def script(socket: web.WebSocketResponse) -> None:
        await is_told.wait()
        await sends(
            of_total("0.4", "TRADE", l="0.4", t=7), of_total("0.6", "TRADE", l="0.2", t=8), of_total("0.6", "EXPIRED"),
        )(socket)

    loopback.scripts.append(script)
    async with Desk(loopback, ws=True, **ASKED_AGAIN) as desk:
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        desk.venue.submit(approved_order(wire_type="limit", price="110", time_in_force="IOC"))
        await until(lambda: "expired" in desk.kinds)
        is_told.set()
        await until(lambda: len(desk.reports) == 7)
        assert desk.kinds[4:] == ["fill", "fill", "expired"]
    assert loopback.calls("GET", ORDER) == []


async def test_an_end_that_is_told_while_the_trades_are_read_is_still_owed(loopback: Loopback):
    """The answer is older than it, and must not pass for the one that is waited for."""
    is_reading, may_go_on = asyncio.Event(), asyncio.Event()

    async def first_trades(_: web.Request) -> web.Response:
        is_reading.set()
        await may_go_on.wait()
        return web.json_response([trade_row(7, "0.4")])

    async def script(socket: web.WebSocketResponse) -> None:
        await is_reading.wait()
        await sends(of_total("0.7"))(socket)

    loopback.scripts.append(script)
    has_it(loopback, "PARTIALLY_FILLED", "0.4")
    loopback.handlers[("GET", "/api/v3/myTrades")] = first_trades
    loopback.answer("DELETE", ORDER, {"code": -2011, "msg": "Unknown order sent."}, status=400)
    ready(loopback)
    async with Desk(loopback, ws=True, **ASKED_AGAIN) as desk:
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        desk.venue.cancel(ClientOrderId("td-1"), VenueOrderId("28"), "BTC/USDT")
        await until(lambda: desk.venue._owed.items())
        has_it(loopback, "PARTIALLY_FILLED", "0.4", trade_row(7, "0.4"))
        may_go_on.set()
        asked = len(loopback.calls("GET", ORDER))
        await until(lambda: len(loopback.calls("GET", ORDER)) > asked + 2)
        has_it(loopback, "CANCELED", "0.7", trade_row(7, "0.4"), trade_row(8, "0.3"))
        await until(lambda: "cancelled" in desk.kinds)
        assert {each.trade_id for each in desk.reports if each.exec_type == "fill"} == {"7", "8"}


async def test_the_end_of_an_order_of_an_earlier_run_is_asked_for_when_it_was_filled(loopback: Loopback):
    ready(loopback)
    has_it(loopback, "CANCELED", "0.4", trade_row(7, "0.4"))
    loopback.scripts.append(sends(of_total("0.4", C="td-1", c="web_1")))
    async with Desk(loopback, ws=True, **ASKED_AGAIN) as desk:
        await desk.venue.start()
        await until(lambda: "cancelled" in desk.kinds)
        assert desk.kinds == ["accepted", "fill", "cancelled"]


def test_a_reject_that_filled_is_no_reject():
    assert parse_status(order_body("REJECTED", "0.4"), ClientOrderId("td-1")).ended == "cancelled"
    assert parse_status(order_body("REJECTED", "0"), ClientOrderId("td-1")).ended == "rejected"


def test_a_total_that_cannot_be_read_is_refused_and_one_that_is_not_there_says_nothing():
    assert executed_in_all(of_total("0.40000000")["event"]) == D("0.4")
    assert executed_in_all(user_event("td-1")["event"]) is None
    assert executed_in_all({"e": "balanceUpdate", "z": "1"}) is None
    with pytest.raises(UserEventError, match="z"):
        executed_in_all(of_total("much")["event"])
