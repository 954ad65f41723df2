"""The units are ones that systemd takes, and the daemon behaves as they say it does."""

import asyncio
import configparser
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store.journal_files import PACKED_SUFFIX, segment_path
from tests.e2e.process import Process, until
from tradingd import exit_codes
from tradingd.journal_opening import tell_reading
from tradingd.service_notify import ServiceNotify

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNITS = (
    "tradingd.service", "tradingd-backup.service", "tradingd-backup.timer", "tradingd-history.service",
    "tradingd-history.timer",
)
WITHOUT_CODE_AT_RUN_TIME = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, what MemoryDenyWriteExecute= does; inherited over exec
    sys.exit(77)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
IS_DENIED = """
import mmap
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    print("denied")
"""


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
        for program in (
            "/opt/tradingd/bin/tradingd", "/opt/tradingd/bin/tradelab", "/opt/tradingd/share/backup.sh",
        ):
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


def test_after_any_other_failure_it_is_started_again_without_end_for_positions_may_be_open() -> None:
    assert unit("tradingd.service")["Unit"]["StartLimitIntervalSec"] == "0"
    assert "max_restarts: 1000000" in (DEPLOY / "ecosystem.config.cjs").read_text()


def test_the_time_to_stop_is_longer_than_an_orderly_end_takes() -> None:
    service = unit("tradingd.service")["Service"]
    assert int(service["TimeoutStopSec"]) > 20
    assert (service["Type"], service["KillMode"]) == ("notify", "mixed")


def test_the_backup_has_the_daemons_user_and_nothing_of_the_network() -> None:
    backup, daemon = unit("tradingd-backup.service")["Service"], unit("tradingd.service")["Service"]
    assert backup["User"] == daemon["User"]
    assert backup["PrivateNetwork"] == "yes"
    assert daemon["StateDirectory"] in backup["StateDirectory"].split()


def test_the_care_of_the_history_has_the_daemons_user_its_settings_and_its_turn_last() -> None:
    care, daemon = unit("tradingd-history.service")["Service"], unit("tradingd.service")["Service"]
    assert (care["User"], care["StateDirectory"]) == (daemon["User"], daemon["StateDirectory"])
    assert care["ExecStart"] == "/opt/tradingd/bin/tradelab data maintain --data-dir /var/lib/tradingd"
    assert care["Environment"].partition("=")[2] in daemon["ExecStart"]
    assert int(care["Nice"]) > 10
    assert unit("tradingd-history.timer")["Timer"]["OnCalendar"] == "*-*-* 00:20:00 UTC"


def test_nothing_of_ours_makes_code_at_run_time_which_the_units_forbid(tmp_path: Path) -> None:
    """Daemon and laboratory under the kernel's own ban (Linux 6.3): no part of theirs, compiled ones too, needs it."""
    for name in ("tradingd.service", "tradingd-history.service"):
        assert unit(name)["Service"]["MemoryDenyWriteExecute"] == "yes"

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", WITHOUT_CODE_AT_RUN_TIME, *words], cwd=ROOT, capture_output=True, text=True,
            check=False, timeout=120, env={**os.environ, "TRADINGD__API__PORT": "0"},
        )

    proof = run("-c", IS_DENIED)
    if proof.returncode == 77:
        pytest.skip("this kernel knows no PR_SET_MDWE")
    assert proof.stdout.strip() == "denied"
    (tmp_path / "BTCUSDT-1h-2024-01.csv").write_text("ts,open,high,low,close,volume\n" + "".join(
        f"{1704067200000 + number * 3_600_000},1,1.5,0.5,{1 + number % 7 / 10},3\n" for number in range(300)
    ))
    where = ("--data-dir", str(tmp_path / "data"))
    for words in (
        ("research", "data", "import", str(tmp_path / "BTCUSDT-1h-2024-01.csv"), *where),
        ("research", "data", "query", "SELECT count(*) FROM candles", *where),
        ("research", "backtest", "--strategy", "sma_cross", "--symbol", "BTCUSDT", "--timeframe", "1h", *where),
        ("research", "backtest", "--strategy", "council", "--symbol", "BTCUSDT", "--timeframe", "1h", *where),
        ("tradingd", "doctor", *where),
    ):
        done = run("-m", *words)
        assert done.returncode == 0, (words, done.stdout[-300:], done.stderr[-600:])


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
            lines.extend(heard(listener))
            both_folds = [at for at, line in enumerate(lines) if line.startswith("EXTEND_TIMEOUT_USEC=")]
            assert len(both_folds) == 2
            assert both_folds[-1] < lines.index("READY=1")
            assert has("READY=1", f"MAINPID={process.pid}", "STATUS=control http://127.0.0.1:")
            until(lambda: has("WATCHDOG=1", "STATUS=ACTIVE in paper mode"), "the watchdog is fed", 10)
        finally:
            process.stop()
        assert has("STOPPING=1")


def test_a_start_that_reads_a_long_journal_asks_systemd_for_time_by_its_length(tmp_path: Path) -> None:
    """1.85 million records, closed and packed, took all of the unit's TimeoutStartSec: killed, again and again."""
    journal = tmp_path / "journal-binance-live.journal"
    service = ServiceNotify({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    segment_path(journal, 1).parent.mkdir()
    with notify_socket(tmp_path / "notify") as listener:
        tell_reading(journal, service)
        for path in (journal, segment_path(journal, 1, PACKED_SUFFIX)):
            path.touch()
            os.truncate(path, 37_000_000)
        tell_reading(journal, service)
        told = heard(listener)
    least_s = int(unit("tradingd.service")["Service"]["TimeoutStartSec"])
    assert told[:2] == [f"EXTEND_TIMEOUT_USEC={least_s * 1_000_000}", "STATUS=reading the journal (0.0 MB)"]
    assert told[2:] == [f"EXTEND_TIMEOUT_USEC={(least_s + 740) * 1_000_000}", "STATUS=reading the journal (74.0 MB)"]


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
