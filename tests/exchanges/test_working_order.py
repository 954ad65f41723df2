"""What an order adapter remembers of an order that works at the venue."""

from decimal import Decimal

from bus.ids import ClientOrderId, TradeId
from bus.messages.orders import ExecType, ExecutionReport
from exchanges.working_order import TOLD_OF_S, WorkingOrder
from market.interval import SECOND_NS

D = Decimal
T0 = 1_723_161_255 * SECOND_NS


def report(exec_type: ExecType, quantity: str = "0", trade: str = "") -> ExecutionReport:
    return ExecutionReport(
        ClientOrderId("td-1"), "BTC/USDT", exec_type, T0, trade_id=TradeId(trade), quantity=D(quantity)
    )


def test_a_fill_that_is_told_twice_counts_once():
    order = WorkingOrder("BTC/USDT", D(1), T0)
    for trade, quantity in (("7", "0.4"), ("7", "0.4"), ("8", "0.5")):
        order.note(report("fill", quantity, trade), T0)
    assert (order.filled, order.remaining) == (D("0.9"), D("0.1"))
    assert not order.is_filled
    order.note(report("fill", "0.1", "9"), T0)
    assert order.is_filled


def test_only_the_venues_word_that_it_has_the_order_makes_its_absence_unbelievable_and_not_for_ever():
    order = WorkingOrder("BTC/USDT", D(1), T0)
    order.note(report("unknown"), T0)
    assert not order.was_told_of(T0)
    order.note(report("accepted"), T0)
    assert order.was_told_of(T0 + int(TOLD_OF_S * SECOND_NS) - 1)
    assert not order.was_told_of(T0 + int(TOLD_OF_S * SECOND_NS))


def test_what_the_venue_has_told_of_is_absent_when_it_was_not_there_for_a_while():
    order = WorkingOrder("BTC/USDT", D(1), T0)
    assert order.is_absent(T0, 5.0)  # never told of
    order.note(report("accepted"), T0)
    assert not order.is_absent(T0 + 60 * SECOND_NS, 5.0)
    assert not order.is_absent(T0 + 64 * SECOND_NS, 5.0)
    order.note(report("accepted"), T0 + 64 * SECOND_NS)
    assert not order.is_absent(T0 + 65 * SECOND_NS, 5.0)
    assert order.is_absent(T0 + 70 * SECOND_NS, 5.0)
