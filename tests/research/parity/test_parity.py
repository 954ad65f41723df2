"""A real session, run again through the backtest: the same orders come, and a single changed price is noticed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bus.messages.orders import OrderFilled, OrderInitialized
from tests.e2e.process import ROOT, clean_environment, journal_of, running, tradingd
from tests.golden.recording import write_recording

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SECONDS = 150


def parity(data_dir: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "research", "parity", str(data_dir), *options], cwd=ROOT, env=clean_environment(),
        timeout=120, capture_output=True, text=True, check=False,
    )


def told(data_dir: Path, *options: str) -> dict[str, Any]:
    ended = parity(data_dir, "--json", *options)
    assert ended.returncode in (0, 1), ended.stderr
    answer: dict[str, Any] = json.loads(ended.stdout)
    assert (ended.returncode == 0) == answer["same"]
    return answer


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A paper session over a recording that trades both ways, with its inputs."""
    folder = tmp_path_factory.mktemp("parity")
    recording = write_recording(folder / "market.tsv", seed=11, seconds=SECONDS)
    ended = tradingd(
        "run", "--replay", str(recording), "--speed", "0", "--for", str(SECONDS - 5), "--port", "0", "--data-dir",
        str(folder / "data"), timeout=110,
    )
    assert ended.returncode == 0, ended.stderr
    return folder / "data"


def test_a_paper_session_run_again_gives_the_same_journal_to_the_byte(session: Path) -> None:
    fills = [each for each in journal_of(session) if isinstance(each.body, OrderFilled)]
    answer = told(session)
    assert answer["same"]
    assert answer["identical_journal"]
    assert answer["orders"]["OrderFilled"] == len(fills) >= 2


def test_one_changed_price_is_found_named_and_ends_with_failure(session: Path, tmp_path: Path) -> None:
    other = tmp_path / "data"
    (other / "inputs").mkdir(parents=True)
    for path in session.glob("*.journal"):
        (other / path.name).write_bytes(path.read_bytes())
    (tape,) = (session / "inputs").glob("*.tsv")
    first = next(each for each in journal_of(session) if isinstance(each.body, OrderInitialized)).header.ts
    lines = tape.read_text().splitlines(keepends=True)
    # Every quote behind the first order is a little dearer: what is bought then costs more.
    changed = [_dearer(line) if "\tq\t" in line and int(line.split("\t", 1)[0]) > first else line for line in lines]
    (other / "inputs" / tape.name).write_text("".join(changed))
    answer = told(other)
    assert answer["difference"]["number"] > 1
    assert answer["difference"]["journal"] != answer["difference"]["replay"]
    words = parity(other).stdout
    assert "first difference" in words
    assert "NOT the same" in words


def _dearer(line: str) -> str:
    ns, mark, text = line.rstrip("\n").split("\t", 2)
    row = json.loads(text)
    for place in (1, 3):
        row[place] = f"{float(row[place]) * 1.002:.2f}"
    return f"{ns}\t{mark}\t{json.dumps(row)}\n"


def test_a_live_clock_commands_a_restart_and_a_kill_change_nothing(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with running(data_dir) as daemon:
        daemon.buy("BTC/USDT", "0.003")
        daemon.trail("BTC/USDT", "0.002", "0.0001")
        daemon.client.post("/api/trading/pause", None)
        daemon.client.post("/api/trading/resume", None)
        daemon.stop()
    first = told(data_dir)
    assert first["identical_journal"]
    assert first["orders"]["OrderFilled"] >= 1
    with running(data_dir) as daemon:
        daemon.buy("ETH/USDT", "0.05")
        daemon.client.post("/api/positions/close-all", None)
        daemon.kill()
    second = told(data_dir)  # of what was noted before the kill
    assert second["same"]
    assert second["session"] != first["session"]
    assert told(data_dir, "--session", first["session"])["identical_journal"]


def test_live_trading_is_run_again_with_what_the_venue_said(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with running(data_dir, env={"TRADINGD__MODE": "live"}) as daemon:
        daemon.buy("BTC/USDT", "0.003")
        daemon.stop()
    answer = told(data_dir)
    assert answer["mode"] == "live"
    assert answer["same"]
    assert answer["orders"]["OrderFilled"] >= 1


def test_without_recorded_inputs_it_says_what_to_do(tmp_path: Path) -> None:
    ended = parity(tmp_path)
    assert ended.returncode == 7
    assert "tape.enabled" in ended.stderr


def test_an_unknown_session_is_named(session: Path) -> None:
    ended = parity(session, "--session", "nobody")
    assert ended.returncode == 7
    assert "'nobody'" in ended.stderr
    assert "r7" in ended.stderr


def test_a_damaged_line_is_named(session: Path, tmp_path: Path) -> None:
    (tmp_path / "inputs").mkdir()
    for path in session.glob("*.journal"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tape,) = (session / "inputs").glob("*.tsv")
    lines = tape.read_text().splitlines(keepends=True)
    lines[40] = "nonsense\n"
    (tmp_path / "inputs" / tape.name).write_text("".join(lines))
    ended = parity(tmp_path)
    assert ended.returncode == 1
    assert "line 41 is no input" in ended.stderr
