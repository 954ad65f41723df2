"""How long agents and alphas think, and how much memory they hold: for people, never for decisions."""

import asyncio
import gc
import sys
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import perf_counter
from types import BuiltinFunctionType, FrameType, FunctionType, MethodType, ModuleType
from typing import Final

from agents.alphas.alpha import Alpha, MarketView, Opinion

MOST_OBJECTS: Final = 50_000
RECENT: Final = 500
"""Reactions whose times are kept for percentiles."""
_PER_TURN: Final = 400
"""Objects measured before the loop has its turn: some 0.2 ms."""
_SHARED: Final = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, FrameType)


@dataclass(slots=True)
class Timing:
    """Wall time spent, in seconds."""

    count: int = 0
    total_s: float = 0.0
    longest_s: float = 0.0
    last_s: float = 0.0
    failures: int = 0
    recent_s: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    def add(self, seconds: float) -> None:
        """One more reaction."""
        self.count += 1
        self.recent_s.append(seconds)
        self.total_s += seconds
        self.last_s = seconds
        if seconds > self.longest_s:
            self.longest_s = seconds

    def percentile_s(self, ratio: float) -> float | None:
        """Of the last `RECENT` reactions, the nearest rank; None before the first."""
        ordered = sorted(self.recent_s)
        return ordered[min(len(ordered) - 1, int(ratio * len(ordered)))] if ordered else None


@dataclass(frozen=True, slots=True)
class Inspected:
    """One part under the glass: its times, and the object its memory hangs on (None: not now)."""

    timing: Timing
    root: object
    memory_bytes: int | None = None
    """Of a process of its own."""


@dataclass(frozen=True, slots=True)
class ProfileView:
    """Times in microseconds of wall time, `busy_ratio` of the process's life; `memory_bytes` of what hangs on this
    part alone or with others, a lower bound when `is_memory_complete` is false.
    """

    name: str
    reactions: int
    mean_us: float
    longest_us: float
    last_us: float
    busy_ratio: float
    failures: int
    memory_bytes: int
    is_memory_complete: bool


class TimedAlpha:
    """An alpha with a watch on it; in everything else the alpha itself."""

    def __init__(self, alpha: Alpha, timing: Timing) -> None:
        self.name = alpha.name
        self.version = alpha.version
        self.inner = alpha
        self._timing = timing

    def opinion(self, view: MarketView) -> Opinion:
        """The alpha's own; its failure is counted and goes on."""
        begin = perf_counter()
        try:
            return self.inner.opinion(view)
        except Exception:
            self._timing.failures += 1
            raise
        finally:
            self._timing.add(perf_counter() - begin)


class AlphaWatch:
    """The watches of all alphas: they go on counting when the analyst is begun anew."""

    def __init__(self) -> None:
        self.timing_by_alpha: dict[str, Timing] = {}
        self.alphas: dict[str, Alpha] = {}

    def put_on(self, alphas: Iterable[Alpha]) -> tuple[Alpha, ...]:
        """The same alphas, timed."""
        timed = tuple(TimedAlpha(alpha, self.timing_by_alpha.setdefault(alpha.name, Timing())) for alpha in alphas)
        self.alphas = {each.name: each.inner for each in timed}
        return timed

    def inspected(self) -> dict[str, Inspected]:
        """By name."""
        return {name: Inspected(self.timing_by_alpha[name], alpha) for name, alpha in self.alphas.items()}


async def profile_view(name: str, part: Inspected, uptime_s: float) -> ProfileView:
    """Of one part; measures its memory in small steps."""
    timing = part.timing
    size, is_complete = (part.memory_bytes, True) if part.memory_bytes is not None else await size_of(part.root)
    return ProfileView(
        name, timing.count, _us(timing.total_s / timing.count if timing.count else 0.0), _us(timing.longest_s),
        _us(timing.last_s), round(timing.total_s / uptime_s, 6) if uptime_s > 0 else 0.0, timing.failures, size,
        is_complete,
    )


async def size_of(root: object, most: int = MOST_OBJECTS) -> tuple[int, bool]:
    """Bytes of `root` and all that hangs on it, and whether everything was counted (at most `most` objects)."""
    seen = {id(root)}
    waiting: list[object] = [root]
    size = count = 0
    while waiting:
        one = waiting.pop()
        size += sys.getsizeof(one)
        count += 1
        if count >= most:
            return size, False
        for child in gc.get_referents(one):
            if id(child) not in seen and not isinstance(child, _SHARED):
                seen.add(id(child))
                waiting.append(child)
        if count % _PER_TURN == 0:
            await asyncio.sleep(0)
    return size, True


def _us(seconds: float) -> float:
    return round(seconds * 1e6, 2)
