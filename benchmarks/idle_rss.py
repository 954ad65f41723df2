"""P7: resident memory of the daemon process alone, a few seconds after it became ready."""

import statistics
import sys
import time

from benchmarks.daemon import resident_megabytes, running_daemon
from benchmarks.result import BenchSkipped, Result

RUNS = 3
SETTLE_S = 4.0


def run() -> list[Result]:
    if not sys.platform.startswith("linux"):
        raise BenchSkipped("resident memory is read from /proc, which only Linux has")
    megabytes = []
    for _ in range(RUNS):
        with running_daemon() as daemon:
            time.sleep(SETTLE_S)
            megabytes.append(resident_megabytes(daemon.pid))
    return [Result("idle_rss", statistics.median(megabytes), "MB", {"runs": RUNS, "venue": "practice"})]
