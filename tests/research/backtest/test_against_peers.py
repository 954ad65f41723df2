"""Trade for trade against two established backtesters, on the same data, costs and sizes."""

import random
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


def same(ours: Sequence[Trade], theirs: Sequence[PeerTrade], *, least: int = 4) -> None:
    assert len(ours) == len(theirs)
    assert len(ours) >= least, "too few trades to say anything"
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


SETTINGS = [
    pytest.param(seed, rule, id=f"{rule} {seed}") for seed in range(8) for rule in ("crossover", "bands")
]


@pytest.mark.parametrize(("seed", "rule"), SETTINGS)
def test_chosen_by_chance_costs_stakes_and_windows_change_nothing_of_that(seed: int, rule: str) -> None:
    """Fees, spread and slippage together; all of the cash at stake; windows longer than the data."""
    chance = random.Random(seed)
    bars = walk(chance.choice((40, 700, 2500)), seed, keep=chance.choice((1.0, 0.9)), step=chance.choice((3, 400)))
    fee, spread = chance.choice(("0", "0.001")), chance.choice(("0", "0.0006"))
    slippage = chance.choice(("0", "0.0002"))
    stake, window = chance.choice(("0.5", "0.99", "1.0")), chance.choice((2, 5, 20, 90, 1200))
    away = float(spread) / 2 + float(slippage)
    with_costs = {"cash": 10_000.0, "stake": float(stake), "fee": float(fee), "away": away}
    costs = {"stake": stake, "fee": fee, "spread": spread, "slippage": slippage}
    if rule == "crossover":
        ours = run(bars, SmaCross(max(1, window // 3), window), **costs).trades
        peers, parameters = (BacktraderCross, BacktestingCross), {"fast": max(1, window // 3), "slow": window}
    else:
        ours = run(bars, BollingerReversion(window, 1.5), **costs).trades
        peers, parameters = (BacktraderBands, BacktestingBands), {"window": window, "k": 1.5}
    if window >= len(bars):  # the peers do not begin at all
        assert not ours
        return
    same(ours, run_backtrader(bars, peers[0], **with_costs, **parameters), least=0)
    # Told a size, backtesting.py asks for the cash at the open alone; backtrader and we also for the fee at the close.
    if stake != "1.0":
        same(ours, run_backtesting(bars, peers[1], **with_costs, **parameters)[0], least=0)


@pytest.mark.shared
@pytest.mark.parametrize(("symbol", "first"), [("NXS/BTC", 2805), ("NXS/BTC", 30_000), ("ADA/BTC", 100)])
def test_thin_pairs_at_a_hundred_millionth_with_prices_that_stand_still_trade_as_in_backtrader(
    symbol: str, first: int
) -> None:
    """Averages of the same few prices are often equal: ties must fall as there."""
    file = shared_file("candles/binance_spot_1m_BTCquoted_2021-04_2021-05.parquet")
    bars = recorded(file, symbol, "1m", first, 3000)
    for fast, slow in ((10, 15), (1, 6), (20, 50)):
        same(
            run(bars, SmaCross(fast, slow), stake=STAKE, fee=FEE).trades,
            run_backtrader(bars, BacktraderCross, **MONEY, fast=fast, slow=slow),
        )
