"""The last of many like things, for hours: the newest as they are, older ones as text of a quarter of their weight."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from itertools import islice
from typing import Any, Final, Generic, TypeVar, get_type_hints

import orjson

from bus.codec_plans import field_names

UNPACKED: Final = 64
"""The newest, which are asked for most, stay what they are."""

T = TypeVar("T")


class PackedRing(ABC, Generic[T]):
    """At most `most` things, the oldest go first. Reading an old one makes it anew: who changes it changes nothing."""

    __slots__ = ("_most", "_new", "_old")

    def __init__(self, most: int) -> None:
        self._most = most
        self._new: deque[T] = deque()
        self._old: deque[str] = deque()

    @abstractmethod
    def pack(self, thing: T) -> list[Any]:
        """What JSON knows, enough to make it again."""

    @abstractmethod
    def unpack(self, values: list[Any]) -> T:
        """The thing again, equal to the one that was packed."""

    def append(self, thing: T) -> None:
        """As the newest."""
        self._new.append(thing)
        if len(self._new) > UNPACKED:
            self._old.append(orjson.dumps(self.pack(self._new.popleft())).decode())
        if len(self) > self._most:
            (self._old or self._new).popleft()

    def newest(self, count: int) -> list[T]:
        """At most so many, the newest first."""
        return list(islice(reversed(self), count))

    def __len__(self) -> int:
        return len(self._old) + len(self._new)

    def __reversed__(self) -> Iterator[T]:
        """The newest first. Nothing may be appended meanwhile."""
        yield from reversed(self._new)
        for packed in reversed(self._old):
            yield self.unpack(orjson.loads(packed))

    def __iter__(self) -> Iterator[T]:
        """The oldest first. Nothing may be appended meanwhile."""
        for packed in self._old:
            yield self.unpack(orjson.loads(packed))
        yield from self._new


def packed(thing: object) -> list[Any]:
    """The fields of a dataclass of texts, integers, truths and amounts; an amount as text, to its last digit."""
    kind = type(thing)
    return [str(value) if type(value) is Decimal else value for value in (getattr(thing, n) for n in field_names(kind))]


def unpacked(kind: type[T], values: list[Any]) -> T:
    """What `packed` packed, of the type it was."""
    return kind(*(
        Decimal(value) if is_amount and value is not None else value
        for value, is_amount in zip(values, _amounts(kind), strict=True)  # type: ignore[arg-type]  # a class is hashable
    ))


@cache
def _amounts(kind: type) -> tuple[bool, ...]:
    """Which fields may be an amount."""
    hints = get_type_hints(kind)
    return tuple(hints[name] in (Decimal, Decimal | None) for name in field_names(kind))
