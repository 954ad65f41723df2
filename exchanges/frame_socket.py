"""A websocket client whose messages are handled the moment their bytes are read.

`websockets` does the protocol (handshake, proxies, TLS, limits, pings, closing, messages in parts); what is left out is
its queue and the task that waits at it, and its parser for messages that came in one frame: they cost more than all
the rest of a quiet market message.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from exchanges.dialing import open_websocket
from exchanges.frame_splitter import FrameSplitter

_DATA: Final = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})
_ANY_SIZE: Final = 1 << 32
MAX_WAITING: Final = 1024
"""Messages that nobody has taken yet; beyond, the socket is not read (its buffers, then the venue, wait)."""
GROWS_WITHIN_S: Final = 1.0
"""A message that is not whole must grow within this, or it is not on its way."""
TURN_S: Final = 0.005
"""So long messages are handled in one go; then others in this event loop have their turn."""

Take = Callable[[bytes], bool]
"""Handles one message; true ends the flow."""


class FrameSocket(ClientConnection):
    """First `receive` messages one by one, then let them `flow`. Not both at once."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waiting: deque[bytes] = deque()
        self._parts: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._take: Take | None = None
        self._over: asyncio.Future[None] | None = None
        self._turn_ends = 0.0
        self._is_paused = False
        self._is_closed = False
        self._has_read = False
        self._splitter: FrameSplitter | None = FrameSplitter(self.protocol.max_message_size or _ANY_SIZE)

    @property
    def is_idle(self) -> bool:
        """True while every message that came was handled: silence is then the other side's."""
        return not self._waiting

    async def receive(self) -> bytes:
        """The next message; raises `ConnectionClosed` when there will be none."""
        while not self._waiting:
            if self._is_closed:
                raise self.protocol.close_exc
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        message = self._waiting.popleft()
        self._read_on()
        return message

    async def receive_by(self, deadline: float) -> bytes:
        """As `receive`; raises `TimeoutError` at the deadline (the loop's time), later while a message is arriving."""
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    return await self.receive()
            except TimeoutError:
                if not self.take_growth():
                    raise
                deadline = asyncio.get_running_loop().time() + GROWS_WITHIN_S

    def take_growth(self) -> bool:
        """Whether more of a message that is not whole yet has come since the last call: that is no silence."""
        has_read, self._has_read = self._has_read, False
        splitter = self._splitter
        return has_read and (bool(self._parts) or (splitter is not None and splitter.is_midway))

    async def flow(self, take: Take) -> None:
        """Give every message to `take`, in order, until it says that this was the last.

        Raises `ConnectionClosed` at the end of the connection, and what `take` raises.
        """
        self._take = take
        self._over = asyncio.get_running_loop().create_future()
        self._start_turn()
        try:
            await self._over
        finally:
            self._take = None

    # ---- websockets' own callbacks -----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        splitter, take = self._splitter, self._take
        if splitter is None:
            super().data_received(data)
            return
        if take is not None and not self._waiting and not self._parts:
            message = splitter.only(data)
            if message is not None:
                try:
                    if take(message):
                        self._end(None)
                except Exception as error:  # noqa: BLE001 - as in `_handle`, which would be a call more for each message
                    self._end(error)
                return
        self._turn_ends = time.monotonic() + TURN_S
        self._has_read = True
        splitter.add(data)
        while (piece := splitter.next()) is not None:
            if splitter.is_message and not self._parts:
                self._on_message(piece)
            elif splitter.is_message:
                self._leave_to_library(_frame_of(piece))  # a text within another is an error, which it knows to tell
            else:
                super().data_received(piece)
                if self.protocol.state is not State.OPEN:
                    self._leave_to_library(b"")

    def _leave_to_library(self, before: bytes) -> None:
        """What comes from here on is not worth a shortcut: the handshake failed, or the connection is ending."""
        splitter, self._splitter = self._splitter, None
        if splitter is not None and (rest := before + splitter.take_rest()):
            super().data_received(rest)

    def process_event(self, event: Any) -> None:
        if type(event) is not Frame or event.opcode not in _DATA:
            super().process_event(event)
            return
        if not event.fin or self._parts:
            self._parts.append(bytes(event.data))
            if not event.fin:
                return
            message = b"".join(self._parts)
            self._parts.clear()
        else:
            message = bytes(event.data)
        self._on_message(message)

    def _on_message(self, message: bytes) -> None:
        take = self._take
        if take is not None and not self._waiting and time.monotonic() < self._turn_ends:
            self._handle(take, message)
            return
        self._waiting.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if len(self._waiting) > MAX_WAITING and not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()
        if self._take is not None and len(self._waiting) == 1:
            self.loop.call_soon(self._start_turn)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._is_closed = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if not self._waiting:
            self._end(self.protocol.close_exc)

    # ---- turns -------------------------------------------------------------------------------------

    def _start_turn(self) -> None:
        """Handle what waits, as much as one turn allows."""
        self._turn_ends = time.monotonic() + TURN_S
        while self._waiting and self._take is not None:
            if time.monotonic() >= self._turn_ends:
                self.loop.call_soon(self._start_turn)
                return
            self._handle(self._take, self._waiting.popleft())
        self._read_on()
        if self._is_closed and not self._waiting:
            self._end(self.protocol.close_exc)

    def _handle(self, take: Take, message: bytes) -> None:
        try:
            is_last = take(message)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to whoever awaits the flow
            self._end(error)
            return
        if is_last:
            self._end(None)

    def _end(self, error: Exception | None) -> None:
        self._take = None
        if self._over is None or self._over.done():
            return
        if error is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(error)

    def _read_on(self) -> None:
        if self._is_paused and len(self._waiting) <= MAX_WAITING // 2 and not self._is_closed:
            self._is_paused = False
            self.transport.resume_reading()


def _frame_of(text: bytes) -> bytes:
    """The frame again that this message came in."""
    size = len(text)
    return (bytes((0x81, size)) if size < 126 else bytes((0x81, 126)) + size.to_bytes(2, "big")) + text


async def open_socket(url: str, *, max_size: int, ping_interval_s: float | None) -> FrameSocket:
    """Connect; raises what `websockets.connect` raises. Loopback addresses never go through a proxy."""
    socket = await open_websocket(
        url, max_size=max_size, ping_interval=ping_interval_s, ping_timeout=20, create_connection=FrameSocket,
    )
    return cast("FrameSocket", socket)  # made by our own factory


__all__ = ["MAX_WAITING", "ConnectionClosed", "FrameSocket", "Take", "open_socket"]
