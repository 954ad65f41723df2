"""A machine that was suspended (a closed lid, a virtual machine laid to rest) has not traded meanwhile."""

import math
import time
from pathlib import Path

import pytest

from tests.orders.trading import instrument
from tests.tradingd.quiet_market import QuietMarket, QuietRun, settings_of
from tradingd.elapsed import elapsed_s


def test_seconds_go_on_while_the_machine_sleeps() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= elapsed_s() <= time.clock_gettime(time.CLOCK_BOOTTIME)


async def test_the_loop_of_a_machine_that_slept_was_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes first has waited in a buffer all the while, and its price is of then."""
    QuietMarket(monkeypatch, [instrument("BTC/USDT")])
    run = QuietRun(settings_of(tmp_path / "data"))
    real, found = time.clock_gettime, list[str]()

    def wake() -> None:
        monkeypatch.setattr(time, "clock_gettime", lambda clock: real(clock) + 3_600)
        run.daemon._driver._look_for_lag()
        found.extend(run.problems())
        run.daemon.life.end("the test is over")

    assert await run.until(lambda: run.daemon.life.is_up and run.daemon._driver._timer_due < math.inf, wake) == 0
    assert any("the event loop was 3" in each for each in found), found
