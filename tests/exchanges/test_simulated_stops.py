"""Stops at the paper venue: they wait for a print at their price, then they are limit orders like others."""

from decimal import Decimal

from bus.ids import ClientOrderId
from exchanges.simulated import WorkingOrder
from tests.exchanges.test_simulated import PLAIN, Paper

D = Decimal


def stopped(paper: Paper, **order: str) -> None:
    paper.submit(1000, **{"side": "sell", "wire_type": "stop_limit", "stop_price": "95.00", "price": "93.00", **order})


def market() -> Paper:
    paper = Paper(PLAIN)
    paper.quote(1000)
    paper.trade(1000, "100")
    return paper


def test_a_stop_rests_until_a_print_reaches_it_and_then_sells_at_the_market():
    paper = market()
    stopped(paper)
    paper.trade(1100, "95.01")
    paper.trade(1200, "94.00", aggressor="sell")
    assert paper.kinds == ["accepted"]  # the trigger was now; its fill is on the way back
    paper.at(2000)
    assert paper.kinds == ["accepted", "fill"]
    assert paper.fills == [(D("99.89"), D(1))]  # the quote still stands at 99.99, less slippage


def test_a_print_at_the_very_price_triggers_and_one_above_does_not():
    paper = market()
    stopped(paper)
    paper.trade(1100, "95.01")
    paper.at(1300)
    assert paper.kinds == ["accepted"]
    paper.quote(1350, "94.99", "95.01")
    paper.trade(1400, "95.00")
    paper.at(2000)
    assert paper.fills == [(D("94.89"), D(1))]


def test_a_stop_that_is_jumped_over_rests_at_its_limit():
    paper = market()
    stopped(paper)
    paper.at(1100)
    paper.quote(1200, "89.99", "90.01")
    paper.trade(1200, "90")
    paper.at(1300)
    assert paper.kinds == ["accepted"]
    paper.trade(1400, "93.50", aggressor="buy")
    paper.at(2000)
    assert paper.fills == [(D("93.00"), D(1))]


def test_a_stop_at_or_above_the_last_price_is_refused():
    for stop in ("100.00", "100.01"):
        paper = market()
        stopped(paper, stop_price=stop)
        paper.at(2000)
        assert paper.kinds == ["rejected"]
        assert "trigger immediately" in paper.reports[0].reason


def test_a_limit_with_a_stop_price_or_a_stop_without_one_is_refused():
    for order in ({"wire_type": "limit"}, {"stop_price": None}):
        paper = market()
        stopped(paper, **order)
        paper.at(2000)
        assert paper.kinds == ["rejected"]


def test_a_cancelled_stop_never_triggers():
    paper = market()
    stopped(paper)
    paper.at(1100)
    paper.cancel()
    paper.at(1200)
    paper.trade(1300, "90")
    paper.at(2000)
    assert paper.kinds == ["accepted", "cancelled"]


def test_a_stop_put_back_after_a_restart_triggers_again():
    paper = Paper(PLAIN)
    paper.venue.restore([
        WorkingOrder(ClientOrderId("td-1"), "BTC/USDT", "sell", D("93.00"), D(1), D("95.00")),
    ])
    paper.quote(1000, "94.49", "94.51")
    paper.trade(1100, "96")
    assert paper.fills == []
    paper.trade(1200, "94.50")
    paper.at(2000)
    assert paper.fills == [(D("94.39"), D(1))]


def test_after_an_outage_a_stop_sells_at_what_was_missed_not_at_the_quote_from_before():
    for prices, fill in ((("88", "87", "86"), "87.91"), (("94.9", "88", "87"), "94.80")):
        paper = market()
        stopped(paper, price="80.00")
        paper.at(1100)
        paper.venue.on_line_lost()
        for number, price in enumerate(prices):
            paper.trade(21_000 + number, price)
        paper.at(22_000)
        assert paper.fills == [(D(fill), D(1))]


def test_an_order_that_arrives_during_an_outage_waits_for_the_next_price():
    paper = market()
    paper.venue.on_line_lost()
    paper.submit(1100, side="sell")
    paper.at(5000)
    assert paper.kinds == ["accepted"]
    paper.quote(6000, "89.99", "90.01")
    paper.at(7000)
    assert paper.fills == [(D("89.90"), D(1))]
