"""Aggregation, audit and compaction against plain loops and planted faults."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.interval import interval_ns
from market.ticks import Candle
from research.history.aggregation import AggregationError, aggregate, aggregate_series
from research.history.audit import audit, find_oddities
from research.history.compaction import compact, compactable
from research.history.importing import ImportOptions, import_file
from store.candle_columns import CandleArrays, CandleColumns
from store.candles import CandleStore
from tests.shared_data import shared_file

BEGIN = 1_714_521_600_000_000_000
DAY = 86_400_000_000_000
BTC = "BTC/USDT"


def candle(place: int, close: str, *, interval: str = "1m", volume: str = "1", open_: str = "") -> Candle:
    step = interval_ns(interval)
    ts, last, first = BEGIN + place * step, Decimal(close), Decimal(open_ or close)
    return Candle(BTC, interval, ts, first, max(first, last), min(first, last), last, Decimal(volume), 2, ts + step)


def closes(*prices: float, interval: str = "1d", places: list[int] | None = None) -> CandleArrays:
    pairs = zip(places or range(len(prices)), prices, strict=True)
    made = [candle(place, str(price), interval=interval) for place, price in pairs]
    return CandleArrays.of_columns(BTC, interval, CandleColumns.of_candles(made))


prices = st.integers(1, 10**8).map(lambda number: Decimal(number).scaleb(-2))


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.integers(0, 60), st.tuples(prices, prices, prices), min_size=1, max_size=60), st.floats(0, 1))
def test_longer_candles_are_those_of_a_plain_loop(rows: dict[int, tuple[Decimal, ...]], share: float) -> None:
    made = []
    for place in sorted(rows):
        first, last, volume = rows[place]
        ts = BEGIN + place * 60_000_000_000
        made.append(Candle(BTC, "1m", ts, first, max(first, last), min(first, last), last, volume, 1, 0))
    expected = []
    for start in range(BEGIN, BEGIN + 61 * 60_000_000_000, 15 * 60_000_000_000):
        inside = [each for each in made if start <= each.ts_open < start + 15 * 60_000_000_000]
        if inside and len(inside) >= share * 15:
            expected.append((
                start, inside[0].open, max(each.high for each in inside), min(each.low for each in inside),
                inside[-1].close, sum(each.volume for each in inside), len(inside),
            ))
    longer = aggregate(CandleColumns.of_candles(made), "1m", "15m", least_share=share)
    told = [(each.ts_open, each.open, each.high, each.low, each.close, each.volume, each.trades)
            for each in longer.candles(BTC, "15m")]
    assert told == expected


@pytest.mark.parametrize(("shorter", "longer"), [("1h", "1m"), ("1h", "1h"), ("4h", "6h"), ("1m", "2m"), ("7s", "1m")])
def test_intervals_that_do_not_fit_are_refused(shorter: str, longer: str) -> None:
    with pytest.raises(AggregationError):
        aggregate(CandleColumns.empty(), shorter, longer)


def test_a_days_candle_is_not_made_of_half_a_day_and_the_venues_own_stays(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    hours = [candle(hour, str(100 + hour), interval="1h") for hour in range(36)]
    store.write(BTC, "1h", CandleColumns.of_candles(hours))
    assert aggregate_series(store, BTC, "1h", "1d").added == 1
    store.write(BTC, "1d", CandleColumns.of_candles([candle(0, "7", interval="1d")]))
    assert aggregate_series(store, BTC, "1h", "1d").unchanged == 1
    assert store.load(BTC, "1d").close.tolist() == [7.0]


@pytest.mark.shared
def test_real_minutes_make_the_hours_another_source_has(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    import_file(store, shared_file("candles/binance_spot_5m_BTC_2024-03_2025-07.parquet"), ImportOptions())
    theirs = CandleStore(tmp_path, "other")
    import_file(theirs, shared_file("candles/binance_spot_1h_BTC_2021-06_2026-06.parquet"), ImportOptions())
    made = aggregate(store.read(BTC, "5m"), "5m", "1h", least_share=1.0)
    same = theirs.read(BTC, "1h", int(made.ts_ns[0]), int(made.ts_ns[-1]) + 1)
    assert len(made) == len(same) == 11_717
    for name in ("open", "high", "low", "close"):
        assert getattr(made, name).decimals() == getattr(same, name).decimals()
    assert np.allclose(made.volume.floats(), same.volume.floats(), rtol=1e-9)


def test_calm_prices_are_clean(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    days = [candle(day, str(100 + day % 3), interval="1d") for day in range(30)]
    store.write(BTC, "1d", CandleColumns.of_candles(days))
    judged = audit(store, BTC, "1d")
    assert judged.is_clean
    assert (judged.repeats, judged.silent, judged.longest_still) == (0, 0, 0)


def test_a_move_above_half_and_a_range_above_twice_are_outliers() -> None:
    arrays = closes(100, 100, 151, 151, 75, 75)
    found = [((each.ts_ns - BEGIN) // DAY, each.value) for each in find_oddities(arrays) if each.kind == "move"]
    assert found == [(2, 0.51), (4, round(75 / 151 - 1, 6))]
    assert not any(each.kind == "move" for each in find_oddities(closes(100, 149.9, 75.5)))
    wide = CandleArrays.of_columns(BTC, "1d", CandleColumns.of_candles([candle(0, "201", interval="1d", open_="100")]))
    assert [(each.kind, each.value) for each in find_oddities(wide)] == [("range", 2.01)]


def test_a_move_across_a_long_gap_is_no_outlier() -> None:
    assert find_oddities(closes(100, 300, places=[0, 40])) == []
    assert [each.kind for each in find_oddities(closes(100, 160, places=[0, 3]))] == ["move"]


@pytest.mark.parametrize(
    ("before", "after", "ratio"), [(400, 100, 4.0), (100, 51, 2.0), (10, 100, 0.1), (150, 99, 1.5)]
)
def test_a_jump_by_a_usual_ratio_that_stays_looks_like_a_split(before: float, after: float, ratio: float) -> None:
    found = [each for each in find_oddities(closes(*[before] * 6, *[after] * 6)) if each.kind == "split"]
    assert [((each.ts_ns - BEGIN) // DAY, each.value) for each in found] == [(6, ratio)]
    assert "split" in found[0].sentence()


def test_a_crash_that_is_no_usual_ratio_or_does_not_stay_is_no_split() -> None:
    assert not any(each.kind == "split" for each in find_oddities(closes(*[100] * 6, *[57] * 6)))
    assert not any(each.kind == "split" for each in find_oddities(closes(*[100] * 6, 50, *[96] * 6)))


@pytest.mark.shared
def test_the_recorded_splits_of_real_shares_are_found(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = shared_file("stocks/us_sp500_daily_2006_2021.parquet")
    rows = pq.read_table(path, filters=[("symbol", "in", ["AAPL", "TSLA", "NVDA", "KO"])])
    pq.write_table(rows, tmp_path / "few.parquet")
    store = CandleStore(tmp_path / "history")
    import_file(store, tmp_path / "few.parquet", ImportOptions())
    recorded = {
        (row["symbol"], row["date"].strftime("%Y-%m-%d"), round(row["split"], 3))  # recorded as float32
        for row in rows.to_pylist() if row["split"] > 1.4
    }
    told = {
        (symbol, str(np.datetime64(each.ts_ns, "ns"))[:10], each.value)
        for symbol, interval in store.series()
        for each in audit(store, symbol, interval).findings if each.kind == "split"
    }
    assert len(recorded) >= 5
    assert told == recorded


def test_stillness_and_silence_are_counted(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    volumes = ["1", "0", "0", "0", "1", "0", "1"]
    store.write(BTC, "1m", CandleColumns.of_candles([candle(at, "5", volume=each) for at, each in enumerate(volumes)]))
    judged = audit(store, BTC, "1m")
    assert (judged.silent, judged.longest_still) == (4, 3)


def test_old_minutes_become_hours_and_young_ones_stay(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    store.write(BTC, "1m", CandleColumns.of_candles([candle(at, str(100 + at % 7)) for at in range(0, 4320, 2)]))
    store.write(BTC, "1h", CandleColumns.of_candles([candle(5, "9", interval="1h")]))
    now = BEGIN + 4 * DAY + 3_600_000_000_000
    assert compactable(store) == [(BTC, "1m")]
    done = compact(store, BTC, "1m", now, days=2)
    assert (done.removed, done.hours) == (1440, 47)  # two days gone, and the hour that was there stays
    assert store.coverage(BTC, "1m").first_ns == BEGIN + 2 * DAY
    assert store.load(BTC, "1h").close[5] == 9.0
    assert float(store.load(BTC, "1h").volume.sum()) == 47 * 30 + 1
    again = compact(store, BTC, "1m", now, days=2)
    assert (again.removed, again.hours) == (0, 0)


def test_a_day_that_is_not_over_is_not_made_of_its_hours_so_far(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    hours = [candle(at, "9", interval="1h") for at in range(-2, 48)]
    store.write(BTC, "1h", CandleColumns.of_candles(hours[:-1]))
    assert aggregate_series(store, BTC, "1h", "1d").added == 1  # not the day before, of which two hours are here
    store.write(BTC, "1h", CandleColumns.of_candles(hours))
    assert aggregate_series(store, BTC, "1h", "1d").added == 1
    assert list(store.load(BTC, "1d").volume) == [24.0, 24.0]


@pytest.mark.parametrize("whole", ["1m", "5m"])
def test_an_hour_is_made_of_the_series_that_holds_most_of_it(tmp_path: Path, whole: str) -> None:
    store = CandleStore(tmp_path)
    for interval, price in (("1m", "7"), ("5m", "8")):
        count = 3_600 // {"1m": 60, "5m": 300}[interval] if interval == whole else 2
        store.write(BTC, interval, CandleColumns.of_candles(
            [candle(at, price, interval=interval) for at in range(count)]
        ))
    for symbol, interval in compactable(store):
        compact(store, symbol, interval, BEGIN + 4 * DAY, days=2)
    assert store.series() == [(BTC, "1h")]
    assert list(store.load(BTC, "1h").close) == [7.0 if whole == "1m" else 8.0]
