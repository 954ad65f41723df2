"""Strategies that the lab chose on other candles never end a restart over an open position, and add nothing to it."""

from pathlib import Path

import pytest

from tests.e2e.process import Process, until
from tests.tradingd.test_strategy_choice import chosen_by_the_lab
from tradingd.client import AnswerError

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
QUIET = {"TRADINGD__COUNCIL__THRESHOLD": "1", "TRADINGD__SYMBOLS": "BTC/USDT"}


def test_a_restart_over_a_position_goes_on_without_entries_and_says_why(tmp_path: Path) -> None:
    data = tmp_path / "data"
    daemon = Process(data, env=QUIET).ready()
    daemon.buy("BTC/USDT", "0.001")
    daemon.kill()
    chosen_by_the_lab(data)
    daemon = Process(data, env={**QUIET, "TRADINGD__STRATEGY__RULE": "selection"})
    try:
        daemon.ready()
        problems = until(lambda: [each["text"] for each in daemon.status()["problems"]], "a problem told", 20)
        assert any("chosen on candles of 1h" in text for text in problems)
        assert daemon.status()["state"] == "REDUCING"
        with pytest.raises(AnswerError, match="Trading is reducing"):
            daemon.client.post(
                "/api/orders", {"symbol": "BTC/USDT", "side": "buy", "type": "market", "quantity": "0.001"}
            )
        assert daemon.positions()["BTC/USDT"]["quantity"] == "0.001"
    finally:
        daemon.kill()
