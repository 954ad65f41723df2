"""Fills that Binance counts and has not brought: a frame of its user stream (`z`) was lost on a line that is well, or
the answer to a cancel is ahead of the listings.

They are asked for over REST. An end that comes before them is not told until they were: told first, it would lose them.
"""

from collections.abc import ItemsView
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from bus.ids import ClientOrderId
from exchanges.binance.order_answers import OrderStatus
from market.money import ZERO

MOST_OWED: Final = 10_000
KEEP_FINISHED: Final = 1_000


@dataclass(frozen=True, slots=True)
class Owed:
    """What the venue's answer must at least show: so much executed, and the end if the stream told it."""

    symbol: str
    executed: Decimal
    is_over: bool


class OwedFills:
    """Bounded: beyond 10,000 orders nothing more is noted, and of the last 1,000 that ended it knows what was told."""

    def __init__(self) -> None:
        self._owed: dict[ClientOrderId, Owed] = {}
        self._finished: dict[ClientOrderId, Decimal] = {}

    def __contains__(self, client_order_id: ClientOrderId) -> bool:
        return client_order_id in self._owed

    def items(self) -> ItemsView[ClientOrderId, Owed]:
        """What is still to be asked for."""
        return self._owed.items()

    def note(self, client_order_id: ClientOrderId, symbol: str, executed: Decimal, *, is_over: bool) -> None:
        """The venue says that more was executed than the fills that were told, or that it is over."""
        known = self._owed.get(client_order_id)
        if known is not None:
            executed, is_over = max(executed, known.executed), is_over or known.is_over
        if known is not None or len(self._owed) < MOST_OWED:
            self._owed[client_order_id] = Owed(symbol, executed, is_over)

    def is_behind(self, client_order_id: ClientOrderId, status: OrderStatus) -> bool:
        """Whether the answer is older than what the venue said of the order."""
        owed = self._owed.get(client_order_id)
        if owed is None:
            return False
        return status.executed < owed.executed or (owed.is_over and status.is_open)

    def settle(self, client_order_id: ClientOrderId) -> None:
        """Everything was told."""
        self._owed.pop(client_order_id, None)

    def finish(self, client_order_id: ClientOrderId, filled: Decimal) -> None:
        """The order is over, and so much of it was told to be filled."""
        self.settle(client_order_id)
        self._finished[client_order_id] = filled
        while len(self._finished) > KEEP_FINISHED:
            del self._finished[next(iter(self._finished))]

    def told_at_end(self, client_order_id: ClientOrderId) -> Decimal:
        """The filled quantity of an order that is over; 0 of one that is not known."""
        return self._finished.get(client_order_id, ZERO)
