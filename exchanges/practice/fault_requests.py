"""The layer around request handlers in which answers are lost, late, or somebody's refusal."""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from exchanges.practice.fault_script import Fault
from exchanges.practice.faults import Faults
from exchanges.practice.rest_market import VenueRefusal

HELD_S: Final = 60.0
"""How long a request without an answer is held: any client has given up by then."""
SLOW_S: Final = 2.0
BROKERAGE: Final = "/api/v3/brokerage"
_CONTROL: Final = "/practice/"
_MARKET_SOCKETS: Final = ("/stream", "/ws", "/coinbase/market")
_USER_SOCKETS: Final = ("/ws-api/v3", "/coinbase/user")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Asked(NamedTuple):
    """What a request is about. `kind`: order, cancel, query, account, market or other."""

    kind: str
    tags: tuple[str, ...]
    is_coinbase: bool


class RequestFaults:
    """An aiohttp middleware."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def middleware(self) -> Any:
        @web.middleware
        async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
            if self._faults.is_empty or request.path.startswith(_CONTROL):
                return await handler(request)
            if _is_socket(request.path):
                return self._closed_door(request) or await handler(request)
            return await self._around(request, await asked_of(request), handler)

        return around

    def _closed_door(self, request: web.Request) -> web.Response | None:
        path = request.path
        is_user = path in _USER_SOCKETS
        if self._faults.lasts("stream_down" if is_user else "feed_down"):
            return web.Response(status=503, text="Service Unavailable")
        return None

    async def _around(self, request: web.Request, asked: Asked, handler: Handler) -> web.StreamResponse:
        faults, tags = self._faults, asked.tags
        refusal = self._turned_away(asked)
        if refusal is not None:
            return refusal
        if faults.strikes("slow", *tags) is not None:
            await asyncio.sleep(SLOW_S)
        if self._is_about(asked, "timeout_before"):
            return await _unanswered(request, HELD_S)
        struck = faults.count("http_5xx", *tags)
        if struck:
            if struck % 2:
                await _obey(request, handler)
            return web.Response(status=503, text="Service Unavailable")
        held = self._is_about(asked, "timeout_after_accept") is not None
        is_cut = self._is_about(asked, "lost_ack") is not None
        is_cut = is_cut or (asked.kind == "cancel" and faults.strikes("cancel_lost", *tags) is not None)
        if not held and not is_cut:
            return await handler(request)
        await _obey(request, handler)
        return await _unanswered(request, 0.0 if is_cut else HELD_S)

    def _turned_away(self, asked: Asked) -> web.Response | None:
        faults, tags = self._faults, asked.tags
        for name, status in (("ban", 418), ("rate_limit", 429)):
            fault = faults.strikes(name, *tags)
            if fault is not None:
                return _too_much(status, math.ceil(faults.left_s(fault)), is_coinbase=asked.is_coinbase)
        if asked.kind in ("order", "cancel", "query", "account") and faults.strikes("bad_key", *tags) is not None:
            if asked.is_coinbase:
                return web.Response(status=401, text="Unauthorized")
            return _json(401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."})
        return None

    def _is_about(self, asked: Asked, name: str) -> Fault | None:
        """These befall new orders, unless their target names another kind of request."""
        if asked.kind == "order":
            return self._faults.strikes(name, *asked.tags)
        return self._faults.strikes(name, asked.kind, is_named=True)


def _is_socket(path: str) -> bool:
    return path in _USER_SOCKETS or path in _MARKET_SOCKETS or path.startswith("/ws/")


async def asked_of(request: web.Request) -> Asked:
    """What a REST request is about, in the words that a fault's target may use."""
    is_coinbase = request.path.startswith((BROKERAGE, "/v2/"))
    kind = _coinbase_kind(request) if is_coinbase else _binance_kind(request)
    params: Mapping[str, Any] = dict(parse_qsl(request.rel_url.raw_query_string))
    if kind in ("order", "cancel"):
        params = {**params, **_body(await request.read())}
    words = (params.get(key) for key in ("symbol", "product_id", "side", "type"))
    return Asked(kind, (kind, *(word for word in words if isinstance(word, str))), is_coinbase)


def _body(raw: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return dict(parse_qsl(raw.decode("utf-8", "replace")))
    return found if isinstance(found, dict) else {}


def _binance_kind(request: web.Request) -> str:
    path, method = request.path, request.method
    if path == "/api/v3/order":
        return {"POST": "order", "DELETE": "cancel"}.get(method, "query")
    if path == "/api/v3/openOrders":
        return "cancel" if method == "DELETE" else "query"
    if path in ("/api/v3/allOrders", "/api/v3/myTrades"):
        return "query"
    if path == "/api/v3/account":
        return "account"
    return "other" if path in ("/api/v3/time", "/api/v3/ping", "/api/v3/order/test") else "market"


def _coinbase_kind(request: web.Request) -> str:
    path = request.path.removeprefix(BROKERAGE)
    if path == "/orders":
        return "order"
    if path == "/orders/batch_cancel":
        return "cancel"
    if path.startswith("/orders/"):
        return "query"
    if path in ("/accounts", "/key_permissions", "/transaction_summary"):
        return "account"
    return "other" if path in ("/time", "/v2/time") else "market"


def _too_much(status: int, retry_after_s: int, *, is_coinbase: bool) -> web.Response:
    words = "Too much request weight used; please use the websocket for live updates."
    body = {"error": "RESOURCE_EXHAUSTED", "message": words} if is_coinbase else {"code": -1003, "msg": words}
    answer = _json(status, body)
    answer.headers["Retry-After"] = str(retry_after_s)
    return answer


def _json(status: int, body: dict[str, Any]) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")


async def _obey(request: web.Request, handler: Handler) -> None:
    """Do what is asked; nobody hears how it ended."""
    with contextlib.suppress(VenueRefusal, web.HTTPException):
        await handler(request)


async def _unanswered(request: web.Request, held_s: float) -> web.Response:
    """Keep the client waiting, then break its connection."""
    if held_s:
        await asyncio.sleep(held_s)
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)
