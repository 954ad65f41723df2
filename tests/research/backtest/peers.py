"""The same two rules in backtrader and in backtesting.py, with our sizing: what is bought is worth a share of the cash
at the last close, rounded down to 1e-8 (both size at the fill by default; told a size, they take it)."""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import backtesting
import backtrader
import numpy as np
import pandas as pd
from backtesting.lib import FractionalBacktest

from research.backtest.bars import Bars

UNIT = 1e-8


@dataclass(frozen=True)
class PeerTrade:
    entry_ts: int
    entry_price: float
    exit_ts: int
    exit_price: float
    quantity: float
    fees: float
    pnl: float


def frame(bars: Bars) -> pd.DataFrame:
    columns = bars.columns
    data = {name.capitalize(): getattr(columns, name).floats() for name in ("open", "high", "low", "close", "volume")}
    return pd.DataFrame(data, index=pd.to_datetime(columns.ts_ns, unit="ns"))


def units(cash: float, stake: float, close: float) -> float:
    return math.floor(cash * stake / close / UNIT + 1e-6) * UNIT


# ---- backtrader ------------------------------------------------------------------------------------


class _Recorder(backtrader.Analyzer):  # type: ignore[misc]
    def start(self) -> None:
        self.rows: list[PeerTrade] = []

    def notify_trade(self, trade: Any) -> None:
        if trade.isclosed:
            begin, end = trade.history[0], trade.history[-1]
            self.rows.append(PeerTrade(
                _ns(begin.status.dt), begin.event.price, _ns(end.status.dt), end.event.price, abs(begin.event.size),
                trade.commission, trade.pnlcomm,
            ))

    def get_analysis(self) -> list[PeerTrade]:
        return self.rows


class _Sized(backtrader.Strategy):  # type: ignore[misc]
    params = (("stake", 0.99),)

    def enter(self) -> None:
        self.buy(size=units(self.broker.getcash(), self.p.stake, self.data.close[0]))


class BacktraderCross(_Sized):
    params = (("fast", 20), ("slow", 50))

    def __init__(self) -> None:
        fast = backtrader.ind.SMA(self.data.close, period=self.p.fast)
        slow = backtrader.ind.SMA(self.data.close, period=self.p.slow)
        self.cross = backtrader.ind.CrossOver(fast, slow)

    def next(self) -> None:
        if self.cross[0] > 0 and not self.position:
            self.enter()
        elif self.cross[0] < 0 and self.position:
            self.close()


class BacktraderBands(_Sized):
    params = (("window", 20), ("k", 2.0))

    def __init__(self) -> None:
        self.bands = backtrader.ind.BollingerBands(self.data.close, period=self.p.window, devfactor=self.p.k)

    def next(self) -> None:
        if self.position:
            if self.data.close[0] >= self.bands.mid[0]:
                self.close()
        elif self.data.close[0] < self.bands.bot[0]:
            self.enter()


def run_backtrader(
    bars: Bars, strategy: type, *, cash: float, stake: float, fee: float, away: float = 0.0, **parameters: float
) -> list[PeerTrade]:
    """`away`: half the spread and the slippage, as a ratio; it is not held back by the candle's high or low."""
    cerebro = backtrader.Cerebro(stdstats=False, tradehistory=True)
    cerebro.adddata(backtrader.feeds.PandasData(dataname=frame(bars)))
    cerebro.broker.setcash(cash)
    cerebro.broker.setcommission(commission=fee)
    if away:
        cerebro.broker.set_slippage_perc(away, slip_open=True, slip_match=True, slip_out=True)
    cerebro.addstrategy(strategy, stake=stake, **parameters)
    cerebro.addanalyzer(_Recorder, _name="recorder")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows: list[PeerTrade] = cerebro.run(tradehistory=True)[0].analyzers.recorder.get_analysis()
    return rows


def _ns(day: float) -> int:
    return round(backtrader.num2date(day).replace(tzinfo=backtrader.utils.dateintern.UTC).timestamp()) * 10**9


# ---- backtesting.py --------------------------------------------------------------------------------


class _Stepping(backtesting.Strategy):  # type: ignore[misc]
    stake = 0.99

    def enter(self) -> None:
        # Its prices are in units of 1e-8 of the base: sizes are whole numbers of them.
        size = round(units(self.equity, self.stake, self.data.Close[-1] / UNIT) / UNIT)
        if size >= 1:
            self.buy(size=size)


class BacktestingCross(_Stepping):
    fast, slow = 20, 50

    def init(self) -> None:
        close = pd.Series(self.data.Close)
        self.fast_mean = self.I(lambda: close.rolling(self.fast).apply(math.fsum, raw=True) / self.fast)
        self.slow_mean = self.I(lambda: close.rolling(self.slow).apply(math.fsum, raw=True) / self.slow)
        self.sign = 0

    def next(self) -> None:
        difference = self.fast_mean[-1] - self.slow_mean[-1]
        if not np.isfinite(difference) or abs(difference) < 1e-12 * self.data.Close[-1]:
            return
        before, self.sign = self.sign, 1 if difference > 0 else -1
        if before < 0 < self.sign and not self.position:
            self.enter()
        elif before > 0 > self.sign and self.position:
            self.position.close()


class BacktestingBands(_Stepping):
    window, k = 20, 2.0

    def init(self) -> None:
        close = pd.Series(self.data.Close)
        mean, deviation = close.rolling(self.window).mean(), close.rolling(self.window).apply(np.std, raw=True)
        # It first asks at the second candle whose indicators are known, we and backtrader at the first: a value before
        # makes it ask there too.
        self.middle = self.I(lambda: mean.bfill(limit=1))
        self.lower = self.I(lambda: (mean - self.k * deviation).bfill(limit=1))

    def next(self) -> None:
        close = self.data.Close[-1]
        if self.position:
            if (
                close >= self.middle[-1] - 1e-12 * close
            ):  # its prices are scaled, so that equal ones differ in the last bit
                self.position.close()
        elif close < self.lower[-1] - 1e-12 * close:
            self.enter()


def run_backtesting(
    bars: Bars, strategy: type, *, cash: float, stake: float, fee: float, away: float = 0.0, **parameters: float,
) -> tuple[list[PeerTrade], Any]:
    """`away` is charged as a commission, for its own spread is paid at entries alone; prices are given with it."""
    def commission(size: float, price: float) -> float:
        return abs(size) * price * (away + fee)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        test = FractionalBacktest(
            frame(bars),
            strategy,
            fractional_unit=UNIT,
            cash=cash,
            commission=commission if away else fee,
            trade_on_close=False,
            exclusive_orders=False,
        )
        stats = test.run(stake=stake, **parameters)
    rows = [
        PeerTrade(
            row.EntryTime.value, row.EntryPrice * (1.0 + away), row.ExitTime.value, row.ExitPrice * (1.0 - away),
            row.Size,
            row.Commission - away * row.Size
            * (row.EntryPrice + row.ExitPrice - fee * (row.EntryPrice - row.ExitPrice)),
            row.PnL,
        )
        for row in stats["_trades"].itertuples()
    ]
    return rows, stats
