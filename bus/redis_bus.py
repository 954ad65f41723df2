"""The bus over Redis publish/subscribe: at most once, so what is lost is noticed and said.

Every message of the council goes out on one channel and comes back to every process that listens,
this one included. Each source numbers its messages without gaps, so a missing number is a loss: the
subscribers hear `BusGap`. All that this process listens to it has published itself, so a number that it has
not given yet is a stranger's. Redis being away is a state (`is_connected`), never an exception: nothing protective
depends on it. Kill commands never travel here.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from bus.bus import Handler
from bus.clock import Clock
from bus.codec import CodecError, decode, encode
from bus.ids import SessionId
from bus.memory_bus import BusCounters, MemoryBus
from bus.messages.header import Message, MessageMaker
from bus.messages.orders import EngageKillSwitch, ReleaseKillSwitch
from bus.messages.system import BusGap
from bus.redis_link import LinkError, RedisLink

_log = logging.getLogger(__name__)

_BATCH: Final = 256
_BACKOFF_FIRST_S: Final = 0.2
_BACKOFF_LAST_S: Final = 5.0
_LOOK_S: Final = 1.0
_SILENCE_S: Final = 3.0
_PING: Final = b"*1\r\n$4\r\nPING\r\n"
_KILL: Final = (EngageKillSwitch, ReleaseKillSwitch)


class RedisBus:
    """`on_change(connected)` is called when the link comes and goes; `on_delivered()` after deliveries."""

    def __init__(
        self, url: str, namespace: str, session: SessionId, maker: MessageMaker, clock: Clock,
        queue_size: int = 10_000, on_change: Callable[[bool], None] = lambda connected: None,
        on_delivered: Callable[[], None] = lambda: None,
    ) -> None:
        self._url = url
        self._channel = f"{namespace}.council"
        self._publish_prefix = _command(b"PUBLISH", self._channel.encode(), b"")[: -len(b"0\r\n\r\n")]
        self._session = session
        self._maker = maker
        self._clock = clock
        self._local = MemoryBus(maker, queue_size)
        self._outgoing: deque[Message] = deque(maxlen=queue_size)
        self._is_flush_due = False
        self._published_seq: dict[str, int] = {}
        self._last_seq: dict[str, int] = {}
        self._is_connected = False
        self.waiting: Sequence[object] = ()
        self._ready = asyncio.Event()
        self._lost: asyncio.Future[str] | None = None
        self._sender: RedisLink | None = None
        self._listener: RedisLink | None = None
        self._sender_heard = 0.0
        self._listener_heard = 0.0
        self._task: asyncio.Task[None] | None = None
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
        if isinstance(message.body, _KILL):
            raise ValueError("kill commands never travel over Redis: put them into the engine's inbox")
        if len(self._outgoing) == self._outgoing.maxlen:
            self.counters.dropped += 1
        header = message.header
        self._published_seq[header.source] = max(header.seq, self._published_seq.get(header.source, 0))
        self._outgoing.append(message)
        self._flush_soon()

    def pump(self, now: int) -> int:
        """Deliveries happen when the listener's socket has something to read."""
        return 0

    async def start(self) -> None:
        """Begin connecting; returns when connected, or after two seconds without (it goes on trying)."""
        self._task = asyncio.create_task(self._keep(), name="redis bus")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), 2.0)

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._set_connected(False)

    # ---- the link --------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Both connections up, or both down; for ever, with growing pauses between attempts."""
        pause = _BACKOFF_FIRST_S
        while True:
            try:
                await self._connect()
                pause = _BACKOFF_FIRST_S
                reason = await self._watch()
                _log.warning("redis bus lost: %s", reason)
                self.counters.reconnects += 1
            except LinkError:
                self.counters.reconnects += 1
            finally:
                self._set_connected(False)
                await self._disconnect()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _BACKOFF_LAST_S)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        self._lost = loop.create_future()
        self._sender = await RedisLink.open(self._url, self._on_answer, self._on_lost, self._flush_soon)
        self._listener = await RedisLink.open(self._url, self._on_heard, self._on_lost)
        self._sender_heard = self._listener_heard = loop.time()
        self._listener.write(_command(b"SUBSCRIBE", self._channel.encode()))

    async def _disconnect(self) -> None:
        sender, self._sender = self._sender, None
        listener, self._listener = self._listener, None
        for link in (sender, listener):
            if link is not None:
                await link.close()

    def _on_lost(self, reason: str) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(reason)

    async def _watch(self) -> str:
        """Until the link is lost; returns why. A connection that stays mute though it was asked is lost too."""
        loop = asyncio.get_running_loop()
        lost, sender, listener = self._lost, self._sender, self._listener
        if lost is None or sender is None or listener is None:
            return "not connected"
        while True:
            done, _ = await asyncio.wait((lost,), timeout=_LOOK_S)
            if done:
                return lost.result()
            now = loop.time()
            if now - self._listener_heard > _SILENCE_S or now - self._sender_heard > _SILENCE_S:
                return f"Redis said nothing for {_SILENCE_S:.0f} s"
            if now - self._listener_heard > _LOOK_S / 2:
                listener.write(_PING)
            if now - self._sender_heard > _LOOK_S / 2 and sender.is_writable:
                sender.write(_PING)

    def _set_connected(self, connected: bool) -> None:
        if connected == self._is_connected:
            return
        self._is_connected = connected
        if connected:
            self._ready.set()
        else:
            self._ready.clear()
        self._on_change(connected)

    # ---- out -------------------------------------------------------------------------------------

    def _flush_soon(self) -> None:
        """Once, after all that is being published in this round of the loop."""
        # Writing before we listen would lose our own messages: pub/sub keeps nothing.
        if not self._is_flush_due and self._is_connected and self._outgoing:
            self._is_flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        sender = self._sender
        if sender is None or not sender.is_writable or not self._is_connected:
            return
        now = self._clock.now()
        outgoing, prefix = self._outgoing, self._publish_prefix
        batch: list[bytes] = []
        while outgoing and len(batch) < _BATCH:
            message = outgoing.popleft()
            if 0 < message.header.expires <= now:
                # It is numbered, so listeners will see the gap: expired decisions are not worth sending.
                self.counters.expired += 1
                continue
            try:
                data = encode(message)
            except CodecError as error:
                self.counters.refused += 1
                _log.error("not sent: %s", error)
                continue
            batch.append(b"%b%d\r\n%b\r\n" % (prefix, len(data), data))
        if batch:
            sender.write(b"".join(batch))
        if outgoing:
            self._flush_soon()

    def _on_answer(self, reply: object) -> None:
        """How many heard it (or PONG): only that Redis answers is of interest."""
        self._sender_heard = asyncio.get_running_loop().time()

    # ---- in --------------------------------------------------------------------------------------

    def _on_heard(self, reply: Any) -> None:
        self._listener_heard = asyncio.get_running_loop().time()
        if type(reply) is not list or len(reply) < 2:
            return
        if reply[0] == b"message":
            self._receive(reply[2])
        elif reply[0] == b"subscribe":
            self._set_connected(True)
            self._flush_soon()

    def _receive(self, data: bytes) -> None:
        try:
            message = decode(data)
        except CodecError as error:
            self.counters.refused += 1
            _log.warning("refused a message on %s: %s", self._channel, error)
            return
        header = message.header
        if header.session != self._session or isinstance(message.body, _KILL):
            # Another session's or a forged message: nothing here speaks for this one.
            self.counters.refused += 1
            return
        last = self._last_seq.get(header.source, 0)
        if not last < header.seq <= self._published_seq.get(header.source, 0):
            # Heard before, or never said: were it believed, all that the source says from now on would count as heard.
            self.counters.refused += 1
            return
        if header.seq > last + 1:
            self.counters.gaps += 1
            gap = BusGap(header.source, last + 1, header.seq - 1)
            self._local.publish(self._maker.make(gap, self._clock.now()))
        self._last_seq[header.source] = header.seq
        self._local.publish(message)
        self._local.pump(self._clock.now())
        self._on_delivered()


def _command(*words: bytes) -> bytes:
    """In Redis' wire format (RESP2)."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
