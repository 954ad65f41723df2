"""How large an entry is: the account's rules (`risk.sizing`) applied to a situation of the strategy."""

from dataclasses import dataclass, field
from decimal import Decimal
from math import isfinite

from agents.strategies.rule import Situation
from market.money import ONE, ZERO
from risk.limits import RiskLimits
from risk.replaced_entry import without_replaced
from risk.sizing import SizedEntry, size_entry
from risk.sizing_methods import Sizing


@dataclass(frozen=True, slots=True)
class SizeRule:
    """`position_size`: the usual entry as a share of available capital, 0-1; `limits` cap it."""

    position_size: Decimal
    limits: RiskLimits
    sizing: Sizing = field(default_factory=Sizing)

    def quantity(
        self, situation: Situation, atr_ratio: Decimal | None, stop_ratio: Decimal, share: Decimal = ONE,
    ) -> SizedEntry:
        """The quantity with the reasons for it; `share` of the usual size, `stop_ratio` and `atr_ratio` of price."""
        symbol, portfolio = situation.instrument.symbol, without_replaced(situation.portfolio, situation.instrument)
        held = sum((line.value for line in portfolio.positions if line.symbol == symbol), ZERO)
        working = sum((notional for name, notional in portfolio.working_entries if name == symbol), ZERO)
        return size_entry(
            instrument=situation.instrument,
            price=situation.analysis.close,
            equity=portfolio.equity,
            available=max(portfolio.available, ZERO),
            confidence=situation.consensus.confidence,
            base_share=self.position_size * share,
            stop_ratio=stop_ratio,
            limits=self.limits,
            round_trip_returns=[trip.realized_pnl for trip in situation.round_trips],
            asset_exposure=held + working,
            total_exposure=portfolio.exposure,
            atr_ratio=atr_ratio,
            sizing=self.sizing,
        )


def atr_ratio_of(situation: Situation) -> Decimal | None:
    """ATR(14) as a ratio of price; None while it is not known."""
    atr = situation.feature("atr_14")
    if atr is None or not isfinite(atr) or atr <= 0.0 or situation.analysis.close <= ZERO:
        return None
    return Decimal(repr(float(atr))) / situation.analysis.close
