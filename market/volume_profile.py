"""Volume profile: at which prices the volume of a stretch of candles was traded (Steidlmayer's market profile).

A candle tells no prices but four: its volume is taken as spread evenly over its range. The stretch from lowest low to
highest high is cut into equal rows; the *point of control* is the middle of the row with most volume, the *value area*
the rows around it, grown towards the heavier neighbour, until they hold 70 % of all volume.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

ROWS: Final = 24
VALUE_SHARE: Final = 0.7


@dataclass(frozen=True, slots=True)
class VolumeProfile:
    """Prices in quote, `volumes` in base from the lowest row up, all rows of one height."""

    point_of_control: float
    value_low: float
    value_high: float
    low: float
    high: float
    volumes: tuple[float, ...]


def volume_profile(
    highs: Sequence[float], lows: Sequence[float], volumes: Sequence[float], rows: int = ROWS,
) -> VolumeProfile | None:
    """Of these candles (float64, one length); None without volume. Flat candles have one price for all three."""
    if not highs or len(highs) != len(lows) or len(highs) != len(volumes):
        return None
    bottom, top, total = min(lows), max(highs), sum(volumes)
    if not total > 0.0:
        return None
    height = (top - bottom) / rows
    if bottom + height <= bottom:  # flat, or finer than a float at this price
        return VolumeProfile(bottom, bottom, top, bottom, top, (total,))
    high, low, volume = np.array(highs), np.array(lows), np.array(volumes)
    edges = bottom + height * np.arange(1.0, rows)
    # Share of each candle's volume below each inner edge; a candle of no range lies in the row above its price.
    span = np.maximum(high - low, height * 1e-9)
    # Plain sums, not a matrix product: those of a linear algebra library may differ in the last digit by run.
    below = (np.minimum(np.maximum((edges[:, None] - low) / span, 0.0), 1.0) * volume).sum(axis=1)
    sums = [0.0, *below.tolist(), total]
    held = [over - under for under, over in pairwise(sums)]
    middle = max(range(rows), key=held.__getitem__)
    first, last = _value_rows(held, middle, total * VALUE_SHARE)
    return VolumeProfile(
        bottom + (middle + 0.5) * height, bottom + first * height, bottom + (last + 1) * height, bottom, top,
        tuple(held),
    )


def _value_rows(held: Sequence[float], middle: int, wanted: float) -> tuple[int, int]:
    first = last = middle
    gathered = held[middle]
    while gathered < wanted and (first > 0 or last < len(held) - 1):
        under = held[first - 1] if first > 0 else -1.0
        over = held[last + 1] if last < len(held) - 1 else -1.0
        if over >= under:
            last += 1
            gathered += over
        else:
            first -= 1
            gathered += under
    return first, last
