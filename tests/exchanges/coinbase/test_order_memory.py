"""What the order client remembers of an order, from its submission until its end is told."""

from decimal import Decimal

import pytest

from bus.ids import ClientOrderId, TradeId, VenueOrderId
from bus.messages.orders import ExecType, ExecutionReport
from exchanges.coinbase.order_answers import OrderStatus
from exchanges.coinbase.order_memory import OrderMemory
from exchanges.coinbase.user_events import OrderNews
from tests.exchanges.approvals import approved_order

D = Decimal
ID = ClientOrderId("td-1")
SYMBOL = "BTC/USD"
NOW = 10**18


@pytest.fixture
def memory() -> OrderMemory:
    memory = OrderMemory(lambda: NOW)
    memory.note_submission(approved_order(symbol=SYMBOL).order)
    memory.venue_ids[ID] = VenueOrderId("v-1")
    return memory


def report(kind: ExecType, quantity: str = "0", trade: str = "") -> ExecutionReport:
    return ExecutionReport(ID, SYMBOL, kind, 1, trade_id=TradeId(trade), quantity=D(quantity), price=D(100))


def status(executed: str = "0", *, is_filled: bool = False, quantity: str = "1") -> OrderStatus:
    return OrderStatus(
        ID, VenueOrderId("v-1"), "BTC-USD", D(executed), None, is_filled, NOW, D(quantity), "",
    )


def news(executed: str, *, is_over: bool) -> OrderNews:
    return OrderNews(ID, VenueOrderId("v-1"), "BTC-USD", D(executed), is_over, not is_over)


@pytest.mark.parametrize("last", [report("cancelled"), report("not_found"), report("fill", "1", "t-1")])
def test_nothing_is_kept_of_an_order_whose_end_was_told(memory: OrderMemory, last: ExecutionReport):
    memory.end_is_due(ID, SYMBOL)
    memory.note(report("unknown"))
    memory.note(last)
    assert (memory.working, memory.venue_ids, memory.owed()) == ({}, {}, [])


def test_an_order_is_owed_an_answer_while_its_fate_is_open_or_its_end_is_due(memory: OrderMemory):
    assert memory.owed() == []
    memory.note(report("unknown"))
    assert memory.is_unresolved(ID)
    memory.note(report("cancel_rejected"))
    memory.note(report("fill", "0.4", "t-1"))
    assert memory.owed() == [(ID, SYMBOL)]
    memory.note(report("accepted"))
    assert memory.owed() == []
    memory.end_is_due(ID, SYMBOL)
    assert memory.owed() == [(ID, SYMBOL)]
    memory.end_is_not_due(ID)
    assert memory.owed() == []


def test_an_answer_is_behind_what_was_heard_and_behind_its_own_total(memory: OrderMemory):
    assert not memory.is_behind(ID, status(), D(0))
    assert memory.is_behind(ID, status("0.4"), D("0.3"))
    memory.working[ID].hear(news("0.5", is_over=False), NOW)
    assert memory.is_behind(ID, status("0.4"), D("0.4"))
    assert not memory.is_behind(ID, status("0.5"), D("0.5"))
    memory.working[ID].hear(news("0.5", is_over=True), NOW)
    assert memory.is_behind(ID, status("0.5"), D("0.5"))


def test_an_order_of_an_earlier_run_is_watched_while_it_works():
    memory = OrderMemory(lambda: NOW)
    for over in (status("1", is_filled=True), status("1")):
        memory.adopt(ID, SYMBOL, over)
    assert memory.working == {}
    memory.adopt(ID, SYMBOL, status("0.4"))
    assert memory.working[ID].remaining == D(1)
    assert memory.was_told_of(ID) is False
    memory.note(report("accepted"))
    assert memory.was_told_of(ID)


def test_the_venues_name_is_kept_until_all_was_told(memory: OrderMemory):
    memory.note_answered(ID)
    assert memory.venue_ids
    memory.working.clear()
    memory.note_answered(ID)
    assert memory.venue_ids == {}


def test_what_is_heard_of_an_order_that_is_over_holds_until_an_answer_is_as_new(memory: OrderMemory):
    memory.note(report("cancelled"))
    memory.hear_late(news("0.7", is_over=True), SYMBOL)
    memory.hear_late(news("0.3", is_over=False), SYMBOL)  # an older frame
    assert memory.was_told_of(ID)
    assert memory.is_behind(ID, status("0.3"), D("0.3"))
    memory.note(report("unknown"))
    memory.note_answered(ID)
    assert memory.is_behind(ID, status("0.3"), D("0.3"))
    memory.note(report("cancelled"))
    assert not memory.is_behind(ID, status("0.3"), D("0.3"))


def test_of_late_news_the_last_thousand_are_remembered():
    memory = OrderMemory(lambda: NOW)
    for number in range(1_001):
        memory.hear_late(news("1", is_over=False)._replace(client_order_id=ClientOrderId(f"td-{number}")), SYMBOL)
    told = [memory.was_told_of(ClientOrderId(f"td-{number}")) for number in (0, 1, 1_000)]
    assert told == [False, True, True]
