"""The websocket API: /ws-api/v3, orders and the user data stream on one connection."""

from collections.abc import Callable
from typing import Any, Final

import orjson
from aiohttp import web

from exchanges.practice.desk import Desk, Params
from exchanges.practice.fault_market import FrameFaults
from exchanges.practice.hub import BINARY, TEXT, Client
from exchanges.practice.market_view import MarketView
from exchanges.practice.rest_market import VenueRefusal, refusal_body
from exchanges.practice.signing import Signing

_FRAME_LIMIT: Final = 256 * 1024
_UNSIGNED: Final = ("ping", "time")


class WsApi:
    """All connections; `tell` sends an event of the account to those that subscribed."""

    def __init__(self, view: MarketView, desk: Desk, signing: Signing, faults: FrameFaults) -> None:
        self._view = view
        self._faults = faults
        self._signing = signing
        self._listeners: dict[Client, int] = {}  # -> subscription id
        self._clients: dict[Client, None] = {}
        self._logged_on: dict[Client, None] = {}
        self._answers: dict[str, Callable[[Params], Any]] = {
            "ping": lambda _params: {}, "time": lambda _params: {"serverTime": view.now_ms()},
            "order.place": desk.place, "order.test": desk.test, "order.cancel": desk.cancel,
            "order.status": desk.query, "openOrders.status": desk.open_orders, "openOrders.cancelAll": desk.cancel_all,
            "allOrders": desk.all_orders, "myTrades": desk.my_trades, "account.status": desk.account,
        }

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/ws-api/v3", self._handle)]

    def tell(self, event: dict[str, Any]) -> None:
        """An executionReport or outboundAccountPosition."""
        if not self._listeners:
            return
        action = self._faults.judge_event(event.get("s", ""), is_fill=event.get("x") == "TRADE")
        for client, number in list(self._listeners.items()):
            client.carry(action, orjson.dumps({"subscriptionId": number, "event": event}).decode())

    def cut_all(self) -> None:
        for client in list(self._clients):
            client.cut(1001, b"going away")

    async def _handle(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False, max_msg_size=_FRAME_LIMIT)
        await ws.prepare(request)
        client = Client(ws, request.transport, is_wrapped=False)
        self._clients[client] = None
        try:
            async for message in ws:
                if message.type in (TEXT, BINARY):
                    client.send(self.answer(client, message.data))
        finally:
            for known in (self._clients, self._listeners, self._logged_on):
                known.pop(client, None)
            await client.end()
        return ws

    def answer(self, client: Client, text: str | bytes) -> str:
        """Obey one request; never raises for what a client wrote."""
        number: object = None
        try:
            try:
                frame = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise VenueRefusal(-1000, f"Invalid JSON: {error.msg}") from error
            if not isinstance(frame, dict):
                raise VenueRefusal(-1000, "Invalid request: expected an object")
            number = frame.get("id")
            if not isinstance(number, int | str | None):
                number = None
                raise VenueRefusal(-1135, "Invalid request: 'id' must be an integer, a string or null")
            result = self._obey(client, frame)
        except VenueRefusal as refusal:
            body = {"id": number, "status": refusal.status, "error": refusal_body(refusal), "rateLimits": []}
            return orjson.dumps(body).decode()
        return orjson.dumps({"id": number, "status": 200, "result": result, "rateLimits": []}).decode()

    def _obey(self, client: Client, frame: dict[str, Any]) -> Any:
        method, given = frame.get("method"), frame.get("params") or {}
        if not isinstance(method, str) or not isinstance(given, dict):
            raise VenueRefusal(-1000, "Invalid request: 'method' must be a string and 'params' an object")
        params = {str(key): _text(value) for key, value in given.items()}
        if method == "userDataStream.unsubscribe":
            self._listeners.pop(client, None)
            return {}
        needs_session = method == "userDataStream.subscribe"
        if not (needs_session and client in self._logged_on) and method not in _UNSIGNED:
            self._check(client, method, params)
        if method == "session.logon":
            self._logged_on[client] = None
            return {"apiKey": params.get("apiKey", ""), "authorizedSince": self._view.now_ms(),
                    "connectedSince": self._view.now_ms(), "returnRateLimits": True,
                    "serverTime": self._view.now_ms(), "userDataStream": client in self._listeners}
        if method in ("userDataStream.subscribe.signature", "userDataStream.subscribe"):
            self._listeners[client] = 0
            return {"subscriptionId": 0}
        answer = self._answers.get(method)
        if answer is None:
            raise VenueRefusal(-1000, f"Unknown method '{method[:60]}'.")
        return answer(params)

    def _check(self, client: Client, method: str, params: Params) -> None:
        known = (*self._answers, "session.logon", "userDataStream.subscribe", "userDataStream.subscribe.signature")
        if method not in known:
            return  # refused by name below
        if client in self._logged_on and "signature" not in params:
            return  # the session is authenticated
        payload = "&".join(f"{key}={params[key]}" for key in sorted(params) if key != "signature")
        self._signing.check(params, params.get("apiKey", ""), payload)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    raise VenueRefusal(-1100, "Illegal characters found in a parameter: write numbers with decimals as strings.")
