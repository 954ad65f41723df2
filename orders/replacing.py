"""One order in another's place: never both alive, never more than was wanted (T5).

An order at the venue is changed by a cancel and a new order for the rest. The new one exists from the start,
PENDING, and names the old one (`replaces`); it is sent, or armed where it waits for a trigger, when the venue's
evidence of the old one's end has come. So the intent is journalled with the first fact, a restart finds it there, and a
fill during the cancel wins: it lessens what the new one may still do. An entry the engine holds ends at once and the
new one follows.

The same road is taken by a person's change, by a second entry of the council for a symbol, by improvements and
by what follows from deposits and withdrawals.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Final

from bus.messages.header import Message
from bus.messages.orders import ModifyOrder, OrderInitialized, OrderUpdated, SubmitOrder
from market.interval import SECOND_NS
from market.money import ZERO
from orders import account, exits, placing, runaway
from orders.admission import Refusal, admit, refuse
from orders.cancelling import request_cancel
from orders.desk import Desk
from orders.order_table import GRID_TAG, HELD_KINDS, Order
from orders.state import Content, content_of
from risk.approved import Approved, Denied

GIVE_UP_NS: Final = 60 * SECOND_NS
"""After a restart a replacement waits so long for a price, or for what its trail is measured with; then it is dropped
rather than sent into another market."""


def submit(desk: Desk, message: Message) -> None:
    """A SubmitOrder; a second entry of the council for the symbol changes the first one instead of doubling it."""
    order = placing.admitted(desk, message)
    if order is not None:
        _place(desk, order)
    runaway.watch_attempts(desk)


def _place(desk: Desk, order: SubmitOrder) -> None:
    earlier = _conflicting(desk, order)
    if earlier is None:
        placing.place(desk, order)
    elif earlier.is_armed:
        _take_over(desk, earlier, order)
    else:
        refusal = begin(desk, earlier, order, "the council decided anew")
        if refusal is not None:
            desk.deny(order, refusal)


def _conflicting(desk: Desk, order: SubmitOrder) -> Order | None:
    """The council's working entry of the symbol, the newest when there are several. Grids have many on purpose."""
    if order.origin != "council" or order.side != "buy" or order.tag.startswith(GRID_TAG):
        return None
    found = None
    for other in desk.state.orders.working(order.symbol):
        if other.is_council_entry:
            found = other
    return found


def _take_over(desk: Desk, earlier: Order, order: SubmitOrder) -> None:
    """A held entry ends and the new one is placed; judged first, so that a refused change leaves the old one."""
    verdict = _judge(desk, earlier, order, order.quantity, content=content_of(order))
    if not isinstance(verdict, Approved):
        desk.deny(order, verdict)
        return
    best = desk.state.watch.best_of(earlier.client_order_id)
    linked = replace(order, replaces=earlier.client_order_id)
    request_cancel(desk, earlier, f"changed: {order.client_order_id} takes its place")
    placing.place(desk, linked, best=best)


def _judge(
    desk: Desk, earlier: Order, wish: SubmitOrder, quantity: Decimal, *, content: Content | None = None,
    sellable: Decimal | None = None,
) -> Approved | Denied | Refusal:
    """The word on `wish` in the place of `earlier`: as it would leave for the venue, or as it would be armed."""
    request = exits.wire_request(desk, wish, quantity)
    if wish.order_type in HELD_KINDS:
        wish = replace(wish, quantity=quantity)
        watch = placing.first_watch(desk, wish, desk.markets[wish.symbol])
        if isinstance(watch, Refusal):
            return watch
        request = placing.arming_request(wish, watch)
    return desk.review(replace(request, client_order_id=earlier.client_order_id), content=content, sellable=sellable)


# ---- at the venue ------------------------------------------------------------------------------------


def modify(desk: Desk, order: Order, command: ModifyOrder) -> None:
    """A person's change of an order at the venue, or of one that waits to take another's place."""
    if order.is_waiting and order.is_held_kind:
        desk.deny_command(order.client_order_id, order.spec.symbol, refuse(
            "INVALID_ORDER", "state", f"{order.client_order_id} waits to be armed in the place of "
            f"{order.spec.replaces}: change it once it is armed, or cancel it.", order.state, "PENDING",
        ))
        return
    waiting = desk.state.orders.successor(order.client_order_id)
    is_changed = waiting is not None and waiting.is_waiting and not waiting.is_held_kind
    kept = waiting if waiting is not None and is_changed else order  # what an earlier change has set stays
    spec, symbol = kept.spec, kept.spec.symbol
    quantity = kept.total if kept.is_at_venue else spec.quantity
    if command.stop_price is not None or command.trail is not None:
        field = "stop_price" if command.stop_price is not None else "trail"
        desk.deny_command(order.client_order_id, symbol, refuse(
            "INVALID_ORDER", field, f"{order.client_order_id} is at the venue as a limit order: only its quantity and "
            "price can be changed.",
        ))
        return
    wish = replace(
        spec, client_order_id=desk.next_id(), order_type="limit", stop_price=None, trail=None,
        quantity=command.quantity or quantity, price=command.price or kept.wire_price or spec.price,
        reason=command.reason or "changed on request",
    )
    refusal: Refusal | Denied | None = _obstacle_to_change(desk, order, wish)
    if refusal is None:
        changed = admit(wish, desk.markets[symbol].instrument, desk.config.quote)
        refusal = changed if isinstance(changed, Refusal) else begin(desk, order, changed, wish.reason)
    if refusal is not None:
        desk.deny_command(order.client_order_id, symbol, refusal)


def begin(desk: Desk, order: Order, wish: SubmitOrder, reason: str) -> Refusal | Denied | None:
    """Ask the venue to end `order`, so that `wish` comes in its place; why not, when it cannot be.

    `wish.quantity` counts what `order` has bought or sold already.
    """
    refusal = _obstacle_to_change(desk, order, wish)
    order = _front(desk, order)
    waiting = desk.state.orders.successor(order.client_order_id)
    if refusal is not None:
        return refusal
    rest = desk.markets[wish.symbol].instrument.round_quantity(wish.quantity - order.filled)
    if rest <= ZERO:
        return refuse(
            "INVALID_ORDER", "quantity", f"{order.client_order_id} has executed {order.filled} already, and the new "
            f"quantity is {wish.quantity}: cancel it to end it there.", wish.quantity, order.filled,
        )
    verdict = _judge(desk, order, wish, rest, sellable=_sellable(desk, order) if order.is_exit else None)
    if not isinstance(verdict, Approved):
        return verdict
    if waiting is not None:
        request_cancel(desk, waiting, f"changed again: {wish.client_order_id} comes instead")
    desk.emit(OrderInitialized(replace(wish, replaces=order.client_order_id)))
    request_cancel(desk, order, f"replaced by {wish.client_order_id}: {reason}")
    return None


def _front(desk: Desk, order: Order) -> Order:
    """The order itself, or the one at the venue in whose place it is to come."""
    earlier = desk.state.orders.get(order.spec.replaces) if order.is_waiting and order.spec.replaces else None
    return earlier if earlier is not None and earlier.is_working else order


def _obstacle_to_change(desk: Desk, order: Order, wish: SubmitOrder) -> Refusal | None:
    front = _front(desk, order)
    return _obstacle(front, desk.state.orders.successor(front.client_order_id), wish)


def _sellable(desk: Desk, order: Order) -> Decimal:
    """What the order's successor may sell: all that is held, less what others sell; the disaster stop makes way."""
    symbol = order.spec.symbol
    taken = sum((
        other.reserved for other in desk.state.orders.at_venue(symbol)
        if other is not order and not other.is_disaster_stop
    ), ZERO)
    return max(account.held_quantity(desk.state, desk.markets[symbol]) - taken, ZERO)


def _obstacle(order: Order, waiting: Order | None, wish: SubmitOrder) -> Refusal | None:
    known = order.client_order_id
    if order.detail == "unknown":
        return refuse("UNKNOWN_PENDING", "state", f"Nobody knows yet what became of {known} at the venue: try again.")
    if order.is_at_venue and order.wire_type != "limit":
        return refuse(
            "INVALID_ORDER", "state", f"{known} is being executed at market: there is nothing left to change.",
        )
    if order.is_exit and (order.fires or order.spec.origin in ("protective", "kill")):
        return refuse("INVALID_ORDER", "state", f"{known} is an exit under way: it is not to be changed.")
    if order.detail == "pending_cancel" and waiting is None:
        return refuse("INVALID_ORDER", "state", f"{known} is being cancelled: place a new order instead.")
    if not order.is_at_venue:
        return refuse("INVALID_ORDER", "state", f"{known} is {order.state} ({order.detail}): it cannot be changed.")
    if wish.side != order.spec.side or wish.symbol != order.spec.symbol:
        return refuse("INVALID_ORDER", "side", f"{known} is to {order.spec.side} {order.spec.symbol}.")
    return None


# ---- what follows ------------------------------------------------------------------------------------


def on_end(desk: Desk, order: Order) -> None:
    """`order` works no longer: what waits for that goes on."""
    waiting = desk.state.orders.successor(order.client_order_id)
    if waiting is not None and waiting.is_waiting and not order.is_working:
        _go(desk, order, waiting)


def go_on(desk: Desk, waiting: Order) -> None:
    """Once a second: an entry whose turn has come, but that a restart or a missing price held up.

    (Exits that are ready are tried again by `orders.exits`.)
    """
    if waiting.is_exit or not waiting.is_waiting:
        return
    earlier = desk.state.orders.get(waiting.spec.replaces)
    if earlier is not None and earlier.is_working:
        return
    if desk.markets[waiting.spec.symbol].touch(waiting.spec.side) is not None and earlier is not None:
        _go(desk, earlier, waiting)
    elif earlier is None or _is_given_up(desk, earlier, waiting):
        request_cancel(desk, waiting, "the order it was to replace is over, and no price was heard since")


def _go(desk: Desk, earlier: Order, waiting: Order) -> None:
    spec = waiting.spec
    market = desk.markets[spec.symbol]
    if spec.side == "buy" and market.touch(spec.side) is None:
        return
    rest = market.instrument.round_quantity(spec.quantity - earlier.filled)
    reason = _why_not(desk, earlier, spec, rest)
    if reason:
        request_cancel(desk, waiting, reason)
        return
    if spec.side == "sell":
        _lessen(desk, earlier, waiting, rest)
        exits.try_send(desk, waiting)
        return
    if waiting.is_held_kind:
        _arm(desk, earlier, waiting, rest)
        return
    verdict = desk.review(exits.wire_request(desk, spec, rest))
    if isinstance(verdict, Denied):
        _refuse(desk, earlier, waiting, verdict)
        return
    desk.send(waiting, verdict)
    _lessen(desk, earlier, waiting, rest)


def _arm(desk: Desk, earlier: Order, waiting: Order, rest: Decimal) -> None:
    """A trail or stop waits for its trigger, from the price of now on; while it cannot be armed it is tried again."""
    market, spec = desk.markets[waiting.spec.symbol], replace(waiting.spec, quantity=rest)
    watch = placing.first_watch(desk, spec, market)
    if isinstance(watch, Refusal):
        if _is_given_up(desk, earlier, waiting):
            _refuse(desk, earlier, waiting, watch)
        return
    verdict = desk.review(placing.arming_request(spec, watch))
    if isinstance(verdict, Denied):
        _refuse(desk, earlier, waiting, verdict)
        return
    _lessen(desk, earlier, waiting, rest)
    desk.emit(watch)
    placing.fire_if_through(desk, waiting.spec, market)


def _is_given_up(desk: Desk, earlier: Order, waiting: Order) -> bool:
    return desk.now - max(earlier.ended_ns, waiting.created_ns) >= GIVE_UP_NS


def _refuse(desk: Desk, earlier: Order, waiting: Order, why: Denied | Refusal) -> None:
    desk.deny(waiting.spec, why)
    desk.alert(
        "warning", f"{waiting.spec.symbol}: changed order refused", f"{waiting.client_order_id} was to replace "
        f"{earlier.client_order_id}, which has ended: {why.message}",
    )


def _lessen(desk: Desk, earlier: Order, waiting: Order, rest: Decimal) -> None:
    spec = waiting.spec
    if rest != spec.quantity:
        desk.emit(OrderUpdated(
            spec.client_order_id, spec.symbol, rest, spec.price, spec.stop_price, spec.trail,
            f"{spec.quantity - rest} less: {earlier.client_order_id} was executed for {earlier.filled}",
        ))


def _why_not(desk: Desk, earlier: Order, spec: SubmitOrder, rest: Decimal) -> str:
    """Why the replacement is no longer needed; "" if it is."""
    if rest <= ZERO:
        return f"{earlier.client_order_id} was executed for {earlier.filled} meanwhile: nothing is left to place"
    if spec.expire_at and desk.now >= spec.expire_at:
        return "its time was over before it could be placed"
    family = desk.state.orders.family(earlier.client_order_id)
    if any(child.fires or child.filled or child.is_at_venue for child in family):
        return f"an exit of {earlier.client_order_id} has begun: no more is bought"
    if spec.side == "buy":
        closed = placing.closed_hours(desk, spec)
        return closed.message if closed is not None else ""
    return ""


def is_overtaken(desk: Desk, order: Order) -> bool:
    """Has an order that replaces it left already? Whatever `order` still does was not to be."""
    return any(later.submitted_ns for later in desk.state.orders.successors(order.client_order_id))


def drop(desk: Desk, order: Order, reason: str) -> None:
    """A person cancels an order that is being replaced: nothing comes in its place."""
    waiting = desk.state.orders.successor(order.client_order_id)
    if waiting is not None and waiting.is_waiting:
        request_cancel(desk, waiting, reason)


def on_late_fill(desk: Desk, order: Order, quantity: Decimal) -> None:
    """`order` had ended and was executed all the same (F25): what works in its place does that much less.

    After several changes that is the last of a chain. The ones between have ended, or are being cancelled for it.
    """
    chain = desk.state.orders.successors(order.client_order_id)
    if not chain:
        return
    request_cancel(desk, order, f"{chain[-1].client_order_id} has taken its place")  # one held for lost may live again
    later = next((each for each in reversed(chain) if each.is_working), None)
    if later is None or later.detail == "pending_cancel":
        return
    reason = f"{order.client_order_id} was executed for {quantity} after its end"
    rest = desk.markets[later.spec.symbol].instrument.round_quantity(later.total - quantity)
    if later.state == "PENDING":
        _lessen_unsent(desk, order, later, rest, reason)
        return
    if later.wire_type == "limit" and rest > later.filled:
        wish = replace(later.spec, client_order_id=desk.next_id(), quantity=rest)
        if later.is_held_kind:  # it has fired: the rest goes on as the limit that it is at the venue
            wish = replace(wish, order_type="limit", stop_price=None, trail=None, price=later.wire_price)
        if begin(desk, later, wish, f"{order.client_order_id} was executed late") is None:
            return
    request_cancel(desk, later, reason)


def _lessen_unsent(desk: Desk, order: Order, later: Order, rest: Decimal, reason: str) -> None:
    """`later` waits or is armed. What `order` itself has executed is deducted when its turn comes: see `_go`."""
    spec = later.spec
    turn_comes = order.is_working or not later.is_exit  # a sale has had it, and waits for other exits
    if later.is_waiting and spec.replaces == order.client_order_id and turn_comes:
        return
    earlier = desk.state.orders.get(spec.replaces) if later.is_waiting and not later.is_exit else None
    if rest <= (earlier.filled if earlier is not None else ZERO):
        request_cancel(desk, later, reason)
        return
    desk.emit(OrderUpdated(
        spec.client_order_id, spec.symbol, rest, spec.price, spec.stop_price, spec.trail,
        f"{spec.quantity - rest} less: {reason}",
    ))
