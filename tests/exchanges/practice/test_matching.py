"""Orders against a small book whose numbers can be checked by hand."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.practice.account import Account
from exchanges.practice.desk import Desk
from exchanges.practice.market_view import Level
from exchanges.practice.matching import Matching
from exchanges.practice.pairs import Pair, plain_pair
from exchanges.practice.rest_market import VenueRefusal

D = Decimal


class Book:
    """A market that stands still until told."""

    def __init__(self) -> None:
        self.pairs: dict[str, Pair] = {"BTCUSDT": plain_pair("BTC", "USDT", 2, 5)}
        self.bids: list[Level] = [(D("99.00"), D(1)), (D("98.00"), D(2))]
        self.asks: list[Level] = [(D("100.00"), D(1)), (D("101.00"), D(2))]
        self.last = D("99.50")
        self.version = 1

    def now_ms(self) -> int:
        return 1_700_000_000_000

    def accepts_stamp(self, stamp_ms: int, window_ms: int) -> bool:
        return True

    def offers(self, name: str, *, is_bid: bool) -> Iterator[Level]:
        return iter(self.bids if is_bid else self.asks)

    def book_version(self, name: str) -> int:
        return self.version

    def last_price(self, name: str) -> Decimal | None:
        return self.last

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the matching has no business with {name}")


class Trading:
    def __init__(self, folder: Path, usdt: str = "1000", btc: str = "5") -> None:
        self.book = Book()
        self.path = folder / "account.jsonl"
        self.events: list[dict[str, Any]] = []
        self.account = Account(self.path, {"USDT": D(usdt), "BTC": D(btc)})
        self.matching = Matching(self.book, self.account, self.events.append)
        self.desk = Desk(self.book, self.account, self.matching)

    def place(self, side: str, kind: str, **params: str) -> dict[str, Any]:
        return self.desk.place({"symbol": "BTCUSDT", "side": side, "type": kind, "newOrderRespType": "FULL", **params})

    def limit(self, side: str, price: str, quantity: str, force: str = "GTC", **params: str) -> dict[str, Any]:
        return self.place(side, "LIMIT", price=price, quantity=quantity, timeInForce=force, **params)

    def balance(self, asset: str) -> tuple[Decimal, Decimal]:
        return self.account.balance(asset)

    def trade(self, price: str, quantity: str) -> None:
        self.book.last = D(price)
        self.matching.on_trade("BTCUSDT", D(price), D(quantity), maker_is_buyer=True)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Trading]:
    trading = Trading(tmp_path)
    yield trading
    trading.account.close()


def test_a_market_buy_walks_the_book_and_pays_its_fee_in_what_it_gets(desk: Trading) -> None:
    answer = desk.place("BUY", "MARKET", quantity="1.5")
    assert answer["status"] == "FILLED"
    assert [(f["price"], f["qty"], f["commission"]) for f in answer["fills"]] == [
        ("100.00000000", "1.00000000", "0.00100000"), ("101.00000000", "0.50000000", "0.00050000"),
    ]
    assert desk.balance("USDT") == (D("849.5"), D(0))
    assert desk.balance("BTC") == (D("6.4985"), D(0))


def test_a_market_sell_pays_its_fee_in_quote(desk: Trading) -> None:
    desk.place("SELL", "MARKET", quantity="2")
    assert desk.balance("BTC")[0] == D(3)
    assert desk.balance("USDT")[0] == D(1000) + D(197) * D("0.999")


def test_a_market_buy_by_quote_quantity_buys_whole_steps(desk: Trading) -> None:
    answer = desk.place("BUY", "MARKET", quoteOrderQty="150")
    assert answer["executedQty"] == "1.49504000"  # 1 at 100, then floor(50 / 101) to five digits
    assert D(answer["cummulativeQuoteQty"]) == D(100) + D("0.49504") * 101
    assert answer["status"] == "FILLED"


def test_a_market_order_larger_than_the_book_expires_with_what_it_got(desk: Trading) -> None:
    answer = desk.place("SELL", "MARKET", quantity="4")
    assert (answer["status"], answer["executedQty"]) == ("EXPIRED", "3.00000000")
    assert desk.balance("BTC") == (D(2), D(0))


def test_the_same_offer_is_not_sold_twice_before_the_book_changes(desk: Trading) -> None:
    desk.place("BUY", "MARKET", quantity="1")
    assert desk.place("BUY", "MARKET", quantity="1")["fills"][0]["price"] == "101.00000000"
    desk.book.version += 1
    assert desk.place("BUY", "MARKET", quantity="1")["fills"][0]["price"] == "100.00000000"


def test_a_resting_buy_locks_its_cost_fills_in_parts_and_gets_the_rest_back_on_cancel(desk: Trading) -> None:
    answer = desk.limit("BUY", "98.50", "2", newClientOrderId="mine")
    assert answer["status"] == "NEW"
    assert desk.balance("USDT") == (D(803), D(197))
    desk.trade("98.50", "0.5")
    assert desk.desk.query({"symbol": "BTCUSDT", "origClientOrderId": "mine"})["status"] == "PARTIALLY_FILLED"
    assert desk.balance("USDT") == (D(803), D("147.75"))
    cancelled = desk.desk.cancel({"symbol": "BTCUSDT", "origClientOrderId": "mine"})
    assert (cancelled["status"], cancelled["origClientOrderId"]) == ("CANCELED", "mine")
    assert desk.balance("USDT") == (D("950.75"), D(0))
    assert desk.balance("BTC")[0] == D(5) + D("0.5") * D("0.999")


def test_a_trade_above_a_resting_buy_leaves_it_alone(desk: Trading) -> None:
    desk.limit("BUY", "98.50", "1")
    desk.trade("98.51", "10")
    assert desk.balance("USDT")[1] == D("98.5")


def test_quotes_that_cross_a_resting_order_fill_it_at_its_own_price(desk: Trading) -> None:
    desk.limit("SELL", "102.00", "1")
    desk.book.bids, desk.book.version = [(D("103.00"), D("0.4"))], 2
    desk.matching.on_book("BTCUSDT")
    fills = desk.desk.my_trades({"symbol": "BTCUSDT"})
    assert [(f["price"], f["qty"], f["isMaker"]) for f in fills] == [("102.00000000", "0.40000000", True)]


def test_a_marketable_limit_gets_the_better_price_and_the_difference_back(desk: Trading) -> None:
    answer = desk.limit("BUY", "100.50", "1.5")
    assert (answer["status"], answer["executedQty"]) == ("PARTIALLY_FILLED", "1.00000000")
    assert desk.balance("USDT") == (D(1000) - D(100) - D("50.25"), D("50.25"))


@pytest.mark.parametrize(
    ("force", "quantity", "status", "executed"),
    [("IOC", "1.5", "EXPIRED", "1.00000000"), ("FOK", "1.5", "EXPIRED", "0.00000000"),
     ("FOK", "1", "FILLED", "1.00000000")],
)
def test_immediate_orders_leave_nothing_behind(
    desk: Trading, force: str, quantity: str, status: str, executed: str
) -> None:
    answer = desk.limit("BUY", "100.50", quantity, force)
    assert (answer["status"], answer["executedQty"]) == (status, executed)
    assert desk.balance("USDT")[1] == D(0)
    assert desk.desk.open_orders({}) == []


def test_a_stop_loss_waits_for_its_price_then_sells_at_market(desk: Trading) -> None:
    desk.place("SELL", "STOP_LOSS", quantity="1", stopPrice="95.00")
    assert desk.balance("BTC") == (D(4), D(1))
    desk.trade("95.01", "1")
    assert desk.desk.open_orders({})[0]["isWorking"] is False
    desk.trade("95.00", "1")
    assert desk.desk.open_orders({}) == []
    assert desk.balance("BTC") == (D(4), D(0))
    assert desk.balance("USDT")[0] == D(1000) + D(99) * D("0.999")


def test_a_stop_limit_rests_at_its_limit_once_triggered(desk: Trading) -> None:
    desk.place("SELL", "STOP_LOSS_LIMIT", quantity="1", stopPrice="95.00", price="120.00", timeInForce="GTC")
    desk.trade("94.00", "1")
    assert desk.desk.open_orders({})[0]["isWorking"] is True
    desk.trade("120.00", "3")
    assert desk.desk.open_orders({}) == []
    assert desk.balance("USDT")[0] == D(1000) + D(120) * D("0.999")


def test_a_take_profit_limit_buy_triggers_on_the_way_down(desk: Trading) -> None:
    desk.place("BUY", "TAKE_PROFIT_LIMIT", quantity="1", stopPrice="97.00", price="97.50", timeInForce="GTC")
    desk.trade("97.10", "1")
    assert desk.desk.open_orders({})[0]["isWorking"] is False
    desk.trade("96.90", "1")
    assert desk.desk.my_trades({"symbol": "BTCUSDT"})[0]["price"] == "97.50000000"


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({"side": "BUY", "type": "LIMIT", "price": "99", "quantity": "100", "timeInForce": "GTC"}, -2010,
         "Account has insufficient balance for requested action."),
        ({"side": "BUY", "type": "MARKET", "quoteOrderQty": "1000.01"}, -2010, "insufficient balance"),
        ({"side": "SELL", "type": "MARKET", "quantity": "5.00001"}, -2010, "insufficient balance"),
        ({"side": "BUY", "type": "LIMIT", "price": "99.001", "quantity": "1", "timeInForce": "GTC"}, -1013,
         "PRICE_FILTER"),
        ({"side": "BUY", "type": "LIMIT", "price": "99", "quantity": "0.000001", "timeInForce": "GTC"}, -1013,
         "LOT_SIZE"),
        ({"side": "BUY", "type": "LIMIT", "price": "99", "quantity": "0.01", "timeInForce": "GTC"}, -1013, "NOTIONAL"),
        ({"side": "BUY", "type": "MARKET", "quantity": "0.01"}, -1013, "NOTIONAL"),
        ({"side": "BUY", "type": "LIMIT_MAKER", "price": "100", "quantity": "1"}, -2010, "immediately match"),
        ({"side": "SELL", "type": "STOP_LOSS", "stopPrice": "99.60", "quantity": "1"}, -2010, "trigger immediately"),
        ({"side": "BUY", "type": "LIMIT", "price": "99", "quantity": "1"}, -1102, "timeInForce"),
        ({"side": "BUY", "type": "LIMIT", "price": "1e2", "quantity": "1", "timeInForce": "GTC"}, -1100, "price"),
        ({"side": "BUY", "type": "LIMIT", "price": "NaN", "quantity": "1", "timeInForce": "GTC"}, -1100, "price"),
        ({"side": "BUY", "type": "LIMIT", "price": "0", "quantity": "1", "timeInForce": "GTC"}, -1013, "price"),
        ({"side": "HOLD", "type": "MARKET", "quantity": "1"}, -1117, "side"),
        ({"side": "BUY", "type": "ICEBERG", "quantity": "1"}, -1116, "orderType"),
        ({"side": "BUY", "type": "MARKET", "quantity": "1", "price": "5"}, -1106, "price"),
        ({"side": "BUY", "type": "MARKET", "quantity": "1", "newClientOrderId": "with blank"}, -1100,
         "newClientOrderId"),
    ],
)
def test_a_bad_order_is_refused_in_the_venues_words_and_changes_nothing(
    desk: Trading, params: dict[str, str], code: int, text: str
) -> None:
    with pytest.raises(VenueRefusal, match=text) as refused:
        desk.desk.place({"symbol": "BTCUSDT", **params})
    assert refused.value.code == code
    assert (desk.balance("USDT"), desk.balance("BTC")) == ((D(1000), D(0)), (D(5), D(0)))
    assert desk.account.orders == {}


def test_a_client_id_of_an_open_order_is_a_duplicate_and_a_closed_ones_is_free(desk: Trading) -> None:
    desk.limit("BUY", "90.00", "1", newClientOrderId="a")
    with pytest.raises(VenueRefusal, match="Duplicate order sent"):
        desk.limit("BUY", "90.00", "1", newClientOrderId="a")
    desk.desk.cancel({"symbol": "BTCUSDT", "origClientOrderId": "a"})
    assert desk.limit("BUY", "90.00", "1", newClientOrderId="a")["clientOrderId"] == "a"


def test_unknown_orders_have_their_own_codes(desk: Trading) -> None:
    for call, code in ((desk.desk.query, -2013), (desk.desk.cancel, -2011)):
        with pytest.raises(VenueRefusal) as refused:
            call({"symbol": "BTCUSDT", "origClientOrderId": "nobody"})
        assert refused.value.code == code
    with pytest.raises(VenueRefusal, match="Invalid symbol"):
        desk.desk.query({"symbol": "NOPE", "orderId": "1"})


def test_reports_follow_an_orders_life(desk: Trading) -> None:
    desk.limit("BUY", "100.00", "2", newClientOrderId="mine")
    desk.desk.cancel({"symbol": "BTCUSDT", "origClientOrderId": "mine", "newClientOrderId": "stop it"})
    reports = [e for e in desk.events if e["e"] == "executionReport"]
    assert [(r["x"], r["X"], r["c"], r["C"]) for r in reports] == [
        ("NEW", "NEW", "mine", ""), ("TRADE", "PARTIALLY_FILLED", "mine", ""),
        ("CANCELED", "CANCELED", "stop it", "mine"),
    ]
    assert (reports[1]["l"], reports[1]["L"], reports[1]["n"], reports[1]["N"]) == (
        "1.00000000", "100.00000000", "0.00100000", "BTC",
    )
    position = desk.events[-1]
    assert position["e"] == "outboundAccountPosition"
    assert {b["a"]: b["f"] for b in position["B"]} == {"USDT": "900.00000000"}


def test_a_refused_order_is_reported_rejected_but_a_duplicate_is_not(desk: Trading) -> None:
    with pytest.raises(VenueRefusal):
        desk.limit("BUY", "99.00", "100")
    assert [(e["x"], e["X"]) for e in desk.events] == [("REJECTED", "REJECTED")]
    desk.limit("BUY", "90.00", "1", newClientOrderId="a")
    count = len(desk.events)
    with pytest.raises(VenueRefusal):
        desk.limit("BUY", "90.00", "1", newClientOrderId="a")
    assert len(desk.events) == count


def test_everything_answered_is_on_disk_even_without_a_goodbye(desk: Trading, tmp_path: Path) -> None:
    desk.place("BUY", "MARKET", quantity="1")
    order = desk.limit("BUY", "90.00", "1", newClientOrderId="resting")
    with desk.path.open("ab") as log:
        log.write(b'{"next":[99')  # killed while writing something never answered
    again = Trading(tmp_path, usdt="77", btc="77")
    assert again.balance("USDT") == desk.balance("USDT")
    assert again.balance("BTC") == desk.balance("BTC")
    assert again.desk.open_orders({}) == desk.desk.open_orders({})
    assert again.desk.my_trades({"symbol": "BTCUSDT"}) == desk.desk.my_trades({"symbol": "BTCUSDT"})
    assert again.limit("BUY", "90.00", "1")["orderId"] > order["orderId"]
    again.account.close()


ORDERS = st.tuples(
    st.sampled_from(("BUY", "SELL")), st.sampled_from(("MARKET", "LIMIT", "IOC", "CANCEL", "TRADE", "BOOK")),
    st.integers(9_700, 10_200), st.integers(10_000, 300_000),
)


@given(st.lists(ORDERS, max_size=40))
@settings(max_examples=60, deadline=None)
def test_money_is_conserved_and_locks_are_exactly_the_open_orders(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, str, int, int]]
) -> None:
    desk = Trading(tmp_path_factory.mktemp("account"))
    for side, action, cents, lots in actions:
        price, quantity = str(D(cents) / 100), str(D(lots) / 100_000)
        try:
            if action == "MARKET":
                desk.place(side, "MARKET", quantity=quantity)
            elif action in ("LIMIT", "IOC"):
                desk.limit(side, price, quantity, "IOC" if action == "IOC" else "GTC")
            elif action == "TRADE":
                desk.trade(price, quantity)
            elif action == "CANCEL":
                desk.desk.cancel_all({"symbol": "BTCUSDT"})
            else:
                desk.book.version += 1
                desk.matching.on_book("BTCUSDT")
        except VenueRefusal:
            continue
    desk.account.close()
    fills = list(desk.account.fills.values())
    base = sum(((f.quantity - f.fee) if f.is_buyer else -f.quantity for f in fills), D(5))
    quote = sum((-f.turnover if f.is_buyer else f.turnover - f.fee for f in fills), D(1000))
    assert sum(desk.balance("BTC")) == base
    assert sum(desk.balance("USDT")) == quote
    there = desk.account.open_orders.values()
    assert desk.balance("USDT")[1] == sum((o.price * o.left for o in there if o.is_buy), D(0))
    assert desk.balance("BTC")[1] == sum((o.left for o in there if not o.is_buy), D(0))
    assert min(desk.balance("USDT")) >= 0 <= min(desk.balance("BTC"))


def test_a_resting_stop_survives_the_end_of_the_exchange(tmp_path: Path) -> None:
    first = Trading(tmp_path)
    first.place("SELL", "STOP_LOSS_LIMIT", quantity="1", stopPrice="95.00", price="93.10", timeInForce="GTC")
    first.account.close()
    again = Trading(tmp_path)
    assert again.balance("BTC") == (D(4), D(1))
    assert again.desk.open_orders({})[0]["isWorking"] is False
    again.trade("94.90", "1")
    (fill,) = again.desk.my_trades({"symbol": "BTCUSDT"})
    assert fill["price"] == "99.00000000"  # the best bid of this book: a sale never gets less than it can
    assert again.balance("BTC") == (D(4), D(0))
    again.account.close()


def test_a_stop_through_the_market_is_refused_in_the_venues_words(desk: Trading) -> None:
    with pytest.raises(VenueRefusal, match="Stop price would trigger immediately"):
        desk.place("SELL", "STOP_LOSS_LIMIT", quantity="1", stopPrice="99.50", price="97.00", timeInForce="GTC")
    (event,) = [each for each in desk.events if each["e"] == "executionReport"]
    assert (event["x"], event["r"]) == ("REJECTED", "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY")
