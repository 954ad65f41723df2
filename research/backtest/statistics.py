"""What a run came to, each figure by a documented formula. Ratios are fractions (0.1 = 10 %), money in quote.

Returns are those from close to close, one fewer than candles, as pandas' `pct_change` gives them and the usual
libraries take them: what happens up to the first close is in `total_return` alone. A year has 365 days for markets
that never close; the number of periods a year comes from the data's own spacing (`periods_per_year`). Where a figure
is not defined (no trades, no losses) it is None.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from research.backtest.trade_figures import trade_figures
from research.backtest.trades import Trade

DAY_NS: Final = 86_400 * 1_000_000_000
YEAR_NS: Final = 365 * DAY_NS
ROLLING_DAYS: Final = (30, 90, 180)
Floats = NDArray[np.float64]


def periods_per_year(ts: Sequence[int] | NDArray[np.int64]) -> float:
    """Candles a year, from the time between first and last: 365 for whole days, about 252 for stocks' days."""
    if len(ts) < 2:
        return 0.0
    return (len(ts) - 1) / ((int(ts[-1]) - int(ts[0])) / YEAR_NS)


def statistics(
    equity: Sequence[float] | Floats, ts: Sequence[int] | NDArray[np.int64], closes: Sequence[float] | Floats,
    trades: Sequence[Trade], start_cash: float,
) -> dict[str, Any]:
    """All figures by name; `equity`, `ts` (open times, UTC ns) and `closes` run in step, at least one candle."""
    curve, times, market = np.asarray(equity, np.float64), np.asarray(ts, np.int64), np.asarray(closes, np.float64)
    depth, length = drawdown(np.concatenate(([start_cash], curve)))
    returns = np.diff(curve) / np.maximum(curve[:-1], 1e-300) if len(curve) > 1 else np.zeros(1)
    years = float(times[-1] - times[0]) / YEAR_NS
    per_year = periods_per_year(times)
    annual = annual_return(float(curve[-1]) / start_cash, years)
    market_returns = np.diff(market) / market[:-1]
    return {
        "start_cash": start_cash,
        "final_equity": float(curve[-1]),
        "total_return": float(curve[-1] / start_cash - 1),
        "annual_return": annual,
        "volatility": float(returns.std(ddof=1) * math.sqrt(per_year)) if len(returns) > 1 else None,
        "sharpe": sharpe(returns, per_year),
        "sortino": sortino(returns, per_year),
        "downside_deviation": downside(returns) * math.sqrt(per_year),
        "max_drawdown": depth,
        "max_drawdown_candles": length,
        "max_drawdown_days": days_below_peak(np.concatenate(([start_cash], curve)), times),
        "calmar": annual / depth if annual is not None and depth else None,
        "var_95": value_at_risk(returns),
        "cvar_95": expected_shortfall(returns),
        "beta": beta(returns, market_returns),
        "correlation": correlation(returns, market_returns),
        "buy_and_hold_return": float(market[-1] / market[0] - 1),
        "buy_and_hold_drawdown": drawdown(market)[0],
        "time_in_market": time_in_market(trades, int(times[0]), int(times[-1])),
        "periods_per_year": per_year,
        "candles": len(curve),
        "monthly_returns": monthly_returns(curve, times, start_cash),
        "rolling_returns": {str(days): rolling_return(curve, times, days) for days in ROLLING_DAYS},
        **trade_figures(trades, start_cash, depth),
    }


def annual_return(growth: float, years: float) -> float | None:
    """growth^(1/years) - 1 (compound annual growth rate); None for less than a day or a lost account."""
    if years < 1 / 365 or growth <= 0:
        return None
    try:
        return float(growth ** (1 / years) - 1)
    except OverflowError:
        return None


def sharpe(returns: Floats, per_year: float) -> float | None:
    """mean / standard deviation (n-1) * sqrt(periods a year); risk-free rate 0 (W. Sharpe, The Sharpe Ratio, 1994)."""
    spread = returns.std(ddof=1) if len(returns) > 1 else 0.0
    return float(returns.mean() / spread * math.sqrt(per_year)) if spread > 0 else None


def downside(returns: Floats) -> float:
    """Root of the mean of squared losses over all periods, target 0 (F. Sortino and L. Price, 1994)."""
    return float(np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2)))


def sortino(returns: Floats, per_year: float) -> float | None:
    """mean / downside deviation * sqrt(periods a year) (F. Sortino and L. Price, 1994)."""
    below = downside(returns)
    return float(returns.mean() / below * math.sqrt(per_year)) if below > 0 else None


def drawdown(curve: Floats) -> tuple[float, int]:
    """(deepest fall from a peak as a ratio of it, longest time below a peak in candles)."""
    peaks = np.maximum.accumulate(curve)
    at_peak = np.flatnonzero(curve >= peaks)
    depth = float(1.0 - np.min(np.divide(curve, peaks, out=peaks))) if len(curve) else 0.0
    longest = int(np.max(np.diff(np.append(at_peak, len(curve))))) - 1 if len(at_peak) else 0
    return depth, max(longest, 0)


def days_below_peak(curve: Floats, ts: NDArray[np.int64]) -> float | None:
    """Longest time between a peak and the candle that regains it, or the end; None for fewer than two candles.

    `curve` begins with what was there before the first candle. A gap counts: what was below a peak before it and is
    behind it was so all the time. Of candles without gaps it is their number times their length.
    """
    if len(ts) < 2:
        return None
    step = int(np.diff(ts).min())
    moments = np.concatenate((ts[:1] - step, ts, ts[-1:] + step))
    at_peak = np.flatnonzero(curve >= np.maximum.accumulate(curve))
    return float(np.diff(moments[np.append(at_peak, len(curve))]).max() - step) / DAY_NS


def value_at_risk(returns: Floats) -> float:
    """The loss that 5 % of periods exceed: historical VaR 95, linear between neighbours (RiskMetrics, 1996)."""
    return float(0.0 - np.quantile(returns, 0.05))  # a run without a trade has 0, not -0


def expected_shortfall(returns: Floats) -> float:
    """Mean loss of the worst 5 % of periods (CVaR 95, R. Rockafellar and S. Uryasev, 2000)."""
    threshold = np.quantile(returns, 0.05)
    return float(0.0 - returns[returns <= threshold].mean())


def beta(returns: Floats, market: Floats) -> float | None:
    """Covariance with buying and holding / its variance (W. Sharpe, Capital Asset Prices, 1964)."""
    if len(market) < 2:
        return None
    spread = float(market.var(ddof=1))
    return float(_moved_together(returns, market) / (len(market) - 1) / spread) if spread > 0 else None


def correlation(returns: Floats, market: Floats) -> float | None:
    """With buying and holding (Pearson)."""
    if len(returns) < 2 or returns.std() == 0 or market.std() == 0:
        return None
    both = float(returns.var()) * float(market.var())
    return max(-1.0, min(1.0, _moved_together(returns, market) / len(market) / math.sqrt(both))) if both > 0 else None


def _moved_together(left: Floats, right: Floats) -> float:
    """Sum of the products of what each is off its mean; `np.cov` takes six times the room of one."""
    return float(np.dot(left - left.mean(), right - right.mean()))


def time_in_market(trades: Sequence[Trade], first: int, last: int) -> float | None:
    """Share of the time in which something was held, by closed round trips."""
    held = sum(each.exit_ts - each.entry_ts for each in trades)
    return min(1.0, held / (last - first)) if last > first else None


def monthly_returns(curve: Floats, ts: NDArray[np.int64], start_cash: float) -> Mapping[str, float]:
    """Equity at the last close of each calendar month (UTC) against that of the month before, by "2024-01"."""
    months = (ts // 1000).astype("datetime64[us]").astype("datetime64[M]")
    last = np.append(np.flatnonzero(months[1:] != months[:-1]), len(months) - 1)
    ends = curve[last]
    before = np.concatenate(([start_cash], ends[:-1]))
    return {
        str(months[row]): float(ends[place] / before[place] - 1) for place, row in enumerate(last) if before[place] > 0
    }


def rolling_return(curve: Floats, ts: NDArray[np.int64], days: int) -> Mapping[str, float] | None:
    """Over windows of so many days that end at each close: best, worst, mean and latest; None for shorter data.

    A window begins at the last close at or before its start.
    """
    starts = np.searchsorted(ts, ts - days * DAY_NS, side="right")
    first = int(np.searchsorted(starts, 1))
    if first == len(curve):
        return None
    grown = np.maximum(curve[starts[first:] - 1], 1e-300)
    np.divide(curve[first:], grown, out=grown)
    grown -= 1
    return {
        "best": float(grown.max()),
        "worst": float(grown.min()),
        "mean": float(grown.mean()),
        "latest": float(grown[-1]),
    }
