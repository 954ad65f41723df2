"""The synthetic past: candles that end exactly where the live path begins.

Generated backwards from the present. Seconds are a walk with short trends, about as lively as the live path;
minutes, hours and days are a price that returns home (an Ornstein-Uhlenbeck process, which looks the same
backwards). Nothing here is a claim about a real market; it is there so that indicators are warm at once.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from exchanges.practice.candles import TIERS_MS, Bar, compose

_COUNTS: Final = (5_300, 5_380, 4_050, 3_050, 1_000)  # a little less than is kept, for the alignment of the next length
_WANDER: Final = 0.04           # standard deviation of the log price around home
_HOME_S: Final = 900.0          # how fast it returns
_SECOND_SIGMA: Final = 0.0002   # of one second's log return, beside the trend
_SECOND_DRIFT: Final = 0.0004   # largest trend per second


@dataclass(frozen=True, slots=True)
class PastOf:
    """What the past is made for. `price_of`: log level -> ticks. Rates are per second."""

    price_of: Callable[[float], int]
    lots_per_second: float
    trades_per_second: float
    volatility: float


def build(
    past: PastOf, rng: Random, level: float, until_ms: int, gap: tuple[int, float] | None = None
) -> list[list[Bar]]:
    """Bars per stored length, ascending; they end at `until_ms` (a whole second) with the close at `level`.

    The last bar of each length may be incomplete: it is the forming one. `gap` = (since_ms, level there) makes
    the past begin at that whole second and level, so that both ends of a pause between two runs join.
    """
    tiers: list[list[Bar]] = []
    start_ms = until_ms
    for tier, length in enumerate(TIERS_MS):
        coarser = TIERS_MS[min(tier + 1, len(TIERS_MS) - 1)]
        begin_ms = start_ms - _COUNTS[tier] * length
        begin_ms -= begin_ms % coarser
        if gap is not None:
            begin_ms = max(begin_ms, gap[0] - gap[0] % length)
        older: list[Bar] = []
        if begin_ms < start_ms and (gap is None or start_ms > gap[0]):
            older, level = _walk_back(past, rng, level, (begin_ms, start_ms), length, gap)
            start_ms = begin_ms
        finer = tiers[-1] if tiers else []
        tiers.append([*older, *compose(finer, length)])
    return tiers


def _walk_back(
    past: PastOf, rng: Random, level: float, span_ms: tuple[int, int], length: int, gap: tuple[int, float] | None
) -> tuple[list[Bar], float]:
    begin_ms, open_ms = span_ms
    seconds = length / 1000
    keep = math.exp(-seconds / _HOME_S)
    sigma = _SECOND_SIGMA if length == TIERS_MS[0] else _WANDER * math.sqrt(1 - keep * keep)
    sigma *= past.volatility
    drift, drift_left = 0.0, 0
    bars: list[Bar] = []
    close_price = past.price_of(level)
    while open_ms > begin_ms:
        if drift_left == 0 and length == TIERS_MS[0]:
            drift, drift_left = rng.uniform(-1, 1) * _SECOND_DRIFT * past.volatility, rng.randint(15, 60)
        drift_left -= 1
        if gap is None:
            before = level * keep
        else:
            before = level + (gap[1] - level) * min(1.0, length / max(length, open_ms - gap[0]))
        before += rng.gauss(0.0, sigma) - drift
        if gap is not None and open_ms - length <= gap[0]:
            before = gap[1]
        open_ms -= length
        bar = _bar(past, rng, open_ms, past.price_of(before), close_price, sigma, seconds)
        bars.append(bar)
        close_price = bar.open
        level = before
    bars.reverse()
    return bars, level


def _bar(
    past: PastOf, rng: Random, open_ms: int, opened: int, closed: int, sigma: float, seconds: float
) -> Bar:
    tail = 0.4 * sigma * closed
    high = max(opened, closed) + int(tail * rng.random())
    low = max(1, min(opened, closed) - int(tail * rng.random()))
    busy = rng.uniform(0.5, 1.5) * seconds
    lots = max(1, int(past.lots_per_second * busy))
    bought = int(lots * rng.uniform(0.3, 0.7))
    typical = (opened + closed) // 2
    trades = max(1, int(past.trades_per_second * busy))
    return Bar(open_ms, opened, high, low, closed, lots, lots * typical, trades, bought, bought * typical)
