"""`make soak MINUTES=10`: does anything grow? The real daemon on the practice market, asked by twenty clients.

Every few seconds: resident memory of the daemon and of the practice exchange, how late its event loop is, open
descriptors, sizes of journal and tape. Printed as a table; the slope of memory is the least-squares line over what
follows the warm-up, in MB (1,000,000 bytes) an hour. The last line is JSON. Exit code 1 when memory grew by more
than --most MB/h, or when the daemon ended.

Bounded buffers fill for the first `WARM_UP_MINUTES` (docs/simulator.md lists them): a run that is too short to wait
them out measures how fast they fill, says so (`is_warm` is false) and does not judge.
"""

import argparse
import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from benchmarks.daemon import RunningDaemon, resident_megabytes, running_daemon
from tradingd.auth import mint_token

CLIENTS: Final = 20
CLIENT_PAUSE_S: Final = 2.0
PATHS: Final = (
    "/api/status", "/api/orders?limit=200", "/api/positions", "/api/trades?limit=200", "/api/performance",
    "/api/agents", "/api/limits", "/api/stats/daily", "/api/execution-quality", "/api/locks", "/api/grids",
    "/api/health",
)
MOST_GROWTH: Final = 1.0
"""MB an hour (F50)."""

WARM_UP_MINUTES: Final = 30.0
LEAST_COUNTED_MINUTES: Final = 15.0
"""A slope over less is the noise of the allocator: one arena of a megabyte more is ten megabytes an hour."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. Memory in MB, `journal` and `tape` in bytes on disk, `at_s` since the daemon was ready.

    `loop_lag_ms` is what the daemon says of its own timer, `answer_ms` how long it took to say it.
    """

    at_s: float
    memory: float
    practice_memory: float
    loop_lag_ms: float
    answer_ms: float
    descriptors: int
    threads: int
    journal: int
    tape: int
    fills: int


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make soak", description="Does anything grow?")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--every", type=float, default=5, help="seconds between two looks")
    parser.add_argument("--warm-up", type=float, default=None, help="minutes that do not count (30, at most half)")
    parser.add_argument("--most", type=float, default=MOST_GROWTH, help="MB/h above which the exit code is 1")
    asked = parser.parse_args(arguments)
    warm_up_s = 60 * (min(asked.minutes / 2, WARM_UP_MINUTES) if asked.warm_up is None else asked.warm_up)
    if not 0 < asked.every <= 60 or asked.minutes * 60 - warm_up_s < 3 * asked.every:
        parser.error("too short: choose more --minutes, a shorter --warm-up or fewer seconds --every")
    with running_daemon() as daemon:
        samples, asked_count, refused = asyncio.run(_watch(daemon, asked.minutes * 60, asked.every))
    told = summary(samples, warm_up_s)
    told |= {"requests": asked_count, "requests_refused": refused, "clients": CLIENTS}
    if not told["is_warm"]:
        sys.stdout.write(
            f"Too short to judge memory: buffers fill for {WARM_UP_MINUTES:.0f} minutes, and a slope wants "
            f"{LEAST_COUNTED_MINUTES:.0f} more. Choose MINUTES={WARM_UP_MINUTES + LEAST_COUNTED_MINUTES:.0f} or more.\n"
        )
    sys.stdout.write(json.dumps(told) + "\n")
    ended_early = samples[-1].at_s < asked.minutes * 60 - 3 * asked.every
    has_grown = told["is_warm"] and told["memory_mb_per_hour"] > asked.most
    return 1 if ended_early or has_grown else 0


async def _watch(daemon: RunningDaemon, seconds: float, every: float) -> tuple[list[Sample], int, int]:
    """Samples until the time is over or the daemon is; then how often clients asked, and in vain."""
    counts = [0, 0]
    headers = {"Authorization": f"Bearer {mint_token(daemon.data_dir)}"}
    begin = time.monotonic()
    samples: list[Sample] = []
    async with aiohttp.ClientSession(daemon.url, headers=headers) as session:
        clients = [asyncio.create_task(_client(daemon.url, headers, number, counts)) for number in range(CLIENTS)]
        try:
            sys.stdout.write(_HEADING)
            while time.monotonic() - begin < seconds:
                await asyncio.sleep(every)
                sample = await _look(daemon, session, time.monotonic() - begin)
                if sample is None:
                    sys.stdout.write("the daemon does not answer any more\n")
                    break
                samples.append(sample)
                sys.stdout.write(_row(sample))
                sys.stdout.flush()
        finally:
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
    return samples, counts[0], counts[1]


async def _client(url: str, headers: dict[str, str], number: int, counts: list[int]) -> None:
    """One program that keeps a connection and asks for one thing after the other."""
    async with aiohttp.ClientSession(url, headers=headers) as session:
        await asyncio.sleep(CLIENT_PAUSE_S * number / CLIENTS)
        for path in itertools.islice(itertools.cycle(PATHS), number, None):
            try:
                async with session.get(path) as answer:
                    await answer.read()
                    counts[1] += answer.status != 200
            except (aiohttp.ClientError, TimeoutError):
                counts[1] += 1
            counts[0] += 1
            await asyncio.sleep(CLIENT_PAUSE_S)


async def _look(daemon: RunningDaemon, session: aiohttp.ClientSession, at_s: float) -> Sample | None:
    try:
        begin = time.perf_counter()
        async with session.get("/api/status") as answer:
            status: dict[str, Any] = await answer.json()
        answer_ms = 1000 * (time.perf_counter() - begin)
        process = Path(f"/proc/{daemon.pid}")
        return Sample(
            at_s, resident_megabytes(daemon.pid), memory_of_children(daemon.pid),
            float(status["loop_lag_ms"]), answer_ms, len(os.listdir(process / "fd")), len(os.listdir(process / "task")),
            _bytes_of(daemon.data_dir, "*.journal*") + _bytes_of(daemon.data_dir, "*.segments/*"),
            _bytes_of(daemon.data_dir, "tape/*"), int(status["fills"]),
        )
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None


def memory_of_children(pid: int) -> float:
    """Those that end while they are looked at (a checkpoint's process is such a one) count as nothing."""
    megabytes = 0.0
    for child in _children(pid):
        with suppress(OSError, RuntimeError):
            megabytes += resident_megabytes(child)
    return megabytes


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _bytes_of(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())


# ---- figures -----------------------------------------------------------------------------------------


def slope_per_hour(points: Sequence[tuple[float, float]]) -> float:
    """Least squares through (seconds, value), in value per hour; 0 for fewer than two points in time."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if spread == 0:
        return 0.0
    return 3600 * sum((x - mean_x) * (y - mean_y) for x, y in points) / spread


def summary(samples: Sequence[Sample], warm_up_s: float) -> dict[str, Any]:
    """What all looks say together; slopes are of those after the warm-up."""
    counted = [sample for sample in samples if sample.at_s >= warm_up_s] or list(samples)
    second_half = counted[len(counted) // 2 :]
    lags = sorted(sample.loop_lag_ms for sample in samples)
    answers = sorted(sample.answer_ms for sample in samples)
    first, last = counted[0], samples[-1]
    is_warm = warm_up_s >= 60 * WARM_UP_MINUTES and last.at_s - first.at_s >= 59 * LEAST_COUNTED_MINUTES
    return {
        "minutes": round(last.at_s / 60, 2), "warm_up_minutes": round(warm_up_s / 60, 2), "is_warm": is_warm,
        "memory_mb_per_hour": round(slope_per_hour([(s.at_s, s.memory) for s in counted]), 3),
        "memory_mb_per_hour_second_half": round(slope_per_hour([(s.at_s, s.memory) for s in second_half]), 3),
        "practice_mb_per_hour": round(slope_per_hour([(s.at_s, s.practice_memory) for s in counted]), 3),
        "memory_mb_first": round(samples[0].memory, 1), "memory_mb_after_warm_up": round(first.memory, 1),
        "memory_mb_last": round(last.memory, 1), "memory_mb_most": round(max(s.memory for s in samples), 1),
        "loop_lag_ms_p50": round(lags[len(lags) // 2], 2), "loop_lag_ms_max": round(lags[-1], 2),
        "answer_ms_p50": round(answers[len(answers) // 2], 2), "answer_ms_max": round(answers[-1], 2),
        "descriptors_after_warm_up": first.descriptors, "descriptors_last": last.descriptors,
        "threads_last": last.threads,
        "journal_mb_per_hour": round(slope_per_hour([(s.at_s, s.journal / 1e6) for s in counted]), 2),
        "tape_mb_per_hour": round(slope_per_hour([(s.at_s, s.tape / 1e6) for s in counted]), 2),
        "fills": last.fills,
    }


_COLUMNS: Final = (
    ("at_s", "seconds", 8, ".0f"), ("memory", "MB", 8, ".1f"), ("practice_memory", "practice", 9, ".1f"),
    ("loop_lag_ms", "lag ms", 8, ".2f"), ("answer_ms", "answer ms", 10, ".2f"),
    ("descriptors", "fds", 5, "d"), ("threads", "threads", 8, "d"),
    ("journal", "journal", 11, ",d"), ("tape", "tape", 13, ",d"), ("fills", "fills", 7, "d"),
)
_HEADING: Final = "".join(f"{title:>{width}}" for _, title, width, _ in _COLUMNS) + "\n"


def _row(sample: Sample) -> str:
    values = asdict(sample)
    return "".join(f"{values[name]:>{width}{form}}" for name, _, width, form in _COLUMNS) + "\n"


if __name__ == "__main__":
    sys.exit(main())
