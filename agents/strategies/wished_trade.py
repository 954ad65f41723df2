"""A strategy's wish as a trade: at once, sized as every entry is, with the exits the strategy asked for.

A strategy that names no stop gets the stop of the limits; every position has one. Of a wish's own fraction of the cash
the daemon takes no notice: sizes are the account's matter (`risk.sizing`), the strategy's weight is its share of them.
"""

from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from agents.parameters import Parameters
from agents.strategies.entry_size import SizeRule, atr_ratio_of
from agents.strategies.rule import NoPlan, Plan, Situation
from bus.messages.orders import Protection, TrailSpec
from market.money import ZERO

_RATIO_STEP: Final = Decimal("0.000001")


class WishedTrade:
    """See the module. `expires_ns`: how long the order may live."""

    name = "wished_trade"

    def __init__(self, size: SizeRule, expires_ns: int, max_hold_ns: int = 0) -> None:
        self._size = size
        self._expires_ns = expires_ns
        self._max_hold_ns = max_hold_ns

    @property
    def max_hold_ns(self) -> int:
        return self._max_hold_ns

    def tuned(self, parameters: Parameters) -> "WishedTrade":
        """The same with this size; the trails are the strategy's own."""
        return WishedTrade(replace(self._size, position_size=parameters.size), self._expires_ns, self._max_hold_ns)

    def plan_entry(self, situation: Situation) -> Plan | NoPlan:
        wished = situation.wished
        if wished is None:
            return NoPlan("no strategy wishes to enter")
        wish = wished.wish
        stop = _ratio(wish.stop) or self._size.limits.stop_loss
        sized = self._size.quantity(situation, atr_ratio_of(situation), stop, _ratio(wished.choice.weight) or ZERO)
        if sized.quantity <= ZERO:
            return NoPlan(" ".join(sized.reasons[-2:]))
        trail = _ratio(wish.trail)
        protection = Protection(
            stop_ratio=stop,
            trail=TrailSpec("percent", trail) if trail is not None else None,
            take_profit_ratio=_ratio(wish.target),
        )
        return Plan(sized.quantity, None, protection, self._expires_ns)

    def plan_exit(self, situation: Situation) -> Plan | NoPlan:
        wished = situation.wished
        share = _ratio(wished.wish.fraction) if wished is not None else None
        quantity = situation.instrument.round_quantity(situation.held * share if share is not None else situation.held)
        if quantity <= ZERO:
            return NoPlan("nothing is held that could be sold")
        return Plan(quantity, None, Protection(), self._expires_ns)


def _ratio(value: float | None) -> Decimal | None:
    if value is None:
        return None
    return Decimal(repr(float(value))).quantize(_RATIO_STEP, rounding=ROUND_HALF_EVEN)
