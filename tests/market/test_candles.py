from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.candles import CandleBuilder
from market.interval import SECOND_NS, interval_ns, open_time

D = Decimal
T0 = 1_700_000_040 * SECOND_NS  # a whole minute
MS = 1_000_000


def trade(builder, price, at_ms, quantity="1", aggressor="buy"):
    return list(builder.on_trade(D(price), D(quantity), T0 + at_ms * MS, T0 + at_ms * MS + 5, aggressor))


def test_a_candle_tells_what_takers_bought_in_every_interval():
    builder = CandleBuilder("BTC/USDT", ["1s", "2s"])
    trade(builder, "10", 0, "1", "sell")
    trade(builder, "10", 300, "2", "buy")
    trade(builder, "11", 900, "4", "sell")
    (second,) = trade(builder, "11", 1000, "8", "buy")
    trade(builder, "10", 1500, "16", "sell")
    last, both = trade(builder, "12", 2000)
    assert (second.volume, second.taker_buy_volume) == (7, 2)
    assert (last.volume, last.taker_buy_volume) == (24, 8)
    assert (both.interval, both.volume, both.taker_buy_volume) == ("2s", 31, 10)


def test_a_candle_closes_when_a_later_trade_arrives():
    builder = CandleBuilder("BTC/USDT", ["1s"])
    assert trade(builder, "10", 0) == []
    assert trade(builder, "12", 300) == []
    assert trade(builder, "9", 600, "2") == []
    assert trade(builder, "11", 999) == []
    (candle,) = trade(builder, "20", 1000)
    assert (candle.open, candle.high, candle.low, candle.close) == (10, 12, 9, 11)
    assert (candle.volume, candle.trades, candle.ts_open, candle.interval) == (5, 4, T0, "1s")
    assert candle.ts_init == T0 + 1000 * MS + 5


def test_a_candle_closes_by_the_timer_a_grace_after_its_end():
    builder = CandleBuilder("BTC/USDT", ["1s"])
    trade(builder, "10", 0)
    assert list(builder.on_time(T0 + 1400 * MS, 500 * MS)) == []
    (candle,) = builder.on_time(T0 + 1500 * MS, 500 * MS)
    assert candle.close == 10
    assert list(builder.on_time(T0 + 9000 * MS, 500 * MS)) == []


def test_a_trade_after_its_candle_closed_counts_in_the_next():
    builder = CandleBuilder("BTC/USDT", ["1s"])
    trade(builder, "10", 0)
    list(builder.on_time(T0 + 1500 * MS, 500 * MS))
    assert trade(builder, "99", 900) == []
    (candle,) = trade(builder, "10", 2000)
    assert (candle.ts_open, candle.high, candle.trades) == (T0 + SECOND_NS, 99, 1)


def test_a_trade_that_is_a_little_out_of_order_counts_in_the_open_candle():
    builder = CandleBuilder("BTC/USDT", ["1s"])
    trade(builder, "10", 0)
    trade(builder, "11", 1001)
    assert trade(builder, "12", 990) == []
    (candle,) = trade(builder, "10", 2000)
    assert (candle.trades, candle.high) == (2, 12)


def test_several_intervals_close_shortest_first():
    builder = CandleBuilder("BTC/USDT", ["5s", "1s", "1m"])
    trade(builder, "10", 0)
    trade(builder, "14", 4000)
    closed = trade(builder, "11", 60_000)
    assert [candle.interval for candle in closed] == ["1s", "5s", "1m"]
    assert [(candle.open, candle.close) for candle in closed] == [(14, 14), (10, 14), (10, 14)]


def test_intervals_that_do_not_divide_each_other_work_too():
    builder = CandleBuilder("BTC/USDT", ["2s", "3s"])
    for at in range(0, 6000, 500):
        trade(builder, "10", at)
    closed = trade(builder, "10", 6000)
    assert [(candle.interval, candle.trades) for candle in closed] == [("2s", 4), ("3s", 6)]


def test_time_without_trades_yields_no_candle():
    builder = CandleBuilder("BTC/USDT", ["1s"])
    trade(builder, "10", 0)
    closed = trade(builder, "11", 10_000)
    assert [candle.ts_open for candle in closed] == [T0]


steps = st.lists(
    st.tuples(st.integers(0, 4000), st.decimals("1", "2", places=2), st.decimals("0.1", "3", places=1)),
    min_size=1, max_size=80,
)


@settings(max_examples=150, deadline=None)
@given(steps, st.permutations(["1s", "2s", "3s", "5s"]))
def test_candles_are_what_a_plain_grouping_of_the_trades_gives(steps, intervals):
    builder = CandleBuilder("BTC/USDT", intervals)
    now, trades, candles = T0, [], []
    for pause, price, quantity in steps:
        now += pause * MS
        trades.append((now, price, quantity))
        candles += builder.on_trade(price, quantity, now, now, "sell")
    candles += builder.on_time(now + 60 * SECOND_NS, 0)
    for interval in intervals:
        groups: dict[int, list] = {}
        for ts, price, quantity in trades:
            groups.setdefault(open_time(ts, interval_ns(interval)), []).append((price, quantity))
        expected = [
            (start, rows[0][0], max(row[0] for row in rows), min(row[0] for row in rows), rows[-1][0],
             sum(row[1] for row in rows), len(rows))
            for start, rows in groups.items()
        ]
        assert expected == [
            (candle.ts_open, candle.open, candle.high, candle.low, candle.close, candle.volume, candle.trades)
            for candle in candles if candle.interval == interval
        ]


def test_candles_that_opened_before_everything_was_heard_are_marked_and_the_next_are_not():
    builder = CandleBuilder("BTC/USDT", ["1s", "5s"])
    builder.whole_from = T0 + 1500 * MS
    closed = [candle for second in range(11) for candle in trade(builder, "10", second * 1000 + 600)]
    assert [(each.ts_open - T0) // SECOND_NS for each in closed if each.interval == "1s" and each.is_warmup] == [0, 1]
    assert [each.is_warmup for each in closed if each.interval == "5s"] == [True, False]


def test_a_gap_in_the_middle_marks_the_candle_that_is_open_and_no_other():
    builder = CandleBuilder("BTC/USDT", ["1s"])
    closed = []
    for second in range(6):
        closed += trade(builder, "10", second * 1000 + 100)
        if second == 3:
            builder.whole_from = T0 + 3500 * MS
    assert [each.is_warmup for each in closed] == [False, False, False, True, False]


@pytest.mark.parametrize("late_ms", [58_100, 59_900])
def test_a_late_trade_reopens_no_candle_of_a_longer_interval_that_the_timer_closed(late_ms):
    builder = CandleBuilder("BTC/USDT", ["1s", "1m"])
    trade(builder, "10", 57_000)
    assert [each.interval for each in builder.on_time(T0 + 60_600 * MS, 500 * MS)] == ["1s", "1m"]
    trade(builder, "99", late_ms)
    (second,) = builder.on_time(T0 + 62_000 * MS, 500 * MS)
    assert (second.interval, second.ts_open) == ("1s", T0 + late_ms // 1000 * 1000 * MS), "and it is in its own second"
    (minute,) = [each for each in builder.on_time(T0 + 121_000 * MS, 500 * MS) if each.interval == "1m"]
    assert (minute.ts_open, minute.high) == (T0 + 60_000 * MS, 99)


@pytest.mark.parametrize("ahead_s", [0, 1, 2, 5, 59, 61, 90, 600, 86_400])
@pytest.mark.parametrize("since_s", [0, 61])
def test_under_a_clock_that_is_ahead_of_the_venues_candles_close_once_and_in_order(ahead_s, since_s):
    builder, told = CandleBuilder("BTC/USDT", ["1s", "5s", "1m"]), []
    for ms in range(0, 420_000, 250):
        stamp = T0 + ms * MS
        now = stamp + (ahead_s * SECOND_NS if ms >= since_s * 1000 else 0)
        told += builder.on_trade(D(10), D(1), stamp, now, "buy")
        if ms % 1000 == 750:
            told += builder.on_time(now, 500 * MS)
    for interval, most in (("1s", 420), ("5s", 90), ("1m", 9)):
        opened = [each.ts_open for each in told if each.interval == interval]
        assert opened == sorted(set(opened)), interval
        assert len(opened) <= most
    whole = [each.trades for each in told if each.interval == "1m"]
    assert whole[4:-1] == [240] * len(whole[4:-1])
