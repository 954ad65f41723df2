"""Belongs to tests/tradingd/test_kill_progress.py."""

from decimal import Decimal
from pathlib import Path

import pytest

from bus.ids import ClientOrderId
from bus.messages import ledger, orders, system
from tests.tradingd.small_daemon import SmallDaemon, settings_in

BTC = "BTC/USDT"


@pytest.mark.parametrize(("at_venue", "named"), [("0.5", (BTC,)), ("0.96", ())])
def test_a_position_of_which_a_stop_at_the_venue_covers_a_part_is_named(
    tmp_path: Path, at_venue: str, named: tuple[str, ...],
) -> None:
    daemon, order_id, quantity = SmallDaemon(settings_in(tmp_path)), ClientOrderId("d"), Decimal(at_venue)
    stop = orders.SubmitOrder(
        order_id, BTC, "sell", "stop", quantity, "protective", stop_price=Decimal(90), tag="disaster",
    )
    for body in (
        ledger.PositionOpened(BTC, Decimal(1), Decimal(100), ClientOrderId("e")), orders.OrderInitialized(stop),
        orders.OrderSubmitted(order_id, BTC, "stop_limit", quantity, Decimal(88), Decimal(100)),
        system.KillSwitchEngaged("halt", "x", "ann"),
    ):
        daemon.fact(body)
    view = daemon.read_model.kill_view()
    assert view is not None
    assert view.unprotected == named
