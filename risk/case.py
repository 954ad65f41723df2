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


@dataclass(frozen=True, slots=True)
class Rule:
    """One check. `holds` alone decides; `tell` puts what it decided into words.

    They are apart because the decision is needed within microseconds of a trigger, the sentence only when
    somebody reads it. `is_for_entries`: not asked of an order that lowers exposure.
    """

    name: str
    holds: Callable[[Case], bool]
    tell: Callable[[Case, bool], Words]
    is_for_entries: bool = False

    def check(self, case: Case) -> Check:
        """Decided and in words."""
        if self.is_for_entries and not case.is_entry:
            return checked(self.name, True, *not_asked("Not asked of an order that lowers exposure."))
        passed = self.holds(case)
        return checked(self.name, passed, *self.tell(case, passed))


def open_case(order: OrderRequest, view: GateView, limits: RiskLimits) -> Case:
    """The case of this order."""
    is_reducing = order.reduce_only and order.side == "sell"
    market_price = _market_price(view)
    notional = order.quantity * worst_price(order, view)
    fill_loss, equity = _fill_loss(order, view, notional), view.equity
    return Case(
        order, view, limits, not is_reducing, is_reducing and order.origin in ("protective", "kill"),
        market_price, _market_value(order, market_price), notional, fill_loss,
        fill_loss / equity if equity > ZERO else ZERO,
    )


def _fill_loss(order: OrderRequest, view: GateView, notional: Decimal) -> Decimal:
    mark = view.bid if view.bid is not None else view.last if view.last is not None else view.ask
    marked = notional if mark is None else order.quantity * mark
    return notional * view.taker_fee_ratio + max(notional - marked, ZERO)


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


def _market_price(view: GateView) -> Decimal | None:
    if view.bid is not None and view.ask is not None:
        return (view.bid + view.ask) / 2
    if view.last is not None:
        return view.last
    return view.bid if view.bid is not None else view.ask


def _market_value(order: OrderRequest, market_price: Decimal | None) -> Decimal | None:
    price = order.price if order.price is not None else market_price
    if price is None and order.reference_price > ZERO:
        price = order.reference_price
    return None if price is None else order.quantity * price


def checked(rule: str, passed: bool, code: str, value: str, limit: str, message: str) -> Check:
    """A check's outcome; the code is only told when it failed."""
    return Check(rule, value, limit, passed, message, "" if passed else code)
