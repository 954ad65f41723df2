"""No more orders leave than the venue grants an account, and exits find a place."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.clock import LiveClock
from exchanges.binance.market_client import MarketClient
from exchanges.binance.order_count import OrderCount
from tests.exchanges.approvals import approved_order
from tests.exchanges.binance.desk import ORDER, Desk, order_body
from tests.exchanges.binance.loopback import Loopback, until

LIMITS = {"symbols": [], "rateLimits": [
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 8},
]}


@given(st.integers(5, 20), st.lists(st.tuples(st.floats(0.0, 3.0), st.booleans(), st.integers(1, 12)), max_size=100))
def test_in_no_ten_seconds_more_orders_leave_than_are_granted(
    granted: int, wishes: list[tuple[float, bool, int]]
) -> None:
    count, now, sent = OrderCount(), 0.0, list[float]()
    count.grant(granted, 10.0)
    for pause, is_urgent, orders in wishes:
        now += pause
        for _ in range(orders):
            if count.wait_s(now, is_urgent=is_urgent) <= 0:
                count.note(now)
                sent.append(now)
    assert all(sum(since <= at <= since + 10.0 for at in sent) <= granted for since in sent)


def test_entries_leave_a_quarter_to_exits_and_the_wait_is_told() -> None:
    count = OrderCount()
    count.grant(8, 10.0)
    for number in range(6):
        assert count.wait_s(float(number), is_urgent=False) == 0.0
        count.note(float(number))
    assert count.wait_s(6.0, is_urgent=False) == pytest.approx(4.5)
    assert count.wait_s(6.0, is_urgent=True) == 0.0
    assert count.wait_s(10.5, is_urgent=False) == 0.0


def test_where_nothing_is_granted_nothing_waits() -> None:
    count = OrderCount()
    for _ in range(1_000):
        count.note(0.0)
    assert count.wait_s(0.0, is_urgent=False) == 0.0


async def test_a_burst_of_orders_stays_within_what_the_exchange_grants(loopback: Loopback) -> None:
    loopback.answer("GET", "/api/v3/exchangeInfo", LIMITS)
    loopback.answer("POST", ORDER, order_body("NEW", "0"))
    market = MarketClient("binance", loopback.rest_url, LiveClock(), lambda: 0.5, is_replay=False)
    await market.instruments()
    async with Desk(loopback) as desk:
        for number in range(9):
            desk.venue.submit(approved_order(f"td-{number}"))
        await until(lambda: desk.kinds.count("rejected") == 3)
        assert "our own budget" in next(each.reason for each in desk.reports if each.exec_type == "rejected")
        for number in (10, 11, 12):
            desk.venue.submit(approved_order(f"td-{number}", side="sell"))
        await until(lambda: len(desk.posts) == 8)
        await asyncio.sleep(0)
        assert desk.venue._leave.take_back("td-12")  # it waits
        assert len(desk.posts) == 8
    await market.close()
