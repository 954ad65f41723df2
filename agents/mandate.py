"""How much risk the CEO wants: a rule over drawdowns and the mix of market regimes. Pure.

- risk_off: some drawdown or loss has reached its limit; it ends below 95 % of it, so that it does not flicker.
- neutral: half of a limit is used, half of the analysed symbols are volatile, or nothing is known yet.
- risk_on: otherwise.

Between 80 % of a limit and the limit the mandate stays neutral and the risk officer makes entries smaller
(`risk.sizing.drawdown_factor`): risk_off any sooner would leave nothing to be made smaller.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from bus.messages.council import Mandate, Regime
from bus.messages.ledger import PortfolioSnapshot
from market.record import record
from risk.limits import RiskLimits

RISK_OFF_SHARE: Final = Decimal(1)
RISK_OFF_ENDS_SHARE: Final = Decimal("0.95")
NEUTRAL_SHARE: Final = Decimal("0.50")


@record
class Drawdown:
    """One measured loss and its limit, as ratios 0-1 of equity."""

    rule: str
    title: str
    value: Decimal
    limit: Decimal

    @property
    def used(self) -> Decimal:
        """Share of the limit that is used up; 1 = reached."""
        return self.value / self.limit


def drawdowns_of(portfolio: PortfolioSnapshot, limits: RiskLimits) -> tuple[Drawdown, ...]:
    """The four losses that are limited, in a fixed order."""
    return (
        Drawdown("daily_drawdown", "daily drawdown", _ratio(portfolio.daily_drawdown), limits.daily_drawdown),
        Drawdown("weekly_drawdown", "weekly drawdown", _ratio(portfolio.weekly_drawdown), limits.weekly_drawdown),
        Drawdown("max_drawdown", "drawdown", _ratio(portfolio.max_drawdown), limits.max_drawdown),
        Drawdown("daily_loss", "daily loss", _ratio(portfolio.daily_loss), limits.daily_loss),
    )


def choose_mandate(
    present: Mandate, portfolio: PortfolioSnapshot | None, limits: RiskLimits, regimes: Mapping[str, Regime],
) -> tuple[Mandate, str]:
    """The mandate that fits now, and why. `regimes` is the latest regime by symbol."""
    if portfolio is None:
        return "neutral", "the account is not known yet"
    worst = max(drawdowns_of(portfolio, limits), key=lambda drawdown: drawdown.used)
    told = f"{worst.title} {worst.value:.2%} of {worst.limit:.2%} allowed"
    if worst.used >= (RISK_OFF_ENDS_SHARE if present == "risk_off" else RISK_OFF_SHARE):
        return "risk_off", told
    if worst.used >= NEUTRAL_SHARE:
        return "neutral", told
    known = [regime for regime in regimes.values() if regime != "unknown"]
    if not known:
        return "neutral", "no market regime is known yet"
    volatile = known.count("volatile")
    if 2 * volatile >= len(known):
        return "neutral", f"{volatile} of {len(known)} markets are volatile"
    return "risk_on", f"{told}; {volatile} of {len(known)} markets are volatile"


def _ratio(value: float) -> Decimal:
    """The float's shortest text, so that a drawdown of 0.15 is at a limit of 0.15 and not a hair below."""
    return Decimal(repr(float(value)))
