"""Checks that ask what an entry would do to the account. Orders that lower exposure are not asked."""

from decimal import Decimal
from typing import Final

from market.money import ONE, ZERO, to_text
from risk.case import Case, Words, rules_of
from risk.wording import money, percent


def judge(case: Case) -> tuple[bool, ...]:
    """In the order of `CHECKS`. Losses are judged as they will be when the order has cost what it costs (`_after`)."""
    view, limits, notional, cost = case.view, case.limits, case.notional, case.fill_loss_ratio
    equity, kept, left = view.equity, ONE - cost, view.equity - case.fill_loss
    return (
        # Without equity no ratio of it means anything.
        equity > ZERO,
        # One order is at most this share of equity (exactly this much is allowed).
        notional <= limits.max_order_notional * equity,
        # The order and its worst-case costs fit into the free cash.
        notional * (ONE + view.taker_fee_ratio) <= view.available,
        # One asset stays below its share of equity, and all together below theirs.
        view.asset_exposure + notional < limits.exposure_per_asset * left,
        view.total_exposure + notional < limits.exposure_total * left,
        # So many symbols at once and no more; the order's own symbol is the one it would add.
        view.open_positions + 1 <= limits.max_positions,
        # From the day's peak, the week's, the highest equity ever; from the day's opening; within a minute.
        cost + view.daily_drawdown * kept < limits.daily_drawdown,
        cost + view.weekly_drawdown * kept < limits.weekly_drawdown,
        cost + view.max_drawdown * kept < limits.max_drawdown,
        cost + view.daily_loss * kept < limits.daily_loss,
        cost + view.runaway_loss * kept < limits.runaway_loss,
        # Of the initial capital: no entry slips in between the loss and the kill switch it engages.
        cost + view.capital_loss * kept < limits.kill_loss,
    )


def _tell_equity(case: Case, passed: bool) -> Words:
    equity = case.view.equity
    return Words(
        "NO_EQUITY", to_text(equity), "above 0",
        f"Equity is {money(equity, case.quote)}" + ("." if passed else "; it must be above 0."),
    )


def _tell_order_notional(case: Case, _passed: bool) -> Words:
    share, limit = _share(case.notional, case.view.equity), percent(case.limits.max_order_notional)
    return Words("MAX_ORDER_NOTIONAL", share, limit, f"The order would be {share} of equity; one order may be {limit}.")


def _tell_funds(case: Case, _passed: bool) -> Words:
    cost, available = _cost(case), case.view.available
    return Words(
        "INSUFFICIENT_FUNDS", to_text(cost), to_text(available),
        f"The order may cost {money(cost, case.quote)} with fees; "
        f"{money(available, case.quote)} are available.",
    )


def _cost(case: Case) -> Decimal:
    return case.notional * (ONE + case.view.taker_fee_ratio)


def _tell_asset_exposure(case: Case, _passed: bool) -> Words:
    return _tell_exposure(
        case, "EXPOSURE_PER_ASSET", f"Exposure in {case.base}", case.view.asset_exposure,
        case.limits.exposure_per_asset,
    )


def _tell_total_exposure(case: Case, _passed: bool) -> Words:
    return _tell_exposure(
        case, "EXPOSURE_TOTAL", "Total exposure", case.view.total_exposure, case.limits.exposure_total,
    )


def _tell_exposure(case: Case, code: str, what: str, before: Decimal, limit: Decimal) -> Words:
    share = _share(before + case.notional, case.view.equity - case.fill_loss)
    return Words(
        code, share, percent(limit), f"{what} would be {share} of equity; the limit is {percent(limit)}.",
    )


def _tell_positions(case: Case, _passed: bool) -> Words:
    others, limit = case.view.open_positions, case.limits.max_positions
    return Words(
        "MAX_POSITIONS", str(others + 1), str(limit),
        f"{others} other positions are open or pending, and {limit} is the most there may be.",
    )


def _tell_daily_drawdown(case: Case, _passed: bool) -> Words:
    return _tell_loss(
        "DAILY_DRAWDOWN", "below the day's peak", _after(case, case.view.daily_drawdown),
        case.limits.daily_drawdown,
    )


def _tell_weekly_drawdown(case: Case, _passed: bool) -> Words:
    return _tell_loss(
        "WEEKLY_DRAWDOWN", "below the week's peak", _after(case, case.view.weekly_drawdown),
        case.limits.weekly_drawdown,
    )


def _tell_max_drawdown(case: Case, _passed: bool) -> Words:
    return _tell_loss(
        "MAX_DRAWDOWN", "below its highest ever", _after(case, case.view.max_drawdown),
        case.limits.max_drawdown,
    )


def _tell_daily_loss(case: Case, _passed: bool) -> Words:
    return _tell_loss(
        "DAILY_LOSS", "below the day's opening", _after(case, case.view.daily_loss),
        case.limits.daily_loss,
    )


def _tell_runaway_loss(case: Case, _passed: bool) -> Words:
    return _tell_loss(
        "RUNAWAY_LOSS", "below its peak of the last minute", _after(case, case.view.runaway_loss),
        case.limits.runaway_loss,
    )


def _tell_capital_loss(case: Case, _passed: bool) -> Words:
    return _tell_loss(
        "CAPITAL_LOSS", "below the initial capital", _after(case, case.view.capital_loss),
        case.limits.kill_loss,
    )


def _after(case: Case, loss: Decimal) -> Decimal:
    """A loss (share of a peak or an opening) as it will be when the order has cost what it costs."""
    return case.fill_loss_ratio + loss * (ONE - case.fill_loss_ratio)


def _tell_loss(code: str, where: str, loss: Decimal, limit: Decimal) -> Words:
    return Words(
        code, percent(loss), percent(limit),
        f"Equity would be {percent(loss)} {where} with this order's costs; the limit is {percent(limit)}.",
    )


def _share(amount: Decimal, equity: Decimal) -> str:
    return percent(amount / equity) if equity > ZERO else "more than all"


CHECKS: Final = rules_of(
    judge,
    ("equity", _tell_equity, True),
    ("max_order_notional", _tell_order_notional, True),
    ("available_funds", _tell_funds, True),
    ("exposure_per_asset", _tell_asset_exposure, True),
    ("exposure_total", _tell_total_exposure, True),
    ("max_positions", _tell_positions, True),
    ("daily_drawdown", _tell_daily_drawdown, True),
    ("weekly_drawdown", _tell_weekly_drawdown, True),
    ("max_drawdown", _tell_max_drawdown, True),
    ("daily_loss", _tell_daily_loss, True),
    ("runaway_loss", _tell_runaway_loss, True),
    ("kill_loss", _tell_capital_loss, True),
)
