"""Entries that take too long, or are nearly done (T5).

Open too long is half of the time the order was given, or ten minutes if it was given none. An entry of the council that
gets there is told of (`ReassessmentDue`): the strategy may propose anew for the symbol, and what comes of that
changes the entry. If nothing does within half a minute (or until the order's own end) the council no longer stands
behind it, and it is cancelled. Where the council decides less often than that, the half minute begins with its next
decision. A person's orders are the person's: they end by their own time alone.

An entry resting at a limit of which more than 80 % is executed is ended there: the rest is not worth the wait.
"""

from typing import Final

from bus.messages.orders import ReassessmentDue
from market.interval import SECOND_NS, interval_ns
from orders.cancelling import request_cancel
from orders.desk import Desk
from orders.order_table import Order

TOO_LONG_NS: Final = 600 * SECOND_NS
ANSWER_NS: Final = 30 * SECOND_NS
ENOUGH_PERCENT: Final = 80


def reassess(desk: Desk, order: Order) -> None:
    """Once a second per working order."""
    spec = order.spec
    if not order.is_council_entry:
        return
    if order.detail == "pending_cancel" or desk.state.orders.is_behind(order):
        return
    open_ns = desk.now - order.created_ns
    if order.reassess_by_ns:
        if desk.now >= order.reassess_by_ns:
            request_cancel(
                desk, order, f"open for {open_ns // SECOND_NS} s, and the council has not decided for it again",
            )
        return
    limit_ns = (spec.expire_at - order.created_ns) // 2 if spec.expire_at else TOO_LONG_NS
    if open_ns < limit_ns:
        return
    cancel_at = desk.now + _answer_ns(desk)
    if spec.expire_at:
        cancel_at = min(cancel_at, spec.expire_at)
    desk.emit(ReassessmentDue(
        spec.client_order_id, spec.symbol, open_ns, cancel_at,
        f"open for {open_ns // SECOND_NS} s, {limit_ns // SECOND_NS} s are long: the council is asked",
    ))


def _answer_ns(desk: Desk) -> int:
    """How long the council has: it can only answer when a decision candle closes, the next one at the latest."""
    decision_ns = interval_ns(desk.config.decision_interval)
    return ANSWER_NS if decision_ns <= ANSWER_NS else decision_ns + ANSWER_NS


def end_when_nearly_filled(desk: Desk, order: Order) -> None:
    """After an execution of an entry."""
    if order.is_exit or not order.is_at_venue or order.wire_type != "limit" or order.spec.time_in_force != "GTC":
        return
    if order.filled * 100 > order.total * ENOUGH_PERCENT and order.remaining:
        request_cancel(desk, order, f"more than {ENOUGH_PERCENT} % is executed: the rest is left")
