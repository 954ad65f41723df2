"""Why an order exists and what came of it: the chain from candle to fill, one readable sentence a link (S3)."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from bus.messages.ledger import PositionClosed
from bus.messages.orders import (
    OrderAccepted,
    OrderCancelled,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderInitialized,
    OrderPendingCancel,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
    OrderUnknown,
    OrderUpdated,
    SubmitOrder,
    TrailingArmed,
    TrailingDisarmed,
)
from market.money import ZERO, to_text
from tradingd.decision_trace import Entry, chain_entries, entry_at, entry_of, trail_text
from tradingd.read_model_council import CouncilFold
from tradingd.read_model_orders import OrderRecord
from tradingd.read_model_results import ResultsFold, return_ratio, round_trip_view
from tradingd.read_model_views import TraceEntry, plain


def trace_order(
    record: OrderRecord, orders: Mapping[str, OrderRecord], council: CouncilFold, results: ResultsFold
) -> tuple[TraceEntry, ...]:
    """All links of one order in order of time."""
    entries: list[Entry] = [
        *_council_entries(_root(record, orders), council),
        *_own_entries(record),
        *_children_entries(record, orders),
    ]
    latest_ns = max(entry[0] for entry in entries)
    entries += _result_entries(record, orders, results, latest_ns)
    entries.sort(key=lambda entry: entry[:2])
    return tuple(entry for _, _, entry in entries)


def _council_entries(record: OrderRecord, council: CouncilFold) -> Iterator[Entry]:
    chain = council.chains.get(record.spec.proposal_id) if record.spec.proposal_id else None
    return iter(()) if chain is None else chain_entries(chain)


def _root(record: OrderRecord, orders: Mapping[str, OrderRecord]) -> OrderRecord:
    """A protective order exists because of its parent's proposal."""
    parent = orders.get(record.spec.parent_id) if record.spec.parent_id else None
    return parent if parent is not None and not record.spec.proposal_id else record


# ---- the order itself -------------------------------------------------------------------------------


def _own_entries(record: OrderRecord) -> Iterator[Entry]:
    if record.command is not None:
        yield entry_of("command", record.command, f"The command came: {_order_text(record.command.body)}.")
    for message in record.facts:
        yield entry_of("order", message, fact_text(message.body, record))
    for ts, best, trigger in record.steps:
        extreme = "high" if record.spec.side == "sell" else "low"
        yield entry_at(
            "order", ts, "TrailingAdvanced", f"New {extreme} {to_text(best)}: the trigger moved to {to_text(trigger)}.",
            {"best": to_text(best), "trigger": to_text(trigger)},
        )


def _order_text(order: SubmitOrder) -> str:
    parts = [f"{order.side} {to_text(order.quantity)} {order.symbol}, {order.order_type}"]
    if order.price is not None:
        parts.append(f"price {to_text(order.price)}")
    if order.stop_price is not None:
        parts.append(f"stop {to_text(order.stop_price)}")
    if order.trail is not None:
        parts.append(f"trail {trail_text(order.trail)}")
    parts.append(f"origin {order.origin}")
    return ", ".join(parts) + (f" ({order.reason})" if order.reason else "")


def fact_text(body: object, record: OrderRecord) -> str:
    """One sentence for one fact of an order."""
    match body:
        case OrderInitialized():
            return f"The engine took the order: {_order_text(body.order)}."
        case OrderDenied():
            what = f" to {_order_text(body.order)}" if body.order is not None else ""
            return f"We refused{what} ({body.code}, {body.family}): {body.message}"
        case TrailingArmed(is_active=False):
            return f"Waiting for the activation price; the price is {to_text(body.best)}."
        case TrailingArmed():
            return f"Armed: best price {to_text(body.best)}, trigger {to_text(body.trigger)}."
        case OrderTriggered():
            return f"Fired: the price {to_text(body.price)} reached the trigger {to_text(body.trigger)}."
        case OrderSubmitted():
            price = f" at {to_text(body.price)}" if body.price is not None else ""
            return (
                f"Sent to the venue as a {body.wire_type} order for {to_text(body.quantity)}{price}; "
                f"the market stood at {to_text(body.reference_price)}."
            )
        case OrderAccepted():
            return f"The venue accepted it as {body.venue_order_id or 'an order without a number'}."
        case OrderRejected():
            return f"The venue rejected it: {body.reason}"
        case OrderUpdated():
            return f"Changed to quantity {to_text(body.quantity)}: {body.reason or 'no reason given'}"
        case OrderPendingCancel():
            return f"A cancel was sent: {body.reason or 'no reason given'}"
        case OrderCancelled():
            return f"Cancelled by {body.by}: {body.reason or 'no reason given'}"
        case OrderExpired():
            return f"Expired, said by {body.by}: {body.reason or 'its time was over'}"
        case OrderUnknown():
            return f"Nobody knows what became of it: {body.reason}. The venue is asked until it answers."
        case TrailingDisarmed():
            return f"No longer watched: {body.reason}"
        case OrderFilled():
            return _fill_text(body, record)
        case _:
            return type(body).__name__


def _fill_text(fill: OrderFilled, record: OrderRecord) -> str:
    whole = "completely" if fill.is_complete else f"in part ({to_text(fill.cumulative)} so far)"
    text = (
        f"Filled {whole}: {to_text(fill.quantity)} at {to_text(fill.price)}, fee {to_text(fill.fee)} {fill.fee_asset}"
    )
    if record.reference_price:
        worse = fill.price - record.reference_price if fill.side == "buy" else record.reference_price - fill.price
        if worse == ZERO:
            return text + ", at the price of submission."
        word = "worse" if worse > ZERO else "better"
        text += f", {_percent(worse / record.reference_price)} {word} than at submission"
    return text + "."


def _percent(ratio: Decimal) -> str:
    return f"{abs(ratio) * 100:.3f} %"


# ---- after the order --------------------------------------------------------------------------------


def _children_entries(record: OrderRecord, orders: Mapping[str, OrderRecord]) -> Iterator[Entry]:
    for child_id in record.children:
        child = orders.get(child_id)
        if child is None:
            continue
        role = {"stop": "stop", "trailing": "trailing exit", "limit": "take profit"}.get(child.spec.order_type, "exit")
        facts = [*child.facts]
        for message in facts:
            text = f"Its {role} {child_id}: {fact_text(message.body, child)}"
            yield entry_of("child", message, text)
        for ts, best, trigger in child.steps:
            yield entry_at(
                "child", ts, "TrailingAdvanced",
                f"Its {role} {child_id}: best {to_text(best)}, the trigger moved to {to_text(trigger)}.",
                {"client_order_id": child_id, "best": to_text(best), "trigger": to_text(trigger)},
            )


def _result_entries(
    record: OrderRecord, orders: Mapping[str, OrderRecord], results: ResultsFold, latest_ns: int
) -> Iterator[Entry]:
    trip = _round_trip(record, orders, results)
    if trip is not None:
        word = "profit" if trip.realized_pnl > ZERO else "loss"
        text = (
            f"The position was closed: bought at {to_text(trip.entry_price)}, sold at {to_text(trip.exit_price)}, "
            f"{word} {to_text(abs(trip.realized_pnl))} {results.quote} after fees ({return_ratio(trip) * 100:+.3f} %)."
        )
        yield entry_at("result", trip.closed_ns, "PositionClosed", text, plain_view(trip))
        return
    held = results.holdings.get(record.spec.symbol)
    if held is not None and record.filled and held.opened_ns <= record.updated_ns:
        yield entry_at(
            "result", latest_ns, "PositionOpen",
            f"The position is still open: {to_text(held.quantity)} {held.symbol} at {to_text(held.average_price)}.",
            {"symbol": held.symbol, "quantity": to_text(held.quantity), "average_price": to_text(held.average_price)},
        )


def _round_trip(
    record: OrderRecord, orders: Mapping[str, OrderRecord], results: ResultsFold
) -> PositionClosed | None:
    """The round trip this order's fills were part of."""
    filled_ns = [message.header.ts for message in record.facts if isinstance(message.body, OrderFilled)]
    if not filled_ns and record.spec.parent_id in orders:
        parent = orders[record.spec.parent_id]
        filled_ns = [message.header.ts for message in parent.facts if isinstance(message.body, OrderFilled)]
    if not filled_ns:
        return None
    for trip in reversed(results.round_trips):
        if trip.symbol == record.spec.symbol and trip.opened_ns <= filled_ns[-1] <= trip.closed_ns:
            return trip
        if trip.closed_ns < filled_ns[0]:
            break
    return None


def plain_view(trip: PositionClosed) -> dict[str, Any]:
    """A round trip as JSON values."""
    data: dict[str, Any] = plain(round_trip_view(trip))
    return data
