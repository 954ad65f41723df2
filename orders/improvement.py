"""Orders that follow the market when it moves in their favour (T5).

Trails do it by themselves, tick by tick. A fixed stop entry, a stop-limit and a limit that is not yet marketable do
it here: after a favourable move of more than 0.1 % since they were placed (or last improved) their prices move
by the same ratio, at most once in five seconds per order. A buy goes down, a sell goes up, never the other way.

Only orders that ask for it (`improve`) and the council's own are touched: a price a person named stays as it was named.
An order that has fired wants to be executed and is left alone.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Final

from bus.messages.orders import OrderUpdated, TrailingArmed, TrailingDisarmed
from market.interval import SECOND_NS
from market.money import ZERO
from orders import replacing
from orders.desk import Desk
from orders.order_table import Order

LEAST_MOVE: Final = Decimal("0.001")
PAUSE_NS: Final = 5 * SECOND_NS


def improve(desk: Desk, order: Order) -> None:
    """Once a second per working order: better prices, if the market offers them."""
    spec = order.spec
    if not (spec.improve or (spec.origin == "council" and spec.side == "buy")) or order.fires:
        return
    is_stop = order.is_armed and spec.trail is None and spec.order_type == "stop"
    is_resting = order.is_at_venue and order.wire_type == "limit" and order.detail == "accepted"
    since = order.history[-1].ts if is_stop else order.submitted_ns
    if desk.now - since < PAUSE_NS:
        return
    if is_stop:
        _improve_held(desk, order)
    elif is_resting:
        _improve_resting(desk, order)


def favourable_ratio(side: str, reference: Decimal, price: Decimal | None) -> Decimal | None:
    """`price` over `reference` when the move favours the side by more than `LEAST_MOVE`, else None."""
    if price is None or reference <= ZERO:
        return None
    ratio = price / reference
    gain = 1 - ratio if side == "buy" else ratio - 1
    return ratio if gain > LEAST_MOVE else None


def _improve_held(desk: Desk, order: Order) -> None:
    """A fixed trigger keeps its distance from the market, as a trail would; a limit behind it moves along."""
    spec = order.spec
    market = desk.markets[spec.symbol]
    price = market.watched_price("last", spec.side)
    ratio = favourable_ratio(spec.side, order.arming_price, price)
    if ratio is None or price is None or spec.stop_price is None:
        return
    stop = market.instrument.round_trigger(spec.stop_price * ratio, spec.side)
    limit = None if spec.price is None else market.instrument.round_price(spec.price * ratio, spec.side)
    is_through = stop <= price if spec.side == "buy" else stop >= price
    if is_through or (limit is not None and limit <= ZERO):
        return
    reason = "improved: the market moved in its favour"
    desk.emit(OrderUpdated(spec.client_order_id, spec.symbol, spec.quantity, limit, stop, spec.trail, reason))
    desk.emit(TrailingDisarmed(spec.client_order_id, spec.symbol, reason))
    desk.emit(TrailingArmed(spec.client_order_id, spec.symbol, spec.side, price, stop))


def _improve_resting(desk: Desk, order: Order) -> None:
    """A limit at the venue that nobody has met yet gives way to a better one for the rest."""
    spec = order.spec
    market = desk.markets[spec.symbol]
    touch = market.touch(spec.side)
    ratio = favourable_ratio(spec.side, order.reference_price, touch)
    if ratio is None or touch is None or order.wire_price is None:
        return
    price = market.instrument.round_price(order.wire_price * ratio, spec.side)
    is_better = price < order.wire_price if spec.side == "buy" else price > order.wire_price
    is_marketable = order.wire_price >= touch if spec.side == "buy" else order.wire_price <= touch
    if not is_better or is_marketable or price <= ZERO:
        return
    wish = replace(
        spec, client_order_id=desk.next_id(), order_type="limit", stop_price=None, trail=None, price=price,
        quantity=order.total, reason="improved: the market moved in its favour",
    )
    replacing.begin(desk, order, wish, wish.reason)
