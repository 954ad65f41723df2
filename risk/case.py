"""One order under review, with what every check needs to know about it worked out once."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Final, NamedTuple

from bus.messages.council import Check
from market.money import ZERO
from risk.approved import OrderRequest
from risk.gate_view import GateView
from risk.limits import RiskLimits

NOT_ASKED: Final = "-"
"""Value and limit of a check that does not concern the order."""


@dataclass(frozen=True, slots=True)
class Case:
    """The order, the world and the limits; and which kind of order this is.

    `is_entry`: everything that is not a reduce-only sell, so a mislabelled buy is judged as new risk.
    `is_protective`: a reduce-only sell of the engine's own protection or of the kill switch: fails open.
    `market_price`: middle of the quote, else the last price, else the one side that is known; None = unknown.
    `notional`: what the order may cost at worst, in quote (see `worst_price`).
    """

    order: OrderRequest
    view: GateView
    limits: RiskLimits
    is_entry: bool
    is_protective: bool
    market_price: Decimal | None
    notional: Decimal

    @property
    def base(self) -> str:
        """The asset's name for sentences."""
        return self.order.symbol.partition("/")[0]

    @property
    def quote(self) -> str:
        """The money's name for sentences."""
        return self.order.symbol.partition("/")[2]


class Judgement(NamedTuple):
    """A check that was made but not yet put into words.

    The decision is needed within microseconds of a trigger, the sentence only when somebody reads it.
    `tell` gives value, limit and message; `code` is that of the failure.
    """

    rule: str
    passed: bool
    code: str
    tell: Callable[[], tuple[str, str, str]]

    def to_check(self) -> Check:
        """In words."""
        return checked(self.rule, self.passed, self.code, *self.tell())


CheckFunction = Callable[[Case], Judgement]


def open_case(order: OrderRequest, view: GateView, limits: RiskLimits) -> Case:
    """The case of this order."""
    is_reducing = order.reduce_only and order.side == "sell"
    return Case(
        order=order, view=view, limits=limits, is_entry=not is_reducing,
        is_protective=is_reducing and order.origin in ("protective", "kill"),
        market_price=_market_price(view), notional=order.quantity * worst_price(order, view),
    )


def worst_price(order: OrderRequest, view: GateView) -> Decimal:
    """The highest price the order is expected to pay: its limit, else the highest price known, in quote."""
    if order.price is not None:
        return order.price
    known = (order.reference_price, view.ask, view.last)
    return max((price for price in known if price is not None), default=ZERO)


def _market_price(view: GateView) -> Decimal | None:
    if view.bid is not None and view.ask is not None:
        return (view.bid + view.ask) / 2
    if view.last is not None:
        return view.last
    return view.bid if view.bid is not None else view.ask


def checked(rule: str, passed: bool, code: str, value: str, limit: str, message: str) -> Check:
    """A check's outcome; the code is only told when it failed."""
    return Check(rule, value, limit, passed, message, "" if passed else code)


def judged(rule: str, passed: bool, code: str, tell: Callable[[], tuple[str, str, str]]) -> Judgement:
    """A check's outcome, to be told later."""
    return Judgement(rule, passed, code, tell)


@cache  # rules and reasons are literals of our own: a handful of lines, made once instead of per order
def not_asked(rule: str, why: str) -> Judgement:
    """A check that does not concern this order, listed so that nobody wonders."""
    return Judgement(rule, True, "", lambda: (NOT_ASKED, NOT_ASKED, why))
