"""What a Binance account holds, and what a person must set for it."""

from decimal import Decimal

import pytest

from bus.clock import LiveClock
from exchanges.answers import VenueError
from exchanges.binance.orders import BinanceConfig, BinanceVenue
from tests.exchanges.binance.desk import BTC, Desk, order_body
from tests.exchanges.binance.loopback import Loopback

D = Decimal


async def test_balances_are_free_and_locked_together(loopback: Loopback):
    loopback.answer("GET", "/api/v3/account", {"balances": [
        {"asset": "USDT", "free": "900.5", "locked": "99.5"}, {"asset": "BTC", "free": "0", "locked": "0.00000000"},
    ]})
    async with Desk(loopback) as desk:
        assert await desk.venue.balances() == {"USDT": D(1000)}


async def test_open_orders_hold_ours_and_others(loopback: Loopback):
    loopback.answer("GET", "/api/v3/openOrders", [
        order_body("NEW", "0.25"), {**order_body("NEW", "0"), "clientOrderId": "web_1", "symbol": "ETHBTC"},
    ])
    async with Desk(loopback) as desk:
        ours, foreign = await desk.venue.open_orders()
    assert (ours.client_order_id, ours.symbol, ours.filled) == ("td-1", "BTC/USDT", D("0.25"))
    assert (foreign.client_order_id, foreign.symbol) == ("web_1", "ETHBTC")


async def test_without_keys_the_start_says_which_variables_to_set(loopback: Loopback):
    config = BinanceConfig("binance", loopback.rest_url, "", "", "")
    venue = BinanceVenue(config, lambda _: None, LiveClock(), [BTC], jitter=lambda: 0.5)
    with pytest.raises(VenueError, match="TRADINGD__VENUES__BINANCE__API_KEY"):
        await venue.start()
    await venue.close()


def test_a_configuration_does_not_show_its_secret():
    assert "s3cret" not in repr(BinanceConfig("binance", "http://x", "", "k3y", "s3cret"))
    assert "k3y" not in repr(BinanceConfig("binance", "http://x", "", "k3y", "s3cret"))
