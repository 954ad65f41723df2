"""What is left of a position when all that can be sold is sold: it holds no place and hides no loss."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bus.messages.ledger import FundsChanged, PositionClosed
from bus.messages.orders import (
    CancelOrder,
    ClosePosition,
    ModifyOrder,
    OrderDenied,
    OrderInitialized,
    OrderUpdated,
    Protection,
    TrailSpec,
)
from orders import exits
from orders.order_table import Order
from tests.orders.trading import BTC, ETH, WIDE, Bench, instrument, of_type, sent

D = Decimal


@pytest.fixture
def bench() -> Bench:
    """Of a coin bought with a fee in kind all but 0.00007 was sold again; one position may be open."""
    made = Bench(replace(WIDE, max_positions=1))
    made.trade("10", ETH)
    made.submit("td-e", "buy", "market", "1", symbol=ETH)
    made.fill("td-e", "1", "10", fee="0.00103", fee_asset="ETH")
    made.submit("td-s", "sell", "market", "0.9989", symbol=ETH)
    made.fill("td-s", "0.9989", "10")
    return made


def without_eth(bench: Bench) -> Bench:
    """A new process that is not told of the symbol any more."""
    bench.instruments = (instrument(BTC),)
    again = bench.restarted()
    again.engine.finish_restore(again.now)
    again.trade("100")
    return again


def test_dust_is_told_as_dust_and_takes_no_position(bench):
    (line,) = bench.engine.look().positions
    assert (line.symbol, line.quantity, line.is_dust) == (ETH, D("0.00007"), True)
    bench.trade("100")
    assert sent(bench.submit("td-b", "buy", "market", "1"))


def test_a_position_is_told_with_the_moment_it_was_opened_and_dust_without_one(bench):
    assert [line.opened_ns for line in bench.engine.look().positions] == [0]
    bench.second()
    opened = bench.now
    bench.submit("td-b", "buy", "market", "1", symbol=ETH)
    bench.fill("td-b", "0.5", "10")
    bench.second(60)
    bench.fill("td-b", "0.5", "10")
    (line,) = bench.engine.look().positions
    assert opened <= line.opened_ns < opened + 1_000_000_000
    assert [each.opened_ns for each in bench.restarted().engine.look().positions] == [line.opened_ns]


def test_once_some_was_sold_nobody_says_when_what_is_held_was_bought(bench):
    """What remained may have been too little to sell; a purchase of now is not as old as it."""
    bench.second()
    bench.submit("td-b", "buy", "market", "1", symbol=ETH)
    bench.fill("td-b", "1", "10")
    bench.submit("td-s", "sell", "market", "0.9", symbol=ETH)
    bench.fill("td-s", "0.9", "10")
    bench.second(60)
    bench.submit("td-c", "buy", "market", "2", symbol=ETH)
    bench.fill("td-c", "2", "10")
    assert [each.opened_ns for each in bench.restarted().engine.look().positions] == [0]


def test_dust_of_a_symbol_that_is_watched_no_longer_takes_no_position_either(bench):
    again = without_eth(bench)
    assert [line.is_dust for line in again.engine.look().positions] == [True]
    assert sent(again.submit("td-b", "buy", "market", "1"))


def test_losses_are_measured_beside_dust_that_no_price_will_ever_be_heard_of(bench):
    again = without_eth(bench)
    again.submit("td-b", "buy", "market", "50")
    again.fill("td-b", "50", "100")
    again.trade("80")
    again.second()
    assert again.engine.look().max_drawdown == pytest.approx(0.1, abs=1e-4)


def test_a_whole_position_in_a_symbol_that_is_watched_no_longer_keeps_its_place():
    bench = Bench(replace(WIDE, max_positions=1))
    bench.trade("10", ETH)
    bench.submit("td-e", "buy", "market", "1", symbol=ETH)
    bench.fill("td-e", "1", "10")
    again = without_eth(bench)
    assert [line.is_dust for line in again.engine.look().positions] == [False]
    (denial,) = of_type(again.submit("td-b", "buy", "market", "1"), OrderDenied)
    assert denial.code == "MAX_POSITIONS"


def test_coins_that_went_by_hand_stay_gone_when_their_symbol_is_watched_no_longer():
    bench = Bench(WIDE)
    bench.trade("10", ETH)
    bench.submit("td-e", "buy", "market", "1", symbol=ETH)
    bench.fill("td-e", "1", "10")
    bench.say(FundsChanged("ETH", D(-1), D(0), "sold or moved by hand"))
    again = without_eth(bench)
    assert again.engine.ledger.accounts() == bench.engine.ledger.accounts()
    assert again.engine.ledger.quantity(ETH) == 0


# ---- what the venue would not sell alone (less than 5 USDT)


STOP = Protection(stop_ratio=D("0.02"))


def bought_in_two(first: str, second: str, protection: Protection = STOP, **more: object) -> Bench:
    """A limit buy is filled for a part, changed, and its successor filled for the rest: each has its own exits."""
    bench = Bench(replace(WIDE, max_positions=1), **more)  # type: ignore[arg-type]
    bench.quote("99.9", "100.1")
    bench.trade("100")
    bench.trade("10", ETH)
    bench.submit("td-1", "buy", "limit", "1", price="99.5", protection=protection)
    bench.accept("td-1")
    bench.fill("td-1", first, "99.5")
    (made,) = of_type(bench.say(ModifyOrder("td-1", price=D("99.6"))), OrderInitialized)
    bench.report("td-1", "cancelled")
    bench.accept(made.order.client_order_id)
    bench.fill(made.order.client_order_id, second, "99.6")
    return bench


def second_stop(bench: Bench) -> Order:
    stops = [each for each in bench.engine.orders.exits(BTC) if each.spec.tag == "stop"]
    (found,) = [each for each in stops if each.spec.parent_id != "td-1"]
    return found


def test_a_stop_takes_along_what_would_be_left_too_small_to_be_sold():
    bench = bought_in_two("0.04", "0.96")
    stop = second_stop(bench).client_order_id
    effects = bench.trade("97")
    (sale,) = sent(effects)
    assert (sale.approved.order.client_order_id, sale.approved.order.quantity) == (stop, 1)
    assert "would not sell alone" in of_type(effects, OrderUpdated)[0].reason
    effects = bench.fill(stop, "1", "97")
    assert len(of_type(effects, PositionClosed)) == 1
    assert bench.engine.orders.exits(BTC) == ()
    assert bench.engine.look().positions == ()


def test_a_stop_leaves_the_rest_of_the_position_where_that_can_be_sold():
    bench = bought_in_two("0.06", "0.94")
    (sale,) = sent(bench.trade("97.6"))
    assert sale.approved.order.quantity == D("0.94")
    assert bench.order("td-1-s").is_armed


def test_the_stop_at_the_venue_makes_way_and_all_of_the_position_goes_in_one_order():
    bench = bought_in_two("0.04", "0.96", disaster_stop=True)
    (call,) = sent(bench.second())
    resting = call.approved.order.client_order_id
    bench.accept(resting)
    assert sent(bench.trade("97.6")) == []
    (sale,) = sent(bench.report(resting, "cancelled"))
    assert sale.approved.order.quantity == 1


def test_what_a_person_sells_is_sold_and_no_more():
    bench = bought_in_two("0.04", "0.96")
    (sale,) = sent(bench.submit("td-part", "sell", "market", "0.96"))
    assert sale.approved.order.quantity == D("0.96")


def test_a_rest_that_a_persons_limit_is_selling_is_left_to_it():
    bench = bought_in_two("0.06", "0.94")
    bench.say(CancelOrder("td-1-s"))
    bench.submit("td-limit", "sell", "limit", "0.06", price="190")
    bench.accept("td-limit")
    bench.quote("80", "80.2")  # there the rest would be worth 4.80
    (sale,) = sent(bench.trade("80.1"))
    assert sale.approved.order.quantity == D("0.94")
    assert bench.order("td-limit").detail == "accepted"


def test_an_exit_that_leaves_as_a_limit_takes_nothing_along():
    bench = bought_in_two("0.04", "0.96", Protection(trail=TrailSpec("percent", D("0.02"), limit_offset=D("0.001"))))
    sales = [call.approved.order for call in sent(bench.trade("97"))]
    assert [(order.wire_type, order.quantity) for order in sales] == [("limit", D("0.96"))]


def test_nothing_is_taken_along_while_no_price_is_known():
    again = bought_in_two("0.4", "0.6").restarted()
    again.engine.finish_restore(again.now)
    stop = second_stop(again)
    assert exits.crumb(again.engine.desk, stop.spec, D("0.6")) == 0


def test_a_rest_too_small_to_be_sold_takes_no_place_among_the_positions():
    bench = bought_in_two("0.04", "0.96")
    bench.submit("td-part", "sell", "market", "0.96")
    bench.fill("td-part", "0.96", "100")
    (line,) = bench.engine.look().positions
    assert (line.quantity, line.is_dust, line.is_below_minimum) == (D("0.04"), False, True)
    assert bench.engine.look().counted_symbols == ()
    assert bench.engine.look().open_symbols == (BTC,)
    assert of_type(bench.say(ClosePosition(BTC)), OrderDenied)[0].code == "POSITION_IS_DUST"
    assert sent(bench.submit("td-eth", "buy", "market", "10", symbol=ETH))


def test_a_position_without_a_price_keeps_its_place():
    bench = bought_in_two("0.04", "0.96")
    bench.submit("td-part", "sell", "market", "0.96")
    bench.fill("td-part", "0.96", "100")
    again = bench.restarted()
    again.engine.finish_restore(again.now)
    assert again.engine.look().counted_symbols == (BTC,)
