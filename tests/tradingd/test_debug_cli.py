"""`tradingd debug` and `tradingd mode` in front of a served daemon."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bus.messages.council import AlphaSignal, AnalysisCompleted
from tests.tradingd.small_daemon import SmallDaemon, served, settings_in
from tradingd import exit_codes
from tradingd.auth import Auth
from tradingd.cli import app
from tradingd.data_dir import DataDir, RunInfo


class Stand:
    def __init__(self, daemon: SmallDaemon, path: Path) -> None:
        self.daemon, self.path = daemon, path

    def tradingd(self, *arguments: str) -> Any:
        result = CliRunner().invoke(app, [*arguments, "--data-dir", str(self.path)])
        assert "Traceback" not in result.stderr
        return result


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    path = tmp_path / "state"
    data_dir = DataDir.open(path)
    daemon = SmallDaemon(settings_in(path))
    with served(daemon, Auth.open(path)) as url:
        data_dir.announce(RunInfo(4242, url, 1))
        yield Stand(daemon, path)
    data_dir.close()


def test_an_alpha_is_seen_with_what_it_said_last_and_what_it_costs(stand: Stand) -> None:
    at = 1_760_000_000_000_000_000
    said = AlphaSignal("momentum", "1", "BTC/USDT", "1s", at, "trail_buy", 0.71, 1.0, 0.001, "high", "RSI 74")
    stand.daemon.fact(AnalysisCompleted("BTC/USDT", "1s", at, Decimal(100), "trending", (), (said,)))
    told = stand.tradingd("debug", "alphas")
    assert told.exit_code == 0, told.stderr
    row = next(line for line in told.stdout.splitlines() if line.startswith("momentum"))
    for part in ("active", "trail-buy BTC/USDT", "0.71", "1,000 us", "RSI 74"):
        assert part in row
    listed = json.loads(stand.tradingd("debug", "alphas", "--json").stdout)
    assert [(each["alpha"], each["state"]) for each in listed] == [("momentum", "active"), ("structure", "off")]


def test_an_agent_is_profiled_by_name_and_an_unknown_one_is_told_with_those_there_are(stand: Stand) -> None:
    told = stand.tradingd("debug", "profile", "analyst")
    assert "1,000 us on average" in told.stdout
    unknown = stand.tradingd("debug", "profile", "clown")
    assert unknown.exit_code == exit_codes.NOT_FOUND
    assert "there are analyst" in unknown.stderr


def test_events_come_again_oldest_first_filtered_and_after_a_given_one(stand: Stand) -> None:
    everything = [json.loads(line) for line in stand.tradingd("debug", "events", "--json").stdout.splitlines()]
    assert [each["kind"] for each in everything] == ["DaemonStarted", "TradingStateChanged", "PortfolioSnapshot"]
    later = stand.tradingd("debug", "events", "--json", "--after", everything[1]["id"])
    assert [json.loads(line)["id"] for line in later.stdout.splitlines()] == [everything[2]["id"]]
    some = stand.tradingd("debug", "events", "--kind", "TradingStateChanged").stdout.splitlines()
    assert len(some) == 1
    assert "state ACTIVE" in some[0]


def test_the_mode_is_switched_by_a_word_and_live_needs_a_yes(stand: Stand) -> None:
    same = stand.tradingd("mode", "paper")
    assert (same.exit_code, same.stdout.strip()) == (0, "the mode is paper already")
    assert stand.tradingd("mode", "live").exit_code == exit_codes.USAGE
    refused = stand.tradingd("mode", "live", "--yes")
    assert refused.exit_code == exit_codes.REFUSED
    assert "TRADINGD_ALLOW_LIVE" in refused.stderr
    assert stand.tradingd("mode", "backtest").exit_code == exit_codes.USAGE
    assert stand.daemon.shutdown_reason == ""
