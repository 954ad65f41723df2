"""A person sells there what the daemon holds: what is left stays protected, and can be sold (F32, F72)."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e.process import until
from tests.strangers.market import Order
from tests.strangers.sessions import Stranger, running_there, strange_binance, strange_coinbase

BELIEVED_S = 40.0
VENUES = pytest.mark.parametrize("strange", [strange_binance, strange_coinbase])
Strange = Callable[..., AbstractContextManager[Stranger]]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@VENUES
def test_what_is_left_after_a_sale_by_hand_rests_behind_a_stop_and_can_be_sold(
    strange: Strange, tmp_path: Path
) -> None:
    with strange() as stranger, running_there(stranger, tmp_path / "data") as daemon:
        exchange, market = stranger.exchange, stranger.exchange.markets[0]
        symbol = f"{market.base}/{market.quote}"

        def resting() -> Decimal:
            return sum((each.remaining for each in exchange.orders
                        if each.market is market and not each.is_buy and each.is_working), Decimal(0))

        daemon.buy(symbol, "0.5")
        until(lambda: resting() > Decimal("0.4"), "a stop that rests there", 10)
        by_hand = Order(0, "web_1", market, False, "MARKET", Decimal("0.2"), Decimal(0),
                        wire={"type": "MARKET", "product_id": f"{market.base}-{market.quote}",
                              "kind": "market_market_ioc",
                              "order_configuration": {"market_market_ioc": {"base_size": "0.2"}}})

        def sell_by_hand() -> None:
            for order in exchange.orders:
                if order.market is market and order.is_working:
                    order.wire.setdefault("cancelled_by", "web_1234")
                    exchange.cancel(order)
            exchange.place(by_hand)

        stranger.served.do(sell_by_hand)
        left = exchange.account.total(market.base)
        until(lambda: Decimal(daemon.positions()[symbol]["quantity"]) == left, "a position of what is left", BELIEVED_S)
        until(lambda: resting() == left // market.step * market.step, "a stop for what is left", 10)
        assert daemon.status()["kill"] is None
        assert daemon.status()["daily_drawdown"] < 0.01
        daemon.client.post("/api/positions/close", {"symbol": symbol})
        until(lambda: symbol not in daemon.positions(), "a position that could be sold", 10)
        assert exchange.account.total(market.base) < market.step
