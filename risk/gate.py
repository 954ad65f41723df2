"""The gate: the one mechanical last line every order passes, and the only maker of `Approved`.

It cannot be outvoted, has no state and asks nobody: the same order, view and limits give the same answer.
"""

from typing import Final

from bus.messages.council import Check
from risk import capital_checks, order_checks, pace_checks, permission_checks
from risk.approved import _GATE_KEY, Approved, Denied, OrderRequest
from risk.case import CheckFunction, Judgement, checked, open_case
from risk.codes import DENIAL_CODES
from risk.gate_view import GateView, first_not_finite
from risk.limits import RiskLimits

__all__ = ["CHECKS", "GateView", "RiskGate"]

CHECKS: Final[tuple[CheckFunction, ...]] = (
    *permission_checks.CHECKS, *order_checks.CHECKS, *capital_checks.CHECKS, *pace_checks.CHECKS,
)
"""In the order in which a failure is told: may we trade, is the order sane, can we afford it, is it too often."""


class RiskGate:
    """Reviews orders against fixed limits."""

    __slots__ = ("limits",)

    def __init__(self, limits: RiskLimits) -> None:
        self.limits = limits

    def review(self, order: OrderRequest, view: GateView) -> Approved | Denied:
        """Yes or no to one order that is about to be armed or sent.

        Every check is made and listed in either answer; the first that fails gives the denial its code. Only
        a number that is not finite ends the review at once: nothing can be compared with it.
        """
        broken = first_not_finite(order, view)
        if broken:
            return _denied((checked(
                "numbers", False, "NOT_FINITE", broken, "finite",
                f"{broken} is not a finite number, so the order cannot be judged.",
            ),))
        case = open_case(order, view, self.limits)
        judgements = [check(case) for check in CHECKS]
        for judgement in judgements:
            if not judgement.passed:
                return _denied(_told(judgements))
        return Approved(_GATE_KEY, order, lambda: _told(judgements), view.now)


def _told(judgements: list[Judgement]) -> tuple[Check, ...]:
    return tuple(judgement.to_check() for judgement in judgements)


def _denied(checks: tuple[Check, ...]) -> Denied:
    """The denial of the first failing check."""
    first = next(check for check in checks if not check.passed)
    return Denied(
        code=first.code, family=DENIAL_CODES[first.code].family, rule=first.rule, value=first.value,
        limit=first.limit, message=first.message, checks=checks,
    )
