"""The market websocket: /stream (wrapped frames) and /ws (raw ones), with SUBSCRIBE and its relatives."""

from collections.abc import Callable
from typing import Any, Final

import orjson
from aiohttp import web

from exchanges.practice.hub import BINARY, STREAM_LIMIT, TEXT, Client, Hub

_METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_FRAME_LIMIT: Final = 256 * 1024


class _Refused(Exception):
    """A client's frame is not understood: the venue's code and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def market_socket(hub: Hub, *, is_wrapped: bool) -> Callable[[web.Request], Any]:
    """The handler of one path."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False, max_msg_size=_FRAME_LIMIT, heartbeat=None)
        await ws.prepare(request)
        client = Client(ws, request.transport, is_wrapped=is_wrapped)
        hub.join(client)
        try:
            hub.subscribe(client, _streams_of(request)[:STREAM_LIMIT])
            async for message in ws:
                if message.type in (TEXT, BINARY):
                    client.send(answer(hub, client, message.data))
        finally:
            hub.leave(client)
            await client.end()
        return ws

    return handle


def _streams_of(request: web.Request) -> list[str]:
    path = request.match_info.get("stream", "")
    named = path or request.query.get("streams", "")
    return [name for name in named.split("/") if name]


def answer(hub: Hub, client: Client, text: str | bytes) -> str:
    """Obey one client frame; the answer's text. Never raises for what a client wrote."""
    number: object = None
    try:
        try:
            frame = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise _Refused(3, f"Invalid JSON: {error.msg} at line {error.lineno} column {error.colno}") from error
        if not isinstance(frame, dict):
            raise _Refused(3, "Invalid JSON: expected a request object at line 1 column 1")
        number = frame.get("id")
        if not isinstance(number, int | str | None) or isinstance(number, bool):
            number = None
            raise _Refused(2, "Invalid request: request ID must be an unsigned integer or a string")
        result = _obey(hub, client, frame)
    except _Refused as refused:
        body: dict[str, Any] = {"code": refused.code, "msg": str(refused)}
        return orjson.dumps({**body, "id": number} if number is not None else body).decode()
    return orjson.dumps({"result": result, "id": number}).decode()


def _obey(hub: Hub, client: Client, frame: dict[str, Any]) -> object:
    method = frame.get("method")
    if method not in _METHODS:
        raise _Refused(2, f"Invalid request: unknown variant {str(method)[:40]}, expected one of {', '.join(_METHODS)}")
    params = frame.get("params", [])
    if method == "LIST_SUBSCRIPTIONS":
        return list(client.streams)
    if method == "GET_PROPERTY":
        _combined(params[:1])
        return client.is_wrapped
    if not isinstance(params, list) or not params:
        raise _Refused(2, f"Invalid request: {method} needs a list of parameters")
    if method == "SET_PROPERTY":
        _combined(params[:1])
        if len(params) < 2 or not isinstance(params[1], bool):
            raise _Refused(1, "Invalid value type: expected Boolean")
        client.is_wrapped = params[1]
        return None
    if not all(isinstance(name, str) and 0 < len(name) <= 100 for name in params):
        raise _Refused(2, "Invalid request: each parameter must be the name of a stream")
    if method == "UNSUBSCRIBE":
        hub.unsubscribe(client, params)
        return None
    if len({*client.streams, *params}) > STREAM_LIMIT:
        raise _Refused(2, f"Invalid request: more than {STREAM_LIMIT} streams on one connection")
    hub.subscribe(client, params)
    return None


def _combined(names: object) -> None:
    if names != ["combined"]:
        raise _Refused(0, "Unknown property")
