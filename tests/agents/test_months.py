"""Months of recorded candles of many symbols through the analyst and every alpha: nobody fails, everybody speaks."""

import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal

import pyarrow.compute
import pyarrow.parquet
import pytest

from agents.agent import Emit
from agents.alphas.registry import make_alphas
from agents.analyst import Analyst, AnalystConfig
from bus.ids import SessionId
from bus.messages.council import AnalysisCompleted
from bus.messages.header import MessageMaker
from market.interval import SECOND_NS, interval_ns
from market.ticks import Candle
from tests.candle_paths import folded, in_order
from tests.shared_data import shared_file

SHARE = float(os.environ.get("TRADINGD_MONTHS", "1"))
"""How many times more candles than usual: TRADINGD_MONTHS=15 reads whole years."""

HOURS, MINUTES, DAYS = (round(SHARE * count) for count in (400, 1_500, 1_000))

FILES = (
    ("binance_spot_1h_61syms_2024-01_2024-09", "1h", "1d", HOURS),
    ("binance_spot_1m_BTCquoted_2021-04_2021-05", "1m", "15m", MINUTES),
    ("binance_spot_1m_BTC-ETH-ADA-DOGE_2021-04_2021-05", "1m", "15m", MINUTES),
    ("binance_usdm_1m_FIL_21months_2023-02_2026-06", "1m", "15m", MINUTES),
    ("coinbase_1h_BTC-USD_2017_2019", "1h", "1d", HOURS),
    ("coinbase_1d_BTC-USD_2014_2019", "1d", "7d", DAYS),
    ("coinbase_1m_BTC-ETH_days_2016_2018", "1m", "15m", MINUTES),
    ("ftx_1m_BTC-PERP_2021-12_2022-02", "1m", "15m", MINUTES),
)


def recorded(file: str, interval: str, most: int) -> Iterator[tuple[str, list[Candle]]]:
    """Symbol by symbol; the times of the recording, the first `most` of each."""
    table, length = pyarrow.parquet.read_table(shared_file(f"candles/{file}.parquet")), interval_ns(interval)
    for symbol in dict.fromkeys(table.column("symbol").to_pylist()):
        rows = table.filter(pyarrow.compute.equal(table.column("symbol"), symbol)).slice(0, most).to_pylist()
        yield symbol, [
            Candle(
                symbol, interval, row["ts"] * 1_000_000,
                *(Decimal(repr(row[name])) for name in ("open", "high", "low", "close", "volume")), 0,
                row["ts"] * 1_000_000 + length,
            )
            for row in rows
        ]


def heard(analyst: Analyst, series: Sequence[Candle]) -> Iterator[Emit]:
    maker = MessageMaker("engine", SessionId("months"))
    for one in series:
        yield from analyst.handle(maker.make(one, one.ts_init))


@pytest.mark.shared
@pytest.mark.parametrize(("file", "interval", "longer", "most"), FILES, ids=[each[0] for each in FILES])
def test_every_recorded_symbol_is_analysed_by_every_alpha_without_a_failure(
    file: str, interval: str, longer: str, most: int
) -> None:
    alphas = make_alphas({})
    symbols, said = 0, Counter[tuple[str, str]]()
    for symbol, series in recorded(file, interval, most):
        config = AnalystConfig(interval, (interval, longer), {alpha.name: 1.0 for alpha in alphas}, 5 * SECOND_NS)
        analyst = Analyst(config, [symbol], alphas)
        analyses = [
            emit.body for emit in heard(analyst, in_order(series, folded(series, longer)))
            if isinstance(emit.body, AnalysisCompleted)
        ]
        assert len(analyses) == len(series)
        assert "failed" not in analyst.status().message, analyst.status().message
        for analysis in analyses:
            assert len(analysis.signals) == len(alphas)
            assert all(math.isfinite(feature.value) for feature in analysis.features)
            for signal in analysis.signals:
                said[signal.alpha, signal.action if signal.confidence else "nothing"] += 1
                assert 0.0 <= signal.confidence <= 1.0
                assert 0.0 <= signal.trail_ratio < 1.0
                assert "nan" not in signal.reasoning
        symbols += 1
    assert symbols
    for alpha in alphas:
        assert all(said[alpha.name, action] for action in ("trail_buy", "trail_sell")), (alpha.name, said)
        assert alpha.name == "technical" or said[alpha.name, "hold"], said  # which rarely finds nothing
