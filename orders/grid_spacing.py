"""How far apart a grid's levels lie: fixed, or tuned from prices five minutes apart.

spacing = clamp(average swing * clamp(0.3 * recent volatility / 30-day volatility, 0.2, 0.4), 0.5 %, 5 %) (T7), where

- the average swing is the mean of (highest - lowest) / lowest over blocks of 24 hours, the newest ending now,
- volatility is the standard deviation of the logarithmic returns; "recent" is the last 24 hours.

Two whole days are needed; with less the spacing is 1.5 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from math import log, sqrt
from typing import Final

from market.instrument import to_float
from market.money import ONE

SAMPLE_S: Final = 300
SAMPLES_A_DAY: Final = 86_400 // SAMPLE_S
NEEDED_SAMPLES: Final = 2 * SAMPLES_A_DAY

DEFAULT_SPACING: Final = Decimal("0.015")
LOWEST_SPACING: Final = Decimal("0.005")
HIGHEST_SPACING: Final = Decimal("0.05")
LOWEST_TRAIL: Final = Decimal("0.002")
HIGHEST_TRAIL: Final = Decimal("0.01")

_VOLATILITY_SHARE: Final = 0.3
_LOWEST_SHARE: Final = 0.2
_HIGHEST_SHARE: Final = 0.4
_PLACES: Final = Decimal("1e-6")


@dataclass(frozen=True, slots=True)
class Swings:
    """What a history says of its symbol, as ratios; all 0 while it is shorter than two days."""

    average_swing_ratio: float = 0.0
    recent_volatility: float = 0.0
    month_volatility: float = 0.0


def measure(samples: Sequence[Decimal]) -> Swings:
    """The three measures of prices five minutes apart, oldest first (thirty days of them at most are meant)."""
    if len(samples) < NEEDED_SAMPLES:
        return Swings()
    prices = [to_float(price) for price in samples]
    swings = []
    for end in range(len(prices), SAMPLES_A_DAY - 1, -SAMPLES_A_DAY):
        day = prices[end - SAMPLES_A_DAY : end]
        swings.append((max(day) - min(day)) / min(day))
    returns = [log(later / earlier) for earlier, later in pairwise(prices)]
    return Swings(sum(swings) / len(swings), _deviation(returns[-SAMPLES_A_DAY:]), _deviation(returns))


def _deviation(returns: Sequence[float]) -> float:
    mean = sum(returns) / len(returns)
    return sqrt(sum((each - mean) ** 2 for each in returns) / len(returns))


def tuned_spacing(swings: Swings, lowest: Decimal | None = None, highest: Decimal | None = None) -> Decimal:
    """The spacing of these measures within the bounds (None = 0.5 % and 5 %), a ratio of six places."""
    if swings.average_swing_ratio > 0 and swings.month_volatility > 0:
        share = _VOLATILITY_SHARE * swings.recent_volatility / swings.month_volatility
        share = min(max(share, _LOWEST_SHARE), _HIGHEST_SHARE)
        # A wild history must not overflow the quantizing; the bounds are far below one anyway.
        spacing = Decimal(repr(min(swings.average_swing_ratio * share, 1.0))).quantize(_PLACES)
    else:
        spacing = DEFAULT_SPACING
    floor = LOWEST_SPACING if lowest is None else lowest
    ceiling = HIGHEST_SPACING if highest is None else highest
    return min(max(spacing, floor), ceiling)


def trail_for(spacing: Decimal) -> Decimal:
    """Half the spacing, but 0.2 % at least and 1 % at most."""
    return min(max((spacing / 2).quantize(_PLACES), LOWEST_TRAIL), HIGHEST_TRAIL)


def lowest_ratio(levels: int, spacing: Decimal) -> Decimal:
    """The lowest level's price as a ratio of the centre; 0 or less when the levels do not fit."""
    return ONE - levels * spacing
