"""A start after which it must be found out what became of many orders."""

import time
from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e.process import Process, until
from tests.strangers.sessions import running_there, strange_coinbase
from tests.strangers.truth import agree

ORDERS = 35
RESTING = (
    ("SOL/USD", "0.08", "148", "0.1"), ("DOGE/USD", "60", "0.197", "0.0001"), ("BTC/USD", "0.00015", "82000", "30"),
)
"""Symbol, quantity, the first price and how far the next lies below it. An order that is not answered for 2 s is
unknown, and nothing more is bought of its symbol: a dozen of each leaves before that."""
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def test_orders_that_never_arrived_hold_up_entries_for_no_longer_than_one_of_them_would(tmp_path: Path) -> None:
    with strange_coinbase() as stranger:
        with running_there(stranger, tmp_path / "data") as daemon:
            stranger.served.do(lambda: stranger.door.faults.last("timeout_before", 600))
            for number in range(ORDERS):
                symbol, quantity, first, step = RESTING[number // 12]
                daemon.client.post("/api/orders", {
                    "symbol": symbol, "side": "buy", "type": "limit", "quantity": quantity,
                    "price": str(Decimal(first) - number % 12 * Decimal(step)),
                })
                time.sleep(0.12)  # ten a second are allowed
            assert daemon.status()["working_orders"] == ORDERS
            daemon.kill()
        stranger.served.do(lambda: stranger.door.faults.last("timeout_before", 0))
        asked = len(stranger.door.calls)
        daemon = Process(tmp_path / "data", "--no-safe", env=stranger.env)
        try:
            daemon.ready()
            until(lambda: not daemon.status()["problems"], "what became of all of them", 30)
            assert daemon.status()["working_orders"] == 0
            listings = [call for call in stranger.door.calls[asked:] if call.endswith("/orders/historical/batch")]
            assert len(listings) < ORDERS  # each by itself would have read four
            daemon.buy("SOL/USD", "0.5")
            agree(daemon, stranger.exchange)
        finally:
            daemon.kill()
