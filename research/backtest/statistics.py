"""What a run came to, each figure by a documented formula. Ratios are fractions (0.1 = 10 %), money in quote.

Returns are those from close to close. A year has 365 days for markets that never close; the number of periods a year
comes from the data's own spacing (`periods_per_year`). Where a figure is not defined (no trades, no losses) it is None.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from research.backtest.runner import Trade

YEAR_NS: Final = 365 * 86_400 * 1_000_000_000
Floats = NDArray[np.float64]


def periods_per_year(ts: Sequence[int]) -> float:
    """Candles a year, from the time between first and last: 365 for whole days, about 252 for stocks' days."""
    if len(ts) < 2:
        return 0.0
    return (len(ts) - 1) / ((ts[-1] - ts[0]) / YEAR_NS)


def statistics(
    equity: Sequence[float], ts: Sequence[int], closes: Sequence[float], trades: Sequence[Trade], start_cash: float,
) -> dict[str, Any]:
    """All figures by name; see the functions below for the formulas."""
    curve = np.asarray(equity, np.float64)
    before = np.concatenate(([start_cash], curve[:-1]))
    returns = np.divide(curve, before, out=np.ones_like(curve), where=before != 0) - 1.0
    years = (ts[-1] - ts[0]) / YEAR_NS if len(ts) > 1 else 0.0
    per_year = periods_per_year(ts)
    depth, length = drawdown(np.concatenate(([start_cash], curve)))
    annual = annual_return(curve[-1] / start_cash, years)
    market = np.asarray(closes, np.float64)
    market_returns = np.concatenate(([0.0], np.diff(market) / market[:-1]))
    return {
        "start_cash": start_cash, "final_equity": float(curve[-1]), "total_return": float(curve[-1] / start_cash - 1),
        "annual_return": annual, "volatility": float(returns.std(ddof=1) * math.sqrt(per_year)) if len(curve) > 1 else None,
        "sharpe": sharpe(returns, per_year), "sortino": sortino(returns, per_year),
        "downside_deviation": _annual(downside(returns), per_year),
        "max_drawdown": depth, "max_drawdown_candles": length,
        "calmar": annual / depth if annual is not None and depth else None,
        "var_95": float(-np.quantile(returns, 0.05)), "cvar_95": expected_shortfall(returns),
        "beta": beta(returns, market_returns), "correlation": correlation(returns, market_returns),
        "buy_and_hold_return": float(market[-1] / market[0] - 1), "periods_per_year": per_year, "candles": len(curve),
        **trade_statistics(trades, start_cash, depth),
    }


def annual_return(growth: float, years: float) -> float | None:
    """growth^(1/years) - 1; None for less than a day or a lost account."""
    if years < 1 / 365 or growth <= 0:
        return None
    try:
        return float(growth ** (1 / years) - 1)
    except OverflowError:
        return None


def sharpe(returns: Floats, per_year: float) -> float | None:
    """mean / standard deviation (n-1) * sqrt(periods a year); risk-free rate 0 (W. Sharpe, 1994)."""
    spread = returns.std(ddof=1) if len(returns) > 1 else 0.0
    return float(returns.mean() / spread * math.sqrt(per_year)) if spread > 0 else None


def downside(returns: Floats) -> float:
    """Root of the mean of squared losses over all periods, target 0 (F. Sortino, 1994)."""
    return float(np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2)))


def sortino(returns: Floats, per_year: float) -> float | None:
    """mean / downside deviation * sqrt(periods a year)."""
    below = downside(returns)
    return float(returns.mean() / below * math.sqrt(per_year)) if below > 0 else None


def drawdown(curve: Floats) -> tuple[float, int]:
    """(deepest fall from a peak as a ratio of it, longest time below a peak in candles)."""
    peaks = np.maximum.accumulate(curve)
    depth = float(np.max(1.0 - curve / peaks)) if len(curve) else 0.0
    at_peak = np.flatnonzero(curve >= peaks)
    longest = int(np.max(np.diff(np.append(at_peak, len(curve))))) - 1 if len(at_peak) else 0
    return depth, max(longest, 0)


def expected_shortfall(returns: Floats) -> float:
    """Mean loss of the worst 5 % of periods (CVaR 95, Rockafellar and Uryasev, 2000)."""
    threshold = np.quantile(returns, 0.05)
    return float(-returns[returns <= threshold].mean())


def beta(returns: Floats, market: Floats) -> float | None:
    """Covariance with buying and holding / its variance."""
    spread = float(market.var(ddof=1)) if len(market) > 1 else 0.0
    return float(np.cov(returns, market, ddof=1)[0, 1] / spread) if spread > 0 else None


def correlation(returns: Floats, market: Floats) -> float | None:
    """With buying and holding (Pearson)."""
    if len(returns) < 2 or returns.std() == 0 or market.std() == 0:
        return None
    return float(np.corrcoef(returns, market)[0, 1])


def trade_statistics(trades: Sequence[Trade], start_cash: float, depth: float) -> dict[str, Any]:
    """Over closed round trips. Expectancy: mean profit; profit factor: sum of gains / sum of losses;
    recovery factor: net profit / (deepest drawdown * start cash); hold times in seconds."""
    profits = np.array([float(each.pnl) for each in trades], np.float64)
    holds = np.array([(each.exit_ts - each.entry_ts) / 1e9 for each in trades], np.float64)
    wins, losses = profits[profits > 0], profits[profits < 0]
    gross = float(sum((float((each.exit_price - each.entry_price) * each.quantity) for each in trades), 0.0))
    fees = float(sum((float(each.fees) for each in trades), 0.0))
    return {
        "trades": len(trades), "win_rate": len(wins) / len(trades) if trades else None,
        "profit_factor": float(wins.sum() / -losses.sum()) if len(losses) else None,
        "expectancy": float(profits.mean()) if trades else None,
        "average_win": float(wins.mean()) if len(wins) else None,
        "average_loss": float(losses.mean()) if len(losses) else None,
        "largest_win": float(wins.max()) if len(wins) else None,
        "largest_loss": float(losses.min()) if len(losses) else None,
        "average_hold_s": float(holds.mean()) if trades else None,
        "longest_hold_s": float(holds.max()) if trades else None,
        "longest_winning_streak": _streak(profits > 0), "longest_losing_streak": _streak(profits < 0),
        "recovery_factor": float(profits.sum() / (depth * start_cash)) if depth else None,
        "fees": fees, "fees_of_gross_profit": fees / gross if gross > 0 else None,
    }


def _annual(value: float, per_year: float) -> float:
    return value * math.sqrt(per_year)


def _streak(flags: NDArray[np.bool_]) -> int:
    longest = now = 0
    for flag in flags:
        now = now + 1 if flag else 0
        longest = max(longest, now)
    return longest
