"""Coinbase's addresses: /api/v3/brokerage and /v2 over HTTP, /coinbase/market and /coinbase/user as websockets."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from exchanges.practice.coinbase import formats
from exchanges.practice.coinbase.keys import CoinbaseKeys, Unauthorized
from exchanges.practice.coinbase.side import CoinbaseError, CoinbaseSide, Query
from exchanges.practice.coinbase.stream import CoinbaseStream
from exchanges.practice.fault_market import FrameFaults
from exchanges.practice.hub import Hub
from exchanges.practice.rest_market import reply

_API: Final = "/api/v3/brokerage"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answer = Callable[[web.Request, Query, Mapping[str, Any]], Any]


class CoinbaseDoor:
    """Routes, and the way of the account's events to the user channel."""

    def __init__(self, side: CoinbaseSide, keys: CoinbaseKeys, hub: Hub, faults: FrameFaults) -> None:
        self._side = side
        self._keys = keys
        self._stream = CoinbaseStream(side, keys, hub, faults)

    def tell(self, event: Mapping[str, Any]) -> None:
        """An event of the account, as the matching reports it."""
        if event.get("e") == "executionReport":
            self._stream.tell(event["i"], event["s"], is_fill=event["x"] == "TRADE")

    async def beat(self) -> None:
        """Heartbeats, until cancelled."""
        await self._stream.beat()

    def cut_market(self) -> None:
        self._stream.cut(is_user_door=False)

    def cut_user(self) -> None:
        self._stream.cut(is_user_door=True)

    def routes(self) -> list[web.RouteDef]:
        return [*self._public(), *self._private(), *self._old(), *self._sockets()]

    def _public(self) -> list[web.RouteDef]:
        side, get = self._side, self._open
        routes = [web.get(f"{_API}/time", get(lambda _r, _q, _b: side.time()))]
        for prefix, door in ((f"{_API}/market", self._open), (_API, self._signed)):
            routes += [
                web.get(f"{prefix}/products", door(lambda _r, q, _b: side.products(q))),
                web.get(f"{prefix}/products/{{id}}", door(lambda r, _q, _b: side.product(_id(r)))),
                web.get(f"{prefix}/products/{{id}}/ticker", door(lambda r, q, _b: side.ticker(_id(r), q))),
                web.get(f"{prefix}/products/{{id}}/candles", door(lambda r, q, _b: side.candles(_id(r), q))),
                web.get(
                    f"{prefix}/product_book",
                    door(lambda _r, q, _b: side.book(q.one("product_id"), q.whole("limit", 0))),
                ),
            ]
        return routes

    def _private(self) -> list[web.RouteDef]:
        side, door = self._side, self._signed
        past = f"{_API}/orders/historical"
        return [
            web.get(f"{_API}/best_bid_ask", door(lambda _r, q, _b: side.best(q))),
            web.get(f"{_API}/accounts", door(lambda _r, _q, _b: side.accounts())),
            web.get(f"{_API}/key_permissions", door(lambda _r, _q, _b: formats.rights())),
            web.get(f"{_API}/transaction_summary", door(lambda _r, _q, _b: formats.fee_summary())),
            web.post(f"{_API}/orders", door(lambda _r, _q, body: side.place(body))),
            web.post(f"{_API}/orders/batch_cancel", door(lambda _r, _q, body: side.cancel(body))),
            web.get(f"{past}/batch", door(lambda _r, q, _b: side.orders(q))),
            web.get(f"{past}/fills", door(lambda _r, q, _b: side.fills(q))),
            web.get(f"{past}/{{id}}", door(lambda r, _q, _b: side.order(_id(r)))),
        ]

    def _old(self) -> list[web.RouteDef]:
        """The few of the older API that clients ask for beside."""
        side = self._side
        return [
            web.get("/v2/time", self._open(lambda _r, _q, _b: {
                "data": {"iso": side.time()["iso"], "epoch": side.now_ms() // 1000},
            })),
            web.get("/v2/currencies", self._open(lambda _r, _q, _b: {"data": side.currencies()})),
            web.get("/v2/currencies/crypto", self._open(lambda _r, _q, _b: {"data": side.crypto_currencies()})),
            web.get("/v2/exchange-rates", self._open(lambda _r, _q, _b: {"data": side.exchange_rates()})),
        ]

    def _sockets(self) -> list[web.RouteDef]:
        async def market(request: web.Request) -> web.StreamResponse:
            return await self._stream.handle(request, is_user_door=False)

        async def user(request: web.Request) -> web.StreamResponse:
            return await self._stream.handle(request, is_user_door=True)

        return [web.get("/coinbase/market", market), web.get("/coinbase/user", user)]

    def _open(self, answer: Answer) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                query = Query(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True))
                return reply(answer(request, query, await _body(request)))
            except CoinbaseError as error:
                return reply({"error": error.error, "error_details": str(error), "message": str(error)}, error.status)

        return handle

    def _signed(self, answer: Answer) -> Handler:
        inner = self._open(answer)

        async def handle(request: web.Request) -> web.StreamResponse:
            kind, _, token = request.headers.get("Authorization", "").partition(" ")
            try:
                if kind != "Bearer":
                    raise Unauthorized("no bearer token")
                self._keys.check(token, f"{request.method} {request.host}{request.path}", self._side.skew_s())
            except Unauthorized:
                return web.Response(status=401, text="Unauthorized")
            return await inner(request)

        return handle


def _id(request: web.Request) -> str:
    return request.match_info["id"]


async def _body(request: web.Request) -> Mapping[str, Any]:
    if request.method == "GET":
        return {}
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise CoinbaseError(400, "INVALID_ARGUMENT", "the body is no JSON") from error
    if not isinstance(body, dict):
        raise CoinbaseError(400, "INVALID_ARGUMENT", "the body must be an object")
    return body
