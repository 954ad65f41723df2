"""Who listens to which market stream, and bounded delivery to each of them."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from aiohttp import WSMsgType, web

from exchanges.practice.fault_market import Action, Lane

SLOW_LIMIT: Final = 20_000
"""Frames waiting for one client before it is dropped (synthetic market)."""
PRESSURE_LIMIT: Final = 256
"""Frames waiting for one client before a replay waits for it."""
STREAM_LIMIT: Final = 1_024
"""Streams one connection may subscribe to, as on the real venue."""


class Client:
    """One websocket with its own queue, so that one slow reader holds up nobody else."""

    __slots__ = (
        "_closing", "_lane", "_queue", "_transport", "_wake", "_writer", "drained", "is_wrapped", "streams", "ws",
    )

    def __init__(self, ws: web.WebSocketResponse, transport: asyncio.BaseTransport | None, *, is_wrapped: bool) -> None:
        self.ws = ws
        self._transport = transport
        self.is_wrapped = is_wrapped
        self.streams: dict[str, None] = {}
        self.drained = asyncio.Event()
        self.drained.set()
        self._queue: deque[str] = deque()
        self._wake = asyncio.Event()
        self._closing: tuple[int, bytes] | None = None
        self._lane: Lane | None = None
        self._writer = asyncio.get_running_loop().create_task(self._write())

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def send(self, text: str) -> None:
        """Queue a frame; a client that is too slow is cut off."""
        if self._closing is not None:
            return
        self._queue.append(text)
        if len(self._queue) >= PRESSURE_LIMIT:
            self.drained.clear()
            if len(self._queue) > SLOW_LIMIT:
                self._queue.clear()
                self.cut(1008, b"too slow")
                self.abort()
        self._wake.set()

    def carry(self, action: Action, text: str) -> None:
        """Queue a frame to which a fault may happen on the way."""
        if self._lane is None:
            if action == "pass":
                self.send(text)
                return
            self._lane = Lane(self.send)
        self._lane.put(action, text)

    def cut(self, code: int, reason: bytes) -> None:
        """Close the connection from our side."""
        self._closing = (code, reason)
        self.drained.set()
        self._wake.set()

    def abort(self) -> None:
        """Reset the connection: a peer that does not read would keep a polite close waiting."""
        if isinstance(self._transport, asyncio.WriteTransport):
            self._transport.abort()

    async def _write(self) -> None:
        try:
            while self._closing is None:
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    await self.ws.send_str(self._queue.popleft())
                    if len(self._queue) < PRESSURE_LIMIT // 2:
                        self.drained.set()
            code, reason = self._closing
            await self.ws.close(code=code, message=reason)
        except (ConnectionError, RuntimeError):
            self._closing = (1006, b"gone")
        finally:
            self._queue.clear()
            self.drained.set()

    async def end(self) -> None:
        """Stop the writer."""
        self._closing = self._closing or (1000, b"")
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)


class Hub:
    """All market clients."""

    __slots__ = ("_by_stream", "_fate", "_taps", "clients", "on_change")

    def __init__(self, fate: Callable[[str, str], tuple[Action, str]] = lambda _stream, data: ("pass", data)) -> None:
        self.clients: dict[Client, None] = {}
        self._fate = fate
        self._by_stream: dict[str, dict[Client, None]] = {}
        self._taps: dict[str, Callable[[str], None]] = {}
        self.on_change: Callable[[], None] = lambda: None

    @property
    def streams(self) -> dict[str, dict[Client, None]]:
        """Listeners by stream name; read only."""
        return self._by_stream

    def join(self, client: Client) -> None:
        self.clients[client] = None

    def leave(self, client: Client) -> None:
        self.unsubscribe(client, list(client.streams))
        self.clients.pop(client, None)
        self.on_change()

    def subscribe(self, client: Client, streams: list[str]) -> None:
        """Add streams to a client's; a name nobody sends is accepted, as on the real venue."""
        for stream in streams:
            client.streams[stream] = None
            self._by_stream.setdefault(stream, {})[client] = None
        self.on_change()

    def unsubscribe(self, client: Client, streams: list[str]) -> None:
        for stream in streams:
            client.streams.pop(stream, None)
            listeners = self._by_stream.get(stream)
            if listeners is not None:
                listeners.pop(client, None)
                if not listeners and stream not in self._taps:
                    del self._by_stream[stream]
        self.on_change()

    def tap(self, stream: str, hear: Callable[[str], None]) -> None:
        """Give each frame of a stream to `hear` as well, before any fault, for as long as we live."""
        self._taps[stream] = hear
        self._by_stream.setdefault(stream, {})
        self.on_change()

    def publish(self, stream: str, data: str) -> None:
        """Send one frame to the stream's listeners, wrapped where they connected to /stream."""
        hear = self._taps.get(stream)
        if hear is not None:
            hear(data)
        listeners = self._by_stream.get(stream)
        if not listeners:
            return
        action, data = self._fate(stream, data)
        wrapped: str | None = None
        for client in list(listeners):
            if client.is_wrapped:
                wrapped = wrapped or f'{{"stream":"{stream}","data":{data}}}'
                client.carry(action, wrapped)
            else:
                client.carry(action, data)

    async def relieved(self) -> None:
        """Wait until every client has room (the back-pressure of a replay)."""
        for client in list(self.clients):
            if not client.drained.is_set():
                await client.drained.wait()

    def cut_all(self) -> None:
        for client in list(self.clients):
            client.cut(1001, b"going away")


TEXT: Final = WSMsgType.TEXT
BINARY: Final = WSMsgType.BINARY
