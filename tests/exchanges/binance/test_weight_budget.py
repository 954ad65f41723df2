"""One bucket of request weight for all who ask of an address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.binance.weight_budget import (
    FOR_BOOKS,
    FOR_FATES,
    FOR_HISTORY,
    FOR_MISSED_TRADES,
    FOR_ORDERS,
    FOR_PRICES,
    WeightBudget,
)

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


@given(
    st.sampled_from([1_200, 2_400, 6_000, 12_000]), st.integers(0, 100),
    st.lists(st.tuples(st.floats(0.0, 5.0), st.integers(1, 100), st.sampled_from(ALL)), max_size=200),
)
def test_in_no_minute_more_leaves_than_the_venue_says_that_it_grants(
    granted: int, before: int, wishes: list[tuple[float, int, float]]
):
    budget, now, taken = WeightBudget(), 0.0, list[tuple[float, int]]()
    assert budget.take_now(0.0, before or 1)  # before it was asked what it grants
    taken.append((0.0, before or 1))
    budget.grant(granted)
    for pause, weight, reserve in wishes:
        now += pause
        if budget.take_now(now, weight, reserve):
            taken.append((now, weight))
    for since, _ in taken:
        assert sum(weight for at, weight in taken if since <= at < since + 60.0) <= granted


def test_a_smaller_grant_is_used_up_sooner_and_comes_back_slower():
    budget = WeightBudget()
    assert budget.take_now(0.0, 100)
    budget.grant(1_200)
    assert budget.take_now(0.0, 100)
    assert budget.wait_s(0.0, 16) == pytest.approx(1.0)
    budget.grant(6_000)
    assert budget.wait_s(0.0, 800) == 0.0


def test_what_others_of_the_machine_have_used_is_not_there():
    budget = WeightBudget()
    budget.grant(1_200)
    budget.note_used(30.0, 640, left_s=30.0)  # 200 at once and 480 in half a minute, but for 640
    assert budget.wait_s(30.0, 40) == 0.0
    assert budget.wait_s(30.0, 56) == pytest.approx(1.0)
    budget.note_used(30.0, 1_200, left_s=30.0)
    assert budget.wait_s(30.0, 1) > 30.0  # nothing more in this minute


def test_what_became_of_an_order_is_asked_while_others_have_left_anything_of_the_minute():
    budget = WeightBudget()
    budget.note_used(30.0, 5_000, left_s=30.0)  # 1,600 more than is due by now, and 800 are left
    assert budget.wait_s(30.0, 4) > 20.0
    left = 0
    while budget.take_now(30.0, 20, FOR_FATES):
        left += 20
    assert left == 800
    assert budget.wait_s(30.0, 4, FOR_FATES) > 20.0
    budget.note_used(31.0, 5_100, left_s=29.0)  # an answer that was on its way meanwhile
    assert budget.wait_s(31.0, 4, FOR_FATES) > 20.0


def test_what_was_left_of_a_minute_is_not_left_of_the_next_one():
    budget = WeightBudget()
    budget.note_used(30.0, 5_000, left_s=30.0)
    budget.spend(1_000)
    for now in (59.9, 60.1):
        assert budget.wait_s(now, 4, FOR_FATES) == budget.wait_s(now, 4) > 0.0
    budget.note_used(75.0, 3_000, left_s=45.0)
    assert budget.wait_s(75.0, 4) > budget.wait_s(75.0, 4, FOR_FATES) == 0.0
    budget.grant(1_200)  # it grants less than we thought
    assert budget.wait_s(75.0, 4, FOR_FATES) == budget.wait_s(75.0, 4) > 0.0


def test_what_we_have_used_ourselves_costs_nothing_when_the_venue_tells_it():
    budget, used = WeightBudget(), 0
    for second in range(60):
        while budget.take_now(float(second), 20):
            used += 20
            level = budget._level
            budget.note_used(float(second), used, left_s=60.0 - second)
            assert budget._level == pytest.approx(level)
    assert used == pytest.approx(5_720, abs=20)


@given(
    st.sampled_from([1_200, 6_000]), st.floats(0.0, 59.0),
    st.lists(st.tuples(st.floats(0.0, 2.0), st.integers(1, 50)), min_size=1, max_size=60),
)
def test_a_backfill_beside_a_daemon_leaves_it_its_burst_and_the_grant_holds(
    granted: int, begun_s: float, wishes: list[tuple[float, int]]
):
    daemon, backfill = WeightBudget(), WeightBudget()
    for each in (daemon, backfill):
        each.grant(granted)
    used, minute, now = 0, 0, begun_s

    def left(budget: WeightBudget, weight: int) -> None:
        nonlocal used
        used += weight
        budget.note_used(now, used, 60.0 - now % 60.0)
        assert used <= granted

    for pause_s, weight in wishes:
        until = now + pause_s
        while now < until:  # eight requests a second, if it may
            if int(now // 60) != minute:
                minute, used = int(now // 60), 0
            if backfill.take_now(now, 2, FOR_HISTORY):
                left(backfill, 2)
            now += 0.125
        if int(now // 60) != minute:
            minute, used = int(now // 60), 0
        if daemon.take_now(now, weight):
            left(daemon, weight)


def test_a_backfill_never_keeps_a_book_waiting():
    daemon, backfill = WeightBudget(), WeightBudget()
    for each in (daemon, backfill):
        each.grant(1_200)
    used = 0
    for step in range(400):
        now = step * 0.1
        if backfill.take_now(now, 2, FOR_HISTORY):
            used += 2
            backfill.note_used(now, used, 60.0 - now)
    assert used > 600  # it uses what nobody else does
    daemon.note_used(40.0, used, 20.0)
    assert daemon.wait_s(40.0, 50, FOR_BOOKS) == 0.0
