"""The kill switch of the process: by file before anything is sent, by command, and honest when it is not done."""

from pathlib import Path

import pytest

from bus.messages.orders import OrderSubmitted
from bus.messages.system import AlertRaised, DaemonStarted, KillSwitchEngaged
from tests.e2e.process import journal_of, running, until
from tests.e2e.test_crash import SILENT, SMALL
from tradingd.client import AnswerError

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def test_the_kill_file_locks_a_running_daemon_a_starting_one_and_the_unlock(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with running(data_dir, env=SILENT) as daemon:
        daemon.buy("SOL/USDT", SMALL["SOL/USDT"])
        daemon.trail("SOL/USDT", SMALL["SOL/USDT"], "5")
        (data_dir / "KILL").write_text("halt news at three\n")
        kill = until(lambda: daemon.status()["kill"], "a latch within a second", 2)
        assert (kill["action"], kill["by"], kill["reason"]) == ("halt", "file", "news at three")
        assert kill["unprotected"] == ["SOL/USDT"]
        with pytest.raises(AnswerError, match="KILL") as refusal:
            daemon.client.post("/api/trading/unlock", {"reason": "x", "confirm": "unlock"})
        assert (refusal.value.status, refusal.value.code) == (409, "KILL_FILE_PRESENT")
        (data_dir / "KILL").unlink()
        with pytest.raises(AnswerError) as unconfirmed:
            daemon.client.post("/api/trading/unlock", {"reason": "x"})
        assert unconfirmed.value.status == 422
        assert daemon.client.post("/api/trading/unlock", {"reason": "x", "confirm": "unlock"})["state"] == "ACTIVE"
        daemon.kill()
    (data_dir / "kill").write_text("flatten\n")
    with running(data_dir, env=SILENT) as daemon:
        until(lambda: not daemon.positions(), "a flat account", 20)
        until(lambda: not daemon.orders(state="PENDING"), "no held orders", 5)
        assert daemon.status()["kill"]["progress"] == ""
        daemon.kill()
    journal = [message.body for message in journal_of(data_dir)]
    start = max(index for index, body in enumerate(journal) if isinstance(body, DaemonStarted))
    later = journal[start:]
    latch = next(index for index, body in enumerate(later) if isinstance(body, KillSwitchEngaged))
    assert not any(isinstance(body, OrderSubmitted) for body in later[:latch]), "something was sent before the latch"


def test_a_kill_file_that_cannot_be_read_locks_trading_and_people_are_told_why(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with running(data_dir, env=SILENT) as daemon:
        (data_dir / "KILL").symlink_to("/proc/self/mem")  # a plain file whose beginning nobody can read
        kill = until(lambda: daemon.status()["kill"], "a latch within a second", 2)
        assert (kill["action"], kill["by"]) == ("cancel", "file")
        assert "cannot be read (Input/output error)" in kill["reason"]
        told = until(lambda: [alert for alert in alerts_of(data_dir) if alert.title == "kill file"], "an alert", 5)
        assert [alert.level for alert in told] == ["critical"]
        assert "if it asks for flatten, that is not done" in told[0].message
        (data_dir / "KILL").unlink()
        (data_dir / "KILL").write_text("flatten now\n")
        until(lambda: daemon.status()["kill"]["action"] == "flatten", "what it asks for", 2)
        daemon.stop()


def alerts_of(data_dir: Path) -> list[AlertRaised]:
    return [message.body for message in journal_of(data_dir) if isinstance(message.body, AlertRaised)]
