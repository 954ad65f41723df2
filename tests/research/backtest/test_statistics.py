"""Every figure against an independent computation: backtesting.py where it means the same, else pandas and sums."""

import math
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from research.backtest.bars import Bars
from research.backtest.rules import SmaCross
from research.backtest.runner import Result
from research.backtest.statistics import drawdown, periods_per_year, rolling_return, sharpe, statistics
from research.backtest.trade_figures import execution_figures, trade_figures
from research.backtest.trades import Trade
from tests.research.backtest.candles import BEGIN, Script, flat, run, walk
from tests.research.backtest.peers import BacktestingCross, run_backtesting

DAY = 86_400 * 10**9


@pytest.fixture(scope="module")
def bars() -> Bars:
    return walk(4000, 21)


@pytest.fixture(scope="module")
def result(bars: Bars) -> Result:
    return run(bars, SmaCross(20, 50), stake="0.95", fee="0.001")


@pytest.fixture(scope="module")
def ours(bars: Bars, result: Result) -> dict[str, Any]:
    return statistics(result.equity, bars.ts, bars.close, result.trades, 10_000.0)


@pytest.fixture(scope="module")
def series(bars: Bars, result: Result) -> pd.Series:
    return pd.Series(result.equity, index=pd.to_datetime(bars.ts))


@pytest.mark.parametrize(
    ("name", "theirs", "factor"),
    [
        ("total_return", "Return [%]", 0.01),
        ("final_equity", "Equity Final [$]", 1.0),
        ("buy_and_hold_return", "Buy & Hold Return [%]", 0.01),
        ("trades", "# Trades", 1.0),
        ("win_rate", "Win Rate [%]", 0.01),
        ("max_drawdown", "Max. Drawdown [%]", -0.01),
    ],
)
def test_figures_that_backtesting_py_defines_alike(
    bars: Bars, ours: dict[str, Any], name: str, theirs: str, factor: float,
) -> None:
    """Its Sharpe, Sortino, profit factor and expectancy are others: of daily returns, of percents a trade."""
    _, stats = run_backtesting(bars, BacktestingCross, cash=10_000.0, stake=0.95, fee=0.001)
    if name == "buy_and_hold_return":  # it begins where the indicators do
        expected = bars.close[-1] / bars.close[49] - 1
        assert stats[theirs] * factor == pytest.approx(expected, rel=1e-6)
        return
    # It marks the last open position as we do, but rounds sizes to 1e-8 its own way.
    assert ours[name] == pytest.approx(stats[theirs] * factor, rel=1e-6)


class TestOfTheCurve:
    def test_sharpe_and_volatility_as_pandas_computes_them(self, ours: dict[str, Any], series: pd.Series) -> None:
        returns = series.pct_change().dropna()
        per_year = 365 * 24
        assert ours["periods_per_year"] == pytest.approx(per_year)
        assert ours["volatility"] == pytest.approx(returns.std() * math.sqrt(per_year), rel=1e-9)
        assert ours["sharpe"] == pytest.approx(returns.mean() / returns.std() * math.sqrt(per_year), rel=1e-9)

    def test_sortino_by_hand(self, ours: dict[str, Any], series: pd.Series) -> None:
        returns = [after / before - 1 for before, after in pairwise(series)]
        below = math.sqrt(math.fsum(min(each, 0.0) ** 2 for each in returns) / len(returns))
        assert ours["downside_deviation"] == pytest.approx(below * math.sqrt(8760), rel=1e-9)
        assert ours["sortino"] == pytest.approx(math.fsum(returns) / len(returns) / below * math.sqrt(8760), rel=1e-9)

    def test_drawdown_and_its_length_by_a_loop(self, ours: dict[str, Any], series: pd.Series) -> None:
        peak, depth, under, longest = 10_000.0, 0.0, 0, 0
        for value in series:
            under = 0 if value >= peak else under + 1
            peak = max(peak, value)
            depth, longest = max(depth, 1 - value / peak), max(longest, under)
        assert ours["max_drawdown"] == pytest.approx(depth, rel=1e-12)
        assert ours["max_drawdown_candles"] == longest
        assert ours["max_drawdown_days"] == pytest.approx(longest / 24)

    @pytest.mark.parametrize(("equity", "days"), [
        ((100, 110, 90, 90, 90, 111, 112), 100),  # from the second candle to the sixth, which lies behind the gap
        ((100, 110, 90, 90, 90, 90, 90), 102), ((90, 90, 90, 90, 101, 101, 100), 100), ((100, 101, 102, 103) * 2, 100),
    ])
    def test_the_days_below_a_peak_are_those_of_the_calendar(self, equity: tuple[int, ...], days: int) -> None:
        ts = BEGIN + np.array([0, 1, 2, 3, 100, 102, 103, 104][: len(equity)]) * DAY
        found = statistics([float(each) for each in equity], ts, [1.0] * len(equity), [], 100.0)
        assert found["max_drawdown_days"] == days

    def test_a_run_without_a_trade_risks_nothing_and_not_minus_nothing(self) -> None:
        found = statistics([100.0] * 5, BEGIN + np.arange(5) * DAY, [1.0, 2.0, 1.0, 2.0, 1.0], [], 100.0)
        assert [str(found[name]) for name in ("var_95", "cvar_95", "downside_deviation", "max_drawdown")] == ["0.0"] * 4

    def test_value_at_risk_and_shortfall_by_sorting(self, ours: dict[str, Any], series: pd.Series) -> None:
        returns = series.pct_change().dropna()
        worst = returns.quantile(0.05)
        assert ours["var_95"] == pytest.approx(-worst, rel=1e-9)
        assert ours["cvar_95"] == pytest.approx(-returns[returns <= worst].mean(), rel=1e-9)

    def test_beta_and_correlation_as_pandas_computes_them(
        self, bars: Bars, ours: dict[str, Any], series: pd.Series
    ) -> None:
        market = pd.Series(bars.close, index=series.index).pct_change().dropna()
        returns = series.pct_change().dropna()
        assert ours["beta"] == pytest.approx(returns.cov(market) / market.var(), rel=1e-9)
        assert ours["correlation"] == pytest.approx(returns.corr(market), rel=1e-9)

    def test_annual_return_and_calmar(self, bars: Bars, ours: dict[str, Any]) -> None:
        years = (bars.ts[-1] - bars.ts[0]) / (365 * DAY)
        annual = (ours["final_equity"] / 10_000) ** (1 / years) - 1
        assert ours["annual_return"] == pytest.approx(annual)
        assert ours["calmar"] == pytest.approx(annual / ours["max_drawdown"])

    def test_monthly_returns_as_pandas_resamples_them(self, ours: dict[str, Any], series: pd.Series) -> None:
        ends = series.resample("ME").last()
        expected = (ends / ends.shift(1).fillna(10_000.0) - 1).to_list()
        assert list(ours["monthly_returns"]) == [f"{at:%Y-%m}" for at in ends.index]
        assert list(ours["monthly_returns"].values()) == pytest.approx(expected)
        grown = math.prod(1 + each for each in ours["monthly_returns"].values())
        assert grown == pytest.approx(1 + ours["total_return"])

    @pytest.mark.parametrize("days", [30, 90])
    def test_rolling_returns_as_pandas_shifts_them(self, ours: dict[str, Any], series: pd.Series, days: int) -> None:
        earlier = series.shift(freq=f"{days}D").reindex(series.index)
        grown = (series / earlier - 1).dropna()
        assert ours["rolling_returns"][str(days)] == pytest.approx({
            "best": grown.max(), "worst": grown.min(), "mean": grown.mean(), "latest": grown.iloc[-1],
        })

    def test_there_is_no_rolling_return_over_more_than_the_data(self, ours: dict[str, Any]) -> None:
        assert ours["rolling_returns"]["180"] is None

    def test_a_rolling_window_over_a_gap_begins_at_the_last_close_before_it(self) -> None:
        ts = np.array([0, 1, 2, 40, 41], np.int64) * DAY
        found = rolling_return(np.array([100.0, 110, 120, 130, 156]), ts, 30)
        assert found is not None
        assert found["latest"] == pytest.approx(156 / 120 - 1)


class TestOfTrades:
    def test_sums_and_means(self, result: Result) -> None:
        profits = [float(each.pnl) for each in result.trades]
        figures = trade_figures(result.trades, 10_000.0, 0.2)
        wins, losses = [each for each in profits if each > 0], [each for each in profits if each < 0]
        assert figures["profit_factor"] == pytest.approx(sum(wins) / -sum(losses))
        assert figures["expectancy"] == pytest.approx(sum(profits) / len(profits))
        assert figures["recovery_factor"] == pytest.approx(sum(profits) / 2000)
        assert figures["fees"] == pytest.approx(float(result.fees) - _fees_of_open(result), rel=1e-9)
        assert (figures["largest_win"], figures["largest_loss"]) == (max(profits), min(profits))

    def test_streaks_holds_hours_and_weekdays(self) -> None:
        trades = [
            _trade(hour, pnl, hold)
            for hour, pnl, hold in ((0, 1, 10), (0, 3, 20), (5, -1, 30), (24 + 5, 2, 40), (48, -9, 50))
        ]
        figures = trade_figures(trades, 1000.0, 0.1)
        assert (figures["longest_winning_streak"], figures["longest_losing_streak"]) == (2, 1)
        assert (figures["average_hold_s"], figures["longest_hold_s"]) == (30.0, 50.0)
        assert figures["profit_by_hour"] == pytest.approx({"00": -5 / 3, "05": 0.5})
        assert (figures["best_hour"], figures["worst_hour"]) == (5, 0)
        assert (figures["best_weekday"], figures["worst_weekday"]) == ("Tuesday", "Wednesday")

    def test_without_trades_nothing_is_claimed(self) -> None:
        figures = trade_figures([], 1000.0, 0.0)
        assert figures["trades"] == 0
        assert {
            figures[name] for name in ("win_rate", "profit_factor", "expectancy", "best_hour", "recovery_factor")
        } == {None}

    def test_execution_tells_the_wait_from_the_slippage(self) -> None:
        figures = execution_figures([("buy", 100.0, 101.0, 102.01), ("sell", 100.0, 99.0, 98.01)], 1, 1)
        assert figures["fill_ratio"] == 0.5
        assert figures["wait_bps"] == pytest.approx(100.0)
        assert figures["slippage_bps"] == pytest.approx(100.0)
        assert figures["shortfall_bps"] == pytest.approx(200.0)

    def test_slippage_of_a_run_is_what_it_was_told_to_be(self) -> None:
        result = run(
            flat(["100"] * 6), Script((0, "buy", {"fraction": 0.5}), (2, "sell", {})), spread="0.002", slippage="0.0005"
        )
        figures = execution_figures(result.decision_prices, result.rejected, 0)
        assert figures["slippage_bps"] == pytest.approx(15.0)
        assert figures["wait_bps"] == pytest.approx(0.0)


def test_a_run_in_which_nothing_happened_has_figures_that_are_none_and_none_that_are_odd() -> None:
    bars = flat(["100"] * 5)
    result = run(bars, Script())
    figures = statistics(result.equity, bars.ts, bars.close, result.trades, 10_000.0)
    assert figures["total_return"] == 0.0
    assert {figures[name] for name in ("sharpe", "sortino", "calmar", "beta", "correlation")} == {None}
    assert figures["max_drawdown"] == 0.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1.0, 1e6), min_size=2, max_size=40), st.floats(0.1, 10.0))
def test_neither_drawdown_nor_sharpe_depends_on_the_size_of_the_account(values: list[float], factor: float) -> None:
    curve = np.array(values)
    assert drawdown(curve * factor)[0] == pytest.approx(drawdown(curve)[0], abs=1e-9)
    first, second = (sharpe(np.diff(each) / each[:-1], 365.0) for each in (curve, curve * factor))
    assert (first is None) == (second is None) or len(set(values)) == 1 or abs(first or second or 0) > 1e6
    if first is not None and second is not None and abs(first) < 1e6:
        assert second == pytest.approx(first, rel=1e-6, abs=1e-9)


def test_a_year_of_stock_days_has_about_252_periods() -> None:
    days = pd.bdate_range("2020-01-01", "2023-12-31").to_numpy().astype("datetime64[ns]").astype(np.int64)
    assert 259 < periods_per_year(days) < 262


def _fees_of_open(result: Result) -> float:
    return float(result.fees) - sum(float(each.fees) for each in result.trades)


def _trade(hour: int, pnl: int, hold: int) -> Trade:
    at = BEGIN + hour * 3600 * 10**9  # a Monday
    return Trade(
        "BTC/USDT",
        "long",
        at,
        Decimal(100),
        at + hold * 10**9,
        Decimal(100 + pnl),
        Decimal(1),
        Decimal(0),
        Decimal(pnl),
    )
