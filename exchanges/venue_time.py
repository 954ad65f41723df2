"""The venue's time of now, asked for once in a while: a round of many symbols needs it for each, and asks once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from bus.clock import Clock
from market.interval import SECOND_NS

KEPT_S: Final = 60.0
"""So long an answer serves: clocks part by some milliseconds in that time."""
_JUMP_S: Final = 0.25


class VenueTime:
    """`ask` gives what the venue says (UTC ns), None where it tells no time: then ours is meant.

    It is never ahead of the venue's, by which it says what has ended: an answer is as old as its way here, at least.
    """

    def __init__(
        self, clock: Clock, ask: Callable[[], Awaitable[int | None]], *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._ask = ask
        self._monotonic = monotonic
        self._asking = asyncio.Lock()
        self._offset_ns = 0
        self._asked: tuple[int, float] | None = None  # by our clock, and by the one that nobody sets

    async def now(self) -> int:
        """UTC ns. Raises what `ask` raises. Who comes while it is asked waits for that answer."""
        async with self._asking:
            if not self._is_known():
                told = await self._ask()
                here = self._clock.now()
                self._offset_ns = told - here if told is not None else 0
                self._asked = here, self._monotonic()
        return self._clock.now() + self._offset_ns

    def _is_known(self) -> bool:
        """Not when our clock was set since, or the machine was asleep: its distance to the venue's is another one."""
        if self._asked is None:
            return False
        passed_s = self._monotonic() - self._asked[1]
        by_clock_s = (self._clock.now() - self._asked[0]) / SECOND_NS
        return passed_s < KEPT_S and abs(by_clock_s - passed_s) < _JUMP_S
