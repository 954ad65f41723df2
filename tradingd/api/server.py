"""uvicorn as a guest in our loop: our socket, our signals, our logging."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, ClassVar, Final, cast

import orjson
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tradingd.api.guard import REFUSAL_HEADERS
from tradingd.api.websocket_protocol import Gate, WebsocketProtocol
from tradingd.research_jobs import ResearchJobs

MAX_CONNECTIONS: Final = 400
"""Sockets at once, websocket clients included; beyond it one makes room: that which has waited longest for its client,
or else that which has been at work longest."""
REQUEST_WITHIN_S: Final = 10.0
"""A whole request, or the socket is closed: nobody may hold connections by sending a byte now and then."""
MOST_HEAD: Final = 64 * 1024
"""Bytes of request line and headers; a proxy's cookies and our token need a tenth of it."""
MOST_HEADERS: Final = 100
MOST_MESSAGE: Final = 1024 * 1024
"""Bytes of a request on the wire, chunk sizes and their extensions included."""
_REFERENCE_AFTER_S: Final = 10.0
_GRACE_S: Final = 2
_KEEP_ALIVE_S: Final = 5


class PortInUseError(RuntimeError):
    """The API's address cannot be bound; the text says which and what to do."""


class _Server(uvicorn.Server):
    """Leaves the signals to the daemon: uvicorn would stop itself before the parts are ended in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Connection(HttpToolsProtocol):
    """uvicorn's HTTP, with a bound on sockets and on how long a request may take to arrive."""

    waiting: ClassVar[dict["_Connection", None]]
    """Of one server: whose request has not arrived whole, who asks nothing, who does not read; oldest first."""

    working: ClassVar[dict["_Connection", None]]
    """Of one server: who is being answered, oldest first."""

    _deadline: asyncio.TimerHandle | None = None
    _is_head = True
    _received = _headers = _header_bytes = 0
    _refusal = 400, "BAD_REQUEST", "this is no HTTP request"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > MAX_CONNECTIONS:
            # Whoever holds sockets open must not keep the operator out.
            oldest = next(iter(self.waiting or self.working), self)
            oldest._forget()
            oldest.transport.abort()
            if oldest is self:
                return
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        self._forget()  # somebody else's from now on
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)
        most = MOST_HEAD if self._is_head else MOST_MESSAGE
        # The parser keeps a header and a chunk's extension until they end, however long they are.
        if self._received > most and not self.transport.is_closing():
            self._too_large(f"a request has at most {most} bytes before {'its body' if self._is_head else 'its end'}")
            self.send_400_response("")

    def on_message_begin(self) -> None:
        self._is_head, self._headers, self._header_bytes = True, 0, 0
        self._expect_request()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers += 1
        self._header_bytes += len(name) + len(value)
        if self._headers > MOST_HEADERS or self._header_bytes > MOST_HEAD:
            self._too_large(f"a request has at most {MOST_HEADERS} headers of {MOST_HEAD} bytes together")
            raise ValueError("too large")  # the parser stops, and its caller answers
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_head, self._received = True, 0
        self._forget()
        super().on_message_complete()
        (self.waiting if self._is_answered else self.working)[self] = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_answered:  # also when it closes: the line is held until its last bytes are taken
            self._wait()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._deadline is None and not self._is_answered:
            self.waiting.pop(self, None)
            self.working[self] = None

    def send_400_response(self, msg: str) -> None:
        """What cannot be read, in the shape of every other refusal; then the line is closed."""
        asked = self.cycle
        is_free = asked is None or (asked.response_complete if self._is_head else not asked.response_started)
        if is_free:  # else these bytes would be taken for the answer to something else
            self.transport.write(plain_refusal(*self._refusal))
        self.transport.close()

    def _too_large(self, told: str) -> None:
        self._refusal = 431, "HEADERS_TOO_LARGE", f"{told}: send less"

    @property
    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_request(self) -> None:
        self._forget()
        self.waiting[self] = None
        self._deadline = self.loop.call_later(REQUEST_WITHIN_S, self.transport.abort)

    def _wait(self) -> None:
        """For the client: to ask, or to read."""
        self.working.pop(self, None)
        self.waiting[self] = None

    def _forget(self) -> None:
        self.waiting.pop(self, None)
        self.working.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def plain_refusal(status: int, code: str, message: str) -> bytes:
    """A whole HTTP answer for what never became a request."""
    body = orjson.dumps({"code": code, "message": message})
    headers = (
        *REFUSAL_HEADERS, (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    )
    head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode() + head + b"\r\n" + body


def bind_api(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises `PortInUseError`."""
    # Without the protocol number asyncio does not set TCP_NODELAY on such a socket: 44 ms per request.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"api.port {port} on {host} is taken by another program. Stop it, or choose another with --port "
                "(0 picks a free one)."
            ) from error
        raise PortInUseError(
            f"api.host {host}, api.port {port} cannot be used ({error.strerror or error}). "
            "Set them to an address of this machine and a port you may open."
        ) from error
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """http://host:port as a client on this machine reaches it."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - a name to compare with
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class ApiServer:
    """The running API. `url` is how a client on this machine reaches it."""

    def __init__(self, app: FastAPI, listener: socket.socket) -> None:
        self.url = url_of(listener)
        self._listener = listener
        state = app.state
        self._research: ResearchJobs = state.research
        gate = Gate(app, state.hub, state.auth, state.names, state.control.settings.api.max_clients)

        def websocket(config: uvicorn.Config, server_state: ServerState, app_state: object) -> WebsocketProtocol:
            return WebsocketProtocol(gate, server_state)

        proxies = list(state.control.settings.api.trusted_proxies)
        config = uvicorn.Config(
            app, lifespan="off", ws=cast(Any, websocket),
            http=type("ApiConnection", (_Connection,), {"waiting": {}, "working": {}}),
            log_config=None, access_log=False, server_header=False,
            # Of nobody else: a client could name its own address and dodge the login lock.
            proxy_headers=bool(proxies), forwarded_allow_ips=proxies,
            timeout_graceful_shutdown=_GRACE_S, timeout_keep_alive=_KEEP_ALIVE_S,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]), name="api")
        self._preparing = asyncio.create_task(state.reference.prepare(_REFERENCE_AFTER_S), name="api reference")

    async def started(self) -> None:
        """Until connections are accepted; raises what stopped it from getting there."""
        while not self._server.started:
            if self._serving.done():
                await self._serving
                raise RuntimeError("the API ended before it began")
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """Accept nothing more and finish open requests, for at most 2 s; end what runs on behalf of requests."""
        self._server.should_exit = True
        self._preparing.cancel()
        await asyncio.wait((self._preparing,))
        await self._research.stop()
        try:
            await asyncio.shield(self._serving)
        finally:
            self._listener.close()


async def serve_api(app: FastAPI, host: str, port: int) -> ApiServer:
    """Serve in this loop; connections are accepted when this returns. Raises `PortInUseError`."""
    server = ApiServer(app, bind_api(host, port))
    await server.started()
    return server
