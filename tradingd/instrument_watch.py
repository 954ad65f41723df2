"""The venue's rules for our symbols, asked for anew now and then: what changed is a fact, and the engine follows it.

Before the facts the adapters: an order that the engine rounds to the new increments must not be checked by the old.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from bus.messages.system import InstrumentChanged
from exchanges.binance.rest import VenueError
from exchanges.venue import Venue
from market.instrument import Instrument
from market.money import to_text
from tradingd.runtime import Runtime
from tradingd.venue_access import MarketFeed

_LIMIT_S: Final = 60.0
_WORDS: Final = (
    ("price_tick", "price tick"), ("quantity_step", "quantity step"), ("min_quantity", "smallest quantity"),
    ("max_quantity", "largest quantity"), ("min_notional", "smallest value"), ("maker_fee", "maker fee"),
    ("taker_fee", "taker fee"),
)


class InstrumentWatch:
    """Compares `instruments`, as they were last heard of, with what the venue says."""

    def __init__(
        self, runtime: Runtime, feed: MarketFeed, venue: Venue, instruments: Sequence[Instrument]
    ) -> None:
        self._runtime = runtime
        self._feed = feed
        self._venue = venue
        self._known = {each.symbol: each for each in instruments}

    async def run(self, pause_s: float) -> None:
        """For ever: look, and look again."""
        while True:
            await asyncio.sleep(pause_s)
            await self.look()

    async def look(self) -> None:
        """One comparison. A venue that does not answer has told nothing: what was known stays."""
        try:
            async with asyncio.timeout(_LIMIT_S):
                told = await self._feed.rules(list(self._known.values()))
        except (VenueError, TimeoutError):
            return
        self.take(told)

    def take(self, told: Sequence[Instrument]) -> None:
        """What the venue says now; what is not in it is no longer listed."""
        listed = {each.symbol: each for each in told}
        self._feed.leave_out(self._known.keys() - listed.keys())
        for symbol in sorted(self._known):
            known = self._known[symbol]
            now = listed.get(symbol, replace(known, is_trading=False))
            if now != known:
                self._known[symbol] = now
                self._tell(known, now, is_listed=symbol in listed)

    def _tell(self, known: Instrument, now: Instrument, *, is_listed: bool) -> None:
        update = getattr(self._venue, "update_instruments", None)
        if update is not None:
            update([now])
        fact = InstrumentChanged(
            now.symbol, now.price_tick, now.quantity_step, now.min_quantity, now.max_quantity, now.min_notional,
            now.maker_fee, now.taker_fee, now.is_trading, _words(known, now, is_listed=is_listed),
        )
        self._runtime.take(self._runtime.record("daemon", fact))


def _words(known: Instrument, now: Instrument, *, is_listed: bool) -> str:
    """What changed, for people: "price tick 0.01 -> 0.1; halted"."""
    changes = [
        f"{word} {to_text(before)} -> {to_text(after)}" for key, word in _WORDS
        if (before := getattr(known, key)) != (after := getattr(now, key))
    ]
    if not is_listed:
        changes.append("no longer listed")
    elif known.is_trading != now.is_trading:
        changes.append("trading again" if now.is_trading else "halted")
    return "; ".join(changes)
