"""The data directory: private, locked by one daemon, and where the running one is found."""

import os
import signal
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from store.journal import JournalError
from tests.full_disk import no_file_beyond
from tradingd.data_dir import (
    JOURNAL,
    AlreadyRunningError,
    DataDir,
    DataDirError,
    RunInfo,
    current_journal,
    journal_name,
    read_run_info,
    whereabouts,
)


def test_it_is_made_with_its_parents_and_for_its_owner_alone(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path / "a" / "b")
    try:
        assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "a" / "b" / "lock").stat().st_mode) == 0o600
    finally:
        directory.close()


def test_a_second_one_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    first = DataDir.open(tmp_path)
    first.announce(RunInfo(4711, "http://127.0.0.1:9", 1))
    with pytest.raises(AlreadyRunningError, match=r"pid 4711, since .*, http://127.0.0.1:9.*--data-dir"):
        DataDir.open(tmp_path)
    first.close()
    DataDir.open(tmp_path).close()


def test_the_refused_one_leaves_the_first_ones_announcement_alone(tmp_path: Path) -> None:
    first = DataDir.open(tmp_path)
    first.announce(RunInfo(1, "http://x", 2))
    with pytest.raises(AlreadyRunningError):
        DataDir.open(tmp_path)
    assert read_run_info(tmp_path) == RunInfo(1, "http://x", 2)
    first.close()


def test_the_announcement_is_read_back_and_withdrawn_at_the_end(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path)
    info = RunInfo(os.getpid(), "http://127.0.0.1:8080", 123)
    directory.announce(info)
    assert read_run_info(tmp_path) == info
    directory.close()
    assert read_run_info(tmp_path) is None


def test_a_newer_announcement_replaces_the_older(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path)
    directory.announce(RunInfo(1, "http://a", 1))
    directory.announce(RunInfo(2, "http://b", 2))
    assert read_run_info(tmp_path) == RunInfo(2, "http://b", 2)
    assert not list(tmp_path.glob("*.new"))
    directory.close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "url": "u", "started": 1}', "null"])
def test_a_damaged_announcement_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    assert read_run_info(tmp_path) is None


def test_a_file_in_the_way_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirError, match=r"file.*--data-dir"):
        DataDir.open(tmp_path / "file" / "data")


def test_a_folder_in_which_everybody_may_write_is_refused_with_the_remedy(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(DataDirError, match=f"chmod 700 {tmp_path}"):
        DataDir.open(tmp_path)
    assert not list(tmp_path.iterdir())


def test_one_that_does_not_answer_is_not_called_starting(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path)
    directory.announce(RunInfo(os.getpid(), "http://127.0.0.1:9", 1))
    assert f"(pid {os.getpid()}) does not answer at http://127.0.0.1:9: it is busy, or hangs" in whereabouts(tmp_path)
    directory.close()
    assert whereabouts(tmp_path) == f"no daemon runs on {tmp_path}"


def test_what_a_killed_start_was_waiting_for_is_not_told_of_the_next_one(tmp_path: Path) -> None:
    killed = DataDir.open(tmp_path)
    killed.note_waiting("it waits for the venue and asks again: HTTP 503")
    assert "HTTP 503" in whereabouts(tmp_path)
    os.close(killed._lock)
    with closing(DataDir.open(tmp_path)):
        assert whereabouts(tmp_path) == f"the daemon on {tmp_path} is starting or ending"


def test_one_whose_process_was_stopped_is_told_how_it_goes_on(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        directory.announce(RunInfo(other.pid, "http://127.0.0.1:9", 1))
        other.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, other.pid, os.WSTOPPED)
        assert f"its process is stopped (SIGSTOP); `kill -CONT {other.pid}` lets it go on" in whereabouts(tmp_path)
        other.send_signal(signal.SIGCONT)
        other.kill()
    directory.close()


def test_the_lock_is_not_passed_on_to_children(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path)
    try:
        held = [
            int(name) for name in os.listdir("/proc/self/fd")
            if os.path.realpath(f"/proc/self/fd/{name}") == str((tmp_path / "lock").resolve())
        ]
        assert held
        assert not any(os.get_inheritable(descriptor) for descriptor in held)
    finally:
        directory.close()


def test_each_venue_and_mode_and_each_replay_has_a_journal_of_its_own(tmp_path: Path) -> None:
    names = {
        journal_name(venue, mode, is_replay=is_replay)
        for venue in ("practice", "binance") for mode in ("paper", "live") for is_replay in (False, True)
    }
    assert len(names) == 8
    assert journal_name("practice", "paper", is_replay=False) == JOURNAL


def test_the_journal_of_the_last_session_is_found_again(tmp_path: Path) -> None:
    assert current_journal(tmp_path) == tmp_path / JOURNAL
    directory = DataDir.open(tmp_path)
    used = directory.use_journal("binance", "paper", is_replay=False)
    directory.close()
    assert current_journal(tmp_path) == used == tmp_path / "journal-binance-paper.journal"


def test_a_full_disk_keeps_no_journal_from_being_used_and_no_start_from_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    directory = DataDir.open(tmp_path)
    used = directory.use_journal("binance", "paper", is_replay=False)
    with no_file_beyond(0):
        assert directory.use_journal("binance", "paper", is_replay=False) == used
        assert caplog.messages == []
        other = directory.use_journal("binance", "live", is_replay=False)
        directory.note_waiting("it waits for the venue")
    assert other.name == "journal-binance-live.journal"
    assert "will not find journal-binance-live.journal while nothing runs" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["account.json", "lock"]
    assert current_journal(tmp_path) == used
    assert whereabouts(tmp_path) == f"the daemon on {tmp_path} is starting or ending"
    directory.close()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"journal": "../elsewhere.journal"}', '{"journal": "/etc/passwd"}'])
def test_a_damaged_note_of_the_journal_never_leads_out_of_the_folder(tmp_path: Path, text: str) -> None:
    (tmp_path / "account.json").write_text(text)
    assert current_journal(tmp_path) == tmp_path / JOURNAL


def test_of_the_journals_of_old_replays_the_last_five_are_kept(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path)
    path = directory.use_journal("practice", "paper", is_replay=True)
    for number in range(1, 9):
        path.write_text(str(number))
        directory.set_aside(path)
    directory.close()
    kept = [old.read_text() for old in sorted(tmp_path.glob("journal-practice-paper-replay-*.journal"))]
    assert kept == ["4", "5", "6", "7", "8"]
    assert not path.exists()


def test_a_journal_of_an_earlier_version_is_not_passed_over(tmp_path: Path) -> None:
    data_dir = DataDir.open(tmp_path)
    (tmp_path / "journal-practice-paper.sqlite").write_bytes(b"SQLite format 3")
    with pytest.raises(JournalError, match="an earlier version"):
        data_dir.use_journal("practice", "paper", is_replay=False)
    (tmp_path / "journal-practice-paper.sqlite").unlink()
    assert data_dir.use_journal("practice", "paper", is_replay=False).name == "journal-practice-paper.journal"
    data_dir.close()
