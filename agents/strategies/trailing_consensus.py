"""The product's own rule: enter behind a trailing buy, leave behind a trailing sell, with a stop from the start.

Distances follow regime, confidence, volatility and liquidity (`agents.strategies.trail_distance`) where a
`DistanceRule` is given. Without one they are multiples of ATR(14) of the decision candles as a ratio of price, kept
between `trail_min` and `trail_max`. An exit on a sell consensus trails at the entry's (tighter) distance: the
models want out, so less is given back than by the protective trail that was armed at the entry.
"""

from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from math import isfinite
from typing import Final

from agents.parameters import Parameters
from agents.strategies.entry_size import SizeRule, atr_ratio_of
from agents.strategies.rule import NoPlan, Plan, Situation
from agents.strategies.trail_distance import DistanceRule, beyond_clusters, round_numbers, trail_distance
from bus.messages.orders import Protection, Side, TrailSpec
from market.busy_hours import is_busy
from market.interval import SECOND_NS
from market.money import ONE, ZERO
from risk.limits import RiskLimits
from risk.sizing_methods import Sizing

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
    distances: DistanceRule | None = None


class TrailingConsensus:
    """See the module. `limits` gives the protective stop's distance and caps the size."""

    name = "trailing_consensus"

    def __init__(
        self, config: TrailingConsensusConfig, limits: RiskLimits, sizing: Sizing | None = None,
    ) -> None:
        self._config = config
        self._limits = limits
        self._sizing = sizing
        self._size = SizeRule(config.position_size, limits, sizing or Sizing())

    @property
    def max_hold_ns(self) -> int:
        return self._config.max_hold_ns

    def tuned(self, parameters: Parameters) -> "TrailingConsensus":
        """The same with this size and base trail (multiples of the ATR know no base)."""
        distances = self._config.distances
        config = replace(
            self._config, position_size=parameters.size,
            distances=replace(distances, base=parameters.trail) if distances is not None else None,
        )
        return TrailingConsensus(config, self._limits, self._sizing)

    def plan_entry(self, situation: Situation) -> Plan | NoPlan:
        config = self._config
        atr_ratio = atr_ratio_of(situation)
        if atr_ratio is None:
            return NoPlan("the average true range is not known yet")
        if self._must_wait(situation):
            return NoPlan("from 14:00 to 15:59 UTC only urgent entries are made")
        entry_distance, exit_distance = self._distances(situation, atr_ratio)
        # An exit closer than a round trip costs could only lose.
        exit_trail = max(exit_distance, config.exit_trail_min)
        # The limit holds whatever the trail: a wider trail has its say once the price has risen.
        stop_ratio = self._limits.stop_loss
        sized = self._size.quantity(situation, atr_ratio, stop_ratio)
        if sized.quantity <= ZERO:
            # The last reason says that it is too small, the one before it what made it so.
            return NoPlan(" ".join(sized.reasons[-2:]))
        protection = Protection(
            stop_ratio=stop_ratio,
            trail=TrailSpec("percent", exit_trail),
            take_profit_ratio=config.take_profit if config.take_profit > ZERO else None,
        )
        return Plan(sized.quantity, TrailSpec("percent", entry_distance), protection, config.entry_expires_ns)

    def plan_exit(self, situation: Situation) -> Plan | NoPlan:
        quantity = situation.instrument.round_quantity(situation.held)
        if quantity <= ZERO:
            return NoPlan("nothing is held that could be sold")
        atr_ratio = atr_ratio_of(situation)
        # Without a range to measure by, wanting out is enough: at once.
        trail = None
        if atr_ratio is not None:
            trail = TrailSpec("percent", self._leaving_distance(situation, atr_ratio))
        return Plan(quantity, trail, Protection(), self._config.entry_expires_ns)

    # ---- distances ---------------------------------------------------------------------------------

    def _distances(self, situation: Situation, atr_ratio: Decimal) -> tuple[Decimal, Decimal]:
        """Of the trailing buy, and of the trail that protects what it bought."""
        config, rule = self._config, self._config.distances
        if rule is None:
            return self._distance(config.entry_trail_atr, atr_ratio), self._distance(config.exit_trail_atr, atr_ratio)
        return (
            self._near(rule, "buy", situation, atr_ratio),
            _by_rule(rule, rule.exit_scale, "sell", situation, atr_ratio),
        )

    def _leaving_distance(self, situation: Situation, atr_ratio: Decimal) -> Decimal:
        """Of the trailing sell after a sell consensus."""
        rule = self._config.distances
        if rule is None:
            return self._distance(self._config.entry_trail_atr, atr_ratio)
        return self._near(rule, "sell", situation, atr_ratio)

    def _near(self, rule: DistanceRule, side: Side, situation: Situation, atr_ratio: Decimal) -> Decimal:
        """Of a trail that goes in or out on a decision. Where hardly anything moves: `trail_min`."""
        distance = _by_rule(rule, rule.entry_scale, side, situation, atr_ratio)
        return max(distance, self._config.trail_min) if rule.follows_range else distance

    def _must_wait(self, situation: Situation) -> bool:
        """Busy hours, and the leading model sees no hurry."""
        rule = self._config.distances
        if rule is None or not rule.busy_hours or not is_busy(situation.now):
            return False
        lead = situation.consensus.lead_alpha
        return not any(
            signal.alpha == lead and signal.urgency == "high" for signal in situation.analysis.signals
        )

    def _distance(self, multiple: Decimal, atr_ratio: Decimal) -> Decimal:
        wide = (multiple * atr_ratio).quantize(_RATIO_STEP, rounding=ROUND_HALF_EVEN)
        return min(max(wide, self._config.trail_min), self._config.trail_max)


def _by_rule(
    rule: DistanceRule, scale: Decimal, side: Side, situation: Situation, atr_ratio: Decimal,
) -> Decimal:
    """T9's distance, its trigger clear of swing points and round numbers."""
    regime, price = situation.analysis.regime, situation.analysis.close
    scale = rule.scaled(scale, _usual_range(situation))
    confidence = Decimal(repr(float(situation.consensus.confidence)))
    distance = trail_distance(
        rule.base, regime, confidence, atr_ratio, _liquidity(situation),
        is_busy=rule.busy_hours and is_busy(situation.now), scale=scale,
    )
    names = ("swing_low", "support") if side == "sell" else ("swing_high", "resistance")
    swings = [Decimal(repr(float(level))) for name in names if (level := situation.feature(name)) and isfinite(level)]
    trigger = price * (ONE - distance if side == "sell" else ONE + distance)
    return beyond_clusters(distance, side, price, (*swings, *round_numbers(trigger)), regime, scale=scale)


def _usual_range(situation: Situation) -> Decimal | None:
    """The mean ATR of the last 100 decision candles as a ratio of price; None while unknown."""
    average, price = situation.feature("atr_average"), situation.analysis.close
    if average is None or not isfinite(average) or average <= 0.0 or price <= ZERO:
        return None
    return (Decimal(repr(float(average))) / price).quantize(_RATIO_STEP, rounding=ROUND_HALF_EVEN)


def _liquidity(situation: Situation) -> Decimal | None:
    """0-1 from the newest candle's volume over its average (x / (1 + x): usual volume is 0.5); None while unknown."""
    ratio = situation.feature("volume_ratio")
    if ratio is None or not isfinite(ratio) or ratio < 0.0:
        return None
    return Decimal(repr(round(ratio / (1.0 + ratio), 6)))
