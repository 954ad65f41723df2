"""Figures over closed round trips, and over how well orders were executed. Money in quote, ratios as fractions."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from research.backtest.trades import Trade

BPS: Final = 10_000.0
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def trade_figures(trades: Sequence[Trade], start_cash: float, depth: float) -> dict[str, Any]:
    """`depth`: the deepest drawdown as a ratio.

    Expectancy: mean profit a trade (V. Tharp, Trade Your Way to Financial Freedom, as money). Profit factor: sum of
    gains / sum of losses. Recovery factor: net profit / (deepest drawdown * start cash). Trade return: profit / entry's
    worth. Streaks: most wins, most losses in a row. Hold times in seconds.
    """
    profits = np.array([float(each.pnl) for each in trades], np.float64)
    worths = np.array([float(each.entry_price * each.quantity) for each in trades], np.float64)
    holds = np.array([(each.exit_ts - each.entry_ts) / 1e9 for each in trades], np.float64)
    wins, losses = profits[profits > 0], profits[profits < 0]
    gross = sum(float((each.exit_price - each.entry_price) * each.quantity) for each in trades)
    fees = sum(float(each.fees) for each in trades)
    return {
        "trades": len(trades), "wins": len(wins), "losses": len(losses),
        "win_rate": len(wins) / len(trades) if trades else None,
        "profit_factor": float(wins.sum() / -losses.sum()) if len(losses) else None,
        "expectancy": _mean(profits), "average_win": _mean(wins), "average_loss": _mean(losses),
        "average_trade_return": _mean(profits / worths) if trades else None,
        "largest_win": float(wins.max()) if len(wins) else None,
        "largest_loss": float(losses.min()) if len(losses) else None,
        "average_hold_s": _mean(holds), "longest_hold_s": float(holds.max()) if trades else None,
        "longest_winning_streak": _streak(profits > 0), "longest_losing_streak": _streak(profits < 0),
        "recovery_factor": float(profits.sum() / (depth * start_cash)) if depth else None,
        "fees": fees, "fees_of_gross_profit": fees / gross if gross > 0 else None,
        **_by_time(trades),
    }


def execution_figures(
    prices: Sequence[tuple[str, float, float, float]], rejected: int, denials: int,
) -> dict[str, Any]:
    """`prices`: side, price at the decision, price met, price paid, of each fill.

    Shortfall: how much worse than at the decision an order filled, in basis points, fees apart (A. Perold, The
    Implementation Shortfall, 1988); of it `wait_bps` is the market's move until the fill (a gap, the next open) and
    `slippage_bps` spread and slippage. Positive costs us. Fill ratio: fills / all that was meant to fill.
    """
    meant = len(prices) + rejected + denials
    waits = [_sign(side) * (met / decided - 1.0) * BPS for side, decided, met, _ in prices if decided]
    slips = [_sign(side) * (paid / met - 1.0) * BPS for side, _, met, paid in prices if met]
    falls = [_sign(side) * (paid / decided - 1.0) * BPS for side, decided, _, paid in prices if decided]
    return {
        "fill_ratio": len(prices) / meant if meant else None, "rejected": rejected, "denied": denials,
        "shortfall_bps": _mean(falls), "worst_shortfall_bps": max(falls, default=None),
        "wait_bps": _mean(waits), "slippage_bps": _mean(slips),
    }


def _by_time(trades: Sequence[Trade]) -> dict[str, Any]:
    """Hour (UTC) and weekday of entry by mean profit; of equal ones the earlier. None below two that differ."""
    entered = [(datetime.fromtimestamp(each.entry_ts // 10**9, UTC), float(each.pnl)) for each in trades]
    hours = _means((at.hour, pnl) for at, pnl in entered)
    days = _means((at.weekday(), pnl) for at, pnl in entered)
    best_hour, worst_hour = _ends(hours)
    best_day, worst_day = _ends(days)
    return {
        "best_hour": best_hour, "worst_hour": worst_hour,
        "best_weekday": None if best_day is None else _WEEKDAYS[best_day],
        "worst_weekday": None if worst_day is None else _WEEKDAYS[worst_day],
        "profit_by_hour": {f"{hour:02d}": mean for hour, mean in hours.items()},
        "profit_by_weekday": {_WEEKDAYS[day]: mean for day, mean in days.items()},
    }


def _means(rows: Iterable[tuple[int, float]]) -> dict[int, float]:
    found: dict[int, list[float]] = {}
    for key, value in rows:
        found.setdefault(key, []).append(value)
    return {key: float(np.mean(found[key])) for key in sorted(found)}


def _ends(means: dict[int, float]) -> tuple[int | None, int | None]:
    if len(means) < 2:
        return None, None
    return max(means, key=lambda key: (means[key], -key)), min(means, key=lambda key: (means[key], key))


def _sign(side: str) -> float:
    return 1.0 if side == "buy" else -1.0


def _mean(values: Sequence[float] | NDArray[np.float64]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _streak(flags: NDArray[np.bool_]) -> int:
    longest = now = 0
    for flag in flags:
        now = now + 1 if flag else 0
        longest = max(longest, now)
    return longest
