"""Best prices over REST while a stream is away, asked beside the reconnecting: neither waits for the other."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class PricePoll:
    """One round of questions at a time, begun at most every `every_s` seconds. Used inside a running event loop.

    A round tells its answers itself and bounds its own time. It may go on through several attempts to connect; whoever
    is about to tell newer prices ends it first, so that no older one comes after them.
    """

    def __init__(self, every_s: float, name: str) -> None:
        self._every_s = every_s
        self._name = name
        self._next = 0.0
        self._round: asyncio.Task[None] | None = None

    def begin(self, ask: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin a round when it is time and none is under way. Raises what the last one raised by mistake."""
        self._take_outcome()
        now = asyncio.get_running_loop().time()
        if self._round is None and now >= self._next:
            self._next = now + self._every_s
            self._round = asyncio.create_task(ask(), name=self._name)

    async def pause(self, seconds: float) -> None:
        """Sleep so long, while the round goes on. What it raises by mistake comes out at once."""
        if self._round is not None:
            began = asyncio.get_running_loop().time()
            await asyncio.wait((self._round,), timeout=seconds)
            self._take_outcome()
            seconds -= asyncio.get_running_loop().time() - began
        await asyncio.sleep(max(0.0, seconds))

    async def end(self) -> None:
        """Break the round off: it tells nothing after this. Raises what it raised by mistake."""
        if self._round is None:
            return
        self._round.cancel()
        await asyncio.gather(self._round, return_exceptions=True)
        self._take_outcome()

    def _take_outcome(self) -> None:
        if self._round is not None and self._round.done():
            ended, self._round = self._round, None
            if not ended.cancelled():
                ended.result()
