"""A hundred websocket clients that hear everything (P8): what REST takes meanwhile, and what the engine notices.

The real daemon trades on the loopback exchange while a flood of quotes moves its prices. The time from tick to order
is taken without clients and with them, in turns, so that a noisy machine is noisy for both; REST is asked by a
program of its own. The clients live in a third process: they read and throw away.
"""

import asyncio
import subprocess
import sys
import time
import urllib.request
from typing import Final

import uvloop

from benchmarks.live_daemon import MEMORY, LiveDaemon, live_daemon
from benchmarks.loopback_exchange import LoopbackExchange
from benchmarks.order_timing import FLOOD_PER_S, Flood, time_held_orders
from benchmarks.result import BenchSkipped, Result, percentile

CLIENTS: Final = 100
ROUNDS: Final = 3
HELD_ORDERS: Final = 30
"""So many times ten of them a round."""
REST_CALLS: Final = 400
PATHS: Final = ("/api/status", "/api/orders?limit=20", "/api/positions", "/api/performance")


def run() -> list[Result]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure())


async def _measure() -> list[Result]:
    exchange = LoopbackExchange()
    await exchange.start()
    alone: list[float] = []
    crowded: list[float] = []
    rest: list[float] = []
    try:
        async with live_daemon(exchange, MEMORY if MEMORY.is_dir() else None) as daemon:
            for _round in range(ROUNDS):
                alone += await _time_held_orders(exchange, daemon)
                clients = await _listen(daemon.url, daemon.token)
                try:
                    crowded += await _time_held_orders(exchange, daemon)
                    rest += await _time_rest(exchange, daemon.url, daemon.token)
                finally:
                    heard = await _leave(clients)
    finally:
        await exchange.stop()
    with_clients: dict[str, str | int | float | bool] = {"clients": CLIENTS}
    results = [
        Result("api_clients_rest", percentile(rest, percent / 100) * 1e3, "ms", {"percentile": percent} | with_clients)
        for percent in (50, 99)
    ]
    for times, count in ((alone, 0), (crowded, CLIENTS)):
        results += [
            Result("api_clients_engine", percentile(times, percent / 100) * 1e6, "us",
                   {"percentile": percent, "clients": count})
            for percent in (50, 99)
        ]
    added = (percentile(crowded, 0.99) - percentile(alone, 0.99)) * 1e3
    results.append(Result("api_clients_added", added, "ms", {"percentile": 99} | with_clients))
    results.append(Result("api_clients_heard", heard / CLIENTS / 1e3, "kB/client", with_clients))
    return results


async def _time_held_orders(exchange: LoopbackExchange, daemon: LiveDaemon) -> list[float]:
    return [seconds for _ in range(HELD_ORDERS) for seconds in await time_held_orders(exchange, daemon)]


async def _listen(url: str, token: str) -> "subprocess.Popen[str]":
    port = url.rpartition(":")[2]
    process = subprocess.Popen(
        [sys.executable, "-c", _CLIENTS, port, str(CLIENTS), token], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = await asyncio.to_thread(process.stdout.readline)
    if line.strip() != "all listen":
        process.kill()
        raise BenchSkipped(f"the clients could not connect: {line}")
    return process


async def _leave(process: "subprocess.Popen[str]") -> int:
    """Bytes that all clients have heard together."""
    out, _ = await asyncio.to_thread(process.communicate, "\n")
    return int(out.split()[-1])


async def _time_rest(exchange: LoopbackExchange, url: str, token: str) -> list[float]:
    """While quotes flood in, so that there is much to tell."""
    flood = asyncio.create_task(Flood(exchange, FLOOD_PER_S).run())
    try:
        return await asyncio.to_thread(_ask, url, token)
    finally:
        flood.cancel()


def _ask(url: str, token: str) -> list[float]:
    times = []
    for number in range(REST_CALLS):
        request = urllib.request.Request(url + PATHS[number % len(PATHS)], headers={"Authorization": f"Bearer {token}"})
        begin = time.perf_counter()
        with urllib.request.urlopen(request, timeout=5) as answer:
            answer.read()
        times.append(time.perf_counter() - begin)
        time.sleep(0.01)
    return times


_CLIENTS: Final = '''
import asyncio, json, os, struct, sys
import uvloop

port, count, token = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
SAID = json.dumps({"op": "subscribe", "channels": ["*"], "token": token}).encode()
HELLO = (b"GET /api/ws HTTP/1.1\\r\\nHost: localhost\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
         b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n")
FIRST = bytes((0x81, 0x80 | 126)) + struct.pack("!H", len(SAID)) + bytes(4) + SAID
heard = listening = 0

class Client(asyncio.Protocol):
    is_in = is_open = False
    def connection_made(self, transport):
        self.transport = transport
        transport.write(HELLO)
    def data_received(self, data):
        global heard, listening
        heard += len(data)
        if not self.is_open and b" 101 " in data:
            self.is_open = True
            self.transport.write(FIRST)
        if not self.is_in and b'"subscribe"' in data:
            self.is_in = True
            listening += 1
    def connection_lost(self, error):
        print("a client was dropped", flush=True)
        os._exit(1)

async def main():
    loop = asyncio.get_running_loop()
    for _ in range(count):
        await loop.create_connection(Client, "127.0.0.1", port)
    while listening < count:
        await asyncio.sleep(0.01)
    print("all listen", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    print(heard, flush=True)
    os._exit(0)

uvloop.run(main())
'''
