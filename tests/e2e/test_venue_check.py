"""`tradingd venue check`: what works at an exchange, as rows and as an exit code."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.bare_binance import serving
from tests.e2e.process import tradingd
from tests.e2e.test_live_loopback import exchange, settings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


Checked = tuple[int, dict[str, tuple[str, str]], str]


def checked(venue: str, folder: Path, env: dict[str, str], *options: str) -> Checked:
    """Exit code, level and text by name, and what was said on stderr."""
    ended = tradingd("venue", "check", venue, "--json", "--data-dir", str(folder / "data"), *options, env=env)
    rows: list[dict[str, Any]] = json.loads(ended.stdout) if ended.stdout else []
    return ended.returncode, {row["name"]: (row["level"], row["text"]) for row in rows}, ended.stderr


@pytest.mark.parametrize(("venue", "symbol"), [("binance", "SOL/USDT"), ("coinbase", "SOL/USD")])
def test_a_good_exchange_passes_and_the_trial_order_is_placed_and_cancelled(
    tmp_path: Path, venue: str, symbol: str
) -> None:
    with exchange(tmp_path / "exchange", symbol) as urls:
        code, rows, said = checked(venue, tmp_path, settings(venue, urls), "--place")
        assert (code, said) == (0, "")
        assert "tick 0.01, step 0.001" in rows[symbol][1]
        names = ("instruments", "clock", "stream", "history", "keys", "user stream")
        assert [rows[name][0] for name in names] == ["ok"] * len(names)
        assert rows["trial order"][0] == "ok"
        assert "placed and cancelled" in rows["trial order"][1]


def test_without_the_word_nothing_is_ordered_and_what_is_missing_is_a_warning(tmp_path: Path) -> None:
    with serving() as (bare, address):
        urls = {"rest_url": f"http://{address}", "ws_url": f"ws://{address}/ws", "ws_api_url": ""}
        code, rows, _ = checked("binance", tmp_path, settings("binance", urls))
        assert bare.posts == []
    assert "trial order" not in rows
    assert rows["stream"][0] == "ok"
    lacking = {name for name, (level, _) in rows.items() if level == "warn"}
    assert lacking == {"history", "permissions", "user stream", "open orders"}
    assert code == 0


def test_an_exchange_that_is_away_and_a_symbol_that_is_not_listed_fail(tmp_path: Path) -> None:
    with exchange(tmp_path / "exchange", "SOL/USDT") as urls:
        env = settings("binance", urls) | {"TRADINGD__SYMBOLS": "NOPE/USDT"}
        code, rows, _ = checked("binance", tmp_path, env)
        assert code == 1
        assert rows["NOPE/USDT"][0] == "fail"
        assert "does not trade" in rows["NOPE/USDT"][1]
    code, rows, _ = checked("binance", tmp_path, env)
    assert (code, rows["instruments"][0]) == (1, "fail")


def test_an_unknown_venue_is_a_matter_of_the_settings(tmp_path: Path) -> None:
    code, rows, said = checked("nowhere", tmp_path, {})
    assert (code, rows) == (3, {})
    assert "no [venues.nowhere]" in said
