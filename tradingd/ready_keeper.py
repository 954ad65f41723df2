"""When orders are made ready (`Runtime.make_ready`): a moment after each step that changed something, in bounds.

The work takes some tenths of a millisecond. In a market where every trade moves a trail it would be thrown away again
and again: it has a budget, of which what was used gives back its share.
"""

import asyncio
from typing import Final

from tradingd.runtime import Runtime

SOON_S: Final = 0.001
"""What a step sets off (answers of the venue, further steps) mostly comes within; one working out serves for all."""
PER_S: Final = 100.0
"""So often in a second on the long run: a few hundredths of a processor, where every trade moves a trail."""
BURST: Final = 100.0
"""So often at once: ten orders placed together and fired one after the other take thirty."""


class ReadyKeeper:
    """`run` it inside the loop; `made` counts how often orders were made ready."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._level = BURST
        self._updated_s = 0.0
        self._fired = runtime.fired_ready
        self._waiting: asyncio.TimerHandle | None = None
        self.made = 0

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        self._updated_s = loop.time()
        self._runtime.on_step = self._on_step
        try:
            await loop.create_future()
        finally:
            self._runtime.on_step = lambda: None
            if self._waiting is not None:
                self._waiting.cancel()

    def _on_step(self) -> None:
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_later(SOON_S, self._make)

    def _make(self) -> None:
        loop = asyncio.get_running_loop()
        now, fired = loop.time(), self._runtime.fired_ready
        self._level = min(BURST, self._level + (now - self._updated_s) * PER_S + fired - self._fired)
        self._updated_s, self._fired = now, fired
        if self._level < 1.0:
            self._waiting = loop.call_later((1.0 - self._level) / PER_S, self._make)
            return
        self._waiting = None
        self._level -= 1.0
        self.made += 1
        self._runtime.make_ready()
