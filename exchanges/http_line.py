"""A bare HTTP/1.1 line to one host, for orders: kept open, one write per request, nothing in between.

A general HTTP client costs two to three times the whole rest of the way from a tick to an order. This one
knows keep-alive, lengths and chunks (httptools parses), time-outs and TLS; no redirects, cookies or retries.
"""

import asyncio
import ssl
import time
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import httptools

from exchanges.dialing import dial

MAX_BODY: Final = 4_000_000
IDLE_LINES: Final = 8
IDLE_S: Final = 45.0
"""A connection that was idle so long is not used again: the venue, or a router that forgets, may be ending it."""
_MOST_TAILS: Final = 16
_ODD_REQUEST: Final = "a line break or a foreign letter in a request"


class LineError(Exception):
    """No whole answer: the request may or may not have arrived."""


@dataclass(slots=True)
class LineAnswer:
    """Status, lower-case headers, body."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class _Line(asyncio.Protocol):
    """One connection: one request at a time. The `on_*` methods are httptools' callbacks."""

    def __init__(self) -> None:
        self.is_open = False
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._answer = LineAnswer()
        self._waiter: asyncio.Future[LineAnswer] | None = None

    def send(self, request: bytes) -> "asyncio.Future[LineAnswer]":
        """Write the whole request at once; the future holds the answer, or `LineError`."""
        # Written first: what receives the answer is made while the request travels, and nothing is read meanwhile.
        is_open = self._transport is not None and self.is_open
        if is_open:
            self._transport.write(request)  # type: ignore[union-attr]  # looked at above
        self._answer = LineAnswer()
        self._parser = httptools.HttpResponseParser(self)
        self._waiter = asyncio.get_running_loop().create_future()
        if not is_open:
            self._waiter.set_exception(LineError("the connection is closed"))
        return self._waiter

    def close(self) -> None:
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    # ---- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # TCP and TLS transports are both
        # Without a buffer to fill, a write goes to the socket at once instead of at the end of the loop's round.
        self._transport.set_write_buffer_limits(high=0)  # type: ignore[union-attr]
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        if self._parser is None or self._waiter is None:
            self.close()  # bytes that nobody asked for would be taken for the next answer
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"not HTTP: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        self._fail(f"the connection broke: {error or 'closed by the venue'}")

    # ---- httptools -------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._parser is None:
            self.close()  # a second answer to one request: nothing on this line can be trusted

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._parser is None:
            return
        self._answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        if self._parser is None:
            return
        self._answer.body += body
        if len(self._answer.body) > MAX_BODY:
            self._fail(f"an answer of more than {MAX_BODY} bytes")

    def on_message_complete(self) -> None:
        parser, waiter = self._parser, self._waiter
        if parser is None or waiter is None:
            return
        status = parser.get_status_code()
        if status < 200:  # "100 Continue" and its like come before the answer
            self._answer = LineAnswer()
            return
        self._answer.status = status
        if not parser.should_keep_alive():
            self.close()
        self._parser = self._waiter = None
        if not waiter.done():
            waiter.set_result(self._answer)

    def _fail(self, reason: str) -> None:
        waiter, self._waiter, self._parser = self._waiter, None, None
        self.close()
        if waiter is not None and not waiter.done():
            waiter.set_exception(LineError(reason))


class HttpLine:
    """A few open connections to one address ("https://api.binance.com"); requests take a free one."""

    def __init__(self, address: str, timeout_s: float, connect_timeout_s: float) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{address!r} is not an http or https address")
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._prefix = parts.path.rstrip("/")
        self._netloc = parts.netloc.rpartition("@")[2]
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._idle: list[_Line] = []
        self._busy: set[_Line] = set()
        self._tails: dict[tuple[tuple[str, str], ...], bytes] = {}

    async def request(self, method: str, target: str, headers: dict[str, str], body: str = "") -> LineAnswer:
        """One request (`body` is plain ASCII), sent once; raises `LineError` when no whole answer comes in time."""
        data = self._bytes(method, target, headers, body)
        line = self._take() or await self._connect()
        return await self.answer(line, line.send(data))

    def send_now(self, method: str, target: str, headers: dict[str, str], body: str = "") -> "SentRequest | None":
        """As `request`, but written before it returns, on a connection that is open; None when there is none."""
        return self.send_bytes(self._bytes(method, target, headers, body))

    def around(self, method: str, target: str, headers: dict[str, str]) -> tuple[bytes, bytes]:
        """What comes before the rest of a target that begins so, and what after it, in a request without a body.

        For `send_bytes`; the rest must be plain ASCII.
        """
        tail = self._new_tail(tuple(headers.items()), "")
        return self._bytes(method, target, headers, "")[: -len(tail)], tail

    def send_bytes(self, request: bytes) -> "SentRequest | None":
        """As `send_now`, of a whole request."""
        line = self._take()
        if line is None:
            return None
        waiter = line.send(request)
        waiter.add_done_callback(_look)
        return SentRequest(self, line, waiter)

    async def answer(self, line: _Line, waiter: "asyncio.Future[LineAnswer]") -> LineAnswer:
        """Wait for what `line` was asked; raises `LineError` when no whole answer comes in time."""
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await waiter
        except TimeoutError:
            line.close()
            raise LineError(f"no answer within {self._timeout_s:g} s") from None
        except BaseException:
            line.close()  # a cancelled request's answer must not be read as the next one's
            raise
        finally:
            self._busy.discard(line)
        if line.is_open and len(self._idle) < IDLE_LINES:
            line.idle_since = time.monotonic()
            self._idle.append(line)
        else:
            line.close()
        return answer

    def _bytes(self, method: str, target: str, headers: dict[str, str], body: str) -> bytes:
        of_headers = tuple(headers.items())
        tail = (None if body else self._tails.get(of_headers)) or self._new_tail(of_headers, body)
        begin = f"{method} {self._prefix}{target}"
        if not (begin.isascii() and begin.isprintable()):
            raise ValueError(_ODD_REQUEST)  # nobody adds a header of his own
        return begin.encode() + tail

    def _new_tail(self, headers: tuple[tuple[str, str], ...], body: str) -> bytes:
        """All behind the target; the same headers are sent again and again, so one without a body is kept."""
        every = (("Host", self._netloc), *headers, ("Content-Length", str(len(body))))
        lines = [f"{name}: {value}" for name, value in every]
        if not all(line.isascii() and line.isprintable() for line in (*lines, body)):
            raise ValueError(_ODD_REQUEST)
        tail = "\r\n".join((" HTTP/1.1", *lines, "", body)).encode()
        if not body and len(self._tails) < _MOST_TAILS:
            self._tails[headers] = tail
        return tail

    def close(self) -> None:
        """Close every connection, those with a request under way too."""
        for line in (*self._idle, *self._busy):
            line.close()
        self._idle.clear()
        self._busy.clear()

    def _take(self) -> _Line | None:
        while self._idle:
            line = self._idle.pop()
            if line.is_open and time.monotonic() - line.idle_since < IDLE_S:
                self._busy.add(line)
                return line
            line.close()
        return None

    async def _connect(self) -> _Line:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                way = await dial(self._host, self._port)
                _, line = await loop.create_connection(
                    _Line, sock=way, ssl=self._tls, server_hostname=self._host if self._tls else None
                )
        except (OSError, TimeoutError) as error:
            raise LineError(f"cannot connect to {self._host}:{self._port}: {error or 'timeout'}") from error
        self._busy.add(line)
        return line


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request on its way; `answer` waits for what comes back."""

    _http: HttpLine
    _line: _Line
    _waiter: "asyncio.Future[LineAnswer]"

    async def answer(self) -> LineAnswer:
        """Raises `LineError` when no whole answer comes in time."""
        return await self._http.answer(self._line, self._waiter)


def _look(waiter: "asyncio.Future[LineAnswer]") -> None:
    """An answer that a shutdown leaves unread is no defect to be logged."""
    if not waiter.cancelled():
        waiter.exception()
