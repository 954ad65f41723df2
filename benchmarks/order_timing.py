"""Taking times on a loopback exchange: a frame that must trigger an order goes out, and the order's arrival is watched.

The market may be quiet meanwhile, or flooded with quotes that trigger nothing.
"""

import asyncio
import time
from pathlib import Path
from typing import Final

from benchmarks.live_daemon import LiveDaemon
from benchmarks.loopback_exchange import LoopbackExchange
from benchmarks.result import BenchSkipped

ARMED: Final = 10
STEP: Final = 0.5
PAUSE_S: Final = 0.004
FLOOD_PER_S: Final = 5_000
_WATCH_S: Final = 0.05
_PATIENCE_S: Final = 5.0
_TRIES: Final = 40
_TRY_AGAIN_S: Final = 0.25
_QUIET_FRAMES: Final = 25_000
_QUIET_PIECES: Final = 5


class Flood:
    """Quotes, evenly spaced, written when somebody calls `go_on`; none at all at 0 a second."""

    def __init__(self, exchange: LoopbackExchange, per_s: int) -> None:
        self._exchange = exchange
        self._per_s = per_s
        self._begin = time.perf_counter()
        self.sent = 0

    def go_on(self) -> None:
        """Write what is due."""
        if self._per_s and time.perf_counter() - self._begin >= self.sent / self._per_s:
            self._exchange.send_at_once(self._exchange.quote(self._exchange.price - self.sent % 7 / 100))
            self.sent += 1

    async def run(self) -> None:
        """Until cancelled. The loop is kept spinning: timers are too coarse."""
        while True:
            self.go_on()
            await asyncio.sleep(0)


async def time_held_orders(exchange: LoopbackExchange, daemon: LiveDaemon, *, per_s: int = 0) -> list[float]:
    """Seconds for each of `ARMED` orders, as a person would have them: each fires, is filled, and ends."""
    for number in range(ARMED):
        stop_price = exchange.price + STEP * (number + 0.5)
        for _ in range(_TRIES):
            exchange.send(exchange.quote(exchange.price))
            if await asyncio.to_thread(daemon.place_stop, stop_price):
                break
            await asyncio.sleep(_TRY_AGAIN_S)
        else:
            raise BenchSkipped("the daemon took no entries for too long: is the machine overloaded?")
    return await time_orders(exchange, ARMED, per_s=per_s)


async def time_orders(exchange: LoopbackExchange, count: int, *, per_s: int = 0) -> list[float]:
    """Seconds from each frame that must trigger to its order's arrival, `PAUSE_S` after the one before it was filled.

    `per_s`: quotes a second that come in between.
    """
    times: list[float] = []
    flood = Flood(exchange, per_s)
    for _ in range(count):
        pause_ends = time.perf_counter() + PAUSE_S
        while time.perf_counter() < pause_ends:
            flood.go_on()
            await asyncio.sleep(0 if per_s else PAUSE_S)
        exchange.price += STEP
        begin = time.perf_counter()
        seconds = exchange.send_and_watch(exchange.trade(exchange.price), _WATCH_S, flood.go_on)
        arrived, _ = await asyncio.wait_for(exchange.arrived.get(), _PATIENCE_S)
        times.append(seconds if seconds is not None else arrived - begin)
    return times


async def quiet_frame_cpu_us(exchange: LoopbackExchange, pid: int) -> float:
    """CPU time of the whole process (all threads, timers and API included) per quiet frame, median of a few pieces."""
    pieces = []
    for _ in range(_QUIET_PIECES):
        flood = Flood(exchange, FLOOD_PER_S)
        before = _cpu_ns(pid)
        while flood.sent < _QUIET_FRAMES // _QUIET_PIECES:
            flood.go_on()
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        pieces.append((_cpu_ns(pid) - before) / flood.sent / 1e3)
    return sorted(pieces)[len(pieces) // 2]


def _cpu_ns(pid: int) -> int:
    """Time on a processor of all threads of a process (Linux)."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat"))
