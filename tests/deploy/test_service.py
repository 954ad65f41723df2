"""The units are ones that systemd takes, and the daemon behaves as they say it does."""

import asyncio
import configparser
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.process import Process, until
from tradingd import exit_codes
from tradingd.service_notify import ServiceNotify

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNITS = ("tradingd.service", "tradingd-backup.service", "tradingd-backup.timer")


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(DEPLOY / name)
    return parser


@contextmanager
def notify_socket(path: Path) -> Iterator[socket.socket]:
    """What systemd would listen on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.setblocking(False)
        yield listener


def heard(listener: socket.socket) -> list[str]:
    """Every line that has arrived."""
    lines: list[str] = []
    while True:
        try:
            lines += listener.recv(4096).decode().splitlines()
        except BlockingIOError:
            return lines


# ---- the unit files -----------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name in UNITS:
        text = (DEPLOY / name).read_text()
        for program in ("/opt/tradingd/bin/tradingd", "/opt/tradingd/share/backup.sh"):
            text = text.replace(program, "/bin/true")  # verify wants the program to exist
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / name) for name in UNITS)], capture_output=True, text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_service_is_hardened() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(DEPLOY / "tradingd.service")],
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stdout[-300:]  # an exposure above 2.0 of 10


def test_a_start_that_cannot_get_better_is_not_repeated() -> None:
    codes = unit("tradingd.service")["Service"]["RestartPreventExitStatus"].split()
    assert codes == [str(exit_codes.CONFIGURATION), str(exit_codes.ALREADY_RUNNING)]


def test_the_time_to_stop_is_longer_than_an_orderly_end_takes() -> None:
    service = unit("tradingd.service")["Service"]
    assert int(service["TimeoutStopSec"]) > 20
    assert (service["Type"], service["KillMode"]) == ("notify", "mixed")


def test_the_backup_has_the_daemons_user_and_nothing_of_the_network() -> None:
    backup, daemon = unit("tradingd-backup.service")["Service"], unit("tradingd.service")["Service"]
    assert backup["User"] == daemon["User"]
    assert backup["PrivateNetwork"] == "yes"
    assert daemon["StateDirectory"] in backup["StateDirectory"].split()


# ---- under a fake systemd -----------------------------------------------------------------------------


def test_the_daemon_tells_systemd_that_it_is_up_alive_and_ending(tmp_path: Path) -> None:
    with notify_socket(tmp_path / "notify") as listener:
        process = Process(
            tmp_path / "data", env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        )
        lines: list[str] = []

        def has(*wanted: str) -> bool:
            lines.extend(heard(listener))
            return all(any(line.startswith(word) for line in lines) for word in wanted)

        try:
            process.ready()
            assert has("READY=1", f"MAINPID={process.pid}", "STATUS=control http://127.0.0.1:")
            until(lambda: has("WATCHDOG=1", "STATUS=ACTIVE in paper mode"), "the watchdog is fed", 10)
        finally:
            process.stop()
        assert has("STOPPING=1")


def test_the_watchdog_is_fed_at_half_its_period_and_only_when_it_is_ours(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    mine = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": str(os.getpid())}
    assert ServiceNotify(mine).watchdog_s == 0.1
    assert ServiceNotify({**mine, "WATCHDOG_PID": "1"}).watchdog_s is None
    assert ServiceNotify({"WATCHDOG_USEC": "100000"}).watchdog_s is None
    assert ServiceNotify({**mine, "WATCHDOG_USEC": "soon"}).watchdog_s is None

    async def feed() -> int:
        with notify_socket(Path(path)) as listener:
            task = asyncio.create_task(ServiceNotify(mine).watch(lambda: "one\nREADY=1"))
            count, lines = 0, list[str]()
            while count < 3:
                await asyncio.sleep(0.01)
                lines += heard(listener)
                count = lines.count("WATCHDOG=1")
            task.cancel()
            assert lines.count("STATUS=one READY=1") == 1  # a status cannot forge a line, and is told once
            assert "READY=1" not in lines
            return count

    assert asyncio.run(feed()) >= 3


def test_without_systemd_nothing_is_sent_and_nothing_fails(tmp_path: Path) -> None:
    ServiceNotify({}).ready("x")
    ServiceNotify({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).stopping("x")
    asyncio.run(ServiceNotify({}).watch(lambda: "x"))
