"""The product's own rule: enter behind a trailing buy, leave behind a trailing sell, with a stop from the start.

Distances are multiples of ATR(14) of the decision candles as a ratio of price, kept between `trail_min` and
`trail_max`. An exit on a sell consensus trails at the entry's (tighter) distance: the models want out, so
less is given back than by the protective trail that was armed at the entry.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from math import isfinite
from typing import Final

from agents.strategies.rule import NoPlan, Plan, Situation
from bus.messages.orders import Protection, TrailSpec
from market.interval import SECOND_NS
from market.money import ZERO
from risk.limits import RiskLimits
from risk.sizing import SizedEntry, size_entry

_RATIO_STEP: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class TrailingConsensusConfig:
    """[strategy] of config.toml: ratios 0-1, multiples of ATR(14), times in ns (0 = never for `max_hold_ns`)."""

    position_size: Decimal = Decimal("0.05")
    entry_trail_atr: Decimal = Decimal(2)
    exit_trail_atr: Decimal = Decimal(6)
    trail_min: Decimal = Decimal("0.0003")
    trail_max: Decimal = Decimal("0.03")
    exit_trail_min: Decimal = Decimal("0.001")
    take_profit: Decimal = ZERO
    entry_expires_ns: int = 60 * SECOND_NS
    max_hold_ns: int = 0


class TrailingConsensus:
    """See the module. `limits` gives the protective stop's distance and caps the size."""

    name = "trailing_consensus"

    def __init__(self, config: TrailingConsensusConfig, limits: RiskLimits) -> None:
        self._config = config
        self._limits = limits

    @property
    def max_hold_ns(self) -> int:
        return self._config.max_hold_ns

    def plan_entry(self, situation: Situation) -> Plan | NoPlan:
        config = self._config
        atr_ratio = _atr_ratio(situation)
        if atr_ratio is None:
            return NoPlan("the average true range is not known yet")
        # An exit closer than a round trip costs could only lose.
        exit_trail = max(self._distance(config.exit_trail_atr, atr_ratio), config.exit_trail_min)
        # Never closer than the trail: the stop is the last resort for when the trail cannot do its work.
        stop_ratio = max(self._limits.stop_loss, exit_trail)
        sized = self._size(situation, atr_ratio, stop_ratio)
        if sized.quantity <= ZERO:
            # The last reason says that it is too small, the one before it what made it so.
            return NoPlan(" ".join(sized.reasons[-2:]))
        protection = Protection(
            stop_ratio=stop_ratio,
            trail=TrailSpec("percent", exit_trail),
            take_profit_ratio=config.take_profit if config.take_profit > ZERO else None,
        )
        entry_trail = TrailSpec("percent", self._distance(config.entry_trail_atr, atr_ratio))
        return Plan(sized.quantity, entry_trail, protection, config.entry_expires_ns)

    def plan_exit(self, situation: Situation) -> Plan | NoPlan:
        quantity = situation.instrument.round_quantity(situation.held)
        if quantity <= ZERO:
            return NoPlan("nothing is held that could be sold")
        atr_ratio = _atr_ratio(situation)
        # Without a range to measure by, wanting out is enough: at once.
        trail = None
        if atr_ratio is not None:
            trail = TrailSpec("percent", self._distance(self._config.entry_trail_atr, atr_ratio))
        return Plan(quantity, trail, Protection(), self._config.entry_expires_ns)

    def _distance(self, multiple: Decimal, atr_ratio: Decimal) -> Decimal:
        wide = (multiple * atr_ratio).quantize(_RATIO_STEP, rounding=ROUND_HALF_EVEN)
        return min(max(wide, self._config.trail_min), self._config.trail_max)

    def _size(self, situation: Situation, atr_ratio: Decimal, stop_ratio: Decimal) -> SizedEntry:
        symbol, portfolio = situation.instrument.symbol, situation.portfolio
        held = sum((line.value for line in portfolio.positions if line.symbol == symbol), ZERO)
        working = sum((notional for name, notional in portfolio.working_entries if name == symbol), ZERO)
        return size_entry(
            instrument=situation.instrument,
            price=situation.analysis.close,
            equity=portfolio.equity,
            available=max(portfolio.available, ZERO),
            confidence=situation.consensus.confidence,
            base_share=self._config.position_size,
            stop_ratio=stop_ratio,
            limits=self._limits,
            round_trip_returns=[trip.realized_pnl for trip in situation.round_trips],
            asset_exposure=held + working,
            total_exposure=portfolio.exposure,
            atr_ratio=atr_ratio,
        )


def _atr_ratio(situation: Situation) -> Decimal | None:
    """ATR(14) as a ratio of price; None while it is not known."""
    atr = situation.feature("atr_14")
    if atr is None or not isfinite(atr) or atr <= 0.0 or situation.analysis.close <= ZERO:
        return None
    return Decimal(repr(float(atr))) / situation.analysis.close
