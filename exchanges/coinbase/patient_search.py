"""Looking for an order until it is there, or until its absence is to be believed.

The venue's listings lag by tenths of a second behind what it has told itself, in an answer or on the user channel.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from bus.ids import ClientOrderId
from exchanges.coinbase.order_answers import OrderStatus

FIRST_PAUSE_S: Final = 0.1
Find = Callable[[ClientOrderId], Awaitable[OrderStatus | None]]


class PatientSearch:
    """`find_anywhere` reads the listings, `find_told` asks about one that the venue has told of (`is_told_of`).

    Both may raise, which ends the search.
    """

    def __init__(
        self, find_anywhere: Find, find_told: Find, is_told_of: Callable[[ClientOrderId], bool], absence_s: float,
    ) -> None:
        self._find_anywhere = find_anywhere
        self._find_told = find_told
        self._is_told_of = is_told_of
        self._absence_s = absence_s
        self._told: dict[ClientOrderId, asyncio.Event] = {}

    async def find(self, client_order_id: ClientOrderId) -> OrderStatus | None:
        """The order as the venue has it; None when the listings lack it twice, `absence_s` apart.

        One that was told of is asked for between them, too: after a tenth of a second, after two more, and so on.
        """
        loop, pause_s = asyncio.get_running_loop(), FIRST_PAUSE_S
        status = await self._find_anywhere(client_order_id)
        until = loop.time() + self._absence_s
        while status is None and (left_s := until - loop.time()) > 0:
            await self.pause(client_order_id, min(pause_s, left_s) if self._is_told_of(client_order_id) else left_s)
            if self._is_told_of(client_order_id):
                pause_s *= 2
                status = await self._find_told(client_order_id)
        return status if status is not None else await self._find_anywhere(client_order_id)

    async def pause(self, client_order_id: ClientOrderId, seconds: float) -> None:
        """So long, or until `on_news` of this order."""
        told = self._told.setdefault(client_order_id, asyncio.Event())
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await told.wait()
        if self._told.get(client_order_id) is told:
            del self._told[client_order_id]

    def on_news(self, client_order_id: ClientOrderId) -> None:
        """The venue has told of this order: who waits looks at once."""
        told = self._told.get(client_order_id)
        if told is not None:
            told.set()
