"""Whether a stream whose prices flow still tells the trades: of what is at stake the venue is asked, when none come.

A channel can die on a connection that lives. Quotes show nothing then, and a stop that waits for a last price waits for
ever. A market in which nobody trades looks the same, so REST must say that somebody did.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, Final

from exchanges.timed_answers import end_tasks

QUIET_S: Final = 30.0
"""So long without a trade of a symbol: ask, and again after as long."""
EVERY_S: Final = 10.0
"""One question at most, however many symbols are quiet."""
ON_ITS_WAY_S: Final = 2.0
"""So long a trade may take from REST's answer to the stream."""


class TradeCheck:
    """Of one connection. `newest`: the number of a symbol's last trade over REST, -1 where the venue does not say.

    `heard`: the number of the last one that the stream told. `urgent`: the symbols at stake.
    """

    def __init__(
        self, urgent: Callable[[], Collection[str]], heard: Callable[[str], int],
        newest: Callable[[str], Awaitable[int]],
    ) -> None:
        self._urgent = urgent
        self._heard = heard
        self._newest = newest
        self._since: dict[str, tuple[int, float]] = {}
        self._first: dict[str, int] = {}  # REST's first word on those of which nothing was heard yet

    async def beside(self, looks: Coroutine[Any, Any, None]) -> str:
        """Run beside the looks at a connection: "" when these end, else which trades it lacks, in words."""
        looking, checking = asyncio.create_task(looks), asyncio.create_task(self.run())
        try:
            await asyncio.wait((looking, checking), return_when=asyncio.FIRST_COMPLETED)
            return checking.result() if checking.done() else ""
        finally:
            await end_tasks(looking, checking)

    async def run(self) -> str:
        """For ever, or until a stream lacks trades: which, in words."""
        while True:
            await asyncio.sleep(EVERY_S)
            symbol = self._longest_quiet(asyncio.get_running_loop().time())
            if symbol is None:
                continue
            newest = await self._newest(symbol)
            known = self._first.setdefault(symbol, newest) if self._heard(symbol) < 0 else self._heard(symbol)
            if newest > known >= 0:
                await asyncio.sleep(ON_ITS_WAY_S)
                if newest > self._heard(symbol):
                    return f"mute: {symbol} is traded over REST, and no frame tells of it"

    def _longest_quiet(self, now: float) -> str | None:
        """Whose turn it is to be asked about."""
        urgent = self._urgent()
        self._since = {
            symbol: known if (known := self._since.get(symbol)) is not None and known[0] == self._heard(symbol)
            else (self._heard(symbol), now)
            for symbol in urgent
        }
        quiet = [(since, symbol) for symbol, (_, since) in self._since.items() if now - since >= QUIET_S]
        if not quiet:
            return None
        _, symbol = min(quiet)
        self._since[symbol] = (self._heard(symbol), now)
        return symbol
