"""Cutting exposure in steps once a drawdown has reached its limit: how many steps are due, and how much each sells.

The rule: every drawdown and loss is measured as a share of its limit, the worst counts. At the limit (share 1)
the first step is due, and one more each time the share has grown by `every`. A step sells `share` of each
position as it then is. The episode ends when the worst share is below `END_SHARE`; the next begins anew.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from market.money import ONE, ZERO
from risk.drawdown import EquityTracker
from risk.limits import RiskLimits
from risk.sizing import SHRINK_FROM

END_SHARE: Final = Decimal("0.95")
"""Below this share of every limit the cutting is over: a value at the brink must not begin it again and again."""
NEAR_SHARE: Final = SHRINK_FROM
MAX_STEPS: Final = 100


@dataclass(frozen=True, slots=True)
class ExposureCuts:
    """[risk] cut_share and cut_every: ratios of a position, and of the limit."""

    share: Decimal = Decimal("0.25")
    every: Decimal = Decimal("0.10")


@dataclass(frozen=True, slots=True)
class UsedLimit:
    """One measured loss, its limit (ratios of equity), and how much of the limit it has used up."""

    rule: str
    value: Decimal
    limit: Decimal

    @property
    def used(self) -> Decimal:
        """1 = the limit is reached."""
        return self.value / self.limit


def used_limits(tracker: EquityTracker, limits: RiskLimits) -> tuple[UsedLimit, ...]:
    """The four losses that shrink, refuse and cut, in a fixed order."""
    return (
        UsedLimit("daily_drawdown", tracker.daily_drawdown, limits.daily_drawdown),
        UsedLimit("weekly_drawdown", tracker.weekly_drawdown, limits.weekly_drawdown),
        UsedLimit("max_drawdown", tracker.max_drawdown, limits.max_drawdown),
        UsedLimit("daily_loss", tracker.daily_loss, limits.daily_loss),
    )


def steps_due(used: Decimal, cuts: ExposureCuts) -> int:
    """How many steps should have been taken when this share of the worst limit is used."""
    if used < ONE:
        return 0
    return min(1 + int((used - ONE) / cuts.every), MAX_STEPS)


def share_to_sell(steps: int, cuts: ExposureCuts) -> Decimal:
    """The share of a position that so many steps at once sell: each takes its share of what the last one left."""
    return ONE - (ONE - cuts.share) ** steps if steps > 0 else ZERO
