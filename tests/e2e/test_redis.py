"""The council over a real Redis: it trades; without Redis nothing new is risked and exits go on; it comes back."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.messages.orders import OrderInitialized
from bus.messages.system import DaemonStopping, TradingStateChanged
from tests.e2e.process import Process, journal_of, running, until
from tests.redis_server import RedisServer
from tradingd.client import AnswerError

EAGER = {"TRADINGD__COUNCIL__THRESHOLD": "0.45", "TRADINGD__RISK__MAX_POSITIONS": "5"}

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def daemon(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    env = {**EAGER, "TRADINGD__BUS__URL": redis.url}
    with running(tmp_path_factory.mktemp("council") / "data", env=env) as process:
        yield process


def council_orders(daemon: Process) -> list[str]:
    return [order["id"] for order in daemon.orders() if order["origin"] == "council"]


def test_the_council_trades_over_redis(daemon: Process, redis: RedisServer) -> None:
    bus = daemon.status()["bus"]
    assert bus["is_connected"]
    assert bus["url"] == redis.url
    until(lambda: [o for o in daemon.orders(state="FILLED") if o["origin"] == "council"], "a council's fill", 150)


def test_without_redis_nothing_new_is_risked_and_exits_go_on(daemon: Process, redis: RedisServer) -> None:
    daemon.buy("SOL/USDT", "0.2")
    redis.kill()
    until(lambda: daemon.status()["state"] == "REDUCING", "REDUCING after the loss of Redis", 5)
    assert any("Redis bus is not connected" in problem["text"] for problem in daemon.status()["problems"])
    trail = daemon.trail("SOL/USDT", "0.2", "0.02")
    fired = daemon.filled(trail["id"], 60)
    assert fired["fires"]
    assert daemon.status()["state"] == "REDUCING"
    with pytest.raises(AnswerError) as no:
        daemon.client.post("/api/orders", {"symbol": "SOL/USDT", "side": "buy", "type": "market", "quantity": "0.2"})
    assert no.value.code == "TRADING_REDUCING"
    redis.start()
    until(lambda: daemon.status()["state"] == "ACTIVE", "ACTIVE after the return of Redis", 12)
    assert daemon.status()["bus"]["is_connected"]


def test_no_entry_was_born_while_redis_was_away(daemon: Process) -> None:
    is_reduced = False
    born = []
    for message in journal_of(daemon.data_dir):
        body = message.body
        if isinstance(body, TradingStateChanged):
            is_reduced = body.state != "ACTIVE"
        elif isinstance(body, OrderInitialized) and is_reduced and body.order.side == "buy":
            born.append(body.order.client_order_id)
    assert not born


def test_it_trades_again_when_redis_is_back(daemon: Process) -> None:
    known = set(council_orders(daemon))
    until(lambda: set(council_orders(daemon)) - known, "a new order of the council", 150)


def test_it_ends_in_order_and_hanging_up_is_no_fault(daemon: Process) -> None:
    assert daemon.stop() == 0
    assert isinstance(journal_of(daemon.data_dir)[-1].body, DaemonStopping)
    assert "Traceback" not in daemon.err + daemon.out


def test_a_redis_that_is_not_there_is_no_reason_not_to_start(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--log", "json", env={"TRADINGD__BUS__URL": "redis://127.0.0.1:9/0"}) as alone:
        assert alone.status()["state"] == "REDUCING"
        assert any("Redis" in problem["text"] for problem in alone.status()["problems"])
        assert alone.stop() == 0
        lines = [json.loads(line) for line in alone.out.splitlines()]
    assert lines
    assert all(set(line) == {"ts", "who", "kind", "symbol", "text", "id"} for line in lines)
