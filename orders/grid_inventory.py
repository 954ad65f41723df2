"""What a grid holds is the grid's: the council and the exits of entries sell around it, a person may sell it all the
same. A person's sale is taken from what is beside the grid first, and only then from the grid.
"""

from dataclasses import replace
from decimal import Decimal

from bus.messages.orders import OrderUpdated, SubmitOrder
from market.money import ZERO, to_text
from orders.admission import Refusal, refuse
from orders.cancelling import request_cancel
from orders.desk import Desk
from orders.grid_book import TAG


def beside(desk: Desk, symbol: str) -> Decimal:
    """Base held that is no live grid's, rounded down to what can be sold; never negative."""
    return max(desk.markets[symbol].instrument.round_quantity(_unrounded(desk, symbol)), ZERO)


def free_beside(desk: Desk, symbol: str) -> Decimal:
    """As much of that as no exit at the venue may sell, not rounded; a grid's own sales take nothing from it.

    Negative where the disaster stop rests over the grid's stock, too.
    """
    grids = desk.state.grids
    others = sum((
        order.reserved for order in desk.state.orders.at_venue(symbol) if grids.leg(order.client_order_id) is None
    ), ZERO)
    return _unrounded(desk, symbol) - others


def _unrounded(desk: Desk, symbol: str) -> Decimal:
    grid = desk.state.grids.of_symbol(symbol)
    return desk.state.ledger.quantity(symbol) - (ZERO if grid is None else grid.quantity)


def keeps_off(spec: SubmitOrder) -> bool:
    """Must this sale leave alone what a grid holds? The council's, and whatever sells what one entry has brought."""
    return spec.origin == "council" or bool(spec.parent_id and not spec.parent_id.startswith(TAG))


def spare(desk: Desk, order: SubmitOrder) -> SubmitOrder | Refusal:
    """A sell of the council cut down to what is held beside the grid; any other order as it is."""
    if order.side == "buy" or order.origin != "council":
        return order
    grid = desk.state.grids.of_symbol(order.symbol)
    if grid is None or not grid.quantity:
        return order
    left = beside(desk, order.symbol)
    if left <= ZERO:
        return refuse(
            "GRID_HOLDS", "grid", f"All of {order.symbol} that is held belongs to the grid {grid.grid_id}, which sells "
            "it by its own rules.", to_text(order.quantity), to_text(grid.quantity),
        )
    return replace(order, quantity=min(order.quantity, left))


def keep_exits_off(desk: Desk, symbol: str) -> None:
    """Armed exits of entries and of the council never reach into what the grid holds: less is left beside it now."""
    grid = desk.state.grids.of_symbol(symbol)
    if grid is None or not grid.quantity:
        return
    left = beside(desk, symbol)
    for order in desk.state.orders.exits(symbol):
        spec = order.spec
        if not order.is_armed or spec.quantity <= left or not keeps_off(spec):
            continue
        reason = f"the rest is held by the grid {grid.grid_id}"
        if left <= ZERO:
            request_cancel(desk, order, reason)
        else:
            desk.emit(OrderUpdated(
                spec.client_order_id, spec.symbol, left, spec.price, spec.stop_price, spec.trail, reason,
            ))


def note_missing(desk: Desk, symbol: str) -> None:
    """More was sold than lay beside the grid: it is planned anew in this very step, and releases what it lacks."""
    grid = desk.state.grids.of_symbol(symbol)
    if grid is not None and grid.quantity > max(desk.state.ledger.quantity(symbol), ZERO):
        desk.state.grids.dirty[grid.grid_id] = None
