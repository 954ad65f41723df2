"""P7: seconds from spawning the daemon in an empty data folder to its first healthy answer."""

import statistics

from benchmarks.daemon import running_daemon
from benchmarks.result import Result

RUNS = 3


def run() -> list[Result]:
    seconds = []
    for _ in range(RUNS):
        with running_daemon() as daemon:
            seconds.append(daemon.seconds_to_ready)
    return [Result("start_to_ready", statistics.median(seconds), "s", {"runs": RUNS, "venue": "practice"})]
