"""Checks that ask whether a protection has locked the symbol, or everything, for a while (see `risk.locks`)."""

from typing import Final

from bus.messages.system import LockPlaced
from market.interval import SECOND_NS
from risk.case import Case, Rule, Words


def is_symbol_unlocked(case: Case) -> bool:
    """No lock on the order's own symbol; one whose end has come holds no longer."""
    return not _holds(case, case.view.symbol_lock)


def _tell_symbol(case: Case, passed: bool) -> Words:
    return _tell(case, passed, "SYMBOL_LOCKED", case.order.symbol, case.view.symbol_lock)


def is_everything_unlocked(case: Case) -> bool:
    """No lock on all symbols."""
    return not _holds(case, case.view.all_lock)


def _tell_everything(case: Case, passed: bool) -> Words:
    return _tell(case, passed, "ALL_LOCKED", "every symbol", case.view.all_lock)


def _holds(case: Case, lock: LockPlaced | None) -> bool:
    return lock is not None and lock.until_ns > case.view.now


def _tell(case: Case, passed: bool, code: str, what: str, lock: LockPlaced | None) -> Words:
    if passed or lock is None:
        return Words(code, "open", "open", f"No protection locks {what}.")
    left = f"{(lock.until_ns - case.view.now) / SECOND_NS:.0f} s"
    return Words(
        code, lock.lock_id, "open",
        f"Entries on {what} are locked for {left} more by {lock.rule} ({lock.lock_id}): {lock.reason}.",
    )


CHECKS: Final = (
    Rule("symbol_lock", is_symbol_unlocked, _tell_symbol, is_for_entries=True),
    Rule("all_lock", is_everything_unlocked, _tell_everything, is_for_entries=True),
)
