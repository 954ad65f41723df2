"""How far the rows of a file lie apart: told pieces of their times, it knows how long the candles are."""

from math import gcd
from pathlib import Path
from typing import Final

import numpy as np

from market.interval import interval_ns
from research.history.source_piece import SourceError
from store.candles import INTERVALS
from store.exact_column import Int64Array

_SAMPLE: Final = 5_000
_ENOUGH: Final = 10
"""Steps between rows that are no chance: a quiet market may well leave out some candles in a row."""


class OptionError(SourceError):
    """The file is sound, and not what an option says of it."""


class StepCount:
    """Of one symbol's times, UTC ns: each step and how often it comes, each time once."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._last: int | None = None
        self._first: int | None = None
        self._shared = 0
        """Divides what lies between the first row of the file and that of each piece."""

    def add(self, times: Int64Array) -> None:
        """Pieces in the order of the file; within one the times may lie in any order."""
        if not len(times):
            return
        steps = np.diff(times)
        if (steps <= 0).any():
            times = np.sort(times)
            steps = np.diff(times)
            steps = steps[steps > 0]
        if self._first is None:
            self._first = int(times[0])
        if self._last is not None and times[0] > self._last:
            steps = np.append(steps, times[0] - self._last)
        self._last = int(times[-1])
        if len(steps) and (steps == steps[0]).all():
            self._tell(int(steps[0]), len(steps))
        else:
            for step, count in zip(*np.unique(steps, return_counts=True), strict=True):
                self._tell(int(step), int(count))
        self._shared = gcd(self._shared, int(times[0]) - self._first)

    def _tell(self, step: int, count: int) -> None:
        self._counts[step] = self._counts.get(step, 0) + count

    def usual(self) -> int:
        """The commonest step, the shortest of several, in ns; 0 without any."""
        return min(self._counts, key=lambda step: (-self._counts[step], step), default=0)

    def is_every(self, step: int) -> bool:
        """Do all rows lie on a grid that is so wide?"""
        return gcd(self._shared, *self._counts) % step == 0

    def is_enough(self) -> bool:
        """Are there so many steps that they are no chance?"""
        return sum(self._counts.values()) >= _ENOUGH

    def check(self, path: Path, interval: str) -> None:
        """Rows that are closer to each other than a candle is long, or all on a wider grid, are of another interval.

        Raises `OptionError`.
        """
        if not self.is_enough():
            return  # one wrong time among few rows is a matter of that row
        usual, length = self.usual(), interval_ns(interval)
        held = next((name for name in INTERVALS if interval_ns(name) == usual), "")
        is_wider = usual > length and self.is_every(usual)
        shorter = sum(count for step, count in self._counts.items() if step < length)
        if is_wider or (usual < length and shorter * 2 > sum(self._counts.values())):
            told = f"{held} candles" if held else f"a row every {usual / 1e9:g} s"
            remedy = f"write --timeframe {held}" if held else f"candles of {', '.join(INTERVALS)} can be read"
            raise OptionError(f"{path}: the file holds {told}, not candles of {interval}: {remedy}.")


def usual_interval(path: Path, times: Int64Array) -> str:
    """The commonest step between the first rows, if it is one of ours; raises `SourceError`."""
    steps = StepCount()
    steps.add(times[:_SAMPLE])
    usual = steps.usual()
    for name in INTERVALS:
        if interval_ns(name) == usual:
            return name
    if steps.is_enough() and steps.is_every(usual):
        raise SourceError(
            f"{path}: the file holds a row every {usual / 1e9:g} s: candles of {', '.join(INTERVALS)} can be read."
        )
    raise SourceError(f"{path}: how long its candles are cannot be told from the rows: give --timeframe.")
