from decimal import Decimal
from itertools import product

import pytest

from bus.ids import ClientOrderId
from bus.messages.orders import SubmitOrder
from orders import order_table
from orders.order_table import MOVES, STATES, Order, OrderStateError, OrderTable

ALLOWED = {
    "PENDING": {"SUBMITTED", "REJECTED", "EXPIRED", "CANCELLED"},
    "SUBMITTED": {"PARTIAL", "FILLED", "CANCELLED", "REJECTED", "EXPIRED"},
    "PARTIAL": {"PARTIAL", "FILLED", "CANCELLED", "EXPIRED"},
    # truth that comes late: only a fill may move an order that has ended
    "FILLED": {"FILLED"},
    "CANCELLED": {"CANCELLED", "FILLED"},
    "EXPIRED": {"EXPIRED", "FILLED"},
    "REJECTED": {"PARTIAL", "FILLED", "CANCELLED"},
}


def order(client_order_id: str = "td-1") -> Order:
    return Order(SubmitOrder(ClientOrderId(client_order_id), "BTC/USDT", "buy", "market", Decimal(1), "manual"), 5)


@pytest.mark.parametrize(("before", "after"), list(product(STATES, STATES)))
def test_every_pair_of_states_moves_or_is_refused(before, after):
    subject = order()
    subject.state = before
    if after in ALLOWED[before]:
        subject.move(after, "", 9, "why")
        assert (subject.state, subject.history[-1].why, subject.history[-1].ts) == (after, "why", 9)
    else:
        with pytest.raises(OrderStateError, match=f"{before} -> {after}"):
            subject.move(after, "", 9, "why")
        assert subject.state == before
        assert subject.history == ()


def test_moves_beyond_the_plain_life_of_an_order_say_why():
    plain = {("PENDING", "SUBMITTED"), ("SUBMITTED", "CANCELLED"), ("SUBMITTED", "REJECTED"), ("SUBMITTED", "EXPIRED"),
             ("PARTIAL", "FILLED"), ("PARTIAL", "CANCELLED"), ("PARTIAL", "EXPIRED")}
    assert {pair for pair, why in MOVES.items() if not why} == plain


def test_an_id_is_taken_once():
    table = OrderTable()
    table.add(order())
    with pytest.raises(OrderStateError, match="td-1 exists already"):
        table.add(order())


def test_working_orders_come_in_order_of_birth_and_leave_when_they_end():
    table = OrderTable()
    for name in ("td-b", "td-a", "td-c"):
        table.add(order(name))
    middle = table.get(ClientOrderId("td-a"))
    middle.move("CANCELLED", "", 1, "")
    table.settle(middle)
    assert [each.client_order_id for each in table.working()] == ["td-b", "td-c"]
    assert ClientOrderId("td-a") in table


def test_the_oldest_ended_orders_are_forgotten_working_ones_never(monkeypatch):
    monkeypatch.setattr(order_table, "KEEP_ENDED", 3)
    table = OrderTable()
    table.add(order("td-works"))
    for number in range(5):
        ended = order(f"td-{number}")
        table.add(ended)
        ended.move("CANCELLED", "", 1, "")
        table.settle(ended)
    assert [each.client_order_id for each in table] == ["td-works", "td-2", "td-3", "td-4"]


def test_history_is_bounded():
    subject = order()
    for number in range(order_table.KEEP_HISTORY + 50):
        subject.note("armed", number, "")
    assert len(subject.history) == order_table.KEEP_HISTORY
    assert subject.history[-1].ts == order_table.KEEP_HISTORY + 49
