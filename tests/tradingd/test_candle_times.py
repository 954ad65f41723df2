"""Times and distances of the council follow the candles it decides on."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from agents.strategies.trail_distance import EXIT_REACH, PRACTICE_ENTRY_SCALE
from agents.strategy import Strategy
from market.interval import interval_ns
from tests.orders.trading import instrument
from tradingd.composition import make_agents, make_engine, make_limits
from tradingd.settings_loading import load_settings

MINUTE = 60_000_000_000
HOUR = 60 * MINUTE


def strategy(tmp_path: Path, decision: str, text: str = "", venue: str = "binance") -> Any:
    path = tmp_path / "config.toml"
    path.write_text(f'venue = "{venue}"\n[candles]\nintervals = ["{decision}"]\ndecision = "{decision}"\n{text}')
    settings = load_settings(path)
    made = make_agents(settings, make_limits(settings), [instrument("BTC/USDT")], "s1")["strategy"]()  # type: ignore[arg-type]
    assert isinstance(made, Strategy)
    return made


def protections(tmp_path: Path, decision: str, text: str = "") -> dict[str, Any]:
    path = tmp_path / "config.toml"
    path.write_text(f'[candles]\nintervals = ["{decision}"]\ndecision = "{decision}"\n{text}')
    settings = load_settings(path)
    engine = make_engine(settings, make_limits(settings), [instrument("BTC/USDT")], "s1")  # type: ignore[arg-type]
    return asdict(engine._desk.config.protections)


@pytest.mark.parametrize(("decision", "expires", "cooldown", "memory"), [
    ("1s", 60e9, 10e9, 900e9), ("1m", 12 * MINUTE, 2 * MINUTE, 900 * MINUTE), ("1h", 12 * HOUR, 2 * HOUR, 900 * HOUR),
])
def test_an_entry_lives_for_candles_and_so_do_pause_and_memory(
    tmp_path: Path, decision: str, expires: float, cooldown: float, memory: float,
) -> None:
    made = strategy(tmp_path, decision)
    assert made._rule._config.entry_expires_ns == expires
    assert made._config.cooldown_ns == cooldown
    assert made._config.kelly_memory_ns == memory
    assert made._rule.max_hold_ns == 0, "nobody asked for a longest time"


def test_a_person_says_how_many_candles_or_none(tmp_path: Path) -> None:
    made = strategy(
        tmp_path, "1h", "[council]\ncooldown_s = 0\n[strategy]\nentry_expires_candles = 3\nmax_hold_candles = 24\n"
        "kelly_memory_s = 0",
    )
    assert made._rule._config.entry_expires_ns == 3 * HOUR
    assert made._rule.max_hold_ns == 24 * HOUR
    assert made._config.cooldown_ns == made._config.kelly_memory_ns == 0, "0 seconds are off, as ever"


def test_distances_follow_the_range_but_on_the_practice_market(tmp_path: Path) -> None:
    real = strategy(tmp_path, "1h")._rule._config.distances
    assert (real.follows_range, real.entry_scale, real.exit_scale, real.busy_hours) == (True, 1, EXIT_REACH, True)
    practice = strategy(tmp_path, "1s", venue="practice")._rule._config.distances
    assert (practice.follows_range, practice.entry_scale) == (False, PRACTICE_ENTRY_SCALE)
    literal = strategy(tmp_path, "1h", '[strategy]\ntrail_band = "standard"')._rule._config.distances
    assert (literal.follows_range, literal.entry_scale, literal.exit_scale) == (False, 1, 1)


def test_protections_are_as_they_are_written_up_to_a_minute_and_longer_on_longer_candles(tmp_path: Path) -> None:
    assert protections(tmp_path, "1s") == {**protections(tmp_path, "1m"), "cooldown_ns": 5_000_000_000}
    minute, hour = protections(tmp_path, "1m"), protections(tmp_path, "1h")
    assert minute["cooldown_ns"] == interval_ns("1m")
    times = [key for key in minute if key.endswith("_ns")]
    assert len(times) == 7
    assert {key: hour[key] for key in times} == {key: 60 * minute[key] for key in times}
    written = protections(tmp_path, "1h", "[risk.protections]\nstretch = false\ncooldown_s = 0")
    assert written["stop_guard_window_ns"] == minute["stop_guard_window_ns"]
    assert written["cooldown_ns"] == 0
