"""What is armed around a filled entry: a stop, a trail, a target; as much as was filled, each ending the others."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Final

from bus.ids import ClientOrderId
from bus.messages.orders import OrderInitialized, OrderUpdated, SubmitOrder, TrailingArmed, TrailingDisarmed
from market.instrument import Instrument
from market.money import ONE, ZERO
from orders import account, grid_inventory
from orders.admission import Refusal
from orders.cancelling import cancel_armed, request_cancel
from orders.desk import Desk
from orders.order_table import Order
from orders.placing import first_watch
from orders.watch import TARGET_TAG

STOP_TAG: Final = "stop"
TRAIL_TAG: Final = "trail"

_SUFFIXES: Final = {STOP_TAG: "s", TRAIL_TAG: "x", TARGET_TAG: "t"}


def protect(desk: Desk, entry: Order) -> None:
    """After an execution of an entry: arm its protection, or raise what is armed to what is held by it now."""
    if entry.spec.protection is None:
        return
    quantity = _unprotected_quantity(desk, entry)
    if quantity <= ZERO:
        return
    for leg in _legs(entry, desk):
        armed = next(
            (child for child in desk.state.orders.children(entry.client_order_id)
             if child.is_armed and child.spec.tag == leg.tag), None,
        )
        if armed is None:
            _arm(desk, entry, replace(leg, quantity=quantity))
        else:
            _raise(desk, armed, leg, quantity)


def arm_what_was_cut_off(desk: Desk, entry: Order) -> None:
    """After a restart: exits that the end of the process came before, between an entry's fill and their arming.

    Only those. An exit that has fired, was cancelled by a person, or ended with its position has done its part:
    armed again it would sell what later entries bought.
    """
    spec, position = entry.spec, desk.state.ledger.position(entry.spec.symbol)
    if spec.side != "buy" or not entry.filled or position is None or not position.opened_ns:
        return
    last_fill_ns = max((line.ts for line in entry.history if line.state in ("PARTIAL", "FILLED")), default=0)
    # A child that never came to be armed was cut off itself: it has protected nothing.
    family = [child for child in desk.state.orders.family(entry.client_order_id) if child.arming_price]
    if last_fill_ns < position.opened_ns or not all(child.is_armed for child in family):
        return
    quantity = _unprotected_quantity(desk, entry)
    armed = {child.spec.tag for child in family}
    for leg in _legs(entry, desk):
        if leg.tag not in armed and quantity > ZERO:
            _arm(desk, entry, replace(leg, quantity=quantity))


def _unprotected_quantity(desk: Desk, entry: Order) -> Decimal:
    """What the entry brought (less fees taken in base) and none of its exits has sold or is selling."""
    market = desk.markets[entry.spec.symbol]
    net = entry.filled - entry.fees.get(market.instrument.base, ZERO)
    for child in desk.state.orders.family(entry.client_order_id):
        net -= child.filled
        if child.is_working and not child.is_armed:
            net -= child.remaining
    return min(market.instrument.round_quantity(net), grid_inventory.beside(desk, market.symbol))


def _legs(entry: Order, desk: Desk) -> Iterator[SubmitOrder]:
    """The protective orders of an entry as they should be now; their quantity is set by the caller."""
    protection = entry.spec.protection
    if protection is None:
        return
    instrument = desk.markets[entry.spec.symbol].instrument
    price = entry.average_price
    child = SubmitOrder(
        client_order_id=entry.client_order_id, symbol=entry.spec.symbol, side="sell", order_type="stop",
        quantity=entry.filled, origin="protective", reduce_only=True, parent_id=entry.client_order_id,
        confidence=entry.spec.confidence, lead_alpha=entry.spec.lead_alpha, votes=entry.spec.votes,
        reason=f"protects {entry.client_order_id}",
    )
    if protection.stop_ratio is not None:
        yield replace(child, stop_price=_stop_below(instrument, price, protection.stop_ratio), tag=STOP_TAG)
    if protection.trail is not None:
        yield replace(child, order_type="trailing", trail=protection.trail, tag=TRAIL_TAG)
    if protection.take_profit_ratio is not None:
        target = instrument.round_price(price * (ONE + protection.take_profit_ratio), "sell")
        yield replace(child, order_type="take_profit", stop_price=target, tag=TARGET_TAG)


def _stop_below(instrument: Instrument, price: Decimal, ratio: Decimal) -> Decimal:
    """Rounded up, sooner; but where a tick is more than the ratio, that is the entry's own price: then a tick down."""
    exact = price * (ONE - ratio)
    sooner = instrument.round_trigger(exact, "sell")
    return sooner if sooner < price else instrument.round_price(exact, "buy") or sooner


def _arm(desk: Desk, entry: Order, leg: SubmitOrder) -> None:
    """Protection is held without asking the gate: it is asked when the order leaves, and arming must not fail."""
    market = desk.markets[leg.symbol]
    spec = replace(leg, client_order_id=_child_id(desk, entry, leg.tag))
    # A trail follows the market from here on; armed at a fill that slipped above it, it would fire at once.
    trail = spec.trail
    follows = trail is not None and desk.fresh_price(market, trail.price_source, spec.side) is not None
    watch = first_watch(desk, spec, market, reference=None if follows else entry.average_price)
    if isinstance(watch, Refusal):
        desk.alert(
            "critical", f"{leg.symbol}: {leg.tag} not armed",
            f"The {leg.tag} of {entry.client_order_id}: {watch.message}",
        )
        return
    desk.emit(OrderInitialized(spec))
    desk.emit(watch)


def _raise(desk: Desk, armed: Order, leg: SubmitOrder, quantity: Decimal) -> None:
    """More was filled: the armed child grows, and a fixed trigger follows the average entry price.

    One that a person has set stays where it is.
    """
    spec = armed.spec
    if armed.is_changed:
        leg = replace(leg, stop_price=spec.stop_price)
    if quantity == spec.quantity and leg.stop_price == spec.stop_price:
        return
    _update(desk, armed, quantity, leg.stop_price, "more of its entry was filled")
    if leg.stop_price is not None and leg.stop_price != spec.stop_price:
        best = armed.arming_price
        desk.emit(TrailingDisarmed(spec.client_order_id, spec.symbol, "its trigger moves"))
        desk.emit(TrailingArmed(spec.client_order_id, spec.symbol, spec.side, best, leg.stop_price))


def _update(desk: Desk, order: Order, quantity: Decimal, stop_price: Decimal | None, reason: str) -> None:
    spec = order.spec
    desk.emit(OrderUpdated(
        spec.client_order_id, spec.symbol, quantity, spec.price, stop_price, spec.trail, reason,
    ))


def _child_id(desk: Desk, entry: Order, tag: str) -> ClientOrderId:
    """parent-s, parent-x, parent-t; a number follows when an earlier one has ended already."""
    stem = f"{entry.client_order_id}-{_SUFFIXES[tag]}"
    made, number = ClientOrderId(stem), 1
    while made in desk.state.orders:
        number += 1
        made = ClientOrderId(f"{stem}{number}")
    return made


def fit_to_position(desk: Desk, symbol: str) -> None:
    """After a sale: exits held by the engine never exceed what is left, and end with the position.

    What is a grid's is not left to the exits of others.
    """
    grid_inventory.note_missing(desk, symbol)
    market = desk.markets[symbol]
    held = account.held_quantity(desk.state, market)
    exits = desk.state.orders.exits(symbol)
    if held <= ZERO:
        for order in exits:
            if order.state == "PENDING":
                request_cancel(desk, order, "the position is closed")
        return
    for order in exits:
        if order.is_armed and order.spec.quantity > held:
            _update(desk, order, held, order.spec.stop_price, "less is held")
    grid_inventory.keep_exits_off(desk, symbol)


def end_protection(desk: Desk, symbol: str, reason: str) -> None:
    """Disarm all exits of the symbol that the engine holds."""
    cancel_armed(desk, desk.state.orders.exits(symbol), reason)
