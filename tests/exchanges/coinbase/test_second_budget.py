"""No second of an account has more requests than the venue grants, and each class finds its share."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.clock import LiveClock
from exchanges.answers import Answer, NoAnswerError
from exchanges.coinbase.keys import read_keys
from exchanges.coinbase.rest import CoinbaseRest
from exchanges.coinbase.second_budget import MOST, SHARES, WINDOW_S, RequestClass, SecondBudget
from tests.exchanges.coinbase.exchange import KEY_NAME, PEM, Exchange

GRANTED_A_SECOND = 30


def burst(budget: SecondBudget, kind: RequestClass, now: float = 0.0) -> int:
    sent = 0
    while budget.take_now(kind, now):
        sent += 1
    return sent


@given(st.lists(st.tuples(st.floats(0.0, 0.5), st.sampled_from(sorted(SHARES)), st.integers(1, 30)), max_size=100))
def test_in_no_second_more_leaves_than_is_granted(wishes: list[tuple[float, RequestClass, int]]):
    budget, now = SecondBudget(), 0.0
    taken: list[float] = []
    for pause, kind, count in wishes:
        now += pause
        taken += [now for _ in range(count) if budget.take_now(kind, now)]
    assert all(sum(since <= at < since + 1.0 for at in taken) <= MOST < GRANTED_A_SECOND for since in taken)


@pytest.mark.parametrize("kind", sorted(SHARES))
def test_what_all_others_ask_for_leaves_a_class_its_share(kind: RequestClass):
    budget = SecondBudget()
    for each in SHARES:
        if each != kind:
            burst(budget, each)
    assert burst(budget, kind) == SHARES[kind]


def test_who_comes_alone_has_what_is_left_over_as_well_and_again_when_the_second_is_over():
    budget = SecondBudget()
    left_over = MOST - sum(SHARES.values())
    assert burst(budget, "cancel") == SHARES["cancel"] + left_over
    assert budget.wait_s("cancel", 0.25) == pytest.approx(WINDOW_S - 0.25)
    assert budget.wait_s("exit", 0.25) == 0.0
    assert burst(budget, "cancel", WINDOW_S) == SHARES["cancel"] + left_over


async def test_what_waits_for_its_turn_is_not_sent_when_the_venue_bans_us_meanwhile(exchange: Exchange):
    rest = CoinbaseRest(
        exchange.rest_url, LiveClock(), keys=read_keys("coinbase", KEY_NAME, PEM), jitter=lambda: 0.5,
    )
    now = asyncio.get_running_loop().time()
    burst(rest._second, "account", now - WINDOW_S + 0.05)  # the next may leave in 50 ms
    waiting = asyncio.create_task(rest.read("brokerage/accounts"))
    await asyncio.sleep(0)
    rest._noted(Answer(429, {}, retry_after_s=120.0))
    with pytest.raises(NoAnswerError, match="no requests for another"):
        await waiting
    assert exchange.calls("GET", "/accounts") == []
    await rest.close()


async def test_a_ban_that_is_lengthened_is_waited_out_to_its_new_end(exchange: Exchange):
    rest = CoinbaseRest(
        exchange.rest_url, LiveClock(), keys=read_keys("coinbase", KEY_NAME, PEM), jitter=lambda: 0.5,
    )
    rest._noted(Answer(429, {}, retry_after_s=0.02))
    waiting = asyncio.create_task(
        rest.read("brokerage/orders/batch_cancel", {"order_ids": ["1"]}, budget="cancel", method="POST")
    )
    await asyncio.sleep(0)
    rest._noted(Answer(429, {}, retry_after_s=120.0))
    with pytest.raises(NoAnswerError, match="no requests for another"):
        await waiting
    assert exchange.requests == []
    await rest.close()
