"""What of a feed's trades is believed: the time of one that a venue stamped too far ahead."""

from decimal import Decimal

import pytest

from exchanges.binance.market_state import FeedCounters, MarketState
from exchanges.binance.parser import TradeFrame
from exchanges.coinbase.market_state import CoinbaseState
from exchanges.coinbase.parser import Trade
from market.candles import CandleBuilder
from market.interval import SECOND_NS
from market.ticks import MarketItem, TradeTick
from tests.orders.trading import BTC, instrument
from tradingd.status_report import doubts

NOW = 1_700_000_040 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS
ONE = Decimal(1)


def trade(number: int, *, second: int, ahead_ns: int = 0) -> TradeTick:
    heard = NOW + second * SECOND_NS
    return TradeTick(BTC, Decimal(100), ONE, "buy", str(number), heard + ahead_ns, heard)


def told_by_binance(counters: FeedCounters, ticks: list[TradeTick]) -> list[MarketItem]:
    state = MarketState([instrument(BTC)], counters)
    return [
        item for number, tick in enumerate(ticks, 1)
        for item in state.on_trade(TradeFrame(tick, number, is_aggregate=False))
    ]


def told_by_coinbase(counters: FeedCounters, ticks: list[TradeTick]) -> list[MarketItem]:
    state = CoinbaseState([instrument(BTC)], counters)
    return [
        item for number, tick in enumerate(ticks, 1)
        for item in state.on_trades([Trade(tick, number, is_past=False)])
    ]


@pytest.mark.parametrize("told_by", [told_by_binance, told_by_coinbase])
def test_a_trade_stamped_months_ahead_counts_when_it_was_heard_and_the_candles_go_on(told_by) -> None:
    counters, candles = FeedCounters(), CandleBuilder(BTC, ["1s", "1m"])
    ticks = [trade(n, second=n, ahead_ns=90 * DAY_NS if n == 30 else 0) for n in range(1, 121)]
    told = told_by(counters, ticks)
    assert len(told) == 120
    closed = [
        candle for tick in told
        for candle in candles.on_trade(tick.price, tick.quantity, tick.ts_event, tick.ts_init, tick.aggressor)
    ]
    assert [each.ts_open for each in closed if each.interval == "1m"] == [NOW, NOW + 60 * SECOND_NS]
    assert sum(each.interval == "1s" for each in closed) == 119
    assert (counters.future_stamps, counters.refused_by_reason) == (1, {})


def test_one_that_was_missed_and_is_told_over_rest_counts_when_it_was_heard_too() -> None:
    counters = FeedCounters()
    state = MarketState([instrument(BTC)], counters)
    state.on_trade(TradeFrame(trade(1, second=1), 1, is_aggregate=False))
    missed = state.backfill(BTC, [(2, trade(2, second=2, ahead_ns=90 * DAY_NS)), (3, trade(3, second=3))])
    assert [tick.ts_event for tick in missed] == [NOW + 2 * SECOND_NS, NOW + 3 * SECOND_NS]
    assert (counters.future_stamps, counters.backfilled_trades) == (1, 2)


def test_a_venue_clock_two_seconds_ahead_is_believed() -> None:
    counters = FeedCounters()
    (believed, heard) = told_by_binance(counters, [
        trade(1, second=0, ahead_ns=2 * SECOND_NS), trade(2, second=1, ahead_ns=2 * SECOND_NS + 1)
    ])
    assert (believed.ts_event, heard.ts_event) == (NOW + 2 * SECOND_NS, NOW + SECOND_NS)
    assert counters.future_stamps == 1
    assert doubts(counters).startswith("1 trade stamped in the future")


def test_a_gap_in_the_numbers_is_told_before_the_trade_behind_it() -> None:
    heard: list[object] = []
    counters = FeedCounters(on_gap=lambda symbol, ts: heard.append((symbol, ts)))
    state = MarketState([instrument(BTC)], counters)
    for number in (1, 2, 5):
        heard += state.on_trade(TradeFrame(trade(number, second=number), number, is_aggregate=False))
    assert heard == [trade(1, second=1), trade(2, second=2), (BTC, NOW + 5 * SECOND_NS), trade(5, second=5)]


def test_a_slow_clock_of_ours_does_not_make_an_old_answer_look_like_a_new_count_of_trades() -> None:
    """Twelve seconds slow: the answer to our question for trades is older than the stream, though it came later."""
    counters, ahead = FeedCounters(), 12 * SECOND_NS
    state = MarketState([instrument(BTC)], counters)
    state.on_trade(TradeFrame(trade(7, second=10, ahead_ns=ahead), 7, is_aggregate=False))
    old = trade(6, second=11, ahead_ns=ahead - 2 * SECOND_NS)
    assert state.backfill(BTC, [(6, old)]) == []
    assert not state.on_trade(TradeFrame(trade(7, second=12, ahead_ns=ahead), 7, is_aggregate=False))[1:]
    assert counters.duplicates == 1
