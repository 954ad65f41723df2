"""T9: what an entry of the council may pay. Exits are never limited."""

from decimal import Decimal
from typing import Any

import pytest

from bus.ids import ProposalId
from bus.messages.council import ProposalApproved
from bus.messages.orders import OrderCancelled, Protection, TrailSpec
from market.interval import SECOND_NS
from orders.entry_price import EntryRule
from tests.orders.trading import BTC, START, WIDE, Bench, D, of_type, sent

HOUR = 3_600 * SECOND_NS
TWO_O_CLOCK = START - START % (24 * HOUR) + 38 * HOUR


def bench(at: int = TWO_O_CLOCK - HOUR, bid: str = "99.95", ask: str = "100.00", **rule: Any) -> Bench:
    made = Bench(WIDE, entries=EntryRule(**rule))
    made.now = at
    made.trade("100")
    made.quote(bid, ask)
    return made


def council_buy(made: Bench, **more: Any) -> Any:
    proposal = ProposalId("p1")
    made.say(ProposalApproved(proposal, BTC, D(1), None, (), "fine"))
    effects = made.submit("td-p1", "buy", more.pop("order_type", "market"), "1", origin="council", proposal_id=proposal,
                          **more)
    return sent(effects)[0].approved.order if sent(effects) else None


def test_an_entry_takes_what_is_offered_at_a_thousandth_beyond_the_touch_and_no_more() -> None:
    order = council_buy(bench())
    assert (order.wire_type, order.price, order.time_in_force) == ("limit", D("100.10"), "IOC")


def test_the_cap_is_rounded_down_but_never_below_the_touch() -> None:
    assert council_buy(bench(bid="99.95", ask="100.01")).price == D("100.11")  # 100.11001
    assert council_buy(bench(bid="99.95", ask="100.01", max_slippage=D("0.00001"))).price == D("100.01")


def test_a_wide_spread_rests_in_the_middle() -> None:
    order = council_buy(bench(bid="99.70", ask="100.00"))  # 0.3 %
    assert (order.price, order.time_in_force) == (D("99.85"), "GTC")


def test_in_busy_hours_entries_rest_in_the_middle_unless_that_is_switched_off() -> None:
    assert council_buy(bench(TWO_O_CLOCK)).time_in_force == "GTC"
    assert council_buy(bench(TWO_O_CLOCK + 2 * HOUR)).time_in_force == "IOC"
    assert council_buy(bench(TWO_O_CLOCK, busy_hours=False)).time_in_force == "IOC"


def test_a_fired_trailing_entry_is_capped_too() -> None:
    made = bench()
    council_buy(made, order_type="trailing", trail=TrailSpec("percent", D("0.01")))
    effects = made.trade("101")
    order = sent(effects)[0].approved.order
    assert (order.price, order.time_in_force) == (D("100.10"), "IOC")


def test_a_persons_market_order_and_every_exit_leave_at_market() -> None:
    made = bench()
    effects = made.submit("td-mine", "buy", "market", "1", protection=Protection(stop_ratio=D("0.01")))
    assert sent(effects)[0].approved.order.wire_type == "market"
    made.accept("td-mine")
    made.fill("td-mine", "1", "100")
    assert sent(made.trade("98"))[0].approved.order.wire_type == "market"


def test_what_the_book_did_not_give_ends_and_what_it_gave_is_protected() -> None:
    made = bench()
    council_buy(made, protection=Protection(stop_ratio=D("0.02")))
    made.accept("td-p1")
    made.fill("td-p1", "0.4", "100.05")
    effects = made.report("td-p1", "cancelled", reason="no more depth")
    assert [fact.by for fact in of_type(effects, OrderCancelled)] == ["venue"]
    assert made.engine.ledger.quantity(BTC) == D("0.4")
    assert sum(order.spec.quantity for order in made.engine.orders.exits(BTC)) == D("0.4")


@pytest.mark.parametrize("ratio", ["0", "1", "-0.1"])
def test_a_cap_that_is_no_ratio_is_refused(ratio: str) -> None:
    with pytest.raises(ValueError, match="max_slippage"):
        EntryRule(Decimal(ratio))
