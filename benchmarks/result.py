"""One measured figure, and how rates and times are measured: medians of several runs in one process."""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field


class BenchSkipped(Exception):
    """This measurement cannot be made here; the sentence says what is missing."""


@dataclass(frozen=True, slots=True)
class Result:
    """`value` in `unit`, for the work described by `params` (what a peer did carries params["peer"])."""

    name: str
    value: float
    unit: str
    params: dict[str, str | int | float | bool] = field(default_factory=dict)


def median_rate(prepare: Callable[[], Callable[[], object]], count: int, runs: int = 5) -> float:
    """Operations per second: `prepare()` builds the work (not timed), the work does `count` operations.

    The garbage collector rests while the clock runs: what it costs depends on the rest of the process.
    """
    return count / statistics.median(_seconds(prepare()) for _ in range(runs))


def median_seconds(prepare: Callable[[], Callable[[], object]], runs: int = 5) -> float:
    """Seconds for the whole work."""
    return statistics.median(_seconds(prepare()) for _ in range(runs))


def percentile(values: list[float], ratio: float) -> float:
    """The value at or under which this share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(ratio * len(ordered)))]


def _seconds(work: Callable[[], object]) -> float:
    gc.collect()
    gc.disable()
    try:
        begin = time.perf_counter()
        work()
        return time.perf_counter() - begin
    finally:
        gc.enable()
