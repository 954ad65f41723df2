"""What is wrong on our side of the line: the daemon stands still, and people ask for absurdities."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e.fat_fingers import refusal_of, slips
from tests.e2e.process import until
from tests.strangers.market import Market
from tests.strangers.sessions import Stranger, running_there, strange_binance, strange_coinbase
from tests.strangers.truth import agree, protected

STILL_S = 5.0
VENUES = pytest.mark.parametrize("strange", [strange_binance, strange_coinbase])
Strange = Callable[..., AbstractContextManager[Stranger]]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@VENUES
def test_a_daemon_that_stood_still_enters_on_no_price_of_the_past_and_loses_no_fill(
    strange: Strange, tmp_path: Path
) -> None:
    """F13: a trigger is reached and left again meanwhile, and a resting order is executed."""
    with strange() as stranger, running_there(stranger, tmp_path / "data") as daemon:
        first, second = stranger.env["TRADINGD__SYMBOLS"].split(",")[:2]
        resting_on, trailing_on = stranger.exchange.markets[:2]
        daemon.buy(first, "0.5")
        resting = daemon.client.post("/api/orders", {
            "symbol": first, "side": "buy", "type": "limit", "quantity": "0.3",
            "price": str(resting_on.best_bid - resting_on.tick * 40),
        })["id"]
        trailing = daemon.client.post("/api/orders", {
            "symbol": second, "side": "buy", "type": "trailing", "quantity": "100",
            "trail": {"kind": "percent", "value": "0.5"},
        })["id"]
        until(lambda: daemon.order(resting)["detail"] == "accepted", "an order that rests", 10)
        with daemon.standing_still(STILL_S):
            fell, rose = _moved(stranger, resting_on, "0.99"), _moved(stranger, trailing_on, "1.01")
            until(lambda: resting_on.last < fell and trailing_on.last > rose, "prices beyond both", 5)
            until(lambda: _is_filled(stranger, resting), "an execution nobody here hears of", 5)
            _moved(stranger, trailing_on, "0.98")
            until(lambda: trailing_on.last < rose, "a price that is gone again", 5)
        until(lambda: any("late" in each["text"] for each in daemon.status()["problems"]), "the lag named", 3)
        assert daemon.status()["state"] == "REDUCING"
        daemon.filled(resting)
        until(lambda: daemon.status()["state"] == "ACTIVE", "entries again", 15)
        assert not stranger.exchange.by_client_id(trailing)
        assert (daemon.order(trailing)["state"], daemon.order(trailing)["filled"]) == ("REJECTED", "0")
        agree(daemon, stranger.exchange)
        until(lambda: protected(daemon, stranger.exchange, first), "a protected position", 5)
        assert daemon.buy(second, "100")["state"] == "FILLED"


def _moved(stranger: Stranger, market: Market, ratio: str) -> Decimal:
    """The price goes there at once; returns one on the way."""
    before = market.middle

    def move() -> None:
        market.middle = (before * Decimal(ratio) // market.tick) * market.tick

    stranger.served.do(move)
    return (before + market.middle) / 2


def _is_filled(stranger: Stranger, client_id: str) -> bool:
    return all(order.status == "FILLED" for order in stranger.exchange.by_client_id(client_id))


@VENUES
def test_what_nobody_can_mean_is_denied_with_a_code_and_never_reaches_the_exchange(
    strange: Strange, tmp_path: Path
) -> None:
    """F35."""
    with strange() as stranger, running_there(stranger, tmp_path / "data") as daemon:
        symbol = stranger.env["TRADINGD__SYMBOLS"].split(",")[0]
        daemon.buy(symbol, "0.5")
        agree(daemon, stranger.exchange)
        bought = {order.client_id for order in stranger.exchange.orders if order.is_buy}
        for wish, code in slips("0.4", "150"):
            assert refusal_of(daemon, {"symbol": symbol, **wish}) == code, wish
        assert {order.client_id for order in stranger.exchange.orders if order.is_buy} == bought
        sold = [order for order in stranger.exchange.orders if not order.is_buy and not order.stop]
        assert sold == []
        assert daemon.status()["kill"] is None
        assert daemon.buy(symbol, "0.1")["state"] == "FILLED"
        agree(daemon, stranger.exchange)
