"""Ending orders: what we hold ends at once; what the venue has ends when the venue says so."""

from collections.abc import Iterable
from typing import Final

from bus.messages.orders import OrderCancelled, OrderExpired, OrderPendingCancel, TrailingDisarmed
from orders.desk import Desk
from orders.order_table import Order

TIME_OVER: Final = "its time was over"
ESCALATE: Final = "its limit was not met: to be sold at market"


def request_cancel(desk: Desk, order: Order, reason: str) -> None:
    """End a working order. At the venue it keeps its exposure until the answer; asked again it is left alone."""
    if not order.is_working or order.detail == "pending_cancel":
        return
    if order.state == "PENDING":
        for fact in facts_of_end(desk, order, reason):
            desk.emit(fact)
        return
    desk.emit(OrderPendingCancel(order.client_order_id, order.spec.symbol, reason))
    desk.ask_cancel(order)


def facts_of_end(desk: Desk, order: Order, reason: str) -> list[TrailingDisarmed | OrderCancelled]:
    """What is said when an order that we hold ends."""
    ended = OrderCancelled(order.client_order_id, order.spec.symbol, "us", reason)
    if order.client_order_id in desk.state.watch:
        return [TrailingDisarmed(order.client_order_id, order.spec.symbol, reason), ended]
    return [ended]


def expire(desk: Desk, order: Order) -> None:
    """The time of a working order is over: ours ends, the venue's is cancelled."""
    if order.state == "PENDING":
        _disarm(desk, order, TIME_OVER)
        desk.emit(OrderExpired(order.client_order_id, order.spec.symbol, "us", TIME_OVER))
    else:
        request_cancel(desk, order, TIME_OVER)


def cancel_armed(desk: Desk, orders: Iterable[Order], reason: str) -> None:
    """End those of the orders that the engine holds armed."""
    for order in tuple(orders):
        if order.is_armed:
            request_cancel(desk, order, reason)


def _disarm(desk: Desk, order: Order, reason: str) -> None:
    if order.client_order_id in desk.state.watch:
        desk.emit(TrailingDisarmed(order.client_order_id, order.spec.symbol, reason))
