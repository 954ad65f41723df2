"""The account's figures beside what one would like them to be (C11): targets, no promises."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Final

from tradingd.read_model import ReadModel

LEAST_DAYS: Final = 30
"""Fewer say nothing of a year."""
_YEAR_DAYS: Final = 365  # the market never closes
_MOST_DAYS: Final = 100_000


@dataclass(frozen=True, slots=True)
class TargetView:
    """One figure. `value` None: not known (yet), `note` says why or what it is; then `is_met` is None, too.

    Ratios 0-1, times in the unit that the name tells.
    """

    name: str
    value: float | None
    target: str
    is_met: bool | None
    note: str


def scorecard(model: ReadModel) -> tuple[TargetView, ...]:
    """In the order of the promise; from the journal, so the same without a daemon."""
    found, counts = model.performance(), model.counts()
    profit, loss = float(found.gross_profit), float(found.gross_loss)
    payoff = (profit / found.wins) / (loss / found.losses) if found.wins and found.losses else None
    judged = counts.filled + counts.rejected
    fees, net = float(found.fees), float(found.realized_pnl)
    has_daily = found.sharpe_basis == "daily"
    return (
        _least("net_annual_return", _annual_return(model, found.equity, found.initial_capital), 0.15,
               f"after fees and without deposits; 15 to 30 % a year are meant; from {LEAST_DAYS} days on"),
        _above("sharpe", found.sharpe if has_daily else None, 1.5, "of daily returns, from six days on"),
        _below("max_drawdown", found.max_drawdown, 0.15, "from the highest equity ever"),
        _above("win_rate", found.win_rate, 0.45, "of round trips"),
        _least("win_loss_ratio", payoff, 2.0, "average win over average loss"),
        _above("uptime", None, 0.999, "not measured here: avg_over_time(tradingd_ready[30d]) in Prometheus"),
        _above("order_success", counts.filled / judged if judged else None, 0.99,
               "orders filled, of those filled or rejected by the exchange"),
        _below("latency_ms", found.average_fill_ms, 100.0, "from sending an order to its last fill, on average"),
        _below("recovery_s", None, 300.0, "not measured here: `python -m benchmarks --only recovery` measures it"),
        _below("fee_share", fees / (net + fees) if net + fees > 0 else None, 0.20, "of the profit before fees"),
        _below("slippage", found.average_slippage, 0.001, "against the market at sending, weighted by value"),
        _below("infrastructure_share", None, 0.05, "of the profit; what the machine costs nobody tells the daemon"),
    )


def _annual_return(model: ReadModel, equity: str | None, capital: str | None) -> float | None:
    """`initial_capital` moves with deposits and withdrawals in proportion, so what is left is what was earned."""
    newest = model.risk.day_views(1)
    if equity is None or capital is None or not newest or Decimal(capital) <= 0 or Decimal(equity) <= 0:
        return None
    length = (date.fromisoformat(newest[0].day) - date.fromisoformat(_first_day(model, newest[0].day))).days + 1
    return float(Decimal(equity) / Decimal(capital)) ** (_YEAR_DAYS / length) - 1.0 if length >= LEAST_DAYS else None


@lru_cache(maxsize=2)
def _first_day(model: ReadModel, _newest: str) -> str:
    """Once a day: two years of days take milliseconds, for which a tick would wait."""
    return model.risk.day_views(_MOST_DAYS)[-1].day


def _above(name: str, value: float | None, target: float, note: str) -> TargetView:
    return TargetView(name, value, f"> {target:g}", None if value is None else value > target, note)


def _least(name: str, value: float | None, target: float, note: str) -> TargetView:
    return TargetView(name, value, f">= {target:g}", None if value is None else value >= target, note)


def _below(name: str, value: float | None, target: float, note: str) -> TargetView:
    return TargetView(name, value, f"< {target:g}", None if value is None else value < target, note)
