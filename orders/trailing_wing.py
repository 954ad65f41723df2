"""All that fires in one direction: stops, waiting trails, and the monotone stack of groups that share a best.

Speaks levels, not prices (see `orders.trailing_groups`).
"""

from bisect import bisect_left
from decimal import Decimal
from typing import Final

from market.money import ONE
from orders.keyed_heap import KeyedHeap
from orders.trailing_groups import ALWAYS_ABOVE, NEVER, TrailGroup, Watch, home_of

Fired = tuple[Decimal, int, Watch, Decimal | None]
"""Trigger level negated (so that the nearest sorts first), number, watch, best level (None for a stop)."""

_FEW: Final = 32


class Wing:
    """All that fires in one direction. After a change call `refresh`: it brings the two limits up to date.

    `fire_level`: something fires at a level at or under it. `follow_level`: a level over it moves a best, one
    at it may wake a waiting trail. Between the two a tick has no effect. A level from `follow_level` up to, not
    including, `busy_level` moves the front group and does nothing else.
    """

    __slots__ = (
        "_behind", "_group_count", "_groups", "_steps", "_stops", "_waiting", "busy_level", "fire_level",
        "follow_level", "front_level", "front_watch", "is_falling",
    )

    def __init__(self, is_falling: bool) -> None:
        self.is_falling = is_falling
        self._groups: list[TrailGroup] = []  # best levels fall towards the end; the last is passed first
        self._behind: KeyedHeap[TrailGroup] = KeyedHeap()  # all but the last, by their nearest trigger
        self._stops: KeyedHeap[Watch] = KeyedHeap()
        self._waiting: KeyedHeap[Watch] = KeyedHeap()
        self._steps: KeyedHeap[Watch] = KeyedHeap()
        self._group_count = 0
        self.fire_level = NEVER
        self.follow_level = ALWAYS_ABOVE
        self.busy_level = NEVER
        self.front_level = NEVER
        self.front_watch: Watch | None = None

    def level(self, price: Decimal) -> Decimal:
        """A price as a level; also the way back. Exact."""
        return price if self.is_falling else price.copy_negate()

    def set_distance(self, watch: Watch, distance: Decimal, is_ratio: bool) -> None:
        watch.distance, watch.is_ratio = distance, is_ratio
        watch.factor = (ONE - distance if self.is_falling else ONE + distance) if is_ratio else ONE

    def step_level(self, reference: Decimal, break_even_ratio: Decimal) -> Decimal:
        """The level reached by a favourable move of the ratio from the reference level."""
        return reference * (ONE + break_even_ratio if self.is_falling else ONE - break_even_ratio)

    # ---- in and out --------------------------------------------------------------------------------

    def add_stop(self, watch: Watch, level: Decimal) -> None:
        watch.stop = level
        self._stops.push(level.copy_negate(), watch.number, watch)

    def add_waiting(self, watch: Watch, activation: Decimal) -> None:
        watch.activation = activation
        self._waiting.push(activation, watch.number, watch)

    def add_trail(self, watch: Watch, best: Decimal) -> None:
        """From now on it trails, with this best level; a waiting one stops waiting."""
        if watch.activation is not None:
            self._waiting.discard(watch.number)
            watch.activation = None
        self._take_step(watch, best)
        groups = self._groups
        index = bisect_left(groups, best.copy_negate(), key=_negated_best)
        if index == len(groups) or groups[index].best != best:
            self._group_count += 1
            if index == len(groups) and groups:
                self._put_behind(groups[-1])
            groups.insert(index, TrailGroup(best, self._group_count))
        group = groups[index]
        group.add(watch)
        if group is not groups[-1]:
            self._put_behind(group)

    def remove(self, watch: Watch) -> None:
        if watch.stop is not None:
            self._stops.discard(watch.number)
        elif watch.activation is not None:
            self._waiting.discard(watch.number)
        else:
            group = home_of(watch)
            self._steps.discard(watch.number)
            group.drop(watch)
            self._group_changed(group)

    def change_distance(self, watch: Watch, distance: Decimal, is_ratio: bool) -> None:
        """Another distance from the same best level."""
        if watch.activation is not None:
            self.set_distance(watch, distance, is_ratio)
            return
        group = home_of(watch)
        if watch.is_ratio != is_ratio:
            group.take_out(watch)
            self.set_distance(watch, distance, is_ratio)
            group.place_floor(watch)
        self.set_distance(watch, distance, is_ratio)
        group.place_distance(watch)
        self._group_changed(group)

    def change_step(self, watch: Watch, step: Decimal | None) -> None:
        """Another break-even level; a floor that was reached stays."""
        watch.step = step
        if watch.activation is not None:
            return
        self._steps.discard(watch.number)
        group = home_of(watch)
        self._take_step(watch, group.best)
        group.place_floor(watch)
        self._group_changed(group)

    def best_of(self, watch: Watch) -> Decimal:
        return watch.best if watch.group is None else home_of(watch).best

    def trigger_of(self, watch: Watch) -> Decimal:
        if watch.stop is not None:
            return watch.stop
        return watch.trigger_from(home_of(watch).best if watch.activation is None else watch.activation)

    def next_alone(self) -> tuple[Watch, Decimal, Decimal] | None:
        """Of what fires next: the watch, its level, and a level down to which, exclusive, nothing else fires with it.

        None when nothing is armed, several fire together, or nobody has looked who would come after it.
        """
        stops, behind = self._stops.entries, self._behind.entries
        levels = [entry[0].copy_negate() for entry in stops[:3]]
        if behind:
            levels.append(behind[0][0].copy_negate())
        if stops and levels[0] == self.fire_level:
            following = max([*levels[1:], self.front_level])
            chosen: Watch | None = stops[0][2]
        elif self.front_watch is not None and self.front_level == self.fire_level and self._groups[-1].size == 1:
            following, chosen = max(levels, default=NEVER), self.front_watch
        else:
            return None
        if chosen is None or following >= self.fire_level:
            return None
        return chosen, self.trigger_of(chosen), following

    # ---- what a level does -------------------------------------------------------------------------

    def fire(self, level: Decimal) -> list[Fired]:
        """Take out all that fires at `level`: (trigger negated, number, watch, best), nearest trigger first."""
        fired: list[Fired] = []
        for watch in self._stops.pop_through(level.copy_negate()):
            fired.append((self.trigger_of(watch).copy_negate(), watch.number, watch, None))
        if self._groups:
            self._fire_groups(level, fired)
        if len(fired) > 1:
            fired.sort()
        return fired

    def _fire_groups(self, level: Decimal, fired: list[Fired]) -> None:
        emptied: list[TrailGroup] = []
        if self.front_level >= level:
            front = self._groups[-1]
            self._fire_group(front, level, fired)
            if not front.size:
                emptied.append(front)
        for group in self._behind.pop_while(lambda behind: behind.nearest()[0] >= level):
            self._fire_group(group, level, fired)
            if group.size:
                self._put_behind(group)
            else:
                emptied.append(group)
        self._drop_groups(emptied)

    def wake(self, level: Decimal) -> list[Watch]:
        """Trails whose activation level is reached trail from now on, best = `level`; nearest first."""
        woken: list[Watch] = []
        while self._waiting and self._waiting.head_key <= level:
            watch = self._waiting.pop()
            watch.activation = None
            self.add_trail(watch, level)
            woken.append(watch)
        return woken

    def follow(self, level: Decimal) -> int:
        """Raise every best under `level` to it; how many trails moved."""
        groups = self._groups
        if not groups or level <= groups[-1].best:
            return 0
        if len(groups) == 1 or groups[-2].best > level:
            groups[-1].best = level
            moved = groups[-1].size
        else:
            moved = self._merge_passed(level)
        while self._steps and self._steps.head_key <= level:
            watch = self._steps.pop()
            self._take_step(watch, level)
            home_of(watch).place_floor(watch)
        return moved

    def advance(self, level: Decimal) -> int:
        """`follow` for a level between `follow_level` and `busy_level`, limits included: only the front moves."""
        front = self._groups[-1]
        if level == front.best:
            return 0
        front.best = level
        self.front_level, self.front_watch = front.nearest()
        if self.front_level > self.fire_level:
            self.fire_level = self.front_level
        self.follow_level = level
        return front.size

    def refresh(self) -> None:
        """Bring the limits up to date after any change."""
        groups, behind, stops = self._groups, self._behind.entries, self._stops.entries
        busy = ALWAYS_ABOVE if len(groups) < 2 else groups[-2].best
        for sleeping in (self._waiting.entries, self._steps.entries):
            if sleeping and sleeping[0][0] < busy:
                busy = sleeping[0][0]
        if groups:
            self.front_level, self.front_watch = groups[-1].nearest()
            self.follow_level = min(groups[-1].best, busy)
            self.busy_level = busy
        else:
            self.front_level, self.front_watch = NEVER, None
            self.follow_level = busy
            self.busy_level = NEVER
        self.fire_level = self.front_level
        if behind and (level := behind[0][0].copy_negate()) > self.fire_level:
            self.fire_level = level
        if stops and (level := stops[0][0].copy_negate()) > self.fire_level:
            self.fire_level = level

    # ---- the stack ---------------------------------------------------------------------------------

    def _take_step(self, watch: Watch, best: Decimal) -> None:
        """Break-even: the reference becomes the floor once the best has got to the step, else wait for it."""
        if watch.step is None:
            return
        if best < watch.step:
            self._steps.push(watch.step, watch.number, watch)
        elif watch.floor is None or watch.floor < watch.reference:
            watch.floor = watch.reference

    def _put_behind(self, group: TrailGroup) -> None:
        self._behind.push(group.nearest()[0].copy_negate(), group.number, group)

    def _group_changed(self, group: TrailGroup) -> None:
        groups = self._groups
        if group.size and group is not groups[-1]:
            self._put_behind(group)
        elif not group.size:
            self._behind.discard(group.number)
            self._drop_groups([group])

    def _drop_groups(self, emptied: list[TrailGroup]) -> None:
        groups = self._groups
        if len(emptied) < _FEW:
            for group in emptied:
                del groups[bisect_left(groups, group.best.copy_negate(), key=_negated_best)]
        else:
            groups[:] = [group for group in groups if group.size]
        if groups:
            self._behind.discard(groups[-1].number)

    def _fire_group(
        self, group: TrailGroup, level: Decimal, fired: list[Fired]
    ) -> None:
        best = group.best
        watches = group.drop_fired(level)
        if self._steps:
            self._steps.discard_all(watch.number for watch in watches)
        fired.extend((watch.trigger_from(best).copy_negate(), watch.number, watch, best) for watch in watches)

    def _merge_passed(self, level: Decimal) -> int:
        groups = self._groups
        passed: list[TrailGroup] = []
        moved = 0
        while groups and groups[-1].best <= level:
            group = groups.pop()
            passed.append(group)
            if group.best < level:
                moved += group.size
        self._behind.discard_all(group.number for group in passed)
        largest = max(passed, key=_size)
        largest.absorb([group for group in passed if group is not largest])
        largest.best = level
        groups.append(largest)
        return moved


def _negated_best(group: TrailGroup) -> Decimal:
    return group.best.copy_negate()


def _size(group: TrailGroup) -> int:
    return group.size
