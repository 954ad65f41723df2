"""What every request passes before any handler: host, origin, rate, size; and what every answer carries.

A plain ASGI wrapper: no task and no queue per request, unlike Starlette's BaseHTTPMiddleware.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Final

import orjson
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tradingd.api.hosts import OwnNames, is_same_origin
from tradingd.api.rate_limit import RateLimit
from tradingd.auth import Auth, CredentialsError, TokenError

MAX_BODY: Final = 64 * 1024
MAX_BODY_BY_PATH: Final = {"/api/grids": 384 * 1024}
"""Where more is meant: a grid may be given a month of closes."""
_SMALL_BODY: Final = 4 * 1024
"""As much as a stranger may have read and parsed: a login fits into it many times over."""
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_UNLIMITED: Final = frozenset({"/api/trading/kill", "/api/health"})
"""Nobody who floods us may keep the kill switch from being pressed, or make us look dead."""
_FOREIGN_SITES: Final = frozenset({b"cross-site", b"same-site"})
_Refusal = tuple[int, str, str]
"""Status, code, message."""
_WRONG_ORIGIN: Final = 403, "WRONG_ORIGIN", "a page of another origin may not change anything here"
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
    (b"cross-origin-opener-policy", b"same-origin"),
)
REFUSAL_HEADERS: Final = (*_HEADERS, (b"content-security-policy", _CSP.encode()), (b"cache-control", b"no-store"))
"""What an answer carries that no page is part of."""


class Guard:
    """Wraps the app. `names` are those it answers to, `rate` how often somebody may ask, `auth` whose tokens count."""

    def __init__(self, app: ASGIApp, names: OwnNames, rate: RateLimit, auth: Auth) -> None:
        self._app = app
        self._names = names
        self._rate = rate
        self._auth = auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        looked_at = [pair for pair in scope["headers"] if pair[0] in _LOOKED_AT]
        headers = dict(looked_at)
        sender = _Sender(send, scope["path"])
        max_body = MAX_BODY_BY_PATH.get(scope["path"], MAX_BODY)
        if len(headers) < len(looked_at):
            # Two programs on the way may believe different ones.
            refusal: _Refusal | None = (400, "BAD_REQUEST", "a header that decides was sent twice: send it once")
        else:
            refusal = self._refusal(scope["method"], headers, max_body)
        if refusal is None and scope["path"] not in _UNLIMITED:
            address = scope["client"][0] if scope.get("client") else ""
            wait_s = self._rate.wait_s(address, headers.get(b"authorization", b""))
            if wait_s:
                sender.more = ((b"retry-after", str(int(wait_s) + 1).encode()),)
                refusal = 429, "RATE_LIMITED", f"too many requests: wait {int(wait_s) + 1} s and ask more rarely"
        if refusal is None and _may_be_large(headers) and not self._is_known(headers):
            max_body = _SMALL_BODY
            if int(headers.get(b"content-length", b"0")) > max_body:
                sender.more = ((b"www-authenticate", b"Bearer"),)
                refusal = 401, "NOT_AUTHENTICATED", "a token is needed before a body of this size is read: log in first"
        if refusal is not None:
            await sender.refuse(*refusal)
            return
        try:
            await self._app(scope, _limited(receive, max_body), sender)
        except _BodyTooLargeError as error:  # from whoever reads the body before the app does
            await sender.refuse(error.status_code, "BODY_TOO_LARGE", error.detail)
        except Exception as error:  # noqa: BLE001 - the last door: an answer for the client, a trace for the log
            _log.error("request failed: %s %s", scope["method"], scope["path"], exc_info=error)
            await sender.refuse(500, "INTERNAL", "the daemon failed on this request: its log has the details")

    def _is_known(self, headers: Mapping[bytes, bytes]) -> bool:
        """Does this token hold? Where that cannot be told, the app says why."""
        bearer = headers.get(b"authorization", b"").decode("latin-1")
        try:
            self._auth.principal(bearer.partition(" ")[2].strip())
        except TokenError:
            return False
        except CredentialsError:
            return True
        return True

    def _refusal(self, method: str, headers: dict[bytes, bytes], max_body: int) -> _Refusal | None:
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._names.is_ours(host):
            return 421, "WRONG_HOST", "the Host header names another machine: use the address the daemon was given"
        if method not in _SAFE_METHODS and b"origin" in headers:
            origin = headers[b"origin"].decode("latin-1")
            if not is_same_origin(origin, host):
                return _WRONG_ORIGIN
        # What every browser of today says of a request and no page can forge, with or without an Origin.
        if method not in _SAFE_METHODS and headers.get(b"sec-fetch-site", b"same-origin") in _FOREIGN_SITES:
            return _WRONG_ORIGIN
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            return 400, "BAD_REQUEST", "Content-Length is not a number"
        if len(length) > 18 or int(length) > max_body:
            return 413, "BODY_TOO_LARGE", f"the body is larger than {max_body} bytes: send less"
        has_body = length != b"0" or b"transfer-encoding" in headers
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if has_body and method not in _SAFE_METHODS and kind != b"application/json":
            return 415, "NOT_JSON", "say Content-Type: application/json: nothing else is understood here"
        return None


_LOOKED_AT: Final = frozenset(
    {
        b"host", b"origin", b"sec-fetch-site", b"content-length", b"authorization", b"content-type",
        b"transfer-encoding",
    }
)


def _may_be_large(headers: Mapping[bytes, bytes]) -> bool:
    """Might the body cost the loop more than a moment? A chunked one does not say how large it is."""
    return int(headers.get(b"content-length", b"0")) > _SMALL_BODY or b"transfer-encoding" in headers


class _BodyTooLargeError(HTTPException):
    """An HTTPException, because FastAPI turns any other error while it reads a body into a 400."""

    def __init__(self, max_body: int) -> None:
        super().__init__(413, f"the body is larger than {max_body} bytes: send less")


class _Sender:
    """Adds the headers to the answer, and knows whether it has begun."""

    def __init__(self, send: Send, path: str) -> None:
        self._send = send
        self._csp = (_CSP_DOCS if path.startswith("/docs") else _CSP).encode()
        self._cache = () if path.startswith("/docs/assets/") else ((b"cache-control", b"no-store"),)
        self.more: tuple[tuple[bytes, bytes], ...] = ()
        self._has_begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._has_begun = True
            extra: Iterable[tuple[bytes, bytes]] = (
                *_HEADERS, (b"content-security-policy", self._csp), *self._cache, *self.more
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


def _limited(receive: Receive, max_body: int) -> Receive:
    """Counts what a chunked body brings, which has no Content-Length to judge by."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > max_body:
                raise _BodyTooLargeError(max_body)
        return message

    return limited
