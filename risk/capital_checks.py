"""Checks that ask what an entry would do to the account. Orders that lower exposure are not asked."""

from decimal import Decimal
from typing import Final

from market.money import ONE, ZERO, to_text
from risk.case import Case, Rule, Words
from risk.wording import money, percent


def is_equity_positive(case: Case) -> bool:
    """Without equity no ratio of it means anything."""
    return case.view.equity > ZERO


def _tell_equity(case: Case, passed: bool) -> Words:
    equity = case.view.equity
    return Words(
        "NO_EQUITY", to_text(equity), "above 0",
        f"Equity is {money(equity, case.quote)}" + ("." if passed else "; it must be above 0."),
    )


def is_order_small_enough(case: Case) -> bool:
    """One order is at most this share of equity (exactly this much is allowed)."""
    return case.notional <= case.limits.max_order_notional * case.view.equity


def _tell_order_notional(case: Case, _passed: bool) -> Words:
    share, limit = _share(case.notional, case.view.equity), percent(case.limits.max_order_notional)
    return Words("MAX_ORDER_NOTIONAL", share, limit, f"The order would be {share} of equity; one order may be {limit}.")


def is_covered_by_funds(case: Case) -> bool:
    """The order and its worst-case costs fit into the free cash."""
    return _cost(case) <= case.view.available


def _tell_funds(case: Case, _passed: bool) -> Words:
    cost, available = _cost(case), case.view.available
    return Words(
        "INSUFFICIENT_FUNDS", to_text(cost), to_text(available),
        f"The order may cost {money(cost, case.quote)} with fees; "
        f"{money(available, case.quote)} are available.",
    )


def _cost(case: Case) -> Decimal:
    return case.notional * (ONE + case.view.taker_fee_ratio)


def is_asset_exposure_below_limit(case: Case) -> bool:
    """One asset stays below its share of equity."""
    view = case.view
    return view.asset_exposure + case.notional < case.limits.exposure_per_asset * (view.equity - case.fill_loss)


def _tell_asset_exposure(case: Case, _passed: bool) -> Words:
    return _tell_exposure(
        case, "EXPOSURE_PER_ASSET", f"Exposure in {case.base}", case.view.asset_exposure,
        case.limits.exposure_per_asset,
    )


def is_total_exposure_below_limit(case: Case) -> bool:
    """All assets together stay below their share of equity."""
    view = case.view
    return view.total_exposure + case.notional < case.limits.exposure_total * (view.equity - case.fill_loss)


def _tell_total_exposure(case: Case, _passed: bool) -> Words:
    return _tell_exposure(
        case, "EXPOSURE_TOTAL", "Total exposure", case.view.total_exposure, case.limits.exposure_total,
    )


def _tell_exposure(case: Case, code: str, what: str, before: Decimal, limit: Decimal) -> Words:
    share = _share(before + case.notional, case.view.equity - case.fill_loss)
    return Words(
        code, share, percent(limit), f"{what} would be {share} of equity; the limit is {percent(limit)}.",
    )


def is_position_allowed(case: Case) -> bool:
    """So many symbols at once and no more; the order's own symbol is the one it would add."""
    return case.view.open_positions + 1 <= case.limits.max_positions


def _tell_positions(case: Case, _passed: bool) -> Words:
    others, limit = case.view.open_positions, case.limits.max_positions
    return Words(
        "MAX_POSITIONS", str(others + 1), str(limit),
        f"{others} other positions are open or pending, and {limit} is the most there may be.",
    )


def is_daily_drawdown_below_limit(case: Case) -> bool:
    """From the day's peak."""
    return _after(case, case.view.daily_drawdown) < case.limits.daily_drawdown


def _tell_daily_drawdown(case: Case, _passed: bool) -> Words:
    return _tell_loss(
        "DAILY_DRAWDOWN", "below the day's peak", _after(case, case.view.daily_drawdown),
        case.limits.daily_drawdown,
    )


def is_weekly_drawdown_below_limit(case: Case) -> bool:
    """From the week's peak."""
    return _after(case, case.view.weekly_drawdown) < case.limits.weekly_drawdown


def _tell_weekly_drawdown(case: Case, _passed: bool) -> Words:
    return _tell_loss(
        "WEEKLY_DRAWDOWN", "below the week's peak", _after(case, case.view.weekly_drawdown),
        case.limits.weekly_drawdown,
    )


def is_max_drawdown_below_limit(case: Case) -> bool:
    """From the highest equity ever."""
    return _after(case, case.view.max_drawdown) < case.limits.max_drawdown


def _tell_max_drawdown(case: Case, _passed: bool) -> Words:
    return _tell_loss(
        "MAX_DRAWDOWN", "below its highest ever", _after(case, case.view.max_drawdown),
        case.limits.max_drawdown,
    )


def is_daily_loss_below_limit(case: Case) -> bool:
    """From the day's opening equity."""
    return _after(case, case.view.daily_loss) < case.limits.daily_loss


def _tell_daily_loss(case: Case, _passed: bool) -> Words:
    return _tell_loss(
        "DAILY_LOSS", "below the day's opening", _after(case, case.view.daily_loss),
        case.limits.daily_loss,
    )


def is_runaway_loss_below_limit(case: Case) -> bool:
    """Within a minute."""
    return _after(case, case.view.runaway_loss) < case.limits.runaway_loss


def _tell_runaway_loss(case: Case, _passed: bool) -> Words:
    return _tell_loss(
        "RUNAWAY_LOSS", "below its peak of the last minute", _after(case, case.view.runaway_loss),
        case.limits.runaway_loss,
    )


def is_capital_loss_below_limit(case: Case) -> bool:
    """Of the initial capital: no entry slips in between the loss and the kill switch it engages."""
    return _after(case, case.view.capital_loss) < case.limits.kill_loss


def _tell_capital_loss(case: Case, _passed: bool) -> Words:
    return _tell_loss(
        "CAPITAL_LOSS", "below the initial capital", _after(case, case.view.capital_loss),
        case.limits.kill_loss,
    )


def _after(case: Case, loss: Decimal) -> Decimal:
    """A loss (share of a peak or an opening) as it will be when the order has cost what it costs."""
    return loss + (ONE - loss) * case.fill_loss_ratio


def _tell_loss(code: str, where: str, loss: Decimal, limit: Decimal) -> Words:
    return Words(
        code, percent(loss), percent(limit),
        f"Equity would be {percent(loss)} {where} with this order's costs; the limit is {percent(limit)}.",
    )


def _share(amount: Decimal, equity: Decimal) -> str:
    return percent(amount / equity) if equity > ZERO else "more than all"


CHECKS: Final = (
    Rule("equity", is_equity_positive, _tell_equity, is_for_entries=True),
    Rule("max_order_notional", is_order_small_enough, _tell_order_notional, is_for_entries=True),
    Rule("available_funds", is_covered_by_funds, _tell_funds, is_for_entries=True),
    Rule("exposure_per_asset", is_asset_exposure_below_limit, _tell_asset_exposure, is_for_entries=True),
    Rule("exposure_total", is_total_exposure_below_limit, _tell_total_exposure, is_for_entries=True),
    Rule("max_positions", is_position_allowed, _tell_positions, is_for_entries=True),
    Rule("daily_drawdown", is_daily_drawdown_below_limit, _tell_daily_drawdown, is_for_entries=True),
    Rule("weekly_drawdown", is_weekly_drawdown_below_limit, _tell_weekly_drawdown, is_for_entries=True),
    Rule("max_drawdown", is_max_drawdown_below_limit, _tell_max_drawdown, is_for_entries=True),
    Rule("daily_loss", is_daily_loss_below_limit, _tell_daily_loss, is_for_entries=True),
    Rule("runaway_loss", is_runaway_loss_below_limit, _tell_runaway_loss, is_for_entries=True),
    Rule("kill_loss", is_capital_loss_below_limit, _tell_capital_loss, is_for_entries=True),
)
