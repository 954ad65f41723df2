"""What is missing in the history, asked from a venue: 300 candles at a time, paced, to be gone on with after any end.

What is missing is worked out from the store itself, so a backfill that was stopped or killed goes on where it was.
Stretches of which a source says that nothing traded are remembered and not asked of it again.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from exchanges.answers import VenueError
from market.interval import interval_ns
from market.ticks import Candle
from research.history.kline_source import IntervalNotOfferedError
from store.candle_columns import NUMBERS, CandleColumns
from store.candles import CandleStore, WriteResult
from store.exact_column import Int64Array

CHUNK: Final = 300
_FLUSH_AT: Final = 3_000
_RECENT_CANDLES: Final = 10
"""The last few before now may still come: they are never noted as absent."""

Progress = Callable[[int, int], None]
"""Told (candles done, candles wanted) after each answer."""


class CandleSource(Protocol):
    """Where candles come from."""

    @property
    def name(self) -> str: ...

    async def candles(self, symbol: str, interval: str, start_ns: int, limit: int) -> Sequence[Candle]:
        """The first closed ones that open at or after `start_ns`, oldest first, however much later they are."""
        ...


@dataclass(frozen=True, slots=True)
class Difference:
    """Two sources disagree about a candle."""

    ts_ns: int
    field: str
    ours: str
    theirs: str


@dataclass(slots=True)
class BackfillReport:
    """What a backfill did. `absent`: candles that no source has. `from_fallback`: stored from the second source.

    `troubles`: of a first source that failed while a second one gave everything.
    """

    wanted: int = 0
    requests: int = 0
    written: WriteResult = field(default_factory=WriteResult)
    from_fallback: int = 0
    absent: int = 0
    troubles: list[str] = field(default_factory=list)


class Backfill:
    """One series. `now_ns` bounds what can be closed; `pause_s` is kept between two requests."""

    def __init__(
        self, store: CandleStore, sources: Sequence[CandleSource], symbol: str, interval: str, now_ns: int, *,
        pause_s: float = 0.125, progress: Progress = lambda done, wanted: None,
    ) -> None:
        self._store = store
        self._sources = sources
        self._symbol = symbol
        self._interval = interval
        self._step = interval_ns(interval)
        self._now_ns = now_ns
        self._pause_s = pause_s
        self._progress = progress
        self._done = 0
        self.report = BackfillReport()

    async def run(self, start_ns: int, end_ns: int) -> BackfillReport:
        """Fill [start, end). What has arrived is stored however this ends (cancelled, or a source that fails).

        Raises the `VenueError` of a source that fails, unless the ones behind it have all that it owes.
        """
        end_ns = min(end_ns, self._now_ns // self._step * self._step)
        names = ["", *(source.name for source in self._sources[1:])]
        self.report.wanted = max(
            sum(count_opens(each, self._step) for each in self._missing(start_ns, end_ns, name)) for name in names
        )
        trouble: VenueError | None = None
        for number, (source, name) in enumerate(zip(self._sources, names, strict=True)):
            before = self.report.written.added
            is_last = number == len(self._sources) - 1
            noted = () if not is_last else (name,) if trouble else (name, "")  # "": no source has it
            try:
                for stretch in self._missing(start_ns, end_ns, name):
                    await self._fill(source, *stretch, noted)
            except IntervalNotOfferedError:
                raise
            except VenueError as error:
                if is_last:
                    raise trouble or error from error
                trouble = error
                self.report.troubles.append(str(error))
            if number:
                self.report.from_fallback += self.report.written.added - before
        if trouble is not None and self._missing(start_ns, end_ns, ""):
            raise trouble
        self.report.absent = sum(count_opens(each, self._step) for each in self._unfilled(start_ns, end_ns))
        return self.report

    def _missing(self, start_ns: int, end_ns: int, source: str) -> list[tuple[int, int]]:
        """Without what the source has not: a second one is asked for what was noted before it was named."""
        return missing_stretches(
            self._store.open_times(self._symbol, self._interval), start_ns, end_ns, self._step,
            self._store.absent(self._symbol, self._interval, source),
        )

    def _unfilled(self, start_ns: int, end_ns: int) -> list[tuple[int, int]]:
        return missing_stretches(self._store.open_times(self._symbol, self._interval), start_ns, end_ns, self._step)

    async def _fill(self, source: CandleSource, start_ns: int, end_ns: int, noted: Sequence[str]) -> None:
        """One stretch, from `start_ns` on; what the source leaves out is absent there, and `noted` under these names.
        """
        cursor, waiting, newest_ns = start_ns, list[Candle](), 0
        absent: list[tuple[int, int]] = []
        try:
            while cursor < end_ns:
                if self.report.requests:
                    await asyncio.sleep(self._pause_s)
                self.report.requests += 1
                limit = min(CHUNK, (end_ns - cursor) // self._step)
                found = await source.candles(self._symbol, self._interval, cursor, limit)
                newest_ns = found[-1].ts_open if found else newest_ns
                got = [candle for candle in found if cursor <= candle.ts_open < end_ns]
                following = got[-1].ts_open + self._step if got and len(got) == len(found) else end_ns
                if noted:
                    absent += _holes(got, cursor, following, self._step)
                self._done += count_opens((cursor, following), self._step)
                self._progress(min(self._done, self.report.wanted), self.report.wanted)
                waiting += got
                cursor = following
                if len(waiting) >= _FLUSH_AT:
                    self._keep(waiting)
        finally:
            self._keep(waiting)
            if absent:
                self._note_absent(absent, newest_ns, noted)

    def _note_absent(self, absent: Sequence[tuple[int, int]], newest_ns: int, noted: Sequence[str]) -> None:
        """But what may still come: the last few before now, and all behind the newest candle that is known.

        A clock of ours that is ahead proves nothing.
        """
        newest_ns = max(newest_ns, *self._store.open_times(self._symbol, self._interval)[-1:].tolist(), 0)
        settled = min(self._now_ns - _RECENT_CANDLES * self._step, newest_ns)
        kept = [(first, min(last, settled)) for first, last in absent if first < settled]
        for name in dict.fromkeys(noted) if kept else ():
            self._store.mark_absent(self._symbol, self._interval, kept, name)

    def _keep(self, waiting: list[Candle]) -> None:
        if waiting:
            columns = CandleColumns.of_candles(waiting)
            self.report.written += self._store.write(self._symbol, self._interval, columns)
            waiting.clear()


def count_opens(stretch: tuple[int, int], step_ns: int) -> int:
    """Candles that open within [start, end)."""
    return max(0, -(-stretch[1] // step_ns) + (-stretch[0] // step_ns))


def missing_stretches(
    times: Int64Array, start_ns: int, end_ns: int, step_ns: int, absent: Sequence[tuple[int, int]] = ()
) -> list[tuple[int, int]]:
    """[start, end) of each run of open times that are neither there nor known to be absent."""
    first, last = -(-start_ns // step_ns), -(-end_ns // step_ns)
    if last <= first:
        return []
    is_missing = np.ones(last - first, np.bool_)
    places = times // step_ns - first
    is_missing[places[(places >= 0) & (places < last - first)]] = False
    for begin, end in absent:
        is_missing[max(0, -(-begin // step_ns) - first) : max(0, -(-end // step_ns) - first)] = False
    edges = np.diff(np.concatenate(([False], is_missing, [False])).astype(np.int8))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [
        ((int(begin) + first) * step_ns, (int(end) + first) * step_ns)
        for begin, end in zip(starts, ends, strict=True)
    ]


def _holes(candles: Sequence[Candle], start_ns: int, end_ns: int, step_ns: int) -> list[tuple[int, int]]:
    """Stretches without a candle within an answer that covers [start, end)."""
    times = np.array([candle.ts_open for candle in candles], np.int64)
    return missing_stretches(times, start_ns, end_ns, step_ns)


async def reconcile(
    store: CandleStore, source: CandleSource, symbol: str, interval: str, start_ns: int, end_ns: int, *,
    pause_s: float = 0.125,
) -> tuple[int, list[Difference]]:
    """How many stored candles a second source has too, and where it says something else. Nothing is changed."""
    step, compared, differences, cursor = interval_ns(interval), 0, list[Difference](), start_ns
    while cursor < end_ns:
        found = await source.candles(symbol, interval, cursor, CHUNK)
        theirs = {candle.ts_open: candle for candle in found if candle.ts_open < end_ns}
        if not theirs:
            break
        for ours in store.iter_candles(symbol, interval, cursor, max(theirs) + 1):
            other = theirs.get(ours.ts_open)
            if other is None:
                continue
            compared += 1
            for name in NUMBERS:
                mine, their = getattr(ours, name), getattr(other, name)
                if mine != their:
                    differences.append(Difference(ours.ts_open, name, f"{mine:f}", f"{their:f}"))
        cursor = max(theirs) + step
        await asyncio.sleep(pause_s)
    return compared, differences
