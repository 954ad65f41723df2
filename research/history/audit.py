"""How good the candles of a series are: gaps, outliers, suspected splits, silence.

Nothing is changed: a finding is for a person, or for a backtest that wants to leave a stretch out.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from research.history.trading_days import without_holidays
from store.candle_columns import LONGEST_FILLED_GAP, CandleArrays
from store.candle_grid import CandleGrid
from store.candles import CandleStore, Coverage
from store.exact_column import BoolArray, Float64Array, Int64Array

LARGEST_MOVE: Final = 0.5
"""Close to close, as a ratio: more is an outlier."""
LARGEST_RANGE: Final = 2.0
"""High over low: more is an outlier."""
_SPLITS: Final = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 50.0, 100.0)
_SPLIT_TOLERANCE: Final = 0.03
_AROUND: Final = 5
SEEN_AROUND: Final = _AROUND + 1
"""What is odd about a candle rests on so many before and after it."""

FindingKind = Literal["move", "range", "split"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One odd candle. `value` is the move as a ratio, high over low, or the split's ratio (2 = two for one)."""

    kind: FindingKind
    ts_ns: int
    value: float

    def sentence(self) -> str:
        """For people."""
        if self.kind == "move":
            return f"the close moved by {self.value * 100:+.1f} % from the candle before"
        if self.kind == "range":
            return f"high is {self.value:.2f} times low"
        shown = f"{self.value:g} for 1" if self.value >= 1 else f"1 for {1 / self.value:g}"
        return f"looks like a split, {shown}, that the prices are not adjusted for"


@dataclass(frozen=True, slots=True)
class Audit:
    """The whole judgement of a series. `silent`: candles without volume; `repeats`: open times stored twice.

    `holidays`: missing days on which the whole market was closed; the coverage no longer counts them as gaps.
    """

    coverage: Coverage
    repeats: int
    silent: int
    longest_still: int
    findings: tuple[Finding, ...]
    holidays: int = 0

    @property
    def is_clean(self) -> bool:
        """No gap and no finding."""
        return not self.coverage.gaps and not self.findings and not self.repeats


def audit(store: CandleStore, symbol: str, interval: str, closed: frozenset[int] = frozenset()) -> Audit:
    """Judge one series. `closed`: the market's holidays (`trading_days.holidays`), for daily candles."""
    arrays, coverage, days = store.load(symbol, interval), store.coverage(symbol, interval), 0
    if interval == "1d" and closed and CandleGrid.of(interval, arrays.ts_open).rests_at_weekends:
        gaps, days = without_holidays(coverage.gaps, closed)
        coverage = replace(coverage, gaps=gaps, expected=coverage.expected - days)
    return Audit(
        coverage, int((np.diff(arrays.ts_open) <= 0).sum()), int((arrays.volume == 0).sum()),
        _longest_still(arrays), tuple(find_oddities(arrays)), days,
    )


def find_oddities(arrays: CandleArrays) -> list[Finding]:
    """Outliers and suspected splits, oldest first."""
    found = [
        *_found("range", arrays.ts_open, arrays.high / arrays.low, arrays.high > arrays.low * LARGEST_RANGE),
    ]
    if len(arrays) > 1:
        # Across a long gap a large move is no wonder.
        places = CandleGrid.of(arrays.interval, arrays.ts_open).places(arrays.ts_open)
        is_near = np.diff(places) <= LONGEST_FILLED_GAP + 1
        moves = arrays.close[1:] / arrays.close[:-1] - 1
        found += _found("move", arrays.ts_open[1:], moves, is_near & (np.abs(moves) > LARGEST_MOVE))
        found += _splits(arrays, is_near)
    return sorted(found, key=lambda finding: (finding.ts_ns, finding.kind))


def _found(kind: FindingKind, times: Int64Array, values: Float64Array, marked: object) -> list[Finding]:
    return [
        Finding(kind, int(times[index]), round(float(values[index]), 6)) for index in np.flatnonzero(np.asarray(marked))
    ]


def _splits(arrays: CandleArrays, is_near: BoolArray) -> list[Finding]:
    """The price jumps between two candles by a usual ratio, and stays there while each side is calm."""
    found = []
    jumps = arrays.close[:-1] / arrays.open[1:]
    for index in np.flatnonzero(is_near & ((jumps > 1.4) | (jumps < 1 / 1.4))):
        before = float(np.median(arrays.close[max(0, index + 1 - _AROUND) : index + 1]))
        after = float(np.median(arrays.close[index + 1 : index + 1 + _AROUND]))
        jump = float(jumps[index])
        for ratio in _SPLITS:
            exact = ratio if jump > 1 else 1 / ratio
            if abs(jump / exact - 1) <= _SPLIT_TOLERANCE and abs(before / after / exact - 1) <= 0.15:
                found.append(Finding("split", int(arrays.ts_open[index + 1]), exact))
                break
    return found


def _longest_still(arrays: CandleArrays) -> int:
    """Most candles in a row in which nothing moved."""
    is_moving = (arrays.high != arrays.low) | (arrays.volume != 0)
    places = np.flatnonzero(np.concatenate(([True], is_moving, [True])))
    return int(np.diff(places).max()) - 1
