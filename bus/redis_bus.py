"""The bus over Redis publish/subscribe: at most once, so what is lost is noticed and said.

Every message of the council goes out on one channel and comes back to every process that listens,
this one included. Each source numbers its messages without gaps, so a missing number is a loss: the
subscribers hear `BusGap`. Redis being away is a state (`is_connected`), never an exception: nothing
protective depends on it. Kill commands never travel here.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

import redis.asyncio as redis
from redis.exceptions import RedisError

from bus.bus import Handler
from bus.clock import Clock
from bus.codec import CodecError, decode, encode
from bus.ids import SessionId
from bus.memory_bus import BusCounters, MemoryBus
from bus.messages.header import Message, MessageMaker
from bus.messages.orders import EngageKillSwitch, ReleaseKillSwitch
from bus.messages.system import BusGap

_log = logging.getLogger(__name__)

_BATCH = 256
_BACKOFF_FIRST_S = 0.2
_BACKOFF_LAST_S = 5.0
_PING_S = 1.0
_SILENCE_S = 3.0


class RedisBus:
    """`on_change(connected)` is called when the link comes and goes; `on_delivered()` after deliveries."""

    def __init__(
        self, url: str, namespace: str, session: SessionId, maker: MessageMaker, clock: Clock,
        queue_size: int = 10_000, on_change: Callable[[bool], None] = lambda connected: None,
        on_delivered: Callable[[], None] = lambda: None,
    ) -> None:
        self._url = url
        self._channel = f"{namespace}.council"
        self._session = session
        self._maker = maker
        self._clock = clock
        self._local = MemoryBus(maker, queue_size)
        self._outgoing: deque[Message] = deque(maxlen=queue_size)
        self._something = asyncio.Event()
        self._last_seq: dict[str, int] = {}
        self._is_connected = False
        self._ready = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._on_change = on_change
        self._on_delivered = on_delivered

    @property
    def counters(self) -> BusCounters:
        return self._local.counters

    @property
    def is_connected(self) -> bool:
        return self._is_connected

    def subscribe(self, name: str, types: frozenset[type], handler: Handler) -> None:
        self._local.subscribe(name, types, handler)

    def publish(self, message: Message) -> None:
        if isinstance(message.body, EngageKillSwitch | ReleaseKillSwitch):
            raise ValueError("kill commands never travel over Redis: put them into the engine's inbox")
        if len(self._outgoing) == self._outgoing.maxlen:
            self.counters.dropped += 1
        self._outgoing.append(message)
        self._something.set()

    def pump(self, now: int) -> int:
        """Deliveries happen in the reader's task."""
        return 0

    async def start(self) -> None:
        """Begin connecting; returns when connected, or after two seconds without (it goes on trying)."""
        self._tasks = [asyncio.create_task(self._keep(reading=True)), asyncio.create_task(self._keep(reading=False))]
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), 2.0)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._set_connected(False)

    async def _keep(self, *, reading: bool) -> None:
        """Run one direction of the link for ever, with growing pauses between attempts."""
        work: Callable[[redis.Redis], Awaitable[None]] = self._read if reading else self._write
        pause = _BACKOFF_FIRST_S
        while True:
            client = redis.Redis.from_url(
                self._url, socket_connect_timeout=2.0, health_check_interval=0, socket_keepalive=True, protocol=2
            )
            try:
                await client.ping()
                pause = _BACKOFF_FIRST_S
                await work(client)
            except (RedisError, OSError, TimeoutError) as error:
                if self._is_connected:
                    _log.warning("redis bus lost: %s", error)
                self.counters.reconnects += 1
            finally:
                if reading:
                    self._set_connected(False)
                with suppress(RedisError, OSError):
                    await client.aclose()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _BACKOFF_LAST_S)

    def _set_connected(self, connected: bool) -> None:
        if connected == self._is_connected:
            return
        self._is_connected = connected
        if connected:
            self._ready.set()
        else:
            self._ready.clear()
        self._on_change(connected)

    async def _write(self, client: "redis.Redis") -> None:
        # Writing before we listen would lose our own messages: pub/sub keeps nothing.
        while True:
            await self._ready.wait()
            if not self._outgoing:
                self._something.clear()
                try:
                    await asyncio.wait_for(self._something.wait(), _PING_S)
                except TimeoutError:
                    await client.ping()
                continue
            now = self._clock.now()
            batch: list[bytes] = []
            while self._outgoing and len(batch) < _BATCH:
                message = self._outgoing.popleft()
                if 0 < message.header.expires <= now:
                    # It is numbered, so listeners will see the gap: expired decisions are not worth sending.
                    self.counters.expired += 1
                    continue
                batch.append(encode(message))
            if len(batch) == 1:
                await client.publish(self._channel, batch[0])
            elif batch:
                pipe = client.pipeline(transaction=False)
                for data in batch:
                    pipe.publish(self._channel, data)
                await pipe.execute()

    async def _read(self, client: "redis.Redis") -> None:
        channel = client.pubsub(ignore_subscribe_messages=False)
        try:
            await channel.subscribe(self._channel)
            loop = asyncio.get_running_loop()
            heard = loop.time()
            while True:
                item = await channel.get_message(timeout=_PING_S)
                if item is None:
                    if loop.time() - heard > _SILENCE_S:
                        raise TimeoutError(f"Redis said nothing for {_SILENCE_S:.0f} s")
                    await asyncio.wait_for(channel.ping(), _PING_S)
                    continue
                heard = loop.time()
                if item["type"] == "subscribe":
                    self._set_connected(True)
                elif item["type"] == "message":
                    self._receive(item["data"])
        finally:
            with suppress(RedisError, OSError):
                await channel.aclose()  # type: ignore[no-untyped-call]

    def _receive(self, data: bytes) -> None:
        try:
            message = decode(data)
        except CodecError as error:
            self.counters.refused += 1
            _log.warning("refused a message on %s: %s", self._channel, error)
            return
        header = message.header
        if header.session != self._session or isinstance(message.body, EngageKillSwitch | ReleaseKillSwitch):
            # Another session's or a forged message: nothing here speaks for this one.
            self.counters.refused += 1
            return
        last = self._last_seq.get(header.source, 0)
        if header.seq <= last:
            return
        if header.seq > last + 1:
            self.counters.gaps += 1
            gap = BusGap(header.source, last + 1, header.seq - 1)
            self._local.publish(self._maker.make(gap, self._clock.now()))
        self._last_seq[header.source] = header.seq
        self._local.publish(message)
        self._local.pump(self._clock.now())
        self._on_delivered()
