"""The bounds of the consensus, exactly at, just below and just above; and what holds for any votes at all."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agents.consensus import Consensus, decide
from agents.disputes import Dispute, Resolver, RuleResolver, Ruling
from bus.messages.council import AlphaSignal, Regime
from tests.agents.council_scene import signal

B, S, H = "trail_buy", "trail_sell", "hold"


def decided(
    *signals: AlphaSignal, quorum: float = 0.25, threshold: float = 0.6, regime: Regime = "trending",
    resolver: Resolver | None = None,
) -> Consensus:
    return decide(signals, threshold=threshold, quorum=quorum, regime=regime, resolver=resolver)


def votes(*rows: Any) -> list[AlphaSignal]:
    return [signal(*row) for row in rows]


# ---- exactly at the bound ----------------------------------------------------------------------------

BOUNDS: dict[str, tuple[list[Any], float, str]] = {
    "the quorum is enough": ([("a", B, 0.9, 1.0), ("b", H, 0.5, 3.0)], 0.25, B),
    "below the quorum is not": ([("a", B, 0.9, 1.0), ("b", H, 0.5, 3.0001)], 0.25, H),
    "a quorum of tenths survives their rounding": ([("a", B, 0.9, 0.1), ("b", H, 0.5, 0.2)], 1 / 3, B),
    "a quorum of 0 asks for nothing": ([("a", B, 0.9, 0.01), ("b", H, 0.5, 1.0)], 0.0, B),
    "a quorum of 1 asks for all": ([("a", B, 0.9, 1.0), ("b", B, 0.9, 0.5)], 1.0, B),
    "one hold breaks a quorum of 1": ([("a", B, 0.9, 1.0), ("b", H, 0.1, 0.001)], 1.0, H),
    "those who say nothing are not asked for": ([("a", B, 0.9, 1.0), ("b", H, 0.0, 9.0)], 1.0, B),
    "the other side counts as weight that answered": ([("a", B, 0.9, 1.0), ("b", S, 0.1, 3.5)], 0.25, H),
    "just below half the winner is no dispute": ([("a", B, 0.8, 1.0), ("b", S, 0.39999, 1.0)], 0.25, B),
    "half the winner is a dispute, and a stranger loses it": ([("a", B, 0.8, 1.0), ("b", S, 0.4, 1.0)], 0.25, H),
    "half by weight is a dispute, too": ([("a", B, 0.8, 1.0), ("b", S, 0.8, 0.5)], 0.25, H),
    "a side of several is a dispute": ([("a", B, 0.9, 1.0), ("b", S, 0.3, 1.0), ("c", S, 0.15, 1.0)], 0.25, H),
    "two that together are one: a tie": ([("a", B, 0.7, 1.0), ("b", S, 0.7, 0.5), ("c", S, 0.7, 0.5)], 0.25, H),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_a_bound_belongs_to_the_side_the_rules_say(name: str) -> None:
    rows, quorum, action = BOUNDS[name]
    assert decided(*votes(*rows), quorum=quorum).action == action


@pytest.mark.parametrize(
    ("confidences", "enough"),
    [((0.6,), True), ((0.5999,), False), ((0.6001,), True), ((0.7, 0.5), True), ((0.2, 0.7, 0.9), True)],
)
def test_a_confidence_at_the_threshold_is_enough_whatever_the_rounding_of_its_mean(
    confidences: Sequence[float], enough: bool,
) -> None:
    result = decided(*(signal(f"a{number}", "trail_buy", each, 0.1) for number, each in enumerate(confidences)))
    assert result.is_enough(0.6) is enough


def test_a_hold_is_never_enough() -> None:
    assert not decided(signal("a", "hold", 0.9)).is_enough(0.0)


# ---- disputes ------------------------------------------------------------------------------------------


class Says:
    """A resolver that says what it was told, and remembers what it was asked."""

    def __init__(self, ruling: Ruling | None) -> None:
        self.ruling = ruling
        self.asked: list[Dispute] = []

    def rule(self, dispute: Dispute) -> Ruling | None:
        self.asked.append(dispute)
        return self.ruling


CONTESTED = votes(("momentum", B, 0.65, 1.0), ("technical", S, 0.6, 0.8), ("structure", H, 0.5, 0.5))


def test_a_resolver_may_let_a_dispute_pass_that_the_rules_would_not() -> None:
    assert decided(*CONTESTED).action == "hold"
    model = Says(Ruling(True, "model", "a clean break"))
    result = decided(*CONTESTED, resolver=model)
    assert (result.action, result.confidence, result.is_disputed) == ("trail_buy", 0.65, True)
    (asked,) = model.asked
    assert (asked.lead_alpha, asked.home, asked.regime) == ("momentum", ("trending", "volatile"), "trending")
    assert len(asked.votes) == 3


def test_a_resolver_may_stop_what_the_rules_would_let_pass_and_is_named() -> None:
    sure = [replace(CONTESTED[0], confidence=0.9), *CONTESTED[1:]]
    assert decided(*sure).action == "trail_buy"
    result = decided(*sure, resolver=Says(Ruling(False, "model", "a trap")))
    assert result.action == "hold"
    assert result.reason.endswith("the dispute ends in hold: a trap (model)")


def test_without_a_ruling_the_rules_decide() -> None:
    silent = Says(None)
    assert decided(*CONTESTED, resolver=silent) == decided(*CONTESTED)
    assert len(silent.asked) == 1


def test_nobody_is_asked_when_nothing_is_disputed() -> None:
    model = Says(Ruling(False, "model", "no"))
    assert decided(signal("a", "trail_buy", 0.9), resolver=model).action == "trail_buy"
    assert model.asked == []


def test_a_model_that_says_where_it_is_at_home_may_win_a_dispute_there_and_only_there() -> None:
    own = replace(signal("own", "trail_buy", 0.8), regimes=("calm",))
    against = signal("technical", "trail_sell", 0.5)
    assert decided(own, against, regime="calm").action == "trail_buy"
    assert decided(own, against, regime="trending").action == "hold"


def test_the_rules_speak_in_sentences() -> None:
    dispute = Dispute("trail_buy", 0.7, "own", ("calm",), 0.6, "calm", ())
    assert RuleResolver().rule(dispute) == Ruling(True, "rules", "own is at home in a market that is calm")
    assert RuleResolver().rule(replace(dispute, confidence=0.69)).reason == "0.690 is below 0.700"


# ---- whatever is said ----------------------------------------------------------------------------------

TENTHS = st.integers(0, 10).map(lambda number: number / 10)
ROWS = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from((B, S, H)), TENTHS, TENTHS), max_size=8,
    unique_by=lambda row: row[0],
)


def by_hand(rows: list[Any], quorum: Fraction) -> tuple[str, Fraction]:
    """G10 in exact arithmetic, up to the dispute: action and confidence."""
    heard = [(action, Fraction(round(sure * 10), 10), Fraction(round(weight * 10), 10))
             for _, action, sure, weight in rows if sure > 0 and weight > 0]
    sums = {side: sum((w * c for a, c, w in heard if a == side), Fraction(0)) for side in (B, S)}
    if sums[B] == sums[S]:
        return H, Fraction(0)
    side = max(sums, key=lambda each: sums[each])
    weight = sum((w for a, _, w in heard if a == side), Fraction(0))
    if weight < quorum * sum((w for _, _, w in heard), Fraction(0)) or 2 * min(sums.values()) >= max(sums.values()):
        return H, Fraction(0)
    return side, sums[side] / weight


@given(ROWS, st.integers(0, 20))
@settings(max_examples=400)
def test_it_is_the_rule_of_the_ledger_in_exact_arithmetic(rows: list[Any], twentieths: int) -> None:
    action, confidence = by_hand(rows, Fraction(twentieths, 20))
    result = decided(*votes(*rows), quorum=twentieths / 20, regime="unknown")
    assert result.action == action
    assert result.confidence == pytest.approx(float(confidence), abs=1e-9)


@given(ROWS, st.floats(1e-6, 1e6))
def test_only_the_proportions_of_weights_count(rows: list[Any], factor: float) -> None:
    before = decided(*votes(*rows))
    after = decided(*votes(*((name, action, sure, weight * factor) for name, action, sure, weight in rows)))
    assert (after.action, after.lead_alpha) == (before.action, before.lead_alpha)
    assert after.confidence == pytest.approx(before.confidence)


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_the_votes_changes_nothing(rows: list[Any], chance: Any) -> None:
    mixed = list(rows)
    chance.shuffle(mixed)
    first, second = decided(*votes(*rows)), decided(*votes(*mixed))
    assert (first.action, first.confidence, first.lead_alpha, first.reason) == (
        second.action, second.confidence, second.lead_alpha, second.reason
    )


@given(ROWS, st.sampled_from((B, S)))
def test_one_more_voice_for_a_side_that_wins_never_makes_the_other_side_win(rows: list[Any], side: str) -> None:
    before = decided(*votes(*rows))
    assume(before.action == side)
    after = decided(*votes(*rows, ("more", side, 0.9, 0.7)))
    assert after.action == side


@given(ROWS)
def test_the_mirror_of_the_votes_is_the_mirror_of_the_decision(rows: list[Any]) -> None:
    turned = {B: S, S: B, H: H}
    straight = decided(*votes(*rows))
    mirrored = decided(*votes(*((name, turned[action], sure, weight) for name, action, sure, weight in rows)))
    assert mirrored.action == turned[straight.action]
    assert mirrored.confidence == straight.confidence


# ---- weights at the edge of what a float holds ------------------------------------------------------------


@pytest.mark.parametrize("size", [5e-324, 1e-300, 1e-12, 1.0, 1e18, 1.7e308])
def test_only_the_proportions_of_weights_count_however_large_or_small_they_are(size: float) -> None:
    result = decided(*votes(("a", B, 0.9, size), ("b", B, 0.7, size), ("c", H, 0.5, size)))
    assert result.action == "trail_buy"
    assert result.confidence == pytest.approx(0.8, abs=1e-9)
    assert [vote.weight for vote in result.votes] == [size, size, size]
    assert decided(*votes(("a", B, 0.9, size), ("b", S, 0.9, size))).action == "hold"
