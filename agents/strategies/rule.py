"""What a decision rule is: from a consensus and the state of the account to one planned trade, or a reason why not.

The strategy agent asks a rule only when a trade is possible at all (nothing open on the symbol, no cooldown,
mandate and trading state allow it); the rule says how: quantity, trail, stop, lifetime.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from agents.consensus import Consensus
from agents.parameters import Parameters
from agents.strategies.rule_book import RuleWish
from bus.messages.council import AnalysisCompleted
from bus.messages.ledger import PortfolioSnapshot, PositionClosed
from bus.messages.orders import Protection, TrailSpec
from market.instrument import Instrument


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a rule may look at. `now` is session time (UTC ns); `held` in base; `round_trips` oldest first."""

    now: int
    instrument: Instrument
    analysis: AnalysisCompleted
    consensus: Consensus
    portfolio: PortfolioSnapshot
    held: Decimal
    round_trips: Sequence[PositionClosed]
    wished: RuleWish | None = None
    """What a strategy of the library asked for, where such strategies decide."""

    def feature(self, name: str) -> float | None:
        """One of the analyst's numbers, None while it is not known."""
        for feature in self.analysis.features:
            if feature.name == name:
                return feature.value
        return None


@dataclass(frozen=True, slots=True)
class Plan:
    """A trade as wished: `quantity` in base, `trail` None = at once, `expires_ns` after now the order dies."""

    quantity: Decimal
    trail: TrailSpec | None
    protection: Protection
    expires_ns: int


@dataclass(frozen=True, slots=True)
class NoPlan:
    """Nothing to propose, and why."""

    reason: str


class DecisionRule(Protocol):
    """One strategy. Deterministic: the same situation gives the same plan.

    A position that is held for `max_hold_ns` is sold at once; 0 = it may be held for ever.
    """

    name: str

    @property
    def max_hold_ns(self) -> int: ...

    def plan_entry(self, situation: Situation) -> Plan | NoPlan:
        """How to buy after a buy consensus."""
        ...

    def plan_exit(self, situation: Situation) -> Plan | NoPlan:
        """How to sell what is held after a sell consensus."""
        ...

    def tuned(self, parameters: Parameters) -> "DecisionRule":
        """The same rule with these sizes and trails."""
        ...
