"""Protection guards what its own entry has brought: no more, whatever else is held of the symbol."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bus.messages.orders import Protection
from tests.orders.trading import BTC, Bench, instrument, sent

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

@pytest.mark.parametrize(("price", "stop"), [("0.00000005", "0.00000004"), ("0.00000051", "0.0000005")])
def test_where_a_tick_is_more_than_the_stops_distance_it_does_not_lie_at_the_entrys_own_price(price, stop) -> None:
    cheap = replace(instrument(BTC, tick="0.00000001", step="1"), max_quantity=D(10) ** 12)
    bench = Bench(instruments=[cheap])
    bench.hold("1000000000", price, protection=Protection(stop_ratio=D("0.01")))
    assert bench.order("td-entry-s").spec.stop_price == D(stop)
    assert not sent(bench.trade(price))
    assert sent(bench.trade(stop))
