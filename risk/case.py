"""One order under review, with what every check needs to know about it worked out once."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from bus.messages.council import Check
from market.money import ZERO
from market.record import record
from risk.approved import OrderRequest
from risk.gate_view import GateView
from risk.limits import RiskLimits

NOT_ASKED: Final = "-"
"""Value and limit of a check that does not concern the order."""


@record
class Case:
    """The order, the world and the limits; and which kind of order this is.

    `is_entry`: everything that is not a reduce-only sell, so a mislabelled buy is judged as new risk.
    `is_protective`: a reduce-only sell of the engine's own protection or of the kill switch: fails open.
    `market_price`: middle of the quote, else the last price, else the one side that is known; None = unknown.
    `market_value`: quantity at its own price, else the market's, else the one the decision rests on; None = unknown.
    `notional`: what the order may cost at worst, in quote (see `worst_price`).
    """

    order: OrderRequest
    view: GateView
    limits: RiskLimits
    is_entry: bool
    is_protective: bool
    market_price: Decimal | None
    market_value: Decimal | None
    notional: Decimal
    fill_loss: Decimal
    """What the fill itself takes off the equity at worst: fee, slippage, and the way from its price to the bid."""
    fill_loss_ratio: Decimal
    """The same as a share of equity; 0 without equity."""

    @property
    def base(self) -> str:
        """The asset's name for sentences."""
        return self.order.symbol.partition("/")[0]

    @property
    def quote(self) -> str:
        """The money's name for sentences."""
        return self.order.symbol.partition("/")[2]


class Words(NamedTuple):
    """How a check is told; `code` is that of the failure."""

    code: str
    value: str
    limit: str
    message: str


def not_asked(why: str) -> Words:
    """Of a check that does not concern the order, listed so that nobody wonders."""
    return Words("", NOT_ASKED, NOT_ASKED, why)


Judge = Callable[[Case], tuple[bool, ...]]
"""Decides a family of checks in one go: does each of them hold?"""


@dataclass(frozen=True, slots=True)
class Rule:
    """One check. `judge` alone decides, with its whole family; `tell` puts what it decided into words.

    They are apart because the decision is needed within microseconds of a trigger, the sentence only when
    somebody reads it. `is_for_entries`: not asked of an order that lowers exposure, where the judge says yes.
    """

    name: str
    judge: Judge
    place: int
    tell: Callable[[Case, bool], Words]
    is_for_entries: bool

    def check(self, case: Case) -> Check:
        """Decided and in words."""
        if self.is_for_entries and not case.is_entry:
            return checked(self.name, True, *not_asked("Not asked of an order that lowers exposure."))
        passed = self.judge(case)[self.place]
        return checked(self.name, passed, *self.tell(case, passed))


def rules_of(judge: Judge, *rows: tuple[str, Callable[[Case, bool], Words], bool]) -> tuple[Rule, ...]:
    """The rules of a family: (name, words, is it for entries only) in the order of the judge's answers."""
    return tuple(Rule(name, judge, place, tell, for_entries) for place, (name, tell, for_entries) in enumerate(rows))


def open_case(order: OrderRequest, view: GateView, limits: RiskLimits) -> Case:
    """The case of this order."""
    is_reducing = order.reduce_only and order.side == "sell"
    quantity, bid, ask, last = order.quantity, view.bid, view.ask, view.last
    known = bid if bid is not None else ask
    market_price = (bid + ask) / 2 if bid is not None and ask is not None else last if last is not None else known
    value_price = order.price if order.price is not None else market_price
    if value_price is None and order.reference_price > ZERO:
        value_price = order.reference_price
    notional = quantity * worst_price(order, view)
    mark = bid if bid is not None else last if last is not None else ask
    beyond = ZERO if mark is None else notional - quantity * mark
    fill_loss = notional * view.taker_fee_ratio + (beyond if beyond > ZERO else ZERO)
    return Case(
        order, view, limits, not is_reducing, is_reducing and order.origin in ("protective", "kill"),
        market_price, None if value_price is None else quantity * value_price, notional, fill_loss,
        fill_loss / view.equity if view.equity > ZERO else ZERO,
    )


def worst_price(order: OrderRequest, view: GateView) -> Decimal:
    """The highest price the order is expected to pay: its limit, else the highest price known, in quote."""
    if order.price is not None:
        return order.price
    worst = order.reference_price
    if view.ask is not None and view.ask > worst:
        worst = view.ask
    if view.last is not None and view.last > worst:
        worst = view.last
    return worst


def checked(rule: str, passed: bool, code: str, value: str, limit: str, message: str) -> Check:
    """A check's outcome; the code is only told when it failed."""
    return Check(rule, value, limit, passed, message, "" if passed else code)
