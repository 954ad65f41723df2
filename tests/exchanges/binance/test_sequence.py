from decimal import Decimal

from exchanges.binance.sequence import PriceGuard, TradeSequence


def test_trade_numbers_only_rise():
    sequence = TradeSequence()
    assert sequence.take(10) == 0
    assert sequence.take(11) == 0
    assert sequence.take(11) == -1
    assert sequence.take(5) == -1
    assert sequence.take(15) == 3
    assert sequence.take(16) == 0


def accepted(*prices: str) -> list[bool]:
    guard = PriceGuard()
    return [guard.accepts(Decimal(price)) for price in prices]


def test_ordinary_moves_pass():
    assert accepted("100", "101", "99", "500", "60") == [True] * 5


def test_a_lone_hundredfold_price_never_passes():
    assert accepted("100", "10000", "100", "1", "100") == [True, False, True, False, True]


def test_three_in_a_row_confirm_a_new_level():
    assert accepted("100", "10000", "10010", "10020", "10030") == [True, False, False, True, True]
    assert accepted("100", "1", "1.1", "1.2", "1.1") == [True, False, False, True, True]


def test_wild_prices_do_not_confirm_each_other():
    assert accepted("100", "10000", "1000000", "1", "100000000", "101") == [True, False, False, False, False, True]


def test_an_ordinary_price_between_breaks_the_confirmation():
    assert accepted("100", "10000", "10000", "100", "10000", "10000") == [True, False, False, True, False, False]
