"""Two journals of one session, held against each other: order by order, execution by execution."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bus.codec import encode
from bus.codec_plans import packer
from bus.messages.header import Message
from bus.messages.ledger import PositionClosed
from bus.messages.orders import (
    OrderCancelled,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderInitialized,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
    OrderUpdated,
)

ORDERS: Final = frozenset({
    OrderInitialized, OrderDenied, OrderTriggered, OrderUpdated, OrderSubmitted, OrderRejected, OrderCancelled,
    OrderExpired, OrderFilled, PositionClosed,
})
"""The facts that tell what was ordered and what came of it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first order fact that is not the same: its number among those of the session, and both sides' words."""

    number: int
    journal: str
    replay: str
    fields: tuple[tuple[str, str, str], ...] = ()
    """(field, journal's, replay's) where both are of one kind."""


@dataclass(slots=True)
class Comparison:
    """`orders`: order facts that agree, by kind; `difference`: the first that does not, None when all do."""

    orders: Counter[str] = field(default_factory=Counter)
    facts: int = 0
    same_facts: int = 0
    uncovered: int = 0
    """Facts behind the last noted input: the process was killed or the disk full, and these inputs are lost."""
    difference: Difference | None = None

    @property
    def is_identical(self) -> bool:
        """Is the whole journal of the session the same, byte for byte?"""
        return self.difference is None and self.same_facts == self.facts


def compare(journal: Sequence[Message], replay: Sequence[Message], last_input_ns: int) -> Comparison:
    """`journal`: what the session wrote; `replay`: what it writes now."""
    made = Comparison()
    covered = [each for each in journal if each.header.ts <= last_input_ns]  # no fact is later than what caused it
    made.uncovered = len(journal) - len(covered)
    made.facts = max(len(covered), len(replay))
    made.same_facts = sum(encode(left) == encode(right) for left, right in zip(covered, replay, strict=False))
    left, right = _orders(covered), _orders(replay)
    for number in range(max(len(left), len(right))):
        theirs = left[number] if number < len(left) else None
        ours = right[number] if number < len(right) else None
        if theirs is None or ours is None or encode(theirs) != encode(ours):
            made.difference = _difference(number + 1, theirs, ours)
            return made
        made.orders[type(ours.body).__name__] += 1
    return made


def _orders(messages: Iterable[Message]) -> list[Message]:
    return [each for each in messages if type(each.body) in ORDERS]


def _difference(number: int, theirs: Message | None, ours: Message | None) -> Difference:
    fields: tuple[tuple[str, str, str], ...] = ()
    if theirs is not None and ours is not None and type(theirs.body) is type(ours.body):
        fields = tuple(
            (name, mine, other) for name, mine, other in _pairs(theirs, ours) if mine != other
        )
    return Difference(number, _words(theirs), _words(ours), fields)


def _pairs(theirs: Message, ours: Message) -> Iterable[tuple[str, str, str]]:
    yield "time", str(theirs.header.ts), str(ours.header.ts)
    yield "cause", theirs.header.cause, ours.header.cause
    left, right = packer(type(theirs.body))(theirs.body), packer(type(ours.body))(ours.body)
    for name in left:
        yield name, str(left[name]), str(right[name])


def _words(message: Message | None) -> str:
    """One line a person can compare: kind, order, and the numbers."""
    if message is None:
        return "nothing more"
    body = message.body
    spec = getattr(body, "order", None) or body
    parts = [type(body).__name__]
    for name in ("client_order_id", "symbol", "side", "order_type", "quantity", "price", "fee", "code", "reason"):
        value = getattr(spec, name, None)
        if value not in (None, ""):
            parts.append(f"{name.removesuffix('_order_id')}={value}")
    return " ".join(parts)
