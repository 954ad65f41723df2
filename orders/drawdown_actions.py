"""What follows from drawdowns beyond refusing: a warning near a limit, and, where configured, exposure cut in steps."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from bus.messages.orders import OrderInitialized, SubmitOrder
from bus.messages.system import ExposureCut
from market.money import ZERO
from orders import account, exits
from orders.cancelling import request_cancel
from orders.desk import Desk
from orders.market_state import MarketState
from orders.state import CUT_TAG
from risk.exposure_steps import (
    END_SHARE,
    NEAR_SHARE,
    ExposureCuts,
    UsedLimit,
    share_to_sell,
    steps_due,
    used_limits,
)
from risk.wording import percent

_NO_LONGER_NEAR: Final = Decimal("0.75")


@dataclass(frozen=True, slots=True)
class _Sale:
    """How much of a symbol a cut sells, in base."""

    symbol: str
    quantity: Decimal


class DrawdownActions:
    """Run once a second, after equity was marked. Its own memory is which warnings were given."""

    __slots__ = ("_desk", "_warned")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._warned: set[str] = set()

    def run(self) -> None:
        """Warn of each limit that is near, then cut what is beyond."""
        used = used_limits(self._desk.tracker, self._desk.config.limits)
        for one in used:
            self._warn_near(one)
        if self._desk.config.cuts is not None:
            cut_exposure(self._desk, max(used, key=lambda one: one.used), self._desk.config.cuts)

    def _warn_near(self, one: UsedLimit) -> None:
        if one.used < _NO_LONGER_NEAR:
            self._warned.discard(one.rule)
        elif one.used >= NEAR_SHARE and one.rule not in self._warned:
            self._warned.add(one.rule)
            name = one.rule.replace("_", " ")
            self._desk.alert(
                "warning", f"{name.capitalize()} near its limit",
                f"The {name} is {percent(one.value)} and the limit {percent(one.limit)}: from {percent(NEAR_SHARE)} of "
                "it new entries are made smaller, at the limit there are none.",
            )


def cut_exposure(desk: Desk, worst: UsedLimit, cuts: ExposureCuts) -> None:
    """Take the steps that are due, or end the episode. Nothing under HALTED: the kill switch has its own ways."""
    state = desk.state
    if state.trading_state == "HALTED":
        return
    done = state.exposure_cut_step
    if done and worst.used < END_SHARE:
        _note(desk, 0, worst, "no limit is reached any more")
        return
    due = steps_due(worst.used, cuts)
    if due <= done:
        return
    entries = [order for order in state.orders.working() if not order.is_exit and order.detail != "pending_cancel"]
    sales = _sales(desk, share_to_sell(due - done, cuts))
    if not entries and not sales:
        return
    told = ", ".join(f"{sale.quantity} of {sale.symbol}" for sale in sales) or "no position"
    _note(desk, due, worst, f"step {due} sells {told} and ends {len(entries)} waiting entries")
    for order in entries:
        request_cancel(desk, order, f"the {worst.rule.replace('_', ' ')} limit is reached")
    for sale in sales:
        _sell(desk, sale, worst.rule)


def _note(desk: Desk, step: int, worst: UsedLimit, what: str) -> None:
    message = (
        f"{worst.rule.replace('_', ' ').capitalize()} is {percent(worst.value)}, the limit {percent(worst.limit)}: "
        f"{what}."
    )
    desk.emit(ExposureCut(step, worst.rule, worst.value, worst.limit, message))
    if step:
        desk.alert("critical", "Exposure is cut", message)


def _sales(desk: Desk, share: Decimal) -> list[_Sale]:
    """By symbol. What is being sold at this moment already counts as part of the cut."""
    sales = []
    for symbol in sorted(desk.state.ledger.positions):
        market = desk.markets[symbol]
        held = account.held_quantity(desk.state, market)
        wanted = _sellable_part(market, held, share) - _on_its_way_out(desk, symbol)
        if wanted > ZERO and _is_sellable(market, wanted):
            sales.append(_Sale(symbol, wanted))
    return sales


def _on_its_way_out(desk: Desk, symbol: str) -> Decimal:
    """What exits are selling now; those that only rest at the venue make way for the cut (`exits.try_send`)."""
    leaving = (order for order in desk.state.orders.exits(symbol) if order.is_at_venue or order.is_waiting)
    return sum(
        (order.remaining for order in leaving if not (order.is_disaster_stop or exits.is_resting(order))), ZERO,
    )


def _sellable_part(market: MarketState, held: Decimal, share: Decimal) -> Decimal:
    """The share of what is held, on the venue's step; all of it when either part would be too small to sell."""
    part = market.instrument.round_quantity(held * share)
    if _is_sellable(market, part) and _is_sellable(market, held - part):
        return part
    return held


def _is_sellable(market: MarketState, quantity: Decimal) -> bool:
    instrument = market.instrument
    price = market.touch("sell") or ZERO
    return quantity >= instrument.min_quantity and quantity > ZERO and quantity * price >= instrument.min_notional


def _sell(desk: Desk, sale: _Sale, rule: str) -> None:
    spec = SubmitOrder(
        client_order_id=desk.next_id(), symbol=sale.symbol, side="sell", order_type="market", quantity=sale.quantity,
        origin="protective", reduce_only=True, tag=CUT_TAG, reason=f"cuts exposure: {rule} is beyond its limit",
    )
    desk.emit(OrderInitialized(spec))
    order = desk.state.orders.get(spec.client_order_id)
    if order is not None:
        exits.try_send(desk, order)
