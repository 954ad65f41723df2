"""The exits around one entry sell the same coins: what becomes of the others when one of them leaves."""

from decimal import Decimal

from bus.messages.orders import OrderUpdated
from market.money import ZERO
from orders import grid_inventory
from orders.cancelling import cancel_armed, request_cancel
from orders.desk import Desk
from orders.order_table import Order


def siblings_of(desk: Desk, order: Order) -> tuple[Order, ...]:
    """The working exits of its entry, itself among them."""
    return desk.state.orders.children(order.spec.parent_id) if order.spec.parent_id else ()


def in_the_way(desk: Desk, order: Order, *, is_all: bool) -> list[Order]:
    """Exits that end when this one leaves, where they are armed. `is_all`: it sells everything that is held."""
    others = desk.state.orders.exits(order.spec.symbol) if is_all else siblings_of(desk, order)
    return [other for other in others if other.is_exit and other is not order]


def sells_instead(order: Order) -> str:
    """The reason for which they end."""
    return f"{order.client_order_id} sells instead"


def left_to_siblings(desk: Desk, order: Order, quantity: Decimal) -> Decimal:
    """Of what its entry brought, what neither this sale of `quantity` nor another one that leaves takes along (base).

    A leg may be smaller than its entry: a person has changed it, or more was bought while it waited to leave.
    """
    entry = desk.state.orders.get(order.spec.parent_id) if order.spec.parent_id else None
    if entry is None:
        return ZERO
    market = desk.markets[order.spec.symbol]
    left = entry.filled - entry.fees.get(market.instrument.base, ZERO) - quantity
    for child in desk.state.orders.family(entry.client_order_id):
        left -= child.filled
        if child is not order and child.is_working and not child.is_armed and not (child.is_waiting and child.fires):
            left -= child.remaining
    left = min(left, desk.state.ledger.quantity(market.symbol) - quantity)
    if grid_inventory.keeps_off(order.spec):
        left = min(left, grid_inventory.beside(desk, market.symbol) - quantity)
    return max(market.instrument.round_quantity(left), ZERO)


def cut_siblings(desk: Desk, order: Order, left: Decimal) -> None:
    """The other legs go on with the rest. Each of them alone: they sell the same coins."""
    for other in siblings_of(desk, order):
        is_ready = other.is_armed or (other.is_waiting and bool(other.fires))
        spec = other.spec
        if other is not order and is_ready and spec.quantity > left:
            desk.emit(OrderUpdated(
                spec.client_order_id, spec.symbol, left, spec.price, spec.stop_price, spec.trail,
                f"{order.client_order_id} sells the rest",
            ))


def end_others(desk: Desk, order: Order, *, is_all: bool) -> None:
    """What is in the way of this sale ends with its leaving."""
    cancel_armed(desk, in_the_way(desk, order, is_all=is_all), sells_instead(order))
    # Legs that fired together while nothing could be sent: one sale is all that their entry is good for.
    for other in siblings_of(desk, order):
        if other is not order and other.is_waiting and other.fires:
            request_cancel(desk, other, sells_instead(order))


def ended_for(desk: Desk, order: Order) -> list[Order]:
    """The legs that were ended because this exit was to sell instead."""
    reason = sells_instead(order)
    return [
        each for each in desk.state.orders
        if each.spec.symbol == order.spec.symbol and reason in (each.reason, each.cancel_reason)
    ]
