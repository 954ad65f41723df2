"""`tradingd kill` locks trading whatever stands in its way: what cannot be told over the API is told by file."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from bus.messages import orders
from tests.tradingd.small_daemon import SmallDaemon, served, settings_in
from tradingd import exit_codes
from tradingd.auth import Auth
from tradingd.cli import app
from tradingd.data_dir import DataDir, RunInfo

KILL = ("kill", "--action", "flatten", "--reason", "news at three", "--yes")
SPOILT = "[risk]\nmax_postions = 3\n"
"""A typo that was put in since the daemon started."""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[SmallDaemon]:
    """One that runs and answers, on the data directory "state"."""
    path = tmp_path / "state"
    data_dir = DataDir.open(path)
    daemon = SmallDaemon(settings_in(path))
    with served(daemon, Auth.open(path)) as url:
        data_dir.announce(RunInfo(4242, url, 1))
        yield daemon
    data_dir.close()


def killed(*more: object, environ: dict[str, str] | None = None) -> tuple[int, str]:
    told = CliRunner().invoke(app, [*KILL, *(str(each) for each in more)], env=environ)
    assert "Traceback" not in told.stderr
    return told.exit_code, told.stderr


def left_in(folder: Path, told: tuple[int, str]) -> str:
    """The kill file that was left, and said to be."""
    code, text = told
    assert code == exit_codes.NOT_REACHABLE, text
    assert f"Left the kill file {folder / 'KILL'} instead" in text
    return (folder / "KILL").read_text()


@pytest.mark.parametrize("spoil", ["readable by others", "empty", "gone"])
def test_credentials_that_cannot_be_used_do_not_stop_a_kill(daemon: SmallDaemon, spoil: str) -> None:
    folder = daemon.settings.data_dir
    credentials = folder / "credentials.json"
    if spoil == "gone":
        credentials.unlink()
    elif spoil == "empty":
        credentials.write_text("")
    else:
        credentials.chmod(0o644)
    told = killed("--data-dir", folder)
    assert left_in(folder, told) == "flatten news at three\n"
    assert str(credentials) in told[1]


def test_another_daemon_on_the_port_of_one_that_was_killed_does_not_stop_a_kill(
    daemon: SmallDaemon, tmp_path: Path
) -> None:
    """kill -9 leaves run.json behind; the token of one data directory is void at the other's daemon."""
    folder = tmp_path / "killed"
    DataDir.open(folder).close()
    Auth.open(folder)
    (folder / "run.json").write_bytes((daemon.settings.data_dir / "run.json").read_bytes())
    assert left_in(folder, killed("--data-dir", folder)) == "flatten news at three\n"
    assert daemon.commands == []


REFUSAL = '{"code": "INVALID_REQUEST", "message": "action: unknown"}'
"""Of a daemon of another version, say."""


@pytest.mark.parametrize(("status", "body"), [(200, "{}"), (200, "[]"), (200, "<html>"), (422, REFUSAL)])
def test_another_program_on_the_port_does_not_stop_a_kill(tmp_path: Path, status: int, body: str) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    data_dir = DataDir.open(tmp_path)
    Auth.open(tmp_path)
    with HTTPServer(("127.0.0.1", 0), Other) as other:
        Thread(target=other.serve_forever, daemon=True).start()
        data_dir.announce(RunInfo(4242, f"http://127.0.0.1:{other.server_port}", 1))
        assert left_in(tmp_path, killed("--data-dir", tmp_path)) == "flatten news at three\n"
        other.shutdown()
    data_dir.close()


def test_a_damaged_run_file_does_not_stop_a_kill(tmp_path: Path) -> None:
    DataDir.open(tmp_path).close()
    Auth.open(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"pid": 1, "url": "nonsense", "started": 1}))
    assert left_in(tmp_path, killed("--data-dir", tmp_path)) == "flatten news at three\n"


@pytest.mark.parametrize("named_by", ["option", "environment", "file", "folder"])
def test_a_typo_made_in_the_settings_since_the_start_does_not_stop_a_kill(
    daemon: SmallDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named_by: str
) -> None:
    folder = daemon.settings.data_dir
    more: tuple[object, ...] = ("--config", tmp_path / "config.toml")
    environ: dict[str, str] = {}
    text = SPOILT
    if named_by == "option":
        more += ("--data-dir", folder)
    elif named_by == "environment":
        environ["TRADINGD__DATA_DIR"] = str(folder)
    else:
        text = f'data_dir = "state"\n{SPOILT}'
    if named_by == "folder":
        monkeypatch.chdir(tmp_path)
        more = ()
    (tmp_path / "config.toml").write_text(text)
    code, told = killed(*more, environ=environ)
    assert code == exit_codes.OK, told
    assert "max_postions" in told
    assert str(folder) in told
    assert daemon.commands == [orders.EngageKillSwitch("flatten", "news at three", "operator")]


def test_a_file_that_is_no_toml_any_more_leaves_the_kill_to_the_named_folder(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[account\n")
    folder = tmp_path / "state"
    DataDir.open(folder).close()
    config = ("--config", tmp_path / "config.toml")
    assert left_in(folder, killed(*config, "--data-dir", folder)) == "flatten news at three\n"
    code, told = killed(*config)
    assert (code, "not valid TOML" in told) == (exit_codes.CONFIGURATION, True)


def test_wrong_settings_and_a_folder_where_no_daemon_ever_ran_fail_in_words(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(SPOILT)
    code, told = killed("--config", tmp_path / "config.toml", "--data-dir", tmp_path)
    assert (code, "max_postions" in told) == (exit_codes.CONFIGURATION, True)
    assert not (tmp_path / "KILL").exists()


def test_in_a_hurry_kill_alone_is_enough(daemon: SmallDaemon) -> None:
    told = CliRunner().invoke(app, ["kill", "--yes", "--data-dir", str(daemon.settings.data_dir)])
    assert told.exit_code == exit_codes.OK, told.stderr
    assert daemon.commands == [orders.EngageKillSwitch("cancel", "no reason was given", "operator")]


@pytest.mark.parametrize(("reason", "noted"), [
    ("x" * 2_000, "x" * 500), ("Traceback:\n\tboom\x1b[31m\n", "Traceback: boom?[31m"), ("", "no reason was given"),
    (" \u2028 ", "no reason was given"), ("\u202eon", "?on"),
])
def test_no_reason_keeps_a_kill_from_being_obeyed(daemon: SmallDaemon, reason: str, noted: str) -> None:
    told = CliRunner().invoke(app, [
        "kill", "--action", "halt", "--reason", reason, "--yes", "--data-dir", str(daemon.settings.data_dir),
    ])
    assert told.exit_code == exit_codes.OK, told.stderr
    assert daemon.commands == [orders.EngageKillSwitch("halt", noted, "operator")]
    assert not (daemon.settings.data_dir / "KILL").exists()
