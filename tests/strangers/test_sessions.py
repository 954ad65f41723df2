"""The real daemon, live, on exchanges that somebody else might have written; long rounds are `make strangers`."""

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.e2e.process import Process, until
from tests.strangers.binance import Binance
from tests.strangers.campaign import session
from tests.strangers.market import now_ms
from tests.strangers.sessions import Stranger, running_there, strange_binance, strange_coinbase
from tests.strangers.truth import agree, protected

WRONGS = ("lost_ack", "cut_before", "504_after", "rate_limit", "partial", "cancel_race", "stop_refused", "skew",
          "close", "taken_by_hand")
VENUES = pytest.mark.parametrize("strange", [strange_binance, strange_coinbase])
Strange = Callable[..., AbstractContextManager[Stranger]]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@VENUES
def test_whatever_goes_wrong_both_books_agree_and_positions_are_protected(strange: Strange, tmp_path: Path) -> None:
    with strange() as stranger:
        assert session(stranger, tmp_path, WRONGS, seed=3, kills=False) == []
        assert len(stranger.door.posts) == len(set(stranger.door.posts))


@VENUES
def test_a_kill_while_answers_are_lost_leaves_nothing_doubled_or_bare(strange: Strange, tmp_path: Path) -> None:
    with strange() as stranger:
        symbol = stranger.env["TRADINGD__SYMBOLS"].split(",")[0]
        with running_there(stranger, tmp_path / "data") as daemon:
            daemon.buy(symbol, "0.5")
            stranger.served.do(lambda: stranger.door.faults.arm("timeout_after", 2))
            daemon.client.post("/api/orders", {"symbol": symbol, "side": "buy", "type": "market", "quantity": "0.3"})
            until(lambda: len(stranger.exchange.orders) >= 2, "an order that arrived", 10)
            daemon.kill()
        with running_there(stranger, tmp_path / "data") as daemon:
            agree(daemon, stranger.exchange)
            until(lambda: protected(daemon, stranger.exchange, symbol), "a protected position", 5)
            assert len(stranger.door.posts) == len(set(stranger.door.posts))


@VENUES
def test_an_exchange_that_begins_after_the_daemon_is_waited_for(strange: Strange, tmp_path: Path) -> None:
    with strange() as stranger:
        env, port = stranger.env, stranger.served.port
    with socket.create_server(("127.0.0.1", port)) as not_yet:
        process = Process(tmp_path / "data", env=env)
        not_yet.settimeout(20)
        not_yet.accept()[0].close()
    try:
        with strange(port=port) as stranger:
            process.ready()
            process.buy(env["TRADINGD__SYMBOLS"].split(",")[0], "0.5")
            agree(process, stranger.exchange)
    finally:
        process.kill()


@VENUES
def test_while_prices_flow_but_orders_cannot_be_sent_there_are_no_entries(strange: Strange, tmp_path: Path) -> None:
    with strange() as stranger, running_there(stranger, tmp_path / "data") as daemon:
        symbol = stranger.env["TRADINGD__SYMBOLS"].split(",")[0]
        daemon.buy(symbol, "0.5")
        stranger.served.do(lambda: stranger.door.faults.last("maintenance", 600))
        until(lambda: daemon.status()["state"] == "REDUCING", "no entries", 15)
        assert any("orders cannot be sent: HTTP 503" in each["text"] for each in daemon.status()["problems"])
        assert daemon.status()["feeds"][0]["state"] == "connected"
        stranger.served.do(stranger.door.faults.until.clear)
        until(lambda: daemon.status()["state"] == "ACTIVE", "entries again", 15)


@VENUES
def test_the_line_of_our_own_orders_is_shown_beside_that_of_the_market(strange: Strange, tmp_path: Path) -> None:
    """Nobody saw that fills were only polled for, since when, and how often the line broke [C6]."""
    with strange() as stranger, running_there(stranger, tmp_path / "data") as daemon:
        until(lambda: [each["state"] for each in daemon.status()["feeds"]] == ["connected"] * 2, "both lines", 10)
        market, own = daemon.status()["feeds"]
        assert own["name"] == f"{market['name']} user stream"
        assert own["messages"] > 0
        assert own["reconnects"] == 0


def test_a_binance_that_ends_the_user_subscription_but_not_the_connection_is_asked_for_another(tmp_path: Path) -> None:
    with strange_binance() as stranger, running_there(stranger, tmp_path / "data") as daemon:
        until(lambda: stranger.streams.users, "a user stream", 10)
        daemon.buy("SOL/USDT", "0.5")
        stranger.served.do(stranger.streams.end_subscriptions)
        began = now_ms()
        until(lambda: stranger.streams.users, "another subscription", 10)
        assert now_ms() - began < 5000
        agree(daemon, stranger.exchange)


def test_a_binance_that_reads_posts_from_their_body_only_gets_them_there(tmp_path: Path) -> None:
    with strange_binance() as stranger:
        stranger.door.reads_forms_only = True
        with running_there(stranger, tmp_path / "data") as daemon:
            daemon.buy("SOL/USDT", "0.5")
            agree(daemon, stranger.exchange)
            made = [order.client_id for order in stranger.exchange.orders]
            assert len(made) == len(set(made))


def test_a_coinbase_pair_in_usdc_is_traded_though_its_market_is_told_under_the_name_of_usd(tmp_path: Path) -> None:
    with strange_coinbase() as stranger:
        market = stranger.exchange.markets[0]
        stranger.served.do(lambda: stranger.door.add("USDC", market))
        stranger.served.do(lambda: stranger.exchange.account.add("USDC", stranger.exchange.account.free["USD"]))
        more = {"TRADINGD__SYMBOLS": "SOL/USDC", "TRADINGD__ACCOUNT__QUOTE": "USDC"}
        with running_there(stranger, tmp_path / "data", **more) as daemon:
            daemon.buy("SOL/USDC", "0.5")
            agree(daemon, stranger.exchange)


@VENUES
def test_two_addresses_are_enough_the_user_stream_is_beside_the_market(strange: Strange, tmp_path: Path) -> None:
    with strange() as stranger:
        if isinstance(stranger.door, Binance):
            stranger.door.closes_lines = True
        kept = {name: value for name, value in stranger.env.items() if not name.endswith(("WS_API_URL", "WS_USER_URL"))}
        stranger.env.clear()
        stranger.env.update(kept)
        with running_there(stranger, tmp_path / "data") as daemon:
            until(stranger.streams.user_count, "a user stream", 15)
            daemon.buy(kept["TRADINGD__SYMBOLS"].split(",")[0], "0.5")
            agree(daemon, stranger.exchange)
