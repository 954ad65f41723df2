"""A grid in the real process, killed with -9 while it holds something: it goes on where it was."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bus.messages.orders import OrderFilled, OrderInitialized
from tests.e2e.process import NOT_YET, Process, journal_of, running, until
from tradingd.client import AnswerError

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

SILENT = {"TRADINGD__COUNCIL__THRESHOLD": "1", "TRADINGD__RISK__MAX_POSITIONS": "5"}
GRID = {"symbol": "SOL/USDT", "capital": "480", "spacing": "0.1", "trail": "0.05"}


def start(daemon: Process) -> dict[str, Any]:
    def try_it() -> dict[str, Any] | None:
        try:
            answer: dict[str, Any] = daemon.client.post("/api/grids", GRID)
        except AnswerError as error:
            if error.code in NOT_YET:
                return None
            raise
        return answer

    return until(try_it, "a grid that is taken", 20)


def test_a_killed_grid_goes_on_with_what_it_held_and_closes_on_request(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with running(data_dir, env=SILENT) as daemon:
        assert start(daemon)["state"] == "RUNNING"
        until(lambda: daemon.client.get("/api/grids/g1")["quantity"] != "0", "a buy of the grid", 90)
        daemon.client.post("/api/trading/pause")  # so that what is read now is still so at the kill
        for row in daemon.client.get("/api/grids/g1")["rows"]:
            if row["state"] in ("buying", "selling"):
                until(lambda row=row: _settled(daemon, row["level"]), "a settled level", 15)
        daemon.kill()
    facts = journal_of(data_dir)
    with running(data_dir, env=SILENT) as daemon:
        after = daemon.client.get("/api/grids/g1")
        assert after["state"] == "RUNNING"
        born = [m.body.order.client_order_id for m in facts if isinstance(m.body, OrderInitialized)]
        assert int(after["orders"]) >= sum(1 for each in born if each.startswith("td-g1-"))
        held = sum((Decimal(row["quantity"]) for row in after["rows"]), Decimal(0))
        assert held == sum(
            (m.body.quantity if m.body.side == "buy" else -m.body.quantity)
            for m in journal_of(data_dir) if isinstance(m.body, OrderFilled)
        )
        for row in after["rows"]:
            if Decimal(row["quantity"]):
                assert row["state"] in ("sell_armed", "selling"), row
        daemon.client.delete("/api/grids/g1?close=true")
        until(lambda: daemon.client.get("/api/grids/g1")["state"] == "STOPPED", "the end of the grid", 20)
        assert daemon.positions() == {}
        grid = daemon.client.get("/api/grids/g1")
        assert grid["quantity"] == "0"
        assert Decimal(grid["profit"]) == Decimal(daemon.status()["realized_pnl"])
    fills = [m.body for m in journal_of(data_dir) if isinstance(m.body, OrderFilled)]
    assert len({(fill.symbol, fill.trade_id) for fill in fills}) == len(fills)


def _settled(daemon: Process, level: int) -> bool:
    rows = daemon.client.get("/api/grids/g1")["rows"]
    return next(row for row in rows if row["level"] == level)["state"] not in ("buying", "selling")
