"""T9: how far trails keep, where likely stops are, and the busy hours."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.strategies.trail_distance import (
    BANDS,
    BASE_TRAILS,
    REGIME_FACTORS,
    beyond_clusters,
    round_numbers,
    trail_distance,
)

D = Decimal
HALF = D("0.5")


def test_the_formula_by_hand() -> None:
    # 1.5 % x 1.5 x 0.8 x (1 + 0.5/2) x (2 - 0.9) = 2.475 %
    assert trail_distance(D("0.015"), "trending", D("0.8"), D("0.005"), D("0.9")) == D("0.024750")


def test_the_base_follows_the_risk_tolerance() -> None:
    assert dict(BASE_TRAILS) == {"conservative": D("0.02"), "moderate": D("0.015"), "aggressive": D("0.01")}


@pytest.mark.parametrize(
    ("regime", "least", "most"),
    [("volatile", "0.02", "0.05"), ("trending", "0.01", "0.03"), ("ranging", "0.01", "0.03"), ("calm", "0.005", "0.02"),
     ("unknown", "0.01", "0.03")],
)
def test_each_regime_has_its_band(regime: str, least: str, most: str) -> None:
    tiny = trail_distance(D("0.0001"), regime, HALF, D("0.001"), HALF)  # type: ignore[arg-type]
    huge = trail_distance(D("0.2"), regime, HALF, D("0.05"), HALF)  # type: ignore[arg-type]
    assert (tiny, huge) == (D(least), D(most))


def test_the_bands_target_is_used_when_the_market_is_not_known() -> None:
    assert trail_distance(D("0.02"), "volatile", HALF, None, None) == D("0.03")
    assert trail_distance(D("0.02"), "calm", HALF, None, None) == D("0.01")


def test_what_is_not_known_leaves_its_factor_out() -> None:
    assert trail_distance(D("0.02"), "trending", HALF, None, D(1)) == D("0.015")
    assert trail_distance(D("0.02"), "trending", HALF, D("0.01"), None) == D("0.0225")


def test_busy_hours_widen_by_a_quarter_and_never_beyond_the_band() -> None:
    calm = trail_distance(D("0.02"), "trending", HALF, None, D(1), is_busy=True)
    assert calm == D("0.018750")
    assert trail_distance(D("0.1"), "trending", HALF, None, D(1), is_busy=True) == D("0.03")


@settings(max_examples=200, deadline=None)
@given(
    base=st.decimals("0.001", "0.05", places=4), regime=st.sampled_from(sorted(BANDS)),
    confidence=st.decimals("0", "1", places=2), volatility=st.decimals("0", "0.1", places=4),
    liquidity=st.decimals("-1", "2", places=2), scale=st.sampled_from([D(1), D("0.08"), D("0.0167")]),
)
def test_a_distance_never_leaves_its_band_and_scales_with_it(
    base: Decimal, regime: str, confidence: Decimal, volatility: Decimal, liquidity: Decimal, scale: Decimal,
) -> None:
    band = BANDS[regime]  # type: ignore[index]
    got = trail_distance(base, regime, confidence, volatility, liquidity, scale=scale)  # type: ignore[arg-type]
    assert band.minimum * scale <= got <= band.maximum * scale
    more = trail_distance(base, regime, confidence, volatility + D("0.01"), liquidity, scale=scale)  # type: ignore[arg-type]
    assert more >= got
    assert band.minimum < band.target < band.maximum
    assert REGIME_FACTORS[regime] > 0  # type: ignore[index]


# ---- likely stops ----------------------------------------------------------------------------------


def test_a_sell_trigger_near_a_swing_low_moves_half_a_percent_under_it() -> None:
    # trigger 98.00, swing low 98.10: 0.1 % apart -> 98.10 x 0.995 = 97.6095
    assert beyond_clusters(D("0.02"), "sell", D(100), [D("98.10")], "trending") == D("0.023905")


def test_a_buy_trigger_near_a_swing_high_moves_half_a_percent_over_it() -> None:
    assert beyond_clusters(D("0.02"), "buy", D(100), [D("101.90")], "trending") == D("0.024095")  # 101.9 x 1.005


def test_a_trigger_further_than_a_third_of_a_percent_stays() -> None:
    assert beyond_clusters(D("0.02"), "sell", D(100), [D("98.30"), D("97.70"), D(90)], "trending") == D("0.02")


def test_of_two_clusters_the_outer_one_counts() -> None:
    assert beyond_clusters(D("0.02"), "sell", D(100), [D("98.2"), D("97.9")], "trending") == D("0.025895")  # 97.9


def test_a_trigger_is_never_moved_outside_its_band_or_inwards() -> None:
    assert beyond_clusters(D("0.0295"), "sell", D(100), [D(97)], "trending") == D("0.03")
    # already 0.5 % beyond everything near: nothing to do
    assert beyond_clusters(D("0.02"), "sell", D(100), [D("98.20")], "calm") == D("0.02")


@pytest.mark.parametrize(
    ("price", "below", "above"),
    [("61234", "61000", "62000"), ("1.0523", "1", "1.1"), ("0.3171", "0.31", "0.32"), ("98", "98", "99")],
)
def test_round_numbers_have_two_digits(price: str, below: str, above: str) -> None:
    assert round_numbers(D(price)) == (D(below), D(above))
