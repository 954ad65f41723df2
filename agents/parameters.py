"""The parameters that are derived from three settings and tuned: what they are, and within which bounds they stay.

Derived (T11): grid spacing, base trail, confidence threshold, maximum drawdown, position size, concurrent positions.
Tuned values never leave their bounds, and never loosen a limit: drawdown and positions stay at or below what is
configured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from types import MappingProxyType
from typing import Final

from bus.messages.council import Parameter
from risk.limits import RiskLimits

BOUNDS: Final[Mapping[str, tuple[Decimal, Decimal]]] = MappingProxyType({
    "spacing": (Decimal("0.005"), Decimal("0.05")),
    "trail": (Decimal("0.005"), Decimal("0.03")),
    "confidence": (Decimal("0.5"), Decimal("0.9")),
    "drawdown": (Decimal("0.05"), Decimal("0.25")),
    "size": (Decimal("0.01"), Decimal("0.10")),
    "positions": (Decimal(1), Decimal(10)),
})
"""Lowest and highest value that tuning may choose (T12); all but `positions` are ratios."""

LIMITS: Final = ("drawdown", "positions")
"""Those that are limits of risk: never above the configured one."""
_PLACES: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Parameters:
    """One set. `spacing` of grid levels, `trail` the base trail, `confidence` the least for a proposal, `drawdown` the
    largest from the highest equity, `size` of an entry as a share of available capital (ratios); `positions` at once.
    """

    spacing: Decimal
    trail: Decimal
    confidence: Decimal
    drawdown: Decimal
    size: Decimal
    positions: Decimal

    def value(self, name: str) -> Decimal:
        """By its name in `BOUNDS`."""
        found: Decimal = getattr(self, name)
        return found

    def with_value(self, name: str, value: Decimal) -> "Parameters":
        """The same with one changed, to six places; positions are whole."""
        places = Decimal(1) if name == "positions" else _PLACES
        return replace(self, **{name: value.quantize(places, rounding=ROUND_HALF_EVEN)})

    def within_bounds(self, configured: "Parameters") -> "Parameters":
        """Each value inside its bounds (`bounds_of`), limits at most as loose as `configured`."""
        made = self
        for name in BOUNDS:
            lowest, highest = bounds_of(name, configured)
            value = min(max(self.value(name), lowest), highest)
            if name in LIMITS:
                value = min(value, configured.value(name))
            made = made.with_value(name, value)
        return made

    def told(self) -> tuple[Parameter, ...]:
        """As a message carries them."""
        return tuple(Parameter(name, self.value(name)) for name in BOUNDS)

    def tighten(self, limits: RiskLimits) -> RiskLimits:
        """The limits with drawdown and positions of these where those are stricter."""
        return replace(
            limits, max_drawdown=min(limits.max_drawdown, self.drawdown),
            max_positions=min(limits.max_positions, int(self.positions)),
        )


def bounds_of(name: str, configured: Parameters) -> tuple[Decimal, Decimal]:
    """Lowest and highest value that tuning may choose. A person's smaller size or higher confidence than `BOUNDS` know
    widens them: nobody who asked for 0.5 % finds 1 %."""
    lowest, highest = BOUNDS[name]
    if name == "size":
        return min(lowest, configured.size), highest
    return (lowest, max(highest, configured.confidence)) if name == "confidence" else (lowest, highest)


def parameters_of(told: Sequence[Parameter]) -> Parameters | None:
    """Of a message; None when one is missing, twice or no number, which then changes nothing."""
    values = {each.name: each.value for each in told}
    if len(values) != len(told) or set(values) != set(BOUNDS) or not all(each.is_finite() for each in values.values()):
        return None
    return Parameters(**values)
