"""`tradelab data`, as typed: answers, JSON, exit codes."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from exchanges.practice.config import PracticeConfig
from research.cli import app
from research.cli_session import history_root
from store.candle_writer import CandleWriter
from store.candles import CandleStore
from tests.exchanges.practice.running import running
from tests.research.loopback_venue import BEGIN_MS, LoopbackVenue, archive
from tests.store.test_candle_writer import candle

CSV = "ts,open,high,low,close,volume\n" + "".join(
    f"{BEGIN_MS + at * 60_000},100,101,99,100.5,2\n" for at in (*range(10), *range(12, 20), *range(40, 50))
)


def tradelab(folder: Path, *words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["data", *words, "--data-dir", str(folder / "data")])
    assert result.exit_code == code, result.output
    return result


def answer(folder: Path, *words: str, code: int = 0) -> Any:
    return json.loads(tradelab(folder, *words, "--json", code=code).stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "BTCUSDT-1m-2024-05.csv").write_text(CSV)
    tradelab(tmp_path, "import", str(tmp_path / "BTCUSDT-1m-2024-05.csv"))
    return tmp_path


def test_an_import_tells_what_became_of_each_file(folder: Path) -> None:
    (folder / "BTCUSDT-1m-2024-06.csv").write_text("ts,open,high,low,close\n1,2,3,4,5\n")
    (folder / "broken.csv").write_text("hello")
    result = tradelab(folder, "import", str(folder), code=1)
    assert "FAILED" in result.stdout
    assert "line 2, high '3': the high must be at least open and close" in result.stderr
    assert "broken.csv: no heading" in result.stderr
    assert "parquet: " not in result.stderr  # the history itself lies in the folder, and tells its symbol and interval
    again = answer(folder, "import", str(folder / "BTCUSDT-1m-2024-05.csv"))
    assert (again[0]["rows"], again[0]["unchanged"], again[0]["archive"]) == (
        28, 28, {"pair": "BTCUSDT", "year": 2024, "month": 5}
    )


def test_the_list_and_the_coverage_tell_what_is_there_and_what_is_not(folder: Path) -> None:
    (row,) = answer(folder, "list")
    assert (row["symbol"], row["interval"], row["candles"]) == ("BTC/USDT", "1m", 28)
    assert row["first"] == "2024-05-01T00:00:00Z"
    (row,) = answer(folder, "coverage", "--symbol", "BTC/USDT")
    assert (row["expected"], row["interpolated"], row["missing"], row["end"]) == (50, 2, 20, "2024-05-01T00:50:00Z")
    assert row["gaps"][1] == {
        "start": "2024-05-01T00:20:00Z", "end": "2024-05-01T00:40:00Z", "candles": 20, "kind": "missing",
        "confirmed": False,
    }
    text = tradelab(folder, "coverage", "--gaps").stdout
    assert "56.000 %" in text
    assert "interpolated" in text


def test_the_audit_the_aggregation_and_the_compaction_answer(folder: Path) -> None:
    (row,) = answer(folder, "audit")
    assert (row["clean"], row["findings"], row["duplicates"]) == (False, [], 0)
    (row,) = answer(folder, "aggregate", "--from", "1m", "--to", "5m")
    assert (row["interval"], row["added"]) == ("5m", 5)  # two of seven lack a candle or more
    (row, _) = answer(folder, "compact", "--yes")
    assert (row["removed"], row["hours"]) == (28, 1)
    for words in (("list",), ("audit",), ("coverage",)):
        assert "BTC/USDT" in tradelab(folder, *words).stdout


def test_a_compaction_asks_first(folder: Path) -> None:
    tradelab(folder, "compact", code=1)
    assert answer(folder, "list")[0]["candles"] == 28


def test_sql_over_everything(folder: Path) -> None:
    assert answer(folder, "query", "SELECT symbol, count(*) AS n, max(close) AS top FROM candles GROUP BY 1") == [
        {"symbol": "BTC/USDT", "n": 28, "top": "100.5"}
    ]
    (row,) = answer(folder, "query", "SELECT * FROM candles ORDER BY ts LIMIT 1")
    assert (row["ts"], row["interval"], row["open"]) == ("2024-05-01T00:00:00", "1m", "100")
    assert "Parser Error" in tradelab(folder, "query", "SELEKT", code=2).stderr


def test_mistakes_are_told_with_the_remedy(folder: Path) -> None:
    assert "There: BTC/USDT 1m" in tradelab(folder, "coverage", "--symbol", "ETH/USDT", code=7).stderr
    assert "no such file" in tradelab(folder, "import", "absent.csv", code=7).stderr
    assert "cannot be made of" in tradelab(folder, "aggregate", "--from", "1h", "--to", "1m", code=2).stderr
    assert "write a date" in tradelab(folder, "backfill", "--symbol", "BTC/USDT", "--start", "soon", code=2).stderr
    assert "--rest-url" in tradelab(folder, "backfill", "--symbol", "BTC/USDT", "--venue", "nowhere", code=2).stderr
    assert "letters and digits" in tradelab(folder, "list", "--venue", "../x", code=2).stderr
    assert "brings some" in tradelab(folder / "elsewhere", "list").stderr


def test_live_candles_are_there_at_the_next_command(folder: Path) -> None:
    writer = CandleWriter(folder / "data" / "history", "practice")
    writer.add(candle(0))
    writer.flush()
    (row,) = answer(folder, "list", "--venue", "practice")
    assert (row["symbol"], row["candles"]) == ("BTC/USDT", 1)
    assert [(row["venue"], row["candles"]) for row in answer(folder, "list")] == [("binance", 28), ("practice", 1)]
    assert "practice" in tradelab(folder, "list").stdout
    assert "--venue binance" in tradelab(folder, "coverage", "--venue", "nobody", code=7).stderr
    writer.close()


async def test_a_backfill_from_a_venue_and_its_archives(tmp_path: Path) -> None:
    async with LoopbackVenue().running() as venue:
        name = "BTCUSDT-1m-2024-05.zip"
        rows = [f"{BEGIN_MS + at * 60_000},1,2,1,2,5,0,0,1,0,0,0" for at in range(60)]
        venue.files[name], venue.files[f"{name}.CHECKSUM"] = archive(name, rows)
        words = (
            "backfill", "--symbol", "BTC/USDT", "--start", "2024-05-01", "--end", "2024-05-01T02:00", "--source",
            "both", "--rest-url", venue.url, "--base-url", venue.url, "--rate", "40", "--reconcile",
        )
        (row,) = await asyncio.to_thread(answer, tmp_path, *words)
        assert (row["added"], row["wanted"], row["requests"]) == (120, 60, 1)
        assert row["months"] == [{"year": 2024, "month": 5, "outcome": "downloaded", "added": 60, "problem": ""}]
        assert (row["compared"], {each["field"] for each in row["differences"]}) == (
            120, {"open", "high", "low", "close", "volume"}
        )
        listed = await asyncio.to_thread(answer, tmp_path, "list", "--archives", str(tmp_path))
        assert [(each["pair"], each["year"], each["verified"]) for each in listed] == [("BTCUSDT", 2024, True)]
        told = await asyncio.to_thread(tradelab, tmp_path, *words)
        assert "BTC/USDT" in told.stdout


async def test_candles_the_venue_lacks_are_made_of_hours(tmp_path: Path) -> None:
    async with LoopbackVenue().running() as venue:
        result = await asyncio.to_thread(
            tradelab, tmp_path, "backfill", "--symbol", "BTCUSDT", "--timeframe", "4h", "--start", "2024-05-01",
            "--end", "2024-05-03", "--rest-url", venue.url,
        )
        assert "made of 1h candles" in result.stderr
    assert CandleStore(tmp_path / "data" / "history").coverage("BTC/USDT", "4h").candles == 12


async def test_one_symbol_in_trouble_does_not_stop_the_next(tmp_path: Path) -> None:
    async with LoopbackVenue().running() as venue:
        wrong, right = await asyncio.to_thread(
            answer, tmp_path, "backfill", "--symbol", "NO/PAIR,BTC/USDT", "--start", "2024-05-01", "--end",
            "2024-05-01T01:00", "--rest-url", venue.url, code=1,
        )
    assert "does not know" in wrong["problem"]
    assert (right["problem"], right["added"]) == ("", 60)


async def test_the_practice_exchange_can_be_backfilled(tmp_path: Path) -> None:
    async with running(PracticeConfig(data_dir=tmp_path / "practice", symbols=("BTC/USDT",), seed=3)) as urls:
        (row,) = await asyncio.to_thread(
            answer, tmp_path, "backfill", "--symbol", "BTC/USDT", "--venue", "practice", "--timeframe", "15m",
            "--rest-url", urls.rest_url, "--rate", "40",
        )
    assert row["problem"] == ""
    assert row["added"] >= 2_879  # thirty days of quarters of an hour
    assert row["absent"] <= 1


def test_help_needs_neither_arrow_nor_duckdb() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from research.cli import app\n"
        "assert CliRunner().invoke(app, ['data', '--help']).exit_code == 0\n"
        "assert not {'pyarrow', 'duckdb', 'numpy', 'aiohttp'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_query_reads_a_history_whose_folder_looks_like_a_pattern(tmp_path: Path) -> None:
    place = tmp_path / "data [2024]*"
    place.mkdir()
    (place / "BTCUSDT-1m-2024-05.csv").write_text(CSV)
    tradelab(place, "import", str(place / "BTCUSDT-1m-2024-05.csv"))
    assert answer(place, "query", "SELECT count(*) AS n FROM candles") == [{"n": 28}]


@pytest.mark.parametrize(("name", "told"), [
    ("TRADINGD_DATA_DIR", "Write TRADINGD__DATA_DIR, or unset it."),
    ("TRADINGD__DATADIR", "unknown key. Is it 'data_dir'?"),
    ("TRADINGD__VENUES__BINANCE__REST_ULR", "unknown key."),
])
@pytest.mark.parametrize("more", [(), ("--data-dir", "elsewhere")])
def test_a_misspelt_variable_is_told_as_the_daemon_tells_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, told: str, more: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, str(tmp_path / "meant"))
    result = CliRunner().invoke(app, ["data", "list", *more])
    assert (result.exit_code, result.stdout) == (3, "")
    assert f"environment variable {name}: " in result.stderr
    assert told in result.stderr


def test_variables_of_other_settings_are_no_matter_of_the_history(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRADINGD__MODE", "live")  # that it lacks a consent is for the daemon to say
    monkeypatch.setenv("TRADINGD__API__PORT", "none")
    monkeypatch.setenv("TRADINGD__VENUES__BINANCE__API_KEY", "key")
    assert CliRunner().invoke(app, ["data", "list"]).exit_code == 0


def test_the_settings_file_that_is_named_must_be_there_and_may_be_a_link(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("TRADINGD_CONFIG", "mine.toml")
    result = CliRunner().invoke(app, ["data", "list"])
    assert result.exit_code == 3
    assert "there is no file mine.toml" in result.stderr
    (tmp_path / "etc" / "mine.toml").write_text('data_dir = "data"\n')
    Path("mine.toml").symlink_to(tmp_path / "etc" / "mine.toml")
    assert history_root(None) == tmp_path / "etc" / "data" / "history"  # as the daemon reads it
