"""What became of an order: the listings, the user channel, and what both forgot."""

import asyncio
from decimal import Decimal

import pytest
from aiohttp import web

from bus.ids import ClientOrderId
from exchanges.coinbase.user_events import OrderNews
from exchanges.venue import WatchesOrders
from tests.exchanges.coinbase.desk import Desk, late
from tests.exchanges.coinbase.exchange import Exchange, answers, until, user_row

D = Decimal


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


async def test_an_order_whose_id_the_venue_told_is_looked_for_again_within_tenths_of_a_second(exchange: Exchange):
    """The listings lag behind the answer: of an order that was told of, nobody waits until absence is believed."""
    exchange.auto_fill = True
    where = "/orders/historical/00000001-0000-4000-8000-000000000000"
    not_yet = [answers({"error": "NOT_FOUND"}, 404)] * 3
    exchange.fail("GET", where, *not_yet)
    empty = {"orders": [], "has_next": False, "cursor": ""}
    exchange.fail("GET", "/orders/historical/batch", *[answers(empty)] * 2)
    async with Desk(exchange, absence_s=60.0) as desk:
        desk.submit()
        await until(lambda: "fill" in desk.kinds)
        assert len(exchange.calls("GET", where)) == 4
        assert "not_found" not in desk.kinds


async def test_news_of_an_order_ends_the_wait_for_its_absence(exchange: Exchange):
    async with Desk(exchange, ws=True, absence_s=60.0, poll_every_s=60) as desk:
        await desk.venue.start()
        await until(lambda: desk.venue.stream.is_up)
        desk.venue.query(ClientOrderId("td-1"), "BTC/USD")
        await until(lambda: len(exchange.calls("GET", "/orders/historical/batch")) == 2)  # open ones, then all
        exchange.place(late("td-1"))
        exchange.fill("td-1", "0.5")
        await exchange.tell("td-1")
        await until(lambda: "fill" in desk.kinds)
        assert desk.reports[0].exec_type == "accepted"


async def test_without_a_user_stream_the_end_of_an_immediate_order_is_not_waited_for_until_the_next_poll(
    exchange: Exchange,
):
    async with Desk(exchange, poll_every_s=60) as desk:
        desk.submit()
        await until(lambda: len(exchange.requests) == 2)  # the order, and one look at it
        exchange.fill("td-1", "1")
        await until(lambda: "fill" in desk.kinds)


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
        await desk.rests()
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


async def test_a_stream_that_breaks_is_opened_again_and_what_it_missed_is_asked_for(exchange: Exchange):
    async with Desk(exchange, ws=True) as desk:
        desk.venue.stream._first_backoff_s = 0.01
        await desk.rests()
        exchange.fill("td-1", "1")
        await exchange.drop()
        await until(lambda: desk.fills())
    assert desk.venue.stream.reconnects >= 1


async def test_news_that_nobody_can_take_does_not_end_the_stream(exchange: Exchange):
    async with Desk(exchange, ws=True, poll_every_s=60) as desk:
        stream = desk.venue.stream
        stream._first_backoff_s = 0.01
        take, failed = stream._on_news, []

        def fail_once(news: OrderNews) -> None:
            stream._on_news = take
            failed.append(news)
            raise AttributeError("nobody is there yet")

        await desk.venue.start()
        await until(lambda: stream.is_up)
        desk.submit(wire_type="limit", price="99")
        await until(lambda: "accepted" in desk.kinds)
        stream._on_news = fail_once
        exchange.fill("td-1", "1")
        await exchange.tell("td-1")
        await until(lambda: desk.fills())
        await until(lambda: stream.is_up)
    assert len(failed) == 1
    assert any("opened anew: AttributeError: nobody is there yet" in text for text in desk.problems)


async def test_a_stream_that_is_lost_makes_us_ask_before_it_is_there_again(exchange: Exchange):
    async with Desk(exchange, ws=True, poll_every_s=60) as desk:
        desk.venue.stream._first_backoff_s = 60
        await desk.rests()
        exchange.fill("td-1", "1")
        await exchange.drop()
        await until(lambda: desk.fills())
        assert not desk.venue.stream.is_up


async def test_a_missing_frame_of_the_user_channel_makes_us_ask(exchange: Exchange):
    async with Desk(exchange, ws=True) as desk:
        await desk.rests()
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


async def test_nothing_is_kept_of_an_order_that_has_filled(exchange: Exchange):
    async with Desk(exchange, ws=True) as desk:
        await desk.rests()
        exchange.fill("td-1", "1")
        await exchange.tell("td-1")
        await until(lambda: desk.fills())
        await exchange.tell("td-1")  # the channel's last word comes after we know
        await until(lambda: len(exchange.calls("GET", "/orders/historical/fills")) == 2)
        await until(lambda: not len(desk.venue._questions))
        assert desk.venue._memory.venue_ids == {}


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
        path = f"/orders/historical/{exchange.of('td-1')['order_id']}"
        asked = len(exchange.calls("GET", path))
        await asyncio.sleep(0.05)
        assert len(exchange.calls("GET", path)) == asked
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


async def test_somebody_elses_order_that_cannot_be_read_does_not_end_the_stream(exchange: Exchange):
    """It would be in the snapshot of each new subscription, too."""
    strange = {"client_order_id": "by-hand", "order_id": "1", "product_id": "BTC-USD", "status": "OPEN",
               "cumulative_quantity": "1e-7"}
    async with Desk(exchange, ws=True, poll_every_s=60) as desk:
        desk.venue.stream._first_backoff_s = 0.01
        await desk.rests()
        exchange.fill("td-1", "1")
        ours = user_row(exchange.of("td-1"), exchange)
        await exchange.broadcast("user", {"type": "update", "orders": [strange, ours]})
        await until(lambda: desk.fills())
        assert (desk.venue.foreign_reports, desk.venue.stream.refused, desk.venue.stream.reconnects) == (1, 0, 0)
        for unreadable in ({**ours, "cumulative_quantity": "1e-7"}, {**strange, "client_order_id": None}):
            refused = desk.venue.stream.refused
            await until(lambda: desk.venue.stream.is_up)
            await exchange.broadcast("user", {"type": "update", "orders": [unreadable]})
            await until(lambda: desk.venue.stream.refused > refused)  # noqa: B023 - it ends within this round


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


async def test_an_order_of_a_lost_data_directory_is_found_soon_after_the_start_and_watched_until_it_ends(
    exchange: Exchange,
):
    exchange.place(late("td-other"))
    async with Desk(exchange, poll_every_s=0.02) as desk:
        assert isinstance(desk.venue, WatchesOrders)
        await desk.venue.start()
        await until(lambda: "accepted" in desk.kinds)  # long before the fifteenth look
        assert desk.venue.is_watching(ClientOrderId("td-other"))
        exchange.end("td-other")
        await until(lambda: desk.kinds[-1] == "cancelled")
        assert not desk.venue.is_watching(ClientOrderId("td-other"))
