"""A start that is told to end: in order as soon as its session has begun."""

import os
import signal
from pathlib import Path

import pytest

from bus.messages.system import DaemonStarted, DaemonStopping
from tests.orders.trading import instrument
from tests.tradingd.quiet_market import JOURNAL, QuietMarket, QuietRun, data_dir_with_a_position, settings_of
from tradingd.message_journal import MessageJournal
from tradingd.session import PastSessions


def past_of(folder: Path) -> PastSessions:
    past = PastSessions()
    journal = MessageJournal.open(folder / JOURNAL, read_only=True)
    for message in journal.read():
        past.apply(message)
    journal.close()
    return past


async def test_while_it_waits_for_the_history_it_ends_in_order_and_says_what_is_unwatched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    market = QuietMarket(monkeypatch, [instrument("BTC/USDT")])
    folder = data_dir_with_a_position(tmp_path)
    market.is_open.clear()
    for number in (1, 2, 3):
        market.was_asked.clear()
        run = QuietRun(settings_of(folder))
        assert await run.until(market.was_asked.is_set, lambda: os.kill(os.getpid(), signal.SIGTERM)) == 0
        assert [each.reason for each in run.told(DaemonStopping)] == ["signal SIGTERM"] * number
        assert not past_of(folder).ended_unclean
    assert "1 position stays (BTC/USDT) open, watched by nobody" in capsys.readouterr().out


async def test_before_the_session_has_begun_there_is_none_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    market = QuietMarket(monkeypatch, [instrument("BTC/USDT")])
    market.is_away = True
    run = QuietRun(settings_of(data_dir_with_a_position(tmp_path)))
    assert await run.until(market.was_asked.is_set, lambda: run.daemon.life.end("told to")) == 0
    assert run.told(DaemonStarted) == run.told(DaemonStopping) == []
