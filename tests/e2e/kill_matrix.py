"""`make kill-matrix TIMES=n`: every point at which a daemon can be killed, n times; the last line is JSON.

The exit code is 1 when anything was wrong after a death; the folder of such a life is kept and named.
"""

import argparse
import json
import os
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import mkdtemp

from tests.e2e.kill_world import CHAINS, Survived, live_through


def main() -> int:
    parser = argparse.ArgumentParser(prog="make kill-matrix", description="kill -9 at each step of an order's life.")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=min(len(CHAINS), os.cpu_count() or 2), help="lives at once")
    asked = parser.parse_args()
    folder = Path(mkdtemp(prefix="tradingd-kill-matrix-"))
    outcomes: list[Survived] = []
    lock = threading.Lock()

    def tell(outcome: Survived) -> None:
        with lock:
            outcomes.append(outcome)
            word = "ok" if not outcome.problems else "WRONG"
            sys.stdout.write(f"{word:<6} {outcome.recovery_s:5.1f} s  {outcome.point}\n")
            sys.stdout.writelines(f"         {problem}\n" for problem in outcome.problems)
            sys.stdout.flush()

    lives = [(folder / f"{time}-{number}", chain) for time in range(asked.times) for number, chain in enumerate(CHAINS)]
    with ThreadPoolExecutor(max(1, asked.jobs)) as pool:
        list(pool.map(lambda life: live_through(life[0], life[1], tell), lives))
    wrong = sorted({outcome.point for outcome in outcomes if outcome.problems})
    recoveries = sorted(outcome.recovery_s for outcome in outcomes if not outcome.problems)
    told = {
        "deaths": len(outcomes), "wrong": sum(bool(outcome.problems) for outcome in outcomes), "wrong_points": wrong,
        "recovery_s_median": round(recoveries[len(recoveries) // 2], 2) if recoveries else None,
        "recovery_s_max": round(recoveries[-1], 2) if recoveries else None,
    }
    if wrong:
        sys.stdout.write(f"the lives are kept in {folder}\n")
    else:
        shutil.rmtree(folder)
    sys.stdout.write(json.dumps(told) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
