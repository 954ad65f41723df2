"""T8: the first purchase of a session, and the busy hours of T9."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from market.busy_hours import is_busy
from market.first_entry import FirstEntry
from market.interval import SECOND_NS

D = Decimal
HOUR = 3_600 * SECOND_NS
DAY = 24 * HOUR
NOON = 20_000 * DAY + 12 * HOUR


def opened(price: str = "100") -> FirstEntry:
    first = FirstEntry()
    first.on_price(D(price), NOON)
    return first


def test_two_percent_below_the_session_start_is_bought() -> None:
    first = opened()
    assert first.reason_to_buy(D("98.01"), None) == ""
    assert first.reason_to_buy(D("98"), None) == "first entry: the price is 2.00 % below the session start 100"


def test_a_confident_model_is_enough_and_exactly_seventy_percent_is_not() -> None:
    first = opened()
    assert first.reason_to_buy(D(100), 0.70) == ""
    assert "confidence 0.71" in first.reason_to_buy(D(100), 0.71)


def test_the_start_is_set_anew_at_midnight_while_nothing_is_bought() -> None:
    first = opened()
    first.on_price(D(90), NOON + HOUR)
    assert first.start_price == D(100)
    first.on_price(D(95), NOON + 12 * HOUR)
    assert first.start_price == D(95)
    assert first.reason_to_buy(D("93.2"), None) == ""


def test_after_a_purchase_the_question_is_closed_and_the_start_stays() -> None:
    first = opened()
    first.on_bought()
    first.on_price(D(50), NOON + DAY)
    assert (first.start_price, first.reason_to_buy(D(50), 0.99)) == (D(100), "")


def test_nothing_is_bought_before_a_price_is_known() -> None:
    assert FirstEntry().reason_to_buy(D(1), 0.99) == ""


@given(st.integers(0, 40_000 * DAY))
def test_busy_hours_are_two_hours_of_each_day(now: int) -> None:
    assert is_busy(now) == (14 * HOUR <= now % DAY < 16 * HOUR)


def test_busy_hours_begin_at_two_and_end_before_four() -> None:
    day = 20_000 * DAY
    edges = [day + 14 * HOUR - 1, day + 14 * HOUR, day + 16 * HOUR - 1, day + 16 * HOUR]
    assert [is_busy(edge) for edge in edges] == [False, True, True, False]
