"""Candles of which only a part was heard (a start within them, a lost line, missed trades): nothing is decided on them.

Short ones are told all the same, to be learnt from. Those of a minute and more the engine does not tell: the venue is
asked for them, and for those of the time without a line, and they are given as history before the next one closes.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exchanges.binance.rest import VenueError
from market.candles import ASKED_FOR_FROM_NS
from market.instrument import Instrument
from market.interval import SECOND_NS, interval_ns, open_time
from market.ticks import Candle
from tradingd.runtime import Runtime
from tradingd.settings import CandleSettings
from tradingd.venue_access import MarketFeed

SETTLED_NS: Final = 2 * SECOND_NS
"""So long after its end the venue has the candle."""
AGAIN_NS: Final = 5 * SECOND_NS
TRIES: Final = 4
_NEVER_NS: Final = 2**62
_LIMIT_S: Final = 10.0
_AT_ONCE: Final = 8
_MOST: Final = 300
_NAMED: Final = 6
_Key = tuple[str, str]


@dataclass(slots=True)
class _Part:
    """What must be asked for: the candles that open in [`since_ns`, `end_ns`), when it is time for it."""

    since_ns: int
    end_ns: int
    due_ns: int
    tries: int = 0


class PartialCandles:
    """`on_up`, `on_down` and `on_gap` (of the feed's counters) say what was missed; `run` is a task."""

    def __init__(
        self, runtime: Runtime, feed: MarketFeed, instruments: Sequence[Instrument], settings: CandleSettings,
    ) -> None:
        self._runtime = runtime
        self._feed = feed
        self._instruments = {each.symbol: each for each in instruments}
        self._decision = settings.decision
        lengths = {name: interval_ns(name) for name in settings.intervals}
        self._lengths = {name: length for name, length in lengths.items() if length >= ASKED_FOR_FROM_NS}
        self._parts: dict[_Key, _Part] = {}
        self._down_since_ns: int | None = None
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        feed.counters.on_gap = self.on_gap

    # ---- what was missed ---------------------------------------------------------------------------

    def on_down(self, heard_ns: int) -> None:
        """The line is lost; the last that was heard came at `heard_ns` (UTC ns, 0: nothing ever)."""
        if self._down_since_ns is None and heard_ns:
            self._down_since_ns = heard_ns
        self._runtime.hear_whole_from(_NEVER_NS)

    def on_up(self, now: int) -> None:
        """From here on everything is heard (UTC ns)."""
        since, self._down_since_ns = self._down_since_ns, None
        self._runtime.hear_whole_from(now)
        for symbol in self._instruments:
            self._note(symbol, now if since is None else min(since, now), now)

    def on_gap(self, symbol: str, now: int) -> None:
        """Some trades of the symbol are missing until now (UTC ns)."""
        if self._down_since_ns is None:  # a line that is away will say so itself
            self._runtime.hear_whole_from(now, symbol)
            self._note(symbol, now, now)

    def _note(self, symbol: str, since_ns: int, now: int) -> None:
        for interval, length in self._lengths.items():
            first, end = open_time(since_ns, length), open_time(now, length) + length
            known = self._parts.get((symbol, interval))
            if known is not None:
                first = min(first, known.since_ns)
            self._parts[symbol, interval] = _Part(first, end, end + SETTLED_NS)

    # ---- asking ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """For ever: ask for what is due. Begin with it when the history was given, which is older."""
        while True:
            await asyncio.sleep(1.0)
            await self.ask()

    async def ask(self) -> None:
        """Ask for the candles that have ended since, and give what comes."""
        now = self._runtime.clock.now()
        due = {key: part for key, part in sorted(self._parts.items()) if part.due_ns <= now}
        if not due:
            return
        answers = await asyncio.gather(*(self._fetch(key, part) for key, part in due.items()))
        given: list[str] = []
        missing: list[str] = []
        for (key, part), candles in zip(due.items(), answers, strict=True):
            if self._parts.get(key) is not part:
                continue  # more was missed meanwhile: all of it is asked for when that has ended
            is_there = self._give(key, part, candles)
            if is_there is not None and key[1] == self._decision:
                (given if is_there else missing).append(f"{key[0]} {key[1]}")
        self._tell("heard only in part, taken from the exchange to learn from; nothing is decided on it", given)
        self._tell("heard only in part, and the exchange does not tell it; the council goes on without it", missing)

    async def _fetch(self, key: _Key, part: _Part) -> Sequence[Candle]:
        symbol, interval = key
        count = (part.end_ns - part.since_ns) // self._lengths[interval]
        async with self._at_once:
            try:
                async with asyncio.timeout(_LIMIT_S):
                    return await self._feed.candles(self._instruments[symbol], interval, min(count, _MOST))
            except (VenueError, TimeoutError):
                return ()

    def _give(self, key: _Key, part: _Part, candles: Sequence[Candle]) -> bool | None:
        """Whether the newest of them came; None while it may still come, and where there is nothing to say."""
        newest, last = self._runtime.newest_open(*key), part.end_ns - self._lengths[key[1]]
        wanted = [each for each in candles if max(part.since_ns, newest + 1) <= each.ts_open < part.end_ns]
        is_there = bool(wanted) and wanted[-1].ts_open == last
        part.tries += 1
        if not is_there and newest < last and part.tries < TRIES:
            part.due_ns = self._runtime.clock.now() + AGAIN_NS
            return None
        del self._parts[key]
        if newest >= last:  # known from the history; or a later one was told, and who learns ignores older ones
            return None
        if wanted:
            self._runtime.warm_up(wanted)
            self._runtime.show(wanted)
        return is_there

    def _tell(self, what: str, named: Sequence[str]) -> None:
        if named:
            more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
            self._runtime.tell_story("NOTE", f"candle {what}: {', '.join(named[:_NAMED])}{more}")
