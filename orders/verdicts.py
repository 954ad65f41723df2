"""What the risk officer's yes is good for: one order, the one that was proposed, within its time.

Asked of a new order of the council: such orders may come over a bus where others write, too, and the proposal's id is
no secret there. What the engine itself gives in such an order's place is not asked. How much of the proposal's symbol
and side was approved is the gate's question, each time.
"""

from bus.ids import client_order_id_of
from bus.messages.council import ProposalApproved
from bus.messages.orders import Protection, SubmitOrder
from market.money import to_text
from orders.admission import Refusal, refuse
from orders.desk import Desk
from risk.wording import moment


def mismatch(desk: Desk, order: SubmitOrder) -> Refusal | None:
    """Why the verdict that the order names is not on this order; None without a verdict, which the gate refuses."""
    verdict = desk.state.verdicts.get(order.proposal_id) if order.origin == "council" else None
    if verdict is None:
        return None
    own_id = client_order_id_of(order.proposal_id)
    if order.client_order_id != own_id:
        return _refuse(verdict, "client_order_id", f"can become the order {own_id} alone", order.client_order_id)
    if order.symbol != verdict.symbol:
        return _refuse(verdict, "symbol", f"is on {verdict.symbol}, not on {order.symbol}", order.symbol)
    if verdict.side and order.side != verdict.side:
        return _refuse(verdict, "side", f"is to {verdict.side}, not to {order.side}", order.side)
    if verdict.valid_until and desk.now > verdict.valid_until:
        return _refuse(verdict, "valid_until", f"was good until {moment(verdict.valid_until)}", moment(desk.now))
    for field, named in (("parent_id", order.parent_id), ("replaces", order.replaces)):
        if named:
            return _refuse(verdict, field, "names no other order", named)
    return _missing_stop(order, verdict)


def _missing_stop(order: SubmitOrder, verdict: ProposalApproved) -> Refusal | None:
    """The size of an entry was approved with its stop in view."""
    approved, stop = verdict.stop_ratio, (order.protection or Protection()).stop_ratio
    if order.side != "buy" or approved is None or stop == approved:
        return None
    given = "none" if stop is None else to_text(stop)
    return _refuse(verdict, "stop_ratio", f"has a stop_ratio of {to_text(approved)}, the order's is {given}", given)


def _refuse(verdict: ProposalApproved, field: str, what: str, value: str) -> Refusal:
    return refuse(
        "VERDICT_MISMATCH", f"verdict.{field}",
        f"The order is another one than the risk officer approved: {verdict.proposal_id} {what}.", value,
    )
