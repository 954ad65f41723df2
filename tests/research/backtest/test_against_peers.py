"""Trade for trade against two established backtesters, on the same data, costs and sizes."""

from collections.abc import Sequence

import pytest

from research.backtest.bars import Bars
from research.backtest.rules import BollingerReversion, SmaCross
from research.backtest.trades import Trade
from tests.research.backtest.candles import recorded, run, walk
from tests.research.backtest.peers import (
    BacktestingBands,
    BacktestingCross,
    BacktraderBands,
    BacktraderCross,
    PeerTrade,
    run_backtesting,
    run_backtrader,
)
from tests.shared_data import shared_file

FEE = "0.001"
STAKE = "0.95"
MONEY = {"cash": 10_000.0, "stake": 0.95, "fee": 0.001}
LONG_FILE = "candles/binance_spot_1h_BTC_2021-06_2026-06.parquet"
MANY_FILE = "candles/binance_spot_1h_61syms_2024-01_2024-09.parquet"


def same(ours: Sequence[Trade], theirs: Sequence[PeerTrade]) -> None:
    assert len(ours) == len(theirs)
    assert len(ours) > 3, "too few trades to say anything"
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.entry_ts, mine.exit_ts) == (other.entry_ts, other.exit_ts)
        assert mine.side == "long"
        for name in ("entry_price", "exit_price", "quantity", "fees"):
            assert float(getattr(mine, name)) == pytest.approx(getattr(other, name), rel=1e-6), name
        # A result near zero is the difference of two large sums: judged against what was at stake.
        at_stake = float(mine.entry_price * mine.quantity)
        assert float(mine.pnl) == pytest.approx(other.pnl, rel=1e-6, abs=1e-9 * at_stake)


def cases() -> list[object]:
    return [pytest.param(lambda seed=seed, keep=keep: walk(3000, seed, keep=keep), id=f"walk {seed}")
            for seed, keep in ((1, 1.0), (2, 1.0), (3, 0.97))]


def stretches() -> list[object]:
    chosen = [
        (LONG_FILE, "BTC/USDT", 0),
        (LONG_FILE, "BTC/USDT", 30_000),
        (MANY_FILE, "1000SATS/USDT", 0),
        (MANY_FILE, "DOGE/USDT", 1500),
    ]
    return [
        pytest.param(
            lambda file=file, symbol=symbol, first=first: recorded(shared_file(file), symbol, "1h", first, 4000),
            id=f"{symbol} from {first}",
        )
        for file, symbol, first in chosen
    ]


@pytest.mark.parametrize("make", [*cases(), *stretches()])
class TestTradeForTrade:
    def test_the_crossover_trades_as_in_backtrader(self, make: object) -> None:
        bars: Bars = make()  # type: ignore[operator]
        same(run(bars, SmaCross(20, 50), stake=STAKE, fee=FEE).trades, run_backtrader(bars, BacktraderCross, **MONEY))

    def test_the_crossover_trades_as_in_backtesting_py(self, make: object) -> None:
        bars: Bars = make()  # type: ignore[operator]
        same(
            run(bars, SmaCross(20, 50), stake=STAKE, fee=FEE).trades,
            run_backtesting(bars, BacktestingCross, **MONEY)[0],
        )

    def test_mean_reversion_trades_as_in_backtrader(self, make: object) -> None:
        bars: Bars = make()  # type: ignore[operator]
        same(
            run(bars, BollingerReversion(20, 2.0), stake=STAKE, fee=FEE).trades,
            run_backtrader(bars, BacktraderBands, **MONEY),
        )

    def test_mean_reversion_trades_as_in_backtesting_py(self, make: object) -> None:
        bars: Bars = make()  # type: ignore[operator]
        ours = run(bars, BollingerReversion(20, 2.0), stake=STAKE, fee=FEE).trades
        same(ours, run_backtesting(bars, BacktestingBands, **MONEY)[0])
