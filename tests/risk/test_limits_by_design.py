"""Number by number: the tolerances and presets as designed, every key from file and environment, and who set what."""

import itertools
import re
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agents.strategies.trail_distance import BASE_TRAILS
from risk.limits import PRESETS, RiskLimits, resolve_limits
from tests.risk.examples import D
from tradingd.composition import make_agents, make_engine, make_limits
from tradingd.risk_settings import confidence_threshold, limit_views, make_sizing
from tradingd.settings import Settings
from tradingd.settings_errors import ConfigError
from tradingd.settings_loading import load_settings

# key, default (no preset), trailing-grid, corporation, autotrader; None = keeps the default
BY_PRESET: list[tuple[str, str, str | None, str | None, str | None]] = [
    ("exposure_per_asset", "0.05", "0.25", "0.05", "0.05"),
    ("exposure_total", "0.25", "0.25", "0.25", None),
    ("daily_drawdown", "0.05", None, "0.05", "0.15"),  # autotrader: 5 % a day would stop it before its 15 %
    ("weekly_drawdown", "0.10", "0.15", "0.10", "0.5"),  # room up to the next number of the design
    ("max_drawdown", "0.15", "0.15", None, "0.5"),
    ("daily_loss", "0.05", "0.05", None, "0.15"),
    ("max_positions", "3", "5", "5", "1"),  # corporation: 25 % in total are five assets of 5 %
    ("stop_loss", "0.02", "0.02", None, "0.05"),
    ("min_notional", "10", None, None, "10"),
    ("collar", "0.05", None, None, None),
    ("max_order_notional", "0.25", None, None, None),
    ("orders_per_second", "10", None, None, None),
    ("orders_per_minute", "60", None, None, None),
    ("notional_per_minute", "1", None, None, None),
    ("runaway_loss", "0.02", None, None, None),
    ("duplicate_window_ns", "5000000000", None, None, None),
    ("stale_after_ns", "3000000000", None, None, None),
    ("kill_loss", "0.5", None, None, "0.5"),
]


def load(tmp_path: Path, text: str = "", **environ: str) -> Settings:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    return load_settings(file, environ=environ)


@pytest.mark.parametrize(("key", "default", "grid", "corporation", "autotrader"), BY_PRESET)
def test_each_preset_alone_means_the_numbers_of_its_design(
    tmp_path: Path, key: str, default: str, grid: str | None, corporation: str | None, autotrader: str | None,
) -> None:
    for preset, value in (("", default), ("trailing-grid", grid), ("corporation", corporation),
                          ("autotrader", autotrader)):
        settings = load(tmp_path, f'[risk]\npreset = "{preset}"')
        assert getattr(make_limits(settings), key) == D(value or default), preset
        shown = {view.key: D(view.value) for view in limit_views(settings)}
        if not key.endswith("_ns"):
            assert shown[key] == D(value or default), preset


@pytest.mark.parametrize("preset", ["trailing-grid", "corporation", "autotrader"])
def test_no_limit_binds_before_the_numbers_of_a_preset(preset: str) -> None:
    limits, own = resolve_limits(None, preset, {}), PRESETS[preset]
    in_order = ("daily_loss", "daily_drawdown", "weekly_drawdown", "max_drawdown", "kill_loss")
    for earlier, later in itertools.pairwise(in_order):
        if later != "daily_drawdown" or "daily_loss" in own:  # a fall from the peak is never less than the day's loss
            assert getattr(limits, earlier) <= getattr(limits, later), (earlier, later)
    for position, name in enumerate(in_order):
        if name in own:
            assert all(getattr(limits, after) >= own[name] for after in in_order[position:])
    assert limits.max_order_notional >= limits.exposure_per_asset
    if "exposure_total" in own:
        assert limits.max_positions * limits.exposure_per_asset >= limits.exposure_total


def test_the_table_above_names_every_limit() -> None:
    assert {row[0] for row in BY_PRESET} == {field.name for field in fields(RiskLimits)}


def test_an_aggressive_person_gets_the_five_positions_of_the_trailing_grid() -> None:
    limits = resolve_limits("aggressive", "trailing-grid", {})
    assert (limits.max_positions, limits.max_drawdown) == (5, D("0.15"))


@pytest.mark.parametrize(("tolerance", "drawdown", "threshold", "trail", "positions"), [
    ("conservative", "0.10", 0.70, "0.02", 2), ("moderate", "0.15", 0.60, "0.015", 3),
    ("aggressive", "0.25", 0.50, "0.01", 5),
])
def test_the_risk_tolerance_sets_four_numbers(
    tmp_path: Path, tolerance: str, drawdown: str, threshold: float, trail: str, positions: int,
) -> None:
    settings = load(tmp_path, f'[account]\nrisk_tolerance = "{tolerance}"')
    limits = make_limits(settings)
    assert (limits.max_drawdown, limits.max_positions) == (D(drawdown), positions)
    assert confidence_threshold(settings) == threshold
    assert BASE_TRAILS[tolerance] == D(trail)


def test_a_written_threshold_wins_over_the_tolerance(tmp_path: Path) -> None:
    assert confidence_threshold(load(tmp_path, "[council]\nthreshold = 0.55")) == 0.55
    assert confidence_threshold(load(tmp_path, TRADINGD__COUNCIL__THRESHOLD="0.8")) == 0.8


OTHER_VALUES = {
    "exposure_per_asset": "0.07", "exposure_total": "0.33", "daily_drawdown": "0.04", "weekly_drawdown": "0.08",
    "max_drawdown": "0.3", "daily_loss": "0.03", "max_positions": "7", "stop_loss": "0.03", "min_notional": "25",
    "collar": "0.02", "max_order_notional": "0.2", "orders_per_second": "4", "orders_per_minute": "40",
    "notional_per_minute": "0.5", "runaway_loss": "0.01", "duplicate_window_s": "2.5", "stale_after_s": "1.5",
    "kill_loss": "0.4",
}


@pytest.mark.parametrize("where", ["file", "environment"])
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_limit_can_be_written_in_the_file_and_in_the_environment(
    tmp_path: Path, where: str, preset: str,
) -> None:
    assert set(OTHER_VALUES) == {view.key for view in limit_views(Settings())}
    if where == "file":
        lines = [f"{key} = {value}" for key, value in OTHER_VALUES.items()]
        settings = load(tmp_path, f'[risk]\npreset = "{preset}"\n' + "\n".join(lines))
    else:
        names = {f"TRADINGD__RISK__{key.upper()}": value for key, value in OTHER_VALUES.items()}
        settings = load(tmp_path, f'[risk]\npreset = "{preset}"', **names)
    assert {view.key: D(view.value) for view in limit_views(settings)} == {
        key: D(value) for key, value in OTHER_VALUES.items()}
    assert {view.source for view in limit_views(settings)} == {"config"}
    limits = make_limits(settings)
    assert limits.duplicate_window_ns == 2_500_000_000
    assert limits.kill_loss == D("0.4")


def test_each_limit_says_who_set_it(tmp_path: Path) -> None:
    settings = load(tmp_path, '[risk]\npreset = "autotrader"\ncollar = 0.01')
    told = {view.key: (view.value, view.source) for view in limit_views(settings)}
    assert told["collar"] == ("0.01", "config")
    assert told["daily_loss"] == ("0.15", "preset")
    assert told["max_positions"] == ("1", "preset")
    assert told["max_drawdown"] == ("0.5", "preset")
    assert told["exposure_total"] == ("0.25", "default")
    assert told["stale_after_s"] == ("3", "default")


@pytest.mark.parametrize("where", ["file", "environment"])
def test_a_written_tolerance_that_is_stricter_than_the_preset_holds_and_is_named(tmp_path: Path, where: str) -> None:
    text = '[risk]\npreset = "trailing-grid"\n'
    if where == "file":
        settings = load(tmp_path, text + '[account]\nrisk_tolerance = "moderate"')
    else:
        settings = load(tmp_path, text, TRADINGD__ACCOUNT__RISK_TOLERANCE="moderate")
    told = {view.key: (view.value, view.source) for view in limit_views(settings)}
    assert told["max_positions"] == ("3", "tolerance")
    assert told["exposure_per_asset"] == ("0.25", "preset")


def test_sizing_protections_and_cuts_reach_those_who_obey_them(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        '[risk]\nsizing = "fixed"\nfixed_amount = 250\ncut_exposure = true\ncut_share = 0.5\n'
        "[risk.protections]\ncooldown_s = 9\nstop_guard_scope = \"all\"",
        TRADINGD__RISK__PROTECTIONS__LOW_PROFIT_TRIPS="0",
    )
    engine = make_engine(settings, make_limits(settings), [], "s1")  # type: ignore[arg-type]
    config = engine._desk.config
    assert config.cuts is not None
    assert (config.cuts.share, config.cuts.every) == (D("0.5"), D("0.10"))
    assert (config.protections.cooldown_ns, config.protections.stop_guard_scope) == (9_000_000_000, "all")
    assert config.protections.low_profit_trips == 0
    assert (make_sizing(settings.risk).method, make_sizing(settings.risk).fixed_amount) == ("fixed", Decimal(250))
    assert make_agents(settings, make_limits(settings), [], "s1")["strategy"]()  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "says"), [
    ("[risk]\nsizing = 'martingale'", "risk.sizing"), ("[risk]\nkelly_cap = 1.5", "risk.kelly_cap"),
    ("[risk]\ncut_share = 0", "risk.cut_share"), ("[risk.protections]\ncooldown_s = -1", "risk.protections.cooldown_s"),
    ("[risk.protections]\nstop_guard_scope = 'some'", "risk.protections.stop_guard_scope"),
    ("[risk.protections]\ncooldown = 1", "risk.protections.cooldown"),
])
def test_what_makes_no_sense_is_refused_with_its_key(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        load(tmp_path, text)


def test_the_defaults_of_the_settings_are_those_of_the_parts() -> None:
    from risk.sizing_methods import Sizing

    assert make_sizing(Settings().risk) == Sizing()
    unset: dict[str, Any] = {"moderate": make_limits(Settings())}
    assert unset["moderate"] == RiskLimits()
