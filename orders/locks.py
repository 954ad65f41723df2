"""Locks placed after an exit, and lifted by a person. The rules are in `risk.locks`; here they become facts."""

from bus.ids import ClientOrderId
from bus.messages.system import LiftLock, LockLifted, LockPlaced
from orders import account
from orders.admission import refuse
from orders.desk import Desk
from risk.locks import ALL_SYMBOLS


def place_after_exit(desk: Desk) -> None:
    """The round trip that has just closed (and is folded) may ask for locks."""
    trip, locks = desk.state.last_trip, desk.state.locks
    if trip is None:
        return
    equity = account.equity(desk.state, desk.markets)
    for wanted in tuple(locks.wanted_after(trip, desk.config.protections, equity, desk.config.quote)):
        if wanted.until_ns > desk.now:
            desk.emit(LockPlaced(
                locks.next_id, wanted.rule, wanted.symbol, wanted.reason, desk.now, wanted.until_ns,
            ))


def lift(desk: Desk, command: LiftLock) -> None:
    """End a lock that holds; refused for any other id."""
    lock = desk.state.locks.get(command.lock_id, desk.now)
    if lock is None:
        desk.deny_command(ClientOrderId(""), "", refuse(
            "UNKNOWN_LOCK", "lock_id", f"No lock that still holds has the id {command.lock_id[:40]!r}.",
            command.lock_id[:40],
        ))
        return
    reason = command.reason or f"lifted by {command.by}"
    desk.emit(LockLifted(lock.lock_id, "" if lock.symbol == ALL_SYMBOLS else lock.symbol, command.by, reason))
