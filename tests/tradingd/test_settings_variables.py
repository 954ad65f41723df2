"""A setting's variable that lacks an underscore is told, and what else begins so is left alone."""

from pathlib import Path

import pytest

from tradingd.settings_errors import ConfigError
from tradingd.settings_loading import load_settings


def load(tmp_path: Path, **environ: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("seed = 1\n")
    load_settings(file, environ=environ)


@pytest.mark.parametrize(("name", "written"), [
    ("TRADINGD_PRACTICE__VOLATILITY", "TRADINGD__PRACTICE__VOLATILITY"),
    ("TRADINGD_PRACTICE_VOLATILITY", "TRADINGD__PRACTICE__VOLATILITY"),
    ("TRADINGD_RISK_MAX_POSITIONS", "TRADINGD__RISK__MAX_POSITIONS"),
    ("TRADINGD_MODE", "TRADINGD__MODE"), ("TRADINGD_DATA_DIR", "TRADINGD__DATA_DIR"),
    ("TRADINGD_VENUES__BINANCE__API_KEY", "TRADINGD__VENUES__BINANCE__API_KEY"),
    ("TRADINGD_RIKS__PRESET", "TRADINGD__RIKS__PRESET"),
])
def test_a_variable_with_one_underscore_where_two_are_due_is_refused_with_the_right_name(
    tmp_path: Path, name: str, written: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, **{name: "value-of-it"})
    assert f"environment variable {name}: " in str(refused.value)
    assert f"Write {written}, " in str(refused.value)
    assert "value-of-it" not in str(refused.value)  # it may be a secret


@pytest.mark.parametrize(("name", "value"), [
    ("TRADINGD_ALLOW_LIVE", "yes"), ("TRADINGD_CONFIG", ""), ("TRADINGD_MASTER_KEY", "k"),
    ("TRADINGD_MASTER_KEY_FILE", "/key"), ("TRADINGD_SHARED_DATA", "/data"), ("TRADINGD_SOURCE", "x"),
    ("TRADINGD_HOME", "/srv"), ("TRADINGD_API_PORT", "tcp://10.0.0.1:8080"), ("TRADINGD_API_SERVICE_HOST", "10.0.0.1"),
    ("TRADINGD", "1"), ("TRADINGDX__MODE", "live"),
])
def test_a_variable_that_is_no_settings_is_left_alone(tmp_path: Path, name: str, value: str) -> None:
    load(tmp_path, **{name: value})


def test_the_right_name_beside_it_does_not_hide_the_wrong_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="TRADINGD_MODE: "):
        load(tmp_path, TRADINGD__MODE="paper", TRADINGD_MODE="live")
