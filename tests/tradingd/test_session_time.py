"""An earlier run's clock was ahead: time goes on from there, and people hear of it."""

import time
from pathlib import Path

import pytest

from bus.ids import SessionId
from bus.messages.header import MessageMaker
from bus.messages.system import AlertRaised
from market.interval import SECOND_NS
from tests.orders.trading import instrument
from tests.tradingd.quiet_market import JOURNAL, QuietMarket, QuietRun, data_dir_with_a_position, settings_of
from tradingd.message_journal import MessageJournal


@pytest.mark.parametrize("ahead_s", [10, 2 * 3600])
async def test_status_names_a_time_that_is_ahead_of_the_machines_clock(
    ahead_s: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = data_dir_with_a_position(tmp_path)
    journal = MessageJournal.open(folder / JOURNAL)
    said = MessageMaker("daemon", SessionId("s0")).make(
        AlertRaised("info", "a title", "a text"), time.time_ns() + ahead_s * SECOND_NS,
    )
    journal.append([said], sync=True)
    journal.close()
    QuietMarket(monkeypatch, [instrument("BTC/USDT")])
    run = QuietRun(settings_of(folder))
    looks: list[int] = []

    def has_looked() -> bool:
        if run.daemon.life.is_up and not looks:
            run.daemon._each_second.look()
            looks.append(1)
        return bool(looks)

    assert await run.until(has_looked, lambda: run.daemon.life.end("the test is over")) == 0
    told = [text for text in run.problems() if "ahead of this machine's clock" in text]
    assert len(told) == (ahead_s >= 60)
    assert all(text.startswith("our time is 1") for text in told)
    run.daemon._conditions.session_time(0)
    assert not [text for text in run.problems() if "ahead of this machine's clock" in text]
