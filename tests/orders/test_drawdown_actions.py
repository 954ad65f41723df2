"""Near a drawdown limit a warning; beyond it, where a person wants it, exposure cut in steps."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bus.messages.orders import EngageKillSwitch, Protection
from bus.messages.system import AlertRaised, ExposureCut
from orders.effects import Effect
from risk.exposure_steps import ExposureCuts, share_to_sell, steps_due
from tests.orders.trading import BTC, ETH, WIDE, Bench, cancels, of_type, sent

D = Decimal
LIMITS = replace(WIDE, daily_drawdown=D("0.10"))
CUTS = ExposureCuts(D("0.25"), D("0.10"))


def losing(cuts: ExposureCuts | None = CUTS, **more: Any) -> Bench:
    """80 BTC at 100 and 2,000 in cash: each unit of price is 0.8 % of the equity of 10,000."""
    bench = Bench(LIMITS, cuts=cuts)
    bench.hold("80", "100", **more)
    bench.second()
    return bench


def fall(bench: Bench, price: str, after_s: int = 1) -> list[Effect]:
    bench.trade(price)
    return list(bench.second(after_s))


def sold(effects: list[Effect]) -> list[tuple[str, Decimal]]:
    return [(each.approved.order.symbol, each.approved.order.quantity) for each in sent(effects)]


def filled(bench: Bench, effects: list[Effect], price: str) -> None:
    for each in sent(effects):
        order = each.approved.order
        bench.accept(order.client_order_id)
        bench.fill(order.client_order_id, order.quantity, price)


def test_at_eighty_percent_of_the_limit_a_person_is_warned_once() -> None:
    bench = losing(cuts=None)
    assert not of_type(fall(bench, "90.01"), AlertRaised)
    (alert,) = of_type(fall(bench, "90"), AlertRaised)
    assert alert.title == "Daily drawdown near its limit"
    assert alert.message.startswith("The daily drawdown is 8 % and the limit 10 %")
    assert not of_type(fall(bench, "89.9"), AlertRaised)


def test_just_below_the_limit_nothing_is_cut() -> None:
    assert sold(fall(losing(), "87.51")) == []


def test_at_the_limit_the_first_step_sells_its_share_through_the_gate() -> None:
    effects = fall(losing(), "87.5")
    assert sold(effects) == [(BTC, D(20))]
    (cut,) = of_type(effects, ExposureCut)
    assert (cut.step, cut.rule, cut.value, cut.limit) == (1, "daily_drawdown", D("0.1"), D("0.1"))
    assert all(each.approved.order.reduce_only and each.approved.order.origin == "protective" for each in sent(effects))


def test_without_the_setting_nothing_is_ever_cut() -> None:
    assert sold(fall(losing(cuts=None), "50")) == []


def test_a_step_is_taken_once_and_the_next_a_tenth_of_the_limit_later() -> None:
    bench = losing()
    filled(bench, fall(bench, "87.5"), "87.5")  # 60 left, 10 % lost
    assert sold(fall(bench, "86")) == []  # 60 * 1.5 = 90 more: 10.9 %
    effects = fall(bench, "85.8")  # 11.02 %
    assert sold(effects) == [(BTC, D(15))]


def test_two_steps_at_once_sell_what_two_steps_would_have_sold() -> None:
    assert sold(fall(losing(), "86.2")) == [(BTC, D("35"))]  # 11.04 %: 80 -> 60 -> 45


def test_the_episode_ends_below_the_limit_with_a_margin_and_the_next_begins_anew() -> None:
    bench = losing()
    filled(bench, fall(bench, "87.5"), "87.5")
    assert not of_type(fall(bench, "88.2"), ExposureCut)  # 9.58 %
    (over,) = of_type(fall(bench, "89"), ExposureCut)
    assert over.step == 0
    assert sold(fall(bench, "87.5")) == [(BTC, D(15))]


def test_waiting_entries_end_with_the_first_step() -> None:
    bench = losing()
    bench.submit("td-buy", "buy", "limit", "1", price="80")
    bench.accept("td-buy")
    assert [each.client_order_id for each in cancels(fall(bench, "87.5"))] == ["td-buy"]


def test_what_is_on_its_way_out_already_counts() -> None:
    bench = losing()
    bench.submit("td-out", "sell", "market", "15")
    bench.accept("td-out")
    assert sold(fall(bench, "87.5")) == [(BTC, D(5))]


def test_a_sale_that_only_rests_at_the_venue_does_not_count_and_makes_way() -> None:
    bench = losing()
    bench.trade("99")
    bench.submit("td-out", "sell", "limit", "70", price="99")
    bench.accept("td-out")
    effects = fall(bench, "87.5")
    assert [each.client_order_id for each in cancels(effects)] == ["td-out"]
    assert sold(effects) == []
    assert sold(list(bench.report("td-out", "cancelled"))) == [(BTC, D(20))]


def test_the_disaster_stop_makes_way_for_a_cut() -> None:
    bench = Bench(LIMITS, cuts=CUTS, disaster_stop=True)
    bench.hold("80", "100", protection=Protection(stop_ratio=D("0.5")))
    (stop,) = sent(bench.second())
    assert stop.approved.order.wire_type == "stop_limit"
    bench.accept(stop.approved.order.client_order_id)
    effects = fall(bench, "87.5")
    assert [each.client_order_id for each in cancels(effects)] == [stop.approved.order.client_order_id]
    sale, rest = sent(bench.report(stop.approved.order.client_order_id, "cancelled"))
    assert (sale.approved.order.wire_type, sale.approved.order.quantity) == ("market", 20)
    assert (rest.approved.order.wire_type, rest.approved.order.quantity) == ("stop_limit", 60)


def test_a_position_too_small_to_be_halved_is_sold_whole() -> None:
    bench = losing()
    bench.trade("100", ETH)
    bench.submit("td-eth", "buy", "market", "0.1", symbol=ETH)
    bench.accept("td-eth")
    bench.fill("td-eth", "0.1", "100")
    assert sold(fall(bench, "87.5")) == [(BTC, D(20)), (ETH, D("0.1"))]


def test_the_kill_switch_has_the_last_word() -> None:
    bench = losing()
    bench.say(EngageKillSwitch("halt", "test", "ann"))
    assert not of_type(fall(bench, "87"), ExposureCut)


def test_steps_taken_are_remembered_over_a_restart() -> None:
    bench = losing(protection=Protection(stop_ratio=D("0.5")))
    filled(bench, fall(bench, "87.5"), "87.5")
    again = bench.restarted()
    again.engine.finish_restore(again.now)
    assert sold(fall(again, "87.4")) == []
    assert sold(fall(again, "85.8")) == [(BTC, D(15))]


def test_protection_shrinks_with_what_was_cut() -> None:
    bench = losing(protection=Protection(stop_ratio=D("0.5")))
    filled(bench, fall(bench, "87.5"), "87.5")
    assert bench.order("td-entry-s").spec.quantity == 60


ratios = st.decimals("0.01", 1, places=2)


@given(st.decimals(0, 20, places=4), st.decimals(0, 20, places=4), ratios, ratios)
def test_a_deeper_loss_never_cuts_less(one: Decimal, other: Decimal, share: Decimal, every: Decimal) -> None:
    cuts = ExposureCuts(share, every)
    less, more = steps_due(min(one, other), cuts), steps_due(max(one, other), cuts)
    assert 0 <= less <= more
    assert (less == 0) == (min(one, other) < 1)
    assert 0 <= share_to_sell(less, cuts) <= share_to_sell(more, cuts) <= 1


@given(st.lists(st.integers(50, 105), min_size=1, max_size=12))
@settings(max_examples=30, deadline=None)
def test_whatever_the_price_does_no_more_is_ever_sold_than_is_held(prices: list[int]) -> None:
    bench = losing()
    for price in prices:
        filled(bench, fall(bench, str(price)), str(price))
        assert bench.engine.ledger.quantity(BTC) >= 0
