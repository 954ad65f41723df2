"""Stops that rest at Binance: how they are asked for, refused, triggered, and watched after a restart."""

import asyncio
from decimal import Decimal

from bus.clock import LiveClock
from bus.ids import ClientOrderId, VenueOrderId
from bus.messages.orders import ExecutionReport
from exchanges.binance.orders import BinanceConfig, BinanceVenue
from exchanges.binance.user_events import parse_user_event
from exchanges.practice.config import PracticeUrls
from market.instrument import Instrument
from tests.exchanges.approvals import approved_order
from tests.exchanges.binance.desk import ORDER, Desk, fill, order_body
from tests.exchanges.binance.loopback import Loopback, until
from tests.exchanges.binance.test_against_practice import feed_of, practice

D = Decimal
STOP = {"wire_type": "stop_limit", "side": "sell", "price": "93.10", "stop_price": "95.00"}
__all__ = ["practice"]


async def test_a_stop_is_a_stop_loss_limit_that_rests_until_it_is_cancelled(loopback: Loopback):
    loopback.answer("POST", ORDER, order_body("NEW", "0"))
    async with Desk(loopback) as desk:
        assert await desk.submitted(**STOP) == ["accepted"]
    (sent,) = desk.posts
    assert {key: sent[key] for key in ("type", "side", "timeInForce", "price", "stopPrice", "quantity")} == {
        "type": "STOP_LOSS_LIMIT", "side": "SELL", "timeInForce": "GTC", "price": "93.1", "stopPrice": "95",
        "quantity": "1"}


async def test_other_orders_name_no_stop_price(loopback: Loopback):
    loopback.answer("POST", ORDER, order_body("NEW", "0"))
    async with Desk(loopback) as desk:
        await desk.submitted(wire_type="limit", price="100")
    assert "stopPrice" not in desk.posts[0]


async def test_a_stop_through_the_market_is_a_rejection_the_engine_can_read(loopback: Loopback):
    loopback.answer("POST", ORDER, {"code": -2010, "msg": "Stop price would trigger immediately."}, status=400)
    async with Desk(loopback) as desk:
        assert await desk.submitted(**STOP) == ["rejected"]
    assert "trigger immediately" in desk.reports[0].reason


async def test_a_stop_of_an_earlier_run_is_watched_while_the_stream_is_down(loopback: Loopback):
    resting = order_body("NEW", "0", updateTime=1)
    loopback.answer("GET", ORDER, resting)
    loopback.answer("GET", "/api/v3/account", {"balances": []})
    loopback.answer("GET", "/api/v3/time", {"serverTime": LiveClock().now() // 10**6})
    async with Desk(loopback, poll_every_s=0.02) as desk:
        await desk.venue.start()
        await asyncio.sleep(0.1)
        assert desk.kinds == []  # it is not ours until somebody asks about it
        desk.venue.query(ClientOrderId("td-1"), "BTC/USDT")
        await until(lambda: desk.kinds.count("accepted") >= 3)
        loopback.answer("GET", "/api/v3/myTrades", [{**fill(7, "1", "94.9"), "id": 7, "time": 5}])
        loopback.answer("GET", ORDER, order_body("FILLED", "1", updateTime=5))
        await until(lambda: "fill" in desk.kinds)
        asked = len(loopback.calls("GET", ORDER))
        await asyncio.sleep(0.1)
        assert len(loopback.calls("GET", ORDER)) <= asked + 1


def test_the_trigger_of_a_stop_is_news_of_an_order_that_works():
    event = {
        "e": "executionReport", "E": 1, "s": "BTCUSDT", "c": "td-1", "C": "", "x": "NEW", "X": "NEW", "r": "NONE",
        "i": 28, "T": 1_723_161_255_000, "t": -1, "w": True,
    }
    (report,) = parse_user_event(event, {"BTCUSDT": "BTC/USDT"})
    assert (report.exec_type, report.client_order_id) == ("accepted", "td-1")


async def live(urls: PracticeUrls, reports: list[ExecutionReport]) -> tuple[BinanceVenue, Instrument, Decimal]:
    """A venue that holds some BTC, its instrument, and the price just paid."""
    feed = feed_of(urls)
    instruments = await feed.instruments()
    await feed.close()
    venue = BinanceVenue(
        BinanceConfig("practice", urls.rest_url, urls.ws_api_url, "key", "secret", private_per_s=1000), reports.append,
        LiveClock(), instruments, jitter=lambda: 0.5,
    )
    await venue.start()
    await until(lambda: venue.stream.is_up)
    venue.submit(approved_order("td-buy", quantity="0.02"))
    await until(lambda: any(each.exec_type == "fill" for each in reports))
    btc = next(each for each in instruments if each.symbol == "BTC/USDT")
    return venue, btc, next(each.price for each in reports if each.exec_type == "fill")


def stop_at(btc: Instrument, name: str, stop: Decimal) -> dict[str, str]:
    return {
        "client_order_id": name, "wire_type": "stop_limit", "side": "sell", "quantity": "0.01",
        "stop_price": str(btc.round_price(stop, "buy")), "price": str(btc.round_price(stop * D("0.98"), "buy")),
    }


async def test_at_the_practice_exchange_stops_rest_are_refused_are_cancelled_and_sell(practice: PracticeUrls):
    reports: list[ExecutionReport] = []
    venue, btc, price = await live(practice, reports)
    try:
        await resting_refused_cancelled(venue, btc, price, reports)
        await triggered(venue, btc, price, reports)
    finally:
        await venue.close()


def kinds(reports: list[ExecutionReport], name: str) -> list[str]:
    return [each.exec_type for each in reports if each.client_order_id == name]


async def resting_refused_cancelled(
    venue: BinanceVenue, btc: Instrument, price: Decimal, reports: list[ExecutionReport],
) -> None:
    venue.submit(approved_order(**stop_at(btc, "td-far", price * D("0.9"))))
    await until(lambda: "accepted" in kinds(reports, "td-far"))
    (resting,) = await venue.open_orders()
    assert resting.client_order_id == "td-far"
    venue.submit(approved_order(**stop_at(btc, "td-through", price * D("1.05"))))
    await until(lambda: "rejected" in kinds(reports, "td-through"))
    words = {each.reason.lower().replace("_", " ") for each in reports if each.exec_type == "rejected"}
    assert all("trigger immediately" in each for each in words)
    venue.cancel(ClientOrderId("td-far"), VenueOrderId(""), "BTC/USDT")
    await until(lambda: "cancelled" in kinds(reports, "td-far"))


async def triggered(venue: BinanceVenue, btc: Instrument, price: Decimal, reports: list[ExecutionReport]) -> None:
    """From above the market downwards: the first stop that is not refused lies just below it. A market that leaves
    it behind is followed: the stop is cancelled and the search begins again above."""
    stop = price * D("1.005")
    for attempt in range(1000):
        name = f"td-near{attempt}"
        venue.submit(approved_order(**stop_at(btc, name, stop)))
        await until(lambda name=name: kinds(reports, name))
        if "accepted" not in kinds(reports, name):
            stop *= D("0.9998")
        elif await sells_within(5, name, reports):
            return
        else:
            venue.cancel(ClientOrderId(name), VenueOrderId(""), "BTC/USDT")
            await until(lambda name=name: "cancelled" in kinds(reports, name) or sold(reports, name) == D("0.01"))
            if sold(reports, name):
                return  # it was reached just before
            stop *= D("1.005")
    raise AssertionError("a thousand stops, and none was reached")


async def sells_within(seconds: float, name: str, reports: list[ExecutionReport]) -> bool:
    try:
        await until(lambda: sold(reports, name) == D("0.01"), seconds)
    except TimeoutError:
        return False
    return True


def sold(reports: list[ExecutionReport], name: str) -> Decimal:
    fills = {each.trade_id: each.quantity for each in reports
             if each.client_order_id == name and each.exec_type == "fill"}
    return sum(fills.values(), D(0))
