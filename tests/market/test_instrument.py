"""Rounding to the venue's steps: always to the side that costs us least when it is wrong."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.instrument import Instrument

D = Decimal
prices = st.decimals("0.001", "100000", allow_nan=False, allow_infinity=False, places=6)
steps = st.sampled_from([D("0.01"), D("0.05"), D("0.5"), D("1"), D("0.00001")])


def instrument(step: Decimal) -> Instrument:
    return Instrument("BTC/USDT", "BTCUSDT", "BTC", "USDT", step, step, step, D(9000), D(5))


def is_whole(value: Decimal, step: Decimal) -> bool:
    return value % step == 0


@given(prices, steps)
def test_a_quantity_is_never_more_than_was_asked_for_and_less_by_under_one_step(value: Decimal, step: Decimal) -> None:
    rounded = instrument(step).round_quantity(value)
    assert is_whole(rounded, step)
    assert 0 <= value - rounded < step


@given(prices, steps)
def test_a_buy_limit_is_never_dearer_and_a_sell_limit_never_cheaper(value: Decimal, step: Decimal) -> None:
    buy, sell = instrument(step).round_price(value, "buy"), instrument(step).round_price(value, "sell")
    assert is_whole(buy, step)
    assert is_whole(sell, step)
    assert 0 <= value - buy < step
    assert 0 <= sell - value < step


@given(prices, steps)
def test_a_stop_fires_no_later_than_was_decided(value: Decimal, step: Decimal) -> None:
    """The market comes to a sell's trigger from above, to a buy's from below: the nearer step is taken."""
    sell, buy = instrument(step).round_trigger(value, "sell"), instrument(step).round_trigger(value, "buy")
    assert is_whole(sell, step)
    assert is_whole(buy, step)
    assert 0 <= sell - value < step
    assert 0 <= value - buy < step


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_what_lies_on_a_step_stays(side: str) -> None:
    assert instrument(D("0.05")).round_trigger(D("97.35"), side) == D("97.35")
    assert instrument(D("0.05")).round_price(D("97.35"), side) == D("97.35")


@given(
    st.decimals("0", "999999999999999999", places=18), st.sampled_from([D("1e-18"), D("1e-8"), D("0.3"), D("7e-12")]),
)
def test_the_longest_numbers_of_a_wire_are_rounded_to_the_right_side_too(value: Decimal, step: Decimal) -> None:
    venue = instrument(step)
    assert venue.round_quantity(value) <= value
    assert venue.round_price(value, "buy") <= value <= venue.round_price(value, "sell")


def test_a_sliver_below_a_step_is_not_rounded_up_to_it() -> None:
    assert instrument(D("0.0001")).round_quantity(D("0." + "9" * 32)) == D("0.9999")
    assert instrument(D("1e-18")).round_quantity(D("12345678901.123456789012345678")) == D(
        "12345678901.123456789012345678")
