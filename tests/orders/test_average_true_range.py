from decimal import Decimal

from orders.average_true_range import AverageTrueRange

D = Decimal


def test_the_first_value_is_the_mean_of_fourteen_true_ranges_then_wilders_smoothing():
    atr = AverageTrueRange()
    atr.add(0, D(10), D(9), D(10))
    for number in range(1, 14):
        atr.add(number, D(11), D(10), D(10))
    assert atr.value is None
    atr.add(14, D(25), D(10), D(10))  # true range 15
    assert atr.value == 2  # (13 * 1 + 15) / 14
    atr.add(15, D(26), D(10), D(10))
    assert atr.value == 3  # (13 * 2 + 16) / 14


def test_a_gap_from_the_previous_close_counts():
    atr = AverageTrueRange()
    atr.add(0, D(10), D(10), D(10))
    for number in range(1, 15):
        close = 10 + number * 2
        atr.add(number, D(close), D(close), D(close))
    assert atr.value == 2


def test_a_candle_that_was_seen_already_is_ignored():
    atr = AverageTrueRange()
    for number in range(15):
        atr.add(number, D(11), D(10), D(10))
    atr.add(14, D(1000), D(1), D(10))
    assert atr.value == 1
