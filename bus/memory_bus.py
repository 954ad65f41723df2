"""The bus inside one process: deterministic, synchronous delivery in order of priority, then of publishing."""

import heapq
from dataclasses import dataclass

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


@dataclass(slots=True, eq=False)
class _Subscription:
    name: str
    types: frozenset[type]
    handler: Handler
    waiting: int = 0
    """How many messages of the queue are its own."""


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
        # One queue for all, by priority and then in the order of publishing: (priority, number, for whom, message).
        self.waiting: list[tuple[int, int, _Subscription, Message]] = []
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
        if subscription.waiting >= self._queue_size:
            self._evict(subscription, message.header.ts)
        subscription.waiting += 1
        heapq.heappush(self.waiting, (message.header.priority, self._count, subscription, message))

    def _evict(self, subscription: _Subscription, ts: int) -> None:
        queue = self.waiting
        own = (place for place, waiting in enumerate(queue) if waiting[2] is subscription)
        place = max(own, key=lambda place: (queue[place][0], -queue[place][1]))
        lost = queue[place][3].header
        self._count += 1
        if BusGap in subscription.types:
            gap = self._maker.make(BusGap(lost.source, lost.seq, lost.seq), ts, priority=PRIORITY_CONTROL)
            queue[place] = (PRIORITY_CONTROL, self._count, subscription, gap)
        else:
            del queue[place]
            subscription.waiting -= 1
        heapq.heapify(queue)
        self.counters.dropped += 1
        self.counters.gaps += 1

    def pump(self, now: int) -> int:
        queue = self.waiting
        if not queue or self._is_pumping:
            return 0
        delivered = 0
        self._is_pumping = True
        try:
            while queue:
                _, _, subscription, message = heapq.heappop(queue)
                subscription.waiting -= 1
                if 0 < message.header.expires <= now:
                    self.counters.expired += 1
                    continue
                delivered += 1
                subscription.handler(message)
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
