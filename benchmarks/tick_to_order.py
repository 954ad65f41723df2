"""Tick to order over sockets (P5): a frame leaves the exchange, the order that it triggers comes back.

Loopback exchanges (websocket frames out, REST orders in) stand in this process, the real daemon in another, live on
one of them: frame -> parse -> engine -> trigger -> gate -> journal -> HTTP request. Both time stamps are taken here.
On other exchanges plain programs do as much of the same work as they care for (`benchmarks.order_peers`).

All run side by side and are measured in turns, a few orders each, so that a noisy machine is noisy for all; where
there are two processors, this process has the first and all others the second. Compare ratios of one run. The disk's
flush is reported apart: a second daemon, its journal in memory (/dev/shm), shows what is ours.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks.live_daemon import MEMORY, live_daemon
from benchmarks.loopback_exchange import LoopbackExchange
from benchmarks.order_peers import BARE, COMMON, FAST_LOOP, script
from benchmarks.order_timing import ARMED, FLOOD_PER_S, quiet_frame_cpu_us, time_held_orders, time_orders
from benchmarks.result import Result, percentile
from bus.ids import SessionId
from bus.messages.header import MessageMaker
from bus.messages.system import Heartbeat
from tradingd.message_journal import MessageJournal

ROUNDS: Final = 30
NAME: Final = "tick_to_order"
RATES: Final = (0, FLOOD_PER_S)
PERCENTILES: Final = (50, 99)


@dataclass(slots=True)
class _Contender:
    """One program under measurement. `time` takes the times of a few orders; `seconds` by quotes per second."""

    params: dict[str, str | int | float | bool]
    exchange: LoopbackExchange
    pid: int
    time: Callable[[int], Coroutine[Any, Any, list[float]]]
    seconds: dict[int, list[float]] = field(default_factory=lambda: {rate: [] for rate in RATES})


def run() -> list[Result]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure())


async def _measure() -> list[Result]:
    async with AsyncExitStack() as stack:
        contenders = [await stack.enter_async_context(_peer(name)) for name in (COMMON, FAST_LOOP, BARE)]
        contenders.insert(0, await stack.enter_async_context(_ours("disk", None)))
        if MEMORY.is_dir():
            _keep_alive(contenders)
            contenders.insert(0, await stack.enter_async_context(_ours("memory", MEMORY)))
        ours = contenders[0]
        with _processors_apart([each.pid for each in contenders]):
            for _ in range(ROUNDS):
                for contender in contenders:
                    for rate in RATES:
                        contender.seconds[rate] += await contender.time(rate)
                    _keep_alive(contenders)
            cpu = [await quiet_frame_cpu_us(each.exchange, each.pid) for each in contenders]
    results = [
        Result(NAME, _us(each, rate, percent), "us", {"percentile": percent, **each.params, "frames_per_s": rate})
        for each in contenders for rate in RATES for percent in PERCENTILES
    ]
    results += [Result("quiet_frame_cpu", us, "us", each.params) for each, us in zip(contenders, cpu, strict=True)]
    results.append(Result("journal_flush", _journal_flush_us(), "us", {"percentile": 50}))
    common = next(each for each in contenders if each.params.get("peer") == COMMON)
    results += [
        Result("tick_to_order_ratio", _us(ours, rate, percent) / _us(common, rate, percent), "x peer",
               {"percentile": percent, "frames_per_s": rate, "peer": COMMON})
        for rate in RATES for percent in PERCENTILES
    ]
    return results


def _keep_alive(contenders: list[_Contender]) -> None:
    """A feed that is mute for seconds is a fault, and entries would stop."""
    for contender in contenders:
        contender.exchange.send(contender.exchange.quote(contender.exchange.price))


def _us(contender: _Contender, rate: int, percent: int) -> float:
    return percentile(contender.seconds[rate], percent / 100) * 1e6


@asynccontextmanager
async def _ours(journal: str, folder: Path | None) -> AsyncIterator[_Contender]:
    async with _exchange() as exchange, live_daemon(exchange, folder) as daemon:
        yield _Contender(
            {"journal": journal}, exchange, daemon.pid,
            lambda rate: time_held_orders(exchange, daemon, per_s=rate),
        )


@asynccontextmanager
async def _peer(name: str) -> AsyncIterator[_Contender]:
    async with _exchange() as exchange:
        process = subprocess.Popen([sys.executable, "-c", script(name, exchange.address)])
        try:
            await asyncio.wait_for(exchange.connected.wait(), 20)
            await asyncio.sleep(0.2)
            yield _Contender(
                {"peer": name}, exchange, process.pid, lambda rate: time_orders(exchange, ARMED, per_s=rate),
            )
        finally:
            process.kill()
            process.wait()


@asynccontextmanager
async def _exchange() -> AsyncIterator[LoopbackExchange]:
    exchange = LoopbackExchange()
    await exchange.start()
    try:
        yield exchange
    finally:
        await exchange.stop()


@contextmanager
def _processors_apart(pids: list[int]) -> Iterator[None]:
    """This process on the first processor we may use, the others on the second; as it was where there is but one."""
    before = os.sched_getaffinity(0)
    if len(before) < 2:
        yield
        return
    ours, theirs = sorted(before)[:2]
    os.sched_setaffinity(0, {ours})
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {theirs})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


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
