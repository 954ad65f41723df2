"""Every trigger the engine holds, kept in `Trails` per symbol and price lane, armed and disarmed by facts.

A lane is the price a trigger looks at: "last" and "mid" serve both sides; for the price source "bid_ask" a
sell looks at the bid and a buy at the ask.
"""

from decimal import Decimal
from typing import Final, Literal

from bus.ids import ClientOrderId
from bus.messages.orders import PriceSource, Side, SubmitOrder, TrailingAdvanced, TrailingArmed
from orders.trailing import Trails

Lane = Literal["last", "mid", "bid", "ask"]
TARGET_TAG: Final = "target"
"""Marks the target among the exits around an entry."""
LANES: Final[tuple[Lane, ...]] = ("last", "mid", "bid", "ask")


def lane_of(price_source: PriceSource, side: Side) -> Lane:
    """Which price a trigger of this side looks at."""
    if price_source == "bid_ask":
        return "bid" if side == "sell" else "ask"
    return price_source


class Watch:
    """The triggers of all symbols."""

    __slots__ = ("_homes", "_trails")

    def __init__(self) -> None:
        self._trails: dict[tuple[str, Lane], Trails] = {}
        self._homes: dict[ClientOrderId, Trails] = {}

    def trails(self, symbol: str, lane: Lane) -> Trails:
        """The same object for ever, so that the tick path may hold on to it."""
        key = (symbol, lane)
        found = self._trails.get(key)
        if found is None:
            found = self._trails[key] = Trails()
        return found

    def arm(self, fact: TrailingArmed, spec: SubmitOrder, reference: Decimal, ts: int) -> None:
        """Watch an order as the fact says; a trail that waits here for its activation price begins to trail."""
        if fact.client_order_id in self._homes:
            self._homes[fact.client_order_id].activate(fact.client_order_id, fact.best, ts)
            return
        trails = self.trails(fact.symbol, lane_of(fact.price_source, fact.side))
        self._homes[fact.client_order_id] = trails
        trail = spec.trail
        if fact.distance is None or trail is None:
            when: Literal["below", "above"] = "below" if fires_below(spec) else "above"
            trails.arm_stop(fact.client_order_id, fact.side, fact.trigger, when)
            return
        trails.arm_trail(
            fact.client_order_id, fact.side, fact.best, fact.distance, trail.kind == "percent",
            activation_price=trail.activation_price, is_active=fact.is_active, reference=reference,
            break_even_ratio=trail.break_even_ratio, decay_ratio_per_minute=trail.decay_ratio_per_minute,
            decay_floor=trail.decay_floor, now=ts,
        )

    def advance(self, fact: TrailingAdvanced) -> None:
        """A new best price for every armed trail of this symbol, side and source."""
        self.trails(fact.symbol, lane_of(fact.price_source, fact.side)).raise_best(fact.side, fact.best)

    def disarm(self, client_order_id: ClientOrderId) -> bool:
        trails = self._homes.pop(client_order_id, None)
        return trails is not None and trails.disarm(client_order_id)

    def is_active(self, client_order_id: ClientOrderId) -> bool:
        """False for a trail that waits for its activation price, and for what is not watched."""
        trails = self._homes.get(client_order_id)
        return trails is not None and trails.is_active(client_order_id)

    def distance_of(self, client_order_id: ClientOrderId) -> Decimal | None:
        """A trail's present distance; None for a fixed trigger and for what is not watched."""
        trails = self._homes.get(client_order_id)
        return None if trails is None else trails.distance_of(client_order_id)

    def __contains__(self, client_order_id: object) -> bool:
        return client_order_id in self._homes

    def __len__(self) -> int:
        return len(self._homes)

    def trigger_of(self, client_order_id: ClientOrderId) -> Decimal | None:
        """Where it would fire now; None when it is not watched."""
        trails = self._homes.get(client_order_id)
        return None if trails is None else trails.trigger_of(client_order_id)

    def best_of(self, client_order_id: ClientOrderId) -> Decimal | None:
        """The best price a trail has seen; None when it is not watched or has a fixed trigger."""
        trails = self._homes.get(client_order_id)
        return None if trails is None else trails.best_of(client_order_id)


def fires_below(spec: SubmitOrder) -> bool:
    """Does a fixed trigger fire at or below its price? A sell's stop does, and a buy's target.

    What the order is decides, not where the market stood when it was armed: a stop-loss that the price has passed
    already is a stop-loss all the same, and fires at once. Targets around an entry were "stop" orders of that tag once;
    a person's stop may carry the same word, and remains a stop.
    """
    is_target = spec.order_type == "take_profit" or (spec.tag == TARGET_TAG and bool(spec.parent_id))
    return (spec.side == "sell") != is_target
