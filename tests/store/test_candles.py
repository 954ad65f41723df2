"""The candle store: merging, ranges, gaps, fingerprints, and files that are always whole."""

import os
import threading
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.ticks import Candle
from store.candle_columns import CandleArrays, CandleColumns
from store.candle_parts import CandlePartError, part_end, part_name
from store.candles import CandleStore, CandleStoreError, WriteResult

MINUTE = 60_000_000_000
DAY = 86_400_000_000_000
BEGIN = 1_714_521_600_000_000_000  # 2024-05-01
BTC = "BTC/USDT"


def candle(minute: int, close: str = "100.5", volume: str = "1.25", interval: str = "1m", step: int = MINUTE) -> Candle:
    ts, price = BEGIN + minute * step, Decimal(close)
    return Candle(BTC, interval, ts, price, price + 1, price - 1, price, Decimal(volume), 7, ts + step)


def columns(*candles: Candle) -> CandleColumns:
    return CandleColumns.of_candles(candles)


def store_with(folder: Path, minutes: Sequence[int]) -> CandleStore:
    store = CandleStore(folder)
    store.write(BTC, "1m", columns(*(candle(minute) for minute in minutes)))
    return store


def test_candles_come_back_exactly_and_in_order(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    given_ = [candle(1, "100.1"), candle(0, "0.00012345"), candle(50_000, "99999.99999999", "12345678.123")]
    store.write(BTC, "1m", columns(*given_))
    assert list(store.iter_candles(BTC, "1m")) == sorted(given_, key=lambda each: each.ts_open)


def test_what_is_read_for_warming_up_says_so(tmp_path: Path) -> None:
    store = store_with(tmp_path, [0])
    assert [each.is_warmup for each in store.iter_candles(BTC, "1m", is_warmup=True)] == [True]


def test_a_repeat_replaces_and_everything_is_counted(tmp_path: Path) -> None:
    store = store_with(tmp_path, [0, 1, 2])
    written = store.write(BTC, "1m", columns(candle(1), candle(2, "200"), candle(3)))
    assert written == WriteResult(added=1, replaced=1, unchanged=1)
    assert [f"{each.close}" for each in store.iter_candles(BTC, "1m")] == ["100.5", "100.5", "200.0", "100.5"]


def test_what_is_there_can_be_kept_against_a_repeat(tmp_path: Path) -> None:
    store = store_with(tmp_path, [0])
    assert store.write(BTC, "1m", columns(candle(0, "200"), candle(1)), keep="old") == WriteResult(1, 0, 1)
    assert [each.close for each in store.iter_candles(BTC, "1m")] == [Decimal("100.5")] * 2


def test_of_repeats_in_one_write_the_last_counts(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    assert store.write(BTC, "1m", columns(candle(0, "1.5"), candle(0, "2.5"))) == WriteResult(1, 0, 0)
    assert store.load(BTC, "1m").close.tolist() == [2.5]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 90_000), st.integers(3, 10**7)), min_size=1, max_size=40),
    st.integers(0, 90_000), st.integers(0, 90_000), st.integers(1, 4),
)
def test_it_behaves_as_a_dictionary_by_time(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int]], first: int, last: int, pieces: int
) -> None:
    store, known = CandleStore(tmp_path_factory.mktemp("history")), dict[int, Decimal]()
    made = [candle(minute, str(Decimal(price).scaleb(-4) + 2)) for minute, price in rows]
    for piece in range(pieces):
        part = made[piece::pieces]
        known |= {each.ts_open: each.close for each in part}
        if part:
            store.write(BTC, "1m", columns(*part))
    start, end = BEGIN + first * MINUTE, BEGIN + last * MINUTE
    expected = [(ts, known[ts]) for ts in sorted(known) if start <= ts < end]
    assert [(each.ts_open, each.close) for each in store.iter_candles(BTC, "1m", start, end)] == expected
    assert store.load(BTC, "1m", start, end).close.tolist() == [float(close) for _, close in expected]


def test_a_range_is_half_open_and_reaches_over_files(tmp_path: Path) -> None:
    month_end = 31 * 1440  # the first minute of June
    store = store_with(tmp_path, range(month_end - 3, month_end + 3))
    assert store.coverage(BTC, "1m").files == 2
    times = store.load(BTC, "1m", BEGIN + (month_end - 1) * MINUTE, BEGIN + (month_end + 1) * MINUTE).ts_open
    assert ((times - BEGIN) // MINUTE).tolist() == [month_end - 1, month_end]


def test_a_range_within_a_large_file_is_found_in_its_row_groups(tmp_path: Path) -> None:
    store = store_with(tmp_path, range(25_000))
    times = store.load(BTC, "1m", BEGIN + 9_999 * MINUTE, BEGIN + 20_001 * MINUTE).ts_open
    assert (len(times), int(times[0]), int(times[-1])) == (10_002, BEGIN + 9_999 * MINUTE, BEGIN + 20_000 * MINUTE)


@pytest.mark.parametrize(
    ("interval", "name", "following"),
    [("1m", "2024-05", "2024-06"), ("1h", "2024", "2025"), ("1d", "2020s", "2030s"), ("15m", "2024-05", "2024-06")],
)
def test_files_are_months_years_or_decades(interval: str, name: str, following: str) -> None:
    assert part_name(interval, BEGIN) == name
    assert part_name(interval, part_end(name) - 1) == name
    assert part_name(interval, part_end(name)) == following


def test_nothing_is_there_before_something_is_written(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    assert len(store.load(BTC, "1m")) == 0
    assert (store.series(), store.coverage(BTC, "1m").candles, list(store.iter_candles(BTC, "1m"))) == ([], 0, [])


def test_gaps_are_told_short_or_missing(tmp_path: Path) -> None:
    store = store_with(tmp_path, [0, 1, 4, 5, 11, 18])
    coverage = store.coverage(BTC, "1m")
    told = [((gap.start_ns - BEGIN) // MINUTE, (gap.end_ns - BEGIN) // MINUTE, gap.candles, gap.is_short)
            for gap in coverage.gaps]
    assert told == [(2, 4, 2, True), (6, 11, 5, True), (12, 18, 6, False)]
    assert (coverage.candles, coverage.expected, coverage.ratio) == (6, 19, 6 / 19)


def test_a_gap_the_source_has_none_for_is_confirmed(tmp_path: Path) -> None:
    store = store_with(tmp_path, [0, 3, 10])
    store.mark_absent(BTC, "1m", [(BEGIN + MINUTE, BEGIN + 2 * MINUTE)])
    store.mark_absent(BTC, "1m", [(BEGIN + 2 * MINUTE, BEGIN + 3 * MINUTE)])
    assert store.absent(BTC, "1m") == [(BEGIN + MINUTE, BEGIN + 3 * MINUTE)]
    assert [gap.is_confirmed for gap in store.coverage(BTC, "1m").gaps] == [True, False]


def test_short_gaps_are_filled_when_read_marked_and_without_volume(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    store.write(BTC, "1m", columns(candle(0, "100"), candle(3, "106"), candle(10, "110")))
    arrays = store.load(BTC, "1m", fill_gaps=True)
    assert ((arrays.ts_open - BEGIN) // MINUTE).tolist() == [0, 1, 2, 3, 10]  # six missing stay missing
    assert arrays.is_interpolated.tolist() == [False, True, True, False, False]
    assert arrays.close.tolist()[:4] == [100.0, 102.0, 104.0, 106.0]
    assert arrays.open.tolist()[1:3] == [100.0, 102.0]
    assert arrays.volume[arrays.is_interpolated].tolist() == [0.0, 0.0]
    assert len(list(store.iter_candles(BTC, "1m"))) == 3  # an engine never sees what did not trade


@settings(deadline=None)
@given(st.sets(st.integers(0, 60), min_size=2, max_size=40))
def test_filling_leaves_no_gap_of_five_or_fewer_and_touches_nothing_real(minutes: set[int]) -> None:
    made = [candle(minute, str(100 + minute)) for minute in sorted(minutes)]
    real = CandleArrays.of_columns(BTC, "1m", columns(*made))
    filled = real.interpolated()
    steps = np.diff(filled.ts_open) // MINUTE
    assert ((steps == 1) | (steps > 6)).all()
    kept = filled.take(~filled.is_interpolated)
    assert kept.ts_open.tolist() == real.ts_open.tolist()
    assert kept.close.tolist() == real.close.tolist()
    assert (filled.high >= filled.low).all()


def test_weekends_of_a_market_that_rests_are_no_gaps(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    days = [day for day in range(28) if (day + 2) % 7 < 5 and day != 13]  # 2024-05-01 was a Wednesday
    store.write("AAPL", "1d", columns(*(candle(day, interval="1d", step=DAY) for day in days)))
    gaps = store.coverage("AAPL", "1d").gaps
    assert [((gap.start_ns - BEGIN) // DAY, gap.candles) for gap in gaps] == [(13, 1)]
    filled = store.load("AAPL", "1d", fill_gaps=True)
    assert ((filled.ts_open[filled.is_interpolated] - BEGIN) // DAY).tolist() == [13]


def test_the_fingerprint_is_of_the_numbers_not_of_how_they_came(tmp_path: Path) -> None:
    one, other = CandleStore(tmp_path / "a"), CandleStore(tmp_path / "b")
    made = [candle(minute, f"{100 + minute}.{minute % 10}") for minute in range(50)]
    one.write(BTC, "1m", columns(*made))
    other.write(BTC, "1m", columns(candle(0, "7.12345678"), *made[30:]))
    other.write(BTC, "1m", columns(*made[:30]))
    assert one.fingerprint(BTC, "1m") == other.fingerprint(BTC, "1m")
    before = one.fingerprint(BTC, "1m", BEGIN, BEGIN + 10 * MINUTE)
    one.write(BTC, "1m", columns(candle(20, "5")))
    assert one.fingerprint(BTC, "1m") != other.fingerprint(BTC, "1m")
    assert one.fingerprint(BTC, "1m", BEGIN, BEGIN + 10 * MINUTE) == before


def test_venues_do_not_mix(tmp_path: Path) -> None:
    store_with(tmp_path, [0])
    assert CandleStore(tmp_path, "practice").series() == []
    assert CandleStore(tmp_path).series() == [(BTC, "1m")]


def test_candles_off_the_grid_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CandleStoreError, match="no multiple of 1m"):
        CandleStore(tmp_path).write(BTC, "1m", columns(candle(0, step=1), candle(1, step=1)))


@pytest.mark.parametrize("name", ["", "../etc", ".hidden", "A\nB", "x" * 61])
def test_odd_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CandleStoreError, match="write a name"):
        CandleStore(tmp_path).load(name, "1m")


def test_a_damaged_file_is_named_and_not_guessed_at(tmp_path: Path) -> None:
    store = store_with(tmp_path, range(100))
    path = next(tmp_path.rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CandlePartError, match=r"2024-05.parquet.*import or backfill"):
        store.load(BTC, "1m")


def test_what_a_killed_writer_left_is_cleared_and_never_read(tmp_path: Path) -> None:
    store = store_with(tmp_path, [0])
    left = next(tmp_path.rglob("*.parquet")).with_name(".2024-05.parquet.999.new")
    left.write_bytes(b"half")
    assert len(store.load(BTC, "1m")) == 1
    store.write(BTC, "1m", columns(candle(1)))
    assert (left.exists(), len(store.load(BTC, "1m"))) == (False, 2)


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    def write(first: int) -> None:
        store = CandleStore(tmp_path)
        for minute in range(first, 40, 4):
            store.write(BTC, "1m", columns(candle(minute)))

    threads = [threading.Thread(target=write, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert CandleStore(tmp_path).coverage(BTC, "1m").candles == 40


def test_removing_takes_what_is_older_and_nothing_else(tmp_path: Path) -> None:
    store = store_with(tmp_path, [0, 1, 40_000, 50_000, 50_001])
    assert store.remove(BTC, "1m", BEGIN + 50_001 * MINUTE) == 4
    assert ((store.open_times(BTC, "1m") - BEGIN) // MINUTE).tolist() == [50_001]


def test_anybody_can_read_the_files(tmp_path: Path) -> None:
    store_with(tmp_path, range(3))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        row = connection.execute(
            f"SELECT symbol, interval, venue, count(*), max(high) FROM read_parquet('{tmp_path}/*/*/*/*.parquet', "
            "hive_partitioning = true) GROUP BY ALL"
        ).fetchone()
    assert row == (BTC, "1m", "binance", 3, Decimal("101.5"))


def test_what_a_source_has_not_is_on_disk_before_it_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a power cut may leave an empty file there, over which every later backfill stumbles."""
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def watched_fsync(descriptor: int) -> None:
        done.append(f"flush {Path(os.readlink(f'/proc/self/fd/{descriptor}')).suffix}")
        fsync(descriptor)

    def watched_replace(source: Path, target: Path) -> Path:
        done.append(f"name {target.name}")
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    store = CandleStore(tmp_path)
    store.mark_absent(BTC, "1m", [(0, MINUTE)])
    assert done[0] == "flush .new"
    assert done[1].startswith("name ")
    assert store.absent(BTC, "1m") == [(0, MINUTE)]
