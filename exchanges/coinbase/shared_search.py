"""One reading of the listings for all who look for an order at the same time.

After a start every order whose fate is open is looked for. Each in a listing of its own would use up the requests that
the venue grants, and a hundred orders wait for half a minute; in one they are all found, or missed, at once.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from bus.ids import ClientOrderId
from exchanges.coinbase.wire_values import TimeError, time_ns, to_wire_time

_NEVER: Final = 1 << 62
Row = dict[str, Any]
"""An order in the venue's words."""
List = Callable[[dict[str, Any]], AsyncGenerator[Row, None]]
"""The account's orders that fit a wish, the newest first, page by page; may raise."""


@dataclass(slots=True)
class _Search:
    client_order_id: ClientOrderId
    earliest_ns: int
    found: asyncio.Future[Row | None]


class SharedSearch:
    """Looks for orders by our ids. Use it inside a running event loop; `close` it.

    Who asks while a listing is being read waits for the next one: no answer is older than its question.
    """

    def __init__(self, orders: List) -> None:
        self._orders = orders
        self._waiting: list[_Search] = []
        self._reader: asyncio.Task[None] | None = None

    async def find(self, client_order_id: ClientOrderId, earliest_ns: int) -> Row | None:
        """Its row; None when the venue certainly lists none made since `earliest_ns` (UTC).

        Raises what the listing raised.
        """
        search = _Search(client_order_id, earliest_ns, asyncio.get_running_loop().create_future())
        self._waiting.append(search)
        if self._reader is None:
            self._reader = asyncio.create_task(self._read_all(), name="search for orders")
        return await search.found

    def close(self) -> None:
        """End the reading; who still waits is cancelled."""
        if self._reader is not None:
            self._reader.cancel()

    async def _read_all(self) -> None:
        searches: list[_Search] = []
        try:
            while self._waiting:
                searches, self._waiting = self._waiting, []
                try:
                    await self._read(searches)
                except Exception as error:  # noqa: BLE001 - it belongs to those who asked, and they raise it
                    for search in _open(searches):
                        search.found.set_exception(error)
        finally:
            self._reader = None
            for search in _open(searches + self._waiting):
                search.found.cancel()

    async def _read(self, searches: list[_Search]) -> None:
        wanted: dict[str, list[_Search]] = {}
        for search in searches:
            wanted.setdefault(search.client_order_id, []).append(search)
        async with aclosing(self._orders({"order_status": ["OPEN"]})) as working:
            async for row in working:
                _deliver(wanted, row)
                if not wanted:
                    return
        # The newest come first: a row older than a search means that what follows is older still.
        oldest_first = sorted(_open(searches), key=lambda search: search.earliest_ns)
        if not oldest_first:
            return
        async with aclosing(self._orders({"start_date": to_wire_time(oldest_first[0].earliest_ns)})) as made_since:
            async for row in made_since:
                _deliver(wanted, row)
                created_ns = _created_ns(row)
                while oldest_first and (oldest_first[-1].found.done() or created_ns < oldest_first[-1].earliest_ns):
                    _end(oldest_first.pop())
                if not oldest_first:
                    return
        for search in oldest_first:
            _end(search)


def _open(searches: list[_Search]) -> list[_Search]:
    return [search for search in searches if not search.found.done()]


def _deliver(wanted: dict[str, list[_Search]], row: Row) -> None:
    for search in _open(wanted.pop(str(row.get("client_order_id")), [])):
        search.found.set_result(row)


def _end(search: _Search) -> None:
    if not search.found.done():
        search.found.set_result(None)


def _created_ns(row: Row) -> int:
    """A row without a readable time counts as new: it ends no search."""
    try:
        return time_ns(row.get("created_time"))
    except TimeError:
        return _NEVER
