import asyncio

import pytest

from bus.clock import LiveClock
from bus.ids import ClientOrderId, VenueOrderId
from bus.messages.orders import ExecutionReport
from exchanges.given_up_orders import KEEP, SWEEPS, GivenUpOrders
from exchanges.order_questions import OrderQuestions
from exchanges.order_tasks import OrderTasks
from exchanges.venue import OpenOrder
from market.money import ZERO
from tests.exchanges.coinbase.exchange import until

ONE, TWO = ClientOrderId("td-1"), ClientOrderId("td-2")


async def test_a_question_that_comes_while_an_answer_is_on_its_way_is_put_once_more():
    asked: list[str] = []
    gate = asyncio.Event()

    async def ask(client_order_id: ClientOrderId, _: str) -> None:
        asked.append(client_order_id)
        await gate.wait()

    questions = OrderQuestions(OrderTasks("x", LiveClock(), print, print), ask)
    for _ in range(3):
        questions.put(ONE, "BTC/USD")
    questions.put(TWO, "BTC/USD")
    await until(lambda: len(asked) == 2)
    questions.put(ONE, "BTC/USD")
    assert ONE in questions
    assert len(questions) == 2
    gate.set()
    await until(lambda: not len(questions))
    assert asked == [ONE, TWO, ONE]


async def test_an_answer_to_who_asked_is_not_kept_open_by_those_who_ask_on_and_on():
    """A poll that comes sooner than the answers come has a question under way for ever."""
    asked: list[str] = []
    gates: list[asyncio.Event] = []

    async def ask(client_order_id: ClientOrderId, _: str) -> None:
        asked.append(client_order_id)
        gates.append(asyncio.Event())
        await gates[-1].wait()

    questions = OrderQuestions(OrderTasks("x", LiveClock(), print, print), ask)
    questions.put(ONE, "BTC/USD", is_routine=True)
    await until(lambda: len(asked) == 1)
    assert len(questions) == 0
    questions.put(ONE, "BTC/USD")
    questions.put(ONE, "BTC/USD", is_routine=True)
    gates[0].set()  # older than what was asked
    await until(lambda: len(asked) == 2)
    assert len(questions) == 1
    questions.put(ONE, "BTC/USD", is_routine=True)
    gates[1].set()
    await until(lambda: len(asked) == 3)
    assert len(questions) == 0
    assert ONE in questions
    gates[2].set()
    await until(lambda: ONE not in questions)
    assert asked == [ONE] * 3


async def test_a_defect_ends_one_question_and_the_order_may_be_asked_about_again():
    reports: list[ExecutionReport] = []
    problems: list[str] = []

    async def ask(_: ClientOrderId, __: str) -> None:
        raise ZeroDivisionError

    questions = OrderQuestions(OrderTasks("x", LiveClock(), problems.append, reports.append), ask)
    for times in (1, 2):
        questions.put(ONE, "BTC/USD")
        await until(lambda times=times: len(reports) == times)  # type: ignore[misc]
        assert ONE not in questions
    assert [each.exec_type for each in reports] == ["unknown", "unknown"]
    assert "query td-1 failed" in problems[0]


def working(client_order_id: str, symbol: str = "BTC/USD") -> OpenOrder:
    return OpenOrder(ClientOrderId(client_order_id), VenueOrderId(f"v-{client_order_id}"), symbol, ZERO, ZERO)


def test_of_what_works_there_unwatched_the_given_up_ends_and_the_rest_is_asked_about():
    cancelled: list[tuple[str, str, str]] = []
    asked: list[str] = []
    given_up = GivenUpOrders(lambda *order: cancelled.append(order))
    given_up.add(ONE)
    there = [working("td-1"), working("td-2"), working("td-3"), working("x-4"), working("td-5", "ETH/USD")]
    for _ in range(2):
        given_up.sweep(there, {"BTC/USD"}, {ClientOrderId("td-3")}, lambda order, _: asked.append(order))
    assert cancelled == [("td-1", "v-td-1", "BTC/USD")]
    assert asked == ["td-2", "td-1", "td-2"]  # once it was told to end, what it is must be known


def test_the_last_thousand_given_up_are_remembered():
    given_up = GivenUpOrders(lambda *_: None)
    for number in range(KEEP + 1):
        given_up.add(ClientOrderId(f"td-{number}"))
    assert ClientOrderId("td-0") not in given_up
    assert ClientOrderId(f"td-{KEEP}") in given_up
    given_up.discard(ClientOrderId(f"td-{KEEP}"))
    assert ClientOrderId(f"td-{KEEP}") not in given_up


def test_what_became_of_one_that_the_venue_once_had_is_asked_for_some_minutes():
    asked: list[tuple[str, str]] = []
    given_up = GivenUpOrders(lambda *_: None)
    given_up.add(ONE, "BTC/USD")
    given_up.add(ClientOrderId("td-2"))
    given_up.add(ONE)  # denied again: no reason to begin anew
    for _ in range(SWEEPS + 2):
        given_up.sweep([], {"BTC/USD"}, set(), lambda *order: asked.append(order))
    assert asked == [(ONE, "BTC/USD")] * SWEEPS


def test_a_doubted_one_ends_where_it_works_after_all_and_is_forgotten_where_it_is_over():
    for is_open in (True, False):
        cancelled: list[str] = []
        given_up = GivenUpOrders(lambda order, *_, told=cancelled: told.append(order))  # type: ignore[misc]
        given_up.add(ONE, "BTC/USD")
        given_up.found(ONE, VenueOrderId("v-1"), "BTC/USD", is_open=is_open)
        assert cancelled == [ONE] * is_open
        given_up.sweep([], {"BTC/USD"}, set(), lambda *_: pytest.fail("it is known"))


def test_one_that_the_engine_asked_about_lives_on():
    given_up = GivenUpOrders(lambda *_: pytest.fail("it is watched again"))
    given_up.add(ONE)
    given_up.found(ONE, VenueOrderId("v-1"), "BTC/USD", is_open=True)
    assert ONE not in given_up
