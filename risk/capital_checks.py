"""Checks that ask what an entry would do to the account. Orders that lower exposure are not asked."""

from decimal import Decimal
from typing import Final

from market.money import ONE, ZERO, to_text
from risk.case import Case, CheckFunction, Judgement, judged, not_asked
from risk.wording import money, percent

_EXIT: Final = "Not asked of an order that lowers exposure."


def check_equity(case: Case) -> Judgement:
    """Without equity no ratio of it means anything."""
    if not case.is_entry:
        return not_asked("equity", _EXIT)
    equity = case.view.equity
    return judged("equity", equity > ZERO, "NO_EQUITY", lambda: (
        to_text(equity), "above 0",
        f"Equity is {money(equity, case.quote)}" + ("." if equity > ZERO else "; it must be above 0."),
    ))


def check_order_notional(case: Case) -> Judgement:
    """One order is at most this share of equity (exactly this much is allowed)."""
    if not case.is_entry:
        return not_asked("max_order_notional", _EXIT)
    limit, equity = case.limits.max_order_notional, case.view.equity
    return judged("max_order_notional", case.notional <= limit * equity, "MAX_ORDER_NOTIONAL", lambda: (
        _share(case.notional, equity), percent(limit),
        f"The order would be {_share(case.notional, equity)} of equity; one order may be {percent(limit)}.",
    ))


def check_funds(case: Case) -> Judgement:
    """The order and its worst-case costs fit into the free cash."""
    if not case.is_entry:
        return not_asked("available_funds", _EXIT)
    cost, available = case.notional * (ONE + case.view.taker_fee_ratio), case.view.available
    return judged("available_funds", cost <= available, "INSUFFICIENT_FUNDS", lambda: (
        to_text(cost), to_text(available),
        f"The order may cost {money(cost, case.quote)} with fees; "
        f"{money(available, case.quote)} are available.",
    ))


def check_asset_exposure(case: Case) -> Judgement:
    """One asset stays below its share of equity."""
    limit = case.limits.exposure_per_asset
    return _exposure(case, "exposure_per_asset", "EXPOSURE_PER_ASSET", f"Exposure in {case.base}",
                     case.view.asset_exposure, limit)


def check_total_exposure(case: Case) -> Judgement:
    """All assets together stay below their share of equity."""
    return _exposure(case, "exposure_total", "EXPOSURE_TOTAL", "Total exposure", case.view.total_exposure,
                     case.limits.exposure_total)


def _exposure(case: Case, rule: str, code: str, what: str, before: Decimal, limit: Decimal) -> Judgement:
    if not case.is_entry:
        return not_asked(rule, _EXIT)
    after, equity = before + case.notional, case.view.equity
    return judged(rule, after < limit * equity, code, lambda: (
        _share(after, equity), percent(limit),
        f"{what} would be {_share(after, equity)} of equity; the limit is {percent(limit)}.",
    ))


def check_positions(case: Case) -> Judgement:
    """So many symbols at once and no more; the order's own symbol is the one it would add."""
    if not case.is_entry:
        return not_asked("max_positions", _EXIT)
    others, limit = case.view.open_positions, case.limits.max_positions
    return judged("max_positions", others + 1 <= limit, "MAX_POSITIONS", lambda: (
        str(others + 1), str(limit),
        f"{others} other positions are open or pending, and {limit} is the most there may be.",
    ))


def check_daily_drawdown(case: Case) -> Judgement:
    """From the day's peak."""
    return _loss(case, "daily_drawdown", "DAILY_DRAWDOWN", "below the day's peak", case.view.daily_drawdown,
                 case.limits.daily_drawdown)


def check_weekly_drawdown(case: Case) -> Judgement:
    """From the week's peak."""
    return _loss(case, "weekly_drawdown", "WEEKLY_DRAWDOWN", "below the week's peak", case.view.weekly_drawdown,
                 case.limits.weekly_drawdown)


def check_max_drawdown(case: Case) -> Judgement:
    """From the highest equity ever."""
    return _loss(case, "max_drawdown", "MAX_DRAWDOWN", "below its highest ever", case.view.max_drawdown,
                 case.limits.max_drawdown)


def check_daily_loss(case: Case) -> Judgement:
    """From the day's opening equity."""
    return _loss(case, "daily_loss", "DAILY_LOSS", "below the day's opening", case.view.daily_loss,
                 case.limits.daily_loss)


def check_runaway_loss(case: Case) -> Judgement:
    """Within a minute."""
    return _loss(case, "runaway_loss", "RUNAWAY_LOSS", "below its peak of the last minute", case.view.runaway_loss,
                 case.limits.runaway_loss)


def check_capital_loss(case: Case) -> Judgement:
    """Of the initial capital: no entry slips in between the loss and the kill switch it engages."""
    return _loss(case, "kill_loss", "CAPITAL_LOSS", "below the initial capital", case.view.capital_loss,
                 case.limits.kill_loss)


def _loss(case: Case, rule: str, code: str, where: str, loss: Decimal, limit: Decimal) -> Judgement:
    if not case.is_entry:
        return not_asked(rule, _EXIT)
    return judged(rule, loss < limit, code, lambda: (
        percent(loss), percent(limit),
        f"Equity is {percent(loss)} {where}; the limit is {percent(limit)}.",
    ))


def _share(amount: Decimal, equity: Decimal) -> str:
    return percent(amount / equity) if equity > ZERO else "more than all"


CHECKS: Final[tuple[CheckFunction, ...]] = (
    check_equity, check_order_notional, check_funds, check_asset_exposure, check_total_exposure, check_positions,
    check_daily_drawdown, check_weekly_drawdown, check_max_drawdown, check_daily_loss, check_runaway_loss,
    check_capital_loss,
)
