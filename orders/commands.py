"""Commands about orders that exist, about positions, and about the permission to trade."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from bus.ids import ClientOrderId
from bus.messages.grid import StartGrid, StopGrid
from bus.messages.orders import (
    CancelAllOrders,
    CancelOrder,
    ChangeFunds,
    ClosePosition,
    EngageKillSwitch,
    KillAction,
    ModifyOrder,
    OrderInitialized,
    OrderPendingCancel,
    OrderUpdated,
    Rebalance,
    ReleaseKillSwitch,
    SubmitOrder,
    TrailingArmed,
    TrailingDisarmed,
)
from bus.messages.system import BY_RULE, KillSwitchReleased, LiftLock, TradingStateChanged, VoteTradingState
from market.money import ZERO
from orders import account, exits, funds, grid_commands, locks, placing, rebalance, replacing
from orders.admission import Refusal, admit, refuse
from orders.cancelling import request_cancel
from orders.desk import Desk
from orders.effects import Answer
from orders.kill import by_person, engage_kill
from orders.order_table import Order
from risk.approved import Denied
from risk.trading_state import TradingStateVotes


def cancel(desk: Desk, command: CancelOrder) -> None:
    """End one order; refused when it is not working."""
    order = desk.state.orders.get(command.client_order_id)
    if order is None or not order.is_working:
        _refuse_missing(desk, command, order)
    elif order.detail == "pending_cancel":
        replacing.drop(desk, order, command.reason or "cancelled on request")
        desk.ask_cancel(order)
        body = OrderPendingCancel(order.client_order_id, order.spec.symbol, order.cancel_reason)
        desk.out.append(Answer(desk.maker.make(body, desk.now, cause=desk.cause)))
    else:
        request_cancel(desk, order, command.reason or "cancelled on request")


def cancel_all(desk: Desk, command: CancelAllOrders) -> None:
    """End all working entries, or all orders; says how many it found."""
    found = [
        order for order in desk.state.orders.working(command.symbol)
        if command.scope == "all" or not order.is_exit
    ]
    what = "orders" if command.scope == "all" else "entries"
    for order in found:
        request_cancel(desk, order, command.reason or f"all {what} cancelled")
    left = sum(order.is_working for order in found)
    where = command.symbol or "all symbols"
    desk.alert(
        "info", "Orders cancelled",
        f"{len(found)} {what} of {where}: {len(found) - left} ended, {left} wait for the venue.",
    )


def modify(desk: Desk, command: ModifyOrder) -> None:
    """Change an order: one the engine holds in place, one at the venue by a replacement for the rest of it."""
    order = desk.state.orders.get(command.client_order_id)
    if order is None or not order.is_working:
        _refuse_missing(desk, command, order)
        return
    spec, symbol = order.spec, order.spec.symbol
    if order.is_at_venue or (order.is_waiting and spec.replaces):
        replacing.modify(desk, order, command)
        return
    if not order.is_armed:
        desk.deny_command(spec.client_order_id, symbol, refuse(
            "INVALID_ORDER", "state", f"{spec.client_order_id} is {order.state} ({order.detail}): only a held order "
            "can be changed. Cancel it and place a new one.", order.state, "PENDING",
        ))
        return
    foreign = next((name for name in ("price", "stop_price", "trail")
                    if getattr(command, name) is not None and getattr(spec, name) is None), "")
    if foreign:
        desk.deny_command(spec.client_order_id, symbol, refuse(
            "INVALID_ORDER", foreign, f"{spec.client_order_id} is a {spec.order_type} order without a {foreign}, and a "
            "change gives it none. Cancel it and place another one.", spec.order_type,
        ))
        return
    wish = replace(
        spec, quantity=command.quantity or spec.quantity, price=command.price or spec.price,
        stop_price=command.stop_price or spec.stop_price, trail=command.trail or spec.trail,
    )
    changed = admit(wish, desk.markets[symbol].instrument, desk.config.quote)
    if isinstance(changed, Refusal):
        desk.deny_command(spec.client_order_id, symbol, changed)
        return
    _change(desk, order, changed, command.reason or "changed on request")


def _change(desk: Desk, order: Order, changed: SubmitOrder, reason: str) -> None:
    """Judge the changed order as a new one, then put it and its watch in the old one's place."""
    spec = order.spec
    market = desk.markets[spec.symbol]
    is_watch_new = (changed.stop_price, changed.trail) != (spec.stop_price, spec.trail)
    watch = placing.first_watch(desk, changed, market)
    if isinstance(watch, Refusal):
        desk.deny_command(spec.client_order_id, spec.symbol, watch)
        return
    through = placing.far_through(desk, replace(changed, origin="manual"), market) if is_watch_new else None
    if through is not None:
        desk.deny_command(spec.client_order_id, spec.symbol, through)
        return
    verdict = desk.review(placing.arming_request(changed, watch))
    if isinstance(verdict, Denied):
        desk.deny_command(spec.client_order_id, spec.symbol, verdict)
        return
    best = desk.state.watch.best_of(spec.client_order_id)
    if is_watch_new and changed.order_type == "trailing" and best is not None:
        watch = _from_best(desk, order, changed, watch, best)
    desk.emit(OrderUpdated(
        spec.client_order_id, spec.symbol, changed.quantity, changed.price, changed.stop_price, changed.trail, reason,
        by_person=is_watch_new,
    ))
    if is_watch_new:
        desk.emit(TrailingDisarmed(spec.client_order_id, spec.symbol, reason))
        desk.emit(watch)
        placing.fire_if_through(desk, changed, market)


def _from_best(desk: Desk, order: Order, changed: SubmitOrder, watch: TrailingArmed, best: Decimal) -> TrailingArmed:
    """A trail that trails already keeps its best price under the new distance."""
    trail = changed.trail
    if trail is None or watch.distance is None or not desk.state.watch.is_active(order.client_order_id):
        return watch
    kept = max(best, watch.best) if changed.side == "sell" else min(best, watch.best)
    trigger = placing.trigger_from(changed.side, kept, watch.distance, is_ratio=trail.kind == "percent")
    return replace(watch, best=kept, trigger=trigger, is_active=True)


def close(desk: Desk, command: ClosePosition) -> None:
    """Sell all that is held of a symbol. While such a sale is under way the same command only repeats its answer."""
    market = desk.markets.get(command.symbol)
    if market is None or account.held_quantity(desk.state, market) <= ZERO:
        code = "UNKNOWN_INSTRUMENT" if market is None else "NOTHING_TO_SELL"
        desk.deny_command(ClientOrderId(""), command.symbol, refuse(
            code, "position", f"Nothing of {command.symbol} is held that could be sold.", 0,
        ))
        return
    for order in desk.state.orders.working(command.symbol):
        if exits.is_closing(order):
            desk.out.append(Answer(desk.maker.make(OrderInitialized(order.spec), desk.now, cause=desk.cause)))
            return
    exits.close_position(
        desk, command.symbol, origin="manual", tag=exits.CLOSE_TAG, reason=command.reason or "close the position",
    )


def vote(desk: Desk, command: VoteTradingState) -> None:
    """One voter's word; only a change is a new fact.

    A person's ACTIVE also opens symbols that were halted after repeated faults. A person's or health's ACTIVE lets
    exits wait no longer, and so does health's word that is said again.
    """
    state = desk.state
    unchanged = (command.voter, command.state, command.reason) in state.votes.votes
    is_again = unchanged and command.voter == "health"
    if is_again or (command.state == "ACTIVE" and command.voter in ("operator", "health")):
        desk.try_exits_at_once()
        if command.voter == "operator":
            for symbol in sorted(state.halted_symbols):
                desk.release_symbol(symbol, "operator", command.reason)
    if unchanged:
        body = TradingStateChanged(state.trading_state, state.votes.votes, state.votes.reason)
        desk.out.append(Answer(desk.maker.make(body, desk.now, cause=desk.cause)))
        return
    votes = tuple(
        (command.voter, command.state, command.reason) if voter == command.voter else (voter, voted, why)
        for voter, voted, why in state.votes.votes
    )
    before = state.trading_state
    outcome = TradingStateVotes()
    outcome.restore(votes)
    ruling = "HALTED" if state.kill else outcome.state
    desk.emit(TradingStateChanged(ruling, votes, command.reason))
    if before == "HALTED" and state.trading_state != "HALTED":
        placing.resume_after_halt(desk)


def engage(desk: Desk, command: EngageKillSwitch) -> None:
    """Lock trading. Again while locked: the same answer, unless more is asked for than before.

    A person's word after a rule's is more in any case: from then on held exits wait for him.
    """
    kill = desk.state.kill
    severity: tuple[KillAction, ...] = ("halt", "cancel", "flatten")
    action = command.action
    if kill is not None:
        action = max(action, kill.action, key=severity.index)
        if action == kill.action and kill.by != BY_RULE:
            desk.out.append(Answer(desk.maker.make(kill, desk.now, cause=desk.cause)))
            return
    engage_kill(desk, action, command.reason, by_person(command.by))


def release(desk: Desk, command: ReleaseKillSwitch) -> None:
    """A person unlocks trading; the votes rule again."""
    state = desk.state
    body = KillSwitchReleased(command.by, command.reason)
    if state.kill is None:
        desk.out.append(Answer(desk.maker.make(body, desk.now, cause=desk.cause)))
        return
    desk.emit(body)
    desk.attempts_denied.forgive()
    desk.emit(TradingStateChanged(state.trading_state, state.votes.votes, state.votes.reason))
    if state.trading_state != "HALTED":
        placing.resume_after_halt(desk)


def _refuse_missing(desk: Desk, command: CancelOrder | ModifyOrder, order: Order | None) -> None:
    client_order_id = command.client_order_id
    known = "is not known" if order is None else f"has ended already ({order.state})"
    desk.deny_command(client_order_id, order.spec.symbol if order else "", refuse(
        "UNKNOWN_ORDER", "client_order_id", f"The order {client_order_id} {known}: there is nothing to change.",
        client_order_id,
    ))


HANDLERS: Final[Mapping[type, Callable[[Desk, Any], None]]] = {
    CancelOrder: cancel, CancelAllOrders: cancel_all, ModifyOrder: modify, ClosePosition: close,
    VoteTradingState: vote, EngageKillSwitch: engage, ReleaseKillSwitch: release,
    ChangeFunds: funds.change, Rebalance: rebalance.start,
    LiftLock: locks.lift, StartGrid: grid_commands.start, StopGrid: grid_commands.stop,
}
