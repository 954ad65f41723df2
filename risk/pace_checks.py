"""Checks that ask: too often, a second time, on top of something unresolved, or without the council's yes?"""

from typing import Final

from market.money import to_text
from risk.case import Case, CheckFunction, Judgement, judged, not_asked

_PROTECTION: Final = "Not asked of protection, which has a budget of its own."
_EXIT: Final = "Not asked of an order that lowers exposure."


def check_rate_second(case: Case) -> Judgement:
    """Orders within a second."""
    return _rate(case, "orders_per_second", "RATE_PER_SECOND", "second", case.view.orders_last_second,
                 case.limits.orders_per_second)


def check_rate_minute(case: Case) -> Judgement:
    """Orders within a minute."""
    return _rate(case, "orders_per_minute", "RATE_PER_MINUTE", "minute", case.view.orders_last_minute,
                 case.limits.orders_per_minute)


def _rate(case: Case, rule: str, code: str, span: str, before: int, limit: int) -> Judgement:
    if case.is_protective:
        return not_asked(rule, _PROTECTION)
    return judged(rule, before + 1 <= limit, code, lambda: (
        str(before + 1), str(limit),
        f"It would be order {before + 1} within a {span}; {limit} are allowed.",
    ))


def check_duplicate(case: Case) -> Judgement:
    """The same content moments ago was a mistake or a stutter. Protection repeats itself on purpose."""
    if case.is_protective:
        return not_asked("duplicate_window", "Not asked of protection, which repeats itself until it is obeyed.")
    twin = case.view.duplicate_of
    return judged("duplicate_window", not twin, "DUPLICATE_ORDER", lambda: (
        twin or "none", "none",
        f"The order repeats {twin}, which was sent moments ago." if twin
        else "No order of the same content was sent moments ago.",
    ))


def check_unknown_pending(case: Case) -> Judgement:
    """An order of unknown outcome may have been filled: no new risk on its symbol until the venue answers."""
    if not case.is_entry:
        return not_asked("unknown_pending", _EXIT)
    pending = case.view.unknown_on_symbol
    return judged("unknown_pending", not pending, "UNKNOWN_PENDING", lambda: (
        "one" if pending else "none", "none",
        f"An order on {case.order.symbol} has an unknown outcome: no new risk until the venue answers."
        if pending else f"No order on {case.order.symbol} has an unknown outcome.",
    ))


def check_symbol_halt(case: Case) -> Judgement:
    """Entries of one symbol, stopped after repeated faults."""
    if not case.is_entry:
        return not_asked("symbol_halt", _EXIT)
    halted = case.view.symbol_halted
    return judged("symbol_halt", not halted, "SYMBOL_HALTED", lambda: (
        "halted" if halted else "open", "open",
        f"Entries on {case.order.symbol} are halted after repeated faults." if halted
        else f"Entries on {case.order.symbol} are open.",
    ))


def check_verdict_present(case: Case) -> Judgement:
    """What the council proposes needs the risk officer's yes; silence is no."""
    if case.order.origin != "council":
        return not_asked("verdict", "Not asked of orders that are not the council's.")
    present = bool(case.order.proposal_id) and case.view.approved_quantity is not None
    return judged("verdict", present, "NO_VERDICT", lambda: (
        "approved" if present else "none", "approved",
        "The risk officer approved the proposal." if present
        else "The risk officer has not approved this proposal; silence is no.",
    ))


def check_verdict_quantity(case: Case) -> Judgement:
    """Never more than was approved."""
    approved = case.view.approved_quantity
    if case.order.origin != "council" or approved is None:
        return not_asked("verdict_quantity", "Not asked of orders without a verdict.")
    quantity = case.order.quantity
    return judged("verdict_quantity", quantity <= approved, "EXCEEDS_VERDICT", lambda: (
        to_text(quantity), to_text(approved),
        f"The order is for {to_text(quantity)} {case.base}; the risk officer approved {to_text(approved)}.",
    ))


CHECKS: Final[tuple[CheckFunction, ...]] = (
    check_rate_second, check_rate_minute, check_duplicate, check_unknown_pending, check_symbol_halt,
    check_verdict_present, check_verdict_quantity,
)
