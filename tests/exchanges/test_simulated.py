from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.ids import ClientOrderId, VenueOrderId
from bus.messages.orders import ExecutionReport
from exchanges.simulated import FEED_SILENT_NS, NO_MARKET_AFTER_NS, PaperConfig, SimulatedVenue, WorkingOrder
from market.instrument import Instrument
from market.ticks import BookDelta, BookInvalid, BookSnapshot, FeedAlive, QuoteTick, TradeTick
from tests.exchanges.approvals import approved_order

D = Decimal
MS = 1_000_000
BTC = Instrument("BTC/USDT", "BTCUSDT", "BTC", "USDT", D("0.01"), D("0.001"), D("0.001"), D(1000), D(10))
PLAIN = PaperConfig(slippage=D("0.001"), fee=D("0.0005"), latency_ns=20 * MS, use_book=False)
BOOKISH = PaperConfig(slippage=D("0.001"), fee=D("0.0005"), latency_ns=20 * MS, use_book=True)


class Paper:
    """A paper venue and the reports it gave."""

    def __init__(self, config: PaperConfig = PLAIN) -> None:
        self.reports: list[ExecutionReport] = []
        self.venue = SimulatedVenue(config, [BTC], self.reports.append, lambda: {"USDT": D(1000)})

    def quote(self, ms: int, bid: str = "99.99", ask: str = "100.01") -> None:
        self.venue.on_market(QuoteTick("BTC/USDT", D(bid), D(5), D(ask), D(5), ms * MS, ms * MS))

    def trade(self, ms: int, price: str, quantity: str = "1", aggressor: str = "sell") -> None:
        self.venue.on_market(TradeTick("BTC/USDT", D(price), D(quantity), aggressor, str(ms), ms * MS, ms * MS))

    def book(self, ms: int, bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> None:
        def levels(pairs: list[tuple[str, str]]) -> tuple[tuple[Decimal, Decimal], ...]:
            return tuple((D(price), D(size)) for price, size in pairs)

        self.venue.on_market(BookSnapshot("BTC/USDT", levels(bids), levels(asks), 1, ms * MS, ms * MS))

    def submit(self, ms: int, **order: object) -> None:
        self.venue.submit(approved_order(**{"ts": ms * MS, **order}))  # type: ignore[arg-type]

    def cancel(self, client_order_id: str = "td-1") -> None:
        self.venue.cancel(ClientOrderId(client_order_id), VenueOrderId(""), "BTC/USDT")

    def at(self, ms: int) -> None:
        self.venue.advance(ms * MS)

    @property
    def kinds(self) -> list[str]:
        return [report.exec_type for report in self.reports]

    @property
    def fills(self) -> list[tuple[Decimal, Decimal]]:
        return [(each.price, each.quantity) for each in self.reports if each.exec_type == "fill"]


def test_a_market_buy_fills_at_the_ask_plus_slippage_and_pays_the_fee():
    paper = Paper()
    paper.quote(1000)
    paper.submit(1000, quantity="2")
    paper.at(2000)
    assert paper.kinds == ["accepted", "fill"]
    fill = paper.reports[1]
    # 100.01 * 1.001 = 100.11001, up to the tick: 100.12
    assert (fill.price, fill.quantity) == (D("100.12"), D(2))
    assert fill.fee == D("0.10012")  # 2 * 100.12 * 0.0005
    assert fill.fee_asset == "USDT"
    assert fill.simulated
    assert not fill.is_maker
    assert fill.trade_id.startswith("sim-")


def test_a_market_sell_fills_at_the_bid_minus_slippage():
    paper = Paper()
    paper.quote(1000)
    paper.submit(1000, side="sell")
    paper.at(2000)
    assert paper.fills == [(D("99.89"), D(1))]  # 99.99 * 0.999 = 99.89001, down to the tick


def test_an_order_travels_and_its_answer_travels_back():
    paper = Paper()
    paper.quote(1000)
    paper.submit(1000)
    paper.at(1019)
    paper.quote(1019, "109.99", "110.01")  # the market moves while the order is on its way
    paper.quote(1025, "119.99", "120.01")  # and again after it has been filled
    paper.at(1039)
    assert paper.reports == []
    paper.at(1040)
    assert paper.kinds == ["accepted", "fill"]
    assert paper.fills == [(D("110.13"), D(1))]  # 110.01 * 1.001 = 110.12001
    assert {report.ts_event for report in paper.reports} == {1020 * MS}


def test_what_is_due_before_an_item_sees_the_market_before_it():
    paper = Paper()
    paper.quote(1000)
    paper.submit(1000)
    paper.quote(5000, "199.99", "200.01")
    assert paper.fills == [(D("100.12"), D(1))]


def test_reports_come_in_due_order():
    paper = Paper()
    paper.quote(1000)
    paper.submit(1000, client_order_id="td-1")
    paper.submit(1005, client_order_id="td-2")
    paper.submit(1001, client_order_id="td-3")
    paper.at(2000)
    assert [report.client_order_id for report in paper.reports] == [*["td-1"] * 2, *["td-3"] * 2, *["td-2"] * 2]


def test_without_latency_the_answer_comes_with_the_next_input():
    paper = Paper(PaperConfig(latency_ns=0, use_book=False))
    paper.quote(1000)
    paper.submit(1000)
    paper.at(1000)
    assert paper.kinds == ["accepted", "fill"]


def test_a_market_order_walks_the_book_level_by_level():
    paper = Paper(BOOKISH)
    paper.quote(1000)
    paper.book(1000, [("99.99", "5")], [("100.01", "0.5"), ("100.02", "0.7"), ("100.05", "9")])
    paper.submit(1000, quantity="2")
    paper.at(2000)
    assert paper.fills == [(D("100.01"), D("0.5")), (D("100.02"), D("0.7")), (D("100.05"), D("0.8"))]
    ids = [report.trade_id for report in paper.reports if report.exec_type == "fill"]
    assert len(set(ids)) == 3


def test_levels_better_than_the_quote_are_not_believed_and_merge():
    paper = Paper(BOOKISH)
    paper.quote(1000, "99.99", "100.03")
    paper.book(1000, [("99.99", "5")], [("100.01", "0.5"), ("100.02", "0.7"), ("100.05", "9")])
    paper.submit(1000, quantity="2")
    paper.at(2000)
    assert paper.fills == [(D("100.03"), D("1.2")), (D("100.05"), D("0.8"))]


def test_the_remainder_beyond_the_depth_is_cancelled():
    paper = Paper(BOOKISH)
    paper.quote(1000)
    paper.book(1000, [("99.99", "5")], [("100.01", "0.5")])
    paper.submit(1000, quantity="2")
    paper.at(2000)
    assert paper.kinds == ["accepted", "fill", "cancelled"]
    assert paper.fills == [(D("100.01"), D("0.5"))]


@pytest.mark.parametrize("spoil", ["invalid", "far", "crossed"])
def test_a_book_that_cannot_be_trusted_fills_nothing(spoil: str):
    paper = Paper(BOOKISH)
    paper.quote(1000)
    if spoil == "crossed":
        paper.book(1000, [("100.02", "5")], [("100.01", "9")])
    else:
        paper.book(1000, [("99.99", "5")], [("100.01", "9")])
    if spoil == "invalid":
        paper.venue.on_market(BookInvalid("BTC/USDT", "gap", 1000 * MS))
        paper.venue.on_market(BookDelta("BTC/USDT", (), ((D("100.01"), D(3)),), 2, 2, 1000 * MS, 1000 * MS))
    if spoil == "far":
        paper.quote(1000, "101.99", "102.01")
    paper.submit(1000)
    paper.at(2000)
    expected = D("102.12") if spoil == "far" else D("100.12")  # by the quote and slippage
    assert paper.fills == [(expected, D(1))]


def test_book_changes_are_followed():
    paper = Paper(BOOKISH)
    paper.quote(1000)
    paper.book(1000, [("99.99", "5")], [("100.01", "9")])
    paper.venue.on_market(
        BookDelta("BTC/USDT", (), ((D("100.01"), D("0.3")), (D("100.04"), D(2))), 2, 2, 1001 * MS, 1001 * MS)
    )
    paper.submit(1001)
    paper.at(2000)
    assert paper.fills == [(D("100.01"), D("0.3")), (D("100.04"), D("0.7"))]


def test_a_marketable_limit_never_pays_more_than_its_limit():
    paper = Paper()
    paper.quote(1000)
    paper.submit(1000, wire_type="limit", price="100.05")
    paper.at(2000)
    assert paper.fills == [(D("100.05"), D(1))]


def test_the_marketable_part_fills_and_the_rest_rests():
    paper = Paper(BOOKISH)
    paper.quote(1000)
    paper.book(1000, [("99.99", "5")], [("100.01", "0.4"), ("100.05", "9")])
    paper.submit(1000, wire_type="limit", price="100.02")
    paper.at(1500)
    assert paper.kinds == ["accepted", "fill"]
    paper.trade(1600, "99.90", "0.25")
    paper.trade(1700, "99.90", "7")
    paper.at(2000)
    assert paper.fills == [(D("100.01"), D("0.4")), (D("100.02"), D("0.25")), (D("100.02"), D("0.35"))]
    assert [each.is_maker for each in paper.reports if each.exec_type == "fill"] == [False, True, True]
    paper.trade(2100, "99.90", "7")
    paper.at(3000)
    assert len(paper.fills) == 3  # filled is filled


def test_ioc_cancels_what_is_left_and_fok_fills_all_or_nothing():
    for time_in_force, kinds in (("IOC", ["accepted", "fill", "cancelled"]), ("FOK", ["accepted", "cancelled"])):
        paper = Paper(BOOKISH)
        paper.quote(1000)
        paper.book(1000, [("99.99", "5")], [("100.01", "0.4"), ("100.05", "9")])
        paper.submit(1000, wire_type="limit", price="100.02", time_in_force=time_in_force)
        paper.at(2000)
        assert paper.kinds == kinds


def test_without_a_book_only_a_print_through_the_price_fills_a_resting_order():
    paper = Paper()
    paper.quote(1000)
    paper.submit(1000, wire_type="limit", price="99")
    paper.at(1500)
    paper.trade(1600, "99", "50")
    paper.at(1700)
    assert paper.fills == []
    paper.trade(1800, "98.99", "0.6")
    paper.at(1900)
    assert paper.fills == [(D(99), D("0.6"))]


def test_at_its_price_a_resting_order_waits_behind_what_stood_there_before():
    paper = Paper(BOOKISH)
    paper.quote(1000)
    paper.book(1000, [("99.99", "5"), ("99", "2")], [("100.01", "9")])
    paper.submit(1000, wire_type="limit", price="99")
    paper.at(1500)
    paper.trade(1600, "99", "1.5")
    paper.trade(1650, "99", "9", aggressor="buy")  # a buyer lifting an offer does not reach a bid
    paper.at(1700)
    assert paper.fills == []
    paper.trade(1800, "99", "0.9")  # 0.5 are still before us, 0.4 get to us
    paper.at(1900)
    assert paper.fills == [(D(99), D("0.4"))]


def test_one_print_is_not_sold_twice():
    paper = Paper()
    paper.quote(1000)
    paper.submit(1000, client_order_id="td-low", wire_type="limit", price="98")
    paper.submit(1000, client_order_id="td-high", wire_type="limit", price="99")
    paper.at(1500)
    paper.trade(1600, "97", "1.3")
    paper.at(1700)
    fills = [(each.client_order_id, each.quantity) for each in paper.reports if each.exec_type == "fill"]
    assert fills == [("td-high", D(1)), ("td-low", D("0.3"))]


def test_a_cancel_ends_a_resting_order_unless_it_filled_on_the_way():
    paper = Paper()
    paper.quote(1000)
    paper.submit(1000, wire_type="limit", price="99")
    paper.at(1500)
    paper.cancel()
    paper.trade(1510, "98", "0.4")
    paper.at(2000)
    assert paper.kinds == ["accepted", "fill", "cancelled"]
    paper.cancel()
    paper.cancel("td-never")
    paper.at(3000)
    assert paper.kinds[3:] == ["cancel_rejected", "cancel_rejected"]
    paper.trade(3100, "98", "5")
    paper.at(4000)
    assert len(paper.fills) == 1


def test_a_query_repeats_the_whole_story_and_knows_what_never_arrived():
    paper = Paper()
    paper.quote(1000)
    paper.submit(1000)
    paper.at(2000)
    told = list(paper.reports)
    paper.venue.query(ClientOrderId("td-1"), "BTC/USDT")
    paper.venue.query(ClientOrderId("td-lost"), "BTC/USDT")
    paper.at(3000)
    assert paper.reports[len(told) : -1] == told
    assert paper.reports[-1].exec_type == "not_found"


def test_the_same_id_again_is_not_a_second_order():
    paper = Paper()
    paper.quote(1000)
    paper.submit(1000)
    paper.at(2000)
    paper.submit(2000)
    paper.at(3000)
    assert len({each.trade_id for each in paper.reports if each.exec_type == "fill"}) == 1


def test_an_order_waits_for_a_price_and_is_rejected_when_none_comes():
    paper = Paper()
    paper.submit(1000)
    paper.at(1020 + NO_MARKET_AFTER_NS // MS - 1)
    assert paper.kinds == ["accepted"]
    paper.at(1020 + NO_MARKET_AFTER_NS // MS + 20)
    assert paper.kinds == ["accepted", "rejected"]
    assert paper.reports[1].reason == "no market data"


def test_a_waiting_order_fills_with_the_first_quote():
    paper = Paper()
    paper.submit(1000)
    paper.at(1100)
    paper.quote(1200)
    paper.at(1300)
    assert paper.fills == [(D("100.12"), D(1))]


def test_nothing_fills_while_the_feed_is_silent():
    paper = Paper()
    paper.quote(1000)
    later = 1000 + FEED_SILENT_NS // MS + 1
    paper.submit(later)
    paper.at(later + 100)
    assert paper.fills == []
    paper.venue.on_market(FeedAlive((later + 150) * MS))
    paper.quote(later + 200, "89.99", "90.01")
    paper.at(later + 300)
    assert paper.fills == [(D("90.11"), D(1))]  # 90.01 * 1.001 = 90.10001


def test_without_quotes_the_last_trade_is_the_price():
    paper = Paper()
    paper.trade(1000, "100")
    paper.submit(1000)
    paper.at(2000)
    assert paper.fills == [(D("100.10"), D(1))]


@pytest.mark.parametrize(("order", "word"), [
    ({"quantity": "0.0005"}, "step"),
    ({"quantity": "1001"}, "within"),
    ({"quantity": "0.05"}, "minimum"),
    ({"wire_type": "limit", "price": "99.005"}, "tick"),
    ({"symbol": "XYZ/USDT"}, "unknown symbol"),
])
def test_what_the_venues_filters_refuse_is_rejected(order: dict[str, str], word: str):
    paper = Paper()
    paper.quote(1000)
    paper.submit(1000, **order)
    paper.at(2000)
    assert paper.kinds == ["rejected"]
    assert word in paper.reports[0].reason


def test_restored_orders_rest_again_and_can_fill_and_be_cancelled():
    paper = Paper()
    paper.venue.restore([
        WorkingOrder(ClientOrderId("td-a"), "BTC/USDT", "buy", D(99), D("0.6")),
        WorkingOrder(ClientOrderId("td-b"), "BTC/USDT", "sell", D(110), D(1)),
    ])
    assert paper.reports == []
    paper.quote(1000)
    paper.trade(1100, "98", "5")
    paper.cancel("td-b")
    paper.at(2000)
    assert [(each.client_order_id, each.exec_type) for each in paper.reports] == [
        ("td-a", "fill"), ("td-b", "cancelled")
    ]
    assert paper.fills == [(D(99), D("0.6"))]


async def test_open_orders_and_balances_are_told():
    paper = Paper()
    paper.quote(1000)
    paper.submit(1000, wire_type="limit", price="99")
    paper.submit(1000, client_order_id="td-2")
    paper.at(2000)
    (working,) = await paper.venue.open_orders()
    assert (working.client_order_id, working.quantity, working.filled) == ("td-1", D(1), D(0))
    assert await paper.venue.balances() == {"USDT": D(1000)}


steps = st.lists(
    st.tuples(
        st.sampled_from(["quote", "trade", "buy", "sell", "limit", "cancel", "wait", "book"]),
        st.integers(min_value=1, max_value=60), st.integers(min_value=9_000, max_value=11_000),
        st.integers(min_value=1, max_value=5_000),
    ),
    max_size=40,
)


def played(script: list[tuple[str, int, int, int]]) -> list[ExecutionReport]:
    paper, now = Paper(BOOKISH), 1000
    for number, (what, wait, cents, milli) in enumerate(script):
        now += wait
        price, quantity = D(cents) / 100, D(milli) / 1000
        if what == "quote":
            paper.quote(now, str(price), str(price + D("0.02")))
        elif what == "trade":
            paper.trade(now, str(price), str(quantity))
        elif what == "book":
            paper.book(now, [(str(price), str(quantity))], [(str(price + D("0.02")), str(quantity))])
        elif what in ("buy", "sell"):
            paper.submit(now, client_order_id=f"td-{number}", side=what, quantity=str(quantity))
        elif what == "limit":
            paper.submit(
                now, client_order_id=f"td-{number}", wire_type="limit", price=str(price), quantity=str(quantity)
            )
        elif what == "cancel":
            paper.cancel(f"td-{milli % 40}")
        else:
            paper.at(now)
    paper.at(now + 60_000)
    return paper.reports


@given(steps)
def test_the_same_inputs_give_the_same_reports_and_no_order_overfills(script: list[tuple[str, int, int, int]]):
    reports = played(script)
    assert played(script) == reports
    ordered = {f"td-{number}": D(milli) / 1000 for number, (_, _, _, milli) in enumerate(script)}
    filled: dict[str, Decimal] = {}
    ended: set[str] = set()
    for report in reports:
        if report.exec_type == "fill":
            assert report.client_order_id not in ended
            assert report.price > 0
            filled[report.client_order_id] = filled.get(report.client_order_id, D(0)) + report.quantity
        elif report.exec_type in ("cancelled", "rejected"):
            ended.add(report.client_order_id)
    assert all(quantity <= ordered[name] for name, quantity in filled.items())
    assert len({report.trade_id for report in reports if report.exec_type == "fill"}) == sum(
        report.exec_type == "fill" for report in reports
    )


@given(steps)
def test_a_limit_is_never_exceeded(script: list[tuple[str, int, int, int]]):
    limits = {f"td-{number}": D(cents) / 100 for number, (what, _, cents, _) in enumerate(script) if what == "limit"}
    for report in played(script):
        if report.exec_type == "fill" and report.client_order_id in limits:
            assert report.price <= limits[report.client_order_id]


@pytest.mark.parametrize("config", [PLAIN, BOOKISH])
@pytest.mark.parametrize(("side", "price", "filled"), [("sell", "90", "89.91"), ("buy", "110", "110.11")])
def test_after_an_outage_a_taker_does_not_get_the_quote_of_before_it(
    config: PaperConfig, side: str, price: str, filled: str,
):
    """The trades that were missed are told before the first new quote: a stop that fires on them meets their price."""
    paper = Paper(config)
    paper.book(1000, [("99.99", "5")], [("100.01", "5")])
    paper.quote(1000)
    paper.venue.on_market(BookInvalid("BTC/USDT", "the connection was lost", 1002 * MS))
    paper.at(601_000)
    paper.trade(601_000, "10" if side == "sell" else "300")
    paper.trade(601_000, price)
    paper.submit(601_000, side=side)
    paper.at(602_000)
    assert paper.fills == [(D(filled), D(1))]


def test_a_trade_of_before_an_outage_makes_nobodys_price_better_than_the_quote():
    paper = Paper()
    paper.quote(1000)
    paper.trade(3000, "105")
    paper.trade(3000, "105")
    paper.submit(3000, side="sell")
    paper.at(4000)
    assert paper.fills == [(D("99.89"), D(1))]


def test_one_print_alone_makes_no_price_in_a_quiet_market():
    """A false one would; a quote is told only when it changes."""
    paper = Paper()
    paper.quote(1000)
    paper.trade(3000, "60")
    paper.submit(3000, side="sell")
    paper.at(4000)
    assert paper.fills == [(D("99.89"), D(1))]


def test_a_print_right_after_a_quote_leaves_the_quote_standing():
    paper = Paper()
    paper.quote(1000)
    paper.trade(2000, "90")
    paper.trade(2000, "90")
    paper.submit(2000, side="sell")
    paper.at(3000)
    assert paper.fills == [(D("99.89"), D(1))]
