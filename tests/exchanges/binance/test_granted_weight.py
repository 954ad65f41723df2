"""What the venue grants is read from its own words, and nonsense changes nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.binance.granted_weight import (
    LEAST_A_MINUTE,
    MinuteFigure,
    granted_a_minute,
    granted_orders,
    used_weight,
)


def limit(kind: str, interval: str, number: Any, granted: Any) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": granted}


@pytest.mark.parametrize(("rows", "expected"), [
    ([limit("REQUEST_WEIGHT", "MINUTE", 1, 6000), limit("ORDERS", "SECOND", 10, 100), limit("ORDERS", "DAY", 1, 200000),
      limit("RAW_REQUESTS", "MINUTE", 5, 61000)], 6000.0),
    ([limit("REQUEST_WEIGHT", "MINUTE", 1, 1200)], 1200.0),
    ([limit("REQUEST_WEIGHT", "MINUTE", 1, 6000), limit("RAW_REQUESTS", "MINUTE", 5, 6100)], 1220.0),
    ([limit("REQUEST_WEIGHT", "SECOND", 10, 300)], 1800.0),
    ([limit("ORDERS", "SECOND", 10, 50)], None), ([], None), (None, None), ("none", None), ([None, 7, {}], None),
    ([limit("REQUEST_WEIGHT", "MINUTE", 1, 0), limit("REQUEST_WEIGHT", "MINUTE", 0, 6000)], None),
    ([limit("REQUEST_WEIGHT", "FORTNIGHT", 1, 6000), limit("REQUEST_WEIGHT", "MINUTE", 1, "6000")], None),
    ([limit("REQUEST_WEIGHT", "MINUTE", True, 6000), limit("REQUEST_WEIGHT", ["MINUTE"], 1, 6000)], None),
])
def test_the_smallest_limit_of_requests_counts(rows: object, expected: float | None) -> None:
    assert granted_a_minute({"rateLimits": rows}) == expected


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner)
                    | st.dictionaries(st.sampled_from(["rateLimits", "rateLimitType", "interval", "limit"]), inner)))
def test_any_answer_can_be_read(body: object) -> None:
    granted = granted_a_minute(body)
    assert granted is None or granted >= LEAST_A_MINUTE
    assert granted_orders(body) is None


@pytest.mark.parametrize(("rows", "expected"), [
    ([limit("ORDERS", "SECOND", 10, 100), limit("ORDERS", "DAY", 1, 200_000)], (100, 10.0)),
    ([limit("ORDERS", "SECOND", 10, 50), limit("ORDERS", "MINUTE", 1, 200)], (200, 60.0)),
    ([limit("ORDERS", "SECOND", 1, 10)], (10, 1.0)), ([limit("ORDERS", "DAY", 1, 200_000)], None),
    ([limit("ORDERS", "SECOND", 10, 0), limit("REQUEST_WEIGHT", "MINUTE", 1, 6000)], None), (None, None),
])
def test_the_tightest_of_the_short_limits_of_orders_counts(rows: object, expected: tuple[int, float] | None) -> None:
    assert granted_orders({"rateLimits": rows}) == expected


@pytest.mark.parametrize(("text", "used"), [
    ("0", 0), ("1199", 1199), ("", None), ("-1", None), ("1.5", None), ("many", None), ("\u0663", None),
    ("9" * 99, None),
])
def test_the_used_weight_is_a_number_or_nothing(text: str, used: int | None) -> None:
    assert used_weight(text) == used


@pytest.mark.parametrize(("told", "expected"), [
    ([(50, 4_000), (72, 900), (110, 5_000), (133, 1_000)], [True] * 4),  # begins anew with each minute
    ([(50, 4_000), (72, 4_100), (110, 4_200), (132, 4_300), (195, 10)], [True, False, False, False, True]),
    ([(50, 10), (72, 10)], [True, False]),
    ([(15, 100), (72, 400)], [True, True]),  # of early in the minute before
    ([(50, 100), (110, 900)], [True, True]),  # it may have come together since
    ([(50, 100), (192, 900)], [True, True]),  # of an earlier minute
])
def test_a_figure_that_does_not_begin_anew_with_the_minute_is_doubted(
    told: list[tuple[float, int]], expected: list[bool]
) -> None:
    figure = MinuteFigure()
    assert [figure.is_sound(28_719_354 * 60.0 + at, used) for at, used in told] == expected
