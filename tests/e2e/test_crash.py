"""kill -9 while holding: after the next start everything is as it was, and nothing is done twice."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bus.messages.header import Message
from bus.messages.ledger import FundsChanged, PortfolioSnapshot
from bus.messages.orders import OrderFilled, OrderInitialized, OrderSubmitted
from tests.e2e.process import Process, is_alive, journal_of, running, tape_trades, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

ZERO = Decimal(0)
EAGER = {
    # Entries soon, exits far away: what is armed at the moment of the kill must not fire before we look.
    "TRADINGD__COUNCIL__THRESHOLD": "0.5", "TRADINGD__STRATEGY__EXIT_TRAIL_MIN": "0.025",
    "TRADINGD__RISK__MAX_POSITIONS": "5",
}
SILENT = EAGER | {"TRADINGD__COUNCIL__THRESHOLD": "1"}
SMALL = {"SOL/USDT": "0.2", "XRP/USDT": "50", "ETH/USDT": "0.02", "DOGE/USDT": "200"}
"""What is bought by hand, of symbols that the council leaves alone: some 40 to 100 USDT each."""
JUMP = Decimal("0.01")
"""The practice market moves less than this in the seconds of a restart."""


@dataclass(frozen=True)
class Before:
    """What the daemon said just before it was killed."""

    data_dir: Path
    child: int
    positions: dict[str, dict[str, Any]]
    armed: dict[str, dict[str, Any]]
    status: dict[str, Any]
    trade_count: int


def hold_by_hand(daemon: Process, first: str, second: str) -> None:
    """A trailing exit for all of the first; one for half of the second and a stop for the other half."""
    half = str(Decimal(SMALL[second]) / 2)
    daemon.trail(first, SMALL[first], "4")
    daemon.trail(second, half, "5")
    far = Decimal(daemon.positions()[second]["average_price"]) * Decimal("0.7")
    daemon.client.post("/api/orders", {
        "symbol": second, "side": "sell", "type": "stop", "quantity": half, "stop_price": f"{far:.2f}"})


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Before:
    """A position of the council with its protection, two by hand with exits, paused by the operator, then kill -9."""
    data_dir = tmp_path_factory.mktemp("crash") / "data"
    with running(data_dir, env=EAGER) as daemon:
        until(lambda: [o for o in daemon.orders() if o["origin"] == "protective" and o["trigger"]], "protection", 90)
        taken = {order["symbol"] for order in daemon.orders(state="PENDING")} | daemon.positions().keys()
        mine = sorted(SMALL, key=lambda symbol: symbol in taken)[:2]
        for symbol in mine:
            daemon.buy(symbol, SMALL[symbol])
        daemon.client.post("/api/trading/stop")
        hold_by_hand(daemon, *mine)
        first = {order["id"]: order["best"] for order in daemon.orders() if order["trigger"]}
        until(lambda: any(daemon.order(i)["best"] != best for i, best in first.items()), "a trail that moves", 60)
        for order in daemon.orders(state="PENDING"):
            if order["origin"] == "council":  # an exit of the council's, too near to the price for this test
                daemon.client.delete(f"/api/orders/{order['id']}")
        armed = {order["id"]: order for order in daemon.orders() if order["trigger"]}
        before = Before(
            data_dir, daemon.child(), daemon.positions(), armed, daemon.status(), len(tape_trades(data_dir))
        )
        daemon.kill()
    return before


@pytest.fixture(scope="module")
def again(killed: Before) -> Iterator[Process]:
    with running(killed.data_dir, env=SILENT) as daemon:
        yield daemon


def test_the_practice_exchange_of_the_dead_daemon_is_gone(killed: Before) -> None:
    until(lambda: not is_alive(killed.child), "the end of the orphaned practice exchange", 5)


def test_positions_are_as_before(killed: Before, again: Process) -> None:
    kept = ("quantity", "average_price", "opened", "entry_order_id")
    now = again.positions()
    assert now.keys() == killed.positions.keys()
    assert len(now) >= 3
    for symbol, row in killed.positions.items():
        assert {key: now[symbol][key] for key in kept} == {key: row[key] for key in kept}


def test_armed_exits_stand_where_they_stood_or_better(killed: Before, again: Process) -> None:
    assert {order["origin"] for order in killed.armed.values()} == {"manual", "protective"}
    for order_id, before in killed.armed.items():
        now = again.order(order_id)
        assert now["state"] == "PENDING", now
        assert now["quantity"] == before["quantity"]
        if before["type"] == "trailing":
            assert Decimal(now["best"]) >= Decimal(before["best"])
            assert Decimal(now["trigger"]) >= Decimal(before["trigger"])
        else:
            assert now["trigger"] == before["trigger"]


def test_money_and_the_operators_pause_are_as_before(killed: Before, again: Process) -> None:
    now = again.status()
    for key in ("realized_pnl", "fills", "kill"):
        assert now[key] == killed.status[key]
    assert Decimal(now["available"]) == Decimal(killed.status["available"])
    assert now["state"] == "REDUCING"
    assert next(vote for vote in now["votes"] if vote["voter"] == "operator")["state"] == "REDUCING"


def test_the_price_path_goes_on_without_a_jump(killed: Before, again: Process) -> None:
    def after() -> list[Any] | None:
        trades = tape_trades(killed.data_dir)
        new = trades[killed.trade_count :]
        return trades if {"SOLUSDT", "XRPUSDT"} <= {trade.symbol for trade in new[-200:]} else None

    assert again.status()["is_ready"]
    trades = until(after, "trades after the restart", 20)
    for symbol in ("SOLUSDT", "XRPUSDT"):
        own = [trade for trade in trades if trade.symbol == symbol]
        for earlier, later in pairwise(own):
            assert later.number > earlier.number
            assert abs(later.price - earlier.price) < earlier.price * JUMP


def test_the_session_ends_with_books_that_agree(killed: Before, again: Process) -> None:
    again.client.post("/api/positions/close")
    until(lambda: not again.positions(), "closed positions", 15)
    assert again.stop() == 0
    journal = journal_of(killed.data_dir)
    born = [m.body.order.client_order_id for m in journal if isinstance(m.body, OrderInitialized)]
    assert len(born) == len(set(born))
    assert not {order["id"] for order in killed.armed.values()} - set(born)
    check_books(journal)


def check_books(journal: list[Message]) -> None:
    """Every fill is counted once, belongs to an order that was sent, and the money adds up."""
    fills = [m.body for m in journal if isinstance(m.body, OrderFilled)]
    sent = {m.body.client_order_id for m in journal if isinstance(m.body, OrderSubmitted)}
    assert {fill.client_order_id for fill in fills} <= sent
    assert len({(fill.symbol, fill.trade_id) for fill in fills}) == len(fills)
    cash = sum((m.body.delta for m in journal if isinstance(m.body, FundsChanged)), ZERO)
    held: dict[str, Decimal] = {}
    for fill in fills:
        sign = 1 if fill.side == "buy" else -1
        cash -= sign * fill.quantity * fill.price + fill.fee
        held[fill.symbol] = held.get(fill.symbol, ZERO) + sign * fill.quantity
    last = [m.body for m in journal if isinstance(m.body, PortfolioSnapshot)][-1]
    assert last.cash == cash
    assert {view.symbol: view.quantity for view in last.positions} == {s: q for s, q in held.items() if q}


def test_the_kill_switch_outlives_kill_9_and_unlock_and_flatten_work(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with running(data_dir, env=SILENT) as daemon:
        daemon.buy("SOL/USDT", "0.2")
        answer = daemon.client.post("/api/trading/kill", {"action": "halt", "reason": "a test of the latch"})
        assert answer["state"] == "HALTED"
        daemon.kill()
    with running(data_dir, env=SILENT) as daemon:
        status = daemon.status()
        assert status["state"] == "HALTED"
        assert status["kill"]["reason"] == "a test of the latch"
        assert daemon.positions()["SOL/USDT"]["quantity"] == "0.2"
        assert daemon.client.post("/api/trading/unlock", {"reason": "seen", "confirm": "unlock"})["changed"]
        assert daemon.status()["kill"] is None
        daemon.client.post("/api/trading/kill", {"action": "flatten", "reason": "all out"})
        until(lambda: not daemon.positions(), "a flat account", 15)
        assert daemon.status()["state"] == "HALTED"
        daemon.kill()
    check_books(journal_of(data_dir))


def test_a_third_start_after_two_crashes_waits_for_a_person(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    for _ in range(2):
        with running(data_dir, env=SILENT) as daemon:
            daemon.kill()
    with running(data_dir, env=SILENT) as daemon:
        until(lambda: daemon.status()["state"] == "REDUCING", "a reduced state", 5)
        assert any("crash loop" in problem["text"] for problem in daemon.status()["problems"])
        daemon.client.post("/api/trading/start")
        until(lambda: daemon.status()["state"] == "ACTIVE", "trading after a person's word", 10)
