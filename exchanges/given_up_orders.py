"""Orders that the engine was told not to exist. A request that was held up may still bring one to life."""

from collections.abc import Callable, Container, Sequence
from typing import Final

from bus.ids import CLIENT_ID_PREFIX, ClientOrderId, VenueOrderId
from exchanges.venue import OpenOrder

KEEP: Final = 1_000
Cancel = Callable[[ClientOrderId, VenueOrderId, str], None]
Query = Callable[[ClientOrderId, str], None]


class GivenUpOrders:
    """Remembers the last 1,000 and ends those that work at the venue after all: nobody else watches them."""

    def __init__(self, cancel: Cancel) -> None:
        self._cancel = cancel
        self._ids: dict[ClientOrderId, None] = {}

    def __contains__(self, client_order_id: ClientOrderId) -> bool:
        return client_order_id in self._ids

    def add(self, client_order_id: ClientOrderId) -> None:
        """It was told not to exist."""
        self._ids[client_order_id] = None
        while len(self._ids) > KEEP:
            del self._ids[next(iter(self._ids))]

    def discard(self, client_order_id: ClientOrderId) -> None:
        """The engine knows of it after all."""
        self._ids.pop(client_order_id, None)

    def end(self, client_order_id: ClientOrderId, venue_order_id: VenueOrderId, symbol: str) -> None:
        """It works at the venue: what it has filled is booked, and it ends."""
        self.discard(client_order_id)
        self._cancel(client_order_id, venue_order_id, symbol)

    def sweep(
        self, working_there: Sequence[OpenOrder], symbols: Container[str], watched: Container[ClientOrderId],
        query: Query,
    ) -> None:
        """Of our orders that nobody here watches: those given up end, of others it is asked what they are."""
        for order in working_there:
            is_ours = order.client_order_id.startswith(CLIENT_ID_PREFIX) and order.symbol in symbols
            if not is_ours or order.client_order_id in watched:
                continue
            if order.client_order_id in self._ids:
                self.end(order.client_order_id, order.venue_order_id, order.symbol)
            else:
                query(order.client_order_id, order.symbol)
