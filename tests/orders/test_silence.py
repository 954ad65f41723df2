"""Market data falls silent: what was known before it fires nothing by itself, and what is heard since does."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bus.messages.orders import OrderDenied, OrderTriggered, Protection, TrailSpec
from tests.orders.trading import ETH, WIDE, Bench, of_type, sent

D = Decimal


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_trail_that_tightens_while_the_feed_is_silent_fires_at_the_next_price_and_not_at_the_old_one(bench):
    bench.hold("1", "100")
    trail = TrailSpec("percent", D("0.02"), decay_ratio_per_minute=D("0.5"), decay_floor=D("0.005"))
    bench.submit("td-s", "sell", "trailing", "1", trail=trail)
    bench.trade("98.9")
    assert of_type(bench.second(60), OrderTriggered) == []
    effects = bench.trade("98.95")
    assert [(each.trigger, each.price) for each in of_type(effects, OrderTriggered)] == [(D(99), D("98.95"))]


@pytest.mark.parametrize(("kind", "stop_price"), [("take_profit", "99"), ("stop", "101")])
def test_an_exit_placed_while_the_feed_is_silent_waits_for_a_price_of_now(bench, kind, stop_price):
    bench.hold("1", "100")
    bench.trade("100")
    bench.second(30)
    bench.submit("td-x", "sell", kind, "1", stop_price=stop_price)
    assert bench.second() == []
    assert bench.order("td-x").is_armed
    away, back = ("98.5", "99") if kind == "take_profit" else ("101.5", "101")
    assert of_type(bench.trade(away), OrderTriggered) == []
    assert [each.price for each in of_type(bench.trade(back), OrderTriggered)] == [D(back)]


@pytest.mark.parametrize(("kind", "stop_price"), [("take_profit", "99"), ("stop", "101")])
def test_an_exit_that_the_price_has_reached_fires_at_once_in_a_quiet_market(bench, kind, stop_price):
    bench.hold("1", "100")
    bench.trade("100")
    bench.alive(30)
    fired = of_type(bench.submit("td-x", "sell", kind, "1", stop_price=stop_price), OrderTriggered)
    fired += of_type(bench.second(), OrderTriggered)
    assert [each.price for each in fired] == [D(100)]


@pytest.mark.parametrize(("quote", "fires"), [
    (("97.5", "97.6"), True), (("97.9", "98.1"), False), (("99", "101"), False),
])
def test_while_the_stream_is_away_stops_follow_the_quotes_that_are_asked_for(bench, quote, fires):
    bench.hold("1", "100")
    bench.submit("td-s", "sell", "stop", "1", stop_price="98")
    bench.second(30)
    fired = of_type([*bench.quote(*quote), *bench.second()], OrderTriggered)
    assert [each.price for each in fired] == ([D("97.6")] if fires else [])


@pytest.mark.parametrize("heard", ["the feed lives", "another symbol", "a far print", "a quote"])
def test_whatever_else_is_heard_a_price_from_before_a_silence_fires_nothing(heard):
    bench = Bench(replace(WIDE, collar=D("0.05")))
    bench.hold("1", "100")
    bench.trade("104", after_ms=1000)
    bench.second(30)
    bench.submit("td-t", "sell", "take_profit", "1", stop_price="103")
    bench.second()
    match heard:
        case "the feed lives":
            bench.alive()
        case "another symbol":
            bench.trade("2000", symbol=ETH)
        case "a far print":
            bench.trade("90")
        case "a quote":
            bench.quote("99.9", "100.1")
    assert of_type(bench.second(), OrderTriggered) == []
    assert bench.order("td-t").is_armed
    assert len(of_type(bench.trade("103.5"), OrderTriggered)) == 1


def test_a_trail_armed_by_a_fill_in_a_silence_begins_at_the_fill():
    bench = Bench(replace(WIDE, collar=D("0.2")))
    bench.trade("100")
    protection = Protection(stop_ratio=D("0.05"), trail=TrailSpec("percent", D("0.03")))
    bench.submit("td-e", "buy", "limit", "1", price="95", protection=protection)
    bench.accept("td-e")
    bench.second(60)
    bench.fill("td-e", "1", "95")
    assert bench.engine.best_of("td-e-x") == 95
    assert sent(bench.trade("95.5")) == []


def test_no_entry_rests_on_a_crossed_quote_and_no_trigger_looks_at_it(bench):
    bench.hold("1", "100")
    bench.quote("99.9", "100.1")
    bench.crossed()
    (denial,) = of_type(bench.submit("td-1", "buy", "market", "1"), OrderDenied)
    assert denial.code == "CROSSED_BOOK"
    bench.submit("td-s", "buy", "stop", "1", stop_price="101")
    assert sent(bench.trade("101")) == []
    assert sent(bench.submit("td-x", "sell", "market", "0.5"))
    bench.quote("100.9", "101.1")
    assert sent(bench.submit("td-2", "buy", "market", "1"))
