import random
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.consensus import Consensus, decide
from bus.messages.council import AlphaSignal, Regime
from tests.agents.council_scene import signal


def decided(*signals: AlphaSignal, quorum: float = 0.25, regime: Regime = "trending") -> Consensus:
    return decide(signals, threshold=0.6, quorum=quorum, regime=regime)


B, S, H = "trail_buy", "trail_sell", "hold"

# name: signals as (alpha, action, confidence, weight), action expected, confidence expected, lead expected
TRUTH_TABLE: dict[str, tuple[list[Any], str, float, str]] = {
    "nobody speaks": ([], H, 0.0, ""),
    "all hold": ([("momentum", H, 0.5, 1.0), ("technical", H, 0.4, 0.3)], H, 0.0, ""),
    "holds without confidence are no answer": ([("momentum", H, 0.0, 1.0)], H, 0.0, ""),
    "one buys alone": ([("momentum", B, 0.7, 1.0)], B, 0.7, "momentum"),
    "one sells alone": ([("momentum", S, 0.9, 0.5)], S, 0.9, "momentum"),
    "the mean is weighted": ([("momentum", B, 0.8, 1.0), ("structure", B, 0.5, 0.5)], B, 0.7, "momentum"),
    "holds do not dilute the confidence": ([("momentum", B, 0.8, 1.0), ("technical", H, 0.5, 1.0)], B, 0.8, "momentum"),
    "a small opposition does not dilute it either":
        ([("momentum", B, 0.8, 1.0), ("structure", S, 0.3, 1.0)], B, 0.8, "momentum"),
    "an exact tie holds": ([("momentum", B, 0.6, 1.0), ("structure", S, 0.6, 1.0)], H, 0.0, ""),
    "a tie of products holds": ([("momentum", B, 0.3, 1.0), ("structure", S, 0.6, 0.5)], H, 0.0, ""),
    "a tie hidden by rounding holds":
        ([("a", B, 0.1, 1.0), ("b", B, 0.1, 1.0), ("c", B, 0.1, 1.0), ("d", S, 0.3, 1.0)], H, 0.0, ""),
    "weight 0 is not heard": ([("momentum", B, 0.9, 0.0), ("structure", S, 0.7, 0.1)], S, 0.7, "structure"),
    "weight decides, not the head count":
        ([("a", S, 0.9, 0.1), ("b", S, 0.9, 0.1), ("momentum", B, 0.7, 1.0)], B, 0.7, "momentum"),
    "NaN is no answer": ([("momentum", B, float("nan"), 1.0), ("structure", S, 0.7, 1.0)], S, 0.7, "structure"),
    "more than certain is no answer": ([("momentum", B, 1.5, 1.0), ("structure", S, 0.7, 1.0)], S, 0.7, "structure"),
    "an infinite weight is no answer":
        ([("momentum", B, 0.7, float("inf")), ("structure", S, 0.7, 1.0)], S, 0.7, "structure"),
    "a negative weight is no answer": ([("momentum", B, 0.7, -1.0), ("structure", S, 0.7, 1.0)], S, 0.7, "structure"),
    "the first name leads among equals": ([("b", B, 0.7, 1.0), ("a", B, 0.7, 1.0)], B, 0.7, "a"),
}


@pytest.mark.parametrize("name", TRUTH_TABLE)
def test_the_truth_table_of_the_consensus(name: str) -> None:
    rows, action, confidence, lead = TRUTH_TABLE[name]
    result = decided(*(signal(*row) for row in rows))
    assert (result.action, result.lead_alpha) == (action, lead)
    assert result.confidence == pytest.approx(confidence, abs=1e-12)


def test_the_quorum_counts_every_weight_that_answered() -> None:
    # 1.0 of 4.0 answered is exactly the quorum of 25 %; a hair more silence-with-opinion breaks it
    holds = [signal("b", "hold", 0.2, 1.0), signal("c", "hold", 0.2, 1.0), signal("d", "hold", 0.2, 1.0)]
    assert decided(signal("momentum", "trail_buy", 0.9, 1.0), *holds).action == "trail_buy"
    broken = decided(signal("momentum", "trail_buy", 0.9, 1.0), *holds, signal("e", "hold", 0.2, 0.1))
    assert broken.action == "hold"
    assert "24%" in broken.reason


def test_a_hold_without_confidence_does_not_count_for_the_quorum() -> None:
    silent = [signal(name, "hold", 0.0, 1.0) for name in "bcdefgh"]
    assert decided(signal("momentum", "trail_buy", 0.9, 1.0), *silent).action == "trail_buy"


def dispute(winner: float, runner_up: float, lead: str = "momentum", regime: Regime = "trending") -> Consensus:
    return decided(signal(lead, "trail_buy", winner), signal("stranger", "trail_sell", runner_up), regime=regime)


def test_a_runner_up_below_half_the_winner_is_no_dispute() -> None:
    assert dispute(0.62, 0.30) == Consensus(
        "trail_buy", 0.62, dispute(0.62, 0.30).votes, "momentum", "momentum 0.62 says buy; stranger 0.30 says sell",
    )


@pytest.mark.parametrize(
    ("winner", "runner_up", "lead", "regime", "action"),
    [
        (0.80, 0.40, "momentum", "trending", "trail_buy"),   # sure enough and at home
        (0.70, 0.35, "momentum", "trending", "trail_buy"),   # exactly threshold + 0.1
        (0.69, 0.40, "momentum", "trending", "hold"),        # not sure enough
        (0.80, 0.40, "momentum", "ranging", "hold"),         # not at home
        (0.80, 0.40, "mean_reversion", "ranging", "trail_buy"),
        (0.80, 0.40, "momentum", "unknown", "hold"),
        (0.80, 0.40, "somebody_new", "trending", "hold"),    # strangers never win a dispute
        (0.80, 0.79, "momentum", "trending", "trail_buy"),
    ],
)
def test_the_resolver_of_disputes(winner: float, runner_up: float, lead: str, regime: Regime, action: str) -> None:
    result = dispute(winner, runner_up, lead, regime)
    assert result.action == action
    assert result.is_disputed
    assert (result.confidence > 0) == (action != "hold")


def test_the_reason_reads_as_a_sentence() -> None:
    result = decided(
        signal("structure", "trail_buy", 0.70, 0.8), signal("momentum", "trail_buy", 0.78),
        signal("technical", "hold", 0.5, 0.3),
    )
    assert result.reason == "momentum 0.78, structure 0.70 agree to buy; technical holds"


def test_the_second_signal_of_an_alpha_replaces_its_first() -> None:
    result = decided(signal("momentum", "trail_buy", 0.9), signal("momentum", "trail_sell", 0.7))
    assert (result.action, len(result.votes)) == ("trail_sell", 1)


def test_the_order_of_the_signals_does_not_matter() -> None:
    chance = random.Random(11)
    signals = [
        signal(name, chance.choice(("trail_buy", "trail_sell", "hold")), chance.random(), chance.random())
        for name in ("a", "b", "c", "momentum", "structure")
    ]
    results = {
        (r.action, r.confidence, r.lead_alpha, r.reason) for r in (decided(*order) for order in permutations(signals))
    }
    assert len(results) == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdefg"), st.sampled_from(("trail_buy", "trail_sell", "hold")),
            st.floats(allow_nan=True), st.floats(allow_nan=True),
        ),
        max_size=8,
    )
)
def test_whatever_is_said_a_decision_lies_within_what_its_side_said(rows: list[tuple[str, str, float, float]]) -> None:
    result = decided(*(signal(*row) for row in rows))  # type: ignore[arg-type]
    side = [vote.confidence for vote in result.votes if vote.action == result.action]
    if result.action == "hold":
        assert (result.confidence, result.lead_alpha) == (0.0, "")
    else:
        assert min(side) - 1e-9 <= result.confidence <= max(side) + 1e-9
        assert result.lead_alpha in {vote.alpha for vote in result.votes if vote.action == result.action}
