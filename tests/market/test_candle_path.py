from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.candle_path import Assumption, Stance, crossing_price, path_of
from tests.candle_paths import candle

D = Decimal
BAR = candle((100.0, 104.0, 97.0, 102.0, 1.0), 0)


@pytest.mark.parametrize(
    ("stance", "assumption", "path"),
    [
        ("long", "pessimistic", "100 97 104 102"),
        ("long", "optimistic", "100 104 97 102"),
        ("flat", "pessimistic", "100 104 97 102"),
        ("flat", "optimistic", "100 97 104 102"),
    ],
)
def test_the_adverse_extreme_comes_first_for_a_pessimist(stance: Stance, assumption: Assumption, path: str) -> None:
    assert path_of(BAR, stance, assumption) == tuple(D(each) for each in path.split())


def test_a_trigger_on_the_way_is_met_at_itself_and_after_a_gap_where_the_gap_ended() -> None:
    assert crossing_price(D(100), D(97), D(98)) == D(98)
    assert crossing_price(D(97), D(104), D(103)) == D(103)
    assert crossing_price(None, D(95), D(98)) == D(95)
    assert crossing_price(D(96), D(95), D(98)) == D(95)


@given(st.lists(st.integers(1, 1_000), min_size=3, max_size=3), st.integers(1, 1_000))
def test_a_crossing_is_never_better_for_a_seller_than_its_trigger(points: list[int], trigger: int) -> None:
    before, reached = D(max(points)), D(min(points))
    if reached <= trigger:
        assert crossing_price(before, reached, D(trigger)) <= trigger
