"""Orders that the engine was told not to exist. A request that was held up may still bring one to life."""

from collections.abc import Callable, Container, Sequence
from typing import Final

from bus.ids import CLIENT_ID_PREFIX, ClientOrderId, VenueOrderId
from exchanges.venue import OpenOrder

KEEP: Final = 1_000
SWEEPS: Final = 10
"""At so many, half a minute apart, one that the venue once had is asked about: it may be filled, and not listed yet."""
Cancel = Callable[[ClientOrderId, VenueOrderId, str], None]
Query = Callable[[ClientOrderId, str], None]


class GivenUpOrders:
    """Remembers the last 1,000 and ends those that work at the venue after all: nobody else watches them."""

    def __init__(self, cancel: Cancel) -> None:
        self._cancel = cancel
        self._ids: dict[ClientOrderId, None] = {}
        self._doubted: dict[ClientOrderId, tuple[str, int]] = {}  # symbol, and sweeps left

    def __contains__(self, client_order_id: ClientOrderId) -> bool:
        return client_order_id in self._ids

    def add(self, client_order_id: ClientOrderId, doubted: str = "") -> None:
        """It was told not to exist; `doubted`: the symbol of one that the venue had told of before."""
        self._ids[client_order_id] = None
        if doubted:
            self._doubted[client_order_id] = doubted, SWEEPS
        while len(self._ids) > KEEP:
            self.discard(next(iter(self._ids)))

    def discard(self, client_order_id: ClientOrderId) -> None:
        """The engine knows of it after all."""
        self._ids.pop(client_order_id, None)
        self._doubted.pop(client_order_id, None)

    def found(
        self, client_order_id: ClientOrderId, venue_order_id: VenueOrderId, symbol: str, *, is_open: bool
    ) -> None:
        """The venue has it after all, and the engine is told: for it a doubted one is over, and must not go on."""
        if is_open and client_order_id in self._doubted:
            self.end(client_order_id, venue_order_id, symbol)
        else:
            self.discard(client_order_id)

    def end(self, client_order_id: ClientOrderId, venue_order_id: VenueOrderId, symbol: str) -> None:
        """It works at the venue: what it has filled is booked, and it ends."""
        self.discard(client_order_id)
        self._cancel(client_order_id, venue_order_id, symbol)

    def sweep(
        self, working_there: Sequence[OpenOrder], symbols: Container[str], watched: Container[ClientOrderId],
        query: Query,
    ) -> None:
        """Of our orders that nobody here watches: those given up end, of others it is asked what they are.

        What became of doubted ones is asked, too, wherever they are.
        """
        for order in working_there:
            is_ours = order.client_order_id.startswith(CLIENT_ID_PREFIX) and order.symbol in symbols
            if not is_ours or order.client_order_id in watched:
                continue
            if order.client_order_id in self._ids:
                self.end(order.client_order_id, order.venue_order_id, order.symbol)
            else:
                query(order.client_order_id, order.symbol)
        for client_order_id, (symbol, left) in tuple(self._doubted.items()):
            if left:
                self._doubted[client_order_id] = symbol, left - 1
                query(client_order_id, symbol)
            else:
                del self._doubted[client_order_id]
