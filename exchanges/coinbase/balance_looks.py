"""Balances of a Coinbase account, told soon after something said that they change.

Its user channel tells of orders and of no balances: each fill, each refusal and each order of somebody else on the
account is a reason to read them. What is told is a hint, as Binance's stream gives it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from exchanges.answers import VenueError
from exchanges.coinbase.account import NOTHING
from exchanges.venue import AssetBalance, BalanceSink

SETTLE_S: Final = 0.5
"""Listings lag behind the news."""
PAUSE_S: Final = 3.0
"""From one look to the next: many fills are one reason."""
Read = Callable[[], Awaitable[Mapping[str, AssetBalance]]]
"""All balances of the account; raises `VenueError`."""


class BalanceLooks:
    """`run` is a task. `silent_for_s`: how long the venue wants no requests, 0 for not at all."""

    def __init__(
        self, read: Read, silent_for_s: Callable[[], float], *, settle_s: float = SETTLE_S, pause_s: float = PAUSE_S,
    ) -> None:
        self._read = read
        self._silent_for_s = silent_for_s
        self._settle_s = settle_s
        self._pause_s = pause_s
        self._sink: BalanceSink | None = None
        self._is_due = asyncio.Event()
        self._told: dict[str, AssetBalance] = {}

    def listen(self, sink: BalanceSink) -> None:
        """From now on, in place of whoever listened before; without a listener nothing is read."""
        self._sink = sink

    def wake(self) -> None:
        """Something says that they changed."""
        self._is_due.set()

    async def run(self) -> None:
        """For ever: what changed is told. A look that fails is none: the account is compared in any case."""
        while True:
            await self._is_due.wait()
            await asyncio.sleep(self._settle_s)
            self._is_due.clear()
            if self._sink is not None and self._silent_for_s() == 0:
                await self._look(self._sink)
            await asyncio.sleep(self._pause_s)

    async def _look(self, sink: BalanceSink) -> None:
        try:
            found = await self._read()
        except VenueError:
            return
        changed = {
            asset: balance for asset in sorted(self._told.keys() | found.keys())
            if (balance := found.get(asset, NOTHING)) != self._told.get(asset)
        }
        self._told = dict(found)
        if changed:
            sink(changed)
