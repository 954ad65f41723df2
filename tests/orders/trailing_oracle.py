"""The plain loop over orders that `orders.trailing` must agree with: every order looked at on every tick."""

from dataclasses import dataclass
from decimal import Decimal

from bus.ids import ClientOrderId
from bus.messages.orders import Side
from orders.trailing import Activated, Advance, Fire, TrailEvent

ONE = Decimal(1)
SECOND_NS = 1_000_000_000


@dataclass(eq=False)
class PlainOrder:
    client_order_id: ClientOrderId
    number: int
    side: Side
    stop: Decimal | None = None
    when: str = ""
    best: Decimal = ONE
    distance: Decimal = ONE
    is_ratio: bool = True
    activation: Decimal | None = None
    floor: Decimal | None = None
    reference: Decimal = ONE
    break_even: Decimal | None = None
    decay: tuple[Decimal, Decimal, Decimal, int] | None = None  # start, ratio per minute, floor, since

    @property
    def falls(self) -> bool:
        return self.when == "below" if self.stop is not None else self.side == "sell"

    def trigger(self) -> Decimal:
        if self.stop is not None:
            return self.stop
        best = self.best if self.activation is None else self.activation
        sign = 1 if self.side == "sell" else -1
        trigger = best * (1 - sign * self.distance) if self.is_ratio else best - sign * self.distance
        if self.floor is None:
            return trigger
        return max(trigger, self.floor) if self.side == "sell" else min(trigger, self.floor)

    def take_step(self) -> None:
        if self.break_even is None or self.activation is not None:
            return
        if self.side == "sell" and self.best >= self.reference * (1 + self.break_even):
            self.floor = self.reference if self.floor is None else max(self.floor, self.reference)
        if self.side == "buy" and self.best <= self.reference * (1 - self.break_even):
            self.floor = self.reference if self.floor is None else min(self.floor, self.reference)


class PlainTrails:
    def __init__(self) -> None:
        self.orders: dict[ClientOrderId, PlainOrder] = {}
        self.count = 0

    def arm(self, order: PlainOrder) -> Decimal:
        self.count += 1
        order.number = self.count
        self.orders[order.client_order_id] = order
        order.take_step()
        return order.trigger()

    def on_price(self, price: Decimal) -> list[TrailEvent]:
        events: list[TrailEvent] = []
        for falls in (True, False):
            fired = [
                order for order in self.orders.values()
                if order.falls is falls and order.activation is None
                and (price <= order.trigger() if falls else price >= order.trigger())
            ]
            fired.sort(key=lambda order: (-order.trigger() if order.falls else order.trigger(), order.number))
            for order in fired:
                best = None if order.stop is not None else order.best
                events.append(Fire(order.client_order_id, order.trigger(), price, best))
                del self.orders[order.client_order_id]
        for side in ("sell", "buy"):
            events.extend(self._follow(side, price))
        return events

    def _follow(self, side: Side, price: Decimal) -> list[TrailEvent]:
        events: list[TrailEvent] = []
        up = side == "sell"
        trails = [order for order in self.orders.values() if order.side == side and order.stop is None]
        woken = [
            order for order in trails
            if order.activation is not None and (price >= order.activation if up else price <= order.activation)
        ]
        woken.sort(key=lambda order: (order.activation if up else -order.activation, order.number))  # type: ignore[operator]
        for order in woken:
            order.activation, order.best = None, price
            order.take_step()
            events.append(Activated(order.client_order_id, side, price, order.trigger()))
        moved = 0
        for order in trails:
            if order.activation is None and (order.best < price if up else order.best > price):
                order.best = price
                order.take_step()
                moved += 1
        if moved:
            at_best = [order for order in trails if order.activation is None and order.best == price]
            nearest = min(at_best, key=lambda o: (-o.trigger() if up else o.trigger(), o.number))
            events.append(Advance(side, price, moved, nearest.client_order_id, nearest.trigger()))
        return events

    def on_time(self, now: int) -> None:
        for order in self.orders.values():
            if order.decay is None or order.activation is not None:
                continue
            start, ratio, floor, since = order.decay
            steps = max(0, (now - since) // (3 * SECOND_NS))  # three seconds are 0.05 minutes
            order.distance = min(order.distance, max(floor, start - start * ratio * steps / 20))
