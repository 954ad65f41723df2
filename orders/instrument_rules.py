"""The venue's rules for a symbol while we trade it: taken over, and what we hold back is rounded to them anew (F12).

What rests at the venue is the venue's affair; it ends what it no longer allows, and says so. A symbol that is halted
takes no entries (the gate's rule), and what is held stays managed: exits are tried as ever.
"""

from decimal import Decimal

from bus.messages.orders import OrderUpdated
from bus.messages.system import InstrumentChanged
from market.instrument import Instrument
from market.money import ZERO
from orders import protection
from orders.admission import round_order
from orders.cancelling import request_cancel
from orders.desk import Desk
from orders.order_table import Order


def on_changed(desk: Desk, change: InstrumentChanged) -> None:
    """The new rules hold from here on."""
    market = desk.markets.get(change.symbol)
    if market is None:
        return
    before = market.instrument
    was_trading = before.is_trading
    desk.adopt(change.applied_to(before))
    if was_trading and not change.is_trading:
        desk.alert(
            "critical", f"{change.symbol} is halted at the venue",
            f"{change.reason}. No entries until it trades again; what is held stays managed, and its exits are tried "
            "as ever.",
        )
    elif change.is_trading and not was_trading:
        desk.alert("info", f"{change.symbol} trades again", "The venue takes orders for it: entries are possible.")
    if change.is_trading and (not was_trading or _bounds(market.instrument) != _bounds(before)):
        desk.try_exits_at_once()  # what was refused meanwhile was refused for that
    fit_orders(desk, change.symbol)
    if change.symbol in desk.state.ledger.positions:
        protection.fit_to_position(desk, change.symbol)


def _bounds(instrument: Instrument) -> tuple[Decimal, ...]:
    """What an order is refused for."""
    return (
        instrument.price_tick, instrument.quantity_step, instrument.min_quantity, instrument.max_quantity,
        instrument.min_notional,
    )


def fit_orders(desk: Desk, symbol: str) -> None:
    """Orders that were not sent yet fit the increments again, so that none is refused when its moment comes."""
    for order in desk.state.orders.working():
        if order.spec.symbol == symbol and order.state == "PENDING":
            _fit(desk, order)


def _fit(desk: Desk, order: Order) -> None:
    """A trigger stays where it is: it is watched here and is no business of the venue's."""
    spec = order.spec
    rounded = round_order(spec, desk.markets[spec.symbol].instrument)
    if (rounded.quantity, rounded.price) == (spec.quantity, spec.price):
        return
    if rounded.quantity <= ZERO or (rounded.price is not None and rounded.price <= ZERO):
        request_cancel(desk, order, "too small for the venue's new rules")
        return
    desk.emit(OrderUpdated(
        spec.client_order_id, spec.symbol, rounded.quantity, rounded.price, spec.stop_price, spec.trail,
        "rounded to the venue's new increments",
    ))
