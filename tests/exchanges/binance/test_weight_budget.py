"""One bucket of request weight for all who ask of an address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.binance.weight_budget import FOR_BOOKS, FOR_MISSED_TRADES, FOR_ORDERS, FOR_PRICES, WeightBudget

ALL = (FOR_ORDERS, FOR_PRICES, FOR_MISSED_TRADES, FOR_BOOKS)
GRANTED_A_MINUTE = 6_000


def test_request_weight_is_spread_over_time():
    budget = WeightBudget()
    assert [budget.take_now(0.0, 250) for _ in range(4)] == [True] * 4
    assert not budget.take_now(0.0, 80)
    assert budget.wait_s(0.0, 80) == pytest.approx(1.0)
    assert budget.take_now(1.0, 80)
    assert budget.take_now(14.5, 1000)  # a thousand units have come back at 80 a second, and no more
    assert budget.wait_s(14.5, 40) == pytest.approx(0.5)


def test_what_is_heavier_than_the_bucket_leaves_when_it_is_full():
    budget = WeightBudget(100.0)
    assert budget.take_now(0.0, 300)
    assert budget.wait_s(0.0, 1) == pytest.approx(201 / 80)


def test_each_gives_way_to_those_of_smaller_reserves():
    budget = WeightBudget()
    left = []
    for reserve in reversed(ALL):
        while budget.take_now(0.0, 10, reserve):
            pass
        left.append([budget.wait_s(0.0, 10, each) == 0.0 for each in ALL])
    assert left == [[True, True, True, False], [True, True, False, False], [True, False, False, False], [False] * 4]


@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.integers(1, 400), st.sampled_from(ALL)), max_size=200))
def test_in_no_minute_more_leaves_than_the_venue_grants(wishes: list[tuple[float, int, float]]):
    budget, now = WeightBudget(), 0.0
    taken: list[tuple[float, int]] = []
    for pause, weight, reserve in wishes:
        now += pause
        if budget.take_now(now, weight, reserve):
            taken.append((now, weight))
    for since, _ in taken:
        assert sum(weight for at, weight in taken if since <= at < since + 60.0) <= GRANTED_A_MINUTE
