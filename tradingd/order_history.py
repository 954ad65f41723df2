"""The list of orders beyond the newest: the ended ones that the read model has forgotten, folded from the journal."""

from pathlib import Path
from typing import Final

from bus.codec import decode
from bus.messages.orders import TrailingAdvanced
from store.journal import Journal
from store.journal_format import Position
from tradingd.read_model_orders import OrderFold, OrderRecord

MOST_LISTED: Final = 5_000
"""So many orders at most are listed, the newest."""
SLACK: Final = 100
"""So many more are kept before room is made for new ones."""


class _Newest(OrderFold):
    """Of the ended orders those that were made last, as a list is; working ones take none of their places."""

    def _make_room(self) -> None:
        if len(self._ended) >= self._max_orders + SLACK:
            ended = [order_id for order_id, known in self.by_id.items() if not known.is_working]
            for order_id in ended[:-self._max_orders]:
                del self._ended[order_id]
                self._forget(order_id)


class OrderHistory:
    """The newest orders in outline, as the journal at `path` tells of them. It reads on where it stopped last time.

    Costs nothing before it is asked; then about 3 KB of memory for each order, of those that work and a hundred more
    than were ever wanted at once. What the outline lacks (facts, steps and votes of an ended order) the journal has.
    One caller at a time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bound = 0
        self._begin()

    def _begin(self) -> None:
        self._place: Position | None = None
        self._fold = _Newest(self._bound)
        self._kinds = {kind.__name__ for kind in self._fold.handlers if kind is not TrailingAdvanced}

    def newest(self, wanted: int = MOST_LISTED) -> list[OrderRecord]:
        """At least the newest `wanted` orders (5,000 at most count), in no order; how a working one trails is not told.

        Takes time in proportion to what was written since the last call, and to the journal at first and whenever more
        are wanted than ever before: call it from a thread. Raises `JournalError`.
        """
        bound = min(wanted, MOST_LISTED)
        if bound > self._bound:
            self._bound = bound
            self._begin()
        journal = Journal.open(self._path, read_only=True)
        try:
            if self._place is not None and not journal.holds(self._place):
                self._begin()
            for place, records in journal.read_from(self._place):
                for record in records:
                    if record.kind in self._kinds:
                        message = decode(record.data)
                        self._fold.handlers[type(message.body)](message, message.body)
                self._place = place
        except BaseException:
            self._begin()  # half a batch is folded: its fills would count twice
            raise
        finally:
            journal.close()
        for known in self._fold.by_id.values():
            if not known.is_working and len(known.history) > 1:
                known.shrink()
        return list(self._fold.by_id.values())
