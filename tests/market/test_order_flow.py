import numpy
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as some
from ta.volume import ChaikinMoneyFlowIndicator

from market.order_flow import MoneyFlow, TakerFlow
from tests.candle_paths import random_rows


@pytest.mark.parametrize("price", [1e-8, 1.0, 60_000.0])
def test_the_money_flow_equals_chaikins_in_the_ta_library(price: float) -> None:
    rows = random_rows(1, 600, price=price)
    flow = MoneyFlow(20)
    ours = [flow.update(row[1], row[2], row[3], row[4]) for row in rows]
    high, low, close, volume = (pandas.Series([row[index] for row in rows]) for index in (1, 2, 3, 4))
    theirs = ChaikinMoneyFlowIndicator(high, low, close, volume, 20).chaikin_money_flow().to_numpy()
    assert ours[:19] == [None] * 19
    numpy.testing.assert_allclose(numpy.array(ours[19:], dtype=float), theirs[19:], rtol=1e-9, atol=1e-12)


def test_candles_that_close_on_their_high_are_all_buyers_and_flat_ones_nobody() -> None:
    buyers, nobody, still = MoneyFlow(3), MoneyFlow(3), MoneyFlow(3)
    for _ in range(3):
        buyers.update(11.0, 10.0, 11.0, 5.0)
        nobody.update(10.0, 10.0, 10.0, 5.0)
        still.update(11.0, 10.0, 11.0, 0.0)
    assert (buyers.value, nobody.value, still.value) == (1.0, 0.0, 0.0)


def test_taker_flow_is_bought_less_sold_over_volume() -> None:
    flow = TakerFlow(2)
    assert flow.update(10.0, 10.0) is None
    assert flow.update(30.0, 5.0) == pytest.approx((15.0 - 25.0) / 40.0)
    assert flow.update(1.0, None) is None
    assert flow.update(1.0, 1.0) is None
    assert flow.update(1.0, 1.0) == 1.0


def test_takers_without_volume_are_nobody() -> None:
    flow = TakerFlow(1)
    assert flow.update(0.0, 0.0) == 0.0


@given(some.lists(some.tuples(some.floats(0.0, 1e9), some.floats(0.0, 1.0)), min_size=5, max_size=40))
def test_taker_flow_stays_between_minus_1_and_1(trades: list[tuple[float, float]]) -> None:
    flow = TakerFlow(5)
    for volume, share in trades:
        value = flow.update(volume, volume * share)
        assert value is None or -1.0 - 1e-9 <= value <= 1.0 + 1e-9
