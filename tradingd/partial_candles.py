"""Candles of which only a part was heard (a start within them, a lost line, missed trades, a clock that was set):
nothing is decided on them.

Short ones are told all the same, to be learnt from. Those of a minute and more the engine does not tell: the venue is
asked for them, and for those of the time without a line. What it says is whole: a decision candle that ended seconds
ago is told as one that has closed here, so one lost second a day does not silence a council that decides once a day.
Older ones are given as history, before the next one closes.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from exchanges.answers import VenueError
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
STILL_NEW_NS: Final = 15 * SECOND_NS
"""So long after its end the venue's candle is decided on; one that comes later is history."""
_STILL_OPEN_NS: Final = 2 * SECOND_NS
"""What ended so shortly ago may still wait here for late trades (the grace, and the timer behind it)."""
_NEVER_NS: Final = 2**62
_LIMIT_S: Final = 10.0
_AT_ONCE: Final = 8
_MOST: Final = 300
_NAMED: Final = 6
_Key = tuple[str, str]
_Outcome = Literal["decided", "learnt", "missing"]
_TOLD: Final[dict[_Outcome, str]] = {
    "decided": "heard only in part, taken from the exchange in its place",
    "learnt": "heard only in part, taken from the exchange to learn from; nothing is decided on it",
    "missing": "heard only in part, and the exchange does not tell it; the council goes on without it",
}


@dataclass(slots=True)
class _Part:
    """The candles that open in [`since_ns`, `until_ns`): at `due_ns` those that have ended by then are asked for.

    `tries`: of those that end by `asked_until_ns`.
    """

    since_ns: int
    until_ns: int
    due_ns: int
    asked_until_ns: int = 0
    tries: int = 0


class PartialCandles:
    """`on_up`, `on_down`, `on_clock_set` and `on_gap` (of the feed's counters) say what was missed; `run` is a task."""

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
        self._is_down = False
        self._down_since_ns = 0
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        feed.counters.on_gap = self.on_gap

    # ---- what was missed ---------------------------------------------------------------------------

    def on_down(self, heard_ns: int) -> None:
        """The line is lost; the last of the market came at `heard_ns` (UTC ns, 0: nothing ever)."""
        if not self._is_down:
            self._is_down, self._down_since_ns = True, heard_ns
            self._runtime.hear_whole_from(_NEVER_NS, heard_ns=heard_ns)

    def on_up(self, now: int) -> None:
        """From here on everything is heard (UTC ns)."""
        since = min(self._down_since_ns or now, now)
        self._is_down, self._down_since_ns = False, 0
        self._runtime.hear_whole_from(now)
        for symbol in self._instruments:
            self._note(symbol, since, now)

    def on_gap(self, symbol: str, now: int) -> None:
        """Some trades of the symbol are missing until now (UTC ns)."""
        if not self._is_down:  # a line that is away will say so itself
            self._runtime.hear_whole_from(now, symbol)
            self._note(symbol, now, now)

    def on_clock_set(self, since_ns: int, now: int) -> None:
        """Our clock went from `since_ns` to `now` (UTC ns) in no time: candles that were open then would end short."""
        if not self._is_down:
            self._runtime.hear_whole_from(now)
            for symbol in self._instruments:
                self._note(symbol, since_ns, now)

    def _note(self, symbol: str, since_ns: int, now: int) -> None:
        for interval, length in self._lengths.items():
            first, opened = open_time(since_ns - _STILL_OPEN_NS, length), open_time(now, length)
            until = opened + length
            known = self._parts.get((symbol, interval))
            if known is not None and known.since_ns <= first:
                known.until_ns = max(known.until_ns, until)  # what is due is asked for all the same
            else:
                due = (opened if first < opened else until) + SETTLED_NS
                self._parts[symbol, interval] = _Part(first, until, due)

    # ---- asking ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """For ever: ask for what is due. Begin with it when the history was given, which is older."""
        while True:
            await asyncio.sleep(1.0)
            await self.ask()

    async def ask(self) -> None:
        """Ask for what is due, and give what comes. Without a line it waits: what comes then is decided on, if new."""
        now = self._runtime.clock.now()
        due = [] if self._is_down else self._due(now)
        if not due:
            return
        named: dict[_Outcome, list[str]] = {}
        decision = self._lengths.get(self._decision, 0)
        # First what decisions of this moment rest on, of every symbol: longer candles can be late.
        for is_longer in (False, True):
            by_symbol: dict[str, list[tuple[_Key, _Part]]] = {}
            for key, part in due:
                if (self._lengths[key[1]] > decision) is is_longer:
                    by_symbol.setdefault(key[0], []).append((key, part))
            await asyncio.gather(*(self._ask_of(parts, now, named) for parts in by_symbol.values()))
        for outcome, what in named.items():
            self._tell(_TOLD[outcome], what)

    async def _ask_of(self, parts: list[tuple[_Key, _Part]], now: int, named: dict[_Outcome, list[str]]) -> None:
        """Of one symbol: given when its own answers are there, for with the others' it may be too late to decide."""
        answers = await asyncio.gather(*(self._fetch(key, part, now) for key, part in parts))
        for (key, part), candles in zip(parts, answers, strict=True):
            if self._is_down or self._parts.get(key) is not part:
                continue  # the line went, or older ones were missed, too: it is asked for again
            outcome = self._give(key, part, candles)
            if outcome is not None and key[1] == self._decision:
                named.setdefault(outcome, []).append(f"{key[0]} {key[1]}")

    def _due(self, now: int) -> list[tuple[_Key, _Part]]:
        """What has to be asked for now, by symbol, the shortest first: the order in which candles close."""
        due = []
        for key, part in sorted(self._parts.items(), key=lambda each: (each[0][0], self._lengths[each[0][1]])):
            length = self._lengths[key[1]]
            if part.due_ns > now:
                continue
            until = min(part.until_ns, open_time(now - SETTLED_NS, length))
            if until != part.asked_until_ns:
                part.asked_until_ns, part.tries = until, 0
            if self._runtime.candles.newest_open(*key) >= until - length:
                self._go_on(key, part)  # known: who learns from candles ignores older ones
            else:
                due.append((key, part))
        return due

    async def _fetch(self, key: _Key, part: _Part, now: int) -> Sequence[Candle]:
        symbol, interval = key
        length = self._lengths[interval]
        count = (open_time(now, length) - part.since_ns) // length
        async with self._at_once:
            try:
                async with asyncio.timeout(_LIMIT_S):
                    return await self._feed.candles(self._instruments[symbol], interval, min(count, _MOST))
            except (VenueError, TimeoutError):
                return ()

    def _give(self, key: _Key, part: _Part, candles: Sequence[Candle]) -> _Outcome | None:
        """What became of the newest of them; None while it may still come, and where there is nothing to say."""
        now, until = self._runtime.clock.now(), part.asked_until_ns
        newest, last = self._runtime.candles.newest_open(*key), until - self._lengths[key[1]]
        wanted = [each for each in candles if max(part.since_ns, newest + 1) <= each.ts_open < until]
        is_there = bool(wanted) and wanted[-1].ts_open == last
        part.tries += 1
        if not is_there and newest < last and part.tries < TRIES:
            part.due_ns = now + AGAIN_NS
            return None
        self._go_on(key, part)
        if newest >= last:  # a later one was told meanwhile
            return None
        is_new = is_there and key[1] == self._decision and now - until <= STILL_NEW_NS
        past = wanted[:-1] if is_new else wanted
        if past:
            self._runtime.warm_up(past)
            self._runtime.show(past)
        if is_new:
            self._runtime.take(replace(wanted[-1], ts_init=now, is_warmup=False))
            return "decided"
        return "learnt" if is_there else "missing"

    def _go_on(self, key: _Key, part: _Part) -> None:
        """What was asked for is done with; what has not ended yet comes next."""
        if part.asked_until_ns >= part.until_ns:
            del self._parts[key]
        else:
            part.since_ns = part.asked_until_ns
            part.due_ns = part.since_ns + self._lengths[key[1]] + SETTLED_NS

    def _tell(self, what: str, named: Sequence[str]) -> None:
        more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        self._runtime.tell_story("NOTE", f"candle {what}: {', '.join(named[:_NAMED])}{more}")
