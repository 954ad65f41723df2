"""What a person sets over REST holds in the real process: the mode, an alpha's weight; also after a crash."""

from pathlib import Path

import pytest

from tests.e2e.process import Process, until
from tradingd.auth import mint_token
from tradingd.client import AnswerError, Client, NotReachableError
from tradingd.data_dir import read_run_info

pytestmark = pytest.mark.e2e

QUIET = {"TRADINGD__COUNCIL__THRESHOLD": "1", "TRADINGD__TAPE__ENABLED": "false"}
"""A council that never agrees: the account stays flat."""


def mode_of(process: Process) -> str:
    """Asked anew each time, for a free port is another one after a new start; "" while it is on its way back."""
    info = read_run_info(process.data_dir)
    if info is None:
        return ""
    try:
        return str(Client(info.url, mint_token(process.data_dir)).get("/api/status")["mode"])
    except (AnswerError, NotReachableError):
        return ""


def test_a_live_daemon_taken_to_paper_stays_there_after_a_crash_until_a_person_takes_it_back(tmp_path: Path) -> None:
    live = {**QUIET, "TRADINGD__MODE": "live"}
    process = Process(tmp_path / "data", env=live).ready()
    pid = process.pid
    try:
        assert process.client.post("/api/trading/mode", {"mode": "paper"})["changed"] is True
        until(lambda: mode_of(process) == "paper", "the daemon is back on paper", 30)
        assert process.pid == pid
    finally:
        process.kill()
    process = Process(tmp_path / "data", env=live).ready()
    try:
        assert mode_of(process) == "paper"
        with pytest.raises(AnswerError, match="confirm"):
            process.client.post("/api/trading/mode", {"mode": "live"})
        process.client.post("/api/trading/mode", {"mode": "live", "confirm": "live"})
        until(lambda: mode_of(process) == "live", "the daemon is live again", 30)
    finally:
        process.stop()


def test_a_refused_switch_leaves_trading_as_it_was_and_a_weight_survives_a_kill(tmp_path: Path) -> None:
    process = Process(tmp_path / "data", env=QUIET).ready()
    try:
        client = process.client
        client.call("PUT", "/api/agents/technical/weight", {"weight": 0.75})
        with pytest.raises(AnswerError) as refused:
            client.post("/api/trading/mode", {"mode": "live", "confirm": "live"})
        assert refused.value.code == "MODE_NOT_ALLOWED"
        assert client.get("/api/status")["state"] == "ACTIVE"  # a refused switch leaves trading as it was
    finally:
        process.kill()
    process = Process(tmp_path / "data", env=QUIET).ready()
    try:
        held = process.client.get("/api/agents/technical/weight")
        assert (held["weight"], held["source"], held["by"]) == (0.75, "person", "operator")
        kinds = [event["kind"] for event in process.client.get("/api/debug/events?source=analyst&limit=50")]
        assert "AgentStarted" in kinds
    finally:
        process.stop()
