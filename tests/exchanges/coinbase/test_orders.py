import decimal
from decimal import Decimal
from typing import Any

import pytest

from bus.ids import ClientOrderId, VenueOrderId
from exchanges.answers import NoAnswerError, TransportError, VenueError
from exchanges.coinbase.keys import KeyPair
from market.instrument import Instrument
from tests.exchanges.coinbase.desk import Desk, late
from tests.exchanges.coinbase.exchange import PEM, Exchange, answers, created, until

D = Decimal


async def test_a_market_order_leaves_as_a_limit_that_takes_at_once_and_its_fills_are_told(exchange: Exchange):
    exchange.auto_fill = True
    async with Desk(exchange) as desk:
        desk.submit(quantity="0.500")
        await desk.heard("accepted", "accepted", "fill")
    assert desk.posts == [{
        "client_order_id": "td-1", "product_id": "BTC-USD", "side": "BUY",
        "order_configuration": {"sor_limit_ioc": {"base_size": "0.5", "limit_price": "101"}},
    }]
    fill = desk.reports[-1]
    assert (fill.quantity, fill.price, fill.fee, fill.fee_asset) == (D("0.5"), D(100), D("0.06"), "USD")
    assert fill.venue_order_id == exchange.of("td-1")["order_id"]


@pytest.mark.parametrize(("order", "configuration"), [
    ({"side": "sell"}, {"sor_limit_ioc": {"base_size": "1", "limit_price": "95"}}),
    ({"wire_type": "limit", "price": "99.50"},
     {"limit_limit_gtc": {"base_size": "1", "limit_price": "99.5", "post_only": False}}),
    ({"wire_type": "limit", "price": "99", "time_in_force": "IOC"},
     {"sor_limit_ioc": {"base_size": "1", "limit_price": "99"}}),
    ({"wire_type": "limit", "price": "99", "time_in_force": "FOK"},
     {"limit_limit_fok": {"base_size": "1", "limit_price": "99"}}),
    ({"wire_type": "stop_limit", "side": "sell", "price": "89", "stop_price": "90"},
     {"stop_limit_stop_limit_gtc": {"base_size": "1", "limit_price": "89", "stop_price": "90",
                                    "stop_direction": "STOP_DIRECTION_STOP_DOWN"}}),
    ({"wire_type": "stop_limit", "side": "buy", "price": "111", "stop_price": "110"},
     {"stop_limit_stop_limit_gtc": {"base_size": "1", "limit_price": "111", "stop_price": "110",
                                    "stop_direction": "STOP_DIRECTION_STOP_UP"}}),
])
async def test_each_kind_of_order_goes_out_in_the_venues_words(exchange: Exchange, order: dict, configuration: dict):
    async with Desk(exchange) as desk:
        desk.submit(**order)
        await until(lambda: "accepted" in desk.kinds)
    assert desk.posts[0]["order_configuration"] == configuration


async def test_a_refusal_of_the_venue_is_a_rejection_in_its_words(exchange: Exchange):
    exchange.fail("POST", "/orders", answers({"success": False, "error_response": {
        "error": "INSUFFICIENT_FUND", "message": "Insufficient balance", "preview_failure_reason":
        "PREVIEW_INSUFFICIENT_FUND"}}))
    async with Desk(exchange) as desk:
        desk.submit()
        await desk.heard("rejected")
    assert "INSUFFICIENT_FUND" in desk.reports[0].reason
    assert "Insufficient balance" in desk.reports[0].reason


@pytest.mark.parametrize("fault", [
    answers("<html>bad gateway</html>", status=502), answers("{broken", status=200), answers({}, status=200),
    answers({"success": False}, status=200), answers({"message": "internal"}, status=500),
    answers({"success": False, "error_response": {"error": "UNKNOWN_FAILURE_REASON"}}),
    answers({"success": False, "error_response": {"error": "INVALID_REQUEST", "message": "duplicate client_order_id"}}),
])
async def test_an_answer_that_leaves_a_doubt_is_unknown_and_never_sent_again(exchange: Exchange, fault):
    exchange.fail("POST", "/orders", fault)
    async with Desk(exchange) as desk:
        desk.submit()
        await desk.heard("unknown")
        desk.venue.query(ClientOrderId("td-1"), "BTC/USD")
        await desk.heard("unknown", "not_found")
        assert len(desk.posts) == 1


async def test_an_answer_about_another_order_is_unknown_and_a_problem(exchange: Exchange):
    other = {"order_id": "o", "product_id": "BTC-USD", "side": "BUY", "client_order_id": "ccxt-1",
             "order_configuration": {}}
    exchange.fail("POST", "/orders", answers(created(other)))
    async with Desk(exchange) as desk:
        desk.submit()
        await desk.heard("unknown")
    assert "ccxt-1" in desk.problems[0]


async def test_a_cancel_names_the_venues_id_and_ends_with_its_word(exchange: Exchange):
    async with Desk(exchange) as desk:
        desk.submit(wire_type="limit", price="99")
        await desk.heard("accepted")
        desk.venue.cancel(ClientOrderId("td-1"), desk.reports[0].venue_order_id, "BTC/USD")
        await desk.heard("accepted", "accepted", "cancelled")
    assert exchange.calls("POST", "/orders/batch_cancel")[0][1] == {"order_ids": [desk.reports[0].venue_order_id]}


async def test_a_cancel_without_the_venues_id_looks_for_it_first(exchange: Exchange):
    exchange.place({"client_order_id": "td-9", "product_id": "BTC-USD", "side": "BUY",
                    "order_configuration": {"limit_limit_gtc": {"base_size": "1", "limit_price": "99"}}})
    async with Desk(exchange) as desk:
        desk.venue.cancel(ClientOrderId("td-9"), VenueOrderId(""), "BTC/USD")
        await desk.heard("accepted", "accepted", "cancelled")


async def test_a_cancel_that_loses_the_race_is_told_after_the_fill(exchange: Exchange):
    async with Desk(exchange) as desk:
        desk.submit(wire_type="limit", price="99")
        await desk.heard("accepted")
        exchange.fill("td-1", "1")
        desk.venue.cancel(ClientOrderId("td-1"), desk.reports[0].venue_order_id, "BTC/USD")
        await desk.heard("accepted", "cancel_rejected", "accepted", "fill")
    assert desk.reports[1].reason == "ORDER_IS_FULLY_FILLED"


async def test_too_many_requests_are_obeyed_and_nothing_is_sent_meanwhile(exchange: Exchange):
    exchange.fail("POST", "/orders", answers({"error": "rate limit exceeded"}, 429, {"Retry-After": "30"}))
    async with Desk(exchange) as desk:
        desk.submit()
        await desk.heard("rejected")
        desk.submit(client_order_id="td-2")
        await desk.heard("rejected", "rejected")
        assert "not sent" in desk.reports[1].reason
        assert len(desk.posts) == 1


async def test_a_start_in_the_middle_of_a_ban_asks_nothing_more_and_can_be_tried_again(exchange: Exchange):
    exchange.fail("GET", "/time", *[answers({"error": "rate limit exceeded"}, 429, {"Retry-After": "120"})] * 3)
    async with Desk(exchange) as desk:
        for _ in range(3):
            with pytest.raises(NoAnswerError, match="no requests for another"):
                await desk.venue.start()
    assert len(exchange.requests) == 1


async def test_a_wrong_clock_is_set_and_the_order_sent_once_more(exchange: Exchange):
    exchange.clock_ahead_s = 600
    exchange.auto_fill = True
    async with Desk(exchange) as desk:
        desk.submit()
        await until(lambda: "fill" in desk.kinds)
        assert len(desk.posts) == 2
        assert len(exchange.orders) == 1
    assert exchange.bad_tokens == 1


async def test_a_clock_that_is_found_wrong_after_another_trouble_is_set_too(exchange: Exchange):
    exchange.clock_ahead_s = 600
    exchange.fail("GET", "/accounts", answers("Service Unavailable", 503))
    async with Desk(exchange) as desk:
        assert await desk.venue.balances() == {"USD": D(1000)}
        assert desk.refusals == []
    assert exchange.bad_tokens == 1


async def test_refused_keys_are_told(exchange: Exchange):
    exchange.fail("POST", "/orders", answers("Unauthorized", 401))
    async with Desk(exchange) as desk:
        desk.submit()
        await desk.heard("rejected")
    assert "refuses our keys" in desk.refusals[0]
    assert PEM[40:80] not in repr(desk.refusals) + repr(desk.venue._config) + repr(desk.venue._rest.keys)


async def test_a_venue_that_takes_the_older_form_of_token_alone_is_found_out_by_the_first_read(exchange: Exchange):
    exchange.takes_old_tokens = exchange.auto_fill = True
    async with Desk(exchange, ws=True) as desk:
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        desk.submit()
        await until(lambda: "fill" in desk.kinds)
        assert len(desk.posts) == 1
    assert exchange.bad_tokens == 1


async def test_keys_that_are_refused_in_both_forms_are_signed_for_in_the_new_one(exchange: Exchange):
    async with Desk(exchange) as desk:
        exchange.fail("GET", "/accounts", answers("Unauthorized\n", 401), answers("Unauthorized\n", 401))
        with pytest.raises(VenueError, match=r"HTTP 401 Unauthorized\. "):
            await desk.venue.balances()
        assert await desk.venue.balances() == {"USD": D(1000)}
    assert exchange.bad_tokens == 0


async def test_an_order_is_never_sent_again_in_the_older_form(exchange: Exchange):
    exchange.takes_old_tokens = True
    async with Desk(exchange) as desk:
        desk.submit()
        await desk.heard("rejected")
        assert len(desk.posts) == 1


async def test_balances_are_what_is_free_and_what_is_held(exchange: Exchange):
    async with Desk(exchange) as desk:
        assert await desk.venue.balances() == {"USD": D(1000)}


async def test_an_order_of_somebody_else_that_we_cannot_read_hides_none_of_the_others(exchange: Exchange):
    """A person may size an order in quote, which none of ours is; a new kind of order has a status we do not know."""
    for name in ("td-1", "by-hand", "by-hand-too"):
        exchange.place(late(name))
    exchange.of("by-hand").update(
        size_in_quote=True, order_configuration={"limit_limit_gtc": {"quote_size": "50", "limit_price": "99"}}
    )
    exchange.of("by-hand-too").update(filled_size=None, created_time="soon")
    async with Desk(exchange) as desk:
        found = [each.client_order_id for each in await desk.venue.open_orders()]
        assert found == ["td-1"]
        exchange.of("td-1").update(created_time="soon")
        with pytest.raises(VenueError, match="not what Coinbase documents"):
            await desk.venue.open_orders()


async def test_a_key_that_may_withdraw_does_not_go_live(exchange: Exchange):
    exchange.rights["can_transfer"] = True
    async with Desk(exchange) as desk:
        with pytest.raises(VenueError, match="may move money out"):
            await desk.venue.start()
    async with Desk(exchange, allow_withdrawals=True) as desk:
        await desk.venue.start()


async def test_a_key_that_may_not_trade_does_not_go_live(exchange: Exchange):
    exchange.rights["can_trade"] = False
    async with Desk(exchange) as desk:
        with pytest.raises(VenueError, match="may not trade"):
            await desk.venue.start()


async def test_keys_with_literal_line_breaks_are_read(exchange: Exchange):
    async with Desk(exchange, api_secret=PEM.replace("\n", "\\n")) as desk:
        await desk.venue.start()
    assert exchange.bad_tokens == 0


async def test_the_process_wide_rounding_of_decimals_is_left_alone(exchange: Exchange):
    exchange.auto_fill = True
    before = decimal.getcontext().copy()
    async with Desk(exchange) as desk:
        await desk.venue.start()

        async def rounding_request(*_: Any) -> None:
            desk.venue._rest._bridge._exchange.decimal_to_precision("1.5", 0, 0, 2)
            assert decimal.getcontext().rounding == decimal.ROUND_HALF_UP
            raise ConnectionError("gone")

        desk.venue._rest._bridge._exchange.request = rounding_request
        with pytest.raises(TransportError, match="gone"):
            await desk.venue._rest.once("GET", "brokerage/accounts")
        assert decimal.getcontext().rounding == before.rounding
        assert decimal.getcontext().prec == before.prec


async def test_an_order_leaves_within_the_step_that_wants_it_with_a_token_that_was_there(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
):
    exchange.auto_fill = True
    signed: list[str] = []
    make = KeyPair.token

    def token(keys: KeyPair, *what: Any, **form: bool) -> str:
        signed.append(make(keys, *what, **form))
        return signed[-1]

    async with Desk(exchange) as desk:
        await desk.venue.start()
        monkeypatch.setattr(KeyPair, "token", token)
        (line,) = desk.venue._rest._line._idle
        written: list[bytes] = []
        send = line.send

        def noted(request: bytes) -> Any:
            written.append(request)
            return send(request)

        monkeypatch.setattr(line, "send", noted)
        for number in range(2):
            signed.clear()
            desk.submit(client_order_id=ClientOrderId(f"td-s1-{number}"))
            assert len(written) == number + 1, "the bytes leave before anything else runs"
            assert signed == [], "nothing is signed while the order is in a hurry"
            await until(lambda: "fill" in desk.kinds)
            desk.reports.clear()
        assert exchange.bad_tokens == 0
        first, second = (request.split(b"Bearer ")[1].split(b"\r\n")[0] for request in written)
        assert first != second, "each request has a token of its own"


async def test_new_rules_of_a_product_hold_for_the_orders_that_follow(exchange: Exchange):
    coarse = Instrument("BTC/USD", "BTC-USD", "BTC", "USD", D(10), D("0.00000001"), D("0.00000001"), D(3400), D(1))
    async with Desk(exchange) as desk:
        desk.venue.update_instruments([coarse])
        desk.submit()
        await until(lambda: "accepted" in desk.kinds)
    assert desk.posts[0]["order_configuration"]["sor_limit_ioc"]["limit_price"] == "100"


async def test_an_exit_does_not_wait_behind_a_burst_of_entries(exchange: Exchange):
    async with Desk(exchange) as desk:
        for number in range(20):
            desk.submit(client_order_id=f"td-entry-{number}", wire_type="limit", price="99")
        desk.submit(client_order_id="td-exit", side="sell")
        await until(lambda: "td-exit" in [post["client_order_id"] for post in desk.posts])
        assert len(desk.posts) <= 13


async def test_an_order_that_was_not_sent_yet_is_taken_back_and_never_sent(exchange: Exchange):
    async with Desk(exchange) as desk:
        for number in range(12):
            desk.submit(client_order_id=f"td-{number}", wire_type="limit", price="99")
        desk.venue.cancel(ClientOrderId("td-11"), VenueOrderId(""), "BTC/USD")
        await until(lambda: len({each.client_order_id for each in desk.reports}) == 12)
    assert [(each.exec_type, each.reason) for each in desk.reports if each.client_order_id == "td-11"] == [
        ("cancelled", "taken back before it was sent")
    ]
    assert "td-11" not in [post["client_order_id"] for post in desk.posts]


async def test_an_exit_that_waits_for_the_end_of_a_ban_is_taken_back(exchange: Exchange):
    exchange.fail("POST", "/orders", answers({"error": "rate limit exceeded"}, 429, {"Retry-After": "30"}))
    async with Desk(exchange) as desk:
        desk.submit()
        await desk.heard("rejected")
        desk.submit(client_order_id="td-exit", side="sell")
        desk.venue.cancel(ClientOrderId("td-exit"), VenueOrderId(""), "BTC/USD")
        await desk.heard("rejected", "cancelled")
    assert len(desk.posts) == 1


async def test_an_entry_that_could_leave_only_late_is_refused_unsent(exchange: Exchange):
    async with Desk(exchange) as desk:
        for number in range(30):
            desk.submit(client_order_id=f"td-{number}", wire_type="limit", price="99")
        await until(lambda: len({each.client_order_id for each in desk.reports}) == 30)
    refused = {each.client_order_id: each.reason for each in desk.reports if each.exec_type == "rejected"}
    assert refused
    assert all("our own budget" in reason for reason in refused.values())
    assert not refused.keys() & {post["client_order_id"] for post in desk.posts}
