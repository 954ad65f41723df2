"""Indicators against TA-Lib on any candles: flat stretches, gaps, no volume, tiny and huge prices, coarse ticks.

Equal means 1e-9 of the value, or of the price for what is a difference of prices and may be next to nothing.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy
import pyarrow.parquet
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as some

from market.indicators import (
    AverageTrueRange,
    BollingerBands,
    ExponentialMovingAverage,
    MovingAverageConvergenceDivergence,
    RelativeStrengthIndex,
    SimpleMovingAverage,
)
from tests.shared_data import shared_file, shared_root

RELATIVE = 1e-9
ROWS = 1_000
"""Of each recorded symbol."""
UNITS = (1e-12, 1e-8, 1.7e-5, 1.0, 61_837.63, 1e8, 1e12)


def assert_equal(name: str, ours: Sequence[float | None], theirs: numpy.ndarray, scale: numpy.ndarray) -> None:
    mine = numpy.array([numpy.nan if value is None else value for value in ours], dtype=float)
    assert (numpy.isnan(mine) == numpy.isnan(theirs)).all(), name
    difference = numpy.abs(mine - theirs)
    allowed = RELATIVE * numpy.maximum(numpy.abs(theirs), scale)
    worst = numpy.nanmax(numpy.where(difference > 0.0, difference / numpy.maximum(allowed, 1e-320), 0.0))
    assert not worst > 1.0, (name, worst)


def assert_same_as_talib(
    high: numpy.ndarray, low: numpy.ndarray, close: numpy.ndarray, *, exact_atr: bool = True
) -> None:
    rsi, ranges, macd = RelativeStrengthIndex(14), AverageTrueRange(14), MovingAverageConvergenceDivergence(12, 26, 9)
    bands, short, long, average = BollingerBands(20, 2.0), SimpleMovingAverage(20), SimpleMovingAverage(50), (
        ExponentialMovingAverage(12)
    )
    told: list[tuple[float | None, ...]] = []
    for up, down, last in zip(high.tolist(), low.tolist(), close.tolist(), strict=True):
        macd.update(last)
        bands.update(last)
        told.append((
            rsi.update(last), ranges.update(up, down, last), macd.value, macd.signal, macd.histogram,
            bands.upper, bands.value, bands.lower, short.update(last), long.update(last), average.update(last),
        ))
    nothing, price = numpy.zeros(len(close)), numpy.abs(close) * 1e-3
    names = ("RSI", "ATR", "MACD", "signal", "histogram", "upper", "middle", "lower", "SMA 20", "SMA 50", "EMA 12")
    theirs = (
        talib.RSI(close, 14), talib.ATR(high, low, close, 14), *talib.MACD(close, 12, 26, 9),
        *talib.BBANDS(close, 20, 2.0, 2.0), talib.SMA(close, 20), talib.SMA(close, 50), talib.EMA(close, 12),
    )
    atr = nothing if exact_atr else price
    scales = (nothing, atr, *([price] * 6), nothing, nothing, nothing)
    for name, ours, reference, scale in zip(names, zip(*told, strict=True), theirs, scales, strict=True):
        assert_equal(name, ours, reference, scale)


@some.composite
def any_candles(draw: some.DrawFn) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Moves of thousandths up to threefold gaps, flat stretches, some of them long, in any unit of price."""
    unit = draw(some.sampled_from(UNITS))
    tick = draw(some.sampled_from([0.0, 0.01, 0.25]))
    level, highs, lows, closes = 1.0, [], [], []
    moves = some.one_of(
        some.floats(-0.02, 0.02), some.just(0.0), some.floats(-0.6, 2.0), some.integers(2, 40).map(float)
    )
    for move in draw(some.lists(moves, min_size=30, max_size=80)):
        repeats = int(move) if move >= 2.0 else 1
        if move < 2.0:
            level = min(max(level * (1.0 + move), 0.05), 50.0)
        close = max(round(level / tick), 1) * tick if tick else level
        wick = 0.0 if move >= 2.0 or move == 0.0 else draw(some.sampled_from([0.0, 0.001, 0.03])) * close
        highs += [(close + wick) * unit] * repeats
        lows += [(close - wick) * unit] * repeats
        closes += [close * unit] * repeats
    return numpy.array(highs), numpy.array(lows), numpy.array(closes)


@settings(max_examples=200, deadline=None)
@given(any_candles())
def test_indicators_of_any_candles_equal_talib(
    candles: tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]
) -> None:
    assert_same_as_talib(*candles, exact_atr=False)


@pytest.mark.parametrize("unit", UNITS)
def test_after_a_thousand_flat_candles_the_rsi_is_still_that_of_talib(unit: float) -> None:
    moving = [numpy.linspace(1.0, 1.2, 40), numpy.linspace(1.2, 1.1, 20)]
    close = unit * numpy.concatenate([*moving, numpy.full(1000, 1.1)])
    assert_same_as_talib(close, close, close)


def _files() -> list[str]:
    folder = shared_root() / "candles"
    return sorted(path.name for path in folder.glob("*.parquet")) if folder.is_dir() else ["any.parquet"]


def _symbols(path: Path) -> Iterator[tuple[str, list[numpy.ndarray]]]:
    columns = ("high", "low", "close")
    for group in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=1 << 30):
        names = group.column("symbol").to_numpy(zero_copy_only=False)
        for symbol in dict.fromkeys(names.tolist()):
            chosen = names == symbol
            yield symbol, [group.column(name).to_numpy()[chosen] for name in columns]


@pytest.mark.shared
@pytest.mark.parametrize("file", _files())
def test_indicators_of_every_recorded_symbol_equal_talib(file: str) -> None:
    seen = 0
    for _symbol, (high, low, close) in _symbols(shared_file(f"candles/{file}")):
        if len(close) >= 60:
            assert_same_as_talib(high[:ROWS], low[:ROWS], close[:ROWS])
            seen += 1
    assert seen
