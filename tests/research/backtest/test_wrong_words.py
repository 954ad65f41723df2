"""Options that do not fit the file, runs that never end, and runs whose process is gone: each is told in a sentence."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from research.backtest import patience as patience_module
from research.backtest.runner import Backtest
from research.backtest.session import SessionStore
from research.backtest_options import range_of
from research.cli import app
from tests.research.backtest.candles import walk

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wrong")
    bars = walk(400, 5)
    columns = [getattr(bars.columns, name).decimals() for name in ("open", "high", "low", "close", "volume")]
    lines = [
        f"{name},{','.join(map(str, row))}"
        for name in ("SOL/USDT", "ETH/USDT") for row in zip((bars.ts // 10**6).tolist(), *columns, strict=True)
    ]
    (folder / "hours.csv").write_text("symbol,ts,open,high,low,close,volume\n" + "\n".join(lines) + "\n")
    return folder


def told(place: Path, *words: str) -> Any:
    return CliRunner().invoke(app, [
        "backtest", "--strategy", "sma_cross", "--data", str(place / "hours.csv"), *words,
        "--data-dir", str(place / "data"),
    ])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--symbol", "SOL/USDT", "--timeframe", "1d"), "the file holds 1h candles, not candles of 1d"),
        (("--symbol", "SOL/USDT", "--timeframe", "15m"), "the file holds 1h candles, not candles of 15m"),
        (("--symbol", "SOL/USDT", "--start", "2024-02-01", "--end", "2024-01-01"), "is not before end 2024-01-01"),
        (("--symbol", "SOL/USDT", "--start", "2024-02-01", "--end", "2024-02-01"), "is not before end 2024-02-01"),
        (("--symbol", "SOL/USDT", "--param", "fast=20.5"), "fast=20.5: write a whole number of 1 or more"),
        (("--symbol", "SOL/USDT", "--json", "/nonexistent/x.json"), "there is no folder /nonexistent"),
        (("--symbol", "SOL/USDT", "--json", "/"), "--json /: is a folder"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused_in_words(place: Path, words: tuple[str, ...], sentence: str) -> None:
    answer = told(place, *words)
    assert sentence in answer.output
    assert answer.exit_code == 2
    assert SessionStore(place / "data" / "lab" / "sessions").names() == []


def test_a_symbol_may_be_written_as_venues_write_it(place: Path, tmp_path: Path) -> None:
    for spelt in ("SOLUSDT", "SOL-USDT", "SOL/USDT"):
        answer = told(place, "--symbol", spelt, "--json", str(tmp_path / "out.json"), "--name", "sol")
        assert answer.exit_code == 0, answer.output
        assert json.loads((tmp_path / "out.json").read_text())["about"]["symbol"] == "SOL/USDT"


def test_the_config_file_may_name_every_option(place: Path, tmp_path: Path) -> None:
    config, out = tmp_path / "run.toml", tmp_path / "out.json"
    config.write_text(
        f'strategy = "sma_cross"\ndata = "{place / "hours.csv"}"\nsymbol = "SOLUSDT"\njson = "{out}"\n'
        f'data_dir = "{tmp_path / "data"}"\n[param]\nfast = 5\n'
    )
    answer = CliRunner().invoke(app, ["backtest", str(config)])
    assert answer.exit_code == 0, answer.output
    assert json.loads(out.read_text())["about"]["param"] == {"fast": 5}
    assert (tmp_path / "data" / "lab" / "sessions").is_dir()


def test_parameters_in_a_config_file_are_a_table(place: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('strategy = "sma_cross"\nparam = ["fast=5"]\n')
    ended = CliRunner().invoke(app, ["backtest", str(tmp_path / "run.toml"), "--data-dir", str(tmp_path)])
    assert ended.exit_code == 3
    assert "run.toml: param is no table; write [param]" in ended.stderr


def test_a_range_of_ticks_may_begin_within_a_second() -> None:
    told = {"start": "2024-08-09T00:00:00.250", "end": "2024-08-09T02:00:01.000001+02:00"}
    assert range_of(told) == (1_723_161_600_250_000_000, 1_723_161_601_000_001_000)


def test_a_quiet_minute_market_is_no_file_of_longer_candles(tmp_path: Path) -> None:
    chance = walk(600, 9, "1m", keep=0.2)
    columns = [getattr(chance.columns, name).decimals() for name in ("open", "high", "low", "close", "volume")]
    rows = zip((chance.ts // 10**6).tolist(), *columns, strict=True)
    file = tmp_path / "quiet.csv"
    file.write_text("ts,open,high,low,close,volume\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n")
    answer = CliRunner().invoke(app, [
        "backtest", "--strategy", "sma_cross", "--data", str(file), "--symbol", "X/USDT", "--timeframe", "1m",
        "--data-dir", str(tmp_path / "data"),
    ])
    assert answer.exit_code == 0, answer.output


# ---- what never ends ---------------------------------------------------------------------------------

STUCK = """
class Stuck:
    def on_candle(self, context):
        while context.index == 77:
            pass
"""


def test_a_rule_that_loops_for_ever_is_ended_with_its_file_and_candle(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(Backtest.run.__globals__, "patience", _impatient)
    file = tmp_path / "stuck.py"
    file.write_text(STUCK)
    answer = told(place, "--strategy", f"{file}:Stuck", "--symbol", "SOLUSDT", "--name", "stuck")
    assert answer.exit_code == 1
    assert "did not come back from candle 77 (2024-01-04 05:00 UTC)" in answer.output
    assert str(file) in answer.output
    assert SessionStore(place / "data" / "lab" / "sessions").read("stuck")["status"] == "failed"


def test_a_rule_that_swallows_the_interruption_ends_with_its_process(tmp_path: Path) -> None:
    script = (
        "import time\n"
        "from research.backtest import patience\n"
        "patience.GRACE_S = 1\n"
        "with patience.patience(lambda: 1, lambda: 'it loops in here', 1):\n"
        "    while True:\n"
        "        try:\n"
        "            while True: time.sleep(0.001)\n"
        "        except BaseException: pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "tradelab: it loops in here, nor when it was interrupted\n"


def test_a_slow_run_that_goes_on_is_left_alone_and_the_timer_is_given_back() -> None:
    steps = iter(range(10**9))
    before, timer = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    with patience_module.patience(lambda: next(steps), lambda: "never", 1):
        for _ in range(3):
            signal.raise_signal(signal.SIGALRM)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == pytest.approx(timer, abs=1.0)


def _impatient(place: Any, tell: Any) -> Any:
    return patience_module.patience(place, tell, 1)


# ---- whose process is gone ---------------------------------------------------------------------------


def test_a_run_whose_process_was_killed_is_shown_as_died_and_one_that_lives_as_running(tmp_path: Path) -> None:
    store = SessionStore(tmp_path / "lab" / "sessions")
    store.begin("mine", {})
    script = (
        "import sys, pathlib; from research.backtest.session import SessionStore\n"
        "SessionStore(pathlib.Path(sys.argv[1])).begin('other', {})\n"
        "print('ready', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(store.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert [store.read(name)["status"] for name in ("mine", "other")] == ["running", "running"]
        other.kill()
        other.wait(30)
    assert store.read("other")["status"] == "died"
    listed = CliRunner().invoke(app, ["sessions", "list", "--data-dir", str(tmp_path)]).output
    assert [line.split() for line in listed.splitlines()] == [["mine", "running"], ["other", "died"]]
    shown = CliRunner().invoke(app, ["sessions", "show", "other", "--data-dir", str(tmp_path)])
    assert shown.exit_code == 7
    assert "session other is died: its process was ended before the run was. Run it again." in shown.output
    store.fail("mine", {}, "a reason with its own full stop.")
    assert ".." not in CliRunner().invoke(app, ["sessions", "show", "mine", "--data-dir", str(tmp_path)]).output
    assert not (store.root / "mine.running").exists()


# ---- the council without a config ---------------------------------------------------------------------


def test_two_runs_of_one_name_that_end_at_once_leave_one_whole_session(tmp_path: Path) -> None:
    store, bars = SessionStore(tmp_path), walk(50, 1)

    class Interrupted(type(bars.columns)):  # type: ignore[misc]
        """While the first run writes its candles the second one ends."""

        def take(self, chosen: Any) -> Any:
            store.complete("same", {"run": "second"}, bars, [2.0] * 50)
            return super().take(chosen)

    columns = Interrupted(*(getattr(bars.columns, name) for name in bars.columns.__slots__))
    store.complete("same", {"run": "first"}, replace(bars, columns=columns), [1.0] * 50)
    assert store.read("same")["run"] == "first"  # the last to end
    assert store.curve("same").equity.tolist() == [1.0] * 50
    assert [path.name for path in tmp_path.iterdir() if ".new" in path.name] == []


def test_the_council_hears_its_models_without_a_config_here(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out.json"
    answer = told(place, "--strategy", "council", "--symbol", "SOLUSDT", "--end", "2024-01-08", "--json", str(out))
    assert answer.exit_code == 0, answer.output
    assert "the council has the settings that ship" in answer.output
    alphas = json.loads(out.read_text())["stats"]["alphas"]
    assert sum(each["signals"] for each in alphas.values()) > 100


def test_a_council_that_hears_nobody_is_refused(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text("[council]\nweights = { momentum = 0.0 }\n")
    monkeypatch.chdir(tmp_path)
    answer = told(place, "--strategy", "council", "--symbol", "SOLUSDT")
    assert answer.exit_code == 3
    assert "config.toml: council.weights gives no alpha a weight" in answer.output


def test_the_rules_are_told_by_name_with_their_exact_conditions() -> None:
    whole = CliRunner().invoke(app, ["strategies"]).output
    assert "sma_cross              fast=20 slow=50" in whole
    one = CliRunner().invoke(app, ["strategies", "bollinger_reversion"]).output
    assert "divisor n" in one
    assert "close >= middle" in one
    assert CliRunner().invoke(app, ["strategies", "nothing"]).exit_code == 7
    (row,) = json.loads(CliRunner().invoke(app, ["strategies", "sma_cross", "--json"]).output)
    assert row["param"] == {"fast": 20, "slow": 50}
