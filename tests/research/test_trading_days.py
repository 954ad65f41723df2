"""A market's holidays are learned from its own candles; a hole in one symbol's data stays a hole."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from research.cli import app
from research.history.audit import audit
from research.history.trading_days import LEAST, holidays, shared_closures
from store.candle_columns import CandleColumns
from store.candle_grid import DAY_NS
from store.candles import CandleStore
from store.exact_column import ExactColumn

MONDAY = 19_723  # 2024-01-01, a holiday itself


def weekdays(first: int, count: int, *absent: int) -> np.ndarray:
    days = np.arange(first, first + count)
    return days[((days + 3) % 7 < 5) & ~np.isin(days, absent)]


def put(store: CandleStore, symbol: str, days: np.ndarray) -> None:
    prices = [ExactColumn(np.full(len(days), 100 + row), 0) for row in (1, 2, 0, 1, 5)]
    store.write(symbol, "1d", CandleColumns.of(days * DAY_NS, prices, np.zeros(len(days), np.int64)))


def test_a_weekday_on_which_nobody_traded_is_a_holiday_and_no_gap(tmp_path: Path) -> None:
    store, holiday, hole = CandleStore(tmp_path / "history"), MONDAY + 14, MONDAY + 22
    for symbol in ("AAA", "BBB", "CCC"):
        put(store, symbol, weekdays(MONDAY, 60, holiday))
    put(store, "DDD", weekdays(MONDAY, 60, holiday, hole))
    put(store, "BTC/USDT", np.arange(MONDAY, MONDAY + 60))
    closed = holidays(store)
    assert closed == {holiday}
    judged = {symbol: audit(store, symbol, "1d", closed) for symbol, _ in store.series()}
    assert {symbol for symbol, each in judged.items() if each.is_clean} == {"AAA", "BBB", "CCC", "BTC/USDT"}
    assert judged["AAA"].holidays == 1
    assert judged["AAA"].coverage.ratio == 1.0
    (gap,) = judged["DDD"].coverage.gaps
    assert (gap.start_ns // DAY_NS, gap.candles) == (hole, 1)
    shown = CliRunner().invoke(app, ["data", "audit", "--data-dir", str(tmp_path)])
    assert [line.split()[-1] for line in shown.output.splitlines() if line[:3] in judged] == ["clean"] * 3 + ["look"]
    assert "1 at most, in 4 series" in shown.output


@pytest.mark.parametrize("count", range(LEAST))
def test_too_few_symbols_teach_no_holiday(tmp_path: Path, count: int) -> None:
    store = CandleStore(tmp_path / "history")
    for number in range(count):
        put(store, f"S{number}", weekdays(MONDAY, 60, MONDAY + 14))
    assert holidays(store) == frozenset()


def test_days_before_or_after_enough_symbols_traded_are_none() -> None:
    long = weekdays(MONDAY, 100, MONDAY + 7, MONDAY + 50)
    short = weekdays(MONDAY + 30, 70, MONDAY + 50)
    assert shared_closures([long, long, short]) == {MONDAY + 50}


@given(st.lists(st.sets(st.integers(0, 40), max_size=6), min_size=LEAST, max_size=6))
def test_as_a_loop_over_all_days_finds_them(absent: list[set[int]]) -> None:
    series = [weekdays(MONDAY, 41, *(MONDAY + each for each in days)) for days in absent]
    expected = {
        day for day in range(MONDAY, MONDAY + 41)
        if (day + 3) % 7 < 5
        and sum(each[0] <= day <= each[-1] for each in series) >= LEAST
        and not any(day in each for each in series)
    }
    assert shared_closures(series) == expected
