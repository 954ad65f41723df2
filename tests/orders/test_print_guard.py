"""F09, F10: a lone spike moves nothing; a real fall fires in time."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.messages.orders import OrderTriggered, Protection, TrailingAdvanced, TrailSpec
from bus.messages.system import AlertRaised
from market.interval import SECOND_NS
from market.ticks import Candle, QuoteTick, TradeTick
from orders.effects import Effect
from orders.print_guard import PrintGuard
from tests.orders.plain_prices import PlainPrices
from tests.orders.trading import BTC, START, WIDE, Bench, D, of_type, sent

COLLAR = D("0.05")
TIGHT = replace(WIDE, collar=COLLAR)
TRAIL = Protection(trail=TrailSpec("percent", D("0.02")))


class Market(Bench):
    """A bench whose prints have trade ids of their own, and which holds a coin behind a trail of 2 %."""

    def __init__(self, protection: Protection = TRAIL) -> None:
        super().__init__(TIGHT)
        self.ids = count(1)
        self.quote("99.99", "100.01")
        self.hold("1", "100", protection=protection)

    def print(self, price: str, trade_id: str = "", after_ms: int = 1) -> Sequence[Effect]:
        self.now += after_ms * 1_000_000
        tick = TradeTick(BTC, D(price), D("0.1"), "sell", trade_id or f"p{next(self.ids)}", self.now, self.now)
        return self._take(tick)

    @property
    def trail_id(self) -> str:
        (trail,) = (order for order in self.engine.orders.exits() if order.spec.order_type == "trailing")
        return trail.client_order_id

    @property
    def guard(self) -> PrintGuard:
        return self.engine._desk.markets[BTC].guard

    @property
    def last(self) -> Decimal | None:
        return self.engine._desk.markets[BTC].last


def fired(effects: Sequence[Effect]) -> list[Any]:
    return of_type(effects, OrderTriggered)


def test_a_lone_spike_down_fires_nothing_and_the_next_print_goes_on_from_before() -> None:
    market = Market()
    spike = market.print("80")
    assert fired(spike) == sent(spike) == []
    assert market.last == D(100)
    assert of_type(spike, AlertRaised)[0].title == "BTC/USDT: far price held back"
    assert "80" in of_type(spike, AlertRaised)[0].message
    assert fired(market.print("99.9")) == []
    assert (market.guard.held_back, market.guard.confirmed, market.guard.dropped) == (1, 0, 1)


def test_a_lone_spike_up_moves_no_watermark() -> None:
    market = Market()
    assert of_type(market.print("120"), TrailingAdvanced) == []
    assert market.engine.best_of(market.trail_id) == D(100)
    market.print("100.5")
    assert market.engine.best_of(market.trail_id) == D("100.5")


def test_a_lone_spike_is_in_no_candle_and_a_confirmed_one_is() -> None:
    market = Market()
    market.print("80")
    market.print("99.9")
    candle = next(each for each in of_type(market.second(2), Candle) if each.interval == "1s")
    assert (candle.low, candle.trades) == (D("99.9"), 2)
    market.print("80")
    market.print("80.1")
    candle = next(each for each in of_type(market.second(2), Candle) if each.interval == "1s")
    assert (candle.high, candle.low, candle.trades) == (D("80.1"), D(80), 2)


def test_a_real_fall_fires_with_the_second_print() -> None:
    market = Market()
    market.quote("99.99", "100.01")
    market.now += 5 * SECOND_NS  # the quote is old by now
    assert fired(market.print("90")) == []
    effects = market.print("89", after_ms=400)
    assert [fire.price for fire in fired(effects)] == [D(90)]
    assert len(sent(effects)) == 1
    assert market.last == D(89)


def test_the_same_trade_told_twice_confirms_nothing() -> None:
    market = Market()
    market.print("90", trade_id="x")
    assert fired(market.print("90", trade_id="x")) == []
    assert len(fired(market.print("90", trade_id="y"))) == 1


def test_a_second_print_on_the_other_side_confirms_nothing() -> None:
    market = Market()
    market.print("80")
    assert fired(market.print("120")) == []
    assert (market.last, market.guard.held_back, market.guard.dropped) == (D(100), 2, 1)


def test_of_two_far_prints_that_differ_the_nearer_is_believed_and_the_further_stands_alone() -> None:
    market = Market()
    market.print("90")
    effects = market.print("50")
    assert [fire.price for fire in fired(effects)] == [D(90)]
    assert market.last == D(90)
    market.print("89.5")
    assert (market.last, market.guard.dropped) == (D("89.5"), 1)


def test_a_quote_that_came_to_the_print_confirms_it_at_once() -> None:
    market = Market(Protection(trail=TrailSpec("percent", D("0.02"), price_source="last")))
    market.quote("96", "96.1")
    effects = market.print("94")  # 6 % below the last print, 2 % below the bid
    assert [fire.price for fire in fired(effects)] == [D(94)]
    assert market.guard.held_back == 0


def test_a_quote_after_the_print_confirms_it_even_when_it_went_further() -> None:
    market = Market()
    assert fired(market.print("90")) == []
    effects = market.quote("84", "84.1")
    assert [fire.price for fire in fired(effects)] == [D(90)]
    assert sent(effects)[0].approved.order.reference_price == D(84)


def test_a_quote_that_stayed_confirms_nothing() -> None:
    market = Market()
    market.print("90")
    assert fired(market.quote("99.98", "100")) == []
    assert market.last == D(100)


def test_a_far_print_and_a_far_quote_confirm_each_other() -> None:
    market = Market()
    market.quote("89.9", "90")
    assert market.engine._desk.markets[BTC].bid == D("99.99")
    effects = market.print("90")
    assert len(fired(effects)) == 1
    assert market.engine._desk.markets[BTC].bid == D("89.9")


def test_a_lone_far_quote_moves_no_mark_and_fires_no_trigger_of_the_bid() -> None:
    market = Market(Protection(trail=TrailSpec("percent", D("0.02"), price_source="bid_ask")))
    assert fired(market.quote("80", "80.1")) == []
    assert market.engine._desk.markets[BTC].mark == D("99.99")
    assert fired(market.quote("99.98", "100")) == []
    assert market.guard.dropped == 1
    market.quote("80", "80.1")
    assert len(fired(market.quote("80.05", "80.1"))) == 1  # the second one in a row


def test_far_quotes_on_opposite_sides_do_not_confirm_each_other() -> None:
    market = Market()
    market.quote("80", "80.1")
    market.quote("120", "120.1")
    assert market.engine._desk.markets[BTC].bid == D("99.99")


def test_history_is_known_so_that_even_the_first_print_can_be_a_spike() -> None:
    bench = Bench(TIGHT)
    bench._take(Candle(BTC, "1s", START - SECOND_NS, D(100), D(100), D(100), D(100), D(1), 1, START, is_warmup=True))
    bench.trade("70")
    assert bench.engine._desk.markets[BTC].last is None
    bench.trade("100.1")
    assert bench.engine._desk.markets[BTC].last == D("100.1")


def test_people_are_told_once_a_minute_and_everything_is_counted() -> None:
    market = Market()
    alerts = 0
    for _ in range(10):
        alerts += len(of_type(market.print("80"), AlertRaised))
        market.print("100")
    assert alerts == 1
    assert market.guard.held_back == 10
    market.now += 61 * SECOND_NS
    assert len(of_type(market.print("80"), AlertRaised)) == 1


def test_nothing_held_back_survives_a_restart_and_the_trail_does() -> None:
    market = Market()
    market.print("80")
    again = market.restarted()
    again.engine.finish_restore(again.now)
    assert again.engine.trigger_of(market.trail_id) == D(98)
    again.trade("99")
    assert fired(again.trade("97.9")) != []


@pytest.mark.parametrize("stopped_s", [0, 3600])
@pytest.mark.parametrize("absurd", ["10000", "1"])
def test_the_first_price_after_a_restart_is_measured_by_what_was_bought(absurd: str, stopped_s: int) -> None:
    """A hundred times the price made a peak of equity that locked trading for good; a hundredth fires every stop."""
    market = Market()
    again = market.restarted()
    again.now += stopped_s * SECOND_NS
    again.engine.finish_restore(again.now)
    assert fired(again.trade(absurd)) == []
    assert again.engine._desk.markets[BTC].last is None
    again.quote("99.99", "100.01")
    again.trade("100")
    again.second()
    assert again.engine.portfolio(again.now).peak_equity == D(10_000)
    assert again.engine.votes == market.engine.votes
    assert fired(again.trade("97.9")) != []


@pytest.mark.parametrize("stopped_s", [0, 3600])
@pytest.mark.parametrize("bid", ["10000", "1"])
def test_the_first_quote_after_a_restart_is_measured_by_what_was_bought(bid: str, stopped_s: int) -> None:
    again = Market().restarted()
    again.now += stopped_s * SECOND_NS
    again.engine.finish_restore(again.now)
    again.quote(bid, str(D(bid) + 1))
    assert again.engine._desk.markets[BTC].bid is None
    again.quote("99.98", "100.01")
    assert again.engine._desk.markets[BTC].bid == D("99.98")


def test_a_market_that_has_moved_far_while_nobody_looked_is_believed_at_once_within_half() -> None:
    market = Market()
    again = market.restarted()
    again.now += 3600 * SECOND_NS
    again.engine.finish_restore(again.now)
    assert fired(again.trade("60")) != []


def test_a_market_that_has_more_than_halved_is_believed_with_a_second_word() -> None:
    again = Market().restarted()
    again.engine.finish_restore(again.now)
    assert fired(again.trade("40")) == []
    assert fired(again.quote("39.9", "40.1")) != []


def test_an_entry_that_waits_is_not_fired_by_an_absurd_first_price_after_a_restart() -> None:
    bench = Bench(TIGHT)
    bench.quote("99.99", "100.01")
    bench.trade("100")
    bench.submit("td-late", "buy", "stop", "1", stop_price=D(103))
    again = bench.restarted()
    again.engine.finish_restore(again.now)
    assert fired(again.trade("10000")) == []
    again.trade("101")
    assert fired(again.trade("103")) != []


# ---- the quiet limits give the same answer as asking every time ------------------------------------

MOVES = st.lists(
    st.tuples(st.sampled_from(("print", "print", "print", "quote")), st.integers(-140, 140), st.booleans()),
    max_size=80,
)


@settings(max_examples=200, deadline=None)
@given(moves=MOVES)
def test_prices_within_the_quiet_limits_are_always_near_the_last_believed_one(
    moves: list[tuple[str, int, bool]],
) -> None:
    market, price, now = PlainPrices(COLLAR), D(100), START
    for number, (kind, move, stays) in enumerate(moves):
        now += 1_000_000
        there = price * (1 + D(move) / 1000)
        item: TradeTick | QuoteTick
        if kind == "print":
            item = TradeTick(BTC, there, D(1), "buy", str(number), now, now)
            is_quiet = market.guard.print_low <= there <= market.guard.print_high
            if is_quiet:
                assert market.last is not None
                assert abs(there - market.last) <= market.last * COLLAR
                assert market.hear(item) == [item]
            else:
                market.hear(item)
        else:
            item = QuoteTick(BTC, there, D(1), there + 1, D(1), now, now)
            market.hear(item)
        if stays:
            price = there


@pytest.mark.parametrize("price", ["94.99", "105.01"])
def test_the_collar_itself_is_still_near(price: str) -> None:
    market = Market()
    market.now += 5 * SECOND_NS
    assert of_type(market.print(price), AlertRaised)
    market = Market()
    market.now += 5 * SECOND_NS
    edge = "95" if D(price) < 100 else "105"
    assert not of_type(market.print(edge), AlertRaised)
