"""Old ended orders leave the memory, and nothing that still counts goes with them."""

from decimal import Decimal

import pytest

from bus.ids import ClientOrderId, TradeId
from bus.messages.header import Message
from bus.messages.ledger import PositionClosed
from bus.messages.orders import OrderDenied, OrderInitialized, Protection
from bus.messages.system import AlertRaised
from orders import order_table
from tests.orders.test_engine_restart import picture
from tests.orders.test_late_arrivals import given_up
from tests.orders.trading import BTC, ETH, Bench, answers, bodies, cancels, of_type, sent


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(order_table, "KEEP_ENDED", 3)
    return Bench()


def ended(bench: Bench, count: int, symbol: str = ETH) -> None:
    """So many orders that ended, each long enough after the one before that no fill of that one can be on its way."""
    bench.trade("10", symbol)
    for _ in range(count):
        name = f"td-old{bench.engine._desk.state.born}"
        bench.submit(name, "buy", "limit", "2", price="9.9", symbol=symbol)
        bench.report(name, "rejected")
        bench.second(601)
        bench.trade("10", symbol)


def test_an_id_of_a_forgotten_order_is_refused_and_nothing_is_done(bench: Bench) -> None:
    bench.trade("100")
    bench.submit("td-a", "buy", "limit", "1", price="99")
    bench.report("td-a", "rejected")
    ended(bench, 6)
    assert bench.engine.orders.get(ClientOrderId("td-a")) is None
    assert ClientOrderId("td-a") in bench.engine.orders
    effects = bench.submit("td-a", "buy", "limit", "1", price="99")
    assert sent(effects) == []
    assert of_type(effects, OrderInitialized) == []
    (answer,) = answers(effects)
    body = answer.message.body
    assert isinstance(body, OrderDenied)
    assert "td-a was given before" in body.message


def test_an_entry_whose_exits_work_and_its_family_stay(bench: Bench) -> None:
    bench.trade("100")
    bench.hold("1", "100", client_order_id="td-e", protection=Protection(stop_ratio=Decimal("0.02")))
    ended(bench, 8)
    assert bench.engine.orders.get(ClientOrderId("td-e")) is not None
    assert [each.client_order_id for each in bench.engine.orders.children(ClientOrderId("td-e"))] == ["td-e-s"]
    effects = bench.trade("97")
    assert [each.approved.order.client_order_id for each in sent(effects)] == ["td-e-s"]
    bench.fill("td-e-s", "1", "97")
    assert any(isinstance(each.body, PositionClosed) for each in bench.journal)
    ended(bench, 8)
    assert bench.engine.orders.get(ClientOrderId("td-e")) is None


def test_what_was_bought_into_an_open_position_stays_without_exits_too(bench: Bench) -> None:
    bench.hold("1", "100", client_order_id="td-e")
    ended(bench, 8)
    assert bench.engine.orders.get(ClientOrderId("td-e")) is not None
    assert len(bench.engine.orders) <= 3 + 1 + 1


def test_an_execution_told_again_of_a_forgotten_order_is_no_alarm_and_is_not_booked(bench: Bench) -> None:
    bench.hold("1", "100", client_order_id="td-e")
    bench.submit("td-x", "sell", "market", "1")
    bench.fill("td-x", "1", "101")
    (told,) = [each.body for each in bench.journal if getattr(each.body, "client_order_id", "") == "td-x"
               and hasattr(each.body, "trade_id")]
    ended(bench, 8)
    assert bench.engine.orders.get(ClientOrderId("td-x")) is None
    more = {"trade_id": told.trade_id, "quantity": Decimal(1), "price": Decimal(101)}
    assert bodies(bench.report("td-x", "fill", **more)) == []
    assert bodies(bench.report("td-x", "cancelled")) == []
    (alarm,) = of_type(bench.report("td-x", "fill", **(more | {"trade_id": TradeId("another")})), AlertRaised)
    assert "ended long ago" in alarm.message


def denied(bench: Bench, count: int) -> None:
    for number in range(count):
        (fact,) = of_type(bench.submit(f"td-no{number}", "buy", "limit", "500", price="99"), OrderDenied)
        assert fact.code == "MAX_ORDER_NOTIONAL"


@pytest.mark.parametrize("word", ["cancelled", "expired"])
def test_a_fill_that_comes_late_is_booked_however_many_orders_ended_since(bench: Bench, word: str) -> None:
    bench.trade("100")
    bench.submit("td-e", "buy", "limit", "1", price="99", protection=Protection(stop_ratio=Decimal("0.02")))
    bench.accept("td-e")
    bench.report("td-e", word)
    denied(bench, 20)
    for number in range(8):
        bench.submit(f"td-old{number}", "buy", "limit", "0.1", price="99")
        bench.report(f"td-old{number}", "cancelled")
    bench.second(599)
    bench.trade("100")
    bench.fill("td-e", "0.4", "99")
    assert bench.engine.ledger.quantity(BTC) == Decimal("0.4")
    assert [each.client_order_id for each in bench.engine.orders.exits(BTC)] == ["td-e-s"]


def test_what_was_never_sent_is_forgotten_before_what_was(bench: Bench) -> None:
    bench.trade("100")
    bench.submit("td-e", "buy", "limit", "1", price="99")
    bench.report("td-e", "cancelled")
    denied(bench, 20)
    assert len(bench.engine.orders) <= 3 + 1
    assert bench.engine.orders.get(ClientOrderId("td-e")) is not None


def test_one_that_never_arrived_is_known_as_long_as_it_may_come_to_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_table, "KEEP_ENDED", 3)
    bench = given_up("limit", price="99")
    ended(bench, 8)
    (cancel,) = cancels(bench.accept("td-1"))
    assert cancel.client_order_id == "td-1"
    bench.fill("td-1", "0.4", "99")
    assert bench.engine.ledger.quantity(BTC) == Decimal("0.4")


def test_a_day_later_it_is_forgotten_as_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_table, "KEEP_ENDED", 3)
    bench = given_up("limit", price="99")
    bench.second(86_401)
    ended(bench, 8)
    assert bench.engine.orders.is_forgotten(ClientOrderId("td-1"))


def test_a_restart_forgets_the_same_orders(bench: Bench) -> None:
    bench.hold("1", "100", client_order_id="td-e")
    ended(bench, 7)
    before = picture(bench.engine)
    again = bench.restarted().engine
    assert picture(again) == before
    assert [each for each in bench.engine.orders._forgotten] == [each for each in again.orders._forgotten]


def test_a_journal_whose_late_fill_names_a_forgotten_order_is_booked_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    bench.trade("100")
    bench.submit("td-a", "buy", "limit", "1", price="99")
    bench.accept("td-a")
    bench.report("td-a", "cancelled")
    ended(bench, 6)
    bench.fill("td-a", "1", "99")  # the engine that wrote this remembered longer
    journal: list[Message] = bench.journal
    monkeypatch.setattr(order_table, "KEEP_ENDED", 3)
    again = Bench(capital="", session="s2")
    for message in journal:
        again.engine.restore(message)
    assert again.engine.ledger.quantity(BTC) == bench.engine.ledger.quantity(BTC) == 1
    assert again.engine.ledger.cash == bench.engine.ledger.cash
