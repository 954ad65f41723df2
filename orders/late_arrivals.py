"""Orders that the venue did not know when it was asked: a request may be late, and bring one to life after all.

Such an order has ended here as rejected. While it may still appear, and after a restart, it is asked about some more
times. What it executed is booked as it is (`orders.reports`); one that works is cancelled, for nobody watches it. A
user stream tells of it sooner, but it may be cut at that very moment, and this process may not be running.
"""

from typing import Final

from market.interval import SECOND_NS
from orders.desk import Desk
from orders.order_table import ARRIVES_WITHIN_NS, has_never_arrived

ASK_AFTER_S: Final = (5, 15, 25, 40, 55, 75, 100, 130, 180, 240, 300)
"""Seconds after its end; until two minutes have passed never half a minute apart."""


class LateArrivals:
    """Its own memory is when to ask next: (id, UTC ns of its end or of the restart, questions asked)."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._questions: dict[str, tuple[int, int]] = {}

    def after_restart(self) -> None:
        """Each is asked about at once, and then as if it had just ended: the process may have been down for long."""
        desk = self._desk
        for order in tuple(desk.state.orders):
            if has_never_arrived(order) and desk.now - order.ended_ns < ARRIVES_WITHIN_NS:
                desk.given_up[order.client_order_id] = desk.now
                desk.ask_venue(order)

    def keep(self) -> None:
        """Ask about those that are due."""
        desk = self._desk
        for client_order_id, ended_ns in tuple(desk.given_up.items()):
            order = desk.state.orders.get(client_order_id)
            since, asked = self._questions.get(client_order_id, (ended_ns, 0))
            if order is None or not has_never_arrived(order) or asked == len(ASK_AFTER_S):
                del desk.given_up[client_order_id]
                self._questions.pop(client_order_id, None)
            elif desk.now - since >= ASK_AFTER_S[asked] * SECOND_NS:
                self._questions[client_order_id] = (since, asked + 1)
                desk.ask_venue(order)
