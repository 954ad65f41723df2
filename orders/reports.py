"""What the venue says, believed with care and turned into facts: fills first, and every fill once."""

from typing import Final

from bus.ids import CLIENT_ID_PREFIX
from bus.messages.ledger import PositionChanged, PositionClosed, PositionOpened
from bus.messages.orders import (
    ExecutionReport,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
)
from bus.messages.system import BY_RULE
from market.interval import SECOND_NS
from market.money import ZERO
from orders import account, entry_legs, exits, locks, protection, reassess, replacing
from orders.cancelling import ESCALATE, TIME_OVER
from orders.desk import Desk
from orders.effects import CancelAtVenue
from orders.ledger import Position
from orders.order_table import NEVER_ARRIVED, Order, has_never_arrived

NOT_FOUND_GRACE_NS: Final = 5 * SECOND_NS
"""A venue that does not know an order so soon after it was sent may only be slow (F27)."""

CAME_LATE: Final = "arrived after it was given up, and was cancelled"
"""The venue has the last word on an end, too."""

KEEP_FOREIGN: Final = 1_000


def on_report(desk: Desk, report: ExecutionReport) -> None:
    """One execution report; what is known already or makes no sense any more changes nothing."""
    order = desk.state.orders.get(report.client_order_id)
    if report.exec_type != "fill":  # an answer to a question begins with another word than that
        desk.asked.pop(report.client_order_id, None)
    if order is None:
        _on_stranger(desk, report)
        return
    if order.spec.symbol != report.symbol:
        desk.alert(
            "critical", "A report that cannot be", f"{report.client_order_id} is an order of {order.spec.symbol}, "
            f"the venue reports it for {report.symbol}. The report was not booked.",
        )
        return
    if report.exec_type == "fill":
        _on_fill(desk, order, report)
    elif order.is_at_venue:
        _on_word(desk, order, report)
    elif has_never_arrived(order):
        if report.exec_type == "accepted":
            _on_late_arrival(desk, order, report)
        elif report.exec_type in ("cancelled", "expired"):
            desk.given_up.pop(report.client_order_id, None)
            desk.emit(OrderCancelled(order.client_order_id, order.spec.symbol, "us", CAME_LATE))


def _on_late_arrival(desk: Desk, order: Order, report: ExecutionReport) -> None:
    """It was given up, and the venue has it after all: what it executes is booked, and the rest must end."""
    if report.client_order_id in desk.given_up:
        del desk.given_up[report.client_order_id]
        desk.alert(
            "warning", "An order arrived late",
            f"The venue did not know {order.client_order_id}, and has it now. What it executes is booked; the rest is "
            "cancelled.",
        )
    desk.out.append(CancelAtVenue(order.client_order_id, report.venue_order_id, order.spec.symbol))


def _on_stranger(desk: Desk, report: ExecutionReport) -> None:
    """Not in our table. With our prefix it is for reconciliation: a report has no side, so it is not booked."""
    client_order_id = report.client_order_id
    if not client_order_id.startswith(CLIENT_ID_PREFIX) or client_order_id in desk.strangers:
        return
    if report.exec_type in ("not_found", "cancel_rejected", "rejected"):
        return
    if report.exec_type == "fill" and desk.state.has_trade(report.symbol, report.trade_id):
        return
    if report.exec_type != "fill" and desk.state.orders.is_forgotten(client_order_id):
        return
    known = "ended long ago" if desk.state.orders.is_forgotten(client_order_id) else "is not in the journal"
    desk.strangers[client_order_id] = None
    while len(desk.strangers) > KEEP_FOREIGN:
        del desk.strangers[next(iter(desk.strangers))]
    desk.alert(
        "critical", "An order of ours that we do not know",
        f"The venue reports {report.exec_type} for {client_order_id} ({report.symbol}), which carries our mark but "
        f"{known}. It was not booked: reconcile the account before trading on.",
    )


# ---- fills -----------------------------------------------------------------------------------------


def _on_fill(desk: Desk, order: Order, report: ExecutionReport) -> None:
    state, spec = desk.state, order.spec
    if not report.trade_id or not report.quantity > ZERO or not report.price > ZERO:
        desk.alert(
            "critical", "A fill that cannot be", f"{spec.client_order_id}: trade id {report.trade_id!r}, quantity "
            f"{report.quantity}, price {report.price}. It was not booked: reconcile the account.",
        )
        return
    if state.has_trade(report.symbol, report.trade_id):
        return
    if order.state == "PENDING":
        # Its sending never got into the journal, yet the venue executes it: it evidently was sent.
        desk.emit(OrderSubmitted(
            spec.client_order_id, spec.symbol, "market", spec.quantity, None, report.price,
        ))
    _alert_oddities(desk, order, report)
    before = state.ledger.position(report.symbol)
    had_position = account.has_position(before, desk.markets[report.symbol])
    was_over = not order.is_working
    cumulative = order.filled + report.quantity
    desk.emit(OrderFilled(
        spec.client_order_id, report.symbol, spec.side, report.trade_id, report.quantity, report.price, report.fee,
        report.fee_asset or state.ledger.quote, cumulative, cumulative >= order.total, report.is_maker,
        report.simulated,
    ))
    state.ledger.check()
    _tell_position(desk, order, had_position)
    if was_over or replacing.is_overtaken(desk, order):
        replacing.on_late_fill(desk, order, report.quantity)
    elif not order.is_working:
        replacing.on_end(desk, order)
    else:
        reassess.end_when_nearly_filled(desk, order)
    if spec.side == "buy":
        protection.protect(desk, order)
        if not order.is_working:
            exits.release_waiting(desk, report.symbol)
    else:
        protection.fit_to_position(desk, report.symbol)
        if order.state == "FILLED":
            desk.release_symbol(report.symbol, BY_RULE, f"the exit {spec.client_order_id} was executed after all")
        if not order.is_working:
            exits.after_end(desk, order, by_venue=False)
    desk.wants_snapshot = True


def _alert_oddities(desk: Desk, order: Order, report: ExecutionReport) -> None:
    client_order_id = order.client_order_id
    if order.state in ("CANCELLED", "EXPIRED", "REJECTED"):
        desk.alert(
            "warning", "Filled after its end", f"{client_order_id} was {order.state}, then the venue executed "
            f"{report.quantity} at {report.price}: booked, filled wins.",
        )
    over = order.filled + report.quantity - order.total
    if over > ZERO:
        desk.alert(
            "warning", "Overfilled",
            f"{client_order_id}: the venue executed {over} more than was asked for. Booked as it is.",
        )


def _tell_position(desk: Desk, order: Order, had_position: bool) -> None:
    symbol = order.spec.symbol
    market, ledger = desk.markets[symbol], desk.state.ledger
    position = ledger.position(symbol)
    if position is None:
        return
    if not account.has_position(position, market):
        if had_position or position.sold_quantity:
            _tell_closed(desk, order, position)
    elif not had_position:
        desk.emit(PositionOpened(symbol, position.quantity, position.average_price, order.client_order_id))
    else:
        desk.emit(PositionChanged(
            symbol, position.quantity, position.average_price, desk.state.last_booking.realized_pnl,
            order.client_order_id,
        ))
    if position.quantity < ZERO:
        desk.alert(
            "critical", f"{symbol}: more was sold than was held",
            f"The books show {position.quantity} {market.instrument.base}: reconcile the account.",
        )


def _tell_closed(desk: Desk, order: Order, position: Position) -> None:
    desk.emit(PositionClosed(
        position.symbol, position.sold_quantity, position.entry_price, position.exit_price, position.trip_pnl,
        position.trip_fees, position.opened_ns, desk.now, order.client_order_id,
    ))
    locks.place_after_exit(desk)


# ---- everything else -------------------------------------------------------------------------------


def _on_word(desk: Desk, order: Order, report: ExecutionReport) -> None:
    """A word about an order that may be working at the venue."""
    client_order_id, symbol = order.client_order_id, order.spec.symbol
    kind = report.exec_type
    if kind == "accepted":
        if order.detail != "accepted" or (report.venue_order_id and report.venue_order_id != order.venue_order_id):
            is_news = order.detail != "pending_cancel" or not order.venue_order_id
            if is_news:
                desk.emit(OrderAccepted(client_order_id, symbol, report.venue_order_id))
    elif kind == "unknown":
        if order.detail not in ("unknown", "pending_cancel"):
            desk.emit(OrderUnknown(client_order_id, symbol, report.reason or "sent, no answer"))
    elif kind == "cancel_rejected":
        desk.ask_venue(order)
    elif kind == "not_found":
        _on_not_found(desk, order, report)
    elif kind == "rejected" and order.state == "SUBMITTED":
        _end(desk, order, OrderRejected(client_order_id, symbol, report.reason or "no reason given"))
    elif kind == "expired" and order.cancel_reason != ESCALATE:
        _end(desk, order, OrderExpired(client_order_id, symbol, "venue", report.reason or "expired at the venue"))
    else:
        _on_cancelled(desk, order, report)


def _on_cancelled(desk: Desk, order: Order, report: ExecutionReport) -> None:
    client_order_id, symbol = order.client_order_id, order.spec.symbol
    asked_for = order.cancel_reason
    if asked_for == TIME_OVER:
        _end(desk, order, OrderExpired(client_order_id, symbol, "us", TIME_OVER))
    elif asked_for == ESCALATE:
        desk.emit(OrderCancelled(client_order_id, symbol, "us", ESCALATE))
        exits.escalate(desk, order)
    elif asked_for:
        _end(desk, order, OrderCancelled(client_order_id, symbol, "us", asked_for))
    else:
        _end(desk, order, OrderCancelled(client_order_id, symbol, "venue", report.reason or "cancelled by the venue"))


def _on_not_found(desk: Desk, order: Order, report: ExecutionReport) -> None:
    """Believed only after a grace; an order the venue once had is over there, another one never arrived."""
    if desk.now - order.submitted_ns < NOT_FOUND_GRACE_NS:
        desk.missed[order.client_order_id] = order.submitted_ns + NOT_FOUND_GRACE_NS
        return
    if order.venue_order_id or order.filled:
        _on_cancelled(desk, order, report)
        return
    desk.given_up[order.client_order_id] = desk.now
    _end(desk, order, OrderRejected(order.client_order_id, order.spec.symbol, NEVER_ARRIVED))


def _end(desk: Desk, order: Order, fact: OrderRejected | OrderExpired | OrderCancelled) -> None:
    desk.emit(fact)
    replacing.on_end(desk, order)
    by_us = isinstance(fact, OrderExpired | OrderCancelled) and fact.by == "us"
    exits.after_end(desk, order, by_venue=not by_us and not _was_given_up(order))
    if order.is_exit and order.remaining > ZERO and _was_given_up(order):
        _arm_again(desk, order)


def _arm_again(desk: Desk, sale: Order) -> None:
    """A sale was taken back: the exits that it had made needless are needed again."""
    before = len(desk.state.orders)
    for parent_id in dict.fromkeys(each.spec.parent_id for each in entry_legs.ended_for(desk, sale)):
        entry = desk.state.orders.get(parent_id) if parent_id else None
        if entry is not None and entry.spec.side == "buy":
            protection.protect(desk, entry)
    if len(desk.state.orders) > before:
        desk.alert(
            "warning", f"{sale.spec.symbol}: exits armed again",
            f"{sale.client_order_id} was taken back before it had sold everything: the exits that had ended for it are "
            "armed again from the present price on.",
        )


def _was_given_up(order: Order) -> bool:
    """Was its end asked for by somebody who wanted no sale? Whatever the venue calls that end, none takes its place.

    The disaster stop is the engine's own: where the price has gone through it, the position is to be sold.
    """
    return order.cancel_reason not in ("", ESCALATE) and not order.is_disaster_stop
