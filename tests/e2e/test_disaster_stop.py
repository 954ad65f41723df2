"""Live trading on the practice exchange: the stop that rests there outlives the daemon and yields to other exits."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import Process, running, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

LIVE = {"TRADINGD__MODE": "live", "TRADINGD__COUNCIL__THRESHOLD": "1"}
SOL, STEP, XRP = "SOL/USDT", Decimal("0.001"), "XRP/USDT"


def stops(daemon: Process) -> list[dict[str, Any]]:
    return [order for order in daemon.orders() if order["tag"] == "disaster" and order["state"] == "SUBMITTED"]


def held(daemon: Process) -> Decimal:
    row = daemon.positions().get(SOL)
    return Decimal(row["quantity"]) if row else Decimal(0)


def resting(daemon: Process) -> dict[str, Any]:
    """The one stop, once the venue has it."""
    until(lambda: [order for order in stops(daemon) if order["detail"] == "accepted"], "a stop at the venue", 10)
    (stop,) = stops(daemon)
    return stop


def test_the_stop_at_the_venue_outlives_a_kill_and_makes_way_for_a_close(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with running(data_dir, env=LIVE) as daemon:
        daemon.buy(SOL, "0.5")
        before = resting(daemon)
        assert STEP > held(daemon) - Decimal(before["quantity"]) >= 0
        was = held(daemon)
        daemon.kill()
    with running(data_dir, env=LIVE) as daemon:
        again = resting(daemon)
        assert (again["id"], again["venue_order_id"]) == (before["id"], before["venue_order_id"])
        assert held(daemon) == was
        daemon.client.post("/api/positions/close", {"symbol": SOL})
        until(lambda: held(daemon) < STEP, "a closed position", 15)
        assert daemon.order(before["id"])["state"] == "CANCELLED"
        assert stops(daemon) == []
        daemon.buy(XRP, "50")
        resting(daemon)
        assert daemon.stop() == 0
        assert f"1 position stays ({XRP}) open with a stop resting at the venue" in " ".join(daemon.out.split())
