"""`tradelab data maintain` against a venue on this machine: gaps are filled, series judged, old minutes compacted."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from research import maintain_cli
from research.cli import app
from research.cli_session import CliError
from store.candle_parts import CandlePartError
from store.candles import CandleStore
from tests.research.loopback_venue import LoopbackVenue, kline

MINUTE_MS = 60_000
DAY_MS = 1440 * MINUTE_MS


def history(folder: Path, first_ms: int, minutes: range, pair: str = "BTCUSDT", venue: str = "binance") -> None:
    """Some minutes of a pair in the history, by the import that people use."""
    rows = [",".join(map(str, kline(first_ms + minute * MINUTE_MS))) for minute in minutes]
    file = folder / f"{pair}-1m-2024-05.csv"
    file.write_text("\n".join(rows) + "\n")
    done = CliRunner().invoke(app, ["data", "import", str(file), "--data-dir", str(folder), "--venue", venue])
    assert done.exit_code == 0, done.output


async def maintained(venue: LoopbackVenue, folder: Path, *more: str) -> tuple[int, str]:
    words = ["data", "maintain", "--rest-url", venue.url, "--rate", "40", "--data-dir", str(folder), *more]
    done = await asyncio.to_thread(CliRunner().invoke, app, words)
    return done.exit_code, done.stdout


@pytest.fixture
def today_ms() -> int:
    return int(time.time() * 1000) // DAY_MS * DAY_MS


async def test_a_gap_and_what_came_since_are_fetched_and_a_second_round_asks_for_little(
    tmp_path: Path, today_ms: int
) -> None:
    first = today_ms - DAY_MS
    history(tmp_path, first, range(200))
    history(tmp_path, first, range(260, 300))
    async with LoopbackVenue(now_ms=first + 400 * MINUTE_MS).running() as venue:
        code, told = await maintained(venue, tmp_path, "--json")
        assert code == 0
        (row,) = json.loads(told)
        assert (row["symbol"], row["interval"]) == ("BTC/USDT", "1m")
        assert row["backfill"]["added"] >= 60 + 100
        assert CandleStore(tmp_path / "history").coverage("BTC/USDT", "1m").gaps == ()


async def test_without_a_name_it_looks_after_the_venue_that_the_daemon_trades_at(
    tmp_path: Path, today_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nightly timer names none: it went on with Binance's history, and the daemon's own kept its gaps."""
    first = today_ms - DAY_MS
    history(tmp_path, first, range(200), venue="binanceus")
    history(tmp_path, first, range(260, 300), venue="binanceus")
    async with LoopbackVenue(now_ms=first + 400 * MINUTE_MS).running() as venue:
        config = tmp_path / "config.toml"
        config.write_text(f'venue = "binanceus"\n[venues.binanceus]\nrest_url = "{venue.url}"\n')
        monkeypatch.setenv("TRADINGD_CONFIG", str(config))
        words = ["data", "maintain", "--rate", "40", "--data-dir", str(tmp_path), "--json"]
        done = await asyncio.to_thread(CliRunner().invoke, app, words)
        assert done.exit_code == 0, done.output
        assert [row["symbol"] for row in json.loads(done.stdout)] == ["BTC/USDT"]
        assert CandleStore(tmp_path / "history", "binanceus").coverage("BTC/USDT", "1m").gaps == ()


async def test_old_minutes_become_hours_only_when_asked(tmp_path: Path, today_ms: int) -> None:
    first = today_ms - 40 * DAY_MS
    history(tmp_path, first, range(180))
    async with LoopbackVenue(first_ms=today_ms + DAY_MS, now_ms=today_ms).running() as venue:
        _, told = await maintained(venue, tmp_path, "--days", "1", "--json")
        assert json.loads(told)[0]["compacted"] == 0
        _, told = await maintained(venue, tmp_path, "--days", "1", "--compact-after", "20", "--json")
        assert json.loads(told)[0]["compacted"] == 180
    assert ("BTC/USDT", "1h") in CandleStore(tmp_path / "history").series()


async def test_a_venue_that_is_away_fails_the_round_and_loses_nothing(tmp_path: Path, today_ms: int) -> None:
    history(tmp_path, today_ms - DAY_MS, range(10))
    async with LoopbackVenue(failures={"klines": [500] * 50}).running() as venue:
        venue.failures["klines"] = [400] * 50
        code, _ = await maintained(venue, tmp_path)
    assert code == 1
    assert len(CandleStore(tmp_path / "history").read("BTC/USDT", "1m")) == 10


async def test_a_series_whose_file_is_damaged_fails_alone(tmp_path: Path, today_ms: int) -> None:
    first = today_ms - DAY_MS
    history(tmp_path, first, range(200))
    history(tmp_path, first, range(200), "ADAUSDT")
    for path in (tmp_path / "history").glob("venue=*/symbol=ADA*/*/*.parquet"):
        path.write_bytes(b"not Parquet")
    async with LoopbackVenue(now_ms=first + 400 * MINUTE_MS).running() as venue:
        code, told = await maintained(venue, tmp_path, "--json")
    damaged, whole = json.loads(told)
    assert (code, damaged["symbol"], whole["backfill"]["problem"]) == (1, "ADA/USDT", "")
    assert ".parquet" in damaged["backfill"]["problem"]
    assert len(CandleStore(tmp_path / "history").read("BTC/USDT", "1m")) >= 400


@pytest.mark.parametrize("trouble", [OSError(28, "No space left on device"), CandlePartError("x.parquet: damaged")])
def test_with_every_whatever_ends_a_round_is_told_and_the_next_one_comes(
    capsys: pytest.CaptureFixture[str], trouble: Exception
) -> None:
    def once() -> bool:
        raise trouble

    def sleep(pause_s: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        maintain_cli._again(once, 60.0, sleep)
    assert str(trouble) in capsys.readouterr().err
    with pytest.raises(type(trouble)):
        maintain_cli._again(once, 0.0, sleep)


def test_with_every_a_round_that_fails_is_told_and_the_next_one_comes(capsys: pytest.CaptureFixture[str]) -> None:
    rounds, pauses = [], list[float]()

    def once() -> bool:
        rounds.append(1)
        if len(rounds) == 1:
            raise CliError(7, "no candles yet")
        return len(rounds) < 3

    def sleep(pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        maintain_cli._again(once, 3600.0, sleep)
    assert len(rounds) == 3
    assert pauses == [3600.0] * 3
    assert "no candles yet" in capsys.readouterr().err


@pytest.mark.parametrize("every", ["soon", "0d", "1"])
def test_an_odd_pause_is_refused(tmp_path: Path, every: str) -> None:
    done = CliRunner().invoke(app, ["data", "maintain", "--every", every, "--data-dir", str(tmp_path)])
    assert done.exit_code == 2
    assert "--every" in done.output
