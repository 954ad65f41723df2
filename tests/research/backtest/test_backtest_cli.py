"""`tradelab backtest`, `sessions` and `report` as a person types them, in processes of their own where it matters."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from research.cli import app
from store.candles import CandleStore
from tests.research.backtest.candles import walk

RULE = """
class Momentum:
    def __init__(self, back: int = 10):
        self.back, self.closes = back, []

    def on_candle(self, context):
        self.closes.append(context.close)
        if len(self.closes) <= self.back or context.is_waiting:
            return
        if context.close > self.closes[-self.back - 1] and not context.quantity:
            context.buy(0.5, stop=0.02, trail=0.004)
        elif context.close < self.closes[-self.back - 1] and context.quantity:
            context.sell()
"""
PEEKING = """
class Peeking:
    def prepare(self, candles):
        self.close = candles.close

    def on_candle(self, context):
        if self.close[min(context.index + 1, len(self.close) - 1)] > context.close:
            context.buy()
        else:
            context.sell()
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    columns = walk(1500, 31).columns
    names = ("open", "high", "low", "close", "volume")
    lines = ["ts,open,high,low,close,volume"]
    for ts, *numbers in zip(
        columns.ts_ns // 10**6, *(getattr(columns, name).decimals() for name in names), strict=True
    ):
        lines.append(",".join(map(str, (ts, *numbers))))
    (folder / "walk.csv").write_text("\n".join(lines) + "\n")
    (folder / "momentum.py").write_text(RULE)
    (folder / "peeking.py").write_text(PEEKING)
    return folder


def call(place: Path, *words: str) -> Any:
    return CliRunner().invoke(app, [*words, "--data-dir", str(place / "data")])


def backtest(place: Path, *words: str) -> Any:
    return call(
        place, "backtest", "--data", str(place / "walk.csv"), "--symbol", "BTC/USDT", "--timeframe", "1h", *words
    )


def test_the_named_fields_are_in_the_output(place: Path) -> None:
    out = place / "out.json"
    answer = backtest(place, "--strategy", "sma_cross", "--param", "fast=5", "--param", "slow=30", "--json", str(out))
    assert answer.exit_code == 0, answer.output
    document = json.loads(out.read_text())
    assert len(document["trades"]) > 5
    assert {"symbol", "side", "entry_ts", "entry_price", "exit_ts", "exit_price", "quantity", "fees", "pnl"} <= set(
        document["trades"][0]
    )
    assert len(document["equity"]) == 1500
    assert re.fullmatch("[0-9a-f]{64}", document["fingerprint"])
    assert document["stats"]["trades"] == len(document["trades"])
    assert document["about"]["look_ahead_cuts"] >= 5


@pytest.mark.parametrize(("file", "symbol", "name"), [
    ("my rule.py", "BTC/USDT", "my-rule-BTCUSDT-1h"), ("правило.py", "BTC-PERP(FTX)", "BTC-PERP-FTX-1h"),
    (f"{'long' * 30}.py", "BTC/USDT", f"{'long' * 17}l-BTCUSDT-1h"),
])
def test_any_name_of_a_rules_file_and_any_symbol_make_a_name_for_the_session(
    place: Path, file: str, symbol: str, name: str
) -> None:
    (place / file).write_text(RULE)
    strategy = f"{place / file}:Momentum"
    words = ("--strategy", strategy, "--symbol", symbol, "--data", str(place / "walk.csv"), "--timeframe", "1h")
    made = call(place, "backtest", *words)
    assert made.exit_code == 0, made.output
    assert f"tradelab report {name}\n" in made.stdout


@pytest.mark.parametrize("strategy", ["bollinger_reversion", "momentum.py:Momentum"])
def test_the_same_run_gives_the_same_bytes_whatever_the_hash_seed(place: Path, strategy: str) -> None:
    made = []
    for seed in ("0", "1", "271828"):
        out = place / f"seed-{seed}.json"
        command = [
            sys.executable,
            "-m",
            "research",
            "backtest",
            "--strategy",
            strategy,
            "--data",
            str(place / "walk.csv"),
            "--symbol",
            "BTC/USDT",
            "--timeframe",
            "1h",
            "--json",
            str(out),
            "--data-dir",
            str(place / f"data-{seed}"),
        ]
        root = Path(__file__).resolve().parents[3]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        subprocess.run(command, check=True, cwd=place, env=environment, capture_output=True, timeout=120)
        stored = sorted((place / f"data-{seed}" / "lab" / "sessions").iterdir())
        made.append((out.read_bytes(), [(path.name, path.read_bytes()) for path in stored]))
    assert made[0] == made[1] == made[2]
    assert len(json.loads(made[0][0])["trades"]) > 3


def test_a_rule_of_a_file_named_by_a_config(place: Path) -> None:
    config = place / "backtest.toml"
    config.write_text(
        f'strategy = "{place}/momentum.py:Momentum"\ndata = "{place}/walk.csv"\nsymbol = "BTC/USDT"\ntimeframe = "1h"\n'
        'name = "mine"\nfee = "0.0005"\n[param]\nback = 24\n'
    )
    answer = call(place, "backtest", str(config))
    assert answer.exit_code == 0, answer.output
    shown = json.loads(call(place, "sessions", "show", "mine", "--json").output)
    assert shown["about"]["param"] == {"back": 24}
    assert len(shown["about"]["rule_sha256"]) == 64
    assert shown["about"]["fee"] == "0.0005"
    assert {each["exit_reason"] for each in shown["trades"]} & {"stop", "trail"}


def test_the_history_of_another_venue_by_option_or_config(place: Path) -> None:
    CandleStore(place / "data" / "history", "coinbase").write("ETH/USD", "1h", walk(400, 7).columns)
    words = ("backtest", "--strategy", "sma_cross", "--symbol", "ETH/USD", "--timeframe", "1h")
    unnamed = call(place, *words)
    assert (unnamed.exit_code, "there are some of coinbase: --venue coinbase" in unnamed.output) == (7, True)
    config = place / "coinbase.toml"
    config.write_text('venue = "coinbase"\n')
    for name, more in (("by-option", ("--venue", "coinbase")), ("by-config", (str(config),))):
        assert call(place, *words, *more, "--name", name).exit_code == 0
        assert json.loads(call(place, "sessions", "show", name, "--json").output)["about"]["venue"] == "coinbase"


def test_a_folder_of_the_users_that_is_called_like_ours_is_not_ours(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "research").mkdir()
    (tmp_path / "research" / "__init__.py").write_text("")
    monkeypatch.chdir(tmp_path)
    answer = backtest(place, "--strategy", f"{place / 'momentum.py'}:Momentum", "--name", "beside")
    assert answer.exit_code == 0, answer.output
    assert "none: decisions repeated at" in answer.stdout


def test_a_rule_that_looks_ahead_fails_the_run_and_the_session_says_so(place: Path) -> None:
    answer = backtest(
        place, "--strategy", f"{place}/peeking.py:Peeking", "--name", "peeking", "--json", str(place / "no.json")
    )
    assert answer.exit_code == 1
    assert "looks ahead" in answer.output
    assert not (place / "no.json").exists()
    assert "peeking" in call(place, "sessions", "list").output
    shown = call(place, "sessions", "show", "peeking")
    assert shown.exit_code == 7
    assert "is failed" in shown.output


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--strategy", "none_such"), 2, "sma_cross"),
        (("--strategy", "sma_cross", "--param", "quick=3"), 2, "fast, slow"),
        (("--strategy", "sma_cross", "--param", "fast=60"), 2, "fast < slow"),
        (("--strategy", "sma_cross", "--cash", "much"), 2, "cash"),
        (("--strategy", "sma_cross", "--fee", "2"), 2, "fee"),
        (("--strategy", "sma_cross", "--name", "a/b"), 2, "letters"),
        (("--strategy", "sma_cross", "--start", "2099-01-01"), 7, "tradelab data"),
        (("--strategy", "sma_cross", "--venue", "coinbase"), 2, "--data takes none"),
        ((), 2, "strategy"),
    ],
)
def test_what_is_wrong_is_said_with_a_code(place: Path, words: tuple[str, ...], code: int, says: str) -> None:
    answer = backtest(place, *words)
    assert answer.exit_code == code
    assert says in answer.output


def test_start_and_end_choose_a_stretch(place: Path) -> None:
    out = place / "stretch.json"
    answer = backtest(
        place, "--strategy", "sma_cross", "--start", "2024-01-10", "--end", "2024-01-20", "--json", str(out)
    )
    assert answer.exit_code == 0, answer.output
    document = json.loads(out.read_text())
    assert len(document["equity"]) == 240
    assert document["equity"][0][0] == 1_704_844_800 * 10**9


def test_a_session_that_is_damaged_hides_no_other(place: Path) -> None:
    assert backtest(place, "--strategy", "sma_cross", "--name", "whole").exit_code == 0
    (place / "data" / "lab" / "sessions" / "torn.json").write_text('{"status": "comp')
    answer = call(place, "sessions", "list")
    assert answer.exit_code == 0, answer.output
    assert re.search("^torn +damaged$", answer.stdout, re.M)
    assert re.search("^whole +[0-9]+ trades", answer.stdout, re.M)
    assert "torn.json: damaged" in answer.stderr
    (place / "data" / "lab" / "sessions" / "torn.json").unlink()


def test_sessions_side_by_side(place: Path) -> None:
    backtest(place, "--strategy", "sma_cross", "--name", "one")
    backtest(place, "--strategy", "bollinger_reversion", "--name", "two")
    compared = json.loads(call(place, "sessions", "compare", "one", "two", "--json").output)
    assert set(compared["sharpe"]) == {"one", "two"}
    missing = call(place, "sessions", "compare", "one", "three")
    assert missing.exit_code == 7
    assert "three" in missing.output


class TestTheReport:
    def test_it_is_one_file_that_asks_nothing_of_a_network_and_runs_no_script(self, place: Path) -> None:
        backtest(place, "--strategy", "sma_cross", "--name", "shown")
        out = place / "shown.html"
        answer = call(
            place,
            "report",
            "shown",
            "--out",
            str(out),
            "--csv",
            str(place / "shown.csv"),
            "--json",
            str(place / "shown.json"),
        )
        assert answer.exit_code == 0, answer.output
        text = out.read_text()
        assert not re.search(r"https?:|//cdn|<script|<link|@import|src=|url\(", text)
        for title in ("Candles, entries and exits", "Equity", "Drawdown", "Monthly returns", "Trades ("):
            assert title in text
        trades = json.loads((place / "shown.json").read_text())["trades"]
        assert len((place / "shown.csv").read_text().splitlines()) == len(trades) + 1
        assert text.count('<i class="in"') >= len(trades)

    def test_the_same_session_gives_the_same_page(self, place: Path) -> None:
        backtest(place, "--strategy", "sma_cross", "--name", "again")
        pages = []
        for number in range(2):
            call(place, "report", "again", "--out", str(place / f"{number}.html"))
            pages.append((place / f"{number}.html").read_bytes())
        assert pages[0] == pages[1]

    def test_nothing_that_a_user_named_becomes_markup(self, place: Path) -> None:
        from research.backtest.report import page
        from research.backtest.session import SessionStore

        backtest(place, "--strategy", "sma_cross", "--name", "escaped")
        store = SessionStore(place / "data" / "lab" / "sessions")
        document = store.read("escaped")
        document["about"] |= {"strategy": "<b>bold</b>", "cash": "<i>1</i>"}
        text = page("escaped", document, store.curve("escaped"))
        assert "<b>bold" not in text
        assert "<i>1" not in text

    def test_a_session_that_is_not_there_is_said(self, place: Path) -> None:
        answer = call(place, "report", "nothing")
        assert answer.exit_code == 7
        assert "no session is called 'nothing'" in answer.output

    def test_a_session_without_a_trade_has_a_page_too(self, place: Path) -> None:
        backtest(place, "--strategy", "sma_cross", "--param", "fast=900", "--param", "slow=1400", "--name", "quiet")
        answer = call(place, "report", "quiet", "--out", str(place / "quiet.html"))
        assert answer.exit_code == 0, answer.output
        assert "None was closed." in (place / "quiet.html").read_text()


def messy(folder: Path) -> Path:
    """Unsorted, with a gap, repeated times, silent candles, and rows that are none."""
    lines = (folder / "walk.csv").read_text().splitlines()
    kept = [*lines[300:1400], *lines[1:200], lines[50], lines[60], "1704067200000,nan,1,1,1,1", "nonsense"]
    path = folder / "messy.csv"
    path.write_text("\n".join([lines[0], *(line for line in kept)]) + "\n")
    return path


def test_messy_candles_are_put_in_order_and_what_was_wrong_is_told(place: Path) -> None:
    out = place / "messy.json"
    answer = call(
        place, "backtest", "--data", str(messy(place)), "--symbol", "BTC/USDT", "--timeframe", "1h", "--strategy",
        "sma_cross", "--param", "fast=5", "--param", "slow=30", "--json", str(out), "--name", "messy",
    )
    assert answer.exit_code == 0, answer.output
    data = json.loads(out.read_text())["data"]
    assert (data["refused"], data["duplicates"], data["gaps"]) == (2, 2, 1)
    assert "2 rows refused, 2 repeated" in answer.output
    times = [ts for ts, _ in json.loads(out.read_text())["equity"]]
    assert times == sorted(set(times))


def test_times_that_name_the_ends_of_candles_are_moved_to_their_beginnings(place: Path) -> None:
    lines = (place / "walk.csv").read_text().splitlines()
    later = [f"{int(ts) + 3_600_000},{rest}" for ts, rest in (line.split(",", 1) for line in lines[1:])]
    (place / "closes.csv").write_text("\n".join([lines[0], *later]) + "\n")
    words = ("--symbol", "BTC/USDT", "--timeframe", "1h", "--strategy", "sma_cross")
    told = [
        call(place, "backtest", "--data", str(place / name), *words, *more, "--json", str(place / f"{name}.json"))
        for name, more in (("walk.csv", ()), ("closes.csv", ("--stamps", "close")))
    ]
    assert all(answer.exit_code == 0 for answer in told)
    assert (place / "walk.csv.json").read_bytes() == (place / "closes.csv.json").read_bytes()
    assert call(place, "backtest", "--data", str(place / "walk.csv"), *words, "--stamps", "middle").exit_code == 2


@pytest.mark.parametrize(("name", "text", "told"), [
    ("absent.csv", None, "cannot be read"),
    ("heading.csv", "a,b\n1,2\n", "no heading with time, open, high, low and close"),
    ("zero.csv", "symbol,date,open,high,low,close,volume\nA/B,2024-01-01,0,1,1,1,1\n", "must be greater than 0"),
])
def test_a_file_without_candles_is_told_with_the_reason(place: Path, name: str, text: str | None, told: str) -> None:
    if text is not None:
        (place / name).write_text(text)
    answer = call(place, "backtest", "--data", str(place / name), "--timeframe", "1d", "--strategy", "sma_cross")
    assert answer.exit_code == 7
    assert name in answer.output
    assert told in answer.output
