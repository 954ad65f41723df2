"""An exchange that accepts connections and never answers: whoever steers the daemon is answered all the same."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.e2e.process import Process, until
from tests.strangers.sessions import Stranger, running_there, strange_binance, strange_coinbase
from tests.strangers.truth import agree

ANSWER_S = 5.0
VENUES = pytest.mark.parametrize("strange", [strange_binance, strange_coinbase])
Strange = Callable[..., AbstractContextManager[Stranger]]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


class Steering:
    """Requests to the daemon, and the longest that one of them took."""

    def __init__(self, daemon: Process) -> None:
        self._daemon = daemon
        self.longest_s = 0.0

    def __call__(self, method: str, path: str, body: object = None) -> Any:
        began = monotonic()
        answer = self._daemon.client.call(method, f"/api/{path}", body)
        self.longest_s = max(self.longest_s, monotonic() - began)
        return answer


def rest_three_entries(daemon: Process, stranger: Stranger) -> list[str]:
    """Below the market, accepted there; their ids."""
    market = stranger.exchange.markets[0]
    price = str(market.best_bid * 98 // 100 // market.tick * market.tick)
    wish = {"symbol": f"{market.base}/{market.quote}", "side": "buy", "type": "limit", "price": price}
    sizes = ("0.2", "0.3", "0.4")
    made = [daemon.client.post("/api/orders", {**wish, "quantity": size})["id"] for size in sizes]
    for each in made:
        until(lambda each=each: daemon.order(each)["detail"] == "accepted", "an order that rests", 10)
    return made


@VENUES
def test_every_request_is_answered_at_once_and_says_what_the_exchange_has_not_confirmed(
    strange: Strange, tmp_path: Path
) -> None:
    with strange() as stranger, running_there(stranger, tmp_path / "data") as daemon:
        symbol = stranger.env["TRADINGD__SYMBOLS"].split(",")[0]
        daemon.buy(symbol, "0.5")
        first, second, third = rest_three_entries(daemon, stranger)
        stranger.served.do(lambda: stranger.door.faults.last("rest_dead", 600))
        steer = Steering(daemon)
        assert steer("DELETE", f"orders/{first}")["detail"] == "pending_cancel"
        assert steer("PATCH", f"orders/{second}", {"quantity": "0.25"})["state"] == "PENDING"
        assert steer("POST", "orders", {"symbol": symbol, "side": "buy", "type": "market", "quantity": "0.1"})["id"]
        assert steer("POST", "trading/pause")["state"] == "REDUCING"
        stopped = steer("POST", "trading/stop")
        assert {first, second, third} <= set(stopped["awaiting_venue"])
        assert steer("POST", "trading/stop")["awaiting_venue"] == stopped["awaiting_venue"]
        assert steer("POST", "trading/resume")["trading"]["votes"][0] == {
            "voter": "operator", "state": "ACTIVE", "reason": "resumed by operator"}
        killed = steer("POST", "trading/kill", {"action": "flatten", "reason": "the exchange hangs"})
        assert killed["state"] == "HALTED"
        assert killed["kill"]["not_cancelled"] >= 3
        assert killed["kill"]["not_sold"] == 1
        assert steer.longest_s < ANSWER_S
        stranger.served.do(stranger.door.faults.until.clear)
        until(lambda: daemon.status()["kill"]["progress"] == "", "everything cancelled and sold", 60)
        agree(daemon, stranger.exchange)
        assert not any(order.is_working for order in stranger.exchange.orders if order.client_id.startswith("td-"))


@VENUES
def test_what_stop_could_not_confirm_ends_when_the_exchange_answers_again(strange: Strange, tmp_path: Path) -> None:
    with strange() as stranger, running_there(stranger, tmp_path / "data") as daemon:
        made = rest_three_entries(daemon, stranger)
        stranger.served.do(lambda: stranger.door.faults.last("rest_dead", 600))
        assert sorted(daemon.client.post("/api/trading/stop")["awaiting_venue"]) == sorted(made)
        stranger.served.do(stranger.door.faults.until.clear)
        until(lambda: all(daemon.order(each)["state"] == "CANCELLED" for each in made), "their end", 30)
        assert daemon.client.post("/api/trading/stop")["awaiting_venue"] == []
        agree(daemon, stranger.exchange)
