from decimal import Decimal
from typing import Any

import orjson
import pytest

from bus.ids import ClientOrderId
from exchanges.answers import Answer, AnswerError
from exchanges.coinbase.order_answers import created_order_id, parse_status, refusal, story
from market.instrument import Instrument
from tests.shared_data import shared_file

D = Decimal
ADA = Instrument("ADA/USDT", "ADA-USDT", "ADA", "USDT", D("0.0001"), D("0.01"), D("0.01"), D(10**6), D(1))
STAMP = "2023-11-26T10:19:47.423220Z"


def order(**more: Any) -> dict[str, Any]:
    return {
        "order_id": "o-1", "client_order_id": "td-1", "product_id": "ADA-USDT", "status": "OPEN", "filled_size": "0",
        "created_time": STAMP, "order_configuration": {"limit_limit_gtc": {"base_size": "10", "limit_price": "1"}},
        **more,
    }


def fill(trade_id: str, size: str) -> dict[str, Any]:
    return {"trade_id": trade_id, "order_id": "o-1", "trade_time": STAMP, "trade_type": "FILL", "price": "0.392",
            "size": size, "commission": "0.01", "size_in_quote": False, "liquidity_indicator": "MAKER"}


def kinds(row: dict[str, Any], *fills: dict[str, Any]) -> list[str]:
    return [report.exec_type for report in story(parse_status(row), fills, ADA)[0]]


def recorded(request: str) -> Any:
    with shared_file("messages/coinbase_advanced/rest_responses.jsonl").open() as file:
        rows = [orjson.loads(line) for line in file]
    return next(row["response"] for row in rows if request in row["request"])


@pytest.mark.shared
def test_the_recorded_order_and_its_recorded_fill_tell_one_story():
    (row,), (execution,) = recorded("fetchClosedOrders")["orders"], recorded("fetchMyTrades")["fills"]
    status = parse_status(row)
    reports, filled = story(status, [execution], ADA)
    assert [report.exec_type for report in reports] == ["accepted", "fill"]
    assert filled == status.executed == status.quantity == 10
    assert (reports[1].price, reports[1].fee, reports[1].fee_asset) == (D("0.392"), D("0.03136"), "USDT")
    assert reports[1].trade_id == "19fc7eee-f4b4-40a7-8104-033da1db5311"


@pytest.mark.parametrize(("status", "filled", "expected"), [
    ("OPEN", "0", ["accepted"]), ("PENDING", "0", ["accepted"]), ("QUEUED", "0", ["accepted"]),
    ("CANCEL_QUEUED", "4", ["accepted", "fill"]), ("CANCELLED", "0", ["accepted", "cancelled"]),
    ("CANCELLED", "4", ["accepted", "fill", "cancelled"]), ("EXPIRED", "4", ["accepted", "fill", "expired"]),
    ("FAILED", "0", ["rejected"]), ("FAILED", "4", ["accepted", "fill", "cancelled"]),
    ("FILLED", "10", ["accepted", "fill"]), ("FILLED", "4", ["accepted", "fill", "expired"]),
])
def test_each_status_has_its_own_story(status: str, filled: str, expected: list[str]):
    assert kinds(order(status=status, filled_size=filled), *([fill("t", filled)] if filled != "0" else [])) == expected


@pytest.mark.parametrize("status", ["CANCELLED", "FILLED", "EXPIRED"])
def test_an_end_is_held_back_while_a_fill_is_missing(status: str):
    assert kinds(order(status=status, filled_size="10"), fill("t", "4")) == ["accepted", "fill", "unknown"]


def test_fills_that_came_between_two_questions_are_told_but_not_an_older_end():
    assert kinds(order(filled_size="4"), fill("a", "4"), fill("b", "1")) == ["accepted", "fill", "fill"]
    ended = kinds(order(status="CANCELLED", filled_size="4"), fill("a", "4"), fill("b", "1"))
    assert ended == ["accepted", "fill", "fill", "unknown"]


@pytest.mark.parametrize("change", [
    {"status": "WHAT"}, {"status": []}, {"filled_size": 4}, {"order_id": ""}, {"created_time": None},
    {"client_order_id": None}, {"filled_size": "NaN"}, {"size_in_quote": True, "order_configuration": {}},
])
def test_an_order_that_cannot_be_read_is_refused(change: dict):
    with pytest.raises(AnswerError):
        parse_status(order(**change))


@pytest.mark.parametrize("change", [
    {"price": "0"}, {"size": "-1"}, {"trade_type": "REVERSAL"}, {"size_in_quote": True}, {"trade_id": ""},
    {"trade_time": "x"}, {"commission": 1.5},
])
def test_a_fill_that_cannot_be_read_is_refused(change: dict):
    with pytest.raises(AnswerError):
        kinds(order(filled_size="4"), {**fill("t", "4"), **change})


@pytest.mark.parametrize(("status", "body", "is_refusal"), [
    (200, {"success": False, "error_response": {"error": "INSUFFICIENT_FUND"}}, True),
    (200, {"success": False, "error_response": {"error": "UNKNOWN_FAILURE_REASON",
                                                "preview_failure_reason": "PREVIEW_INVALID_LIMIT_PRICE"}}, True),
    (200, {"success": False, "failure_reason": "UNKNOWN_FAILURE_REASON", "error_response": {}}, False),
    (200, {"success": False, "error_response": {"error": "DUPLICATE_CLIENT_ORDER_ID"}}, False),
    (400, {"error": "INVALID_ARGUMENT", "message": "base_size"}, True), (400, {"message": "odd"}, False),
    (400, None, False), (401, None, True), (403, None, True), (404, None, False), (429, None, True),
    (400, {"error": "UNKNOWN", "message": "?"}, False), (408, {"error": "DEADLINE_EXCEEDED"}, False),
    (409, {"error": "ALREADY_EXISTS", "message": "order already exists"}, False), (409, {"error": "ABORTED"}, False),
    (499, {"error": "CANCELLED"}, False), (404, {"error": "NOT_FOUND", "message": "product"}, True),
    (500, {"error": "INTERNAL"}, False), (502, None, False), (503, {"error": "UNAVAILABLE"}, False),
])
def test_only_what_is_certain_counts_as_a_refusal(status: int, body: Any, is_refusal: bool):
    assert bool(refusal(Answer(status, body, message="said"))) == is_refusal


def test_a_created_order_must_echo_our_own_id():
    body = {"success": True, "success_response": {"order_id": "o-1", "client_order_id": "td-1"}}
    assert created_order_id(Answer(200, body), ClientOrderId("td-1")) == "o-1"
    for odd in ({**body, "success": False}, {"success": True}, None, {"success": True, "order_id": "o-1"}):
        with pytest.raises(AnswerError):
            created_order_id(Answer(200, odd), ClientOrderId("td-1"))
    with pytest.raises(AnswerError, match="td-2"):
        created_order_id(Answer(200, body), ClientOrderId("td-2"))
