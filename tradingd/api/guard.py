"""What every request passes before any handler: host, origin, size; and what every answer carries.

A plain ASGI wrapper: no task and no queue per request, unlike Starlette's BaseHTTPMiddleware.
"""

import ipaddress
import logging
import socket
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

import orjson
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tradingd.settings import LOOPBACK

MAX_BODY: Final = 64 * 1024
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PUBLIC_BINDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - names, not a bind
_log = logging.getLogger(__name__)

_CSP: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_CSP_DOCS: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """Wraps the app. `host` is the configured bind address: its name is accepted besides the loopback names."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._names = frozenset({*LOOPBACK, host.lower()})
        self._is_public = host in _PUBLIC_BINDS
        self._own_name = socket.gethostname().lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value for name, value in scope["headers"] if name in _LOOKED_AT}
        sender = _Sender(send, scope["path"])
        refusal = self._refusal(scope["method"], headers)
        if refusal is not None:
            await sender.refuse(*refusal)
            return
        try:
            await self._app(scope, _limited(receive), sender)
        except Exception as error:  # noqa: BLE001 - the last door: an answer for the client, a trace for the log
            _log.error("request failed: %s %s", scope["method"], scope["path"], exc_info=error)
            await sender.refuse(500, "INTERNAL", "the daemon failed on this request: its log has the details")

    def _refusal(self, method: str, headers: dict[bytes, bytes]) -> tuple[int, str, str] | None:
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._is_ours(_name_of(host)):
            return 421, "WRONG_HOST", "the Host header names another machine: use the address the daemon was given"
        if method not in _SAFE_METHODS and b"origin" in headers:
            origin = headers[b"origin"].decode("latin-1")
            if urlsplit_netloc(origin) != host.lower():
                return 403, "WRONG_ORIGIN", "a page of another origin may not change anything here"
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            return 400, "BAD_REQUEST", "Content-Length is not a number"
        if int(length) > MAX_BODY:
            return 413, "BODY_TOO_LARGE", f"the body is larger than {MAX_BODY} bytes: send less"
        return None

    def _is_ours(self, name: str) -> bool:
        if name in self._names:
            return True
        # A public bind is reached by addresses we cannot list; a rebound DNS name is neither of these.
        return self._is_public and (name == self._own_name or _is_address(name))


_LOOKED_AT: Final = frozenset({b"host", b"origin", b"content-length"})


class _BodyTooLargeError(HTTPException):
    """An HTTPException, because FastAPI turns any other error while it reads a body into a 400."""

    def __init__(self) -> None:
        super().__init__(413, f"the body is larger than {MAX_BODY} bytes: send less")


class _Sender:
    """Adds the headers to the answer, and knows whether it has begun."""

    def __init__(self, send: Send, path: str) -> None:
        self._send = send
        self._csp = (_CSP_DOCS if path.startswith("/docs") else _CSP).encode()
        self._cache = () if path.startswith("/docs/assets/") else ((b"cache-control", b"no-store"),)
        self._has_begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._has_begun = True
            extra: Iterable[tuple[bytes, bytes]] = (
                *_HEADERS, (b"content-security-policy", self._csp), *self._cache
            )
            message["headers"] = [*message.get("headers", ()), *extra]
        await self._send(message)

    async def refuse(self, status: int, code: str, text: str) -> None:
        """Answer in our error shape, unless an answer has already begun."""
        if self._has_begun:
            return
        body = orjson.dumps({"code": code, "message": text})
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if status == 413:
            headers.append((b"connection", b"close"))
        await self({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _limited(receive: Receive) -> Receive:
    """Counts what a chunked body brings, which has no Content-Length to judge by."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > MAX_BODY:
                raise _BodyTooLargeError
        return message

    return limited


def urlsplit_netloc(origin: str) -> str:
    """host:port of an Origin header, lower case; "" for "null" and for what is no URL."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name_of(host: str) -> str:
    """The host name without port and brackets, lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
