"""What is left of a position when all that can be sold is sold: it holds no place and hides no loss."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bus.messages.ledger import FundsChanged
from bus.messages.orders import OrderDenied
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
