"""Held orders as a plain loop over all of them, with every option of T3: what the engine must do tick for tick.

It knows nothing of groups, heaps or quiet paths: each believed price is shown to each order.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from bus.ids import ClientOrderId
from bus.messages.orders import SubmitOrder, TrailSpec
from market.ticks import QuoteTick, TradeTick
from orders.trailing import Activated, Fire
from tests.orders.plain_prices import PlainPrices
from tests.orders.trailing_oracle import PlainOrder, PlainTrails

Lane = str
Told = tuple[object, ...]


@dataclass(frozen=True)
class Held:
    """A held order and the trail it was armed with."""

    spec: SubmitOrder
    lane: Lane


class PlainEngine:
    """`told` is what happened, in order: ("fired", id, trigger, price, wire price) and ("expired", id)."""

    def __init__(self, collar: Decimal, tick: Decimal) -> None:
        self.prices = PlainPrices(collar)
        self.lanes: dict[Lane, PlainTrails] = {lane: PlainTrails() for lane in ("last", "mid", "bid", "ask")}
        self.held: dict[ClientOrderId, Held] = {}
        self.told: list[Told] = []
        self._tick = tick

    def submit(self, spec: SubmitOrder, now: int) -> None:
        source = spec.trail.price_source if spec.trail is not None else "last"
        lane = source if source != "bid_ask" else "bid" if spec.side == "sell" else "ask"
        price = self._price(lane)
        assert price is not None
        self.held[spec.client_order_id] = Held(spec, lane)
        self.lanes[lane].arm(_order(spec, price, now))

    def cancel(self, client_order_id: ClientOrderId) -> None:
        held = self.held.pop(client_order_id)
        del self.lanes[held.lane].orders[client_order_id]

    def hear(self, item: TradeTick | QuoteTick, now: int) -> None:
        # One at a time: what the first does happens before the second is in force.
        believed = self.prices.guard.judge_print(item, self.prices) if isinstance(item, TradeTick) else (
            self.prices.guard.judge_quote(item, self.prices))
        for each in believed:
            self.prices.take(each)
            for lane in ("last",) if isinstance(each, TradeTick) else ("mid", "bid", "ask"):
                self._show(lane, now)

    def second(self, now: int) -> None:
        for lane, trails in self.lanes.items():
            trails.on_time(now)
            self._show(lane, now)
        for client_order_id, held in list(self.held.items()):
            if held.spec.expire_at and now >= held.spec.expire_at:
                self.cancel(client_order_id)
                self.told.append(("expired", client_order_id))

    def _price(self, lane: Lane) -> Decimal | None:
        prices = self.prices
        if lane == "last":
            return prices.last
        if prices.bid is None or prices.ask is None:
            return None
        return (prices.bid + prices.ask) / 2 if lane == "mid" else prices.bid if lane == "bid" else prices.ask

    def _show(self, lane: Lane, now: int) -> None:
        price = self._price(lane)
        if price is None:
            return
        trails = self.lanes[lane]
        waiting = {name: order.decay for name, order in trails.orders.items() if order.activation is not None}
        for event in trails.on_price(price):
            if isinstance(event, Fire):
                held = self.held.pop(event.client_order_id)
                if held.spec.side == "buy" and 0 < held.spec.expire_at <= now - 2_000_000_000:
                    self.told.append(("expired", event.client_order_id))
                    continue
                wire = self.wire_price(held.spec, event.trigger)
                self.told.append(("fired", event.client_order_id, event.trigger, event.price, wire))
            elif isinstance(event, Activated) and (decay := waiting[event.client_order_id]) is not None:
                start, ratio, floor, _ = decay
                trails.orders[event.client_order_id].decay = (start, ratio, floor, now)

    def wire_price(self, spec: SubmitOrder, trigger: Decimal) -> Decimal | None:
        """The limit with which it leaves when it fires, None for a market order."""
        if spec.trail is None or spec.trail.limit_offset is None:
            return None
        sell = spec.side == "sell"
        beyond = trigger * (1 - spec.trail.limit_offset if sell else 1 + spec.trail.limit_offset)
        return (beyond / self._tick).to_integral_value(ROUND_CEILING if sell else ROUND_FLOOR) * self._tick


def _order(spec: SubmitOrder, price: Decimal, now: int) -> PlainOrder:
    if spec.trail is None:
        assert spec.stop_price is not None
        when = "below" if spec.stop_price < price or (spec.stop_price == price and spec.side == "sell") else "above"
        return PlainOrder(spec.client_order_id, 0, spec.side, stop=spec.stop_price, when=when)
    trail: TrailSpec = spec.trail
    start = trail.activation_price
    is_active = start is None or (price >= start if spec.side == "sell" else price <= start)
    order = PlainOrder(
        spec.client_order_id, 0, spec.side, best=price, distance=trail.distance, is_ratio=trail.kind == "percent",
        activation=None if is_active else start, reference=price, break_even=trail.break_even_ratio,
    )
    if trail.decay_ratio_per_minute is not None and trail.decay_floor is not None:
        order.decay = (trail.distance, trail.decay_ratio_per_minute, trail.decay_floor, now)
    return order
