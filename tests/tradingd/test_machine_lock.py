"""One machine, one daemon for an account, wherever each of them keeps its files."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.full_disk import no_file_beyond
from tradingd.lease import AccountTakenError
from tradingd.machine_lock import hold_on_this_machine


@pytest.fixture
def account(tmp_path: Path) -> str:
    """One that no other test, here or beside us, has."""
    return f"account-{os.getpid()}-{tmp_path.name}-{id(tmp_path)}"


def test_the_second_on_this_machine_is_refused_until_the_first_has_gone(tmp_path: Path, account: str) -> None:
    with hold_on_this_machine(account, "pid 1", tmp_path):
        with pytest.raises(AccountTakenError, match=r"another daemon trades this account \(pid 1\)"):
            hold_on_this_machine(account, "pid 2", tmp_path)
        hold_on_this_machine(f"{account}-2", "pid 2", tmp_path).close()
    hold_on_this_machine(account, "pid 2", tmp_path).close()


def test_a_service_with_a_tmp_of_its_own_and_a_shell_do_not_trade_one_account(tmp_path: Path, account: str) -> None:
    """PrivateTmp and DynamicUser of the systemd unit: the lock file of one is no file of the other's."""
    refused = pytest.raises(AccountTakenError, match=rf"another daemon trades this account \(pid {os.getpid()} of user")
    with hold_on_this_machine(account, "the service", tmp_path / "private"), refused:
        hold_on_this_machine(account, "the shell", tmp_path / "shared")
    hold_on_this_machine(account, "the shell", tmp_path / "shared").close()


def test_each_of_many_who_ask_is_told_who_holds_it(tmp_path: Path, account: str) -> None:
    with hold_on_this_machine(account, "the service", tmp_path / "private"):
        for number in range(5):
            with pytest.raises(AccountTakenError, match=rf"\(pid {os.getpid()} of user"):
                hold_on_this_machine(account, "a shell", tmp_path / f"shared{number}")


def test_a_lock_file_that_was_cleaned_away_lets_nobody_in(tmp_path: Path, account: str) -> None:
    """systemd-tmpfiles and tmpreaper take away what lay in /tmp for ten days."""
    with hold_on_this_machine(account, "me", tmp_path):
        (tmp_path / f"{account}.lock").unlink()
        with pytest.raises(AccountTakenError):
            hold_on_this_machine(account, "you", tmp_path)


def test_a_file_where_the_folder_of_locks_should_be_is_named(tmp_path: Path, account: str) -> None:
    (tmp_path / "locks").write_text("not ours")
    with pytest.raises(AccountTakenError, match=r"locks is no folder.*remove it, or set TMPDIR"):
        hold_on_this_machine(account, "me", tmp_path / "locks")


def test_one_that_is_refused_by_name_holds_no_file_either(tmp_path: Path, account: str) -> None:
    with hold_on_this_machine(account, "the service", tmp_path / "private"):
        for _ in range(200):  # more than may wait at a socket
            with pytest.raises(AccountTakenError, match="another daemon trades this account"):
                hold_on_this_machine(account, "the shell", tmp_path / "shared")
    hold_on_this_machine(account, "another", tmp_path / "shared").close()


def test_a_disk_too_full_to_say_who_holds_it_keeps_nobody_from_an_account(tmp_path: Path, account: str) -> None:
    with no_file_beyond(0), hold_on_this_machine(account, "me", tmp_path), pytest.raises(AccountTakenError):
        hold_on_this_machine(account, "you", tmp_path)


def test_without_room_for_any_temporary_file_the_name_alone_keeps_a_second_one_out(
    account: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)  # it is looked for once in a process
    with no_file_beyond(0), hold_on_this_machine(account, "me"):
        assert "only its name in the kernel is held: " in caplog.text
        with pytest.raises(AccountTakenError, match=f"pid {os.getpid()} of user"):
            hold_on_this_machine(account, "you")


def test_without_file_and_name_nothing_is_held_and_the_reason_is_told(
    account: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(sys, "platform", "freebsd14")
    with no_file_beyond(0), pytest.raises(FileNotFoundError, match="No usable temporary directory"):
        hold_on_this_machine(account, "me")


def test_a_killed_daemon_holds_nothing(tmp_path: Path, account: str) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tradingd.machine_lock import hold_on_this_machine as hold\n"
        "kept = hold(sys.argv[1], 'child', Path(sys.argv[2])); print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, account, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    with pytest.raises(AccountTakenError, match="child"):
        hold_on_this_machine(account, "me", tmp_path)
    with pytest.raises(AccountTakenError, match=f"pid {child.pid} of user {os.getuid()}"):
        hold_on_this_machine(account, "me", tmp_path / "elsewhere")
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    hold_on_this_machine(account, "me", tmp_path).close()
