"""A working order with what the user channel said of it, which the listings may not tell yet."""

from dataclasses import dataclass
from decimal import Decimal

from exchanges.coinbase.order_answers import OrderStatus
from exchanges.coinbase.user_events import OrderNews
from exchanges.working_order import WorkingOrder
from market.money import ZERO


@dataclass(slots=True)
class HeardOrder(WorkingOrder):
    """`heard_*`: what the user channel said last; `heard_filled`: its status, where that is filled and all of it."""

    heard_executed: Decimal = ZERO
    heard_over: bool = False
    heard_filled: OrderStatus | None = None

    def hear(self, news: OrderNews, now_ns: int) -> None:
        """What the user channel says of it."""
        self.told_ns = now_ns
        self.heard_executed = max(self.heard_executed, news.executed)
        self.heard_over = self.heard_over or news.is_over
        if news.is_filled and news.executed == self.filled + self.remaining:
            self.heard_filled = OrderStatus(
                news.client_order_id, news.venue_order_id, news.product, news.executed, None, True, now_ns,
                news.executed, "FILLED",
            )

    def is_ahead_of(self, status: OrderStatus, filled: Decimal) -> bool:
        """Whether the user channel said more than the listings: their status, and their fills' quantity."""
        return filled < self.heard_executed or (self.heard_over and not status.is_over)
