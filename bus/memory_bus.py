"""The bus inside one process: deterministic, synchronous delivery in order of priority, then of publishing."""

import heapq
from dataclasses import dataclass, field

from bus.bus import Handler
from bus.messages.header import PRIORITY_CONTROL, Message, MessageMaker
from bus.messages.system import BusGap


@dataclass(slots=True)
class BusCounters:
    """What happened on the bus so far."""

    published: int = 0
    delivered: int = 0
    expired: int = 0
    dropped: int = 0
    refused: int = 0
    gaps: int = 0
    reconnects: int = 0


@dataclass(slots=True)
class _Subscription:
    name: str
    types: frozenset[type]
    handler: Handler
    waiting: list[tuple[int, int, Message]] = field(default_factory=list)


class MemoryBus:
    """`pump` delivers until quiet: what handlers publish meanwhile is delivered in the same call.

    A subscriber whose queue is full loses its oldest, least urgent message; the loss is counted and told
    to it as a `BusGap`.
    """

    def __init__(self, maker: MessageMaker, queue_size: int = 10_000) -> None:
        self._maker = maker
        self._queue_size = queue_size
        self._subscriptions: list[_Subscription] = []
        self._by_type: dict[type, list[_Subscription]] = {}
        self._count = 0
        self._waiting = 0
        self._is_pumping = False
        self.counters = BusCounters()

    def subscribe(self, name: str, types: frozenset[type], handler: Handler) -> None:
        if any(known.name == name for known in self._subscriptions):
            raise ValueError(f"{name} is subscribed already: one subscription per name")
        subscription = _Subscription(name, types, handler)
        self._subscriptions.append(subscription)
        for kind in types:
            self._by_type.setdefault(kind, []).append(subscription)

    def publish(self, message: Message) -> None:
        self.counters.published += 1
        target = message.header.target
        for subscription in self._by_type.get(type(message.body), ()):
            if not target or target == subscription.name:
                self._put(subscription, message)

    def _put(self, subscription: _Subscription, message: Message) -> None:
        self._count += 1
        waiting = subscription.waiting
        if len(waiting) >= self._queue_size:
            self._evict(subscription, message.header.ts)
        heapq.heappush(waiting, (message.header.priority, self._count, message))
        self._waiting += 1

    def _evict(self, subscription: _Subscription, ts: int) -> None:
        waiting = subscription.waiting
        index = max(range(len(waiting)), key=lambda i: (waiting[i][0], -waiting[i][1]))
        lost = waiting[index][2].header
        self._count += 1
        gap = self._maker.make(BusGap(lost.source, lost.seq, lost.seq), ts, priority=PRIORITY_CONTROL)
        waiting[index] = (PRIORITY_CONTROL, self._count, gap)
        heapq.heapify(waiting)
        if BusGap not in subscription.types:
            waiting.remove((PRIORITY_CONTROL, self._count, gap))
            heapq.heapify(waiting)
            self._waiting -= 1
        self.counters.dropped += 1
        self.counters.gaps += 1

    def pump(self, now: int) -> int:
        if not self._waiting or self._is_pumping:
            return 0
        delivered = 0
        self._is_pumping = True
        try:
            while self._waiting:
                best = min(
                    (s for s in self._subscriptions if s.waiting), key=lambda s: s.waiting[0][:2]
                )
                message = heapq.heappop(best.waiting)[2]
                self._waiting -= 1
                if 0 < message.header.expires <= now:
                    self.counters.expired += 1
                    continue
                delivered += 1
                best.handler(message)
        finally:
            self._is_pumping = False
            self.counters.delivered += delivered
        return delivered

    @property
    def is_connected(self) -> bool:
        return True

    async def start(self) -> None:
        """Nothing to connect."""

    async def stop(self) -> None:
        """Nothing to close."""
