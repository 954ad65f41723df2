"""What a grid holds is the grid's: the council sells around it, a person may sell it all the same."""

from dataclasses import replace

from bus.messages.orders import OrderUpdated, SubmitOrder
from market.money import ZERO, to_text
from orders import account
from orders.admission import Refusal, refuse
from orders.cancelling import request_cancel
from orders.desk import Desk
from orders.grid_state import Grid


def spare(desk: Desk, order: SubmitOrder) -> SubmitOrder | Refusal:
    """A sell of the council cut down to what is held beside the grid; any other order as it is."""
    if order.side == "buy" or order.origin != "council":
        return order
    grid = desk.state.grids.of_symbol(order.symbol)
    if grid is None or not grid.quantity:
        return order
    market = desk.markets[order.symbol]
    beside = market.instrument.round_quantity(account.held_quantity(desk.state, market) - grid.quantity)
    if beside <= ZERO:
        return refuse(
            "GRID_HOLDS", "grid", f"All of {order.symbol} that is held belongs to the grid {grid.grid_id}, which sells "
            "it by its own rules.", to_text(order.quantity), to_text(grid.quantity),
        )
    return replace(order, quantity=min(order.quantity, beside))


def keep_council_off(desk: Desk, grid: Grid) -> None:
    """The council's armed exits never reach into what the grid has bought since they were armed."""
    if not grid.quantity:
        return
    market = desk.markets[grid.symbol]
    beside = max(market.instrument.round_quantity(account.held_quantity(desk.state, market) - grid.quantity), ZERO)
    for order in desk.state.orders.exits(grid.symbol):
        spec = order.spec
        if spec.origin != "council" or not order.is_armed or spec.quantity <= beside:
            continue
        reason = f"the rest is held by the grid {grid.grid_id}"
        if beside <= ZERO:
            request_cancel(desk, order, reason)
        else:
            desk.emit(OrderUpdated(
                spec.client_order_id, spec.symbol, beside, spec.price, spec.stop_price, spec.trail, reason,
            ))
