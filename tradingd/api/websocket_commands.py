"""Commands over the websocket take the road of REST: the same checks, the same answers, the same idempotency."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode

import orjson
from starlette.types import ASGIApp, Message

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "status": ("GET", "/api/status"),
    "agents": ("GET", "/api/agents"),
    "positions": ("GET", "/api/positions"),
    "orders": ("GET", "/api/orders"),
    "trace": ("GET", "/api/orders/{id}/trace"),
    "trades": ("GET", "/api/trades"),
    "performance": ("GET", "/api/performance"),
    "start": ("POST", "/api/trading/start"),
    "stop": ("POST", "/api/trading/stop"),
    "pause": ("POST", "/api/trading/pause"),
    "resume": ("POST", "/api/trading/resume"),
    "kill": ("POST", "/api/trading/kill"),
    "unlock": ("POST", "/api/trading/unlock"),
    "order": ("POST", "/api/orders"),
    "modify": ("PATCH", "/api/orders/{id}"),
    "cancel": ("DELETE", "/api/orders/{id}"),
    "close": ("POST", "/api/positions/close"),
    "close-all": ("POST", "/api/positions/close-all"),
    "rebalance": ("POST", "/api/positions/rebalance"),
    "grids": ("GET", "/api/grids"),
    "grid-start": ("POST", "/api/grids"),
    "grid-stop": ("DELETE", "/api/grids/{id}"),
    "locks": ("GET", "/api/locks"),
    "lock-lift": ("DELETE", "/api/locks/{id}"),
    "backtest": ("POST", "/api/backtest/run"),
    "backtest-status": ("GET", "/api/backtest/{id}/status"),
    "backtest-cancel": ("POST", "/api/backtest/{id}/cancel"),
    "weight": ("PUT", "/api/agents/{id}/weight"),
}
"""A name, and the request it stands for. `args` fill {id}; the rest is the body, or the query of GET and DELETE."""


async def dispatch(
    app: ASGIApp, command: str, args: Mapping[str, Any], *, token: str, key: str, host: str, address: tuple[str, int]
) -> tuple[int, Any]:
    """Ask our own REST API in process: status and parsed answer. `command` is one of `COMMANDS`."""
    method, template = COMMANDS[command]
    rest = dict(args)
    path = template.replace("{id}", quote(str(rest.pop("id", "")), safe="")) if "{id}" in template else template
    takes_query = method in ("GET", "DELETE")
    query = urlencode({name: _text(value) for name, value in rest.items()}) if takes_query else ""
    body = b"" if takes_query or not rest else orjson.dumps(rest)
    headers = [
        (b"host", host.encode("latin-1")), (b"authorization", b"Bearer " + token.encode("latin-1")),
        (b"content-length", str(len(body)).encode()),
    ]
    if body:
        headers.append((b"content-type", b"application/json"))
    if key:
        headers.append((b"idempotency-key", key.encode("latin-1", "replace")))
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": unquote(path), "raw_path": path.encode(), "root_path": "",
        "query_string": query.encode(), "headers": headers, "client": address, "server": None, "state": {},
    }
    answer = _Answer(body)
    await app(scope, answer.receive, answer.send)
    return answer.status, orjson.loads(answer.body) if answer.body else None


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Answer:
    """The two ends of one request in process."""

    def __init__(self, body: bytes) -> None:
        self.status = 500
        self.body = b""
        self._sent = body

    async def receive(self) -> Message:
        return {"type": "http.request", "body": self._sent, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
