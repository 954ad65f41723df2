"""Selling what is held: one owner of the exit, retried until it is out, never more than is there.

Exits the engine holds (stops, trails, targets) reserve nothing; the venue's do. An exit that finds another
one at the venue in its way has that cancelled, waits for the venue's word, and then takes the remainder.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Final

from bus.ids import ClientOrderId, ProposalId
from bus.messages.orders import OrderInitialized, Origin, SubmitOrder
from market.money import ONE, ZERO
from orders import account
from orders.cancelling import cancel_armed, request_cancel
from orders.desk import Desk
from orders.order_table import Order
from orders.state import content_of
from risk.approved import Approved, Denied, OrderRequest

MAX_TRIES: Final = 3
"""So often an exit that the venue did not execute is replaced by a market order; then a person is called."""

ALERT_AFTER: Final = 3
"""Denials in a row of one waiting exit until a person is told (it goes on trying each second)."""

ALERT_AFTER_BLOCKED: Final = 10
"""So many tries (about one a second) behind another exit at the venue until a person is told."""

ESCALATION_TAG: Final = "escalated-"
CLOSE_TAG: Final = "close"

_FINAL_CODES: Final = frozenset({
    "NOTHING_TO_SELL", "POSITION_IS_DUST", "QUANTITY_TOO_SMALL", "BELOW_VENUE_MIN_NOTIONAL", "UNKNOWN_INSTRUMENT",
    "SELL_NOT_REDUCE_ONLY", "PRICE_OFF_TICK", "QUANTITY_OFF_STEP",
})
"""Denials that time does not mend."""


def wire_request(desk: Desk, spec: SubmitOrder, quantity: Decimal, trigger: Decimal | None = None) -> OrderRequest:
    """What leaves for the venue when this order is sent now; a fired one as market, or as a limit if it asks so."""
    market = desk.markets[spec.symbol]
    price = spec.price
    if spec.order_type == "trailing" and spec.trail is not None and spec.trail.limit_offset is not None and trigger:
        offset = spec.trail.limit_offset
        beyond = trigger * (ONE - offset if spec.side == "sell" else ONE + offset)
        price = market.instrument.round_price(beyond, spec.side)
    return OrderRequest(
        spec.client_order_id, spec.symbol, spec.side, "market" if price is None else "limit", quantity, price,
        spec.time_in_force, market.touch(spec.side) or ZERO, spec.reduce_only, spec.origin, spec.proposal_id,
    )


def is_resting(order: Order) -> bool:
    """A limit sell that waits at the venue for its price: protection stays armed beside it."""
    return order.spec.order_type == "limit" and order.spec.time_in_force == "GTC"


def begin_exit(desk: Desk, spec: SubmitOrder) -> None:
    """A market or limit sell was asked for: refused at once, sent, or waiting for another exit to end."""
    held = max(desk.state.ledger.quantity(spec.symbol), ZERO)
    owns = spec.order_type == "market"
    verdict = desk.review(
        wire_request(desk, spec, spec.quantity), content=content_of(spec), sellable=held if owns else None,
    )
    if isinstance(verdict, Denied):
        desk.deny(spec, verdict)
        return
    desk.emit(OrderInitialized(spec))
    order = desk.state.orders.get(spec.client_order_id)
    if order is not None:
        try_send(desk, order)


def try_send(desk: Desk, order: Order) -> None:
    """Send an exit that is ready, if nothing stands in its way and the gate agrees; else it keeps waiting."""
    spec = order.spec
    held = account.held_quantity(desk.state, desk.markets[spec.symbol])
    wanted = min(spec.quantity, held)
    if wanted <= ZERO:
        request_cancel(desk, order, "nothing is left to sell")
        return
    if _is_blocked(desk, order, wanted):
        _count_blocked(desk, order)
        return
    trigger = order.fires[-1].trigger if order.fires else None
    verdict = desk.review(wire_request(desk, spec, wanted, trigger))
    if isinstance(verdict, Denied):
        _keep_or_end(desk, order, verdict)
        return
    _send(desk, order, verdict, is_all=wanted >= held)


def _is_blocked(desk: Desk, order: Order, wanted: Decimal) -> bool:
    """Do exits at the venue hold what this one wants? Those that rest there are asked back first."""
    state, symbol = desk.state, order.spec.symbol
    free = state.ledger.quantity(symbol) - account.selling_quantity(state, symbol)
    if free >= wanted:
        return False
    for other in state.orders.at_venue(symbol):
        if other.is_exit and other.wire_type == "limit":
            request_cancel(desk, other, f"makes way for {order.client_order_id}")
    return True


def _count_blocked(desk: Desk, order: Order) -> None:
    tries = desk.blocked[order.client_order_id] = desk.blocked.get(order.client_order_id, 0) + 1
    if tries == ALERT_AFTER_BLOCKED:
        desk.alert(
            "critical", f"{order.spec.symbol}: exit waits for the venue",
            f"{order.client_order_id} is ready to sell, but another exit is still at the venue, which does not answer "
            "the cancel. It is asked again and again; look at the exchange.",
        )


def _send(desk: Desk, order: Order, approved: Approved, *, is_all: bool) -> None:
    orders = desk.state.orders
    siblings = orders.children(order.spec.parent_id) if order.spec.parent_id else ()
    if not is_resting(order):
        in_the_way = orders.exits(order.spec.symbol) if is_all else siblings
        cancel_armed(
            desk, (other for other in in_the_way if other.is_exit and other is not order),
            f"{order.client_order_id} sells instead",
        )
    desk.attempts.pop(order.client_order_id, None)
    desk.send(order, approved)
    parent = orders.get(order.spec.parent_id) if order.spec.parent_id else None
    if parent is not None and parent.is_working:
        request_cancel(desk, parent, f"its exit {order.client_order_id} has begun")


def _keep_or_end(desk: Desk, order: Order, verdict: Denied) -> None:
    if verdict.code in _FINAL_CODES:
        desk.deny(order.spec, verdict)
        desk.alert("warning", f"{order.spec.symbol}: exit refused", verdict.message)
        return
    tries = desk.attempts[order.client_order_id] = desk.attempts.get(order.client_order_id, 0) + 1
    if tries == ALERT_AFTER:
        desk.alert(
            "critical", f"{order.spec.symbol}: exit held back",
            f"{order.client_order_id} is ready to sell but was held back {tries} times: {verdict.message} "
            "It goes on trying each second.",
        )
        desk.halt_symbol(order.spec.symbol, f"the exit {order.client_order_id} cannot leave: {verdict.message}")


def release_waiting(desk: Desk, symbol: str = "") -> None:
    """Try all waiting exits again. Under HALTED only those of the kill switch may leave; the rest wait for a person."""
    for order in desk.state.orders.exits(symbol):
        if not order.is_waiting:
            continue
        if desk.state.trading_state != "HALTED" or order.spec.origin == "kill":
            try_send(desk, order)


def release_fired(desk: Desk, order: Order) -> None:
    """A held exit has just fired. Under HALTED nothing new is sent: it waits, and a person is told."""
    if desk.state.trading_state != "HALTED":
        try_send(desk, order)
        return
    desk.alert(
        "critical", f"{order.spec.symbol}: exit fired while trading is halted",
        f"{order.client_order_id} reached its trigger {order.fires[-1].trigger}. It is sent when trading is allowed "
        "again, if the price is then still through the trigger; flatten sells at once.",
    )


def close_position(desk: Desk, symbol: str, *, origin: Origin, tag: str, reason: str) -> ClientOrderId:
    """Sell all that is held of the symbol at market, as a reduce-only order of the engine's own; returns its id."""
    market = desk.markets[symbol]
    spec = SubmitOrder(
        client_order_id=desk.next_id(), symbol=symbol, side="sell", order_type="market",
        quantity=account.held_quantity(desk.state, market), origin=origin,
        reduce_only=True, tag=tag, reason=reason,
    )
    if origin == "kill":
        desk.emit(OrderInitialized(spec))
        release_waiting(desk, symbol)
    else:
        begin_exit(desk, spec)
    return spec.client_order_id


def after_end(desk: Desk, order: Order, *, by_venue: bool) -> None:
    """An exit ended at the venue: others may go now, and one that was not executed is replaced."""
    if not order.is_exit:
        return
    symbol = order.spec.symbol
    if by_venue and order.remaining > ZERO and _must_succeed(desk, order):
        _escalate(desk, order)
    release_waiting(desk, symbol)


def _must_succeed(desk: Desk, order: Order) -> bool:
    """Exits that protect, and any other after which nothing would protect the position."""
    if is_resting(order):
        return False
    if order.fires or order.spec.origin in ("protective", "kill") or order.spec.tag == CLOSE_TAG:
        return True
    return not desk.state.orders.exits(order.spec.symbol)


def escalate(desk: Desk, order: Order) -> None:
    """A fired limit exit was taken back because nobody bought: the remainder goes at market."""
    _escalate(desk, order)
    release_waiting(desk, order.spec.symbol)


def _escalate(desk: Desk, order: Order) -> None:
    symbol = order.spec.symbol
    if account.held_quantity(desk.state, desk.markets[symbol]) <= ZERO:
        return
    tag = order.spec.tag
    tries = int(tag.removeprefix(ESCALATION_TAG)) if tag.startswith(ESCALATION_TAG) else 0
    if tries >= MAX_TRIES:
        message = (
            f"{MAX_TRIES} market exits of {symbol} were not executed by the venue ({order.reason}). "
            "The position is still open: close it by hand. No entries on the symbol until then."
        )
        desk.alert("critical", f"{symbol}: the position cannot be closed", message)
        desk.halt_symbol(symbol, message)
        return
    origin: Origin = "kill" if order.spec.origin == "kill" else "protective"
    spec = replace(
        order.spec, client_order_id=desk.next_id(), order_type="market", origin=origin, price=None, stop_price=None,
        trail=None, time_in_force="GTC", expire_at=0, quantity=order.remaining, tag=f"{ESCALATION_TAG}{tries + 1}",
        proposal_id=ProposalId(""), reason=f"replaces {order.client_order_id}: {order.reason or 'not executed'}",
    )
    desk.emit(OrderInitialized(spec))
