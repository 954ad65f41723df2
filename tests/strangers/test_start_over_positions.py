"""A restart over open positions: protection waits for nothing that is not needed for it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.e2e.process import Process, until
from tests.strangers.sessions import Stranger, cancel_all, running_there, strange_binance, strange_coinbase
from tests.strangers.truth import agree, protected

VENUES = pytest.mark.parametrize("strange", [strange_binance, strange_coinbase])
Strange = Callable[..., AbstractContextManager[Stranger]]
WAIT_S = 10.0
"""So long at least the start waits for candles that do not come."""
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def candles_hang(stranger: Stranger) -> None:
    stranger.served.do(lambda: stranger.door.faults.last("candles_hang", 600))


@VENUES
def test_a_bare_position_has_its_stop_before_any_candle_is_asked_for(strange: Strange, tmp_path: Path) -> None:
    """F39: killed between an entry's fill and its stop."""
    with strange() as stranger:
        symbol = stranger.env["TRADINGD__SYMBOLS"].split(",")[0]
        with running_there(stranger, tmp_path / "data") as daemon:
            daemon.buy(symbol, "0.5")
            daemon.kill()
        stranger.served.do(lambda: cancel_all(stranger))  # whatever it came to send is gone: the position is bare
        candles_hang(stranger)
        daemon = Process(tmp_path / "data", "--no-safe", env=stranger.env)
        try:
            until(lambda: protected(daemon, stranger.exchange, symbol), "a protected position", 60)
            assert not stranger.door.faults.struck.get("candles_hang")
            daemon.ready()
            agree(daemon, stranger.exchange)
        finally:
            daemon.kill()


@VENUES
def test_a_trail_sells_while_the_history_is_still_waited_for(strange: Strange, tmp_path: Path) -> None:
    with strange() as stranger:
        market = stranger.exchange.markets[0]
        market.is_frozen = True
        symbol = f"{market.base}/{market.quote}"
        with running_there(stranger, tmp_path / "data") as daemon:
            daemon.buy(symbol, "0.5")
            trail = daemon.trail(symbol, "0.4", "1")["id"]
            until(lambda: protected(daemon, stranger.exchange, symbol), "a protected position", 5)
            daemon.kill()
        candles_hang(stranger)
        daemon = Process(tmp_path / "data", "--no-safe", env=stranger.env)
        try:
            until(lambda: stranger.door.faults.struck.get("candles_hang"), "a question for candles", 60)

            def fall() -> None:  # through the trail, not through the stop at the exchange
                market.middle = (market.middle * 985 / 1000 // market.tick) * market.tick

            stranger.served.do(fall)
            (sale,) = until(lambda: stranger.exchange.by_client_id(trail), "a sale by the trail", WAIT_S - 2)
            assert not sale.is_buy
            daemon.ready()
            assert daemon.filled(trail)["filled"] == "0.4"
            agree(daemon, stranger.exchange)
        finally:
            daemon.kill()
