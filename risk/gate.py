"""The gate: the one mechanical last line every order passes, and the only maker of `Approved`.

It cannot be outvoted, has no state and asks nobody: the same order, view and limits give the same answer. That answer
may be asked for before the moment it is needed (`foresee`), for a stretch of prices and a stretch of time.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, final

from bus.messages.council import Check
from risk import capital_checks, lock_checks, order_checks, pace_checks, permission_checks
from risk.approved import _GATE_KEY, Approved, Denied, NotApprovedError, OrderRequest
from risk.case import Case, Rule, checked, open_case
from risk.codes import DENIAL_CODES
from risk.gate_view import GateView, first_not_finite
from risk.limits import RiskLimits
from risk.price_range import PriceRange

__all__ = ["CHECKS", "Foreseen", "GateView", "RiskGate"]

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
        return _approved(case, view.now)

    def foresee(
        self, cases: Sequence[tuple[OrderRequest, GateView]], within: PriceRange, until_ns: int,
    ) -> "Foreseen | None":
        """The yes to an order that may be sent at any prices `within` up to `until_ns`; None when it may not at one.

        `cases`: the order and the world at each corner of the range (`PriceRange.corners`). Whoever asks answers for
        the rest of the world being what the views say when the order is sent.
        """
        for order, view in cases:
            if isinstance(self.review(order, view), Denied):
                return None
        order, view = cases[0]
        return Foreseen(_GATE_KEY, open_case(order, view, self.limits), within, until_ns)


@final
class Foreseen:
    """A yes in advance, of the gate alone."""

    __slots__ = ("_case", "_until_ns", "_within")

    def __init__(self, key: object, case: Case, within: PriceRange, until_ns: int) -> None:
        if key is not _GATE_KEY:
            raise NotApprovedError("only the gate foresees: ask `RiskGate.foresee`")
        self._case = case
        self._within = within
        self._until_ns = until_ns

    def approve(self, bid: Decimal | None, ask: Decimal | None, last: Decimal, now: int) -> Approved | None:
        """The yes at these prices and this time (UTC ns); None where it was not foreseen: ask anew."""
        if now <= self._until_ns and self._within.holds(bid, ask, last):
            return _approved(self._case, now)
        return None


def _approved(case: Case, ts: int) -> Approved:
    return Approved(_GATE_KEY, case.order, lambda: _told(case), ts)


def _told(case: Case) -> tuple[Check, ...]:
    return tuple(rule.check(case) for rule in CHECKS)


def _denied(why: Check, tell: Callable[[], tuple[Check, ...]]) -> Denied:
    return Denied(
        code=why.code, family=DENIAL_CODES[why.code].family, rule=why.rule, value=why.value, limit=why.limit,
        message=why.message, tell=tell,
    )
