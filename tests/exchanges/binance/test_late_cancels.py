"""Cancels of orders that the venue does not list: its copies may be minutes behind its own answers."""

from bus.ids import ClientOrderId, VenueOrderId
from tests.exchanges.binance.desk import ORDER, Desk, order_body, ready, trade_row
from tests.exchanges.binance.loopback import Loopback, until

ABSENT = {"code": -2013, "msg": "Order does not exist."}
GONE = {"code": -2011, "msg": "Unknown order sent."}


async def cancelled_while_it_rests(desk: Desk, server: Loopback) -> None:
    server.answer("POST", ORDER, order_body("NEW", "0"))
    await desk.submitted(wire_type="limit", price="110", side="sell")
    desk.venue.cancel(ClientOrderId("td-1"), VenueOrderId("28"), "BTC/USDT")


def has_cancelled(server: Loopback, executed: str) -> None:
    server.answer("DELETE", ORDER, order_body("CANCELED", executed, origClientOrderId="td-1", clientOrderId="x"))
    server.answer("GET", ORDER, ABSENT, status=400)


async def test_an_order_that_was_filled_before_its_cancel_is_not_absent_because_no_copy_has_it_yet(loopback: Loopback):
    """Over in our books, what it sold would be sold once more."""
    loopback.answer("DELETE", ORDER, GONE, status=400)
    loopback.answer("GET", ORDER, ABSENT, status=400)
    async with Desk(loopback) as desk:
        await cancelled_while_it_rests(desk, loopback)
        await until(lambda: len(desk.kinds) == 3)
        assert desk.kinds == ["accepted", "cancel_rejected", "unknown"]
        loopback.answer("GET", ORDER, order_body("FILLED", "1"))
        loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "1")])
        desk.venue.query(ClientOrderId("td-1"), "BTC/USDT")
        await until(lambda: "fill" in desk.kinds)


async def test_what_the_answer_to_a_cancel_counts_is_told_before_the_end(loopback: Loopback):
    ready(loopback)
    has_cancelled(loopback, "0.3")
    async with Desk(loopback, poll_every_s=0.02) as desk:
        await desk.venue.start()
        await cancelled_while_it_rests(desk, loopback)
        await until(lambda: desk.kinds.count("unknown") > 1)
        loopback.answer("GET", ORDER, order_body("NEW", "0"))  # a copy that has not heard of it
        asked = len(loopback.calls("GET", ORDER))
        await until(lambda: len(loopback.calls("GET", ORDER)) > asked + 2)
        assert set(desk.kinds) == {"accepted", "unknown"}
        loopback.answer("GET", ORDER, order_body("CANCELED", "0.3"))
        loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "0.3")])
        await until(lambda: "cancelled" in desk.kinds)
        assert desk.kinds[-2:] == ["fill", "cancelled"]
        assert desk.kinds.count("accepted") == 2


async def test_the_answer_to_a_cancel_ends_an_order_whose_fills_were_all_told_and_nothing_is_asked(loopback: Loopback):
    has_cancelled(loopback, "0")
    async with Desk(loopback) as desk:
        await cancelled_while_it_rests(desk, loopback)
        await until(lambda: len(desk.kinds) == 2)
        assert desk.kinds == ["accepted", "cancelled"]
        assert not desk.venue._working
    assert loopback.calls("GET", ORDER) == []


async def test_an_odd_answer_to_a_cancel_says_nothing_of_its_end(loopback: Loopback):
    for body in ({}, order_body("NEW", "0"), order_body("CANCELED", "much"), order_body("CANCELED", clientOrderId="x")):
        loopback.answer("DELETE", ORDER, body)
        loopback.answer("GET", ORDER, order_body("CANCELED", "0"))
        async with Desk(loopback) as desk:
            await cancelled_while_it_rests(desk, loopback)
            await until(lambda: "cancelled" in desk.kinds)
            assert not desk.venue._owed.items()
