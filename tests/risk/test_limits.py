"""Defaults, presets and overrides."""

from dataclasses import fields
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.limits import PRESETS, TOLERANCES, RiskLimits, resolve_limits

D = Decimal


def test_the_moderate_default_is_the_documented_one() -> None:
    limits = resolve_limits("moderate", "", {})
    assert limits == RiskLimits()
    assert (limits.exposure_per_asset, limits.exposure_total) == (D("0.05"), D("0.25"))
    assert (limits.daily_drawdown, limits.weekly_drawdown, limits.max_drawdown) == (D("0.05"), D("0.10"), D("0.15"))
    assert (limits.daily_loss, limits.max_positions, limits.stop_loss, limits.min_notional) == (
        D("0.05"), 3, D("0.02"), D(10))
    assert (limits.collar, limits.max_order_notional, limits.runaway_loss) == (D("0.05"), D("0.25"), D("0.02"))
    assert (limits.orders_per_second, limits.orders_per_minute) == (10, 60)
    assert (limits.duplicate_window_ns, limits.stale_after_ns) == (5_000_000_000, 3_000_000_000)
    assert limits.kill_loss == D("0.5")


@pytest.mark.parametrize(("tolerance", "drawdown", "positions"), [
    ("conservative", "0.10", 2), ("moderate", "0.15", 3), ("aggressive", "0.25", 5),
])
def test_the_risk_tolerance_sets_drawdown_and_positions(tolerance: str, drawdown: str, positions: int) -> None:
    limits = resolve_limits(tolerance, "", {})
    assert (limits.max_drawdown, limits.max_positions) == (D(drawdown), positions)


def test_the_presets_say_what_they_are_documented_to_say() -> None:
    assert dict(PRESETS["trailing-grid"]) == {
        "exposure_per_asset": D("0.25"), "exposure_total": D("0.25"), "max_positions": 5, "max_drawdown": D("0.15"),
        "daily_loss": D("0.05"), "stop_loss": D("0.02")}
    assert dict(PRESETS["corporation"]) == {
        "exposure_per_asset": D("0.05"), "exposure_total": D("0.25"), "daily_drawdown": D("0.05"),
        "weekly_drawdown": D("0.10")}
    assert dict(PRESETS["autotrader"]) == {
        "exposure_per_asset": D("0.05"), "daily_loss": D("0.15"), "kill_loss": D("0.5"), "stop_loss": D("0.05"),
        "min_notional": D(10), "max_positions": 1}


def test_a_preset_replaces_defaults_that_nobody_set() -> None:
    grid = resolve_limits("aggressive", "trailing-grid", {})
    assert (grid.exposure_per_asset, grid.max_positions, grid.max_drawdown) == (D("0.25"), 5, D("0.15"))
    trader = resolve_limits(None, "autotrader", {})
    assert (trader.daily_loss, trader.stop_loss, trader.max_positions) == (D("0.15"), D("0.05"), 1)
    assert (trader.daily_drawdown, trader.exposure_total) == (D("0.15"), D("0.25"))
    assert resolve_limits("moderate", "autotrader", {}).max_drawdown == D("0.15")
    assert resolve_limits(None, "trailing-grid", {}).max_positions == 5
    assert resolve_limits("moderate", "trailing-grid", {}).max_positions == 3


@pytest.mark.parametrize("tolerance", sorted(TOLERANCES))
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_of_tolerance_and_preset_the_stricter_holds(tolerance: str, preset: str) -> None:
    limits = resolve_limits(tolerance, preset, {})
    for layer in (TOLERANCES[tolerance], PRESETS[preset]):
        for name, value in layer.items():
            assert getattr(limits, name) >= value if name == "min_notional" else getattr(limits, name) <= value


def test_a_written_key_wins_over_tolerance_and_preset_even_when_it_is_looser() -> None:
    limits = resolve_limits("conservative", "autotrader", {"max_positions": 7, "daily_loss": D("0.2"),
                                                           "max_drawdown": "0.3", "weekly_drawdown": None})
    assert (limits.max_positions, limits.daily_loss, limits.max_drawdown) == (7, D("0.2"), D("0.3"))
    assert limits.daily_drawdown == D("0.15")


def test_windows_may_be_written_in_seconds() -> None:
    limits = resolve_limits("moderate", "", {"duplicate_window_s": D("2.5"), "stale_after_s": 4})
    assert (limits.duplicate_window_ns, limits.stale_after_ns) == (2_500_000_000, 4_000_000_000)


def test_every_limit_can_be_written_under_its_own_name() -> None:
    other = {field.name: (7 if field.type is int else D("0.07")) for field in fields(RiskLimits)}
    limits = resolve_limits("moderate", "", dict(other))
    assert {name: getattr(limits, name) for name in other} == other


@pytest.mark.parametrize(("tolerance", "preset", "overrides", "names"), [
    ("bold", "", {}, "account.risk_tolerance: 'bold'"),
    ("moderate", "martingale", {}, "risk.preset: 'martingale'"),
    ("moderate", "", {"leverage": 3}, "risk.leverage: no such limit"),
    ("moderate", "", {"daily_loss": 0.05}, "risk.daily_loss: 0.05 is not a limit"),
    ("moderate", "", {"daily_loss": "five"}, "risk.daily_loss: 'five' is not a number"),
    ("moderate", "", {"daily_loss": D(0)}, "risk.daily_loss"),
    ("moderate", "", {"daily_loss": D("1.01")}, "risk.daily_loss"),
    ("moderate", "", {"daily_loss": D("NaN")}, "risk.daily_loss"),
    ("moderate", "", {"min_notional": D(-1)}, "risk.min_notional"),
    ("moderate", "", {"max_positions": 0}, "risk.max_positions"),
    ("moderate", "", {"max_positions": True}, "risk.max_positions"),
    ("moderate", "", {"max_positions": D("2.5")}, "risk.max_positions"),
    ("moderate", "", {"max_positions": D("Infinity")}, "risk.max_positions"),
    ("moderate", "", {"stale_after_s": D(-1)}, "risk.stale_after_ns"),
    ("moderate", "", {"duplicate_window_s": D("3600.1")}, "risk.duplicate_window_s: 3600.1 is not a limit: write 3600"),
])
def test_what_cannot_be_a_limit_is_refused_by_name(
    tolerance: str, preset: str, overrides: dict[str, object], names: str,
) -> None:
    with pytest.raises(ValueError) as error:
        resolve_limits(tolerance, preset, overrides)
    assert names in str(error.value)


@given(st.sampled_from(sorted(TOLERANCES)), st.sampled_from(sorted(PRESETS)))
def test_a_preset_never_loosens_what_the_tolerance_set(tolerance: str, preset: str) -> None:
    chosen, alone = resolve_limits(tolerance, preset, {}), resolve_limits(tolerance, "", {})
    assert chosen.max_drawdown <= alone.max_drawdown
    assert chosen.max_positions <= alone.max_positions
