"""Signed REST: /api/v3 orders and account."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from exchanges.practice.desk import Desk, Params
from exchanges.practice.rest_market import Handler, VenueRefusal, reply
from exchanges.practice.signing import Signing


class AccountRest:
    """Parameters come in the query or the form body, as the real venue takes them."""

    def __init__(self, desk: Desk, signing: Signing) -> None:
        self._desk = desk
        self._signing = signing

    def routes(self) -> list[web.RouteDef]:
        desk, path = self._desk, "/api/v3"
        return [
            web.post(f"{path}/order", self._signed(desk.place)),
            web.post(f"{path}/order/test", self._signed(desk.test)),
            web.get(f"{path}/order", self._signed(desk.query)),
            web.delete(f"{path}/order", self._signed(desk.cancel)),
            web.get(f"{path}/openOrders", self._signed(desk.open_orders)),
            web.delete(f"{path}/openOrders", self._signed(desk.cancel_all)),
            web.get(f"{path}/allOrders", self._signed(desk.all_orders)),
            web.get(f"{path}/myTrades", self._signed(desk.my_trades)),
            web.get(f"{path}/account", self._signed(desk.account)),
        ]

    def _signed(self, answer: Callable[[Params], Any]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            try:
                body = (await request.read()).decode()
            except UnicodeDecodeError as error:
                raise VenueRefusal(-1100, "Illegal characters found in a parameter.") from error
            query = request.rel_url.raw_query_string
            params: dict[str, str] = {}
            for text in (query, body):
                for key, value in parse_qsl(text, keep_blank_values=True):
                    if key in params:
                        raise VenueRefusal(-1101, f"Duplicate values for parameter '{key}'.")
                    params[key] = value
            payload = "&".join(part for part in (query + body).split("&") if not part.startswith("signature="))
            if "&signature=" in query and body:
                payload = query.partition("&signature=")[0] + body
            self._signing.check(params, request.headers.get("X-MBX-APIKEY", ""), payload)
            return reply(answer(params))

        return handle
