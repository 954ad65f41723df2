import random
from decimal import Decimal

import pytest

from exchanges.binance.sequence import CONFIRMATIONS, JUMP_FACTOR, PriceGuard, TradeSequence


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


class PlainGuard:
    """What `PriceGuard` promises, without its bounds."""

    def __init__(self) -> None:
        self.last: Decimal | None = None
        self.far: list[Decimal] = []

    def accepts(self, price: Decimal) -> bool:
        if self.last is not None and not self.last / JUMP_FACTOR < price < self.last * JUMP_FACTOR:
            agrees = bool(self.far) and self.far[-1] / JUMP_FACTOR < price < self.far[-1] * JUMP_FACTOR
            self.far = [*self.far, price] if agrees else [price]
            if len(self.far) < CONFIRMATIONS:
                return False
        self.last, self.far = price, []
        return True


@pytest.mark.parametrize("seed", range(20))
def test_the_bounds_change_nothing_of_what_is_believed(seed: int):
    chance = random.Random(seed)
    factors = list(map(Decimal, ["1", "1.0001", "0.4999", "0.5", "2", "2.0001", "9.99", "10", "0.1", "0.099", "100"]))
    guard, plain, price = PriceGuard(), PlainGuard(), Decimal(100)
    for _ in range(2_000):
        told = price * chance.choice(factors)
        believed = guard.accepts(told)
        assert believed == plain.accepts(told)
        assert plain.last is not None
        assert guard.sure_low < plain.last < guard.sure_high
        if chance.random() < 0.5:
            price = min(max(told, Decimal("0.01")), Decimal(10**6))
