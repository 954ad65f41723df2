"""One connection to Redis: redis-py opens it (addresses, TLS, passwords), bytes and hiredis do the rest.

redis-py's client costs several task switches and layers per message. Once the handshake is done, this module
takes over the transport: a command is one write, and an answer is told from inside the callback that read it.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Self

import hiredis
import redis.asyncio as redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

_CONNECT_TIMEOUT_S = 2.0


class LinkError(Exception):
    """The connection cannot be made or used; the text says why."""


class RedisLink(asyncio.Protocol):
    """`on_reply` hears every reply in order; `on_lost(reason)` once, when the connection is of no use any more."""

    def __init__(self, on_reply: Callable[[Any], None], on_lost: Callable[[str], None]) -> None:
        self._on_reply = on_reply
        self._on_lost = on_lost
        self._on_writable: Callable[[], None] = lambda: None
        self._reader = hiredis.Reader()
        self._connection: AbstractConnection | None = None
        self._transport: asyncio.Transport | None = None
        self._streams: asyncio.BaseProtocol | None = None
        self.is_writable = False

    @classmethod
    async def open(
        cls, url: str, on_reply: Callable[[Any], None], on_lost: Callable[[str], None],
        on_writable: Callable[[], None] = lambda: None,
    ) -> Self:
        """Connect and log in; raises `LinkError`. `on_writable` is told when a full socket takes bytes again."""
        link = cls(on_reply, on_lost)
        link._on_writable = on_writable
        pool = redis.ConnectionPool.from_url(
            url, socket_connect_timeout=_CONNECT_TIMEOUT_S, socket_timeout=_CONNECT_TIMEOUT_S, socket_keepalive=True,
            protocol=2,
        )
        connection = pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()
        except (RedisError, OSError, TimeoutError) as error:
            raise LinkError(str(error) or type(error).__name__) from error
        link._take_over(connection)
        return link

    def _take_over(self, connection: AbstractConnection) -> None:
        writer = connection._writer  # redis-py has no public door to its socket
        if writer is None:
            raise LinkError("the connection closed at once")
        self._connection = connection
        self._transport = writer.transport  # type: ignore[assignment]  # TCP, TLS and Unix transports are all of them
        self._streams = self._transport.get_protocol()  # type: ignore[union-attr]
        self._transport.set_protocol(self)  # type: ignore[union-attr]
        self.is_writable = True

    def write(self, data: bytes) -> None:
        """Hand bytes to the socket; look at `is_writable` before."""
        if self._transport is not None:
            self._transport.write(data)

    async def close(self) -> None:
        """Let go; `on_lost` is not told of it."""
        self._on_lost = lambda reason: None
        self.is_writable = False
        transport, self._transport = self._transport, None
        connection, self._connection = self._connection, None
        if transport is not None:
            transport.abort()
        if connection is not None:
            await connection.disconnect(nowait=True)

    def _lose(self, reason: str) -> None:
        self.is_writable = False
        on_lost, self._on_lost = self._on_lost, lambda reason: None
        on_lost(reason)

    # ---- asyncio.Protocol ------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        reader.feed(data)
        try:
            while self._transport is not None and (reply := reader.gets()) is not False:
                if isinstance(reply, hiredis.ReplyError):
                    self._lose(f"Redis refuses: {reply}")
                    return
                self._on_reply(reply)
        except hiredis.ProtocolError as error:
            self._lose(f"not Redis: {error}")

    def pause_writing(self) -> None:
        self.is_writable = False

    def resume_writing(self) -> None:
        self.is_writable = self._transport is not None
        self._on_writable()

    def connection_lost(self, error: Exception | None) -> None:
        streams, self._streams = self._streams, None
        if isinstance(streams, asyncio.Protocol):
            streams.connection_lost(error)  # redis-py's stream closes with the transport that it believes its own
        self._lose(f"the connection broke: {error}" if error else "closed by Redis")
