"""What is watched, and the groups of trails that share a best price (under `orders.trailing_wing`).

Everything here speaks *levels*: prices seen from one direction. For what fires on a fall (sell trails, stops
below) a level is the price; for what fires on a rise it is the price negated. So a best level only ever
rises, triggers lie under it, and a level at or under a trigger fires, in both directions.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from bus.ids import ClientOrderId
from market.money import ONE
from orders.keyed_heap import KeyedHeap

NEVER: Final = Decimal("-Infinity")
"""No level is at or under it: nothing fires."""
ALWAYS_ABOVE: Final = Decimal("Infinity")
"""No level reaches it."""

_STEP_NS: Final = 3_000_000_000
_STEP_MINUTES: Final = Decimal("0.05")


@dataclass(frozen=True, slots=True)
class Decay:
    """A distance that shrinks with time: linearly, by `ratio_per_minute` of `start`, down to `floor`.

    It goes in steps of three seconds, a twentieth of a minute: so it stays an exact decimal, and trails armed
    at different times do not all tighten in the same second.
    """

    start: Decimal
    ratio_per_minute: Decimal
    floor: Decimal
    since: int

    def distance_at(self, now: int) -> Decimal:
        """The distance at `now` (UTC ns)."""
        steps = max(0, (now - self.since) // _STEP_NS)
        return max(self.floor, self.start - self.start * self.ratio_per_minute * steps * _STEP_MINUTES)


@dataclass(slots=True, eq=False)
class Watch:
    """One order under watch: a fixed stop (`stop` is set) or a trail. `number` is the order of arming;
    `is_falling` says in which direction it fires.

    `activation` is set while the trail still waits for it; `floor` is a level its trigger never lies
    under; `step` is the level whose reaching makes `reference` the floor (break-even).
    """

    client_order_id: ClientOrderId
    number: int
    is_falling: bool
    stop: Decimal | None = None
    distance: Decimal = ONE
    is_ratio: bool = True
    factor: Decimal = ONE
    best: Decimal = ONE
    group: "TrailGroup | None" = None
    activation: Decimal | None = None
    floor: Decimal | None = None
    reference: Decimal = ONE
    step: Decimal | None = None
    decay: Decay | None = None

    def trigger_from(self, best: Decimal) -> Decimal:
        """The level at which it fires when its best level is `best`."""
        trigger = best * self.factor if self.is_ratio else best - self.distance
        return trigger if self.floor is None or self.floor < trigger else self.floor


class TrailGroup:
    """Trails that share one best level: a heap for ratio distances, one for absolute ones, one for floors."""

    __slots__ = ("absolutes", "best", "floors", "merged_into", "number", "ratios", "size")

    def __init__(self, best: Decimal, number: int) -> None:
        self.best = best
        self.number = number
        self.size = 0
        self.merged_into: TrailGroup | None = None
        self.ratios: KeyedHeap[Watch] | None = None
        self.absolutes: KeyedHeap[Watch] | None = None
        self.floors: KeyedHeap[Watch] | None = None

    def add(self, watch: Watch) -> None:
        watch.group = self
        self.size += 1
        self.place_distance(watch)
        self.place_floor(watch)

    def place_distance(self, watch: Watch) -> None:
        """Sort the watch in by its present distance."""
        if watch.is_ratio:
            if self.ratios is None:
                self.ratios = KeyedHeap()
            self.ratios.push(watch.distance, watch.number, watch)
        else:
            if self.absolutes is None:
                self.absolutes = KeyedHeap()
            self.absolutes.push(watch.distance, watch.number, watch)

    def place_floor(self, watch: Watch) -> None:
        """Sort the watch in by its floor, if it has one."""
        if watch.floor is not None:
            if self.floors is None:
                self.floors = KeyedHeap()
            self.floors.push(watch.floor.copy_negate(), watch.number, watch)

    def take_out(self, watch: Watch) -> None:
        """Out of the heaps; it stays a member until `drop`."""
        if self.ratios is not None:
            self.ratios.discard(watch.number)
        if self.absolutes is not None:
            self.absolutes.discard(watch.number)
        if self.floors is not None:
            self.floors.discard(watch.number)
        self.forget_empty_heaps()

    def forget_empty_heaps(self) -> None:
        """A heap that is there has a head: `nearest` relies on it."""
        self.ratios = self.ratios or None
        self.absolutes = self.absolutes or None
        self.floors = self.floors or None

    def drop(self, watch: Watch) -> None:
        self.take_out(watch)
        watch.group = None
        self.size -= 1

    def drop_fired(self, level: Decimal) -> list[Watch]:
        """Take out every member whose trigger is at or over `level`."""
        best = self.best
        fired: list[Watch] = []
        if self.floors is not None:
            fired = self.floors.pop_while(lambda watch: watch.floor is not None and watch.floor >= level)
            self.forget_empty_heaps()
            for watch in fired:
                self.take_out(watch)
        for heap in (self.ratios, self.absolutes):
            if heap is not None:
                by_distance = heap.pop_while(
                    lambda watch: (best * watch.factor if watch.is_ratio else best - watch.distance) >= level
                )
                if self.floors is not None:
                    self.floors.discard_all(watch.number for watch in by_distance)
                fired += by_distance
        self.forget_empty_heaps()
        for watch in fired:
            watch.group = None
        self.size -= len(fired)
        return fired

    def nearest(self) -> tuple[Decimal, Watch]:
        """The highest trigger of the group and its order (the earliest armed of equals). Not for an empty group."""
        level, chosen = NEVER, None
        best = self.best
        if self.ratios is not None:
            chosen = self.ratios.entries[0][2]
            level = best * chosen.factor
        if self.absolutes is not None:
            watch = self.absolutes.entries[0][2]
            trigger = best - watch.distance
            if chosen is None or trigger > level or (trigger == level and watch.number < chosen.number):
                level, chosen = trigger, watch
        if self.floors is not None:
            watch = self.floors.entries[0][2]
            floor = watch.floor
            if floor is not None and (
                chosen is None or floor > level or (floor == level and watch.number < chosen.number)
            ):
                level, chosen = floor, watch
        assert chosen is not None  # noqa: S101 - an empty group has left the stack
        return level, chosen

    def absorb(self, others: "list[TrailGroup]") -> None:
        """Become the home of all members of the others."""
        for name in ("ratios", "absolutes", "floors"):
            heaps = [heap for other in others if (heap := getattr(other, name)) is not None]
            if heaps:
                own = getattr(self, name)
                if own is None:
                    own = KeyedHeap()
                    setattr(self, name, own)
                own.absorb(heaps)
        for other in others:
            other.merged_into = self
            other.ratios = other.absolutes = other.floors = None
            self.size += other.size


def home_of(watch: Watch) -> TrailGroup:
    """The group the watch lives in now (groups that merged leave a forwarding address, shortened here)."""
    group = watch.group
    assert group is not None  # noqa: S101 - callers ask for active trails only
    while (nearer := group.merged_into) is not None:
        if nearer.merged_into is not None:
            group.merged_into = nearer.merged_into
        group = nearer
    watch.group = group
    return group
