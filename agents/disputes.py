"""When the alphas disagree: who decides whether the stronger side may have its way. Pure.

A dispute is put before a `Resolver`. A model of language may be one (the runtime serves it; it rules on what it has
already answered and never makes the council wait); whenever it has no ruling, the rules decide.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bus.messages.council import Action, Regime, Vote

DISPUTE_MARGIN: Final = 0.1
"""So much above the threshold must the winner of a dispute be."""

# Sums of a few products of numbers 0-1: differences below this are rounding, not opinion.
EPSILON: Final = 1e-9

REGIME_FIT: Final[Mapping[str, tuple[Regime, ...]]] = {
    "momentum": ("trending", "volatile"),
    "mean_reversion": ("ranging", "calm"),
    "structure": ("trending", "ranging"),
    "volatility": ("volatile", "trending"),
    "volume_profile": ("trending", "ranging", "volatile"),
    "regime": ("trending", "ranging"),
    "technical": ("trending", "ranging", "calm"),
}
"""Where each built-in model is at home; models of users say it themselves."""


@dataclass(frozen=True, slots=True)
class Dispute:
    """Both sides are strong: `action` would win with `confidence`, led by `lead_alpha`, at home in `home`."""

    action: Action
    confidence: float
    lead_alpha: str
    home: Sequence[Regime]
    threshold: float
    regime: Regime
    votes: tuple[Vote, ...]


@dataclass(frozen=True, slots=True)
class Ruling:
    """Whether the winner may have its way; `by` names who said so, `reason` why."""

    passes: bool
    by: str
    reason: str


class Resolver(Protocol):
    """Rules on disputes. The same dispute must get the same ruling in a replay."""

    def rule(self, dispute: Dispute) -> Ruling | None:
        """None: no ruling; the rules decide then."""
        ...


class RuleResolver:
    """The winner passes if its confidence is at least threshold + 0.1 and its leader is at home in this market."""

    def rule(self, dispute: Dispute) -> Ruling:
        needed = dispute.threshold + DISPUTE_MARGIN
        if dispute.confidence < needed - EPSILON:
            return Ruling(False, "rules", f"{dispute.confidence:.3f} is below {needed:.3f}")
        if dispute.regime not in dispute.home:
            return Ruling(False, "rules", f"{dispute.lead_alpha} is not at home in a market that is {dispute.regime}")
        return Ruling(True, "rules", f"{dispute.lead_alpha} is at home in a market that is {dispute.regime}")


def settle(dispute: Dispute, resolver: Resolver | None) -> Ruling:
    """What `resolver` rules, or else the rules."""
    ruling = resolver.rule(dispute) if resolver is not None else None
    return ruling if ruling is not None else RuleResolver().rule(dispute)
