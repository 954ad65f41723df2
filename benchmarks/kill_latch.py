"""F58: milliseconds from a person's kill request to its answer, which comes when the latch is on disk (fsync).

Measured at a running daemon with its practice market, over HTTP, so that the request and the answer are in it.
"""

import statistics
import time

from benchmarks.daemon import running_daemon
from benchmarks.result import Result
from tradingd.auth import mint_token
from tradingd.client import Client

RUNS = 40


def run() -> list[Result]:
    milliseconds = []
    with running_daemon() as daemon:
        client = Client(daemon.url, mint_token(daemon.data_dir))
        for _ in range(RUNS):
            begin = time.perf_counter()
            answer = client.post("/api/trading/kill", {"action": "cancel", "reason": "benchmark"})
            milliseconds.append((time.perf_counter() - begin) * 1000)
            if not answer["changed"] or answer["state"] != "HALTED":
                raise RuntimeError(f"the kill switch did not engage: {answer}")
            client.post("/api/trading/unlock", {"reason": "benchmark", "confirm": "unlock"})
    about: dict[str, str | int | float | bool] = {"runs": RUNS, "venue": "practice", "limit_ms": 50}
    return [
        Result("kill_latch", statistics.median(milliseconds), "ms", about),
        Result("kill_latch_worst", max(milliseconds), "ms", about),
    ]
