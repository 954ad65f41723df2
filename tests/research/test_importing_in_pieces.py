"""A file larger than a piece: the same candles, the same line numbers, all of it or nothing, and room for a piece."""

import gzip
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from research.history import candle_spool, csv_pieces, source_rows
from research.history.candle_spool import CandleSpool
from research.history.importing import ImportOptions, ImportReport, import_file
from research.history.step_count import StepCount
from store.candle_columns import CandleColumns
from store.candles import CandleStore
from store.exact_column import ExactColumn

BEGIN_MS = 1_714_521_600_000  # 2024-05-01
MINUTE_MS = 60_000
NAME = "BTCUSDT-1m-2024-05.csv"
HEADING = "ts,open,high,low,close,volume"
BTC, ETH = "BTC/USDT", "ETH/USDT"


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some rows a piece, and most of them on disk."""
    monkeypatch.setattr(csv_pieces, "BLOCK", 400)
    monkeypatch.setattr(source_rows, "PIECE", 7)
    monkeypatch.setattr(candle_spool, "_IN_MEMORY", 1000)
    monkeypatch.setattr(candle_spool, "RUN", 20)


def row(number: int) -> str:
    price = 100 + number % 7
    return f"{BEGIN_MS + number * MINUTE_MS},{price},{price + 2}.5,{price - 1},{price + 1}.25,{number}"


def imported(folder: Path, lines: list[str], end: str = "\n", name: str = NAME, **options: object) -> ImportReport:
    (folder / name).write_text(end.join([HEADING, *lines]) + end, newline="")
    return import_file(CandleStore(folder / "history"), folder / name, ImportOptions(**options))  # type: ignore[arg-type]


def fingerprint(folder: Path, symbol: str = BTC) -> str:
    return CandleStore(folder / "history").fingerprint(symbol, "1m")


@pytest.fixture
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The fingerprint of rows 0 to 99 in one piece."""
    folder = tmp_path_factory.mktemp("whole")
    assert imported(folder, [row(number) for number in range(100)]).written.added == 100
    return fingerprint(folder)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_pieces_give_the_candles_of_the_whole(whole: str, small_pieces: None, tmp_path: Path, end: str) -> None:
    report = imported(tmp_path, [row(number) for number in range(100)], end)
    assert (report.rows, report.written.added, report.duplicates) == (100, 100, 0)
    assert fingerprint(tmp_path) == whole


def test_rows_in_any_order_and_twice_give_them_too_and_the_last_of_a_time_counts(
    whole: str, small_pieces: None, tmp_path: Path
) -> None:
    lines = [row(number) for number in np.random.default_rng(5).permutation(100)]
    wrong = f"{BEGIN_MS + 3 * MINUTE_MS},1,1,1,1,1"
    report = imported(tmp_path, [wrong, *lines])
    assert (report.written.added, report.duplicates) == (100, 1)
    assert fingerprint(tmp_path) == whole


def test_a_row_is_named_by_its_line_in_the_file(small_pieces: None, tmp_path: Path) -> None:
    lines = [row(number) for number in range(100)]
    lines[60] = lines[60].replace(".25", "x")  # line 62
    lines[80] = "1,2,3"
    lines.insert(30, "")
    report = imported(tmp_path, lines)
    assert [(each.where, each.field) for each in report.refusals] == [("line 63", "close"), ("line 83", "row")]
    assert (report.rows, report.refused, report.written.added) == (100, 2, 98)


def test_strictly_a_bad_row_at_the_end_keeps_all_of_it_out(small_pieces: None, tmp_path: Path) -> None:
    report = imported(tmp_path, [*(row(number) for number in range(100)), f"{BEGIN_MS},a,1,1,1,1"], is_strict=True)
    assert "1 rows refused" in report.problem
    assert CandleStore(tmp_path / "history").series() == []


def test_a_file_that_breaks_off_leaves_nothing_behind(small_pieces: None, tmp_path: Path) -> None:
    text = "\n".join([HEADING, *map(row, range(2000))]).encode()
    cut = tmp_path / f"{NAME}.gz"
    cut.write_bytes(gzip.compress(text)[:-4000])
    report = import_file(CandleStore(tmp_path / "history"), cut, ImportOptions())
    assert "damaged" in report.problem
    assert not (tmp_path / "history").exists()


def test_letters_that_are_none_are_told_with_their_line(small_pieces: None, tmp_path: Path) -> None:
    lines = [row(number).encode() for number in range(100)]
    lines[70] = lines[70].replace(b".25", b"\xff\xfe")
    (tmp_path / NAME).write_bytes(b"\n".join([HEADING.encode(), *lines]))
    report = import_file(CandleStore(tmp_path / "history"), tmp_path / NAME, ImportOptions())
    assert "line 72" in report.problem
    assert "UTF8" in report.problem


def test_symbols_that_take_turns_are_told_apart(whole: str, small_pieces: None, tmp_path: Path) -> None:
    lines = [f"{symbol},{row(number)}" for number in range(100) for symbol in ("BTC-USDT", "ETHUSDT")]
    (tmp_path / "many-1m.csv").write_text("\n".join([f"symbol,{HEADING}", *lines]))
    report = import_file(CandleStore(tmp_path / "history"), tmp_path / "many-1m.csv", ImportOptions())
    assert (report.symbols, report.written.added) == ((BTC, ETH), 200)
    assert fingerprint(tmp_path) == whole


def test_a_row_without_a_symbol_far_down_keeps_all_of_it_out(small_pieces: None, tmp_path: Path) -> None:
    lines = [f"{'BTC/USDT' if number != 90 else ''},{row(number)}" for number in range(100)]
    (tmp_path / "some-1m.csv").write_text("\n".join([f"symbol,{HEADING}", *lines]))
    report = import_file(CandleStore(tmp_path / "history"), tmp_path / "some-1m.csv", ImportOptions())
    assert "rows without a symbol" in report.problem
    assert CandleStore(tmp_path / "history").series() == []


def test_candles_of_another_length_are_seen_across_the_pieces(small_pieces: None, tmp_path: Path) -> None:
    report = imported(tmp_path, [row(number) for number in range(100)], interval="5m")
    assert report.is_option_wrong
    assert "write --timeframe 1m" in report.problem


@pytest.mark.parametrize(("minutes", "interval"), [(30, "15m"), (120, "1h"), (7 * 1440, "1d")])
def test_candles_of_a_length_that_is_not_kept_are_no_shorter_ones_with_gaps(
    small_pieces: None, tmp_path: Path, minutes: int, interval: str
) -> None:
    path = tmp_path / "some.csv"
    path.write_text("\n".join([HEADING, *(row(number * minutes) for number in range(100))]))
    report = import_file(CandleStore(tmp_path / "history"), path, ImportOptions(BTC, interval))
    assert f"holds a row every {minutes * 60} s" in report.problem
    assert "candles of 1m, 5m, 15m, 1h, 4h, 6h, 1d can be read" in report.problem


def test_a_length_that_is_not_kept_is_told_without_an_option_too(tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("\n".join([HEADING, *(row(number * 3) for number in range(100))]))
    report = import_file(CandleStore(tmp_path / "history"), tmp_path / "some.csv", ImportOptions(BTC))
    assert "holds a row every 180 s: candles of 1m, 5m, " in report.problem


def test_candles_of_a_quiet_market_may_lie_apart(small_pieces: None, tmp_path: Path) -> None:
    minutes = [minute + (minute == 150) for minute in range(0, 300, 3)]
    assert imported(tmp_path, [row(minute) for minute in minutes], interval="1m").written.added == 100


def test_parquet_comes_in_pieces_too(whole: str, small_pieces: None, tmp_path: Path) -> None:
    cells = [row(number).split(",") for number in range(100)]
    columns = {name: [float(each[at]) for each in cells] for at, name in enumerate(HEADING.split(","))}
    path = tmp_path / "BTCUSDT-1m-2024-05.parquet"
    pq.write_table(pa.table({**columns, "ts": [int(each[0]) for each in cells]}), path)
    store = CandleStore(tmp_path / "history")
    assert import_file(store, path, ImportOptions()).written.added == 100
    assert fingerprint(tmp_path) == whole


def test_ten_times_the_rows_take_no_more_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(csv_pieces, "BLOCK", 40_000)
    monkeypatch.setattr(candle_spool, "_IN_MEMORY", 100_000)
    monkeypatch.setattr(candle_spool, "RUN", 2_000)
    peaks = []
    for count in (6_000, 60_000):
        path = tmp_path / f"BTCUSDT-1m-{count}.csv"
        path.write_text("\n".join([HEADING, *(row(number * 30 + number % 2) for number in range(count))]))
        tracemalloc.start()
        report = import_file(CandleStore(tmp_path / str(count)), path, ImportOptions(BTC, "1m"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert report.written.added == count, report.problem
    assert peaks[1] < 2 * peaks[0]


def columns_of(*minutes: int) -> CandleColumns:
    numbers = [ExactColumn(np.array(minutes, np.int64), 0) for _ in range(5)]
    return CandleColumns.of(np.array(minutes, np.int64) * 60_000_000_000, numbers, np.zeros(len(minutes), np.int64))


def test_a_spool_gives_back_what_it_was_given_and_of_a_time_the_last(tmp_path: Path) -> None:
    with CandleSpool(tmp_path / "not" / "there", "1m") as spool:
        spool.add("A", columns_of(50_000, 3, 2))
        spool.add("B", columns_of(9))
        spool.add("A", replace(columns_of(2, 1), trades=np.array([7, 0])))
        (run,) = spool.runs("A")
        once = run.latest_of_each()
        assert (once.ts_ns // 60_000_000_000).tolist() == [1, 2, 3, 50_000]
        assert once.trades.tolist() == [0, 7, 0, 0]
        assert list(spool.runs("C")) == []
    assert list(tmp_path.iterdir()) == []


def test_steps_are_counted_across_pieces() -> None:
    steps = StepCount()
    for first in range(0, 60, 3):
        steps.add(np.arange(first, first + 3, dtype=np.int64) * 300_000_000_000)
    assert steps.usual() == 300_000_000_000
