"""`python -m simulator --seeds 0-300 [--faults FILE | --wild] [--seconds 3600] [--jobs N] [--trace SEED]`

The last line is a JSON summary, the line before it what else is worth knowing; the exit code is 1 when anything was
violated, 2 for a script or a range that cannot be used. A seed that failed lives through the same with `--trace SEED`.
"""

import argparse
import json
import math
import multiprocessing
import sys
import time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final

from market.money import ZERO
from simulator.faults import FaultScriptError, read_script
from simulator.world import Outcome, begin_worker, live_quietly, live_through

SHOWN: Final = 5
_MOST_SECONDS: Final = 1_000_000


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make sim", description="Lives of a daemon in virtual time, with faults.")
    parser.add_argument("--seeds", default="0-49", help="FROM-TO (both included) or one number")
    parser.add_argument("--faults", default="", help="JSON list of {at, fault, target, for} instead of a drawn script")
    parser.add_argument("--wild", action="store_true", help="scripts of chance as a stranger might write them")
    parser.add_argument("--seconds", type=float, default=3600, help="of market, per seed")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--trace", type=int, default=None, help="live through one seed and print all that happened")
    chosen = parser.parse_args(arguments)
    if not 1 <= chosen.seconds <= _MOST_SECONDS:
        sys.stderr.write(f"--seconds is {chosen.seconds:g}: write seconds of market from 1 to {_MOST_SECONDS:,}\n")
        return 2
    try:
        script = read_script(Path(chosen.faults), chosen.seconds) if chosen.faults else None
        seeds = _seeds(chosen.seeds)
    except (FaultScriptError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if chosen.trace is not None:
        outcome = live_through(chosen.trace, script, chosen.seconds, is_wild=chosen.wild)
        sys.stdout.write("\n".join(outcome.trace) + "\n")
        seeds, outcomes = [chosen.trace], [outcome]
    else:
        work = partial(live_quietly, script=script, seconds=chosen.seconds, is_wild=chosen.wild)
        outcomes = _live(seeds, work, chosen.jobs)
    sys.stdout.write(json.dumps(particulars(outcomes)) + "\n")
    sys.stdout.write(json.dumps(summary(outcomes)) + "\n")
    return 1 if any(outcome.violations for outcome in outcomes) else 0


def _live(seeds: list[int], work: "partial[Outcome]", jobs: int) -> list[Outcome]:
    outcomes: list[Outcome] = []
    shown, begin = 0, time.monotonic()
    with multiprocessing.get_context("spawn").Pool(max(1, jobs), begin_worker) as pool:
        for outcome in pool.imap(work, seeds):
            outcomes.append(outcome)
            if outcome.violations and shown < SHOWN:
                shown += 1
                sys.stdout.write(f"seed {outcome.seed}: {len(outcome.violations)} violations\n")
                sys.stdout.writelines(f"  {text}\n" for text in outcome.violations[:5])
                sys.stdout.write(f"  again, with all that happened: make sim TRACE={outcome.seed}\n")
            elif len(outcomes) % 50 == 0:
                sys.stdout.write(f"{len(outcomes)} of {len(seeds)} seeds, {time.monotonic() - begin:.0f} s\n")
            sys.stdout.flush()
    return outcomes


def summary(outcomes: list[Outcome]) -> dict[str, object]:
    """The figures of all seeds together."""
    recoveries = [each for outcome in outcomes for each in outcome.recoveries_s]
    return {
        "seeds": len(outcomes),
        "violations": sum(len(outcome.violations) for outcome in outcomes),
        "duplicates": sum(outcome.duplicates for outcome in outcomes),
        "orphans": sum(outcome.orphans for outcome in outcomes),
        "unprotected_s_max": round(max((outcome.unprotected_s_max for outcome in outcomes), default=0.0), 3),
        "position_error": _plain(max((outcome.position_error for outcome in outcomes), default=ZERO)),
        "cash_error": _plain(max((outcome.cash_error for outcome in outcomes), default=ZERO)),
        "limit_breaches": sum(outcome.limit_breaches for outcome in outcomes),
        "orders_after_kill": sum(outcome.orders_after_kill for outcome in outcomes),
        "recovery_p99_s": _p99(recoveries),
    }


def particulars(outcomes: list[Outcome]) -> dict[str, object]:
    """What else is worth knowing."""
    return {
        "failed_seeds": [outcome.seed for outcome in outcomes if outcome.violations][:50],
        "orders": sum(outcome.orders for outcome in outcomes),
        "fewest_orders": min((outcome.orders for outcome in outcomes), default=0),
        "made_ready": sum(outcome.made_ready for outcome in outcomes),
        "fills": sum(outcome.fills for outcome in outcomes),
        "faults": sum(outcome.faults for outcome in outcomes),
        "faults_in_vain": sum(outcome.faults_in_vain for outcome in outcomes),
        "deaths": sum(outcome.deaths for outcome in outcomes),
        "stale_entries": sum(outcome.stale_entries for outcome in outcomes),
        "undetected_stale_s_max": round(max((outcome.stale_s for outcome in outcomes), default=0.0), 3),
        "reconciled_p99_s": _p99([each for outcome in outcomes for each in outcome.reconciled_s]),
        "active_p99_s": _p99([each for outcome in outcomes for each in outcome.active_s]),
    }


def _p99(seconds: list[float]) -> float:
    """The smallest of them that 99 % do not exceed."""
    return round(sorted(seconds)[math.ceil(0.99 * len(seconds)) - 1], 3) if seconds else 0.0


def _plain(value: Decimal) -> float:
    return float(value) if value else 0


def _seeds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    if not first.isdecimal() or (last and not last.isdecimal()) or int(last or first) < int(first):
        raise ValueError(f"{text!r} is no range of seeds: write FROM-TO, such as 0-300")
    return list(range(int(first), int(last or first) + 1))


if __name__ == "__main__":
    sys.exit(main())
