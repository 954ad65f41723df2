"""How many private requests a second we allow ourselves, and who gives way when they run short.

The venue's own limits are counted in other coin (weight, orders in ten seconds) and are wider; this one is about not
getting near them. Part of the budget is kept for what closes positions and for cancels: entries and questions may
not touch it, so that a burst of them never keeps an exit waiting.
"""

import asyncio
from collections.abc import Callable
from typing import Final

PRIVATE_PER_S: Final = 15.0
RESERVE_SHARE: Final = 0.4
"""Of a second's budget, for exits and cancels alone."""


class PrivateBudget:
    """A bucket that refills with time and holds one second's requests. `now` is a clock in seconds."""

    __slots__ = ("_level", "_now", "_rate", "_reserve", "_updated")

    def __init__(self, per_s: float, now: Callable[[], float]) -> None:
        if per_s < 1.0:
            raise ValueError(f"a budget of {per_s:g} requests a second: at least one is needed")
        self._rate = self._level = per_s
        self._reserve = min(per_s * RESERVE_SHARE, per_s - 1.0)  # a full bucket always has one for a question
        self._now = now
        self._updated = now()

    def take_now(self, *, is_urgent: bool) -> bool:
        """Take one request if it may leave at once."""
        now, rate = self._now(), self._rate
        level = self._level + (now - self._updated) * rate
        self._updated = now
        self._level = level = level if level < rate else rate
        if level < (1.0 if is_urgent else 1.0 + self._reserve):
            return False
        self._level = level - 1.0
        return True

    def wait_s(self, *, is_urgent: bool) -> float:
        """How long until one request may leave, if nobody else takes it."""
        now = self._now()
        self._level = min(self._rate, self._level + (now - self._updated) * self._rate)
        self._updated = now
        missing = 1.0 + (0.0 if is_urgent else self._reserve) - self._level
        return max(0.0, missing / self._rate)

    async def take(self, *, is_urgent: bool) -> None:
        """Wait for one request, however long that takes: those that wait are few, and each is needed."""
        while not self.take_now(is_urgent=is_urgent):  # noqa: ASYNC110 - time is what is awaited
            await asyncio.sleep(self.wait_s(is_urgent=is_urgent))
