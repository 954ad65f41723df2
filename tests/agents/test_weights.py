"""What outcomes make of a weight: the documented formula, its bounds, and what is an outcome at all."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.weights import adapted, factor_of, outcomes_of
from bus.messages.votes import Vote

VOTES = (
    Vote("for", "trail_buy", 0.8, 1.0), Vote("against", "trail_sell", 0.3, 0.5), Vote("neither", "hold", 0.5, 1.0),
)


@pytest.mark.parametrize(
    ("profit", "expected"),
    [("1.5", {"for": True, "against": False}), ("-0.01", {"for": False, "against": True}), ("0", {})],
)
def test_who_voted_for_a_gain_or_against_a_loss_was_right(profit: str, expected: dict[str, bool]) -> None:
    assert outcomes_of(VOTES, Decimal(profit)) == expected


def test_what_a_strategy_wished_is_no_outcome_of_the_alpha_of_its_name() -> None:
    votes = (Vote("for", "trail_buy", 0.6, 1.0, is_strategy=True), Vote("for", "hold", 0.5, 1.0), VOTES[1])
    assert outcomes_of(votes, Decimal(-1)) == {"against": True}


@pytest.mark.parametrize(
    ("right", "wrong", "base", "weight"),
    [
        (0, 0, 0.8, 0.8),      # nothing known
        (10, 10, 0.8, 0.8),    # no better than a coin
        (20, 0, 0.4, 0.6),     # 30 of 40: 1.5
        (100, 0, 0.4, 0.6),    # never more
        (0, 20, 0.8, 0.4),     # 10 of 40: 0.5
        (0, 100, 0.8, 0.4),    # never less
        (1, 0, 1.0, 1.0),      # never above 1
        (6, 4, 0.5, 0.53),     # 16 of 30: 1.0667
        (0, 100, 0.01, 0.01),  # never off
        (100, 0, 0.0, 0.0),    # never on
    ],
)
def test_the_documented_formula(right: int, wrong: int, base: float, weight: float) -> None:
    assert adapted(base, (True,) * right + (False,) * wrong) == weight


def test_only_the_last_hundred_count() -> None:
    assert factor_of((False,) * 500 + (True,) * 50 + (False,) * 50) == 1.0


@given(st.lists(st.booleans(), max_size=150), st.floats(0.01, 1.0))
def test_one_more_that_was_right_never_makes_less_of_it(outcomes: list[bool], base: float) -> None:
    assert adapted(base, [*outcomes[-99:], True]) >= adapted(base, [*outcomes[-99:], False])
    assert 0.01 <= adapted(base, outcomes) <= 1.0
