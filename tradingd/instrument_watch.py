"""The venue's rules for our symbols, asked for anew now and then: what changed is a fact, and the engine follows it.

A refusal that speaks of them has them asked for at once, and so that trading goes on soon after a halt, those of a
symbol that is halted are asked for often.

Before the facts the adapters: an order that the engine rounds to the new increments must not be checked by the old.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from bus.messages.header import Message
from bus.messages.orders import OrderRejected
from bus.messages.system import InstrumentChanged
from exchanges.answers import VenueError
from exchanges.rule_refusals import speaks_of_rules
from exchanges.venue import Venue
from market.instrument import Instrument
from market.money import to_text
from tradingd.runtime import Runtime
from tradingd.venue_access import MarketFeed

LEAST_PAUSE_S: Final = 5.0
"""Between two looks, however many orders are refused."""
HALTED_PAUSE_S: Final = 10.0
HALTED_LOOKS: Final = 360
"""So many in a row are so close: then it is no maintenance any more."""
_LIMIT_S: Final = 60.0
_WORDS: Final = (
    ("price_tick", "price tick"), ("quantity_step", "quantity step"), ("min_quantity", "smallest quantity"),
    ("max_quantity", "largest quantity"), ("min_notional", "smallest value"), ("maker_fee", "maker fee"),
    ("taker_fee", "taker fee"),
)


class InstrumentWatch:
    """Compares `instruments`, as they were last heard of, with what the venue says. `listen` is told every message."""

    def __init__(
        self, runtime: Runtime, feed: MarketFeed, venue: Venue, instruments: Sequence[Instrument]
    ) -> None:
        self._runtime = runtime
        self._feed = feed
        self._venue = venue
        self._known = {each.symbol: each for each in instruments}
        self._halted = {each.symbol for each in instruments if not each.is_trading}
        self._halted_looks = 0
        self._is_doubted = asyncio.Event()
        runtime.listeners.append(self.listen)

    def listen(self, message: Message) -> None:
        """An order that the venue refuses because of its rules: ours may be old."""
        body = message.body
        if type(body) is OrderRejected and speaks_of_rules(body.reason):
            self._is_doubted.set()

    @property
    def is_doubted(self) -> bool:
        """Whether a refusal has spoken of the rules since `begin_look`."""
        return self._is_doubted.is_set()

    def begin_look(self) -> None:
        """What is refused from here on may be news again."""
        self._is_doubted.clear()

    async def run(self, pause_s: float) -> None:
        """For ever: look, and look again."""
        while True:
            await asyncio.sleep(min(LEAST_PAUSE_S, pause_s))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s(pause_s) - LEAST_PAUSE_S):
                    await self._is_doubted.wait()
            self.begin_look()
            self._halted_looks = self._halted_looks + 1 if self._halted else 0
            await self.look()

    def _pause_s(self, pause_s: float) -> float:
        is_soon = self._halted and self._halted_looks < HALTED_LOOKS
        return min(pause_s, HALTED_PAUSE_S) if is_soon else pause_s

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
        self._halted = {each.symbol for each in told if not each.is_trading}
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
