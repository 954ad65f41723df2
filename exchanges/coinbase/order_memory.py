"""What is remembered of orders that may still change at Coinbase, until their end is told. No request is made here."""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from bus.ids import ClientOrderId, VenueOrderId
from bus.messages.orders import ExecutionReport
from exchanges.coinbase.heard_order import HeardOrder
from exchanges.coinbase.order_answers import OrderStatus
from exchanges.coinbase.user_events import OrderNews
from exchanges.working_order import ENDS, MOST_WORKING
from risk.approved import OrderRequest

MOST_LATE: Final = 1_000


class OrderMemory:
    """By our ids: the orders that work there, what the venue calls them, whose fate is open, whose end is due.

    `now` is UTC ns. Of more than 10,000 the engine alone knows.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.working: dict[ClientOrderId, HeardOrder] = {}
        self.venue_ids: dict[ClientOrderId, VenueOrderId] = {}
        self._unresolved: dict[ClientOrderId, str] = {}
        self._ending: dict[ClientOrderId, str] = {}
        self._late: dict[ClientOrderId, HeardOrder] = {}  # what the channel says of orders that are over here

    # ---- what begins and ends ------------------------------------------------------------------------

    def note_submission(self, order: OrderRequest) -> None:
        """It is sent, or about to be."""
        if len(self.working) < MOST_WORKING:
            self.working[order.client_order_id] = HeardOrder(order.symbol, order.quantity, self._now())

    def adopt(self, client_order_id: ClientOrderId, symbol: str, status: OrderStatus) -> None:
        """An order of an earlier run that still works (a stop may rest for weeks) is watched like our own."""
        if not status.is_over and status.quantity > status.executed and len(self.working) < MOST_WORKING:
            self.working.setdefault(client_order_id, HeardOrder(symbol, status.quantity, status.ts_event))

    def end_is_due(self, client_order_id: ClientOrderId, symbol: str) -> None:
        """It fills or ends at once, or is being cancelled."""
        if len(self._ending) < MOST_WORKING:
            self._ending[client_order_id] = symbol

    def end_is_not_due(self, client_order_id: ClientOrderId) -> None:
        """The venue does not cancel it."""
        self._ending.pop(client_order_id, None)

    def hear_late(self, news: OrderNews, symbol: str) -> None:
        """The channel's word of one that is not watched: its listing may have been too old when its end was told.

        Until an answer is as new, it is asked for; of the last thousand.
        """
        known = self._late.setdefault(news.client_order_id, HeardOrder(symbol, news.executed, self._now()))
        known.hear(news, self._now())
        while len(self._late) > MOST_LATE:
            del self._late[next(iter(self._late))]

    def note(self, report: ExecutionReport) -> None:
        """What is about to be told of it."""
        client_order_id, kind = report.client_order_id, report.exec_type
        working = self.working.get(client_order_id)
        if working is not None:
            working.note(report, self._now())
        is_over = kind in ENDS or (working is not None and working.is_filled)
        if kind == "unknown":
            if len(self._unresolved) < MOST_WORKING:
                self._unresolved[client_order_id] = report.symbol
        elif kind not in ("fill", "cancel_rejected"):
            self._unresolved.pop(client_order_id, None)
        if is_over:
            self.working.pop(client_order_id, None)
            self._unresolved.pop(client_order_id, None)
            self._forget_names(client_order_id)

    def note_answered(self, client_order_id: ClientOrderId) -> None:
        """The venue says that it is over, and all that was to be told of it was told."""
        if client_order_id not in self.working and client_order_id not in self._unresolved:
            self._forget_names(client_order_id)

    def _forget_names(self, client_order_id: ClientOrderId) -> None:
        self.venue_ids.pop(client_order_id, None)
        self._ending.pop(client_order_id, None)
        self._late.pop(client_order_id, None)

    # ---- what is known -------------------------------------------------------------------------------

    def is_unresolved(self, client_order_id: ClientOrderId) -> bool:
        """Its fate was told to be unknown."""
        return client_order_id in self._unresolved

    def is_end_due(self, client_order_id: ClientOrderId) -> bool:
        """See `end_is_due`."""
        return client_order_id in self._ending

    def owed(self) -> list[tuple[ClientOrderId, str]]:
        """The orders, and their symbols, that are to be asked for until they are told of."""
        return sorted((self._unresolved | self._ending).items())

    def was_told_of(self, client_order_id: ClientOrderId) -> bool:
        """The venue itself told of it so shortly ago that its absence is not to be believed."""
        heard = self._heard(client_order_id)
        return heard is not None and heard.was_told_of(self._now())

    def heard_filled(self, client_order_id: ClientOrderId) -> OrderStatus | None:
        """Its status where the user channel calls it filled: then its fills alone are asked for."""
        working = self.working.get(client_order_id)
        return working.heard_filled if working is not None else None

    def is_behind(self, client_order_id: ClientOrderId, status: OrderStatus, filled: Decimal) -> bool:
        """Whether an answer, and the fills that were listed with it, are older than what was said of the order."""
        heard = self._heard(client_order_id)
        return filled < status.executed or (heard is not None and heard.is_ahead_of(status, filled))

    def _heard(self, client_order_id: ClientOrderId) -> HeardOrder | None:
        return self.working.get(client_order_id) or self._late.get(client_order_id)
