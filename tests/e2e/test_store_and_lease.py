"""The real process: its SQL store beside it, and its account that nobody else may trade."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import Process, children_of, is_alive, running, tradingd, until
from tradingd.data_dir import current_journal
from tradingd.exit_codes import ALREADY_RUNNING
from tradingd.projection import Projection

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

LIVE = {"TRADINGD__MODE": "live", "TRADINGD__COUNCIL__THRESHOLD": "1"}
SOL = "SOL/USDT"


def stored(data_dir: Path, env: dict[str, str] | None = None) -> dict[str, Any]:
    done = tradingd("store", "status", "--json", "--data-dir", str(data_dir), env=env)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def store_process(daemon: Process) -> int | None:
    for child in children_of(daemon.pid):
        if b"tradingd.projection_process" in Path(f"/proc/{child}/cmdline").read_bytes():
            return child
    return None


def test_the_store_follows_the_journal_and_a_killed_store_process_loses_nothing(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with running(data_dir, env={"TRADINGD__COUNCIL__THRESHOLD": "1"}) as daemon:
        first = until(lambda: store_process(daemon), "a store process", 20)
        os.kill(first, signal.SIGKILL)
        daemon.buy(SOL, "0.5")
        second = until(lambda: store_process(daemon), "another store process", 20)
        assert second != first
        until(lambda: (data_dir / "trading.sqlite").exists(), "a store", 20)
        until(lambda: stored(data_dir)["rows"].get("fills", 0) >= 1, "the fill in the store", 30)
        daemon.stop()
    told = stored(data_dir)
    assert told["stored"] == told["records"]
    assert told["rows"]["sessions"] == 1
    assert (data_dir / "trading.sqlite").stat().st_mode & 0o077 == 0
    path = current_journal(data_dir)
    alone = Projection(path, f"sqlite:///{tmp_path / 'alone.sqlite'}", "practice-paper", "USDT", is_own=True)
    alone.rebuild()
    with_daemon = Projection(path, f"sqlite:///{data_dir / 'trading.sqlite'}", "practice-paper", "USDT", is_own=True)
    assert with_daemon.store.contents() == alone.store.contents()
    alone.close()
    with_daemon.close()


def test_a_killed_daemon_leaves_no_store_process_behind(tmp_path: Path) -> None:
    with running(tmp_path / "data") as daemon:
        child = until(lambda: store_process(daemon), "a store process", 20)
        daemon.kill()
        until(lambda: not is_alive(child), "the end of the store process", 20)


def test_the_second_daemon_on_one_live_account_is_refused_in_words(tmp_path: Path) -> None:
    with running(tmp_path / "exchange") as host:
        place = exchange_of(host)
        env = {
            **LIVE, "TMPDIR": str(tmp_path), "TRADINGD__STORE__URL": "off",
            "TRADINGD__VENUES__PRACTICE__REST_URL": f"http://{place}",
            "TRADINGD__VENUES__PRACTICE__WS_URL": f"ws://{place}/stream",
            "TRADINGD__VENUES__PRACTICE__WS_API_URL": f"ws://{place}/ws-api/v3",
        }
        with running(tmp_path / "first", env=env) as first:
            for name in ("", "a tmp of its own"):  # of a service with PrivateTmp
                (tmp_path / name).mkdir(exist_ok=True)
                elsewhere = {**env, "TMPDIR": str(tmp_path / name)}
                done = tradingd("run", "--port", "0", "--data-dir", str(tmp_path / "second"), env=elsewhere)
                assert done.returncode == ALREADY_RUNNING
                assert "another daemon trades this account" in done.stderr
                assert f"pid {first.pid}" in done.stderr
                assert "Traceback" not in done.stderr


def exchange_of(host: Process) -> str:
    """Where the practice exchange of a running daemon listens."""
    for child in children_of(host.pid):
        if b"exchanges.practice" not in Path(f"/proc/{child}/cmdline").read_bytes():
            continue
        for line in Path(f"/proc/{child}/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets_of(child):
                return f"127.0.0.1:{int(fields[1].split(':')[1], 16)}"
    raise AssertionError("the practice exchange does not listen")


def sockets_of(pid: int) -> set[str]:
    return {os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir() if each.exists() or each.is_symlink()}
