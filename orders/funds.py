"""Deposits and withdrawals (T13): neither profit nor loss, but the right size of an entry is a share of the account.

A deposit that raises it by more than 10 % enlarges the council's entries that still wait, in proportion, through the
gate; the risk officer's word is carried over as the same share of the larger account (`VerdictScaled`). A withdrawal
has every waiting entry judged again: what the smaller account no longer allows is shrunk in proportion, or ended.
Orders that are being executed at market, and a person's orders after a deposit, stay as they are.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Final

from bus.ids import ClientOrderId
from bus.messages.header import Message
from bus.messages.ledger import FundsChanged, PositionChanged, PositionClosed
from bus.messages.orders import ChangeFunds, OrderUpdated, SubmitOrder, VerdictScaled
from market.money import LARGEST_ACCOUNT, ONE, ZERO, to_text
from orders import account, exits, protection, replacing
from orders.admission import refuse
from orders.cancelling import request_cancel
from orders.desk import Desk
from orders.ledger import Position
from orders.order_table import GRID_TAG, Order
from risk.approved import Approved, Denied
from risk.wording import percent

WORTH_ENLARGING: Final = Decimal("1.1")
NO_ORDER: Final = ClientOrderId("")
_CAPITAL_CODES: Final = frozenset({
    "NO_EQUITY", "MAX_ORDER_NOTIONAL", "INSUFFICIENT_FUNDS", "EXPOSURE_PER_ASSET", "EXPOSURE_TOTAL",
})


def on_funds(desk: Desk, message: Message) -> None:
    """The input is itself the journalled fact; what follows is the new picture of the account."""
    before = account.equity(desk.state, desk.markets)
    held = _held(desk, message.body.asset)
    desk.state.apply(message)
    _follow(desk, message.body, before)
    for symbol, position in held:
        _tell_correction(desk, symbol, position)
    if held:
        desk.try_exits_at_once()  # for more than is left they were refused


def restore(desk: Desk, message: Message) -> None:
    """The fact from the journal. The snapshot that follows it has the moved bases, too, unless the process died before
    it was written: then the fact alone must not be a loss or a profit.

    Nobody knows prices yet: coins that went are their share, by cost, of what the positions were last worth.
    """
    fact: FundsChanged = message.body
    ledger, known = desk.state.ledger, desk.tracker.equity
    worth, cost = known - ledger.cash, ledger.cost
    desk.state.apply(message)
    flow = fact.delta
    if fact.asset != desk.config.quote:
        flow = worth * (ledger.cost - cost) / cost if cost > ZERO else ZERO
    desk.tracker.update(message.header.ts, known + flow, flow, is_of_now=False)


def _held(desk: Desk, asset: str) -> list[tuple[str, Position]]:
    """Copies of the positions in the asset."""
    found = []
    for market in desk.markets.values():
        position = desk.state.ledger.position(market.symbol) if market.instrument.base == asset else None
        if position is not None and account.has_position(position, market):
            found.append((market.symbol, replace(position)))
    return found


def _tell_correction(desk: Desk, symbol: str, before: Position) -> None:
    """Coins came or went without an order of ours: at cost, so that nothing was earned or lost by it."""
    position = desk.state.ledger.position(symbol)
    if position is not None and account.has_position(position, desk.markets[symbol]):
        if position.quantity != before.quantity:
            desk.emit(PositionChanged(
                symbol, position.quantity, position.average_price, desk.state.last_booking.realized_pnl, NO_ORDER,
            ))
        return
    desk.emit(PositionClosed(
        symbol, before.quantity, before.average_price, before.average_price, before.trip_pnl, before.trip_fees,
        before.opened_ns, desk.now, NO_ORDER,
    ))


def change(desk: Desk, command: ChangeFunds) -> None:
    """A person pays in or takes out, on paper."""
    quote, delta = desk.config.quote, command.delta
    free = desk.state.ledger.cash - account.exposure(desk.state, desk.markets).held_by_entries
    if not delta.is_finite() or delta == ZERO:
        desk.deny_command(ClientOrderId(""), "", refuse(
            "INVALID_ORDER", "amount", f"The amount is {delta}; it must be above zero.", delta, 0,
        ))
        return
    if desk.state.ledger.cash + delta > LARGEST_ACCOUNT:
        most = max(LARGEST_ACCOUNT - desk.state.ledger.cash, ZERO)
        desk.deny_command(ClientOrderId(""), "", refuse(
            "INVALID_ORDER", "amount",
            f"A deposit of {to_text(delta)} {quote} would make the account larger than {to_text(LARGEST_ACCOUNT)}: pay "
            f"in at most {to_text(most)}.", delta, most,
        ))
        return
    if -delta > free:
        desk.deny_command(ClientOrderId(""), "", refuse(
            "INSUFFICIENT_FUNDS", "amount",
            f"{to_text(-delta)} {quote} are to be withdrawn, and {to_text(max(free, ZERO))} are free: withdraw less, "
            "cancel entries or close positions first.", -delta, free,
        ))
        return
    before = account.equity(desk.state, desk.markets)
    fact = FundsChanged(quote, delta, desk.state.ledger.cash + delta, command.reason or "changed on request")
    desk.emit(fact)
    _follow(desk, fact, before)


def _follow(desk: Desk, fact: FundsChanged, before: Decimal) -> None:
    desk.state.ledger.check()
    is_money = fact.asset == desk.config.quote
    desk.mark_equity(fact.delta if is_money else account.equity(desk.state, desk.markets) - before)
    for market in desk.markets.values():
        if market.instrument.base == fact.asset:
            protection.fit_to_position(desk, market.symbol)
    desk.wants_snapshot = True
    if not is_money or before <= ZERO or not fact.delta:
        return
    word = "Deposit" if fact.delta > ZERO else "Withdrawal"
    desk.alert("info", word, (
        f"{to_text(abs(fact.delta))} {fact.asset} {'came' if fact.delta > ZERO else 'went'} ({fact.reason}): the "
        f"balance is {to_text(fact.balance)}. It counts as neither profit nor loss."
    ))
    ratio = (before + fact.delta) / before
    for order in desk.state.orders.working():
        if order.is_exit or order.detail == "pending_cancel" or desk.state.orders.is_behind(order):
            continue
        if not (order.is_armed or (order.is_at_venue and order.wire_type == "limit")):
            continue
        if ratio > WORTH_ENLARGING:
            _enlarge(desk, order, ratio)
        elif ratio < ONE:
            _judge_again(desk, order, max(ratio, ZERO))


def _enlarge(desk: Desk, order: Order, ratio: Decimal) -> None:
    spec = order.spec
    if spec.origin != "council" or spec.tag.startswith(GRID_TAG):
        return
    quantity = desk.markets[spec.symbol].instrument.round_quantity(order.total * ratio)
    allowed = desk.state.approved_quantity(spec.proposal_id, spec.symbol, spec.side)
    if quantity <= order.total or allowed is None:
        return
    reason = f"a deposit raised the account by {percent(ratio - ONE)}"
    desk.emit(VerdictScaled(spec.proposal_id, spec.symbol, allowed * ratio, reason))
    verdict = _review(desk, order, quantity)
    if isinstance(verdict, Approved):
        _resize(desk, order, quantity, reason)


def _judge_again(desk: Desk, order: Order, ratio: Decimal) -> None:
    verdict = _review(desk, order, order.total)
    if isinstance(verdict, Approved) or verdict.code not in _CAPITAL_CODES:
        return
    quantity = desk.markets[order.spec.symbol].instrument.round_quantity(order.filled + order.remaining * ratio)
    smaller = _review(desk, order, quantity) if quantity > order.filled else verdict
    if isinstance(smaller, Denied) or not _resize(desk, order, quantity, "a withdrawal made the account smaller"):
        request_cancel(desk, order, f"a withdrawal made the account too small for it: {verdict.message}")


def _review(desk: Desk, order: Order, quantity: Decimal) -> Approved | Denied:
    """The gate's word on what would still be bought if the order were for `quantity` in all."""
    request = exits.wire_request(desk, order.spec, quantity - order.filled)
    return desk.review(replace(request, is_arming=order.is_armed))


def _resize(desk: Desk, order: Order, quantity: Decimal, reason: str) -> bool:
    """A held entry changes in place, one at the venue is replaced; False when it cannot be."""
    spec = order.spec
    if order.is_armed:
        desk.emit(OrderUpdated(
            spec.client_order_id, spec.symbol, quantity, spec.price, spec.stop_price, spec.trail, reason,
        ))
        return True
    wish: SubmitOrder = replace(
        spec, client_order_id=desk.next_id(), order_type="limit", stop_price=None, trail=None, price=order.wire_price,
        quantity=quantity, reason=reason,
    )
    return replacing.begin(desk, order, wish, reason) is None
