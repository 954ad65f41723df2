"""Orders at the venue that carry our mark and that our books do not know: status names them while they work there.

They are another daemon's on the same account, or those of a data directory that was lost.
"""

import asyncio
from typing import Final

from exchanges.venue import WatchesOrders
from tradingd.runtime import Runtime

LOOK_EVERY_S: Final = 1.0
MOST_NAMED: Final = 5
CONDITION: Final = "strangers"


class StrangerWatch:
    """`run` is a task. The alert comes from the engine, once for each; this is what is left of them."""

    def __init__(self, runtime: Runtime, venue: WatchesOrders) -> None:
        self._runtime = runtime
        self._venue = venue

    async def run(self) -> None:
        """For ever: look."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """Named while the venue still has one of them; it stops nothing."""
        left = [each for each in self._runtime.engine.strangers if self._venue.is_watching(each)]
        if not left:
            self._runtime.health.clear(CONDITION)
            return
        named = ", ".join(left[:MOST_NAMED])
        more = f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else ""
        self._runtime.health.raise_condition(
            CONDITION,
            f"orders with our mark work at the exchange that our books do not know: {named}{more}; cancel "
            "them there, unless another daemon that trades this account is wanted",
            reduces=False,
        )
