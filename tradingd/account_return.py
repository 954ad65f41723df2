"""The way back after the venue refused our account: a key that is taken again, a clock that is right again (F19, F20).

The venue is asked until it takes the account; then the books are compared, as after a start; only then are there
entries again. A key that is refused anew soon after is asked for ever more rarely: it may be one that may read only.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from exchanges.answers import VenueError
from exchanges.backoff import Backoff

FIRST_PAUSE_S: Final = 2.0
LONGEST_PAUSE_S: Final = 15.0
SOON_S: Final = 60.0
"""A refusal within this after the return is the same trouble."""
LONGEST_AWAY_S: Final = 600.0


class AccountReturn:
    """`prove` raises `VenueError` while the account is refused, `compare` ends when the books agree.

    `on_back` hears that both have come to a good end.
    """

    def __init__(
        self, prove: Callable[[], Awaitable[None]], compare: Callable[[], Awaitable[None]], on_back: Callable[[], None],
        *, jitter: Callable[[], float], first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._prove = prove
        self._compare = compare
        self._on_back = on_back
        self._jitter = jitter
        self._first_pause_s = first_pause_s
        self._refused = asyncio.Event()

    def refused(self) -> None:
        """The venue has just refused the account."""
        self._refused.set()

    async def run(self) -> None:
        """For ever."""
        loop = asyncio.get_running_loop()
        away_s, back_at = self._first_pause_s, -SOON_S
        while True:
            await self._refused.wait()
            is_same = loop.time() - back_at < SOON_S
            away_s = min(away_s * 2, LONGEST_AWAY_S) if is_same else self._first_pause_s
            await self._come_back(away_s)
            back_at = loop.time()
            self._on_back()

    async def _come_back(self, first_pause_s: float) -> None:
        backoff = Backoff(self._jitter, first_pause_s, max(LONGEST_PAUSE_S, first_pause_s))
        while self._refused.is_set():
            await asyncio.sleep(backoff.next_s())
            self._refused.clear()
            try:
                await self._prove()
            except VenueError:
                self._refused.set()
                continue
            if not self._refused.is_set():
                await self._compare()
