"""T15: slippage against three prices, fill times, fees and refusals, from facts alone."""

from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.codec import decode, encode
from bus.ids import ProposalId
from bus.messages.council import ProposalApproved, TradeProposed
from bus.messages.header import Message
from bus.messages.orders import Protection, TrailSpec
from market.interval import SECOND_NS
from tests.orders.trading import BTC, ETH, Bench
from tradingd.execution_quality import QualityFold, QualityView
from tradingd.packed_ring import UNPACKED

D = Decimal
TRAIL = TrailSpec("percent", D("0.02"))


def quality(messages: list[Message], **bounds: int) -> QualityFold:
    fold = QualityFold(**bounds)
    for message in messages:
        fold.apply(message)
    return fold


def view(bench: Bench, **more: Any) -> QualityView:
    return quality(bench.journal).view(**more)


def sold_behind_a_trail(fill: str = "102.4", fee: str = "0.1") -> Bench:
    """T3's worked case: armed at 100, best 105, trigger 102.9, fired at 102.5, sold at `fill`."""
    bench = Bench()
    bench.hold("1", "100")
    bench.submit("td-x", "sell", "trailing", "1", trail=TRAIL)
    bench.trade("105")
    bench.quote("102.45", "102.55")
    bench.trade("102.5")
    bench.accept("td-x")
    bench.now += 40_000_000
    bench.fill("td-x", "0.25", fill, fee="0")
    bench.now += 60_000_000
    bench.fill("td-x", "0.75", fill, fee=fee)
    return bench


def test_a_fired_trail_is_measured_from_arming_from_its_trigger_and_from_the_touch() -> None:
    order = next(each for each in view(sold_behind_a_trail()).orders if each.order_id == "td-x")
    assert order.arrival is not None
    assert order.trigger is not None
    assert order.sent is not None
    assert (order.arrival.reference, order.arrival.quote, order.arrival.ratio) == ("100", "-2.4", -0.024)
    assert (order.trigger.reference, order.trigger.quote) == ("102.9", "0.5")
    assert (order.sent.reference, order.sent.quote) == ("102.45", "0.05")
    assert order.trigger.ratio == float(D("0.5") / D("102.9"))
    assert (order.fills, order.filled, order.average_price, order.fees) == (2, "1", "102.4", "0.1")


def test_fill_times_count_from_the_sending_to_the_first_and_the_last_fill() -> None:
    told = view(sold_behind_a_trail())
    order = next(each for each in told.orders if each.order_id == "td-x")
    assert (order.first_fill_ms, order.last_fill_ms) == (40.0, 100.0)
    assert told.slowest_fill_ms == 100.0


def test_a_buy_that_paid_more_slipped_and_one_that_paid_less_did_not() -> None:
    bench = Bench()
    bench.trade("100")
    bench.quote("99.9", "100.1")
    bench.submit("td-a", "buy", "market", "1")
    bench.accept("td-a")
    bench.fill("td-a", "1", "100.2")
    told = view(bench)
    assert (told.sent.orders, told.sent.quote, told.sent.ratio) == (1, "0.1", float(D("0.1") / D("100.1")))
    assert told.trigger.orders == 0
    assert told.trigger.ratio is None


def test_totals_weigh_by_value_and_add_up_money() -> None:
    bench = Bench()
    bench.trade("100")
    bench.trade("10", symbol=ETH)
    for name, symbol, quantity, price in (("td-a", BTC, "10", "101"), ("td-b", ETH, "1", "9")):
        bench.submit(name, "buy", "market", quantity, symbol=symbol)
        bench.accept(name)
        bench.fill(name, quantity, price, fee="0.5")
    told = view(bench)
    assert (told.sent.quote, told.sent.ratio) == ("9", 9 / 1010)  # +10 of 1,000 and -1 of 10
    assert (told.value, told.fees, told.fee_ratio) == ("1019", "1", 1 / 1019)
    assert view(bench, symbol=ETH).sent.quote == "-1"


def test_the_decision_is_the_proposals_price_when_there_was_a_proposal() -> None:
    bench = Bench()
    proposal = ProposalId("p1")
    wish = TradeProposed(
        proposal, BTC, "buy", D(1), D(98), 0.7, (), "momentum", None, Protection(), 0, False, "because",
    )
    bench.trade("100")
    bench.journal.append(bench._commands.make(wish, bench.now))
    approved = bench._commands.make(ProposalApproved(proposal, BTC, D(1), None, (), "fine"), bench.now)
    bench.journal.append(approved)
    bench.engine.process(approved)
    bench.submit("td-p1", "buy", "market", "1", origin="council", proposal_id=proposal)
    bench.accept("td-p1")
    bench.fill("td-p1", "1", "101")
    (order,) = view(bench).orders
    assert order.arrival is not None
    assert order.sent is not None
    assert (order.arrival.quote, order.sent.quote) == ("3", "1")


def test_refusals_are_counted_by_code_and_the_venues_apart_from_ours() -> None:
    bench = Bench()
    bench.trade("100")
    bench.submit("td-big", "buy", "market", "5000")
    bench.submit("td-big2", "buy", "market", "5000")
    bench.submit("td-odd", "buy", "limit", "1")
    bench.submit("td-no", "buy", "market", "1")
    bench.report("td-no", "rejected", reason="closed")
    told = view(bench)
    assert (told.rejected, told.denied, told.filled_orders) == (1, 3, 0)
    assert sum(each.count for each in told.denials) == 3
    assert told.denials[0].count == 2
    assert "INVALID_ORDER" in {each.code for each in told.denials}
    assert told.average_first_fill_ms is None


def test_only_the_period_asked_for_counts() -> None:
    bench = sold_behind_a_trail()
    later = bench.now
    bench.now += 3 * SECOND_NS
    bench.trade("100")
    bench.submit("td-new", "buy", "market", "1")
    bench.accept("td-new")
    bench.fill("td-new", "1", "100")
    assert [each.order_id for each in view(bench, since_ns=later + 1).orders] == ["td-new"]
    assert view(bench, since_ns=later + 1).filled_orders == 1
    assert [each.order_id for each in view(bench, limit=2).orders] == ["td-new", "td-x"]


def test_a_restart_that_reads_the_journal_tells_the_same() -> None:
    bench = sold_behind_a_trail()
    read = [decode(encode(message)) for message in bench.journal]
    assert quality(read).view() == view(bench)
    assert orjson.dumps(view(bench))


def test_what_is_kept_is_bounded_and_what_was_sent_last_stays() -> None:
    bench = Bench(capital="1000000")
    bench.trade("100")
    for number in range(6):
        bench.submit(f"td-{number}", "buy", "market", "1")
        bench.accept(f"td-{number}")
        bench.fill(f"td-{number}", "1", "100")
        bench.submit(f"td-bad{number}", "buy", "market", "900000")
    told = quality(bench.journal, max_executions=3, max_refusals=4).view()
    assert {each.order_id for each in told.orders} == {"td-5", "td-4", "td-3"}
    assert told.denied == 4


def test_orders_that_ended_without_a_fill_push_none_out_that_filled() -> None:
    bench = Bench(capital="1000000")
    bench.trade("100")
    bench.submit("td-filled", "buy", "market", "1")
    bench.accept("td-filled")
    bench.fill("td-filled", "1", "100")
    bench.submit("td-part", "buy", "limit", "1", price="99")
    bench.accept("td-part")
    bench.fill("td-part", "0.5", "99")
    bench.report("td-part", "cancelled")
    for number, end in enumerate(("cancelled", "expired", "rejected") * 2):
        bench.submit(f"td-{number}", "buy", "limit", "1", price="99")
        if end != "rejected":
            bench.accept(f"td-{number}")
        bench.report(f"td-{number}", end)
    told = quality(bench.journal, max_executions=3).view()
    assert {each.order_id for each in told.orders} == {"td-filled", "td-part"}


@pytest.mark.parametrize("end", ["cancelled", "expired"])
def test_a_fill_that_is_told_after_the_end_is_measured_too(end: str) -> None:
    bench = Bench(capital="1000000")
    bench.trade("100")
    bench.submit("td-late", "buy", "limit", "1", price="99")
    bench.accept("td-late")
    bench.report("td-late", end)
    bench.fill("td-late", "1", "99")
    told = view(bench)
    assert (told.filled_orders, told.fills, told.value) == (1, 1, "99")


def test_a_fill_of_an_order_that_many_newer_ones_have_pushed_aside_is_measured_with_the_earlier_ones() -> None:
    bench = Bench(capital="10000000")
    bench.trade("100")
    bench.submit("td-slow", "buy", "limit", "2", price="99")
    bench.accept("td-slow")
    bench.fill("td-slow", "1", "99")
    for number in range(UNPACKED + 5):
        bench.submit(f"td-{number}", "buy", "market", "1")
        bench.accept(f"td-{number}")
        bench.fill(f"td-{number}", "1", "100")
    bench.fill("td-slow", "1", "98")
    told = view(bench, limit=500)
    slow = next(each for each in told.orders if each.order_id == "td-slow")
    assert (slow.fills, slow.filled, slow.average_price) == (2, "2", "98.5")
    assert told.filled_orders == UNPACKED + 6


@settings(max_examples=60, deadline=None)
@given(st.lists(
    st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 50), st.integers(9_000, 11_000)), max_size=12,
))
def test_slippage_in_money_is_what_the_fills_cost_beyond_the_reference(fills: list[tuple[str, int, int]]) -> None:
    bench = Bench(capital="10000000")
    bench.hold("1000", "100", client_order_id="td-stock")
    expected = D(0)
    for number, (side, quantity, cents) in enumerate(fills):
        bench.submit(f"td-{number}", side, "market", str(quantity))
        if not bench.order(f"td-{number}").submitted_ns:
            continue
        bench.accept(f"td-{number}")
        bench.fill(f"td-{number}", str(quantity), D(cents) / 100)
        beyond = D(quantity) * (D(cents) / 100 - 100)
        expected += beyond if side == "buy" else -beyond
    assert D(view(bench).sent.quote) == expected


def test_an_unknown_symbol_is_no_error() -> None:
    told = view(sold_behind_a_trail(), symbol="NOPE/USDT")
    assert (told.filled_orders, told.orders, told.fee_ratio) == (0, (), None)
