"""The kill switch: latched first, then pressed again every second until nothing is left that it should end.

halt sends nothing but cancels; cancel also ends the entries; flatten ends every order and sells what is held.
A stop that rests at the venue is touched by flatten only. Exits that the engine holds wait under a latch that a
person engaged: he chose, and may choose flatten. Under a latch of a rule nobody may be there to choose, so every
exit but the council's goes on (see `EngineState.lets_exit_leave`).
"""

from typing import Final

from bus.messages.orders import KillAction
from bus.messages.system import BY_RULE, KillSwitchEngaged, TradingStateChanged
from market.interval import SECOND_NS
from orders import account, exits
from orders.cancelling import request_cancel
from orders.desk import Desk
from orders.order_table import Order

KILL_TAG: Final = "kill"

FIRST_STEP: Final = 200
"""So many orders are ended together with the latch, which must be on disk within 50 ms."""

LATER_STEP: Final = 2_000
"""So many each second after it."""

_LONGEST_PAUSE_NS: Final = 60 * SECOND_NS
_LONGEST_PAUSE_DENIED_NS: Final = 3_600 * SECOND_NS
_MAX_DOUBLINGS: Final = 12


def engage_kill(desk: Desk, action: KillAction, reason: str, by: str) -> None:
    """Latch first, then act."""
    desk.emit(KillSwitchEngaged(action, reason, by))
    desk.emit(TradingStateChanged(desk.state.trading_state, desk.state.votes.votes, desk.state.votes.reason))
    press_on(desk, FIRST_STEP)


def press_on(desk: Desk, most: int = LATER_STEP) -> None:
    """End what the engaged switch wants ended and is not yet asked to end; what was filled late is sold too.

    What the venue was asked already is asked again by the chores, for as long as it takes.
    """
    kill = desk.state.kill
    if kill is None or kill.action == "halt":
        return
    left = most
    for order in desk.state.orders.working():
        if order.detail == "pending_cancel" or not _must_end(order, kill.action):
            continue
        if not left:
            break
        left -= 1
        request_cancel(desk, order, f"kill switch: {kill.action}")
    if kill.action == "flatten":
        _flatten(desk)


def _must_end(order: Order, action: KillAction) -> bool:
    return order.spec.origin != "kill" if action == "flatten" else not order.is_exit


def _flatten(desk: Desk) -> None:
    """Sell every position for which no sale of the kill switch is working."""
    for symbol in sorted(desk.state.ledger.positions):
        if account.held_quantity(desk.state, desk.markets[symbol]) > 0 and _may_sell_again(desk, symbol):
            exits.close_position(desk, symbol, origin="kill", tag=KILL_TAG, reason="kill switch: flatten")


def _may_sell_again(desk: Desk, symbol: str) -> bool:
    """At once the first time, then ever more slowly: a venue that refuses is asked for ever, but not every second."""
    own = [
        order for order in desk.state.orders
        if order.spec.symbol == symbol and order.spec.origin == "kill" and order.created_ns >= desk.state.kill_ns
    ]
    if any(order.is_working for order in own):
        return False
    vain = [order for order in own if not order.filled]
    if not vain:
        return True
    last = vain[-1]
    held = account.held_quantity(desk.state, desk.markets[symbol])
    is_same_refusal = last.denial is not None and last.spec.quantity == held
    longest = _LONGEST_PAUSE_DENIED_NS if is_same_refusal else _LONGEST_PAUSE_NS
    pause = min(SECOND_NS << min(len(vain), _MAX_DOUBLINGS), longest)
    return desk.now - last.history[-1].ts >= pause


def by_person(name: str) -> str:
    """Who engaged it, for the journal; a person of the rule's name must not pass for the rule."""
    return f"{name} (a person)" if name == BY_RULE else name
