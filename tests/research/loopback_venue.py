"""A server on this machine with klines and monthly archives, well-behaved or not, as a test says."""

import contextlib
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from market.interval import interval_ns

BEGIN_MS = 1_714_521_600_000  # 2024-05-01


def archive(name: str, rows: list[str]) -> tuple[bytes, bytes]:
    """The bytes of a monthly archive and of its checksum file."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as packed:
        packed.writestr(name.replace(".zip", ".csv"), "\n".join(rows) + "\n")
    data = made.getvalue()
    return data, f"{hashlib.sha256(data).hexdigest()}  {name}\n".encode()


def kline(ts_ms: int, price: float = 100.0, step_ms: int = 60_000) -> list[Any]:
    text = f"{price:.8f}"
    return [ts_ms, text, text, text, text, "1.50000000", ts_ms + step_ms - 1, "150", 3, "1", "100", "0"]


@dataclass
class LoopbackVenue:
    """`absent` open times (ms) have no candle; `failures` are statuses given before good answers, by path's end."""

    first_ms: int = BEGIN_MS
    price: float = 100.0
    absent: set[int] = field(default_factory=set)
    intervals: tuple[str, ...] = ("1m", "1h")
    files: dict[str, bytes] = field(default_factory=dict)
    failures: dict[str, list[int]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    now_ms: int = BEGIN_MS + 40 * 86_400_000
    limits: list[dict[str, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    """Beside each candles' answer, bad ones too."""
    url: str = ""

    async def klines(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        self.asked.append(query)
        if (bad := self._failure("klines")) is not None:
            return web.Response(status=bad, body=b"{}", headers=self.headers)
        if query["interval"] not in self.intervals:
            return reply({"code": -1120, "msg": "Invalid interval."}, 400)
        if query["symbol"] != "BTCUSDT":
            return reply({"code": -1121, "msg": "Invalid symbol."}, 400)
        step = interval_ns(query["interval"]) // 1_000_000
        ts, rows = max(int(query["startTime"]), self.first_ms), []
        ts = -(-ts // step) * step
        while len(rows) < int(query["limit"]) and ts <= self.now_ms:
            if ts not in self.absent:
                rows.append(kline(ts, self.price, step))
            ts += step
        return reply(rows, headers=self.headers)

    async def exchange_info(self, request: web.Request) -> web.Response:
        if request.query.get("symbol", "BTCUSDT") != "BTCUSDT":
            return reply({"code": -1121, "msg": "Invalid symbol."}, 400)
        return reply({"rateLimits": self.limits, "symbols": []})

    async def time(self, request: web.Request) -> web.Response:
        return reply({"serverTime": self.now_ms})

    async def file(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        name = request.path.rsplit("/", 1)[-1]
        if (bad := self._failure(name)) is not None:
            return web.Response(status=bad)
        data = self.files.get(name)
        return web.Response(status=404) if data is None else web.Response(body=data)

    def _failure(self, name: str) -> int | None:
        waiting = self.failures.get(name)
        return waiting.pop(0) if waiting else None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["LoopbackVenue"]:
        app = web.Application()
        app.router.add_get("/api/v3/klines", self.klines)
        app.router.add_get("/api/v3/exchangeInfo", self.exchange_info)
        app.router.add_get("/api/v3/time", self.time)
        app.router.add_get("/{tail:.*}", self.file)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            self.url = f"http://{host}:{port}"
            yield self
        finally:
            await runner.cleanup()


def reply(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, headers=headers, content_type="application/json")
