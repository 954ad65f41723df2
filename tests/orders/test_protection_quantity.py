"""Protection guards what its own entry has brought: no more, whatever else is held of the symbol."""

from decimal import Decimal

from bus.messages.orders import Protection
from tests.orders.trading import Bench

D = Decimal
STOP = Protection(stop_ratio=D("0.02"))


def test_beside_another_position_a_part_of_an_entry_is_protected_for_that_part() -> None:
    bench = Bench()
    bench.hold("3", "100", client_order_id="td-before")
    bench.submit("td-e", "buy", "limit", "2", price="99.5", protection=STOP)
    bench.accept("td-e")
    bench.fill("td-e", "0.5", "99.5")
    assert bench.order("td-e-s").spec.quantity == D("0.5")
    bench.fill("td-e", "0.7", "99.5")
    assert bench.order("td-e-s").spec.quantity == D("1.2")


def test_a_fee_taken_in_coins_is_not_protected() -> None:
    bench = Bench()
    bench.hold("3", "100", client_order_id="td-before")
    bench.submit("td-e", "buy", "limit", "2", price="99.5", protection=STOP)
    bench.fill("td-e", "2", "99.5", fee="0.002", fee_asset="BTC")
    assert bench.order("td-e-s").spec.quantity == D("1.998")


def test_the_stop_of_an_entry_does_not_sell_what_was_there_before_it() -> None:
    bench = Bench()
    bench.hold("3", "100", client_order_id="td-before")
    bench.submit("td-e", "buy", "limit", "2", price="99.5", protection=STOP)
    bench.accept("td-e")
    bench.fill("td-e", "0.5", "99.5")
    bench.report("td-e", "cancelled")
    bench.trade("97")
    bench.trade("97")
    exit_order = bench.order("td-e-s")
    assert exit_order.is_at_venue
    assert exit_order.total == D("0.5")
