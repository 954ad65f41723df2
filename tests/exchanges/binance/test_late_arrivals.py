"""Orders that appear after the venue denied them, and exits that wait until they may be sent."""

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web

from bus.ids import ClientOrderId, VenueOrderId
from exchanges.answers import VenueError
from exchanges.binance import orders
from tests.exchanges.approvals import approved_order
from tests.exchanges.binance.desk import ORDER, Desk, hang_after_accepting, order_body, ready, trade_row, user_event
from tests.exchanges.binance.loopback import Loopback, sends, until

ABSENT = {"code": -2013, "msg": "Order does not exist."}
RIGHTS = "/sapi/v1/account/apiRestrictions"
SOUND = {"enableReading": True, "enableSpotAndMarginTrading": True, "enableWithdrawals": False, "ipRestrict": True}


async def denied(desk: Desk, server: Loopback) -> None:
    """td-1 was sent without an answer, and the venue then says that it does not exist."""
    server.answer("GET", ORDER, ABSENT, status=400)
    desk.venue.submit(approved_order(wire_type="limit", price="90"))
    await until(lambda: "unknown" in desk.kinds)
    desk.venue.query(ClientOrderId("td-1"), "BTC/USDT")
    await until(lambda: "not_found" in desk.kinds)


def appears(server: Loopback) -> None:
    """The order rests after all."""
    server.answer("GET", "/api/v3/openOrders", [order_body("NEW", "0")])
    server.answer("DELETE", ORDER, order_body("CANCELED", "0"))
    server.answer("GET", ORDER, order_body("CANCELED", "0"))


async def test_an_order_that_appears_after_it_was_denied_is_found_by_the_sweep_and_cancelled(loopback: Loopback):
    ready(loopback)
    hang_after_accepting(loopback)
    async with Desk(loopback, order_timeout_s=0.1, sweep_every_s=0.02, poll_every_s=60, absence_s=0) as desk:
        await desk.venue.start()
        await denied(desk, loopback)
        appears(loopback)
        await until(lambda: desk.kinds[-1] == "cancelled")
    (cancel,) = loopback.calls("DELETE", ORDER)
    assert cancel["origClientOrderId"] == "td-1"
    assert len(desk.posts) == 1


async def test_an_order_that_the_user_stream_brings_after_it_was_denied_is_cancelled(loopback: Loopback):
    ready(loopback)
    hang_after_accepting(loopback)
    is_denied = asyncio.Event()

    async def late(socket: web.WebSocketResponse) -> None:
        await is_denied.wait()
        await sends(user_event("td-1", "NEW"))(socket)

    loopback.scripts.append(late)
    async with Desk(loopback, ws=True, order_timeout_s=0.1, sweep_every_s=60, absence_s=0) as desk:
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)  # else what is asked when it comes is denied once more
        await denied(desk, loopback)
        appears(loopback)
        is_denied.set()
        await until(lambda: desk.kinds[-1] == "cancelled")


async def test_an_order_that_was_sent_just_now_is_not_given_up_by_a_first_denial(loopback: Loopback):
    ready(loopback)
    hang_after_accepting(loopback)
    is_denied = asyncio.Event()

    async def late(socket: web.WebSocketResponse) -> None:
        await is_denied.wait()
        await sends(user_event("td-1", "NEW"), user_event("td-1"))(socket)

    loopback.scripts.append(late)
    async with Desk(loopback, ws=True, order_timeout_s=0.1, sweep_every_s=0.02, poll_every_s=60) as desk:
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)  # else what is asked when it comes is denied once more
        await denied(desk, loopback)
        appears(loopback)
        swept = len(loopback.calls("GET", "/api/v3/openOrders"))
        await until(lambda: len(loopback.calls("GET", "/api/v3/openOrders")) > swept + 2)
        is_denied.set()
        await until(lambda: desk.kinds[-1] == "fill")
    assert desk.kinds == ["unknown", "not_found", "accepted", "fill"]
    assert loopback.calls("DELETE", ORDER) == []


async def test_the_time_that_an_order_may_be_under_way_begins_when_it_is_sent_not_when_it_had_to_wait(
    loopback: Loopback,
):
    bans_once(loopback, 1)
    async with Desk(loopback, absence_s=0.9) as desk:
        await desk.submitted()
        desk.venue.submit(approved_order("td-2", side="sell"))
        await until(lambda: len(desk.posts) == 2)
        assert desk.venue._may_be_under_way(ClientOrderId("td-2"))


async def test_an_order_of_ours_that_nobody_watches_is_asked_about_not_cancelled(loopback: Loopback):
    ready(loopback)
    loopback.answer("GET", "/api/v3/openOrders", [
        order_body("NEW", "0"), order_body("NEW", "0", clientOrderId="web_1"),
        order_body("NEW", "0", clientOrderId="td-9", symbol="ETHBTC"),
    ])
    loopback.answer("GET", ORDER, order_body("NEW", "0"))
    async with Desk(loopback, sweep_every_s=0.02, poll_every_s=60) as desk:
        await desk.venue.start()
        await until(lambda: desk.kinds == ["accepted"])
        await until(lambda: len(loopback.calls("GET", "/api/v3/openOrders")) > 2)
    assert {call["origClientOrderId"] for call in loopback.calls("GET", ORDER)} == {"td-1"}
    assert loopback.calls("DELETE", ORDER) == []


async def test_an_order_is_not_said_to_be_absent_while_its_request_is_under_way(loopback: Loopback):
    hang_after_accepting(loopback)
    loopback.answer("GET", ORDER, ABSENT, status=400)
    async with Desk(loopback, order_timeout_s=5) as desk:
        desk.venue.submit(approved_order())
        await until(lambda: desk.posts)
        desk.venue.query(ClientOrderId("td-1"), "BTC/USDT")
        await until(lambda: desk.reports)
        assert desk.kinds == ["unknown"]


# ---- bans and the budget ---------------------------------------------------------------------------


def bans_once(server: Loopback, retry_after_s: int) -> None:
    left = [web.Response(status=429, text="{}", headers={"Retry-After": str(retry_after_s)})]

    async def handler(request: web.Request) -> web.Response:
        return left.pop() if left else web.json_response(
            order_body("NEW", "0", clientOrderId=request.query["newClientOrderId"])
        )

    server.handlers[("POST", ORDER)] = handler


async def test_an_exit_waits_for_the_end_of_a_ban_and_is_then_sent_once(loopback: Loopback):
    bans_once(loopback, 1)
    async with Desk(loopback) as desk:
        await desk.submitted()
        desk.venue.submit(approved_order("td-2", side="sell"))
        desk.venue.submit(approved_order("td-3"))
        await until(lambda: len(desk.reports) == 3)
        told = [(report.client_order_id, report.exec_type) for report in desk.reports]
    assert told == [("td-1", "rejected"), ("td-3", "rejected"), ("td-2", "accepted")]
    assert [post["newClientOrderId"] for post in desk.posts] == ["td-1", "td-2"]


async def test_an_exit_that_waits_is_unknown_when_asked_for_and_can_be_taken_back(loopback: Loopback):
    bans_once(loopback, 30)
    loopback.answer("GET", ORDER, ABSENT, status=400)
    async with Desk(loopback) as desk:
        await desk.submitted()
        desk.venue.submit(approved_order("td-2", side="sell"))
        await asyncio.sleep(0)
        desk.venue.cancel(ClientOrderId("td-2"), VenueOrderId(""), "BTC/USDT")
        await until(lambda: len(desk.reports) == 2)
    assert (desk.reports[1].client_order_id, desk.reports[1].exec_type) == ("td-2", "cancelled")
    assert [post["newClientOrderId"] for post in desk.posts] == ["td-1"]


async def test_a_burst_of_entries_leaves_the_reserve_to_an_exit(loopback: Loopback):
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(order_body("NEW", "0", clientOrderId=request.query["newClientOrderId"]))

    loopback.handlers[("POST", ORDER)] = handler
    async with Desk(loopback) as desk:
        for number in range(40):
            desk.venue.submit(approved_order(f"td-b{number}"))
        desk.venue.submit(approved_order("td-exit", side="sell"))
        await until(lambda: any(report.client_order_id == "td-exit" for report in desk.reports))
        sent = [post["newClientOrderId"] for post in desk.posts]
        assert sent.index("td-exit") <= 12
        await until(lambda: len(desk.reports) == 41)
    refused = [report for report in desk.reports if report.exec_type == "rejected"]
    assert refused
    assert all("budget" in report.reason for report in refused)


# ---- the key ---------------------------------------------------------------------------------------


async def started(server: Loopback, **config: bool) -> tuple[str, ...]:
    async with Desk(server) as desk:
        desk.venue._config = replace(desk.venue._config, **config)
        await desk.venue.start()
        return desk.venue.notes


async def test_a_key_that_may_withdraw_is_refused_at_the_start_unless_that_is_wanted(loopback: Loopback):
    ready(loopback)
    loopback.answer("GET", RIGHTS, {**SOUND, "enableWithdrawals": True})
    with pytest.raises(VenueError, match="allow_withdrawal_key"):
        await started(loopback)
    assert "may move money" in (await started(loopback, allow_withdrawals=True))[0]


async def test_a_sound_key_starts_without_a_word(loopback: Loopback):
    ready(loopback)
    loopback.answer("GET", RIGHTS, SOUND)
    assert await started(loopback) == ()


@pytest.mark.parametrize(("body", "status"), [("nothing", 404), ({"msg": "no"}, 400), ({"odd": 1}, 200)])
async def test_on_this_machine_a_key_of_unknown_rights_trades_with_a_note(loopback: Loopback, body, status: int):
    ready(loopback)
    loopback.answer("GET", RIGHTS, body, status=status)
    assert "does not tell" in (await started(loopback))[0]


async def test_a_server_without_a_clock_and_without_rights_can_be_traded_on(loopback: Loopback):
    loopback.answer("GET", "/api/v3/account", {"balances": []})
    assert "does not tell" in (await started(loopback))[0]


async def test_an_order_that_the_user_stream_told_of_is_not_absent_because_the_listing_lags(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch,
):
    ready(loopback)
    hang_after_accepting(loopback)
    is_sent = asyncio.Event()

    async def told(socket: web.WebSocketResponse) -> None:
        await is_sent.wait()
        await sends(user_event("td-1", "NEW"))(socket)

    loopback.scripts.append(told)
    loopback.answer("GET", ORDER, ABSENT, status=400)
    async with Desk(loopback, ws=True, order_timeout_s=0.2, sweep_every_s=60) as desk:
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        desk.venue.submit(approved_order(wire_type="limit", price="90"))
        is_sent.set()
        await until(lambda: desk.kinds == ["accepted", "unknown"])
        desk.venue.query(ClientOrderId("td-1"), "BTC/USDT")
        await until(lambda: len(desk.kinds) == 3)
        assert desk.kinds[-1] == "unknown"
        assert "does not list it yet" in desk.reports[-1].reason
        monkeypatch.setattr("exchanges.working_order.TOLD_OF_S", 0.0)
        desk.venue._absence_s = 0.0
        desk.venue.query(ClientOrderId("td-1"), "BTC/USDT")
        await until(lambda: desk.kinds[-1] == "not_found")
    assert len(desk.posts) == 1


async def test_an_order_that_rests_for_long_is_not_over_because_one_answer_does_not_know_it(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch,
):
    """It would be placed once more beside itself."""
    monkeypatch.setattr("exchanges.working_order.TOLD_OF_S", 0.0)
    loopback.answer("POST", ORDER, order_body("NEW", "0"))
    async with Desk(loopback, absence_s=0.05) as desk:
        await desk.submitted(wire_type="stop_limit", side="sell", price="89", stop_price="90")

        async def answered(body: dict, status: int = 200) -> str:
            loopback.answer("GET", ORDER, body, status=status)
            told = len(desk.kinds)
            desk.venue.query(ClientOrderId("td-1"), "BTC/USDT")
            await until(lambda: len(desk.kinds) > told and not desk.venue.questions)
            return desk.kinds[-1]

        for _ in range(2):
            assert await answered(ABSENT, 400) == "unknown"
            assert await answered(order_body("NEW", "0")) == "accepted"
        since = asyncio.get_running_loop().time()
        while await answered(ABSENT, 400) == "unknown":
            pass
        assert desk.kinds[-1] == "not_found"
        assert asyncio.get_running_loop().time() - since >= 0.05


@pytest.mark.parametrize("status", ["FILLED", "NEW"])
async def test_an_order_that_was_no_longer_known_is_asked_about_on_for_it_may_be_filled(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch, status: str,
):
    """No stream tells of it while that is away; the engine asks no more about what is over."""
    ready(loopback)
    monkeypatch.setattr("exchanges.working_order.TOLD_OF_S", 0.0)
    loopback.answer("POST", ORDER, order_body("NEW", "0"))
    loopback.answer("GET", ORDER, ABSENT, status=400)
    loopback.answer("GET", "/api/v3/openOrders", [])
    loopback.answer("DELETE", ORDER, order_body("CANCELED", "0"))
    async with Desk(loopback, absence_s=0.0, sweep_every_s=0.02, poll_every_s=60) as desk:
        await desk.submitted(wire_type="limit", price="110", side="sell")
        desk.venue.query(ClientOrderId("td-1"), "BTC/USDT")
        await until(lambda: desk.kinds == ["accepted", "not_found"])
        loopback.answer("GET", ORDER, order_body(status, "1" if status == "FILLED" else "0"))
        loopback.answer("GET", "/api/v3/myTrades", [trade_row(1, "1")])
        await desk.venue.start()
        await until(lambda: desk.kinds[-1] == ("fill" if status == "FILLED" else "cancelled"))
    assert len(loopback.calls("DELETE", ORDER)) == (status == "NEW")


async def test_an_order_of_a_lost_data_directory_is_found_soon_after_the_start_and_watched_until_it_ends(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch,
):
    ready(loopback)
    monkeypatch.setattr(orders, "FIRST_SWEEP_S", 0.02)
    loopback.answer("GET", "/api/v3/openOrders", [order_body("NEW", "0")])
    loopback.answer("GET", ORDER, order_body("NEW", "0"))
    async with Desk(loopback, poll_every_s=0.02, sweep_every_s=60) as desk:
        await desk.venue.start()
        await until(lambda: "accepted" in desk.kinds)
        assert desk.venue.is_watching(ClientOrderId("td-1"))
        loopback.answer("GET", ORDER, order_body("CANCELED", "0"))
        await until(lambda: desk.kinds[-1] == "cancelled")
        assert not desk.venue.is_watching(ClientOrderId("td-1"))


async def test_a_clock_that_cannot_be_set_for_a_while_does_not_end_the_sweep(loopback: Loopback):
    ready(loopback)
    async with Desk(loopback, sweep_every_s=0.02, poll_every_s=60) as desk:
        await desk.venue.start()
        loopback.answer("GET", "/api/v3/openOrders", {"code": -1021, "msg": "Timestamp"}, status=400)
        loopback.answer("GET", "/api/v3/time", {}, status=503)
        await until(lambda: len(loopback.calls("GET", "/api/v3/time")) > 1)
        loopback.answer("GET", "/api/v3/openOrders", [order_body("NEW", "0")])
        loopback.answer("GET", ORDER, order_body("NEW", "0"))
        await until(lambda: desk.kinds == ["accepted"])
    assert desk.problems == []
