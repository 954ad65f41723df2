"""Live candles through their small files into the history."""

import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from market.ticks import Candle
from research.history.incoming import absorb
from store.candle_writer import CandleWriter, to_line
from store.candles import CandleStore
from tests.full_disk import no_file_beyond

MINUTE = 60_000_000_000
BEGIN = 1_714_521_600_000_000_000


def candle(minute: int, symbol: str = "BTC/USDT", interval: str = "1m", close: str = "100.10") -> Candle:
    ts, price = BEGIN + minute * MINUTE, Decimal(close)
    return Candle(symbol, interval, ts, price, price, price, price, Decimal("0.5"), 3, ts + MINUTE)


def files(root: Path) -> list[Path]:
    return sorted((root / "incoming").glob("*.csv"))


def test_flushed_candles_are_in_the_history_while_the_daemon_goes_on(tmp_path: Path) -> None:
    writer = CandleWriter(tmp_path, "practice")
    store = CandleStore(tmp_path, "practice")
    for minute in range(3):
        writer.add(candle(minute))
    writer.add(candle(0, "ETH/USDT", "5m"))
    writer.flush()
    assert absorb(tmp_path).written.added == 4
    assert [each.close for each in store.iter_candles("BTC/USDT", "1m")] == [Decimal("100.1")] * 3
    writer.add(candle(3))
    writer.flush()
    assert absorb(tmp_path).written.added == 1  # only what is new is read again
    assert store.series() == [("BTC/USDT", "1m"), ("ETH/USDT", "5m")]
    writer.close()


def test_a_repeat_replaces(tmp_path: Path) -> None:
    writer = CandleWriter(tmp_path, "binance")
    for close in ("1.5", "2.5"):
        writer.add(candle(0, close=close))
        writer.flush()
        absorb(tmp_path)
    writer.close()
    assert CandleStore(tmp_path).load("BTC/USDT", "1m").close.tolist() == [2.5]


def test_seconds_and_warm_up_are_no_history(tmp_path: Path) -> None:
    writer = CandleWriter(tmp_path, "binance")
    writer.add(candle(0, interval="5s"))
    one = candle(0)
    writer.add(replace(one, is_warmup=True))
    writer.close()
    assert files(tmp_path) == []


def test_a_line_cut_by_a_killed_process_is_left_out_and_the_next_process_goes_on(tmp_path: Path) -> None:
    writer = CandleWriter(tmp_path, "binance")
    writer.add(candle(0))
    writer.flush()
    with files(tmp_path)[0].open("ab") as file:
        file.write(to_line(candle(1)).encode()[:-6])
    later = CandleWriter(tmp_path, "binance")  # the same file: its first candle closed within the same second
    later.add(candle(0, close="7"))
    later.flush()
    absorbed = absorb(tmp_path)
    assert (absorbed.written.added, absorbed.unreadable) == (1, 1)
    assert CandleStore(tmp_path).load("BTC/USDT", "1m").close.tolist() == [7.0]


def test_a_finished_file_goes_away_once_it_is_in_the_history(tmp_path: Path) -> None:
    writer = CandleWriter(tmp_path, "binance")
    writer.add(candle(0))
    writer.flush()
    path = files(tmp_path)[0]
    os.utime(path, (0, 0))
    absorb(tmp_path)
    assert path.exists()  # old, but the daemon still holds it
    writer.close()
    os.utime(path, (0, 0))
    absorb(tmp_path)
    assert (files(tmp_path), CandleStore(tmp_path).coverage("BTC/USDT", "1m").candles) == ([], 1)


def test_files_are_begun_anew_when_they_grow(tmp_path: Path) -> None:
    writer = CandleWriter(tmp_path, "binance", file_bytes=100)
    for minute in range(4):
        writer.add(candle(minute))
        writer.flush()
    writer.close()
    assert len(files(tmp_path)) == 2
    assert absorb(tmp_path).written.added == 4


def test_a_disk_that_refuses_is_told_and_nothing_is_lost_while_it_waits(tmp_path: Path) -> None:
    writer = CandleWriter(tmp_path, "binance")
    (tmp_path / "incoming").write_text("a file where the folder should be")
    writer.add(candle(0))
    writer.flush()
    assert "no candle can be written" in writer.problem
    (tmp_path / "incoming").unlink()
    writer.flush()
    assert writer.problem == ""
    assert absorb(tmp_path).written.added == 1
    writer.close()


def test_what_waits_is_bounded_and_the_oldest_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.candle_writer._MOST_WAITING", 2)
    writer = CandleWriter(tmp_path, "binance")
    for minute in range(5):
        writer.add(candle(minute))
    writer.close()
    assert (writer.dropped, absorb(tmp_path).written.added) == (3, 2)
    assert CandleStore(tmp_path).load("BTC/USDT", "1m").ts_open[0] == BEGIN + 3 * MINUTE


@pytest.mark.parametrize("room", [10, 60, 100])
def test_a_line_that_a_full_disk_cut_spoils_none_that_comes_later(tmp_path: Path, room: int) -> None:
    """Then there is no room for a line's end either."""
    writer = CandleWriter(tmp_path, "practice")
    writer.add(candle(0))
    writer.flush()
    writer.add(candle(1))
    with no_file_beyond(files(tmp_path)[0].stat().st_size + room):
        writer.add(candle(2))
        writer.flush()
        assert "no candle can be written" in writer.problem
        writer.flush()
    writer.flush()
    assert writer.problem == ""
    writer.close()
    absorb(tmp_path)
    assert [each.ts_open for each in CandleStore(tmp_path, "practice").iter_candles("BTC/USDT", "1m")] == [
        BEGIN + minute * MINUTE for minute in range(3)
    ]
