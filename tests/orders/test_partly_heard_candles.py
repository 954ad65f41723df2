"""Candles of which only a part was heard: nothing may be decided on them."""

from decimal import Decimal

from bus.messages.header import Message
from market.interval import MINUTE_NS, SECOND_NS
from market.ticks import Candle
from tests.orders.trading import BTC, ETH, START, Bench

MINUTE = START - START % MINUTE_NS + MINUTE_NS
D = Decimal


def candles_of(bench: Bench, seconds: int, symbol: str = BTC) -> list[Candle]:
    """What is told while a trade comes each second, and the timer."""
    effects = [
        effect for n in range(seconds)
        for each in (bench.trade(str(100 + n % 7), symbol, after_ms=10), bench.second())
        for effect in each
    ]
    return [each.body for each in effects if isinstance(each, Message) and isinstance(each.body, Candle)]


def test_a_short_candle_is_told_to_be_learnt_from_and_the_next_to_decide_on() -> None:
    bench = Bench(intervals=("1s",), decision_interval="1s")
    bench.now = MINUTE + SECOND_NS // 2
    bench.engine.hear_whole_from(bench.now)
    told = candles_of(bench, 4)
    assert [each.is_warmup for each in told] == [True, False, False, False]


def test_a_long_candle_is_not_told_and_teaches_the_atr_nothing() -> None:
    bench = Bench(intervals=("1m",), decision_interval="1m")
    for n in range(20):
        ts_open = MINUTE - (20 - n) * MINUTE_NS
        bench.engine.process(Candle(BTC, "1m", ts_open, D(100), D(102), D(98), D(100), D(1), 1, MINUTE, is_warmup=True))
    bench.now = MINUTE + 50 * SECOND_NS
    bench.engine.hear_whole_from(bench.now)
    assert candles_of(bench, 15) == []
    assert bench.engine.atr(BTC) == 4
    bench.engine.process(Candle(BTC, "1m", MINUTE, D(100), D(130), D(90), D(100), D(1), 1, MINUTE, is_warmup=True))
    true_one = bench.engine.atr(BTC)
    assert true_one == D(4 * 13 + 40) / 14
    (whole,) = candles_of(bench, 60)
    assert (whole.ts_open, whole.is_warmup) == (MINUTE + MINUTE_NS, False)
    assert bench.engine.atr(BTC) != true_one


def test_one_that_waited_for_the_history_is_not_told_behind_it() -> None:
    bench = Bench(intervals=("1m",), decision_interval="1m")
    bench.now = MINUTE + 50 * SECOND_NS
    bench.engine.hold_candles()
    bench.engine.hear_whole_from(bench.now)
    assert candles_of(bench, 75) == []
    told = [each.body for each in bench.engine.release_candles(bench.now) if isinstance(each, Message)]
    assert [(each.ts_open, each.is_warmup) for each in told] == [(MINUTE + MINUTE_NS, False)]


def test_the_venues_own_candle_in_its_place_is_told_to_be_decided_on_and_teaches_the_atr() -> None:
    bench = Bench(intervals=("1m",), decision_interval="1m")
    for n in range(20):
        ts_open = MINUTE - (20 - n) * MINUTE_NS
        bench.engine.process(Candle(BTC, "1m", ts_open, D(100), D(102), D(98), D(100), D(1), 1, MINUTE, is_warmup=True))
    bench.now = MINUTE + 62 * SECOND_NS
    whole = Candle(BTC, "1m", MINUTE, D(100), D(130), D(90), D(100), D(1), 1, bench.now)
    (told,) = bench.engine.process(whole)
    assert isinstance(told, Message)
    assert told.body == whole
    assert told.header.ts == bench.now
    assert bench.engine.atr(BTC) == D(4 * 13 + 40) / 14


def test_what_had_ended_when_the_line_was_lost_is_told_and_what_had_just_ended_is_not() -> None:
    bench = Bench(intervals=("1m",), decision_interval="1m")
    bench.now = MINUTE
    bench.trade("100")
    end = MINUTE + MINUTE_NS
    assert bench.engine.close_candles(end + SECOND_NS // 5) == []  # a trade of before may still be under way
    (told,) = bench.engine.close_candles(end + SECOND_NS // 2)
    assert isinstance(told, Message)
    assert (told.body.ts_open, told.body.is_warmup) == (MINUTE, False)
    assert candles_of(bench, 62) == []


def test_missed_trades_of_one_symbol_are_no_matter_of_another() -> None:
    bench = Bench(intervals=("1s",), decision_interval="1s")
    bench.now = MINUTE + SECOND_NS // 2
    bench.engine.hear_whole_from(bench.now, BTC)
    assert [each.is_warmup for each in candles_of(bench, 2, ETH)] == [False, False]
