"""The selector: who is approved, who adds nothing, and what each weighs."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from agents.strategies.rule_book import RuleChoice
from agents.strategies.selector import Candidate, correlation, fit_of, select

UP = (0.01, -0.005, 0.01, -0.005)
OTHER = (0.01, 0.01, -0.005, -0.005)
"""Not correlated with UP."""


def candidate(name: str, sharpe: float = 1.0, returns: Sequence[float] = UP, **more: object) -> Candidate:
    usual = Candidate(name, {}, 50, sharpe, 1.5, returns, 0.8, 0.6, {"trending": (100, 0.2)})
    return replace(usual, **more)  # type: ignore[arg-type]


def test_score_is_performance_times_robustness() -> None:
    assert candidate("a", 1.0).score == pytest.approx(0.5 * 0.7)
    assert candidate("a", 3.0).score == pytest.approx(1.0 * 0.7)


@pytest.mark.parametrize(("more", "why"), [
    ({"trades": 19}, "19 trades, 20 are needed to judge it"),
    ({"profit_factor": 1.0}, "its profit factor is 1.00: it lost at least as much as it won"),
    ({"sharpe": 0.0}, "its Sharpe ratio is 0.00"),
    ({"parts_won": 0.4, "neighbours_won": 0.5},
     "not robust: it earned in 40% of the fifths of the time, and 50% of its neighbours earned"),
])
def test_who_is_not_good_enough_is_left_out_with_the_reason(more: dict[str, object], why: str) -> None:
    selection = select([replace(candidate("a"), **more)])  # type: ignore[arg-type]
    assert selection.chosen == ()
    assert selection.left_out == (("a", why),)


def test_at_the_edges_it_is_good_enough() -> None:
    assert len(select([candidate("a", trades=20, profit_factor=1.01, parts_won=0.4, neighbours_won=0.6)]).chosen) == 1


def test_of_two_that_do_the_same_the_better_one_is_taken() -> None:
    selection = select([candidate("a", 1.0), candidate("b", 1.2)])
    assert [each.candidate.name for each in selection.chosen] == ["b"]
    assert selection.left_out == (("a", "correlates by 1.00 with b, which scores higher"),)


def test_the_strongest_weighs_one_and_the_others_in_proportion() -> None:
    selection = select([candidate("a", 1.0), candidate("b", 0.5, OTHER)])
    assert [(each.candidate.name, each.weight) for each in selection.chosen] == [("a", 1.0), ("b", 0.5)]


def test_correlation_with_the_others_costs_weight() -> None:
    close = (0.01, 0.004, 0.003, -0.005)
    alone, shared = candidate("a", 1.0, UP), candidate("b", 1.0, close)
    alike = correlation(UP, close)
    assert 0.0 < alike < 0.7
    third = candidate("c", 1.0, (-0.005, 0.01, -0.004, 0.01))
    weights = {each.candidate.name: each.weight for each in select([alone, shared, third]).chosen}
    assert weights["c"] == 1.0
    assert weights["a"] < 1.0


def test_at_most_four_are_taken() -> None:
    patterns = [tuple(0.02 if number == turn else -0.001 for number in range(6)) for turn in range(6)]
    selection = select([candidate(f"s{turn}", 2.0 - turn / 10, pattern) for turn, pattern in enumerate(patterns)])
    assert [each.candidate.name for each in selection.chosen] == ["s0", "s1", "s2", "s3"]
    assert selection.left_out[0][1] == "scores 0.56, and 4 score higher"


def test_the_order_of_the_candidates_does_not_matter() -> None:
    found = [candidate("a", 1.0), candidate("b", 1.0, OTHER), candidate("c", 1.0)]
    assert select(found) == select(found[::-1])


@pytest.mark.parametrize(("first", "second", "expected"), [
    ((1.0, 2.0, 3.0), (2.0, 4.0, 6.0), 1.0), ((1.0, 2.0, 3.0), (3.0, 2.0, 1.0), -1.0), ((1.0, 1.0), (1.0, 2.0), 0.0),
    ((), (), 0.0),
])
def test_correlation_is_pearsons(first: Sequence[float], second: Sequence[float], expected: float) -> None:
    assert correlation(first, second) == pytest.approx(expected)


def test_fit_is_whole_where_it_earned_none_where_it_lost_and_half_where_it_is_not_known() -> None:
    found = fit_of(candidate("a", by_regime={
        "trending": (50, 0.1), "ranging": (50, -0.1), "volatile": (49, 5.0), "calm": (80, 0.0), "unknown": (99, 1.0),
    }))
    assert found == {"trending": 1.0, "ranging": 0.0, "volatile": 0.5, "calm": 0.5, "unknown": 0.5}


def test_a_choice_counts_by_its_fit_to_the_regime_of_the_moment() -> None:
    choice = RuleChoice("breakout", {}, 0.8, {"trending": 1.0, "ranging": 0.5})
    assert [choice.weight_in(regime) for regime in ("trending", "ranging", "calm")] == [0.8, 0.4, 0.8]
