"""Selling what is held: one owner of the exit, retried until it is out, never more than is there.

Exits the engine holds (stops, trails, targets) reserve nothing; the venue's do. An exit that finds another
one at the venue in its way (a resting limit, the disaster stop) has that cancelled, waits for the venue's word,
and then takes the remainder. A cancel the venue does not answer is asked again and again by the chores, and after
some tries what nothing at the venue holds is sold meanwhile. What is more than the venue takes in one order goes
in several, one after another.
"""

import re
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal
from typing import Final

from bus.ids import ClientOrderId, ProposalId
from bus.messages.orders import OrderInitialized, OrderUpdated, Origin, SubmitOrder
from market.interval import SECOND_NS
from market.money import ONE, ZERO, to_text
from orders import account, entry_legs, grid_inventory
from orders.cancelling import request_cancel
from orders.desk import Desk
from orders.entry_price import price_entry
from orders.order_table import Order
from orders.state import content_of
from risk.approved import Approved, Denied, OrderRequest

MAX_TRIES: Final = 3
"""So often an exit that the venue did not execute is replaced by a market order; then a person is called, too."""

SLOWEST_TRY_NS: Final = 30 * SECOND_NS
"""From the second try on there is a pause, a second at first and double each time up to this: a venue that is closed
refuses everything for a while, and the position must be sold when it opens."""

ALERT_AFTER: Final = 3
"""Denials in a row of one waiting exit until a person is told (it goes on trying each second)."""

ALERT_AFTER_BLOCKED: Final = 10
"""So many tries (about one a second) behind another exit at the venue until a person is told."""

PATIENCE: Final = 5
"""So many tries (about one a second) an exit waits to sell all it wants; then it sells what is free."""

MAX_PIECES: Final = 20
"""Orders that one exit may be split into at once; what is left goes a second later."""

_THROUGH: Final = ("trigger immediately", "stop price above last trade price")
"""What Binance and Coinbase say of a stop to sell that the price has passed already."""

ESCALATION_TAG: Final = "escalated-"
CLOSE_TAG: Final = "close"
_ESCALATION: Final = re.compile(rf"{ESCALATION_TAG}(?P<tries>[0-9]+)\Z")

_FINAL_CODES: Final = frozenset({
    "NOTHING_TO_SELL", "POSITION_IS_DUST", "QUANTITY_TOO_SMALL", "BELOW_VENUE_MIN_NOTIONAL", "UNKNOWN_INSTRUMENT",
    "SELL_NOT_REDUCE_ONLY", "PRICE_OFF_TICK", "QUANTITY_OFF_STEP", "BELOW_MIN_NOTIONAL",
})
"""Denials that time does not mend."""

_LIMIT_CODES: Final = frozenset({
    "PRICE_COLLAR", "PRICE_UNKNOWN", "CROSSED_BOOK", "PRICE_NOT_POSITIVE", "PRICE_OFF_TICK",
})
"""Denials of an exit's limit price, not of the exit."""


def wire_request(desk: Desk, spec: SubmitOrder, quantity: Decimal, trigger: Decimal | None = None) -> OrderRequest:
    """What leaves for the venue when this order is sent now; a fired one as market, or as a limit if it asks so."""
    market = desk.markets[spec.symbol]
    price = spec.price
    if spec.order_type == "trailing" and spec.trail is not None and spec.trail.limit_offset is not None and trigger:
        offset = spec.trail.limit_offset
        beyond = trigger * (ONE - offset if spec.side == "sell" else ONE + offset)
        price = market.instrument.round_price(beyond, spec.side)
    time_in_force = spec.time_in_force
    if price is None and spec.origin == "council":
        price, time_in_force = price_entry(desk.config.entries, spec, market, desk.now)
    return OrderRequest(
        spec.client_order_id, spec.symbol, spec.side, "market" if price is None else "limit", quantity, price,
        time_in_force, market.touch(spec.side) or ZERO, spec.reduce_only, spec.origin, spec.proposal_id,
    )


def is_resting(order: Order) -> bool:
    """A limit sell that waits at the venue for its price: protection stays armed beside it."""
    return order.spec.order_type == "limit" and order.spec.time_in_force == "GTC"


def begin_exit(desk: Desk, spec: SubmitOrder) -> None:
    """A market or limit sell was asked for: refused at once, sent, or waiting for another exit to end."""
    held = max(desk.state.ledger.quantity(spec.symbol), ZERO)
    owns = spec.order_type == "market"
    quantity = spec.quantity
    if owns and quantity <= held:
        quantity = piece(desk, spec, quantity)
    others = account.selling_quantity(desk.state, spec.symbol) - account.yielding_quantity(desk.state, spec.symbol)
    others += sum(
        (each.remaining for each in desk.state.orders.exits(spec.symbol)
         if each.is_waiting and not desk.state.orders.is_behind(each)), ZERO,
    )
    verdict = desk.review(
        wire_request(desk, spec, quantity), content=content_of(spec),
        sellable=held if owns else max(held - others, ZERO),
    )
    if isinstance(verdict, Denied):
        desk.deny(spec, verdict)
        return
    desk.emit(OrderInitialized(spec))
    order = desk.state.orders.get(spec.client_order_id)
    if order is not None:
        try_send(desk, order, verdict)


def try_send(desk: Desk, order: Order, approved: Approved | None = None) -> None:
    """Send an exit that is ready, if nothing stands in its way and the gate agrees; else it keeps waiting.

    `approved`: the gate's word on it in this very step. It holds if as much can go as was asked about then: what the
    gate looks at has not changed since, but for what other exits hold, and that is asked here.
    """
    if desk.now < desk.not_before.get(order.client_order_id, 0):
        return
    desk.not_before.pop(order.client_order_id, None)
    following: Order | None = order
    for _ in range(MAX_PIECES):
        if following is None:
            return
        following, approved = _send_what_goes(desk, following, approved), None


def _send_what_goes(desk: Desk, order: Order, approved: Approved | None) -> Order | None:
    """Send the order, or as much of it as can go now; returns the order that was made for the rest of it."""
    spec = order.spec
    if desk.state.orders.is_behind(order):
        return None  # the order it replaces is still at the venue: `orders.replacing` sends it
    held = account.held_quantity(desk.state, desk.markets[spec.symbol])
    wanted = _wanted(desk, spec, held)
    if wanted <= ZERO:
        request_cancel(desk, order, "nothing is left to sell")
        return None
    if (refusal := _still_refused(desk, order, wanted)) is not None:
        _keep_or_end(desk, order, refusal)
        return None
    free = _free_quantity(desk, order, wanted)
    if free < wanted:
        _count_blocked(desk, order)
        if is_resting(order) or desk.blocked[order.client_order_id] < PATIENCE or not _is_sellable(desk, spec, free):
            return None
    sendable = min(free, wanted) if is_resting(order) else piece(desk, spec, min(free, wanted))
    verdict: Approved | Denied
    if approved is not None and approved.order.quantity == sendable:
        verdict = approved
    else:
        verdict = _judge(desk, order, wire_request(desk, spec, sendable, _fired_at(order)))
    if isinstance(verdict, Denied):
        _keep_or_end(desk, order, verdict)
        return None
    rest = _keep_rest(desk, order, sendable, wanted)
    _send(desk, order, verdict, is_all=wanted >= held)
    return rest


def _wanted(desk: Desk, spec: SubmitOrder, held: Decimal) -> Decimal:
    """As much of what is held as the exit is to sell now."""
    wanted = min(spec.quantity, held)
    if grid_inventory.keeps_off(spec):
        wanted = min(wanted, grid_inventory.beside(desk, spec.symbol))
    return wanted + crumb(desk, spec, wanted) if wanted > ZERO else ZERO


def crumb(desk: Desk, spec: SubmitOrder, wanted: Decimal, margin: Decimal = ONE) -> Decimal:
    """What an entry's exit at market takes along: the rest of the position, where the venue would not sell it alone.

    Else that would stay for ever, an open position that nobody can close. What a person or the council asks to be sold
    is not enlarged, and nothing of a grid's or of another exit's is touched. `margin`: of the venue's smallest value.
    """
    market = desk.markets[spec.symbol]
    is_limit = spec.price is not None or (spec.trail is not None and spec.trail.limit_offset is not None)
    is_an_entrys = bool(spec.parent_id) and spec.origin != "council" and grid_inventory.keeps_off(spec)
    if is_limit or not is_an_entrys or market.mark is None:
        return ZERO
    others_leave = grid_inventory.free_beside(desk, spec.symbol) + account.yielding_quantity(desk.state, spec.symbol)
    rest = market.instrument.round_quantity(others_leave - wanted)
    return rest if rest > ZERO and not _is_sellable(desk, spec, rest, margin) else ZERO


def _judge(desk: Desk, order: Order, request: OrderRequest) -> Approved | Denied:
    """The gate's word. One that has to get out does so at market when only its limit is refused: after a gap the limit
    lies where nobody would buy, and the gate takes it for a slip of the pen.
    """
    request = _leaving(order, request)
    verdict = desk.review(request)
    if isinstance(verdict, Approved) or request.price is None or not _goes_at_market(order, request, verdict):
        return verdict
    at_market = desk.review(replace(request, wire_type="market", price=None, time_in_force="GTC"))
    if isinstance(at_market, Denied):
        return at_market
    desk.alert(
        "warning", f"{order.spec.symbol}: exit at market instead of at its limit",
        f"{order.client_order_id} has to sell, but its limit {to_text(request.price)} was refused: {verdict.message}",
    )
    return at_market


def is_held_back(desk: Desk, order: Order) -> bool:
    """Refused by the gate so often in a row that nothing else makes way for it until it is allowed."""
    return desk.attempts.get(order.client_order_id, 0) >= ALERT_AFTER


def _still_refused(desk: Desk, order: Order, wanted: Decimal) -> Denied | None:
    """Would one that is held back be refused again if the disaster stop made way? Then that goes on resting."""
    if not is_held_back(desk, order):
        return None
    spec, state = order.spec, desk.state
    request = _leaving(order, wire_request(desk, spec, piece(desk, spec, wanted), _fired_at(order)))
    others = account.selling_quantity(state, spec.symbol, order) - account.yielding_quantity(state, spec.symbol)
    verdict = desk.review(request, sellable=max(state.ledger.quantity(spec.symbol) - others, ZERO))
    return None if isinstance(verdict, Approved) or _goes_at_market(order, request, verdict) else verdict


def _fired_at(order: Order) -> Decimal | None:
    return order.fires[-1].trigger if order.fires else None


def _leaving(order: Order, request: OrderRequest) -> OrderRequest:
    return replace(request, has_fired=True) if order.fires else request


def _goes_at_market(order: Order, request: OrderRequest, verdict: Denied) -> bool:
    """Is only the limit refused, of one that has to get out?"""
    has_to_leave = order.fires or order.spec.origin in ("protective", "kill")
    return request.price is not None and bool(has_to_leave) and verdict.code in _LIMIT_CODES


def _free_quantity(desk: Desk, order: Order, wanted: Decimal) -> Decimal:
    """What no exit at the venue holds, in whole steps. Those that rest there are asked back when it is too little.

    The disaster stop first, and nothing else where that is enough: a limit that somebody rests beside it is left alone.
    One that is to rest there itself never sends another away.
    """
    state, market = desk.state, desk.markets[order.spec.symbol]
    unreserved = _unreserved(desk, order.spec)
    free = market.instrument.round_quantity(unreserved)
    if free < wanted:
        is_first_try = order.client_order_id not in desk.blocked
        is_enough = unreserved + account.yielding_quantity(state, market.symbol) >= wanted
        if is_resting(order) and not is_enough:
            return free  # it waits for others that rest: without the stop it could not go either
        stops_only = is_resting(order) or (is_first_try and is_enough)
        for other in state.orders.at_venue(market.symbol):
            if other.is_disaster_stop or (other.is_exit and other.wire_type != "market" and not stops_only):
                request_cancel(desk, other, f"makes way for {order.client_order_id}")
    return free


def _unreserved(desk: Desk, spec: SubmitOrder) -> Decimal:
    """What is held and no exit at the venue may sell; what is a grid's only for those that may."""
    unreserved = desk.state.ledger.quantity(spec.symbol) - account.selling_quantity(desk.state, spec.symbol)
    if grid_inventory.keeps_off(spec):
        return min(unreserved, grid_inventory.free_beside(desk, spec.symbol))
    return unreserved


def waits_for_others(desk: Desk, order: Order) -> bool:
    """A limit that could not rest at the venue if the disaster stop made way either: others offer those coins there."""
    if not is_resting(order):
        return False
    wanted = _wanted(desk, order.spec, account.held_quantity(desk.state, desk.markets[order.spec.symbol]))
    return _unreserved(desk, order.spec) + account.yielding_quantity(desk.state, order.spec.symbol) < wanted


def _is_sellable(desk: Desk, spec: SubmitOrder, quantity: Decimal, margin: Decimal = ONE) -> bool:
    """Would the venue take a market sale of so little? `margin`: of its smallest value."""
    market = desk.markets[spec.symbol]
    instrument = market.instrument
    is_enough = quantity >= instrument.min_quantity and market.value(quantity) >= margin * instrument.min_notional
    return is_enough and quantity > ZERO


def piece(desk: Desk, spec: SubmitOrder, quantity: Decimal) -> Decimal:
    """As much of a sale as the venue takes in one order; equal parts, so that no crumb is left at the end."""
    instrument = desk.markets[spec.symbol].instrument
    largest = instrument.round_quantity(instrument.max_quantity)
    if quantity <= largest or largest <= ZERO or instrument.quantity_step <= ZERO:
        return quantity
    parts = (quantity / largest).to_integral_value(ROUND_CEILING)
    steps = (quantity / parts / instrument.quantity_step).to_integral_value(ROUND_CEILING)
    return min(steps * instrument.quantity_step, largest)


def _keep_rest(desk: Desk, order: Order, sent: Decimal, wanted: Decimal) -> Order | None:
    """An exit that cannot go in one order is made smaller, and another one waits with the rest: both are facts
    before anything is sent, so a restart goes on where it was.
    """
    spec, rest = order.spec, wanted - sent
    if rest <= ZERO:
        if sent > spec.quantity:
            desk.emit(OrderUpdated(
                spec.client_order_id, spec.symbol, sent, spec.price, spec.stop_price, spec.trail,
                f"with {to_text(sent - spec.quantity)} that the venue would not sell alone",
            ))
        return None
    made = replace(
        spec, client_order_id=desk.next_id(), order_type="market", quantity=rest, price=None, stop_price=None,
        trail=None, time_in_force="GTC", expire_at=0, proposal_id=ProposalId(""), replaces=ClientOrderId(""),
        origin=spec.origin if spec.origin in ("kill", "manual") and not order.fires else _urgent_origin(spec),
        reason=f"the rest of {spec.client_order_id}, which could not go in one order",
    )
    desk.emit(OrderInitialized(made))
    desk.emit(OrderUpdated(
        spec.client_order_id, spec.symbol, sent, spec.price, spec.stop_price, spec.trail,
        f"in parts: {made.client_order_id} follows with {rest}",
    ))
    return desk.state.orders.get(made.client_order_id)


def _urgent_origin(spec: SubmitOrder) -> Origin:
    return "kill" if spec.origin == "kill" else "protective"


def _count_blocked(desk: Desk, order: Order) -> None:
    tries = desk.blocked[order.client_order_id] = desk.blocked.get(order.client_order_id, 0) + 1
    if tries == ALERT_AFTER_BLOCKED and waits_for_others(desk, order):
        desk.alert(
            "warning", f"{order.spec.symbol}: limit waits behind other sales",
            f"{order.client_order_id} is to sell {to_text(order.remaining)}, and other orders at the venue offer too "
            "much of what is held. It is sent when they have ended; cancel it if it is not wanted then.",
        )
    elif tries == ALERT_AFTER_BLOCKED:
        desk.alert(
            "critical", f"{order.spec.symbol}: exit waits for the venue",
            f"{order.client_order_id} is ready to sell, but another exit is still at the venue, which does not answer "
            "the cancel. It is asked again and again; look at the exchange.",
        )


def _send(desk: Desk, order: Order, approved: Approved, *, is_all: bool) -> None:
    orders = desk.state.orders
    if not is_resting(order):
        left = ZERO if is_all else entry_legs.left_to_siblings(desk, order, approved.order.quantity)
        if left:
            entry_legs.cut_siblings(desk, order, left)
        else:
            entry_legs.end_others(desk, order, is_all=is_all)
    desk.attempts.pop(order.client_order_id, None)
    desk.send(order, approved)
    if order.spec.parent_id:
        for entry in (orders.get(order.spec.parent_id), *orders.successors(order.spec.parent_id)):
            if entry is not None and entry.is_working and not entry.is_exit:
                request_cancel(desk, entry, f"its exit {order.client_order_id} has begun")


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
    """Try all waiting exits again. Under HALTED few may leave; the rest wait for a person."""
    for order in desk.state.orders.exits(symbol):
        if not order.is_waiting:
            continue
        if desk.state.lets_exit_leave(order.spec.origin):
            try_send(desk, order)


def release_fired(desk: Desk, order: Order) -> None:
    """A held exit has just fired. Under HALTED nothing new is sent: it waits, and a person is told."""
    if desk.state.lets_exit_leave(order.spec.origin):
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
    """Exits that protect, and any other after which nothing would protect the position.

    A disaster stop that ends at the venue is placed anew, unless the venue says that the price is through it.
    """
    if order.is_disaster_stop:
        return order.state == "REJECTED" and _is_through(desk, order)
    if is_resting(order):
        return False
    if order.fires or order.spec.origin in ("protective", "kill") or is_closing(order):
        return True
    return not desk.state.orders.exits(order.spec.symbol) or bool(entry_legs.ended_for(desk, order))


def _is_through(desk: Desk, order: Order) -> bool:
    """Was a stop refused because it would have sold at once? The venue's words say so, or the last price does."""
    said = order.reason.lower().replace("_", " ")
    last, stop = desk.markets[order.spec.symbol].last, order.spec.stop_price
    return any(words in said for words in _THROUGH) or (last is not None and stop is not None and last <= stop)


def escalate(desk: Desk, order: Order) -> None:
    """A fired limit exit was taken back because nobody bought: the remainder goes at market."""
    _escalate(desk, order)
    release_waiting(desk, order.spec.symbol)


def _tries_so_far(spec: SubmitOrder) -> int:
    """How often its exit was replaced already. A person may tag an order as they like: that counts for nothing."""
    found = _ESCALATION.match(spec.tag) if spec.origin in ("protective", "kill") else None
    return int(found["tries"]) if found else 0


def is_closing(order: Order) -> bool:
    """Is it a sale of all that is held? A person may tag a limit with the same word: that one closes nothing."""
    return order.is_exit and order.spec.tag == CLOSE_TAG and order.spec.order_type == "market"


def _escalate(desk: Desk, order: Order) -> None:
    symbol = order.spec.symbol
    if account.held_quantity(desk.state, desk.markets[symbol]) <= ZERO:
        return
    tries = _tries_so_far(order.spec)
    if tries == MAX_TRIES:
        message = (
            f"{MAX_TRIES} market exits of {symbol} were not executed by the venue ({order.reason}). "
            "The position is still open; it is tried again and again. Look at the exchange. No entries on the symbol "
            "until an exit is executed; `tradingd start` opens them at once."
        )
        desk.alert("critical", f"{symbol}: the position cannot be closed", message)
        desk.halt_symbol(symbol, message)
    spec = replace(
        order.spec, client_order_id=desk.next_id(), order_type="market", origin=_urgent_origin(order.spec), price=None,
        stop_price=None, trail=None, time_in_force="GTC", expire_at=0, quantity=order.remaining,
        tag=f"{ESCALATION_TAG}{tries + 1}", proposal_id=ProposalId(""),
        reason=f"replaces {order.client_order_id}: {order.reason or 'not executed'}",
    )
    if tries:
        desk.not_before[spec.client_order_id] = desk.now + min(SECOND_NS << min(tries - 1, 10), SLOWEST_TRY_NS)
    desk.emit(OrderInitialized(spec))
