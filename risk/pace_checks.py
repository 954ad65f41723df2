"""Checks that ask: too often, a second time, on top of something unresolved, or without the council's yes?"""

from typing import Final

from market.money import to_text
from risk.case import Case, Words, not_asked, rules_of

EXIT_PACE: Final = 3
"""So many times the pace of entries is allowed to exits."""
_PROTECTION: Final = "Not asked of protection, which has a budget of its own."
_FIRED: Final = "Not asked of a sell whose trigger was reached."


def judge(case: Case) -> tuple[bool, ...]:
    """In the order of `CHECKS`."""
    order, view, limits = case.order, case.view, case.limits
    is_exit, has_own_pace, approved = not case.is_entry, _has_own_pace(case), view.approved_quantity
    of_council, pace = order.origin == "council", _pace(case)
    return (
        # Orders within a second, and within a minute.
        has_own_pace or view.orders_last_second + 1 <= pace * limits.orders_per_second,
        has_own_pace or view.orders_last_minute + 1 <= pace * limits.orders_per_minute,
        # Quote value of entries within a minute, of equity; exactly this much is still allowed.
        is_exit or view.sent_notional_last_minute + case.notional <= limits.notional_per_minute * view.equity,
        # The same content moments ago was a mistake or a stutter. Protection repeats itself on purpose.
        not view.duplicate_of or case.is_protective,
        # An order of unknown outcome may have been filled: no new risk on its symbol until the venue answers.
        is_exit or not view.unknown_on_symbol,
        # Entries of one symbol, stopped after repeated faults.
        is_exit or not view.symbol_halted,
        # What the council proposes needs the risk officer's yes; silence is no. And never more than was approved.
        not of_council or (bool(order.proposal_id) and approved is not None),
        not of_council or approved is None or order.quantity <= approved,
    )


def _tell_rate_second(case: Case, _passed: bool) -> Words:
    return _tell_rate(
        case, "RATE_PER_SECOND", "second", case.view.orders_last_second, _pace(case) * case.limits.orders_per_second,
    )


def _tell_rate_minute(case: Case, _passed: bool) -> Words:
    return _tell_rate(
        case, "RATE_PER_MINUTE", "minute", case.view.orders_last_minute, _pace(case) * case.limits.orders_per_minute,
    )


def _has_own_pace(case: Case) -> bool:
    """Protection, and a sell whose trigger was reached, whoever armed it: a stop that waits is no stop. Each of them
    passed the gate when it was armed, and together they sell no more than is held."""
    return case.is_protective or (case.order.has_fired and not case.is_entry)


def _pace(case: Case) -> int:
    """An exit still finds room when entries have used up theirs: nobody is locked in by a script that runs wild."""
    return 1 if case.is_entry else EXIT_PACE


def _tell_rate(case: Case, code: str, span: str, before: int, limit: int) -> Words:
    if _has_own_pace(case):
        return not_asked(_PROTECTION if case.is_protective else _FIRED)
    return Words(
        code, str(before + 1), str(limit), f"It would be order {before + 1} within a {span}; {limit} are allowed.",
    )


def _tell_minutes_money(case: Case, _passed: bool) -> Words:
    spent = to_text(case.view.sent_notional_last_minute + case.notional)
    limit = to_text(case.limits.notional_per_minute * case.view.equity)
    return Words(
        "NOTIONAL_PER_MINUTE", spent, limit,
        f"It would bring entries within a minute to {spent} {case.quote}; {limit} are allowed.",
    )


def _tell_new(case: Case, _passed: bool) -> Words:
    if case.is_protective:
        return not_asked("Not asked of protection, which repeats itself until it is obeyed.")
    twin = case.view.duplicate_of
    return Words(
        "DUPLICATE_ORDER", twin or "none", "none",
        f"The order repeats {twin}, which was sent moments ago." if twin
        else "No order of the same content was sent moments ago.",
    )


def _tell_unknown(case: Case, passed: bool) -> Words:
    symbol = case.order.symbol
    return Words(
        "UNKNOWN_PENDING", "none" if passed else "one", "none",
        f"No order on {symbol} has an unknown outcome." if passed
        else f"An order on {symbol} has an unknown outcome: no new risk until the venue answers.",
    )


def _tell_symbol_open(case: Case, passed: bool) -> Words:
    symbol = case.order.symbol
    return Words(
        "SYMBOL_HALTED", "open" if passed else "halted", "open",
        f"Entries on {symbol} are open." if passed else f"Entries on {symbol} are halted after repeated faults.",
    )


def _tell_verdict_present(case: Case, passed: bool) -> Words:
    if case.order.origin != "council":
        return not_asked("Not asked of orders that are not the council's.")
    return Words(
        "NO_VERDICT", "approved" if passed else "none", "approved",
        "The risk officer approved the proposal." if passed
        else "The risk officer has not approved this proposal; silence is no.",
    )


def _tell_within_verdict(case: Case, _passed: bool) -> Words:
    approved, quantity = case.view.approved_quantity, to_text(case.order.quantity)
    if case.order.origin != "council" or approved is None:
        return not_asked("Not asked of orders without a verdict.")
    return Words(
        "EXCEEDS_VERDICT", quantity, to_text(approved),
        f"The order is for {quantity} {case.base}; the risk officer approved {to_text(approved)}.",
    )


CHECKS: Final = rules_of(
    judge,
    ("orders_per_second", _tell_rate_second, False),
    ("orders_per_minute", _tell_rate_minute, False),
    ("notional_per_minute", _tell_minutes_money, True),
    ("duplicate_window", _tell_new, False),
    ("unknown_pending", _tell_unknown, True),
    ("symbol_halt", _tell_symbol_open, True),
    ("verdict", _tell_verdict_present, False),
    ("verdict_quantity", _tell_within_verdict, False),
)
