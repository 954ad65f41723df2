"""Many opinions become one: weighted consensus over the signals of one closed candle. Pure.

The rules (all sums weighted, weight 0 = the alpha is switched off and not heard at all). Each bound is inclusive for
the trade: at the threshold is enough, at the quorum is enough, and at half the winner's sum is a dispute. Numbers that
differ by less than a billionth count as equal, so that bounds and ties hold whatever the rounding of the sums:

1. *Answered* is every enabled alpha with a confidence above 0; a hold with a confidence is an answer, too.
   A signal whose numbers are not sane (NaN, confidence outside 0-1) is no answer.
2. The side with the larger sum of weight x confidence wins. Nothing said, or a tie: hold.
3. The winner's weight must be at least `quorum` of the weight that answered, else hold.
4. Confidence is the weighted mean of the confidences on the winning side alone.
5. If the runner-up's sum is at least half the winner's, the models disagree, and a resolver rules
   (`agents.disputes`). Without one, or without its ruling, the winner passes only if its confidence is at least
   `threshold` + 0.1 *and* the leading alpha is at home in the present regime (as the alpha itself says, else
   `REGIME_FIT`); else hold. Who is at home nowhere never wins a dispute.

Whether the confidence suffices for a trade is the strategy's question; `is_enough` answers it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agents.disputes import EPSILON, REGIME_FIT, Dispute, Resolver, settle
from bus.messages.council import Action, AlphaSignal, Regime, Vote

DISPUTE_RATIO: Final = 0.5
_SMALLEST: Final = 1e-200
_LARGEST: Final = 1e200
_VERBS: Final[Mapping[Action, str]] = {"trail_buy": "buy", "trail_sell": "sell", "hold": "hold"}


@dataclass(frozen=True, slots=True)
class Consensus:
    """What the alphas want together. `confidence` 0-1 belongs to `action` and is 0 for a hold.

    `votes` are all enabled alphas that answered, in the order of their signals; `lead_alpha` is the one
    that weighs most on the winning side ("" for a hold); `reason` is a sentence for people.
    """

    action: Action
    confidence: float
    votes: tuple[Vote, ...]
    lead_alpha: str
    reason: str
    is_disputed: bool = False

    def is_enough(self, threshold: float) -> bool:
        """A side won, and its confidence is at least `threshold`."""
        return self.action != "hold" and self.confidence >= threshold - EPSILON


def decide(
    signals: Sequence[AlphaSignal], *, threshold: float, quorum: float, regime: Regime = "unknown",
    resolver: Resolver | None = None,
) -> Consensus:
    """The consensus of one candle's signals; each signal carries its alpha's present weight.

    `threshold` and `quorum` are ratios 0-1; `resolver` rules on disputes. The result does not depend on the order of
    `signals`, except that of `votes`; a second signal of the same alpha replaces its first.
    """
    votes = _answers(signals)
    if not votes:
        return Consensus("hold", 0.0, (), "", "no model has an opinion")
    heard = _within_reach(votes)
    buy, sell = _side_sum(heard, "trail_buy"), _side_sum(heard, "trail_sell")
    if max(buy, sell) <= 0.0:
        holding = _names(heard, "hold")
        return Consensus("hold", 0.0, votes, "", f"all hold: {holding}" if holding else "no model is confident")
    if abs(buy - sell) <= EPSILON * max(buy, sell):
        return Consensus("hold", 0.0, votes, "", f"a tie: {_camps(heard, 'trail_buy')}", is_disputed=True)
    action: Action = "trail_buy" if buy > sell else "trail_sell"
    winner, runner_up = max(buy, sell), min(buy, sell)
    weight = math.fsum(vote.weight for vote in heard if vote.action == action)
    share = weight / math.fsum(vote.weight for vote in heard)
    story = _camps(heard, action)
    if share < quorum - EPSILON:
        return Consensus("hold", 0.0, votes, "", f"{story}; only {share:.0%} of the weight, {quorum:.0%} is needed")
    confidence = min(1.0, winner / weight)
    lead = _camp(heard, action)[0].alpha
    is_disputed = runner_up >= (DISPUTE_RATIO - EPSILON) * winner
    if is_disputed:
        home = _home_of(lead, signals)
        ruling = settle(Dispute(action, confidence, lead, home, threshold, regime, votes), resolver)
        said = "" if ruling.by == "rules" else f" ({ruling.by})"
        if not ruling.passes:
            return Consensus("hold", 0.0, votes, "", f"{story}; the dispute ends in hold: {ruling.reason}{said}", True)
    return Consensus(action, confidence, votes, lead, story, is_disputed)


def _home_of(lead: str, signals: Sequence[AlphaSignal]) -> Sequence[Regime]:
    said = next((signal.regimes for signal in signals if signal.alpha == lead and signal.regimes), ())
    return said or REGIME_FIT.get(lead, ())


def _answers(signals: Sequence[AlphaSignal]) -> tuple[Vote, ...]:
    votes_by_alpha: dict[str, Vote] = {}
    for signal in signals:
        votes_by_alpha.pop(signal.alpha, None)
        if 0.0 < signal.confidence <= 1.0 and 0.0 < signal.weight < math.inf and signal.action in _VERBS:
            votes_by_alpha[signal.alpha] = Vote(signal.alpha, signal.action, signal.confidence, signal.weight)
    return tuple(votes_by_alpha.values())


def _within_reach(votes: tuple[Vote, ...]) -> tuple[Vote, ...]:
    """The same votes, for sums: weights whose sum would overflow or vanish are scaled by a power of two (exact)."""
    largest = max(vote.weight for vote in votes)
    if _SMALLEST < largest < _LARGEST:
        return votes
    exponent = math.frexp(largest)[1]
    return tuple(
        Vote(vote.alpha, vote.action, vote.confidence, math.ldexp(vote.weight, -exponent)) for vote in votes
    )


def _side_sum(votes: Sequence[Vote], action: Action) -> float:
    return math.fsum(vote.weight * vote.confidence for vote in votes if vote.action == action)


def _camp(votes: Sequence[Vote], action: Action) -> list[Vote]:
    """Who is for it, the strongest first; equals (whatever the rounding) by name."""
    camp = [vote for vote in votes if vote.action == action]
    strongest = max((vote.weight * vote.confidence for vote in camp), default=0.0) or 1.0
    return sorted(camp, key=lambda vote: (-round(vote.weight * vote.confidence / strongest, 9), vote.alpha))


def _names(votes: Sequence[Vote], action: Action) -> str:
    return ", ".join(vote.alpha for vote in _camp(votes, action))


def _camps(votes: Sequence[Vote], first: Action) -> str:
    """ "momentum 0.78, structure 0.70 agree to buy; technical holds". """
    second: Action = "trail_sell" if first == "trail_buy" else "trail_buy"
    parts = []
    for action in (first, second):
        camp = _camp(votes, action)
        if camp:
            told = ", ".join(f"{vote.alpha} {vote.confidence:.2f}" for vote in camp)
            verb = _VERBS[action]
            parts.append(f"{told} says {verb}" if len(camp) == 1 else f"{told} agree to {verb}")
    holding = _camp(votes, "hold")
    if holding:
        parts.append(f"{_names(votes, 'hold')} {'holds' if len(holding) == 1 else 'hold'}")
    return "; ".join(parts)
