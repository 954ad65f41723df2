"""The gate: the one mechanical last line every order passes, and the only maker of `Approved`.

It cannot be outvoted, has no state and asks nobody: the same order, view and limits give the same answer.
"""

from collections.abc import Callable
from typing import Final

from bus.messages.council import Check
from risk import capital_checks, lock_checks, order_checks, pace_checks, permission_checks
from risk.approved import _GATE_KEY, Approved, Denied, OrderRequest
from risk.case import Case, Rule, checked, open_case
from risk.codes import DENIAL_CODES
from risk.gate_view import GateView, first_not_finite
from risk.limits import RiskLimits

__all__ = ["CHECKS", "GateView", "RiskGate"]

CHECKS: Final[tuple[Rule, ...]] = (
    *permission_checks.CHECKS, *lock_checks.CHECKS, *order_checks.CHECKS, *capital_checks.CHECKS, *pace_checks.CHECKS,
)
"""In the order in which a failure is told: may we trade, is it locked, is the order sane, can we afford it, is it too
often."""

_JUDGES_OF_ENTRIES: Final = tuple(dict.fromkeys(rule.judge for rule in CHECKS))
_JUDGES_OF_EXITS: Final = tuple(dict.fromkeys(rule.judge for rule in CHECKS if not rule.is_for_entries))
_RULES: Final = {(rule.judge, rule.place): rule for rule in CHECKS}


class RiskGate:
    """Reviews orders against fixed limits."""

    __slots__ = ("limits",)

    def __init__(self, limits: RiskLimits) -> None:
        self.limits = limits

    def review(self, order: OrderRequest, view: GateView) -> Approved | Denied:
        """Yes or no to one order that is about to be armed or sent.

        Either answer lists every check; the first that fails gives the denial its code and its words. All others
        are put into words when somebody asks for them: a grid's level that finds no room asks each second. Only a
        number that is not finite ends the review at once: nothing can be compared with it.
        """
        broken = first_not_finite(order, view)
        if broken:
            why = checked(
                "numbers", False, "NOT_FINITE", broken, "finite",
                f"{broken} is not a finite number, so the order cannot be judged.",
            )
            return _denied(why, lambda: (why,))
        case = open_case(order, view, self.limits)
        for judge in _JUDGES_OF_ENTRIES if case.is_entry else _JUDGES_OF_EXITS:
            verdicts = judge(case)
            if not all(verdicts):
                return _denied(_RULES[judge, verdicts.index(False)].check(case), lambda: _told(case))
        return Approved(_GATE_KEY, order, lambda: _told(case), view.now)


def _told(case: Case) -> tuple[Check, ...]:
    return tuple(rule.check(case) for rule in CHECKS)


def _denied(why: Check, tell: Callable[[], tuple[Check, ...]]) -> Denied:
    return Denied(
        code=why.code, family=DENIAL_CODES[why.code].family, rule=why.rule, value=why.value, limit=why.limit,
        message=why.message, tell=tell,
    )
