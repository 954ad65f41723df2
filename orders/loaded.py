"""Held orders made ready before their trigger is reached: judged, and put into words, while nothing happens.

What happens at the trigger is then little: has anything but the prices changed since, do the prices lie where the gate
said yes, then journal and send. The ordinary way through the engine is gone behind that, says the same (the
runtime holds the one against the other), and remains the one truth: where anything is unusual, nothing is loaded.

Nothing here changes the desk.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, NamedTuple, final

from bus.messages.header import Message
from bus.messages.orders import OrderSubmitted, OrderTriggered
from market.instrument import Instrument
from market.interval import SECOND_NS
from market.money import ONE, ZERO
from market.ticks import TradeTick
from orders import account, entry_legs, exits, placing
from orders.cancelling import facts_of_end
from orders.desk import Desk
from orders.market_state import MarketState
from orders.order_table import Order
from orders.trailing import NextFire
from risk.approved import Approved, OrderRequest
from risk.gate import Foreseen, GateView
from risk.price_range import PriceRange

NEAR: Final = Decimal("0.01")
"""Only triggers this near to the last price (a ratio of it) are worth the work."""
SLACK: Final = Decimal("0.002")
"""So far beyond what they are now, and beyond the trigger, prices may be when it fires."""
VALID_NS: Final = 3 * SECOND_NS // 2
"""So long after the last step (the timer makes one each second) what was worked out holds."""
CRUMB_MARGIN: Final = Decimal(2)
"""Times the venue's smallest value: a rest below that may be too small, and sold along, by the time the exit fires."""


class _Marks(NamedTuple):
    """Between these the quote of another symbol must lie, of which something is held or wanted."""

    market: MarketState
    low: Decimal
    high: Decimal

    def holds(self) -> bool:
        bid, ask = self.market.bid, self.market.ask
        return bid is not None and ask is not None and self.low <= bid and ask <= self.high


@final
class LoadedOrder:
    """One held order that leaves with the next trade through its trigger. `order` is what leaves then."""

    __slots__ = ("_before", "_desk", "_fire", "_foreseen", "_market", "_others", "_steps", "order")

    def __init__(
        self, desk: Desk, fire: NextFire, order: OrderRequest, before: Sequence[Any], foreseen: Foreseen,
        others: Sequence[_Marks],
    ) -> None:
        self._desk = desk
        self._market = desk.markets[order.symbol]
        self._steps = desk.steps
        self._fire = fire
        self._before = before
        self._foreseen = foreseen
        self._others = others
        self.order = order

    def approve(self, tick: TradeTick) -> Approved | None:
        """The gate's yes to what this trade sets off; None when it sets off nothing, or not just this."""
        desk, market, price, now = self._desk, self._market, tick.price, tick.ts_init
        _, is_falling, trigger, beyond = self._fire
        if not (beyond < price <= trigger if is_falling else trigger <= price < beyond):
            return None
        if desk.steps != self._steps or now < desk.now:
            return None
        for other in self._others:
            if not other.holds():
                return None
        return self._foreseen.approve(market.bid, market.ask, price, now)

    @property
    def reference_price(self) -> Decimal:
        """What a market order would meet now, in quote."""
        return self._market.touch(self.order.side) or ZERO

    def facts(self, ts: int, price: Decimal, reference_price: Decimal) -> list[Message]:
        """What the engine says, up to the sending, of a trade that fires it (`ts` UTC ns), as it would be numbered."""
        order = self.order
        triggered = OrderTriggered(order.client_order_id, order.symbol, self._fire.trigger, price)
        submitted = OrderSubmitted(
            order.client_order_id, order.symbol, order.wire_type, order.quantity, order.price, reference_price,
        )
        return self._desk.maker.foretell([triggered, *self._before, submitted], ts)


def load(desk: Desk) -> list[LoadedOrder]:
    """The orders that fire next on trades, where they can be made ready."""
    if desk.state.grids.started:
        return []  # a grid plans anew behind each step: its plan belongs into the same batch of the journal
    made = []
    for market in desk.markets.values():
        for fire in market.lasts.next_fires() if len(market.lasts) else ():
            loaded = _load(desk, market, fire)
            if loaded is not None:
                made.append(loaded)
    return made


def _load(desk: Desk, market: MarketState, fire: NextFire) -> LoadedOrder | None:
    order, within = desk.state.orders.get(fire.client_order_id), _range(market, fire)
    if order is None or within is None or not order.is_armed:
        return None
    leaves = _exit(desk, order, market) if order.is_exit else _entry(desk, order)
    others = _other_marks(desk, market.symbol)
    if leaves is None or others is None:
        return None
    quantity, before = leaves
    cases = []
    now = (market.bid, market.ask, within.last_low)
    for bid, ask, last in (now, *within.corners()):
        with _quoted(market, bid, ask, last):
            request = exits.wire_request(desk, order.spec, quantity, fire.trigger)
            if order.is_exit:
                request = replace(request, has_fired=True)
            cases.append((request, _worst_view(desk, request, others)))
    foreseen = desk.gate.foresee(cases, within, desk.now + VALID_NS)
    if foreseen is None:
        return None
    return LoadedOrder(desk, fire, cases[0][0], before, foreseen, others)


def _range(market: MarketState, fire: NextFire) -> PriceRange | None:
    """Around the present quote and the trigger; None where the trigger is far, or too little is known."""
    bid, ask, last, trigger, guard = market.bid, market.ask, market.last, fire.trigger, market.guard
    instrument: Instrument = market.instrument
    if bid is None or ask is None or last is None or instrument.price_tick <= ZERO:
        return None
    if trigger <= ZERO or abs(trigger - last) > NEAR * last:
        return None
    if fire.is_falling:
        last_low, last_high = max(trigger * (ONE - SLACK), guard.print_low), min(trigger, guard.print_high)
    else:
        last_low, last_high = max(trigger, guard.print_low), min(trigger * (ONE + SLACK), guard.print_high)
    made = PriceRange(
        min(bid, trigger) * (ONE - SLACK), max(ask, trigger) * (ONE + SLACK), instrument.price_tick,
        last_low, last_high,
    )
    return made if last_low <= last_high and made.holds(bid, ask, last_low) else None


def _entry(desk: Desk, order: Order) -> tuple[Decimal, list[Any]] | None:
    """What it buys, and what is said between the trigger and the sending."""
    spec = order.spec
    if spec.origin == "council" and desk.config.entries is not None:
        return None  # what it may pay hangs on the quote and the hour of the very moment
    if placing.is_long_over(spec, desk.now + VALID_NS):
        return None
    for now in (desk.now, desk.now + VALID_NS):
        if placing.closed_hours(desk, spec, now) is not None:
            return None
    return spec.quantity, []


def _exit(desk: Desk, order: Order, market: MarketState) -> tuple[Decimal, list[Any]] | None:
    """The same of an exit that sells all it wants in one order, while nothing at the venue stands in its way."""
    state, spec = desk.state, order.spec
    held = account.held_quantity(state, market)
    wanted = min(spec.quantity, held)
    free = market.instrument.round_quantity(
        state.ledger.quantity(market.symbol) - account.selling_quantity(state, market.symbol),
    )
    sendable = exits.piece(desk, spec, min(free, wanted))
    parent = state.orders.get(spec.parent_id) if spec.parent_id else None
    is_odd = (
        not state.lets_exit_leave(spec.origin) or spec.client_order_id in desk.not_before
        or state.orders.is_behind(order) or exits.is_resting(order) or not ZERO < wanted <= free
        or sendable != wanted or exits.crumb(desk, spec, wanted, CRUMB_MARGIN) > ZERO
        or (parent is not None and parent.is_working)
        or any(other.is_waiting and other.fires for other in entry_legs.siblings_of(desk, order))
        or (wanted < held and entry_legs.left_to_siblings(desk, order, wanted) > ZERO)
        or (bool(spec.parent_id) and any(each.is_working for each in state.orders.successors(spec.parent_id)))
    )
    if is_odd:
        return None
    before: list[Any] = []
    for other in entry_legs.in_the_way(desk, order, is_all=wanted >= held):
        if other.is_armed:
            before += facts_of_end(desk, other, entry_legs.sells_instead(order))
    return sendable, before


def _other_marks(desk: Desk, symbol: str) -> list[_Marks] | None:
    """Of every other symbol that counts for the account; None when one of them has no quote."""
    names = {each for each, position in desk.state.ledger.positions.items() if position.quantity}
    names.update(each for each, _ in desk.state.orders.commitments.by_symbol())
    found = []
    for name in sorted(names - {symbol}):
        market = desk.markets[name]
        if market.bid is None or market.ask is None:
            return None
        found.append(_Marks(market, market.bid * (ONE - SLACK), market.ask * (ONE + SLACK)))
    return found


def _worst_view(desk: Desk, request: OrderRequest, others: Sequence[_Marks]) -> GateView:
    """The world with the others' quotes wherever they may be: no better for an order than any of them."""
    if not others:
        return desk.view(request)
    views = []
    for is_high in (False, True):
        before = [(each.market, each.market.bid, each.market.ask) for each in others]
        for each in others:
            each.market.bid = each.market.ask = each.high if is_high else each.low
        try:
            views.append(desk.view(request))
        finally:
            for market, bid, ask in before:
                market.bid, market.ask = bid, ask
    low, high = views
    return replace(
        low, equity=min(low.equity, high.equity), available=min(low.available, high.available),
        asset_exposure=max(low.asset_exposure, high.asset_exposure),
        total_exposure=max(low.total_exposure, high.total_exposure),
    )


@contextmanager
def _quoted(
    market: MarketState, bid: Decimal | None, ask: Decimal | None, last: Decimal | None,
) -> Iterator[None]:
    """The market as it would be, for as long as a question takes."""
    before = market.bid, market.ask, market.last
    market.bid, market.ask, market.last = bid, ask, last
    try:
        yield
    finally:
        market.bid, market.ask, market.last = before
