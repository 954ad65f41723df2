"""An exchange that refuses the account for a while, or is away when the daemon begins."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from time import monotonic

import pytest

from bus.messages.system import AlertRaised
from tests.e2e.process import Process, journal_of, until
from tests.strangers.sessions import Stranger, cancel_all, running_there, strange_binance, strange_coinbase
from tests.strangers.truth import agree, protected
from tradingd.client import AnswerError

VENUES = pytest.mark.parametrize("strange", [strange_binance, strange_coinbase])
Strange = Callable[..., AbstractContextManager[Stranger]]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def problems(daemon: Process) -> str:
    return "; ".join(each["text"] for each in daemon.status()["problems"])


@VENUES
def test_after_a_key_is_taken_again_entries_come_back_by_themselves(strange: Strange, tmp_path: Path) -> None:
    """F19. An exit that was refused meanwhile leaves, and the halt it brought on its symbol ends with it."""
    with strange() as stranger, running_there(stranger, tmp_path / "data") as daemon:
        symbol = stranger.env["TRADINGD__SYMBOLS"].split(",")[0]
        daemon.buy(symbol, "0.5")
        until(lambda: protected(daemon, stranger.exchange, symbol), "a protected position", 5)
        stranger.served.do(lambda: stranger.door.faults.last("bad_key", 600))
        wish = {"symbol": symbol, "side": "buy", "type": "market", "quantity": "0.2"}
        entry = daemon.client.post("/api/orders", wish)["id"]
        until(lambda: daemon.order(entry)["state"] == "REJECTED", "the exchange's no", 15)
        until(lambda: "refuses our keys" in problems(daemon), "the reason among the problems", 5)
        assert "entries come back by themselves" in problems(daemon)
        assert daemon.status()["state"] == "REDUCING"
        with pytest.raises(AnswerError) as refused:
            daemon.client.post("/api/orders", {**wish, "quantity": "0.21"})
        assert refused.value.code == "TRADING_REDUCING"
        exit_id = daemon.client.post("/api/orders", {**wish, "side": "sell", "quantity": "0.1"})["id"]
        stranger.served.do(stranger.door.faults.until.clear)
        began = monotonic()
        until(lambda: daemon.status()["state"] == "ACTIVE", "entries again", 25)
        assert monotonic() - began < 25
        assert "refuses our keys" not in problems(daemon)
        until(lambda: not daemon.status()["problems"], "no problem left", 35)
        assert daemon.buy(symbol, "0.22")["state"] == "FILLED"
        agree(daemon, stranger.exchange)
        assert daemon.order(exit_id)["state"] in ("FILLED", "REJECTED")
        until(lambda: protected(daemon, stranger.exchange, symbol), "a protected position", 5)
        assert len(stranger.door.posts) == len(set(stranger.door.posts))


@pytest.mark.parametrize(("fault", "seconds"), [("maintenance", 10), ("no_balances", 15)])
@VENUES
def test_a_first_start_in_a_short_outage_or_while_balances_are_not_told_waits_for_its_end(
    strange: Strange, tmp_path: Path, fault: str, seconds: float,
) -> None:
    with strange() as stranger:
        stranger.served.do(lambda: stranger.door.faults.last(fault, seconds))
        with running_there(stranger, tmp_path / "data") as daemon:
            daemon.buy(stranger.env["TRADINGD__SYMBOLS"].split(",")[0], "0.5")
            agree(daemon, stranger.exchange)


@VENUES
def test_a_key_that_is_refused_at_the_start_ends_it_with_the_remedy(strange: Strange, tmp_path: Path) -> None:
    with strange() as stranger:
        stranger.served.do(lambda: stranger.door.faults.last("bad_key", 600))
        process = Process(tmp_path / "data", env=stranger.env)
        try:
            assert process.wait(60) == 1
            sentence = process.err.strip().splitlines()[-1]
            assert "Check" in sentence
            assert "rights" in sentence
        finally:
            process.kill()
        assert not stranger.exchange.orders


@VENUES
def test_a_start_over_a_position_with_a_refused_key_stays_tells_and_protects_as_soon_as_it_is_taken(
    strange: Strange, tmp_path: Path,
) -> None:
    """F19, F39: an end would leave the position to nobody once the service manager has given up."""
    with strange() as stranger:
        symbol = stranger.env["TRADINGD__SYMBOLS"].split(",")[0]
        with running_there(stranger, tmp_path / "data") as daemon:
            daemon.buy(symbol, "0.5")
            daemon.kill()
        stranger.served.do(lambda: cancel_all(stranger))
        stranger.served.do(lambda: stranger.door.faults.last("bad_key", 600))
        with running_there(stranger, tmp_path / "data") as daemon:
            until(lambda: "It is asked again and again" in problems(daemon), "the reason among the problems", 5)
            assert daemon.status()["state"] == "REDUCING"
            wish = {"symbol": symbol, "side": "buy", "type": "market", "quantity": "0.2"}
            with pytest.raises(AnswerError) as denied:
                daemon.client.post("/api/orders", wish)
            assert denied.value.code == "TRADING_REDUCING"
            stranger.served.do(stranger.door.faults.until.clear)
            until(lambda: daemon.status()["state"] == "ACTIVE", "entries again", 30)
            until(lambda: protected(daemon, stranger.exchange, symbol), "a protected position", 5)
            assert "asked again and again" not in problems(daemon)
            agree(daemon, stranger.exchange)
            assert len(stranger.door.posts) == len(set(stranger.door.posts))
        alerts = [each.body for each in journal_of(tmp_path / "data") if isinstance(each.body, AlertRaised)]
        assert [each.level for each in alerts if "The daemon starts all the same" in each.message] == ["critical"]


@VENUES
def test_a_start_over_a_position_with_a_key_that_may_withdraw_protects_and_takes_no_entry(
    strange: Strange, tmp_path: Path,
) -> None:
    """F67: with nothing at stake such a start ends; the position must not pay for the key."""
    with strange() as stranger:
        symbol = stranger.env["TRADINGD__SYMBOLS"].split(",")[0]
        with running_there(stranger, tmp_path / "data") as daemon:
            daemon.buy(symbol, "0.5")
            daemon.kill()
        stranger.served.do(lambda: cancel_all(stranger))
        rights = stranger.door.restrictions if strange is strange_binance else stranger.door.permissions
        right = "enableWithdrawals" if strange is strange_binance else "can_transfer"
        rights[right] = True
        with running_there(stranger, tmp_path / "data") as daemon:
            until(lambda: "may move money out of the account" in problems(daemon), "the reason among the problems", 5)
            assert daemon.status()["state"] == "REDUCING"
            until(lambda: protected(daemon, stranger.exchange, symbol), "a protected position", 5)
            wish = {"symbol": symbol, "side": "buy", "type": "market", "quantity": "0.2"}
            with pytest.raises(AnswerError) as denied:
                daemon.client.post("/api/orders", wish)
            assert denied.value.code == "TRADING_REDUCING"
            rights[right] = False
            until(lambda: daemon.status()["state"] == "ACTIVE", "entries again", 30)
            agree(daemon, stranger.exchange)
        alerts = [each.body for each in journal_of(tmp_path / "data") if isinstance(each.body, AlertRaised)]
        assert [each.level for each in alerts if "The daemon starts all the same" in each.message] == ["critical"]


def test_a_request_that_arrives_when_it_was_given_up_and_nobody_listens_is_found_all_the_same(tmp_path: Path) -> None:
    """F14, F39: held up for twenty seconds on its way, obeyed while the daemon is down."""
    with strange_coinbase() as stranger:
        with running_there(stranger, tmp_path / "data") as daemon:
            daemon.buy("SOL/USD", "0.5")
            stranger.served.do(lambda: stranger.door.faults.last("rest_dead", 3))
            wish = {"symbol": "DOGE/USD", "side": "buy", "type": "market", "quantity": "200"}
            late = daemon.client.post("/api/orders", wish)["id"]
            until(lambda: daemon.order(late)["reason"] == "never arrived at the venue", "an order given up", 40)
            assert not stranger.exchange.by_client_id(late)
            daemon.kill()
        until(lambda: stranger.exchange.by_client_id(late), "its late arrival", 30)
        with running_there(stranger, tmp_path / "data") as daemon:
            agree(daemon, stranger.exchange)
            assert daemon.order(late)["state"] == "FILLED"
            until(lambda: protected(daemon, stranger.exchange, "DOGE/USD"), "a protected position", 5)
