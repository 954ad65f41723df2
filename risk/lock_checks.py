"""Checks that ask whether a protection has locked the symbol, or everything, for a while (see `risk.locks`)."""

from typing import Final

from bus.messages.system import LockPlaced
from market.interval import SECOND_NS
from risk.case import Case, Words, rules_of


def judge(case: Case) -> tuple[bool, ...]:
    """No lock on the order's own symbol, none on all symbols; one whose end has come holds no longer."""
    own, everything, now = case.view.symbol_lock, case.view.all_lock, case.view.now
    return own is None or own.until_ns <= now, everything is None or everything.until_ns <= now


def _tell_symbol(case: Case, passed: bool) -> Words:
    return _tell(case, passed, "SYMBOL_LOCKED", case.order.symbol, case.view.symbol_lock)


def _tell_everything(case: Case, passed: bool) -> Words:
    return _tell(case, passed, "ALL_LOCKED", "every symbol", case.view.all_lock)


def _tell(case: Case, passed: bool, code: str, what: str, lock: LockPlaced | None) -> Words:
    if passed or lock is None:
        return Words(code, "open", "open", f"No protection locks {what}.")
    left = f"{(lock.until_ns - case.view.now) / SECOND_NS:.0f} s"
    return Words(
        code, lock.lock_id, "open",
        f"Entries on {what} are locked for {left} more by {lock.rule} ({lock.lock_id}): {lock.reason}.",
    )


CHECKS: Final = rules_of(judge, ("symbol_lock", _tell_symbol, True), ("all_lock", _tell_everything, True))
