import asyncio
import decimal
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from bus.clock import LiveClock
from bus.ids import ClientOrderId, VenueOrderId
from bus.messages.orders import ExecutionReport
from exchanges.binance.rest import NoAnswerError, TransportError, VenueError
from exchanges.coinbase.keys import KeyPair
from exchanges.coinbase.orders import CoinbaseConfig, CoinbaseVenue
from market.instrument import Instrument
from tests.exchanges.approvals import approved_order
from tests.exchanges.coinbase.exchange import KEY_NAME, PEM, Exchange, answers, created, until

D = Decimal
BTC = Instrument("BTC/USD", "BTC-USD", "BTC", "USD", D("0.01"), D("0.00000001"), D("0.00000001"), D(3400), D(1))


class Desk:
    """A live venue against the exchange of the test, and the reports it gave."""

    def __init__(self, server: Exchange, **options: Any) -> None:
        self.server = server
        self.reports: list[ExecutionReport] = []
        self.problems: list[str] = []
        self.refusals: list[str] = []
        config = CoinbaseConfig(
            "coinbase", server.rest_url, server.ws_user_url if options.pop("ws", False) else "",
            options.pop("api_key", KEY_NAME), options.pop("api_secret", PEM), options.pop("order_timeout_s", 2.0),
            options.pop("allow_withdrawals", False),
        )
        self.venue = CoinbaseVenue(
            config, self.reports.append, LiveClock(), [BTC], jitter=lambda: 0.5, on_problem=self.problems.append,
            on_refused=self.refusals.append,
            **{"absence_s": 0.02, **options},
        )

    async def __aenter__(self) -> "Desk":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.venue.close()

    def submit(self, **order: Any) -> None:
        self.venue.submit(approved_order(**{"symbol": "BTC/USD", **order}))

    async def heard(self, *kinds: str) -> None:
        await until(lambda: self.kinds == list(kinds) or len(self.kinds) > len(kinds))
        assert self.kinds == list(kinds)

    @property
    def kinds(self) -> list[str]:
        return [report.exec_type for report in self.reports]

    @property
    def posts(self) -> list[Any]:
        return [body for _, body in self.server.calls("POST", "/orders")]

    def fills(self) -> dict[str, Decimal]:
        return {each.trade_id: each.quantity for each in self.reports if each.exec_type == "fill"}


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


async def test_an_order_that_arrived_though_nobody_answered_is_found_by_our_id_without_being_sent_again(
    exchange: Exchange,
):
    async def accept_and_hang(request: web.Request) -> web.Response:
        exchange.place(await request.json())
        exchange.fill("td-1", "0.4")
        await asyncio.sleep(60)
        return web.Response()

    exchange.fail("POST", "/orders", accept_and_hang)
    async with Desk(exchange, order_timeout_s=0.3, poll_every_s=0.02) as desk:
        await desk.venue.start()
        desk.submit()
        await until(lambda: "fill" in desk.kinds)
        assert desk.kinds[0] == "unknown"
        assert list(desk.fills().values()) == [D("0.4")]
        exchange.fill("td-1", "0.6")
        await until(lambda: len(desk.fills()) == 2)
        assert len(desk.posts) == 1


async def test_absence_is_believed_only_when_it_lasts(exchange: Exchange):
    body = {"client_order_id": "td-1", "product_id": "BTC-USD", "side": "BUY",
            "order_configuration": {"sor_limit_ioc": {"base_size": "1", "limit_price": "101"}}}
    async with Desk(exchange, absence_s=0.05) as desk:
        desk.venue.query(ClientOrderId("td-1"), "BTC/USD")
        await until(lambda: len(exchange.calls("GET", "/orders/historical/batch")) == 2)  # open ones, then all
        exchange.place(body)
        await until(lambda: desk.reports)
        assert desk.kinds == ["accepted"]


async def test_an_order_deep_in_the_history_is_found_page_by_page(exchange: Exchange):
    exchange.page = 3
    wish = {"product_id": "BTC-USD", "side": "BUY", "order_configuration": {"limit_limit_gtc": {"base_size": "1"}}}
    for number in range(1, 12):
        exchange.place({**wish, "client_order_id": f"td-{number}"})
        exchange.fill(f"td-{number}", "1")
    async with Desk(exchange) as desk:
        desk.venue.query(ClientOrderId("td-2"), "BTC/USD")
        await desk.heard("accepted", "fill")
        desk.venue.query(ClientOrderId("td-99"), "BTC/USD")
        await desk.heard("accepted", "fill", "not_found")


async def test_absence_is_found_out_behind_five_thousand_later_orders(exchange: Exchange):
    exchange.page = 1
    for number in range(1, 22):  # as many pages as so many orders fill
        exchange.place(late(f"td-{number}"))
        exchange.fill(f"td-{number}", "2")
    async with Desk(exchange) as desk:
        desk.venue.query(ClientOrderId("td-99"), "BTC/USD")
        await until(lambda: desk.reports, 30)
        assert desk.kinds == ["not_found"]


async def test_a_listing_that_cannot_be_read_to_its_end_never_says_not_found(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("exchanges.coinbase.order_lookup.MOST_PAGES_OF_ORDERS", 20)
    exchange.page = 1
    wish = {"product_id": "BTC-USD", "side": "BUY", "order_configuration": {"limit_limit_gtc": {"base_size": "1"}}}
    for number in range(1, 25):
        exchange.place({**wish, "client_order_id": f"td-{number}"})
    async with Desk(exchange) as desk:
        desk.venue.query(ClientOrderId("td-99"), "BTC/USD")
        await desk.heard("unknown")
    assert "the venue has more" in desk.reports[0].reason


async def test_the_user_channel_brings_fills_with_their_ids_and_the_end_after_them(exchange: Exchange):
    async with Desk(exchange, ws=True) as desk:
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        desk.submit(wire_type="limit", price="99")
        await until(lambda: "accepted" in desk.kinds)
        exchange.fill("td-1", "0.3", "98.5")
        await exchange.tell("td-1")
        await until(lambda: len(desk.fills()) == 1)
        exchange.fill("td-1", "0.2", "98.6")
        exchange.end("td-1")
        await exchange.tell("td-1")
        await until(lambda: "cancelled" in desk.kinds)
        assert list(desk.fills().values()) == [D("0.3"), D("0.2")]
        assert desk.kinds.index("cancelled") > max(i for i, kind in enumerate(desk.kinds) if kind == "fill")
    assert exchange.bad_tokens == 0
    assert {wish["channel"] for wish in exchange.subscriptions} == {"user", "heartbeats"}


async def test_an_end_is_not_told_before_the_last_fill_is_listed(exchange: Exchange):
    async with Desk(exchange, ws=True) as desk:
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        desk.submit(wire_type="limit", price="99")
        await until(lambda: "accepted" in desk.kinds)
        exchange.fill("td-1", "0.7", is_listed=False)
        exchange.end("td-1")
        await exchange.tell("td-1")
        await until(lambda: exchange.calls("GET", "/orders/historical/fills"))
        assert "cancelled" not in desk.kinds
        exchange.fills.append(exchange.hidden)
        await until(lambda: "cancelled" in desk.kinds)
        assert list(desk.fills().values()) == [D("0.7")]


async def test_a_stream_that_breaks_is_opened_again_and_what_it_missed_is_asked_for(exchange: Exchange):
    async with Desk(exchange, ws=True) as desk:
        desk.venue.stream._first_backoff_s = 0.01
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        desk.submit(wire_type="limit", price="99")
        await until(lambda: "accepted" in desk.kinds)
        exchange.fill("td-1", "1")
        await exchange.drop()
        await until(lambda: desk.fills())
    assert desk.venue.stream.reconnects >= 1


async def test_a_stream_that_is_lost_makes_us_ask_before_it_is_there_again(exchange: Exchange):
    async with Desk(exchange, ws=True, poll_every_s=60) as desk:
        desk.venue.stream._first_backoff_s = 60
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        desk.submit(wire_type="limit", price="99")
        await until(lambda: "accepted" in desk.kinds)
        exchange.fill("td-1", "1")
        await exchange.drop()
        await until(lambda: desk.fills())
        assert not desk.venue.stream.is_up


async def test_a_missing_frame_of_the_user_channel_makes_us_ask(exchange: Exchange):
    async with Desk(exchange, ws=True) as desk:
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        desk.submit(wire_type="limit", price="99")
        await until(lambda: "accepted" in desk.kinds)
        exchange.fill("td-1", "1")
        exchange.feeds[0].sequence += 1
        await exchange.broadcast("heartbeats", {"heartbeat_counter": 1})
        await until(lambda: desk.fills())
    assert desk.venue.stream.gaps == 1


async def test_a_user_stream_that_falls_silent_after_heartbeats_is_reconnected(exchange: Exchange):
    async with Desk(exchange, ws=True) as desk:
        desk.venue.stream._first_backoff_s = 0.01
        desk.venue.stream._mute_s = 0.05
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        await exchange.broadcast("heartbeats", {"heartbeat_counter": 1})
        await until(lambda: desk.venue.stream.reconnects >= 1)
    assert "mute" in desk.venue.stream.last_problem


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


async def test_refused_keys_are_told(exchange: Exchange):
    exchange.fail("POST", "/orders", answers("Unauthorized", 401))
    async with Desk(exchange) as desk:
        desk.submit()
        await desk.heard("rejected")
    assert "refuses our keys" in desk.refusals[0]
    assert PEM[40:80] not in repr(desk.refusals) + repr(desk.venue._config) + repr(desk.venue._rest.keys)


async def test_balances_are_what_is_free_and_what_is_held(exchange: Exchange):
    async with Desk(exchange) as desk:
        assert await desk.venue.balances() == {"USD": D(1000)}


async def test_working_orders_of_the_account_are_listed_ours_or_not(exchange: Exchange):
    exchange.page = 1
    for name in ("td-0", "td-1", "somebody-else"):
        exchange.place({"client_order_id": name, "product_id": "BTC-USD", "side": "BUY",
                        "order_configuration": {"limit_limit_gtc": {"base_size": "2", "limit_price": "99"}}})
    exchange.fill("td-1", "0.5")
    exchange.fill("td-0", "2")
    async with Desk(exchange) as desk:
        found = {each.client_order_id: each for each in await desk.venue.open_orders()}
    assert set(found) == {"td-1", "somebody-else"}
    assert (found["td-1"].symbol, found["td-1"].quantity, found["td-1"].filled) == ("BTC/USD", D(2), D("0.5"))


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


async def test_nothing_is_kept_of_an_order_that_has_filled(exchange: Exchange):
    async with Desk(exchange, ws=True) as desk:
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        desk.submit(wire_type="limit", price="99")
        await until(lambda: "accepted" in desk.kinds)
        exchange.fill("td-1", "1")
        await exchange.tell("td-1")
        await until(lambda: desk.fills())
        await exchange.tell("td-1")  # the channel's last word comes after we know
        await until(lambda: len(exchange.calls("GET", "/orders/historical/fills")) == 2)
        await until(lambda: not len(desk.venue._questions))
        assert desk.venue._venue_ids == {}


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

    def token(keys: KeyPair, *what: Any) -> str:
        signed.append(make(keys, *what))
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


async def test_absence_is_not_believed_while_the_request_is_under_way(exchange: Exchange):
    release = asyncio.Event()

    async def hold(request: web.Request) -> None:
        await release.wait()

    exchange.fail("POST", "/orders", hold)
    async with Desk(exchange, absence_s=0.0) as desk:
        desk.submit()
        await until(lambda: desk.posts)
        desk.venue.query(ClientOrderId("td-1"), "BTC/USD")
        await desk.heard("unknown")
        release.set()
        await until(lambda: "accepted" in desk.kinds)
        assert "not_found" not in desk.kinds


async def test_a_fault_of_the_listing_is_outlived_without_the_engine_asking_again(exchange: Exchange):
    async def accept_and_fail(request: web.Request) -> web.Response:
        exchange.place(await request.json())
        return web.Response(status=504, text="gateway timeout")

    exchange.fail("POST", "/orders", accept_and_fail)
    exchange.fail("GET", "/orders/historical/batch", *[answers("oops", 503)] * 6)
    async with Desk(exchange, poll_every_s=0.01) as desk:
        desk.venue._rest._first_pause_s = 0.001
        await desk.venue.start()
        desk.submit(wire_type="limit", price="99")
        await until(lambda: "accepted" in desk.kinds)
        assert desk.kinds[0] == "unknown"
        assert "not_found" not in desk.kinds
        assert len(exchange.orders) == len(desk.posts) == 1


async def test_an_immediate_order_is_asked_for_until_it_ends_though_no_stream_tells_of_it(exchange: Exchange):
    async with Desk(exchange, ws=True, poll_every_s=0.01) as desk:
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        desk.submit()
        await until(lambda: desk.kinds.count("accepted") >= 3)
        exchange.fill("td-1", "0.4")
        exchange.end("td-1")
        await until(lambda: "cancelled" in desk.kinds)
        asked = len(exchange.requests)
        await asyncio.sleep(0.05)
        assert len(exchange.requests) == asked
    assert list(desk.fills().values()) == [D("0.4")]


async def test_an_order_of_an_earlier_run_is_found_with_all_its_fills_and_watched_on(exchange: Exchange):
    async with Desk(exchange) as first:
        first.submit(wire_type="stop_limit", side="sell", price="89", stop_price="90")
        await first.heard("accepted")
    exchange.fill("td-1", "0.4")
    async with Desk(exchange, ws=True) as second:
        await second.venue.start()
        second.venue.query(ClientOrderId("td-1"), "BTC/USD")
        await until(lambda: second.fills())
        await until(lambda: second.venue.stream.is_up)
        exchange.fill("td-1", "0.6")
        await exchange.tell("td-1")
        await until(lambda: len(second.fills()) == 2)
    assert len(exchange.orders) == 1


async def test_somebody_elses_order_is_counted_and_not_touched(exchange: Exchange):
    async with Desk(exchange, ws=True) as desk:
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        exchange.place({"client_order_id": "by-hand", "product_id": "BTC-USD", "side": "BUY",
                        "order_configuration": {"limit_limit_gtc": {"base_size": "2", "limit_price": "99"}}})
        exchange.fill("by-hand", "1")
        await exchange.tell("by-hand")
        await until(lambda: desk.venue.foreign_reports)
    assert desk.reports == []


async def test_new_rules_of_a_product_hold_for_the_orders_that_follow(exchange: Exchange):
    coarse = Instrument("BTC/USD", "BTC-USD", "BTC", "USD", D(10), D("0.00000001"), D("0.00000001"), D(3400), D(1))
    async with Desk(exchange) as desk:
        desk.venue.update_instruments([coarse])
        desk.submit()
        await until(lambda: "accepted" in desk.kinds)
    assert desk.posts[0]["order_configuration"]["sor_limit_ioc"]["limit_price"] == "100"


def late(name: str) -> dict[str, Any]:
    return {"client_order_id": name, "product_id": "BTC-USD", "side": "BUY",
            "order_configuration": {"limit_limit_gtc": {"base_size": "2", "limit_price": "99"}}}


async def test_an_order_that_comes_to_life_after_it_was_given_up_is_ended_and_its_fills_are_told(exchange: Exchange):
    async with Desk(exchange, ws=True) as desk:
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        desk.venue.query(ClientOrderId("td-1"), "BTC/USD")
        await desk.heard("not_found")
        exchange.place(late("td-1"))
        exchange.fill("td-1", "0.5")
        await exchange.tell("td-1")
        await until(lambda: "cancelled" in desk.kinds)
    assert exchange.of("td-1")["status"] == "CANCELLED"
    assert list(desk.fills().values()) == [D("0.5")]


async def test_late_arrivals_and_strangers_with_our_mark_are_found_without_the_stream(exchange: Exchange, monkeypatch):
    monkeypatch.setattr("exchanges.coinbase.orders.TRUTH_EVERY", 1)
    async with Desk(exchange, poll_every_s=0.05) as desk:
        desk.venue.query(ClientOrderId("td-1"), "BTC/USD")
        await desk.heard("not_found")
        for name in ("td-1", "td-stranger", "by-hand"):
            exchange.place(late(name))
        await desk.venue.start()
        await until(lambda: exchange.of("td-1")["status"] == "CANCELLED")
        await until(lambda: "td-stranger" in {each.client_order_id for each in desk.reports})
    assert exchange.of("td-stranger")["status"] == exchange.of("by-hand")["status"] == "OPEN"
    assert "by-hand" not in {each.client_order_id for each in desk.reports}


async def test_an_exit_does_not_wait_behind_a_burst_of_entries(exchange: Exchange):
    async with Desk(exchange) as desk:
        for number in range(9):
            desk.submit(client_order_id=f"td-entry-{number}", wire_type="limit", price="99")
        desk.submit(client_order_id="td-exit", side="sell")
        await until(lambda: len(desk.posts) == 10)
    assert "td-exit" in [post["client_order_id"] for post in desk.posts[:-4]]


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


async def test_an_order_that_the_user_channel_told_of_is_not_absent_because_the_listing_lags(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch,
):
    async def accept_and_fail(request: web.Request) -> web.Response:
        exchange.place(await request.json())
        await exchange.tell("td-1")
        await asyncio.sleep(0.05)
        exchange.orders.clear()  # the listings do not have it yet
        return web.Response(status=504, text="gateway timeout")

    exchange.fail("POST", "/orders", accept_and_fail)
    async with Desk(exchange, ws=True, absence_s=0.0, poll_every_s=60) as desk:
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        desk.submit(wire_type="limit", price="99")
        await until(lambda: desk.kinds == ["accepted", "unknown"])
        desk.venue.query(ClientOrderId("td-1"), "BTC/USD")
        await until(lambda: len(desk.kinds) == 3)
        assert desk.kinds[-1] == "unknown"
        assert "does not list it yet" in desk.reports[-1].reason
        monkeypatch.setattr("exchanges.coinbase.orders.TOLD_OF_S", 0.0)
        desk.venue.query(ClientOrderId("td-1"), "BTC/USD")
        await until(lambda: desk.kinds[-1] == "not_found")
        assert len(desk.posts) == 1
