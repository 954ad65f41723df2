"""What the risk officer's yes is good for: the one order that was approved, and no other."""

from dataclasses import replace
from typing import Any

import pytest

from bus.codec import decode, encode
from bus.ids import ClientOrderId, ProposalId
from bus.messages.council import ProposalApproved
from bus.messages.orders import CancelOrder, ModifyOrder, OrderDenied, OrderInitialized, Protection, TrailSpec
from market.interval import SECOND_NS
from orders import order_table
from orders.state import KEEP_VERDICTS
from tests.orders.trading import BTC, ETH, WIDE, Bench, D, of_type, sent

STOP = Protection(stop_ratio=D("0.02"))


@pytest.fixture
def bench() -> Bench:
    bench = Bench(replace(WIDE, duplicate_window_ns=0))
    bench.trade("100")
    bench.trade("10", ETH)
    bench.hold("5", "100", "td-held")
    return bench


def approve(bench: Bench, name: str = "p1", symbol: str = BTC, quantity: str = "1", **more: Any) -> None:
    bench.say(ProposalApproved(ProposalId(name), symbol, D(quantity), None, (), "ok", **more))
    assert bench.last_command is not None
    bench.journal.append(bench.last_command)  # the runtime writes verdicts down


def council(bench: Bench, order_id: str = "td-p1", side: str = "buy", quantity: str = "1", **more: Any) -> list[str]:
    """The code of the denial, or nothing when it was sent."""
    wish = {"order_type": "market", "origin": "council", "proposal_id": ProposalId("p1"), **more}
    effects = bench.submit(order_id, side, quantity=quantity, **wish)
    denials = of_type(effects, OrderDenied)
    assert bool(sent(effects)) is not bool(denials)
    return [each.code for each in denials]


def test_a_verdict_lets_through_the_order_that_was_approved(bench: Bench) -> None:
    approve(bench, side="buy", stop_ratio=D("0.02"), valid_until=bench.now + 10 * SECOND_NS)
    assert council(bench, protection=STOP) == []


@pytest.mark.parametrize("order_id", ["td-p2", "td-1", "p1", "td-p1-again"])
def test_it_is_good_for_one_order_id_alone(bench: Bench, order_id: str) -> None:
    approve(bench)
    assert council(bench, order_id) == ["VERDICT_MISMATCH"]


def test_it_is_good_for_one_order_once(bench: Bench) -> None:
    approve(bench)
    assert council(bench) == []
    bench.fill("td-p1", "1", "100")
    for number in range(3):
        assert council(bench, f"td-p1-{number}") == ["VERDICT_MISMATCH"]
    effects = bench.submit("td-p1", "buy", "market", "1", origin="council", proposal_id=ProposalId("p1"))
    assert not sent(effects)
    assert not of_type(effects, OrderInitialized)


def test_it_is_good_for_one_symbol(bench: Bench) -> None:
    approve(bench)
    assert council(bench, symbol=ETH) == ["VERDICT_MISMATCH"]


def test_a_yes_to_buying_is_none_to_selling(bench: Bench) -> None:
    approve(bench, side="buy")
    assert council(bench, side="sell") == ["VERDICT_MISMATCH"]
    approve(bench, "p2", side="sell")
    assert council(bench, "td-p2", proposal_id=ProposalId("p2")) == ["VERDICT_MISMATCH"]
    approve(bench, "p3", side="sell")
    assert council(bench, "td-p3", "sell", proposal_id=ProposalId("p3")) == []


def test_it_ends_with_its_time(bench: Bench) -> None:
    approve(bench, valid_until=bench.now + 10 * SECOND_NS)
    approve(bench, "p2", valid_until=bench.now + 10 * SECOND_NS)
    bench.second(9)
    bench.trade("100")
    assert council(bench) == []
    bench.second()
    bench.trade("100")
    assert council(bench, "td-p2", proposal_id=ProposalId("p2")) == ["VERDICT_MISMATCH"]


def test_what_was_let_through_in_time_may_fire_later(bench: Bench) -> None:
    approve(bench, side="buy", valid_until=bench.now + 10 * SECOND_NS)
    bench.submit(
        "td-p1", "buy", "trailing", "1", origin="council", proposal_id=ProposalId("p1"),
        trail=TrailSpec("percent", D("0.02")),
    )
    bench.second(300)
    bench.trade("97")
    assert [each.approved.order.client_order_id for each in sent(bench.trade("99"))] == ["td-p1"]


@pytest.mark.parametrize(
    "protection", [None, Protection(), Protection(trail=TrailSpec("percent", D("0.02"))),
                   Protection(stop_ratio=D("0.03")), Protection(stop_ratio=D("0.01"))],
)
def test_a_buy_without_the_stop_that_was_approved_is_refused(bench: Bench, protection: Protection | None) -> None:
    approve(bench, side="buy", stop_ratio=D("0.02"))
    assert council(bench, protection=protection) == ["VERDICT_MISMATCH"]


def test_a_sale_needs_no_stop(bench: Bench) -> None:
    approve(bench, side="sell", stop_ratio=D("0.02"))
    assert council(bench, side="sell") == []


@pytest.mark.parametrize("field", ["parent_id", "replaces"])
def test_no_order_of_the_council_comes_in_the_place_or_from_the_purchase_of_another(bench: Bench, field: str) -> None:
    approve(bench)
    assert council(bench, **{field: ClientOrderId("td-held")}) == ["VERDICT_MISMATCH"]


def test_what_the_engine_gives_in_the_place_of_an_approved_order_needs_no_verdict_of_its_own(bench: Bench) -> None:
    approve(bench, side="buy", stop_ratio=D("0.02"), valid_until=bench.now + SECOND_NS)
    bench.submit(
        "td-p1", "buy", "limit", "1", price="99", origin="council", proposal_id=ProposalId("p1"), protection=STOP,
    )
    bench.accept("td-p1")
    bench.second(3)
    bench.trade("100")
    bench.say(ModifyOrder(ClientOrderId("td-p1"), price=D(98)))
    (call,) = sent(bench.report("td-p1", "cancelled"))
    assert (call.approved.order.price, call.approved.order.proposal_id) == (98, "p1")


def test_the_gate_itself_takes_a_verdict_for_another_symbol_or_side_for_none(bench: Bench) -> None:
    approve(bench, side="buy")
    state = bench.engine.desk.state
    assert state.approved_quantity(ProposalId("p1"), BTC, "buy") == 1
    assert state.approved_quantity(ProposalId("p1"), ETH, "buy") is None
    assert state.approved_quantity(ProposalId("p1"), BTC, "sell") is None
    assert state.approved_quantity(ProposalId("p2"), BTC, "buy") is None


def test_a_restart_knows_what_each_verdict_is_good_for(bench: Bench) -> None:
    approve(bench, side="buy", stop_ratio=D("0.02"), valid_until=bench.now + 10 * SECOND_NS)
    again = bench.restarted()
    again.engine.finish_restore(again.now)
    again.trade("100")
    again.trade("10", ETH)
    assert council(again, "td-x") == ["VERDICT_MISMATCH"]
    assert council(again, protection=STOP) == []


def test_a_verdict_of_an_older_journal_says_nothing_of_side_time_and_stop_and_still_holds(bench: Bench) -> None:
    approve(bench)
    written = encode(bench.journal[-1])
    for field in (b'"side"', b'"stop_ratio"', b'"valid_until"'):
        assert field in written
    older = written.replace(b',"side":"","stop_ratio":null,"valid_until":0', b"")
    assert len(older) < len(written)
    assert decode(older) == bench.journal[-1]
    bench.second(86_400)
    bench.trade("100")
    assert council(bench) == []


def test_old_verdicts_are_forgotten(bench: Bench) -> None:
    for number in range(KEEP_VERDICTS + 1):
        bench.engine.restore(bench._commands.make(
            ProposalApproved(ProposalId(f"p{number}"), BTC, D(1), None, (), "ok"), bench.now,
        ))
    assert council(bench, "td-p0", proposal_id=ProposalId("p0")) == ["NO_VERDICT"]
    assert council(bench) == []


def forget(bench: Bench) -> None:
    """What has ended leaves the memory: no fill of it can be on its way any more, and others end after it."""
    bench.second(601)
    bench.trade("100")
    bench.trade("10", ETH)
    for _ in range(8):
        bench.submit(f"td-no{bench.engine._desk.state.born + len(bench.journal)}", "buy", "limit", "2000", price=D(99))


def test_a_verdict_is_forgotten_with_its_order(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_table, "KEEP_ENDED", 3)
    approve(bench)
    approve(bench, "p2", ETH)
    assert council(bench, price=D(99), order_type="limit", time_in_force="GTC") == []
    assert council(bench, "td-p2", symbol=ETH, proposal_id=ProposalId("p2")) == []
    bench.report("td-p2", "cancelled")
    verdicts = bench.engine._desk.state.verdicts
    forget(bench)
    assert list(verdicts) == [ProposalId("p1")], "its order works"
    latest = ClientOrderId("td-p1")
    for price in (98, 97):
        bench.say(ModifyOrder(latest, price=D(price), reason="lower"))
        bench.report(latest, "cancelled")
        (successor,) = bench.engine.orders.working(BTC)
        assert successor.spec.replaces == latest
        latest = successor.client_order_id
    forget(bench)
    assert bench.engine.orders.get(ClientOrderId("td-p1")) is None
    assert list(verdicts) == [ProposalId("p1")], "the one in its successor's place works"
    assert bench.restarted().engine._desk.state.verdicts == verdicts
    bench.say(CancelOrder(latest, "enough"))
    bench.report(latest, "cancelled")
    forget(bench)
    assert list(verdicts) == []


def test_contents_are_known_for_the_longest_window_of_duplicates(bench: Bench) -> None:
    recent = bench.engine._desk.state.recent
    before = len(recent)
    for number in range(3):
        assert bench.submit(f"td-{number}", "buy", "limit", "1", price=D(99), time_in_force="GTC", origin="manual")
    assert len(recent) == before + 3
    bench.second(3600)
    bench.trade("100")
    bench.submit("td-last", "buy", "limit", "1", price=D(99), time_in_force="GTC", origin="manual")
    assert [each[2] for each in recent] == ["td-last"]
    assert list(bench.restarted().engine._desk.state.recent) == list(recent)
