"""Tick to order over sockets (P5): a frame leaves the exchange, the order that it triggers comes back.

A loopback exchange (websocket frames out, REST orders in) stands in this process, the real daemon in
another, live on it: frame -> parse -> engine -> trigger -> gate -> journal with fsync -> HTTP request. Both
time stamps are taken here. On the same exchange the common asyncio stack (websockets, json, aiohttp; no
checks, no journal) does the same work as the peer.

The disk's flush is reported apart: the same daemon with its journal in memory (/dev/shm) shows what is ours.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import uvloop

from benchmarks.loopback_exchange import LoopbackExchange
from benchmarks.result import BenchSkipped, Result, percentile
from bus.ids import SessionId
from bus.messages.header import MessageMaker
from bus.messages.system import Heartbeat
from tradingd.message_journal import MessageJournal

ORDERS: Final = 300
ARMED: Final = 10
STEP: Final = 0.5
PAUSE_S: Final = 0.004
FLOOD_PER_S: Final = 5_000
QUIET_FRAMES: Final = 25_000
MEMORY: Final = Path("/dev/shm")
NAME: Final = "tick_to_order"


def run() -> list[Result]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure())


async def _measure() -> list[Result]:
    exchange = LoopbackExchange()
    await exchange.start()
    try:
        results = await _ours(exchange, "disk", None)
        if MEMORY.is_dir():
            results += await _ours(exchange, "memory", MEMORY)
        peer, _ = await _peer(exchange, is_flooded=False)
        flooded, flooded_cpu = await _peer(exchange, is_flooded=True)
    finally:
        await exchange.stop()
    results += _percentiles(peer, {"peer": "websockets + json + aiohttp", "frames_per_s": 0})
    results += _percentiles(flooded, {"peer": "websockets + json + aiohttp", "frames_per_s": FLOOD_PER_S})
    results.append(Result("quiet_frame_cpu", flooded_cpu, "us", {"peer": "websockets + json + aiohttp"}))
    results.append(Result("journal_flush", _journal_flush_us(), "us", {"percentile": 50}))
    mine = [r.value for r in results if r.params == {
        "percentile": 50, "journal": "memory" if MEMORY.is_dir() else "disk", "frames_per_s": 0}]
    results.append(Result("tick_to_order_ratio", mine[0] / (percentile(peer, 0.5) * 1e6), "x peer", {"percentile": 50}))
    return results


async def _ours(exchange: LoopbackExchange, journal: str, folder: Path | None) -> list[Result]:
    async with _daemon(exchange, folder) as (pid, url, token):
        alone = await _time_held_orders(exchange, url, token, is_flooded=False)
        flooded = await _time_held_orders(exchange, url, token, is_flooded=True)
        cpu = await _quiet_frame_cpu_us(exchange, pid)
    results = _percentiles(alone, {"journal": journal, "frames_per_s": 0})
    results += _percentiles(flooded, {"journal": journal, "frames_per_s": FLOOD_PER_S})
    results.append(Result("quiet_frame_cpu", cpu, "us", {"journal": journal}))
    return results


def _percentiles(times: list[float], params: dict[str, str | int | float | bool]) -> list[Result]:
    return [
        Result(NAME, percentile(times, percent / 100) * 1e6, "us", {"percentile": percent} | params)
        for percent in (50, 99)
    ]


async def _time_held_orders(exchange: LoopbackExchange, url: str, token: str, *, is_flooded: bool) -> list[float]:
    """A few orders are armed at a time, as a person would have; each fires, is filled, and ends."""
    times: list[float] = []
    for _ in range(ORDERS // ARMED):
        exchange.send(exchange.quote(exchange.price))
        for number in range(ARMED):
            await asyncio.to_thread(_place, url, token, exchange.price + STEP * (number + 0.5))
        times += await _time_orders(exchange, ARMED, is_flooded=is_flooded)
    return times


async def _time_orders(exchange: LoopbackExchange, count: int, *, is_flooded: bool) -> list[float]:
    """Seconds from each frame that must trigger to its order's arrival; orders wait `STEP` apart."""
    times: list[float] = []
    flood = asyncio.create_task(_flood(exchange, None)) if is_flooded else None
    try:
        for _ in range(count):
            exchange.price += STEP
            frame = exchange.trade(exchange.price)
            begin = time.perf_counter()
            exchange.send(frame)
            arrived, _ = await asyncio.wait_for(exchange.arrived.get(), 5)
            times.append(arrived - begin)
            await asyncio.sleep(PAUSE_S)
    finally:
        if flood is not None:
            flood.cancel()
    return times


async def _flood(exchange: LoopbackExchange, count: int | None) -> None:
    """Quotes that trigger nothing, evenly spaced: the loop is kept spinning, for timers are too coarse."""
    begin, sent = time.perf_counter(), 0
    while count is None or sent < count:
        if time.perf_counter() - begin >= sent / FLOOD_PER_S:
            exchange.send(exchange.quote(exchange.price - sent % 7 / 100))
            sent += 1
        await asyncio.sleep(0)


async def _quiet_frame_cpu_us(exchange: LoopbackExchange, pid: int) -> float:
    """CPU time of the whole process (all threads, timers and API included) per quiet frame."""
    before = _cpu_ns(pid)
    await _flood(exchange, QUIET_FRAMES)
    await asyncio.sleep(0.05)
    return (_cpu_ns(pid) - before) / QUIET_FRAMES / 1e3


def _cpu_ns(pid: int) -> int:
    """Time on a processor of all threads of a process (Linux)."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def _journal_flush_us() -> float:
    """What the disk takes of a synced append: the same append without the flush is subtracted."""
    maker = MessageMaker("bench", SessionId("s"))
    message = maker.make(Heartbeat("x"), 1)
    times: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder:
        journal = MessageJournal.open(Path(folder) / "j.journal")
        for is_synced in (True, False):
            for _ in range(200):
                begin = time.perf_counter()
                journal.append([message, message, message], sync=is_synced)
                times[is_synced].append(time.perf_counter() - begin)
        journal.close()
    return (statistics.median(times[True]) - statistics.median(times[False])) * 1e6


@asynccontextmanager
async def _daemon(exchange: LoopbackExchange, parent: Path | None) -> AsyncIterator[tuple[int, str, str]]:
    """The real daemon, live on the loopback exchange: (process id, address of its API, token)."""
    with tempfile.TemporaryDirectory(prefix="tradingd-bench-", dir=parent) as folder:
        environment = _environment(exchange, folder)
        with (Path(folder) / "output.txt").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tradingd", "run"], env=environment, stdout=output, stderr=output,
            )
        try:
            await asyncio.wait_for(exchange.connected.wait(), 20)
            url, token = await asyncio.to_thread(_control, Path(folder), environment)
            exchange.send(exchange.quote(exchange.price))
            exchange.send(exchange.trade(exchange.price))
            await asyncio.sleep(0.3)
            yield process.pid, url, token
        except TimeoutError as error:
            said = (Path(folder) / "output.txt").read_text(errors="replace")[-800:]
            raise BenchSkipped(f"the daemon did not trade on the loopback exchange: {said}") from error
        finally:
            process.terminate()
            # Not `process.wait` here: the daemon's last requests are answered by this very loop.
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, 20)
            process.kill()
            process.wait()


def _environment(exchange: LoopbackExchange, folder: str) -> dict[str, str]:
    return os.environ | {
        "TRADINGD__MODE": "live", "TRADINGD__VENUE": "practice", "TRADINGD__DATA_DIR": folder,
        "TRADINGD__VENUES__PRACTICE__REST_URL": f"http://{exchange.address}",
        "TRADINGD__VENUES__PRACTICE__WS_URL": f"ws://{exchange.address}/stream",
        "TRADINGD__VENUES__PRACTICE__WS_API_URL": f"ws://{exchange.address}/ws-api/v3",
        "TRADINGD__VENUES__PRACTICE__PRIVATE_PER_S": "1000", "TRADINGD__ORDERS__DISASTER_STOP": "never",
        "TRADINGD__SYMBOLS": "BTC/USDT", "TRADINGD__API__PORT": "0", "TRADINGD__LOG__FORMAT": "json",
        "TRADINGD__COUNCIL__THRESHOLD": "1",
        "TRADINGD__RISK__ORDERS_PER_SECOND": "1000000", "TRADINGD__RISK__ORDERS_PER_MINUTE": "1000000",
        "TRADINGD__RISK__MAX_POSITIONS": "1000", "TRADINGD__RISK__EXPOSURE_PER_ASSET": "1",
        "TRADINGD__RISK__EXPOSURE_TOTAL": "1", "TRADINGD__RISK__DUPLICATE_WINDOW_S": "0",
    }


def _control(folder: Path, environment: dict[str, str]) -> tuple[str, str]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if (folder / "run.json").exists():
            url = json.loads((folder / "run.json").read_text())["url"]
            with suppress(OSError):
                urllib.request.urlopen(f"{url}/api/health", timeout=2)
                token = subprocess.run(
                    [sys.executable, "-m", "tradingd", "token"], env=environment, capture_output=True, text=True,
                    check=True,
                ).stdout.strip()
                return url, token
        time.sleep(0.05)
    raise TimeoutError("no run.json")


def _place(url: str, token: str, stop_price: float) -> None:
    body = {
        "symbol": "BTC/USDT", "side": "buy", "type": "stop", "quantity": "0.00100", "stop_price": f"{stop_price:.2f}",
    }
    request = urllib.request.Request(
        f"{url}/api/orders", json.dumps(body).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        urllib.request.urlopen(request, timeout=5).read()
    except urllib.error.HTTPError as error:
        raise BenchSkipped(f"an order for the measurement was refused: {error.read().decode()[:300]}") from error


async def _peer(exchange: LoopbackExchange, *, is_flooded: bool) -> tuple[list[float], float]:
    process = subprocess.Popen([sys.executable, "-c", _PEER.replace("URL", exchange.address)])
    try:
        await asyncio.wait_for(exchange.connected.wait(), 20)
        await asyncio.sleep(0.2)
        times = await _time_orders(exchange, ORDERS, is_flooded=is_flooded)
        return times, await _quiet_frame_cpu_us(exchange, process.pid) if is_flooded else 0.0
    finally:
        process.kill()
        process.wait()
        while exchange.market_sockets:
            await asyncio.sleep(0.01)


_PEER: Final = '''
import asyncio, json, aiohttp, websockets

async def main():
    async with aiohttp.ClientSession() as http, websockets.connect("ws://URL/stream") as socket:
        await socket.send(json.dumps({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}))
        best = 0.0
        async for text in socket:
            data = json.loads(text).get("data")
            if data and data.get("e") == "trade" and float(data["p"]) > best:
                best = float(data["p"])
                async with http.post("http://URL/api/v3/order", data={
                    "symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001",
                    "newClientOrderId": "peer"}) as answer:
                    await answer.read()

asyncio.run(main())
'''
