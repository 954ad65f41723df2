"""The orders of a grid: a trailing buy at a level, its trailing sell one level up, the stop at the floor, the closing.

A buy waits for its level's price, trails the low from there and leaves as a limit a little beyond its trigger that
fills at once or ends: that is what makes the grid's capital a bound and not a hope. A sell is armed when its buy
has ended, activates no earlier than where its trigger would pay the purchase and both fees, and leaves at market: in a
gap it fills worse than its trigger. The stop at the floor covers all that is held and not being sold already.
"""

from collections.abc import Iterator
from decimal import ROUND_CEILING, Decimal
from typing import Final

from bus.ids import ClientOrderId
from bus.messages.grid import GridLevelBlocked
from bus.messages.orders import (
    OrderInitialized,
    OrderUpdated,
    SubmitOrder,
    TrailingArmed,
    TrailSpec,
)
from market.instrument import Instrument
from market.money import ONE, ZERO
from orders import exits, placing
from orders.admission import Refusal, refuse
from orders.cancelling import request_cancel
from orders.desk import Desk
from orders.grid_book import level_tag, whole_tag
from orders.grid_state import Grid, GridLevel, LegRole
from orders.order_table import Order
from risk.approved import Denied

BUY_LIMIT_OFFSET: Final = Decimal("0.003")
"""A fired buy pays at most this much beyond its trigger."""


def new_id(desk: Desk, grid: Grid, what: str) -> ClientOrderId:
    """From the grid's own counters, so that a restart gives the same."""
    number = grid.orders_made + 1
    while True:
        made = ClientOrderId(f"{grid.id_stem}{what}-{number}")
        if made not in desk.state.orders:
            return made
        number += 1


def buy_quantity(grid: Grid, instrument: Instrument, level: GridLevel) -> Decimal:
    """What the level's money buys at the worst price its buy may pay, fees included; rounded down."""
    worst = grid.price_of(level.index) * (ONE + grid.trail) * (ONE + BUY_LIMIT_OFFSET)
    left = max(grid.share - level.cost, ZERO)
    return instrument.round_quantity(left / (worst * (ONE + instrument.taker_fee)))


def sell_activation(grid: Grid, instrument: Instrument, level: GridLevel) -> Decimal:
    """The next level's price, or the first at which the trigger pays what was paid and the fee of selling."""
    paid = level.cost / level.quantity
    pays_off = paid / ((ONE - instrument.taker_fee) * (ONE - grid.trail))
    tick = instrument.price_tick
    up = pays_off if tick <= ZERO else (pays_off / tick).to_integral_value(ROUND_CEILING) * tick
    return max(grid.price_of(level.index + 1), up)


def sellable(instrument: Instrument, quantity: Decimal, price: Decimal) -> Decimal:
    """So much of it as the venue would take at this price; 0 when it is too little for an order."""
    rounded = instrument.round_quantity(quantity)
    if rounded <= ZERO or rounded < instrument.min_quantity or rounded * price < instrument.min_notional:
        return ZERO
    return rounded


def working(desk: Desk, client_order_id: ClientOrderId) -> Order | None:
    """The order, while it has not ended."""
    order = desk.state.orders.get(client_order_id) if client_order_id else None
    return order if order is not None and order.is_working else None


def working_orders(desk: Desk, grid: Grid) -> tuple[Order, ...]:
    """Every working order of the grid, in order of birth; those that replaced an exit too."""
    book = desk.state.grids
    found = []
    for order in desk.state.orders.working(grid.symbol):
        leg = book.leg(order.client_order_id)
        if leg is not None and leg.grid_id == grid.grid_id:
            found.append(order)
    return tuple(found)


def leaving(orders: tuple[Order, ...]) -> Decimal:
    """What exits that have fired or were sent may still sell."""
    return sum((order.remaining for order in orders if order.is_exit and not order.is_armed), ZERO)


# ---- arming ----------------------------------------------------------------------------------------


def arm_buy(desk: Desk, grid: Grid, level: GridLevel) -> None:
    """Through the same gate as every order; a refusal stays visible on the level and is told once."""
    market = desk.markets[grid.symbol]
    quantity = buy_quantity(grid, market.instrument, level)
    if quantity <= ZERO:
        block(desk, grid, level, refuse(
            "GRID_TOO_SMALL", "capital", "The level's share of the capital buys nothing at its price.", grid.share,
        ))
        return
    spec = SubmitOrder(
        client_order_id=new_id(desk, grid, _word(level, "b")), symbol=grid.symbol, side="buy", order_type="trailing",
        quantity=quantity, origin="manual", time_in_force="IOC",
        trail=TrailSpec(
            "percent", grid.trail, activation_price=grid.price_of(level.index), limit_offset=BUY_LIMIT_OFFSET,
        ),
        tag=level_tag(grid.grid_id, level.index), reason=f"grid {grid.grid_id} buys at level {level.index}",
    )
    watch = placing.closed_hours(desk, spec) or placing.first_watch(desk, spec, market)
    if isinstance(watch, Refusal):
        block(desk, grid, level, watch)
        return
    verdict = desk.review(placing.arming_request(spec, watch))
    if isinstance(verdict, Denied):
        block(desk, grid, level, verdict)
        return
    desk.emit(OrderInitialized(spec))
    desk.emit(watch)


def block(desk: Desk, grid: Grid, level: GridLevel, why: Refusal | Denied) -> None:
    """Say once why the level cannot arm its order now."""
    if level.blocked_code != why.code:
        desk.emit(GridLevelBlocked(grid.grid_id, grid.symbol, level.index, why.code, why.message))


def arm_sell(desk: Desk, grid: Grid, level: GridLevel, quantity: Decimal) -> None:
    """Held without asking the gate, like all protection: it is asked when the order leaves."""
    market = desk.markets[grid.symbol]
    spec = SubmitOrder(
        client_order_id=new_id(desk, grid, _word(level, "s")), symbol=grid.symbol, side="sell", order_type="trailing",
        quantity=quantity, origin="protective", reduce_only=True,
        trail=TrailSpec("percent", grid.trail, activation_price=sell_activation(grid, market.instrument, level)),
        parent_id=ClientOrderId(level_tag(grid.grid_id, level.index)), tag=level_tag(grid.grid_id, level.index),
        reason=f"grid {grid.grid_id} sells what level {level.index} bought",
    )
    watch = placing.first_watch(desk, spec, market)
    if isinstance(watch, Refusal):
        block(desk, grid, level, watch)
        return
    desk.emit(OrderInitialized(spec))
    desk.emit(watch)


def fit_sell(desk: Desk, order: Order, quantity: Decimal) -> None:
    """An armed exit covers what there is: more after a late fill, less after a sale."""
    spec = order.spec
    if order.is_armed and spec.quantity != quantity:
        desk.emit(OrderUpdated(
            spec.client_order_id, spec.symbol, quantity, spec.price, spec.stop_price, spec.trail,
            "the grid holds another quantity",
        ))


def keep_floor(desk: Desk, grid: Grid, quantity: Decimal) -> None:
    """The stop at the floor covers `quantity`; 0 ends it. One that has fired is left alone."""
    order = working(desk, grid.floor_id)
    if order is not None and not order.is_armed:
        return
    floor = desk.markets[grid.symbol].instrument.round_trigger(grid.floor, "sell")
    if order is not None and (quantity <= ZERO or order.spec.stop_price != floor):
        request_cancel(desk, order, "the grid's floor lies elsewhere" if quantity > ZERO else "the grid holds nothing")
        order = None
    if quantity <= ZERO:
        return
    if order is not None:
        fit_sell(desk, order, quantity)
        return
    price = desk.markets[grid.symbol].watched_price("last", "sell")
    if price is None:
        return
    spec = _whole(desk, grid, "floor", quantity, "stop", f"grid {grid.grid_id}: the floor", floor)
    desk.emit(OrderInitialized(spec))
    # Armed from above the floor even if the price is under it already: a stop, not a target.
    desk.emit(TrailingArmed(spec.client_order_id, spec.symbol, "sell", max(price, floor), floor))


def sell_whole(desk: Desk, grid: Grid, quantity: Decimal) -> None:
    """Sell at market; tried until it is out, like every exit that must succeed."""
    spec = _whole(desk, grid, "close", quantity, "market", grid.reason)
    desk.emit(OrderInitialized(spec))
    order = desk.state.orders.get(spec.client_order_id)
    if order is not None:
        exits.try_send(desk, order)


def _whole(
    desk: Desk, grid: Grid, role: LegRole, quantity: Decimal, order_type: str, reason: str,
    stop_price: Decimal | None = None,
) -> SubmitOrder:
    tag = whole_tag(grid.grid_id, role)
    return SubmitOrder(
        client_order_id=new_id(desk, grid, role), symbol=grid.symbol, side="sell",
        order_type="stop" if order_type == "stop" else "market", quantity=quantity, origin="protective",
        reduce_only=True, stop_price=stop_price, parent_id=ClientOrderId(tag), tag=tag, reason=reason,
    )


def _word(level: GridLevel, side: str) -> str:
    """b3, bm3: a level's part of an id."""
    return f"{side}{'m' if level.index < 0 else ''}{abs(level.index)}"


def cancel_buys(desk: Desk, grid: Grid, reason: str) -> None:
    """End every buy of the grid."""
    for level in _levels(grid):
        order = working(desk, level.buy_id)
        if order is not None:
            request_cancel(desk, order, reason)


def cancel_armed_sells(desk: Desk, grid: Grid, reason: str) -> None:
    """End the sells that are still held, so that one order may sell everything."""
    for client_order_id in (*(level.sell_id for level in _levels(grid)), grid.floor_id):
        order = working(desk, client_order_id)
        if order is not None and order.is_armed:
            request_cancel(desk, order, reason)


def _levels(grid: Grid) -> Iterator[GridLevel]:
    return iter(tuple(grid.levels[index] for index in sorted(grid.levels)))

