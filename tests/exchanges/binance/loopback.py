"""A server on this machine that misbehaves on order (the well-behaved one is the practice exchange).

Tests say what each REST path answers and what is sent after a subscription.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import WSMsgType, web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Script = Callable[[web.WebSocketResponse], Awaitable[None]]


@dataclass
class Loopback:
    """`requests` holds every REST call as (method, path, query); `subscriptions` what was subscribed."""

    handlers: dict[tuple[str, str], Handler] = field(default_factory=dict)
    scripts: list[Script] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    subscriptions: list[list[str]] = field(default_factory=list)
    sent_before_the_answer: list[Any] = field(default_factory=list)
    subscribe_error: dict[str, Any] | None = None
    connections: int = 0
    base: str = ""
    _runner: web.AppRunner | None = None

    @property
    def rest_url(self) -> str:
        return f"http://{self.base}"

    @property
    def ws_url(self) -> str:
        return f"ws://{self.base}/stream"

    def answer(self, method: str, path: str, body: Any, status: int = 200, headers: dict[str, str] | None = None):
        async def handler(request: web.Request) -> web.Response:
            return web.Response(
                body=orjson.dumps(body), status=status, headers=headers, content_type="application/json"
            )

        self.handlers[(method, path)] = handler

    def calls(self, method: str, path: str) -> list[dict[str, str]]:
        return [query for called, where, query in self.requests if (called, where) == (method, path)]

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/stream", self._websocket)
        app.router.add_get("/ws-api/v3", self._websocket)
        app.router.add_route("*", "/{tail:.*}", self._rest)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base = f"{host}:{port}"

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.query)))
        handler = self.handlers.get((request.method, request.path))
        if handler is None:
            return web.Response(status=404, text="nothing here")
        return await handler(request)

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Answers one request, then plays the next script; a socket without a script says nothing more."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        async for message in socket:
            if message.type != WSMsgType.TEXT:
                break
            wish = orjson.loads(message.data)
            self.subscriptions.append(wish["params"])
            for frame in self.sent_before_the_answer:
                await socket.send_str(orjson.dumps(frame).decode())
            if self.subscribe_error is not None:
                await socket.send_str(orjson.dumps({**self.subscribe_error, "id": wish["id"]}).decode())
                continue
            await socket.send_str(orjson.dumps({"result": None, "status": 200, "id": wish["id"]}).decode())
            if self.scripts:
                await self.scripts.pop(0)(socket)
        return socket


def sends(*frames: Any, then_close: bool = False) -> Script:
    """A script: these frames in order (bytes and text go out as they are)."""

    async def script(socket: web.WebSocketResponse) -> None:
        for frame in frames:
            if isinstance(frame, str):
                await socket.send_str(frame)
            else:
                await socket.send_str(orjson.dumps(frame).decode())
        if then_close:
            await socket.close()

    return script


async def until(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Let the loop run until it holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # what is awaited is often a list in another object
            await asyncio.sleep(0.001)
