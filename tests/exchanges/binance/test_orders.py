import asyncio
from decimal import Decimal
from typing import Any

import orjson
import pytest
from aiohttp import web

from bus.clock import LiveClock
from bus.ids import ClientOrderId, VenueOrderId
from bus.messages.orders import ExecutionReport
from exchanges.answers import VenueError
from exchanges.binance import user_stream
from exchanges.binance.orders import BinanceConfig, BinanceVenue
from market.instrument import Instrument
from tests.exchanges.approvals import approved_order
from tests.exchanges.binance.loopback import Loopback, sends, until

D = Decimal
T0 = 1_723_161_255_000
BTC = Instrument("BTC/USDT", "BTCUSDT", "BTC", "USDT", D("0.01"), D("0.00001"), D("0.00001"), D(9000), D(5))
ORDER = "/api/v3/order"


def order_body(status: str = "FILLED", executed: str = "1", fills: list[dict] | None = None, **more: Any) -> dict:
    return {
        "symbol": "BTCUSDT", "orderId": 28, "clientOrderId": "td-1", "transactTime": T0, "price": "0", "origQty": "1",
        "executedQty": executed, "status": status, "fills": fills or [], **more,
    }


def fill(trade_id: int, quantity: str, price: str = "100") -> dict:
    return {"price": price, "qty": quantity, "commission": "0.001", "commissionAsset": "BTC", "tradeId": trade_id}


class Desk:
    """A live venue against a loopback server, and the reports it gave."""

    def __init__(self, server: Loopback, *, ws: bool = False, **options: Any) -> None:
        self.server = server
        self.reports: list[ExecutionReport] = []
        self.problems: list[str] = []
        self.refusals: list[str] = []
        timeout = options.pop("order_timeout_s", 2.0)
        config = BinanceConfig(
            "binance", server.rest_url, f"ws://{server.base}/ws-api/v3" if ws else "", "key", "secret", timeout
        )
        self.venue = BinanceVenue(
            config, self.reports.append, LiveClock(), [BTC], jitter=lambda: 0.5, on_problem=self.problems.append,
            on_refused=self.refusals.append,
            **options,
        )

    async def __aenter__(self) -> "Desk":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.venue.close()

    async def submitted(self, **order: Any) -> list[str]:
        self.venue.submit(approved_order(**order))
        await until(lambda: self.reports)
        await asyncio.sleep(0)
        return self.kinds

    @property
    def kinds(self) -> list[str]:
        return [report.exec_type for report in self.reports]

    @property
    def posts(self) -> list[dict[str, str]]:
        return self.server.calls("POST", ORDER)


def hang_after_accepting(server: Loopback) -> None:
    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.json_response({})

    server.handlers[("POST", ORDER)] = handler


async def test_a_market_order_is_posted_once_and_its_fills_are_told(loopback: Loopback):
    loopback.answer("POST", ORDER, order_body(fills=[fill(7, "0.4"), fill(8, "0.6", "100.5")]))
    async with Desk(loopback) as desk:
        assert await desk.submitted(quantity="1.000") == ["accepted", "fill", "fill"]
    (sent,) = desk.posts
    assert {key: sent[key] for key in ("symbol", "side", "type", "quantity", "newClientOrderId", "newOrderRespType")} \
        == {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1", "newClientOrderId": "td-1",
            "newOrderRespType": "FULL"}
    assert "timeInForce" not in sent
    assert len(sent["signature"]) == 64
    second = desk.reports[2]
    assert (second.trade_id, second.quantity, second.price, second.fee, second.fee_asset) == (
        "8", D("0.6"), D("100.5"), D("0.001"), "BTC"
    )
    assert second.venue_order_id == "28"
    assert not second.simulated


async def test_an_order_names_its_sender_for_firewalls_refuse_requests_of_nobody(loopback: Loopback):
    names: list[str | None] = []

    async def taken(request: web.Request) -> web.Response:
        names.append(request.headers.get("User-Agent"))
        return web.json_response(order_body("NEW", "0", clientOrderId=request.query["newClientOrderId"]))

    loopback.handlers[("POST", ORDER)] = taken
    async with Desk(loopback) as desk:
        await desk.submitted()
        prepared = desk.venue.prepare(approved_order("td-2").order)
        assert prepared is not None
        prepared.send(approved_order("td-2"))
        await until(lambda: len(desk.reports) == 2)
    assert names == ["tradingd", "tradingd"]


async def test_a_limit_order_carries_price_and_time_in_force(loopback: Loopback):
    loopback.answer("POST", ORDER, order_body("EXPIRED", "0.4", [fill(7, "0.4")]))
    async with Desk(loopback) as desk:
        kinds = await desk.submitted(wire_type="limit", price="0.00001230", time_in_force="IOC", side="sell")
    assert kinds == ["accepted", "fill", "expired"]
    assert (desk.posts[0]["price"], desk.posts[0]["timeInForce"], desk.posts[0]["side"]) == ("0.0000123", "IOC", "SELL")


async def test_a_refusal_of_the_venue_is_a_rejection_in_its_words(loopback: Loopback):
    loopback.answer("POST", ORDER, {"code": -2010, "msg": "Account has insufficient balance."}, status=400)
    async with Desk(loopback) as desk:
        assert await desk.submitted() == ["rejected"]
    assert desk.reports[0].reason == "-2010: Account has insufficient balance."


async def test_a_timeout_after_the_order_arrived_is_unknown_and_never_sent_again(loopback: Loopback):
    hang_after_accepting(loopback)
    async with Desk(loopback, order_timeout_s=0.05) as desk:
        assert await desk.submitted() == ["unknown"]
        await asyncio.sleep(0.1)
        assert len(desk.posts) == 1


async def test_a_lost_answer_is_unknown_and_never_sent_again(loopback: Loopback):
    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    loopback.handlers[("POST", ORDER)] = handler
    async with Desk(loopback) as desk:
        assert await desk.submitted() == ["unknown"]
        assert len(desk.posts) == 1


async def test_an_address_where_nobody_listens_leaves_the_order_unknown():
    nowhere = Loopback(base="127.0.0.1:1")
    async with Desk(nowhere) as desk:
        assert await desk.submitted() == ["unknown"]


@pytest.mark.parametrize(("status", "body", "exec_type"), [
    (500, {"code": -1000, "msg": "An unknown error occurred"}, "unknown"),
    (503, "Service Unavailable", "unknown"),
    (504, {"code": -1007, "msg": "Timeout waiting for response from backend server."}, "unknown"),
    (502, {"code": -2010, "msg": "Account has insufficient balance for requested action."}, "unknown"),
    (400, {"code": -1006, "msg": "An unexpected response was received"}, "unknown"),
    (400, {"code": -1007, "msg": "Timeout"}, "unknown"),
    (400, {"code": -2010, "msg": "Duplicate order sent."}, "unknown"),
    (404, "not a venue", "unknown"),
    (302, {}, "unknown"),
    (200, "not json at all", "unknown"),
    (429, {"code": -1015, "msg": "Too many new orders"}, "rejected"),
    (418, {"code": -1003, "msg": "banned"}, "rejected"),
    (403, "WAF", "rejected"),
    (400, {"code": -1013, "msg": "Filter failure: LOT_SIZE"}, "rejected"),
    (400, {"code": -1121, "msg": "Invalid symbol."}, "rejected"),
])
async def test_only_the_venues_own_no_ends_an_order(loopback: Loopback, status: int, body: Any, exec_type: str):
    loopback.answer("POST", ORDER, body, status=status)
    async with Desk(loopback) as desk:
        assert set(await desk.submitted()) == {exec_type}  # a slow machine hears a question's answer, too
        assert len(desk.posts) == 1


@pytest.mark.parametrize("body", [
    order_body(clientOrderId="td-other"), order_body("WHAT"), order_body(executedQty=1.0), {}, [], None,
    order_body(fills=[{**fill(7, "1"), "price": "0"}]), order_body(fills=[fill(7, "0.4")]),
])
async def test_an_odd_answer_leaves_the_order_unknown(loopback: Loopback, body: Any):
    loopback.answer("POST", ORDER, body)
    async with Desk(loopback) as desk:
        assert (await desk.submitted())[-1] == "unknown"


async def test_while_banned_nothing_is_sent(loopback: Loopback):
    loopback.answer("POST", ORDER, {"code": -1003, "msg": "Way too many"}, status=429, headers={"Retry-After": "30"})
    async with Desk(loopback) as desk:
        await desk.submitted()
        desk.venue.submit(approved_order("td-2"))
        await until(lambda: len(desk.reports) == 2)
    assert desk.kinds == ["rejected", "rejected"]
    assert "not sent" in desk.reports[1].reason
    assert len(desk.posts) == 1


async def test_a_wrong_clock_is_set_and_the_order_sent_once_more(loopback: Loopback):
    left = [(400, {"code": -1021, "msg": "Timestamp"}), (200, order_body("NEW", "0"))]

    async def handler(request: web.Request) -> web.Response:
        status, body = left.pop(0)
        return web.json_response(body, status=status)

    loopback.handlers[("POST", ORDER)] = handler
    loopback.answer("GET", "/api/v3/time", {"serverTime": LiveClock().now() // 1_000_000 + 60_000})
    async with Desk(loopback) as desk:
        assert await desk.submitted() == ["accepted"]
        first, second = desk.posts
        assert first["newClientOrderId"] == second["newClientOrderId"] == "td-1"
        assert int(second["timestamp"]) - int(first["timestamp"]) > 50_000
        assert (desk.problems, desk.refusals) == ([], [])


async def test_a_clock_that_cannot_be_set_is_told(loopback: Loopback):
    loopback.answer("POST", ORDER, {"code": -1021, "msg": "Timestamp"}, status=400)
    loopback.answer("GET", "/api/v3/time", {"serverTime": T0})
    async with Desk(loopback) as desk:
        assert await desk.submitted() == ["rejected"]
        assert len(desk.posts) == 2
    assert "clock" in desk.refusals[0]


async def test_a_refused_key_is_told(loopback: Loopback):
    loopback.answer("POST", ORDER, {"code": -2015, "msg": "Invalid API-key"}, status=401)
    async with Desk(loopback) as desk:
        assert await desk.submitted() == ["rejected"]
    assert "keys" in desk.refusals[0]


# ---- query and cancel ------------------------------------------------------------------------------


def trade_row(trade_id: int, quantity: str) -> dict:
    return {**fill(trade_id, quantity), "id": trade_id, "time": T0 + 5, "isMaker": True, "orderId": 28}


async def queried(desk: Desk) -> list[str]:
    desk.venue.query(ClientOrderId("td-1"), "BTC/USDT")
    await until(lambda: desk.reports)
    return desk.kinds


async def test_a_query_tells_the_whole_story(loopback: Loopback):
    loopback.answer("GET", ORDER, order_body("CANCELED", "0.7", updateTime=T0))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "0.3"), trade_row(2, "0.4")])
    async with Desk(loopback) as desk:
        assert await queried(desk) == ["accepted", "fill", "fill", "cancelled"]
    assert loopback.calls("GET", "/api/v3/myTrades")[0]["orderId"] == "28"
    assert desk.reports[1].is_maker
    assert desk.reports[1].ts_event == (T0 + 5) * 1_000_000


async def test_trades_of_other_orders_that_nobody_asked_for_are_not_taken_for_its_own(loopback: Loopback):
    loopback.answer("GET", ORDER, order_body("FILLED", "0.7", origQty="0.7"))
    foreign = {**trade_row(7, "2"), "orderId": 27}
    loopback.answer("GET", "/api/v3/myTrades", [foreign, {**trade_row(1, "0.7"), "orderId": 28}])
    async with Desk(loopback) as desk:
        assert await queried(desk) == ["accepted", "fill"]
    assert desk.reports[1].trade_id == "1"


async def test_an_order_of_more_fills_than_a_page_holds_is_told_whole(loopback: Loopback):
    rows = [trade_row(number, "0.0004") for number in range(1, 2_501)]

    async def page(request: web.Request) -> web.Response:
        limit, first = int(request.query["limit"]), request.query.get("fromId")
        told = rows[-limit:] if first is None else [row for row in rows if row["id"] >= int(first)][:limit]
        return web.json_response(told)

    loopback.answer("GET", ORDER, order_body("FILLED", "1"))
    loopback.handlers[("GET", "/api/v3/myTrades")] = page
    async with Desk(loopback) as desk:
        assert await queried(desk) == ["accepted", *["fill"] * 2_500]
    assert len({each.trade_id for each in desk.reports}) == 2_501


async def test_a_server_that_gives_the_same_page_for_ever_is_not_asked_for_ever(loopback: Loopback):
    loopback.answer("GET", ORDER, order_body("FILLED", "1"))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(number, "0.0004") for number in range(1, 1_001)])
    async with Desk(loopback) as desk:
        assert (await queried(desk))[-1] == "unknown"
    assert len(loopback.calls("GET", "/api/v3/myTrades")) < 5


async def test_an_order_that_is_done_with_less_than_was_asked_for_has_ended(loopback: Loopback):
    """Self-trade prevention (DECREMENT) takes away the rest of an order that did fill."""
    loopback.answer("GET", ORDER, order_body("FILLED", "0.7", preventedQuantity="0.3"))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "0.7")])
    async with Desk(loopback) as desk:
        assert await queried(desk) == ["accepted", "fill", "expired"]


async def test_an_order_that_the_venue_has_archived_ended_without_a_fill(loopback: Loopback):
    said = "Order was canceled or expired with no executed qty over 90 days ago and has been archived."
    loopback.answer("GET", ORDER, {"code": -2026, "msg": said}, status=400)
    async with Desk(loopback) as desk:
        assert await queried(desk) == ["cancelled"]


async def test_the_end_is_not_told_before_every_fill_is_known(loopback: Loopback):
    loopback.answer("GET", ORDER, order_body("CANCELED", "0.7"))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "0.3")])
    async with Desk(loopback) as desk:
        assert await queried(desk) == ["accepted", "fill", "unknown"]


async def test_an_order_the_venue_never_saw_is_not_found(loopback: Loopback):
    loopback.answer("GET", ORDER, {"code": -2013, "msg": "Order does not exist."}, status=400)
    async with Desk(loopback) as desk:
        assert await queried(desk) == ["not_found"]


async def test_a_question_that_comes_while_another_is_answered_is_asked_too(loopback: Loopback):
    """The answer on its way may be older than what made us ask: a fill in between would stay unknown."""
    asked, may_answer = asyncio.Event(), asyncio.Event()
    filled = False

    async def slowly(_: web.Request) -> web.Response:
        body = order_body("FILLED", "1") if filled else order_body("NEW", "0")
        asked.set()
        await may_answer.wait()
        return web.json_response(body)

    loopback.handlers[("GET", ORDER)] = slowly
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "1")])
    async with Desk(loopback) as desk:
        desk.venue.query(ClientOrderId("td-1"), "BTC/USDT")
        await asked.wait()
        filled = True
        desk.venue.query(ClientOrderId("td-1"), "BTC/USDT")
        may_answer.set()
        await until(lambda: len(desk.reports) == 3)
        assert desk.kinds == ["accepted", "accepted", "fill"]


async def test_a_cancel_does_not_wait_behind_heavy_questions(loopback: Loopback):
    loopback.answer("DELETE", ORDER, order_body("CANCELED", "0"))
    async with Desk(loopback) as desk:
        heavy = asyncio.create_task(desk.venue._rest.read("/api/v3/openOrders", weight=100_000))
        await asyncio.sleep(0)
        desk.venue.cancel(ClientOrderId("td-1"), VenueOrderId("28"), "BTC/USDT")
        await until(lambda: loopback.calls("DELETE", ORDER))
        heavy.cancel()


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_a_query_without_a_clear_answer_leaves_it_unknown(loopback: Loopback, status: int):
    loopback.answer("GET", ORDER, {"code": -1100, "msg": "Illegal characters"}, status=status)
    async with Desk(loopback) as desk:
        assert await queried(desk) == ["unknown"]


async def test_a_cancel_tells_what_filled_before_it(loopback: Loopback):
    loopback.answer("DELETE", ORDER, order_body("CANCELED", "0.3", origClientOrderId="td-1", clientOrderId="x"))
    loopback.answer("GET", ORDER, order_body("CANCELED", "0.3"))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "0.3")])
    async with Desk(loopback) as desk:
        desk.venue.cancel(ClientOrderId("td-1"), VenueOrderId("28"), "BTC/USDT")
        await until(lambda: len(desk.reports) == 3)
        assert desk.kinds == ["accepted", "fill", "cancelled"]


async def test_a_cancel_that_came_too_late_brings_the_fill(loopback: Loopback):
    loopback.answer("DELETE", ORDER, {"code": -2011, "msg": "Unknown order sent."}, status=400)
    loopback.answer("GET", ORDER, order_body("FILLED", "1"))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "1")])
    async with Desk(loopback) as desk:
        desk.venue.cancel(ClientOrderId("td-1"), VenueOrderId("28"), "BTC/USDT")
        await until(lambda: len(desk.reports) == 3)
        assert desk.kinds == ["cancel_rejected", "accepted", "fill"]


# ---- the account and its stream --------------------------------------------------------------------


async def test_balances_are_free_and_locked_together(loopback: Loopback):
    loopback.answer("GET", "/api/v3/account", {"balances": [
        {"asset": "USDT", "free": "900.5", "locked": "99.5"}, {"asset": "BTC", "free": "0", "locked": "0.00000000"},
    ]})
    async with Desk(loopback) as desk:
        assert await desk.venue.balances() == {"USDT": D(1000)}


async def test_open_orders_hold_ours_and_others(loopback: Loopback):
    loopback.answer("GET", "/api/v3/openOrders", [
        order_body("NEW", "0.25"), {**order_body("NEW", "0"), "clientOrderId": "web_1", "symbol": "ETHBTC"},
    ])
    async with Desk(loopback) as desk:
        ours, foreign = await desk.venue.open_orders()
    assert (ours.client_order_id, ours.symbol, ours.filled) == ("td-1", "BTC/USDT", D("0.25"))
    assert (foreign.client_order_id, foreign.symbol) == ("web_1", "ETHBTC")


async def test_without_keys_the_start_says_which_variables_to_set(loopback: Loopback):
    config = BinanceConfig("binance", loopback.rest_url, "", "", "")
    venue = BinanceVenue(config, lambda _: None, LiveClock(), [BTC], jitter=lambda: 0.5)
    with pytest.raises(VenueError, match="TRADINGD__VENUES__BINANCE__API_KEY"):
        await venue.start()
    await venue.close()


def test_a_configuration_does_not_show_its_secret():
    assert "s3cret" not in repr(BinanceConfig("binance", "http://x", "", "k3y", "s3cret"))
    assert "k3y" not in repr(BinanceConfig("binance", "http://x", "", "k3y", "s3cret"))


def ready(server: Loopback) -> None:
    server.answer("GET", "/api/v3/time", {"serverTime": LiveClock().now() // 1_000_000})
    server.answer("GET", "/api/v3/account", {"balances": []})


def user_event(client_order_id: str, execution: str = "TRADE") -> dict:
    return {"subscriptionId": 0, "event": {
        "e": "executionReport", "s": "BTCUSDT", "c": client_order_id, "C": "", "x": execution, "r": "NONE", "i": 28,
        "l": "1", "L": "100", "n": "0.001", "N": "BTC", "T": T0, "t": 9, "m": True,
    }}


async def test_the_user_stream_brings_fills_of_our_orders_only(loopback: Loopback):
    ready(loopback)

    async def script(socket: web.WebSocketResponse) -> None:
        for event in (user_event("web_77"), user_event("td-1", "NEW"), user_event("td-1")):
            await socket.send_str(orjson.dumps(event).decode())

    loopback.scripts.append(script)
    async with Desk(loopback, ws=True) as desk:
        await desk.venue.start()
        await until(lambda: len(desk.reports) == 2)
        assert desk.kinds == ["accepted", "fill"]
        assert desk.venue.foreign_reports == 1
        assert desk.venue.stream.is_up
    (parameters,) = loopback.subscriptions
    assert parameters["apiKey"] == "key"
    assert len(parameters["signature"]) == 64


@pytest.mark.parametrize("strange", [
    {"subscriptionId": 0, "event": {"e": "somethingNew", "E": T0, "q": ["1"]}}, {"e": "somethingNew", "E": T0},
])
async def test_an_event_that_nobody_knows_is_counted_and_the_user_stream_goes_on(loopback: Loopback, strange: dict):
    ready(loopback)
    loopback.scripts.append(sends(strange, user_event("td-1", "NEW")))
    async with Desk(loopback, ws=True) as desk:
        await desk.venue.start()
        await until(lambda: desk.kinds == ["accepted"])
        assert (desk.venue.stream.ignored, desk.venue.stream.refused) == (1, 0)
        assert loopback.connections == 1


async def test_an_event_without_a_name_may_hide_a_fill_and_the_stream_is_opened_anew(loopback: Loopback):
    ready(loopback)
    loopback.scripts += [sends({"subscriptionId": 0, "event": {"E": T0}}), sends(user_event("td-1", "NEW"))]
    async with Desk(loopback, ws=True) as desk:
        desk.venue.stream._first_backoff_s = 0.01
        await desk.venue.start()
        await until(lambda: desk.kinds == ["accepted"])
        assert (desk.venue.stream.ignored, desk.venue.stream.refused) == (0, 1)


async def test_a_report_that_nobody_can_take_does_not_end_the_user_stream(loopback: Loopback):
    ready(loopback)

    async def script(socket: web.WebSocketResponse) -> None:
        await socket.send_str(orjson.dumps(user_event("td-1", "NEW")).decode())

    loopback.scripts += [script, script]
    async with Desk(loopback, ws=True) as desk:
        desk.venue.stream._first_backoff_s = 0.01
        taken: list[str] = []

        def take(report: ExecutionReport) -> None:
            taken.append(report.exec_type)
            if len(taken) == 1:
                raise AttributeError("nobody is there yet")

        desk.venue._sink = take
        await desk.venue.start()
        await until(lambda: len(taken) == 2)
        assert desk.problems == [
            "binance: the user stream failed and is opened anew: AttributeError: nobody is there yet",
        ]
        assert desk.venue.stream.is_up


async def test_the_user_stream_is_not_opened_while_the_venue_wants_no_requests(loopback: Loopback):
    """It is served by the same address under the same limits: a connection costs weight, and lengthens a ban."""
    ready(loopback)
    loopback.answer("GET", "/x", {}, status=429, headers={"Retry-After": "1"})
    async with Desk(loopback, ws=True) as desk:
        await desk.venue._rest.once("GET", "/x")
        ends = asyncio.get_running_loop().time() + desk.venue._rest.banned_for_s()
        desk.venue.begin()
        await until(lambda: loopback.connections)
        assert asyncio.get_running_loop().time() >= ends - 0.05


async def test_a_ban_that_the_user_stream_hears_of_silences_the_requests_too(loopback: Loopback):
    ready(loopback)
    data = {"serverTime": T0, "retryAfter": T0 + 120_000}
    loopback.subscribe_error = {"status": 418, "error": {"code": -1003, "msg": "banned", "data": data}}
    async with Desk(loopback, ws=True) as desk:
        desk.venue.begin()
        await until(lambda: desk.venue._rest.banned_for_s() > 100)
        assert await desk.submitted() == ["rejected"]
    assert desk.posts == []
    assert loopback.connections == 1


async def test_after_a_broken_stream_working_orders_are_asked_for(loopback: Loopback):
    ready(loopback)
    loopback.answer("POST", ORDER, order_body("NEW", "0"))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "1")])
    cut = asyncio.Event()

    async def look(_: web.Request) -> web.Response:  # it fills while nobody listens, after the question at the loss
        return web.json_response(order_body("FILLED", "1") if loopback.connections == 2 else order_body("NEW", "0"))

    loopback.handlers[("GET", ORDER)] = look

    async def script(socket: web.WebSocketResponse) -> None:
        await cut.wait()
        await socket.close()

    loopback.scripts.append(script)
    async with Desk(loopback, ws=True, poll_every_s=60) as desk:
        desk.venue.stream._first_backoff_s = 0.1
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        await desk.submitted(wire_type="limit", price="100")
        cut.set()
        await until(lambda: "fill" in desk.kinds)
        await until(lambda: loopback.connections == 2)


async def test_a_stream_that_is_lost_makes_us_ask_before_it_is_there_again(loopback: Loopback):
    ready(loopback)
    loopback.answer("POST", ORDER, order_body("NEW", "0"))
    loopback.answer("GET", ORDER, order_body("FILLED", "1"))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "1")])
    cut = asyncio.Event()

    async def script(socket: web.WebSocketResponse) -> None:
        await cut.wait()
        await socket.close()

    loopback.scripts.append(script)
    async with Desk(loopback, ws=True, poll_every_s=60) as desk:
        desk.venue.stream._first_backoff_s = 60
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        await desk.submitted(wire_type="limit", price="100")
        cut.set()
        await until(lambda: "fill" in desk.kinds)
        assert loopback.connections == 1


async def test_a_line_that_swallows_everything_is_given_up_within_five_seconds(loopback: Loopback):
    assert user_stream.PING_EVERY_S + user_stream.PONG_WITHIN_S <= 5.0
    ready(loopback)
    swallows = asyncio.Event()

    async def script(socket: web.WebSocketResponse) -> None:
        transport = socket._req.transport
        assert transport is not None
        transport.pause_reading()
        swallows.set()
        await asyncio.Event().wait()

    loopback.scripts.append(script)
    async with Desk(loopback, ws=True) as desk:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(user_stream, "PING_EVERY_S", 0.02)
            patch.setattr(user_stream, "PONG_WITHIN_S", 0.03)
            await desk.venue.start()
            await swallows.wait()
            await until(lambda: desk.venue.stream.reconnects)
    assert "ping timeout" in desk.venue.stream.last_problem


async def test_a_venue_without_stream_is_polled(loopback: Loopback):
    ready(loopback)
    loopback.answer("POST", ORDER, order_body("NEW", "0"))
    loopback.answer("GET", ORDER, order_body("FILLED", "1"))
    loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "1")])
    async with Desk(loopback, poll_every_s=0.01) as desk:
        await desk.venue.start()
        await desk.submitted(wire_type="limit", price="100")
        await until(lambda: "fill" in desk.kinds)
        asked = len(loopback.calls("GET", ORDER))
        await asyncio.sleep(0.05)
        assert len(loopback.calls("GET", ORDER)) == asked  # a filled order is not asked for again


async def test_a_defect_of_ours_leaves_the_order_unknown_not_forgotten(loopback: Loopback):
    async with Desk(loopback) as desk:
        assert await desk.submitted(symbol="NO/SUCH") == ["unknown"]
    assert "submit td-1 failed" in desk.problems[0]
