"""Small words of the command line: what is not there is said, and nothing is made on the way."""

import json
import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.tradingd.small_daemon import SmallDaemon, settings_in
from tradingd import exit_codes
from tradingd.auth import Auth
from tradingd.cli import app
from tradingd.cli_session import fail
from tradingd.data_dir import JOURNAL, DataDir
from tradingd.message_journal import MessageJournal


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """With a journal, and no daemon."""
    path = tmp_path / "state"
    path.mkdir()
    journal = MessageJournal.open(path / JOURNAL)
    journal.append(SmallDaemon(settings_in(path)).journal, sync=True)
    journal.close()
    return path


def tradingd(data_dir: Path, *arguments: str, **environ: str) -> Any:
    return CliRunner().invoke(app, [*arguments, "--data-dir", str(data_dir)], env=environ)


def test_a_state_that_no_order_has_is_refused_without_a_daemon_too(data_dir: Path) -> None:
    told = tradingd(data_dir, "orders", "--state", "nonsense")
    assert told.exit_code == exit_codes.USAGE
    assert "write one of PENDING, SUBMITTED" in told.stderr
    assert tradingd(data_dir, "orders", "--state", "filled").exit_code == exit_codes.OK


@pytest.mark.parametrize("number", ["-1", "-12.5", "-.5"])
def test_a_negative_number_as_an_argument_is_told_how_to_be_written(data_dir: Path, number: str) -> None:
    told = tradingd(data_dir, "order", "buy", "BTC/USDT", number)
    assert told.exit_code == exit_codes.USAGE
    assert "Write -- before a number below 0" in " ".join(told.stderr.split())
    assert "No such option: -x" in tradingd(data_dir, "order", "buy", "BTC/USDT", "-x").stderr


def test_nothing_found_in_the_journal_is_said(data_dir: Path) -> None:
    assert "no record of the kind 'Nope'" in tradingd(data_dir, "journal", "show", "--kind", "Nope").stderr
    assert "behind number 999" in tradingd(data_dir, "journal", "show", "--after", "999").stderr
    assert tradingd(data_dir, "journal", "show", "--kind", "DaemonStarted").stderr == ""


def test_forgetting_a_secret_where_there_is_none_makes_no_master_key(data_dir: Path) -> None:
    told = tradingd(data_dir, "secrets", "remove", "venues.binance.api_key", "--yes", HOME=str(data_dir))
    assert told.exit_code == exit_codes.NOT_FOUND
    assert "master key" not in told.stderr
    assert list(data_dir.rglob("master.key")) == []


def test_an_order_without_a_name_is_asked_for(data_dir: Path) -> None:
    told = tradingd(data_dir, "cancel", "")
    assert told.exit_code == exit_codes.USAGE
    assert "name the order" in told.stderr


def test_an_order_whose_answer_is_lost_is_not_said_to_have_reached_nobody(data_dir: Path) -> None:
    """It may stand in the books: whoever is told to start the daemon and try again orders twice."""
    Auth.open(data_dir)
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as beside:
        port = server.getsockname()[1]

        def hang_up() -> bytes:
            line, _ = server.accept()
            with line:
                return line.recv(65_536)

        asked = beside.submit(hang_up)
        (data_dir / "run.json").write_text(f'{{"pid": {os.getpid()}, "url": "http://127.0.0.1:{port}", "started": 1}}')
        told = tradingd(data_dir, "order", "buy", "BTC/USDT", "0.1")
        assert asked.result(10).startswith(b"POST /api/orders")
    assert told.exit_code == exit_codes.NOT_REACHABLE
    assert f"http://127.0.0.1:{port} was asked and gave no answer" in told.stderr
    assert "may have been done all the same: look with `tradingd status`" in told.stderr
    assert "tradingd run" not in told.stderr
    told = tradingd(data_dir, "order", "buy", "BTC/USDT", "0.1")  # now nobody listens there
    assert "no daemon answers at" in told.stderr
    assert "may have been done" not in told.stderr


def test_whoever_listens_where_a_killed_daemon_did_is_shown_no_token(data_dir: Path) -> None:
    """Its port is free for any user of this machine, and the token is good at the daemon's next start."""
    Auth.open(data_dir)
    gone = subprocess.Popen(["true"])
    gone.wait()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        DataDir.open(data_dir).close()
        run = {"pid": gone.pid, "url": f"http://127.0.0.1:{server.getsockname()[1]}", "started": 1}
        (data_dir / "run.json").write_text(json.dumps(run))
        told = tradingd(data_dir, "status")
        assert "no daemon runs on" in told.stderr
        assert tradingd(data_dir, "pause").exit_code == exit_codes.NOT_REACHABLE
        with pytest.raises(TimeoutError):
            server.accept()


def test_what_is_answered_drives_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        fail(exit_codes.FAILURE, "first\nsecond \x1b]0;title\x07")
    assert capsys.readouterr().err == "tradingd: first\nsecond ?]0;title?\n"
