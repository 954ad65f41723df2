"""What cannot run says so in a sentence, with the exit code a script can tell apart."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.process import ROOT, clean_environment, running, tradingd, until
from tradingd.data_dir import whereabouts
from tradingd.exit_codes import ALREADY_RUNNING, CONFIGURATION, FAILURE, OK, USAGE

AWAY = {
    "TRADINGD__VENUES__BINANCE__REST_URL": "http://127.0.0.1:1", "TRADINGD__VENUES__BINANCE__WS_URL": "ws://127.0.0.1:1",
}
"""Nobody listens there."""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def test_a_second_daemon_on_the_same_data_directory_is_refused(tmp_path: Path) -> None:
    with running(tmp_path / "data") as first:
        second = tradingd("run", "--data-dir", str(tmp_path / "data"), "--port", "0")
        assert second.returncode == ALREADY_RUNNING
        assert "another daemon runs on" in second.stderr
        assert str(first.pid) in second.stderr
        assert "Traceback" not in second.stderr
        assert first.status()["is_ready"]


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = tradingd("run", "--data-dir", str(tmp_path / "data"), "--port", str(port))
    assert ended.returncode == ALREADY_RUNNING
    assert str(port) in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[risk]\nmax_positions = 0\n", ("risk.max_positions", "greater than or equal to 1")),
        ("[council]\nthreshhold = 0.5\n", ("council.threshhold", "unknown key", "Remove it or mend its spelling")),
        ('symbols = ["BTC/USDT", "NOPE"]\n', ("symbols", "'NOPE' is not a pair", "such as BTC/USDT")),
        ('[candles]\ndecision = "7x"\n', ("candles.decision", "7x")),
        ("[account\n", ("not valid TOML", "line 1")),
        ('[venues.binance]\napi_key = "abc"\n', ("venues.binance.api_key", "TRADINGD__VENUES__BINANCE__API_KEY")),
        ('mode = "live"\nvenue = "binance"\n[venues.binance]\nrest_url = "https://api.binance.com"\n',
         ("mode: it is live", "TRADINGD_ALLOW_LIVE")),
        ('venue = "kraken"\n', ("venue", "kraken", "Known: practice")),
    ],
)
def test_a_bad_setting_is_named_with_its_file_and_remedy(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    ended = tradingd("run", "--config", str(file), "--data-dir", str(tmp_path / "data"), "--port", "0")
    assert ended.returncode == CONFIGURATION, ended.stderr
    for word in (str(file), *words):
        assert word in ended.stderr
    assert "Traceback" not in ended.stderr


def test_real_money_with_consent_but_without_keys_is_refused_before_anything_is_connected(tmp_path: Path) -> None:
    ended = tradingd(
        "run", "--venue", "binance", "--data-dir", str(tmp_path / "data"), "--port", "0",
        env={"TRADINGD__MODE": "live", "TRADINGD_ALLOW_LIVE": "yes"},
    )
    assert ended.returncode == CONFIGURATION
    assert "TRADINGD__VENUES__BINANCE__API_KEY" in ended.stderr


def test_a_missing_replay_file_is_named(tmp_path: Path) -> None:
    ended = tradingd("run", "--replay", str(tmp_path / "no.tsv"), "--data-dir", str(tmp_path / "data"), "--port", "0")
    assert ended.returncode == USAGE
    assert str(tmp_path / "no.tsv") in ended.stderr
    assert "Name an existing recording" in ended.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1723161254000000000\t<\t{broken\n", ("bad.tsv:1", "not JSON")),
        ("yesterday\t<\t{}\n", ("bad.tsv:1", "three tab-separated fields")),
        ("", ("bad.tsv", "no Binance market frame")),
    ],
)
def test_a_bad_recording_is_refused_with_its_line(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    file = tmp_path / "bad.tsv"
    file.write_text(text)
    ended = tradingd("run", "--replay", str(file), "--data-dir", str(tmp_path / "data"), "--port", "0")
    assert ended.returncode == FAILURE
    for word in words:
        assert word in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_data_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ended = tradingd("run", "--data-dir", str(tmp_path / "file" / "data"), "--port", "0")
    assert ended.returncode == CONFIGURATION
    assert "--data-dir" in ended.stderr


def test_a_first_start_with_no_wait_says_at_once_that_the_venue_is_away(tmp_path: Path) -> None:
    ended = tradingd(
        "run", "--no-wait", "--venue", "binance", "--data-dir", str(tmp_path / "d"), "--port", "0", env=AWAY,
    )
    assert ended.returncode == FAILURE
    assert "no answer after 5 attempts" in ended.stderr


def test_a_first_start_that_nobody_watches_waits_for_the_venue_says_so_and_hears_sigterm(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tradingd", "run", "--venue", "binance", "--port", "0"]
    data_dir = tmp_path / "d"
    with subprocess.Popen(
        [*command, "--data-dir", str(data_dir)], cwd=ROOT, env=clean_environment(AWAY), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    ) as process:
        try:
            until(lambda: "waits for the venue" in whereabouts(data_dir), "the word of what it waits for", 60)
            told = tradingd("status", "--data-dir", str(data_dir))
            assert f"(pid {process.pid}) is starting: it waits for the venue" in told.stderr
            assert "http://127.0.0.1:1/api/v3/exchangeInfo" in told.stderr
            assert process.poll() is None
            process.terminate()
            out, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == OK
    assert "the start waits for the venue" in out
    assert whereabouts(data_dir) == f"no daemon runs on {data_dir}"
