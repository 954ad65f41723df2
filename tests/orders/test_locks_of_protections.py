"""Locks in the engine: placed by what went wrong, obeyed by the gate, lifted by a person, kept over a restart."""

from decimal import Decimal
from typing import Any

import pytest

from bus.ids import ClientOrderId, ProposalId
from bus.messages.council import ProposalApproved
from bus.messages.ledger import PositionClosed
from bus.messages.orders import CancelOrder, OrderDenied, Protection
from bus.messages.system import LiftLock, LockLifted, LockPlaced
from market.interval import SECOND_NS
from orders.effects import Effect
from risk.locks import Protections
from tests.orders.trading import BTC, ETH, Bench, of_type, sent

D = Decimal
STOP = Protection(stop_ratio=D("0.02"))


def bench_with(**rules: Any) -> Bench:
    return Bench(protections=Protections(**rules))


def stopped_out(bench: Bench, number: int, symbol: str = BTC) -> list[Effect]:
    """One round trip that its stop ends at a loss; the effects of its last fill."""
    entry = f"td-{number}"
    bench.trade("100", symbol)
    bench.submit(entry, "buy", "market", "1", symbol=symbol, protection=STOP)
    bench.accept(entry)
    bench.fill(entry, "1", "100")
    bench.trade("97.9", symbol)
    bench.accept(f"{entry}-s")
    effects = list(bench.fill(f"{entry}-s", "1", "97.9"))
    assert of_type(effects, PositionClosed)
    return effects


def won(bench: Bench, number: int) -> list[Effect]:
    bench.hold("1", "100", client_order_id=f"td-{number}")
    bench.submit(f"td-{number}x", "sell", "market", "1")
    bench.accept(f"td-{number}x")
    return list(bench.fill(f"td-{number}x", "1", "110"))


def entry_code(
    bench: Bench, client_order_id: str = "td-try", symbol: str = BTC, origin: str = "council",
) -> str:
    """With which code an entry is denied now; "" when it is sent."""
    bench.trade("100", symbol)
    proposal = ProposalId(client_order_id.removeprefix("td-"))
    bench.say(ProposalApproved(proposal, symbol, D(1), None, (), ""))
    effects = bench.submit(
        client_order_id, "buy", "limit", "1", symbol=symbol, price="99.9", origin=origin, proposal_id=proposal,
    )
    denials = of_type(effects, OrderDenied)
    assert bool(denials) != bool(sent(effects))
    return denials[0].code if denials else ""


def test_a_symbol_rests_after_an_exit_and_opens_by_itself() -> None:
    bench = bench_with(cooldown_ns=30 * SECOND_NS)
    (lock,) = of_type(won(bench, 1), LockPlaced)
    assert (lock.lock_id, lock.rule, lock.symbol, lock.since_ns) == ("lock-1", "cooldown", BTC, bench.now)
    assert entry_code(bench, "td-2") == "SYMBOL_LOCKED"
    assert entry_code(bench, "td-3", ETH) == ""
    bench.now = lock.until_ns - 1_000_001
    assert entry_code(bench, "td-4") == "SYMBOL_LOCKED"
    bench.now = lock.until_ns - 1_000_000  # the trade that follows takes one more millisecond: the end itself
    assert entry_code(bench, "td-5") == ""


def test_a_person_does_not_wait_for_a_cooldown_but_for_any_other_lock() -> None:
    bench = bench_with(cooldown_ns=30 * SECOND_NS, stop_guard_stops=2, stop_guard_pause_ns=20 * SECOND_NS)
    stopped_out(bench, 1)
    assert entry_code(bench, "td-a", origin="manual") == ""
    bench.say(CancelOrder(ClientOrderId("td-a"), ""))
    bench.report("td-a", "cancelled")
    stopped_out(bench, 2)
    assert entry_code(bench, "td-b", origin="manual") == "SYMBOL_LOCKED"


def test_the_last_allowed_stop_does_not_lock_and_the_next_one_does() -> None:
    bench = bench_with(stop_guard_stops=3, stop_guard_pause_ns=60 * SECOND_NS)
    assert not of_type(stopped_out(bench, 1), LockPlaced)
    assert not of_type(stopped_out(bench, 2), LockPlaced)
    (lock,) = of_type(stopped_out(bench, 3), LockPlaced)
    assert lock.reason == "3 losing stops within 600 s"
    assert entry_code(bench) == "SYMBOL_LOCKED"
    assert entry_code(bench, "td-e", ETH) == ""


def test_stops_of_all_symbols_together_lock_everything_where_a_person_wants_it_so() -> None:
    bench = bench_with(stop_guard_stops=2, stop_guard_scope="all")
    stopped_out(bench, 1)
    (lock,) = of_type(stopped_out(bench, 2, ETH), LockPlaced)
    assert lock.symbol == "*"
    assert entry_code(bench) == "ALL_LOCKED"


def test_an_exit_by_hand_is_no_stop() -> None:
    bench = bench_with(stop_guard_stops=1)
    bench.hold("1", "100")
    bench.submit("td-x", "sell", "market", "1")
    bench.accept("td-x")
    assert not of_type(bench.fill("td-x", "1", "90"), LockPlaced)


def test_locks_never_keep_an_exit_in() -> None:
    bench = bench_with(cooldown_ns=600 * SECOND_NS)
    won(bench, 1)
    bench.say(LiftLock("lock-1", "ann", "test"))
    bench.hold("1", "100", client_order_id="td-2")
    won_other = bench_with(cooldown_ns=600 * SECOND_NS)
    won_other.hold("2", "100")
    won_other.submit("td-a", "sell", "market", "1")
    won_other.accept("td-a")
    won_other.fill("td-a", "1", "100")
    assert sent(won_other.submit("td-b", "sell", "market", "1"))


def test_an_armed_entry_that_fires_into_a_lock_is_denied() -> None:
    bench = bench_with(stop_guard_stops=2)
    bench.trade("100")
    stopped_out(bench, 0)
    bench.submit("td-armed", "buy", "stop", "1", stop_price="120")
    stopped_out(bench, 1)
    (denial,) = of_type(bench.trade("121"), OrderDenied)
    assert (denial.client_order_id, denial.code) == ("td-armed", "SYMBOL_LOCKED")


def test_a_person_lifts_a_lock_once() -> None:
    bench = bench_with(cooldown_ns=600 * SECOND_NS)
    won(bench, 1)
    (lifted,) = of_type(bench.say(LiftLock("lock-1", "ann", "I looked")), LockLifted)
    assert (lifted.symbol, lifted.by, lifted.reason) == (BTC, "ann", "I looked")
    assert entry_code(bench) == ""
    (denial,) = of_type(bench.say(LiftLock("lock-1", "ann", "again")), OrderDenied)
    assert denial.code == "UNKNOWN_LOCK"


def test_after_a_person_lifted_it_the_same_stops_do_not_lock_again() -> None:
    bench = bench_with(stop_guard_stops=2)
    stopped_out(bench, 1)
    stopped_out(bench, 2)
    bench.say(LiftLock("lock-1", "ann", ""))
    assert not of_type(stopped_out(bench, 3), LockPlaced)
    assert of_type(stopped_out(bench, 4), LockPlaced)


def test_locks_and_what_they_are_judged_by_survive_a_restart() -> None:
    bench = bench_with(stop_guard_stops=3, cooldown_ns=60 * SECOND_NS)
    stopped_out(bench, 1)
    bench.now += 61 * SECOND_NS
    stopped_out(bench, 2)
    again = bench.restarted()
    assert entry_code(again, "td-a") == "SYMBOL_LOCKED"
    again.now += 61 * SECOND_NS
    placed = of_type(stopped_out(again, 3), LockPlaced)
    assert [(lock.lock_id, lock.rule) for lock in placed] == [("lock-3", "cooldown"), ("lock-4", "stop_guard")]


def test_a_lifted_lock_stays_lifted_after_a_restart() -> None:
    bench = bench_with(cooldown_ns=600 * SECOND_NS)
    won(bench, 1)
    bench.say(LiftLock("lock-1", "ann", ""))
    assert entry_code(bench.restarted()) == ""


@pytest.mark.parametrize(("losses", "is_locked"), [(2, False), (3, True)])
def test_a_symbol_that_earns_too_little_is_locked(losses: int, is_locked: bool) -> None:
    bench = bench_with(low_profit_trips=2, low_profit_ratio=D("-0.05"))
    placed = [lock for number in range(losses) for lock in of_type(stopped_out(bench, number), LockPlaced)]
    assert [lock.rule for lock in placed] == (["low_profit"] if is_locked else [])


def test_giving_back_too_much_of_equity_locks_everything() -> None:
    bench = bench_with(drawdown_guard_trips=2, drawdown_guard_ratio=D("0.0004"))
    assert not of_type(stopped_out(bench, 1), LockPlaced)
    (lock,) = of_type(stopped_out(bench, 2), LockPlaced)
    assert (lock.rule, lock.symbol) == ("drawdown_guard", "*")
    assert lock.reason == "2 round trips within 3600 s gave back 4.2 USDT, 0.04 % of equity"
    assert entry_code(bench) == "ALL_LOCKED"


def test_without_protections_nothing_is_ever_locked() -> None:
    bench = Bench()
    assert not [lock for number in range(6) for lock in of_type(stopped_out(bench, number), LockPlaced)]
