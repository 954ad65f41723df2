"""Several wrongs at once, a burst of orders into them, and often a kill -9: `make strangers WILD=1 ROUNDS=20`.

Each step arms what may befall single requests more than once, lets the account's stream or the REST side fail beside
it, gives orders on every market, and may kill the daemon in the midst and start it again while all that goes on. After
the end of the wrongs the daemon has half a minute: nothing twice, nothing lost, the same coins and the same cash on
both sides, and what is held is protected.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.e2e.process import Process
from tests.strangers.campaign import Campaign
from tests.strangers.sessions import Stranger, running_there, strange_binance, strange_coinbase
from tests.strangers.truth import ours

SINGLE = ("timeout_after", "timeout_before", "lost_ack", "504_after", "half_answer", "cut_before", "http_500_empty",
          "http_502_html", "partial", "fill_lost", "lookup_500", "cancel_lost", "cancel_race", "stop_refused",
          "rate_limit")
LASTING = ("user_mute", "user_down", "double_reports", "slow", "late_answers", "not_found_early", "stream_down", "mute",
           "rest_dead", "maintenance", "bad_key", "double_ticks")
NO_START = ("bad_key", "maintenance", "rest_dead", "stream_down")
"""They end before a start, which would wait for that."""
LASTS_S = (1.0, 6.0)
KILL_CHANCE = 0.45


@dataclass
class Figures:
    """Of a series. Seconds count from the end of the wrongs, or from a later start."""

    steps: int = 0
    kills: int = 0
    orders: int = 0
    twice: int = 0
    failed: int = 0
    longest_s: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.steps} steps, {self.kills} kills, {self.orders} orders, {self.twice} made twice, {self.failed} "
            f"steps whose books, fates or stops differed; the longest took {self.longest_s:.1f} s until all was known"
        )


class Series:
    """One stranger and the daemons that follow each other there."""

    def __init__(self, stranger: Stranger, folder: Path, seed: int, figures: Figures) -> None:
        self.stranger, self.folder, self.figures = stranger, folder, figures
        self.seed, self.random = seed, Random(seed)
        self._stack = ExitStack()
        self.campaign: Campaign

    def __enter__(self) -> "Series":
        self.campaign = Campaign(self.stranger, self._start(), self.seed)
        self.campaign.begin()
        self.campaign.patience_s = 1
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        made = Counter(order.client_id for order in ours(self.stranger.exchange))
        self.figures.orders += len(made)
        self.figures.twice += sum(times > 1 for times in made.values())

    def _start(self) -> Process:
        return self._stack.enter_context(
            running_there(self.stranger, self.folder / "data", TRADINGD__RISK__MAX_POSITIONS="5")
        )

    def step(self) -> None:
        """One heap of wrongs, to its end."""
        chosen = self._strike()
        is_killed = self.random.random() < KILL_CHANCE
        sys.stdout.write(f"  {' '.join(chosen)}{', killed' if is_killed else ''}: ")
        self._trade(self.random.randint(2, 5))
        ends = time.monotonic() + self.random.uniform(*LASTS_S)
        if is_killed:
            time.sleep(self.random.uniform(0.0, 2.0))
            self.campaign.daemon.kill()
            self.figures.kills += 1
            lasting = self.stranger.door.faults.until
            self.campaign.do(lambda: [lasting.pop(each, None) for each in NO_START])
            self.campaign.daemon = self._start()
            self._trade(1)
        time.sleep(max(0.0, ends - time.monotonic()))
        self._end()

    def _strike(self) -> list[str]:
        faults = self.stranger.door.faults
        singles = self.random.sample(SINGLE, self.random.randint(1, 3))
        lasting = self.random.sample(LASTING, self.random.randint(1, 2))
        for name in singles:
            self.campaign.do(lambda name=name: faults.arm(name, self.random.randint(1, 3)))  # type: ignore[misc]
        for name in lasting:
            self.campaign.do(lambda name=name: faults.last(name, 600))  # type: ignore[misc]
            if name.endswith("_down"):
                self.stranger.served.wait_for(self.stranger.streams.close_all())
        self.stranger.exchange.overfill = self.random.random() < 0.2
        return [*singles, *lasting]

    def _trade(self, count: int) -> None:
        for _ in range(count):
            self.campaign.number += 1
            market = self.random.choice(self.campaign.markets)
            self.campaign.give_an_order(market, self.random.choice(("market", "market", "near", "cancelled", "close")))

    def _end(self) -> None:
        self.campaign.do(self.stranger.door.faults.until.clear)
        self.campaign.end_step()
        ended = time.monotonic()
        self.figures.steps += 1
        try:
            self.campaign.settled()
        except AssertionError as error:
            self.figures.failed += 1
            sys.stdout.write(f"FAILED: {error}\n")
            return
        took = time.monotonic() - ended
        self.figures.longest_s = max(self.figures.longest_s, took)
        sys.stdout.write(f"{took:.1f} s\n")
        sys.stdout.flush()


def run(venue: str, steps: int, seed: int, keep: str | None = None) -> Figures:
    """One series on a fresh exchange."""
    figures = Figures()
    opened: AbstractContextManager[Stranger] = strange_binance() if venue == "binance" else strange_coinbase()
    with (
        tempfile.TemporaryDirectory() as folder, opened as stranger,
        Series(stranger, Path(keep or folder) / f"{venue}-{seed}", seed, figures) as series,
    ):
        for _ in range(steps):
            series.step()
    return figures


def main() -> int:
    """Exit code 1 when anything differed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venue", choices=("binance", "coinbase"), default="binance")
    parser.add_argument("--rounds", type=int, default=20, help="how many heaps of wrongs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", help="leave the daemon's story and journal in this folder")
    given = parser.parse_args()
    sys.stdout.write(f"{given.venue}, seed {given.seed}\n")
    figures = run(given.venue, given.rounds, given.seed, given.keep)
    sys.stdout.write(f"{figures}\n")
    return 1 if figures.failed or figures.twice else 0


if __name__ == "__main__":
    sys.exit(main())
