"""A restart that fails sends one alert; a first start, and the same failure again and again, do not."""

import json
import os
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from bus.clock import LiveClock
from store.journal import Journal, JournalError, Record
from tests.full_disk import no_file_beyond
from tests.tradingd.alerts.loopback import CHAT, TOKEN, Telegram, http_server
from tests.tradingd.small_daemon import SmallDaemon
from tradingd import daemon
from tradingd.api_opening import PortTakenError
from tradingd.audience import Audience
from tradingd.data_dir import DataDir
from tradingd.lease import AccountTakenError
from tradingd.run_options import RunOptions
from tradingd.session import PastSessions
from tradingd.settings import Settings
from tradingd.start_failure import AGAIN_AFTER_S, FILE, after_start, before_reading

TAKEN = PortTakenError("api.port 8080 on 127.0.0.1 is taken by another program.")


class Starts:
    """Starts that fail on one data directory; `told` is what arrives at Telegram, in all."""

    def __init__(self, folder: Path, telegram: Telegram, address: str) -> None:
        channel = {"service": "telegram", "token": TOKEN, "to": [CHAT], "api_url": address}
        self._settings = Settings.model_validate({"data_dir": folder, "alerts": {"phone": channel}})
        self._telegram = telegram

    async def end(self, error: Exception | None, earlier: int) -> None:
        """With an error or none, after so many earlier sessions."""
        audience = Audience(self._settings, SmallDaemon(self._settings), LiveClock().now)
        async with AsyncExitStack() as stack:
            after_start(error, PastSessions(count=earlier), audience, self._settings.data_dir, stack)

    async def run(self) -> str:
        """A daemon, as far as it comes; what it ends with."""
        with closing(DataDir.open(self._settings.data_dir)) as data_dir:
            try:
                await daemon.Daemon(self._settings, RunOptions(), data_dir).run()
            except OSError as error:
                return str(error)
        raise AssertionError("it did not fail")

    @property
    def told(self) -> list[str]:
        return [sent["text"] for sent in self._telegram.sent]


async def test_a_restart_that_fails_is_told_before_the_process_ends(tmp_path: Path) -> None:
    telegram = Telegram()
    async with http_server(telegram) as address:
        await Starts(tmp_path, telegram, address).end(TAKEN, earlier=3)
        (told,) = Starts(tmp_path, telegram, address).told
    assert "CRITICAL: the start failed" in told
    assert "taken by another program" in told
    assert "Nobody watches over what is open" in told


async def test_a_first_start_tells_its_terminal_only_unless_there_is_a_journal_it_cannot_read(tmp_path: Path) -> None:
    telegram = Telegram()
    async with http_server(telegram) as address:
        starts = Starts(tmp_path, telegram, address)
        await starts.end(TAKEN, earlier=0)
        assert starts.told == []
        await starts.end(JournalError("the journal is damaged at byte 7"), earlier=0)
        assert "damaged at byte 7" in starts.told[0]


async def test_the_same_failure_is_told_once_in_ten_minutes_and_another_one_at_once(tmp_path: Path) -> None:
    telegram = Telegram()
    noted = tmp_path / FILE
    async with http_server(telegram) as address:
        starts = Starts(tmp_path, telegram, address)
        for _ in range(3):
            await starts.end(TAKEN, earlier=1)
        assert len(starts.told) == 1
        await starts.end(JournalError("the journal is damaged"), earlier=1)
        assert len(starts.told) == 2
        noted.write_text("nonsense")
        await starts.end(TAKEN, earlier=1)
        assert len(starts.told) == 3
        note = json.loads(noted.read_text())
        noted.write_text(json.dumps({**note, "at": note["at"] - AGAIN_AFTER_S}))
        await starts.end(TAKEN, earlier=1)
        assert len(starts.told) == 4


async def test_on_a_full_disk_the_same_failure_is_told_once_in_ten_minutes_too(tmp_path: Path) -> None:
    telegram = Telegram()
    full = OSError(28, "No space left on device")
    async with http_server(telegram) as address:
        starts = Starts(tmp_path, telegram, address)
        for _ in range(3):
            with no_file_beyond(0):
                await starts.end(full, earlier=1)
        assert len(starts.told) == 1
        assert (tmp_path / FILE).read_text() == ""
        long_ago = (tmp_path / FILE).stat().st_mtime - AGAIN_AFTER_S
        os.utime(tmp_path / FILE, (long_ago, long_ago))
        await starts.end(full, earlier=1)
        assert len(starts.told) == 2


async def test_a_restart_that_dies_before_its_journal_is_read_is_told_by_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(daemon, "open_journal", full)
    telegram = Telegram()
    async with http_server(telegram) as address:
        starts = Starts(tmp_path, telegram, address)
        assert await starts.run() == "[Errno 28] No space left on device"
        assert starts.told == []
        _with_a_record(tmp_path / "journal-practice-paper.journal")
        assert await starts.run() == "[Errno 28] No space left on device"
        (told,) = starts.told
    assert "CRITICAL: the start failed" in told
    assert "No space left on device" in told


def test_before_the_journal_is_read_one_with_records_tells_of_an_earlier_start(tmp_path: Path) -> None:
    assert before_reading(tmp_path).count == 0
    Journal.open(tmp_path / "journal-practice-paper.journal").close()  # by a first start that went no further
    for name in ("journal-practice-paper-replay.journal", "journal-binance-live.journal"):
        assert before_reading(tmp_path).count == 0
        _with_a_record(tmp_path / name)
    assert before_reading(tmp_path).count == 1


def _with_a_record(path: Path) -> None:
    journal = Journal.open(path)
    journal.append([Record(0, 1, "DaemonStarted", b"{}")], sync=True)
    journal.close()


async def test_after_a_good_start_the_same_failure_is_news_again(tmp_path: Path) -> None:
    telegram = Telegram()
    async with http_server(telegram) as address:
        starts = Starts(tmp_path, telegram, address)
        for error in (TAKEN, TAKEN, None, TAKEN):
            await starts.end(error, earlier=3)
        assert len(starts.told) == 2


async def test_where_another_daemon_has_the_account_nobody_says_that_it_is_unwatched(tmp_path: Path) -> None:
    telegram = Telegram()
    async with http_server(telegram) as address:
        starts = Starts(tmp_path, telegram, address)
        await starts.end(AccountTakenError.by("pid 7"), earlier=3)
        (told,) = starts.told
    assert "pid 7" in told
    assert "Nobody" not in told


def test_a_journal_on_a_disk_that_is_away_does_not_stop_another_one_s_start(tmp_path: Path) -> None:
    (tmp_path / "journal-binance-live.journal").symlink_to(tmp_path / "away" / "journal-binance-live.journal")
    assert before_reading(tmp_path).count == 0
