"""Trailing stops, stops and price touches held by the engine: a quiet tick costs one comparison, however many.

A SELL trail follows the highest price since it became active and fires at or under best*(1-ratio) or
best-distance; a BUY trail follows the lowest and fires at or over best*(1+ratio) or best+distance. The
best never moves back. Trails with the same best share a group, and a new extreme merges the groups it
passes, so each tick costs amortised O(log n) at most (`orders.trailing_wing`).

One tick, in this order: what fires at this price fires (against the triggers as they stood before the tick),
then waiting trails whose activation price is reached begin to trail, then bests move. Fires on a fall come
before fires on a rise; within each the trigger nearest to where the price came from is first, and equal
triggers go in order of arming.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from bus.ids import ClientOrderId
from bus.messages.orders import Side
from market.money import ONE, ZERO
from orders.trailing_groups import ALWAYS_ABOVE, Decay, Watch
from orders.trailing_wing import Wing

_QUIET: Final = ()


class TrailError(ValueError):
    """A trail or stop that cannot be watched as asked; nothing was changed."""


class Fire(NamedTuple):
    """The order fired at `price`, its trigger stood at `trigger`; it is no longer watched.

    `best` is the trail's best price, None for a stop: with it the order can be armed again.
    """

    client_order_id: ClientOrderId
    trigger: Decimal
    price: Decimal
    best: Decimal | None = None


class Advance(NamedTuple):
    """`count` trails of `side` now have the best price `best`.

    `client_order_id` is the one nearest to firing among all trails with this best, at `trigger`.
    """

    side: Side
    best: Decimal
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody calls on an event
    client_order_id: ClientOrderId
    trigger: Decimal


class Activated(NamedTuple):
    """Its activation price was reached: it trails from now on."""

    client_order_id: ClientOrderId
    side: Side
    best: Decimal
    trigger: Decimal


TrailEvent = Fire | Advance | Activated


class NextFire(NamedTuple):
    """What fires next in one direction: alone at prices from `trigger` up to, not including, `beyond`."""

    client_order_id: ClientOrderId
    is_falling: bool
    trigger: Decimal
    beyond: Decimal


class Trails:
    """The watched orders of one symbol and one price source. Prices are positive, in quote currency."""

    __slots__ = (
        "_busy_high", "_busy_low", "_count", "_decaying", "_fall", "_fence_high", "_fence_low", "_high", "_low",
        "_rise", "quiet_high", "quiet_low", "watches",
    )

    def __init__(self) -> None:
        self._fall = Wing(is_falling=True)
        self._rise = Wing(is_falling=False)
        self.watches: dict[ClientOrderId, Watch] = {}  # public for a caller that has no call to spare
        self._decaying: dict[ClientOrderId, Watch] = {}
        self._count = 0
        self._low = ZERO  # between these two a price has no effect
        self._high = ALWAYS_ABOVE
        self._busy_low = ALWAYS_ABOVE  # between these two it does no more than move one group's best
        self._busy_high = ZERO
        self._fence_low = ZERO
        self._fence_high = ALWAYS_ABOVE
        # as _low and _high, but never outside the fence: for callers that have no call to spare on a quiet tick
        self.quiet_low = ZERO
        self.quiet_high = ALWAYS_ABOVE

    def __len__(self) -> int:
        return len(self.watches)

    def __contains__(self, client_order_id: object) -> bool:
        return client_order_id in self.watches

    # ---- in and out --------------------------------------------------------------------------------

    def arm_trail(
        self, client_order_id: ClientOrderId, side: Side, best: Decimal, distance: Decimal, is_ratio: bool, *,
        activation_price: Decimal | None = None, is_active: bool | None = None, floor: Decimal | None = None,
        reference: Decimal | None = None, break_even_ratio: Decimal | None = None,
        decay_ratio_per_minute: Decimal | None = None, decay_floor: Decimal | None = None, now: int = 0,
    ) -> Decimal:
        """Watch a trail; returns its trigger (for a waiting one: the trigger it will begin with).

        `best` is the best price so far, at first the reference price. `distance` is a ratio (0.02 = 2 %)
        or in quote currency. `is_active` defaults to "no activation price given"; a waiting SELL trail
        begins when the price is at or over `activation_price`, a BUY trail at or under. `floor`: the trigger
        never lies on the losing side of this price (under it for a SELL). Break-even: once `best` has
        made a favourable move of `break_even_ratio` from `reference` (default: `best` as armed), the reference
        is such a floor. Decay: from `now` (UTC ns; for a waiting trail from its activation) the distance
        shrinks linearly by this share of its start per minute, down to `decay_floor`, when `on_time` is called.

        Raises `TrailError` for a known id or values that make no sense.
        """
        waits = activation_price is not None if is_active is None else not is_active
        if waits and activation_price is None:
            raise TrailError(f"{client_order_id}: a trail that is not active needs an activation_price")
        _check_prices(
            client_order_id, best=best, activation_price=activation_price, floor=floor, reference=reference
        )
        _check_distance(client_order_id, distance, is_ratio)
        _check_break_even(client_order_id, break_even_ratio)
        decay = _decay(client_order_id, distance, decay_ratio_per_minute, decay_floor, now)
        wing = self._fall if side == "sell" else self._rise
        watch = self._new_watch(client_order_id, wing)
        watch.best = wing.level(best)
        watch.reference = wing.level(best if reference is None else reference)
        watch.floor = None if floor is None else wing.level(floor)
        watch.step = None if break_even_ratio is None else wing.step_level(watch.reference, break_even_ratio)
        watch.decay = decay
        wing.set_distance(watch, distance, is_ratio)
        if waits and activation_price is not None:
            wing.add_waiting(watch, wing.level(activation_price))
        else:
            wing.add_trail(watch, watch.best)
            if decay is not None:
                self._decaying[client_order_id] = watch
        self._settle(wing)
        return wing.level(wing.trigger_of(watch))

    def arm_stop(
        self, client_order_id: ClientOrderId, side: Side, stop_price: Decimal, when: Literal["below", "above"]
    ) -> None:
        """Watch a fixed trigger: fires at or under ("below") or at or over ("above") `stop_price`.

        A stop-loss of a long position is a sell "below"; its take-profit a sell "above". Raises `TrailError`.
        """
        if when not in ("below", "above"):
            raise TrailError(f"{client_order_id}: when is {when!r}; it must be \"below\" or \"above\"")
        if side not in ("sell", "buy"):
            raise TrailError(f"{client_order_id}: side is {side!r}; it must be \"sell\" or \"buy\"")
        _check_prices(client_order_id, stop_price=stop_price)
        wing = self._fall if when == "below" else self._rise
        wing.add_stop(self._new_watch(client_order_id, wing), wing.level(stop_price))
        self._settle(wing)

    def disarm(self, client_order_id: ClientOrderId) -> bool:
        """Stop watching; false if it was not watched."""
        watch = self.watches.pop(client_order_id, None)
        if watch is None:
            return False
        self._decaying.pop(client_order_id, None)
        wing = self._wing(watch)
        wing.remove(watch)
        self._settle(wing)
        return True

    def amend_trail(
        self, client_order_id: ClientOrderId, distance: Decimal, is_ratio: bool, *,
        activation_price: Decimal | None = None, break_even_ratio: Decimal | None = None,
        decay_ratio_per_minute: Decimal | None = None, decay_floor: Decimal | None = None, now: int = 0,
    ) -> Decimal:
        """Give a trail a whole new rule, tighter or wider; returns the new trigger.

        It keeps its best, its reference, its turn among equals and a break-even floor already reached. A
        new `activation_price` counts only while it still waits (None keeps the old). Decay starts anew at `now`.
        Raises `TrailError` for an unknown id, a stop, or values that make no sense.
        """
        watch = self._known(client_order_id)
        if watch.stop is not None:
            raise TrailError(f"{client_order_id}: is a stop, not a trail: use amend_stop")
        _check_prices(client_order_id, activation_price=activation_price)
        _check_distance(client_order_id, distance, is_ratio)
        _check_break_even(client_order_id, break_even_ratio)
        watch.decay = _decay(client_order_id, distance, decay_ratio_per_minute, decay_floor, now)
        wing = self._wing(watch)
        if watch.activation is not None and activation_price is not None:
            wing.add_waiting(watch, wing.level(activation_price))
        wing.change_distance(watch, distance, is_ratio)
        wing.change_step(
            watch, None if break_even_ratio is None else wing.step_level(watch.reference, break_even_ratio)
        )
        self._decaying.pop(client_order_id, None)
        if watch.decay is not None and watch.activation is None:
            self._decaying[client_order_id] = watch
        self._settle(wing)
        return wing.level(wing.trigger_of(watch))

    def amend_stop(self, client_order_id: ClientOrderId, stop_price: Decimal) -> None:
        """Move a stop. Raises `TrailError` for an unknown id or a trail."""
        watch = self._known(client_order_id)
        if watch.stop is None:
            raise TrailError(f"{client_order_id}: is a trail, not a stop: use amend_trail")
        _check_prices(client_order_id, stop_price=stop_price)
        wing = self._wing(watch)
        wing.add_stop(watch, wing.level(stop_price))
        self._settle(wing)

    def fence(self, low: Decimal, high: Decimal) -> None:
        """Only prices between these are quiet for `quiet_low` and `quiet_high`; it changes nothing else."""
        self._fence_low, self._fence_high = low, high
        self.quiet_low, self.quiet_high = max(self._low, low), min(self._high, high)

    # ---- what happens ------------------------------------------------------------------------------

    def on_price(self, price: Decimal) -> Sequence[TrailEvent]:
        """What this price does; () on a quiet tick.

        Raises `TrailError` for a price that is not positive or infinite, decimal.InvalidOperation for NaN.
        """
        if self._low < price < self._high:
            return _QUIET
        return self._act(price)

    def on_time(self, now: int, price: Decimal | None = None) -> Sequence[TrailEvent]:
        """Tighten the trails that decay with time (call it once a second; costs what decays, not what is armed).

        `price` is the last believed price, if there is one: a trigger that has come to it fires now
        instead of at the next tick.
        """
        if self._decaying:
            for client_order_id, watch in list(self._decaying.items()):
                decay = watch.decay
                assert decay is not None  # noqa: S101 - only trails with a decay are listed
                distance = decay.distance_at(now)
                if distance < watch.distance:
                    self._wing(watch).change_distance(watch, distance, watch.is_ratio)
                if distance <= decay.floor:
                    del self._decaying[client_order_id]
            self._fall.refresh()
            self._rise.refresh()
            self._set_bounds()
        return _QUIET if price is None else self.on_price(price)

    def activate(self, client_order_id: ClientOrderId, best: Decimal, now: int) -> Decimal:
        """A waiting trail trails from `best` on, and its decay starts at `now`; returns the trigger.

        For the `Activated` fact, live and in a restart alike: on a trail that is active already only the
        start of the decay is set, and the best raised if `best` is better. Raises `TrailError`.
        """
        watch = self._known(client_order_id)
        if watch.stop is not None:
            raise TrailError(f"{client_order_id}: is a stop, it has no activation")
        _check_prices(client_order_id, best=best)
        wing = self._wing(watch)
        level = wing.level(best)
        if watch.activation is not None:
            wing.add_trail(watch, level)
        elif wing.best_of(watch) < level:
            wing.remove(watch)
            wing.add_trail(watch, level)
        if watch.decay is not None:
            watch.decay = Decay(watch.decay.start, watch.decay.ratio_per_minute, watch.decay.floor, now)
            self._decaying[client_order_id] = watch
        self._settle(wing)
        return wing.level(wing.trigger_of(watch))

    def raise_best(self, side: Side, best: Decimal) -> int:
        """Fold a journalled advance: every active trail of `side` has at least this best; how many moved.

        Nothing fires and nothing is activated by it. Live it finds everything done already.
        """
        _check_prices(ClientOrderId("raise_best"), best=best)
        wing = self._fall if side == "sell" else self._rise
        moved = wing.follow(wing.level(best))
        if moved:
            self._settle(wing)
        return moved

    # ---- what is known -----------------------------------------------------------------------------

    def next_fires(self) -> list[NextFire]:
        """What fires next on a fall and on a rise, where one order does so alone."""
        found = []
        for wing, other in ((self._fall, self._rise), (self._rise, self._fall)):
            alone = wing.next_alone()
            if alone is not None and other.fire_level < alone[1].copy_negate():
                watch, level, beyond = alone
                found.append(NextFire(watch.client_order_id, wing.is_falling, wing.level(level), wing.level(beyond)))
        return found

    def trigger_of(self, client_order_id: ClientOrderId) -> Decimal:
        """Where it fires now (a waiting trail: where it will begin). Raises `TrailError` for an unknown id."""
        watch = self._known(client_order_id)
        wing = self._wing(watch)
        return wing.level(wing.trigger_of(watch))

    def best_of(self, client_order_id: ClientOrderId) -> Decimal | None:
        """A trail's best price (a waiting one: as armed), None for a stop. Raises `TrailError` for an unknown id."""
        watch = self._known(client_order_id)
        wing = self._wing(watch)
        return wing.level(wing.best_of(watch)) if watch.stop is None else None

    def distance_of(self, client_order_id: ClientOrderId) -> Decimal | None:
        """A trail's present distance (decay included), None for a stop. Raises `TrailError` for an unknown id."""
        watch = self._known(client_order_id)
        return watch.distance if watch.stop is None else None

    def is_active(self, client_order_id: ClientOrderId) -> bool:
        """False while a trail waits for its activation price. Raises `TrailError` for an unknown id."""
        return self._known(client_order_id).activation is None

    # ---- inside ------------------------------------------------------------------------------------

    def _new_watch(self, client_order_id: ClientOrderId, wing: Wing) -> Watch:
        if client_order_id in self.watches:
            raise TrailError(f"{client_order_id}: is armed already: amend or disarm it first")
        self._count += 1
        watch = self.watches[client_order_id] = Watch(client_order_id, self._count, wing.is_falling)
        return watch

    def _wing(self, watch: Watch) -> Wing:
        return self._fall if watch.is_falling else self._rise

    def _known(self, client_order_id: ClientOrderId) -> Watch:
        watch = self.watches.get(client_order_id)
        if watch is None:
            raise TrailError(f"{client_order_id}: is not armed here")
        return watch

    def _settle(self, wing: Wing) -> None:
        wing.refresh()
        self._set_bounds()

    def _set_bounds(self) -> None:
        fall, rise = self._fall, self._rise
        self._low = max(ZERO, fall.fire_level, rise.follow_level.copy_negate())
        self._high = min(fall.follow_level, rise.fire_level.copy_negate())
        self._busy_low = max(ZERO, fall.fire_level, rise.busy_level.copy_negate())
        self._busy_high = min(fall.busy_level, rise.fire_level.copy_negate())
        self.quiet_low, self.quiet_high = max(self._low, self._fence_low), min(self._high, self._fence_high)

    def _act(self, price: Decimal) -> Sequence[TrailEvent]:
        if self._low < price < self._busy_high:
            return self._advance_sells(price)
        if self._busy_low < price < self._high:
            return self._advance_buys(price)
        if not ZERO < price < ALWAYS_ABOVE:
            raise TrailError(f"{price} is no price: it must be positive and finite")
        events: list[TrailEvent] = []
        mirrored = price.copy_negate()
        if price <= self._fall.fire_level:
            self._fire(self._fall, price, price, events)
        if mirrored <= self._rise.fire_level:
            self._fire(self._rise, mirrored, price, events)
        if price >= self._fall.follow_level:
            self._follow(self._fall, price, price, events)
        if mirrored >= self._rise.follow_level:
            self._follow(self._rise, mirrored, price, events)
        if not events:
            return _QUIET
        self._set_bounds()
        return events

    def _advance_sells(self, price: Decimal) -> Sequence[TrailEvent]:
        """A new high that moves the front group and does nothing else."""
        wing = self._fall
        moved = wing.advance(price)
        nearest = wing.front_watch
        if not moved or nearest is None:
            return _QUIET
        trigger = wing.front_level
        self._high = self.quiet_high = price
        if trigger > self._low:
            self._low = trigger
            if trigger > self.quiet_low:
                self.quiet_low = trigger
        if trigger > self._busy_low:
            self._busy_low = trigger
        return (Advance("sell", price, moved, nearest.client_order_id, trigger),)

    def _advance_buys(self, price: Decimal) -> Sequence[TrailEvent]:
        """A new low that moves the front group and does nothing else."""
        wing = self._rise
        moved = wing.advance(price.copy_negate())
        nearest = wing.front_watch
        if not moved or nearest is None:
            return _QUIET
        trigger = wing.front_level.copy_negate()
        self._low = self.quiet_low = price
        if trigger < self._high:
            self._high = trigger
            if trigger < self.quiet_high:
                self.quiet_high = trigger
        if trigger < self._busy_high:
            self._busy_high = trigger
        return (Advance("buy", price, moved, nearest.client_order_id, trigger),)

    def _fire(self, wing: Wing, level: Decimal, price: Decimal, events: list[TrailEvent]) -> None:
        for negated, _, watch, best in wing.fire(level):
            del self.watches[watch.client_order_id]
            if watch.decay is not None:
                self._decaying.pop(watch.client_order_id, None)
            events.append(
                Fire(
                    watch.client_order_id, wing.level(negated.copy_negate()), price,
                    None if best is None else wing.level(best),
                )
            )
        wing.refresh()

    def _follow(self, wing: Wing, level: Decimal, price: Decimal, events: list[TrailEvent]) -> None:
        side: Side = "sell" if wing.is_falling else "buy"
        woken = wing.wake(level)
        moved = wing.follow(level)
        if not (woken or moved):
            return
        wing.refresh()
        for watch in woken:
            if watch.decay is not None:
                self._decaying[watch.client_order_id] = watch
            events.append(Activated(watch.client_order_id, side, price, wing.level(wing.trigger_of(watch))))
        nearest = wing.front_watch
        if moved and nearest is not None:
            events.append(Advance(side, price, moved, nearest.client_order_id, wing.level(wing.front_level)))


def _check_prices(client_order_id: ClientOrderId, **prices: Decimal | None) -> None:
    for name, price in prices.items():
        if price is not None and not (price.is_finite() and price > ZERO):
            raise TrailError(f"{client_order_id}: {name} is {price}; a price must be positive and finite")


def _check_distance(client_order_id: ClientOrderId, distance: Decimal, is_ratio: bool) -> None:
    if not (distance.is_finite() and distance > ZERO and (distance < ONE or not is_ratio)):
        allowed = "a ratio between 0 and 1 (0.02 is 2 %)" if is_ratio else "a positive amount of quote currency"
        raise TrailError(f"{client_order_id}: trail distance is {distance}; it must be {allowed}")


def _check_break_even(client_order_id: ClientOrderId, ratio: Decimal | None) -> None:
    if ratio is not None and not ZERO < ratio < ONE:
        raise TrailError(f"{client_order_id}: break_even_ratio is {ratio}; it must be between 0 and 1 (0.01 is 1 %)")


def _decay(
    client_order_id: ClientOrderId, distance: Decimal, ratio_per_minute: Decimal | None,
    floor: Decimal | None, now: int,
) -> Decay | None:
    if ratio_per_minute is None:
        return None
    if not ZERO < ratio_per_minute <= ONE:
        raise TrailError(
            f"{client_order_id}: decay_ratio_per_minute is {ratio_per_minute}; it must be over 0 and at most 1"
        )
    if floor is None or not ZERO < floor <= distance:
        raise TrailError(
            f"{client_order_id}: decay_floor is {floor}; a decaying trail needs one over 0 and at most its distance"
        )
    return Decay(distance, ratio_per_minute, floor, now)
