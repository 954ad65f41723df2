"""The same Idempotency-Key twice is one act: the second request gets the first one's answer.

Orders need none of this: their key is part of the order's id, so they are recognised even after a restart. Nor does the
kill switch: pressed twice it is engaged once, and an answer from before an unlock would say that trading is locked. For
all other acts the answers of the last `MOST_ANSWERS` keys are remembered in this process.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tradingd.auth import Auth, CredentialsError, TokenError

MOST_ANSWERS: Final = 1_000
_ACTS: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_OWN_WAY: Final = frozenset({("POST", "/api/orders"), ("POST", "/api/auth/login"), ("POST", "/api/trading/kill")})
_NOT_KEPT: Final = frozenset({401, 403, 405, 413, 429})
_BEARER: Final = b"bearer "


@dataclass(slots=True)
class _Kept:
    """What was asked, and the messages of its answer (empty while it is being worked on)."""

    fingerprint: bytes
    messages: list[dict[str, Any]] = field(default_factory=list)


class Idempotency:
    """Wraps the app. Keys of different users, and of different acts, do not touch each other."""

    def __init__(self, app: ASGIApp, auth: Auth) -> None:
        self._app = app
        self._auth = auth
        self._kept: OrderedDict[tuple[str, bytes, str], _Kept] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = self._name(scope)
        if name is None:
            await self._app(scope, receive, send)
            return
        body = await _whole(receive)
        if body is None:
            return  # the client has left before it said all
        fingerprint = _fingerprint(scope, body)
        known = self._kept.get(name)
        if known is not None:
            await _repeat(known, fingerprint, send)
            return
        kept = self._kept[name] = _Kept(fingerprint)
        if len(self._kept) > MOST_ANSWERS:
            self._kept.popitem(last=False)
        answer: list[dict[str, Any]] = []

        async def keep(message: Message) -> None:
            answer.append(dict(message))
            await send(message)

        try:
            await self._app(scope, _given(body, receive), keep)
        finally:
            status = answer[0]["status"] if answer else 500
            if status >= 500 or status in _NOT_KEPT or not answer or answer[-1].get("more_body"):
                self._kept.pop(name, None)  # it was not carried out, or nobody knows: it may be asked again
            else:
                kept.messages = answer

    def _name(self, scope: Scope) -> tuple[str, bytes, str] | None:
        """User, key and act; None when this request is not ours to remember."""
        if scope["type"] != "http" or scope["method"] not in _ACTS or (scope["method"], scope["path"]) in _OWN_WAY:
            return None
        headers = dict(scope["headers"])
        key, bearer = headers.get(b"idempotency-key", b""), headers.get(b"authorization", b"")
        if not key or len(key) > 128 or not bearer.lower().startswith(_BEARER):
            return None
        try:
            who = self._auth.principal(bearer[len(_BEARER) :].decode("latin-1").strip())
        except (TokenError, CredentialsError):
            return None  # the app says so
        return (who.user, key, f"{scope['method']} {scope['path']}") if who.is_operator else None


async def _repeat(known: _Kept, fingerprint: bytes, send: Send) -> None:
    if known.fingerprint != fingerprint:
        told = "this Idempotency-Key was used for another request of this kind: use a new key"
        await _refuse(send, 409, "IDEMPOTENCY_CONFLICT", told)
    elif not known.messages:
        await _refuse(send, 409, "STILL_WORKING", "the first request with this key is being worked on: ask again")
    else:
        for message in known.messages:
            await send({**message, "headers": list(message["headers"])} if "headers" in message else message)


async def _refuse(send: Send, status: int, code: str, text: str) -> None:
    body = orjson.dumps({"code": code, "message": text})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _fingerprint(scope: Scope, body: bytes) -> bytes:
    text = b"\n".join((scope["query_string"], body))
    return hashlib.sha256(text).digest()


async def _whole(receive: Receive) -> bytes | None:
    """The body, which the guard before us bounds; None when the client has left."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _given(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once more, and then goes on as before."""
    is_given = False

    async def given() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return given
