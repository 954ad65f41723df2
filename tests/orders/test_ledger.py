from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.money import ZERO
from orders.ledger import Ledger, LedgerError, Posting

D = Decimal
BTC = "BTC/USDT"


def ledger(capital: str = "10000") -> Ledger:
    books = Ledger("USDT")
    books.change_funds("USDT", D(capital))
    return books


def book(books: Ledger, side: str, quantity: str, price: str, fee: str = "0", fee_asset: str = "USDT", ts: int = 1,
         symbol: str = BTC):
    base = symbol.partition("/")[0]
    return books.book_fill(symbol, base, side, D(quantity), D(price), D(fee), fee_asset, ts)


def test_a_round_trip_by_hand():
    books = ledger()
    book(books, "buy", "2", "100", fee="0.2")
    booking = book(books, "sell", "2", "110", fee="0.22")
    assert booking.realized_pnl == D("19.78")
    assert books.realized_pnl == D("19.58")
    assert books.cash == D("10019.58")
    assert books.fees == D("0.42")
    assert books.quantity(BTC) == 0
    books.check()


def test_average_cost_moves_with_purchases_and_not_with_sales():
    books = ledger()
    book(books, "buy", "1", "100")
    book(books, "buy", "3", "120")
    assert books.position(BTC).average_price == 115
    book(books, "sell", "2", "130")
    assert books.position(BTC).average_price == 115
    assert books.realized_pnl == 30


def test_a_fee_in_base_lessens_what_is_held():
    books = ledger()
    book(books, "buy", "1", "100", fee="0.001", fee_asset="BTC")
    assert books.quantity(BTC) == D("0.999")
    assert books.balance("BTC") == D("0.999")
    assert books.realized_pnl == D("-0.1")
    books.check()


def test_a_fee_in_a_third_asset_is_taken_from_our_position_in_it():
    books = ledger()
    books.book_fill("BNB/USDT", "BNB", "buy", D(1), D(500), ZERO, "USDT", 1)
    book(books, "buy", "1", "100", fee="0.01", fee_asset="BNB")
    assert books.quantity("BNB/USDT") == D("0.99")
    assert books.fees == 5
    books.check()


def test_selling_more_than_is_held_is_booked_as_it_is():
    books = ledger()
    book(books, "buy", "1", "100")
    book(books, "sell", "1.5", "110")
    assert books.quantity(BTC) == D("-0.5")
    assert books.realized_pnl == 10
    book(books, "buy", "0.5", "105")
    assert books.quantity(BTC) == 0
    assert books.realized_pnl == D("12.5")
    books.check()


def test_fees_paid_with_coins_that_are_not_ours_leave_no_position_short():
    books = ledger()
    book(books, "buy", "1", "300", symbol="BNB/USDT")
    book(books, "sell", "1", "300", fee="0.00075", fee_asset="BNB", symbol="BNB/USDT")
    assert books.quantity("BNB/USDT") == 0
    book(books, "buy", "1", "100", fee="0.00025", fee_asset="BNB")
    assert books.quantity("BNB/USDT") == 0
    assert books.fees_by_asset == {"BNB": D("0.001")}
    assert books.realized_pnl == 0
    books.check()


def test_a_fee_larger_than_the_position_it_is_taken_from_takes_what_there_is():
    books = ledger()
    book(books, "buy", "0.001", "300", symbol="BNB/USDT")
    book(books, "buy", "1", "100", fee="0.005", fee_asset="BNB")
    assert books.quantity("BNB/USDT") == 0
    assert books.realized_pnl == D("-0.3")
    books.check()


def test_coins_that_went_leave_no_more_than_the_balance_whoever_paid_fees_before():
    books = ledger()
    book(books, "buy", "1", "100", fee="0.25", fee_asset="BNB")
    book(books, "buy", "1", "300", symbol="BNB/USDT")
    books.change_funds("BNB", D("-0.25"), "BNB/USDT")
    assert books.quantity("BNB/USDT") == books.balance("BNB") == D("0.5")
    assert books.position("BNB/USDT").average_price == 300
    books.check()


def test_deposits_and_withdrawals_are_no_profit():
    books = ledger("1000")
    books.change_funds("USDT", D("-400"))
    assert (books.cash, books.funds_in, books.realized_pnl) == (600, 600, 0)
    books.check()


def test_a_correction_of_a_base_asset_keeps_the_average_cost():
    books = ledger()
    book(books, "buy", "2", "100")
    books.change_funds("BTC", D("-0.5"), BTC)
    assert books.position(BTC).average_price == 100
    assert books.quantity(BTC) == D("1.5")
    books.check()


def test_a_transaction_that_does_not_balance_is_refused():
    books = ledger()
    with pytest.raises(LedgerError, match="does not balance"):
        books._book((Posting("holdings", "USDT", D(5)), Posting("market", "USDT", D(-4))))
    assert books.cash == 10000


def test_books_that_were_tampered_with_are_found_out():
    books = ledger()
    book(books, "buy", "1", "100")
    books.positions[BTC].cost += 1
    with pytest.raises(LedgerError, match="cash"):
        books.check()


quantities = st.decimals("0.00001", "1000", places=5)
prices = st.decimals("0.01", "100000", places=2)
fills = st.tuples(
    st.sampled_from(["buy", "sell"]), st.sampled_from([BTC, "BNB/USDT"]), quantities, prices,
    st.decimals("0", "0.9", places=6), st.sampled_from(["USDT", "base", "BNB", "XYZ"]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(fills, st.decimals("-1000", "1000", places=2)), max_size=40))
def test_cash_and_positions_at_cost_equal_funds_and_profit_for_any_sequence(events):
    books = ledger()
    bought = sold = fees = ZERO
    for event in events:
        if isinstance(event, Decimal):
            books.change_funds("USDT", event)
        else:
            side, symbol, quantity, price, fee, fee_asset = event
            base = symbol.split("/")[0]
            paid_in = base if fee_asset == "base" else fee_asset
            books.book_fill(symbol, base, side, quantity, price, fee, paid_in, 1)
            if side == "buy":
                bought += quantity * price
            else:
                sold += quantity * price
            if paid_in == "USDT":
                fees += fee
        books.check()
    cost = sum((position.cost for position in books.positions.values()), ZERO)
    assert books.cash + cost == books.funds_in + books.realized_pnl
    assert books.cash == books.funds_in - bought + sold - fees


@settings(max_examples=200, deadline=None)
@given(st.lists(fills, max_size=40))
def test_cash_positions_and_fees_equal_deposits_and_profit_before_fees_for_any_sequence(events):
    """Conservation, against books kept apart: what each asset came to, what was paid in fees, what trading gained."""
    books = ledger("1000")
    held: dict[str, Decimal] = {"USDT": D(1000)}
    paid: dict[str, Decimal] = {}
    foreign: dict[str, Decimal] = {}
    gained = in_quote = ZERO
    for side, symbol, quantity, price, fee, fee_asset in events:
        base = symbol.split("/")[0]
        asset = base if fee_asset == "base" else fee_asset
        ours = books.quantity(f"{asset}/USDT") + (ZERO if asset != base else quantity if side == "buy" else -quantity)
        booking = books.book_fill(symbol, base, side, quantity, price, fee, asset, 1)
        sign = 1 if side == "buy" else -1
        held[base] = held.get(base, ZERO) + sign * quantity
        held["USDT"] -= sign * quantity * price
        held[asset] = held.get(asset, ZERO) - fee
        paid[asset] = paid.get(asset, ZERO) + fee
        foreign[asset] = foreign.get(asset, ZERO) + max(fee - max(ours, ZERO), ZERO)
        gained += booking.realized_pnl + booking.fee_in_quote
        in_quote += booking.fee_in_quote
    cost = sum((position.cost for position in books.positions.values()), ZERO)
    assert books.cash + cost + in_quote == D(1000) + gained
    assert {asset: books.balance(asset) for asset in held} == held
    assert books.fees_by_asset == {asset: fee for asset, fee in paid.items() if fee}
    assert all(books.account("fees", asset) == fee for asset, fee in paid.items())
    for symbol, position in books.positions.items():
        base = symbol.split("/")[0]
        assert position.quantity == held[base] + foreign.get(base, ZERO)  # no fee is paid with more than is held


LONG = st.decimals(min_value="1e-18", max_value="1e9", places=18)


@settings(max_examples=200, deadline=None)
@given(fills=st.lists(st.tuples(st.sampled_from(["buy", "sell"]), LONG, LONG, LONG), min_size=1, max_size=20))
def test_the_books_balance_to_the_last_digit_of_the_longest_numbers_a_wire_may_carry(fills):
    """The 28 digits of Decimal's own context are too few: a price of 14 decimals, as floats leave them, broke them."""
    books = ledger("12345.678901234567891234")
    for side, quantity, price, fee in fills:
        books.book_fill("BTC/USDT", "BTC", side, quantity, price, fee, "USDT", 1)
        books.check()
