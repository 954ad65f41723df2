"""A heap whose items can be moved and taken out, alone or many at once."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from decimal import Decimal
from heapq import heapify, heappop, heappush
from typing import Any, Final, Generic, TypeVar

Item = TypeVar("Item")

_SLACK: Final = 16
_FEW: Final = 32


class KeyedHeap(Generic[Item]):
    """A min-heap whose items have a number, so that they can be moved or taken out; equal keys by number.

    Entries that were replaced stay until they reach the top or outnumber the living: every operation is
    amortised O(log n), and the head is always a living one. `entries` is for reading the head,
    `entries[0]` is (key, number, item), where a property would cost too much.
    """

    __slots__ = ("_keys", "entries")

    def __init__(self) -> None:
        self.entries: list[tuple[Decimal, int, Item]] = []
        self._keys: dict[int, Decimal] = {}

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def head(self) -> Item:
        """The item with the smallest key; the heap must not be empty."""
        return self.entries[0][2]

    @property
    def head_key(self) -> Decimal:
        """The smallest key; the heap must not be empty."""
        return self.entries[0][0]

    def push(self, key: Decimal, number: int, item: Item) -> None:
        """Put the item in, or move it to another key."""
        was_there = number in self._keys
        self._keys[number] = key
        heappush(self.entries, (key, number, item))
        if was_there:
            self._settle()

    def discard(self, number: int) -> None:
        """Take the item out if it is there."""
        if self._keys.pop(number, None) is not None:
            self._settle()

    def pop(self) -> Item:
        """Take the head out."""
        _, number, item = heappop(self.entries)
        del self._keys[number]
        self._settle()
        return item

    def pop_through(self, key: Decimal) -> list[Item]:
        """Take out all whose key is not above this one."""
        taken: list[Item] = []
        entries, keys = self.entries, self._keys
        while entries and entries[0][0] <= key:
            if len(taken) == _FEW:
                return taken + self._pop_many_through(key)
            _, number, item = heappop(entries)
            del keys[number]
            taken.append(item)
            if entries and keys.get(entries[0][1]) is not entries[0][0]:
                self._settle()
        return taken

    def _pop_many_through(self, key: Decimal) -> list[Item]:
        """One sort is cheaper than so many pops, and a sorted list is a heap."""
        entries, keys = self.entries, self._keys
        entries.sort()
        count = bisect_right(entries, key, key=_key_of)
        living = [entry for entry in entries[:count] if keys.get(entry[1]) is entry[0]]
        del entries[:count]
        for entry in living:
            del keys[entry[1]]
        self._settle()
        return [entry[2] for entry in living]

    def pop_while(self, is_wanted: Callable[[Item], bool]) -> list[Item]:
        """Take out from the head as long as the items are wanted; wantedness must fall with the key."""
        taken: list[Item] = []
        entries, keys = self.entries, self._keys
        while entries and len(taken) < _FEW and is_wanted(entries[0][2]):
            taken.append(self.pop())
        if len(taken) < _FEW:
            return taken
        # Many at once: one sort is cheaper than so many pops, and a sorted list is a heap.
        entries.sort()
        count = 0
        for key, number, item in entries:
            if keys.get(number) is key:
                if not is_wanted(item):
                    break
                del keys[number]
                taken.append(item)
            count += 1
        del entries[:count]
        self._settle()
        return taken

    def discard_all(self, numbers: Iterable[int]) -> None:
        """Take out those of them that are there."""
        for number in numbers:
            self._keys.pop(number, None)
        self._settle()

    def absorb(self, others: "list[KeyedHeap[Item]]") -> None:
        """Take in everything the others hold (their numbers differ from ours); they are not used again."""
        arriving = sum(len(other.entries) for other in others)
        entries = self.entries
        for other in others:
            self._keys.update(other._keys)
        # A push costs some log n comparisons, a rebuild about two for every entry there is.
        if arriving * 4 < len(entries):
            for other in others:
                for entry in other.entries:
                    heappush(entries, entry)
        else:
            for other in others:
                entries.extend(other.entries)
            heapify(entries)
        self._settle()

    def _settle(self) -> None:
        entries, keys = self.entries, self._keys
        if len(entries) > 2 * len(keys) + _SLACK:
            entries[:] = [entry for entry in entries if keys.get(entry[1]) is entry[0]]
            heapify(entries)
            return
        while entries and keys.get(entries[0][1]) is not entries[0][0]:
            heappop(entries)


def _key_of(entry: tuple[Decimal, int, Any]) -> Decimal:
    return entry[0]
