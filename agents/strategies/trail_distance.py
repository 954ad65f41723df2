"""How far a trail keeps from the price (T9). Pure; all results are ratios of price.

    distance = base x regime factor x confidence x (1 + volatility / 2 %) x (2 - liquidity)

clamped to the regime's band. `volatility` is ATR(14) of the decision candles over price; `liquidity` is 0-1.
What is not known leaves its factor out; when both are unknown the band's target is used as it is.

At arming a trigger that lies within 0.3 % of a cluster of likely stops is moved 0.5 % beyond the cluster: stops
of many lie under swing lows and round numbers (over swing highs for a buy), and a run on them would take ours
along. It is moved only outwards and never outside the band.

The formula calls a range of 2 % usual, so its percentages belong to candles that range so: days, in crypto. On shorter
ones they are out of reach: candles of an hour range 0.7 % or so, of a minute 0.08 %; a buy that trails the low
by 1.5 % fires at the top of a spike or never. So base, bands, volatility and the two cluster distances are multiplied
by a scale. `scale_by_range` takes it from the candles the council decides on, `PRACTICE_*` are that of the practice
market's seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from types import MappingProxyType
from typing import Final

from bus.messages.council import Regime
from bus.messages.orders import Side
from market.money import ONE, ZERO

BASE_TRAILS: Final[Mapping[str, Decimal]] = MappingProxyType({
    "conservative": Decimal("0.02"), "moderate": Decimal("0.015"), "aggressive": Decimal("0.01"),
})
"""T11: the base trail by risk tolerance."""

BUSY_FACTOR: Final = Decimal("1.25")
"""14:00 to 15:59 UTC trails are wider by this; the band's maximum still holds."""


@dataclass(frozen=True, slots=True)
class DistanceRule:
    """How T9 is applied: `base` by risk tolerance, a scale each for entries and for the protective exit trail.

    `busy_hours`: from 14:00 to 15:59 UTC trails are wider and entries that are not urgent wait. `follows_range`: both
    scales are multiplied by that of the candles' usual range; the bands' bounds shrink with them and never grow.
    """

    base: Decimal = BASE_TRAILS["moderate"]
    entry_scale: Decimal = ONE
    exit_scale: Decimal = ONE
    busy_hours: bool = True
    follows_range: bool = False

    def scaled(self, scale: Decimal, usual_range: Decimal | None) -> Decimal:
        """One of the two scales, in a market whose candles usually range so much (a ratio of price)."""
        return scale_by_range(usual_range, scale) if self.follows_range else scale


EXIT_REACH: Final = Decimal(5)
"""How many times wider than an entry's the protective exit is where distances follow the range: an exit has to stand
the candles after the entry, about five of their ranges."""

PRACTICE_ENTRY_SCALE: Final = Decimal("0.0167")
PRACTICE_EXIT_SCALE: Final = Decimal("0.08")
"""Of the practice market. Entries: 1/60, so that they fire within seconds. Protective exits are wider: they must
stand its pullbacks of 0.1 to 0.25 %."""

_NORMAL_VOLATILITY: Final = Decimal("0.02")
_CLUSTER_REACH: Final = Decimal("0.003")
_BEYOND_CLUSTER: Final = Decimal("0.005")
_RATIO_STEP: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Band:
    """Ratios of price."""

    minimum: Decimal
    target: Decimal
    maximum: Decimal


_NORMAL: Final = Band(Decimal("0.01"), Decimal("0.015"), Decimal("0.03"))
BANDS: Final[Mapping[Regime, Band]] = MappingProxyType({
    "volatile": Band(Decimal("0.02"), Decimal("0.03"), Decimal("0.05")),
    "calm": Band(Decimal("0.005"), Decimal("0.01"), Decimal("0.02")),
    "trending": _NORMAL, "ranging": _NORMAL, "unknown": _NORMAL,
})
REGIME_FACTORS: Final[Mapping[Regime, Decimal]] = MappingProxyType({
    "trending": Decimal("1.5"), "ranging": Decimal("0.7"), "volatile": Decimal(2), "calm": Decimal("0.5"),
    "unknown": ONE,
})


def scale_by_range(usual_range: Decimal | None, times: Decimal = ONE) -> Decimal:
    """`times` the usual range of a candle (a ratio of price) over the 2 % of the formula; 1 while that is unknown."""
    if usual_range is None or usual_range <= ZERO:
        return ONE
    return times * usual_range / _NORMAL_VOLATILITY


def trail_distance(
    base: Decimal, regime: Regime, confidence: Decimal, volatility: Decimal | None, liquidity: Decimal | None, *,
    is_busy: bool = False, scale: Decimal = ONE,
) -> Decimal:
    """The distance by the rule above. `base`, `volatility` and the result are ratios of price."""
    band = BANDS[regime]
    if volatility is None and liquidity is None:
        wide = band.target * min(scale, ONE)
    else:
        wide = base * scale * REGIME_FACTORS[regime] * confidence
        if volatility is not None:
            wide *= ONE + max(volatility, ZERO) / (_NORMAL_VOLATILITY * scale)
        if liquidity is not None:
            wide *= 2 - min(max(liquidity, ZERO), ONE)
    if is_busy:
        wide *= BUSY_FACTOR
    return _within(band, wide, scale)


def beyond_clusters(
    distance: Decimal, side: Side, price: Decimal, clusters: Iterable[Decimal], regime: Regime, *, scale: Decimal = ONE,
) -> Decimal:
    """The distance whose trigger keeps clear of the likely stops; the same one when it does already.

    A sell's trigger lies below the price and moves further down, a buy's above and further up.
    """
    sign = -1 if side == "sell" else 1
    trigger = price * (ONE + sign * distance)
    narrow = min(scale, ONE)
    reach, beyond = _CLUSTER_REACH * narrow, _BEYOND_CLUSTER * narrow
    near = [level for level in clusters if level > ZERO and abs(trigger - level) <= level * reach]
    if not near:
        return distance
    furthest = min(near) if side == "sell" else max(near)
    moved = sign * (furthest * (ONE + sign * beyond) / price - ONE)
    if moved <= distance:
        return distance
    return max(_within(BANDS[regime], moved, scale), distance)


def round_numbers(price: Decimal) -> tuple[Decimal, Decimal]:
    """The round numbers around a price, those with two significant digits: 61,234 lies between 61,000 and 62,000."""
    step = Decimal(1).scaleb(price.adjusted() - 1)
    below = price // step * step
    return below, below + step


def _within(band: Band, wide: Decimal, scale: Decimal) -> Decimal:
    rounded, narrow = wide.quantize(_RATIO_STEP, rounding=ROUND_HALF_EVEN), min(scale, ONE)
    return min(max(rounded, band.minimum * narrow), band.maximum * narrow)
