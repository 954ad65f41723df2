from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from exchanges.binance.market_state import FeedCounters
from exchanges.coinbase.market_state import CoinbaseState, ConnectionSequence, StreamBook
from exchanges.coinbase.parser import BookChange, Trade
from market.book import OrderBook
from market.instrument import Instrument
from market.ticks import BookDelta, BookInvalid, BookSnapshot, QuoteTick, TradeTick

D = Decimal
BTC = Instrument("BTC/USD", "BTC-USD", "BTC", "USD", D("0.01"), D("0.00000001"), D("0.00000001"), D(3400), D(1))
_LEVELS = st.lists(
    st.tuples(st.integers(90, 110).map(Decimal), st.integers(0, 3).map(Decimal)), max_size=4,
    unique_by=lambda row: row[0],
)
_CHANGES = st.builds(
    lambda is_snapshot, bids, asks: BookChange(
        "BTC/USD", is_snapshot,
        tuple(sorted((row for row in bids if row[1] or not is_snapshot), reverse=True)),
        tuple(sorted(row for row in asks if row[1] or not is_snapshot)), 1,
    ),
    st.booleans(), _LEVELS, _LEVELS,
)


@given(st.lists(_CHANGES, max_size=30))
def test_whoever_follows_the_items_never_sees_a_crossed_book_or_quote_and_knows_when_it_is_lost(changes: list):
    state = CoinbaseState([BTC], FeedCounters())
    reader = OrderBook("BTC/USD")
    for number, change in enumerate(changes):
        for item in state.on_book(change, number):
            if isinstance(item, BookSnapshot):
                assert reader.apply_snapshot(item)
            elif isinstance(item, BookDelta):
                assert reader.is_valid
                assert reader.apply_delta(item)
            elif isinstance(item, BookInvalid):
                reader.invalidate(item.reason)
            elif isinstance(item, QuoteTick):
                assert item.bid < item.ask
        assert reader.is_valid == state.books["BTC/USD"].is_synced
        bid, ask = reader.best_bid, reader.best_ask
        assert bid is None or ask is None or bid[0] < ask[0]


def test_a_snapshot_replaces_whatever_was_before():
    book = StreamBook("BTC/USD")
    book.apply(BookChange("BTC/USD", True, ((D(90), D(1)),), ((D(91), D(1)),), 1), 1)
    book.apply(BookChange("BTC/USD", True, ((D(80), D(1)),), ((D(81), D(1)),), 2), 2)
    top = book.new_top(2, 2)
    assert top is not None
    assert (top.bid, top.ask) == (80, 81)
    assert book.new_top(3, 3) is None


@given(st.lists(st.integers(0, 40), max_size=60))
def test_each_frame_counts_once_and_every_hole_is_counted(numbers: list[int]):
    sequence = ConnectionSequence()
    taken, missing = [], 0
    for number in numbers:
        found = sequence.take(number)
        if found >= 0:
            taken.append(number)
            missing += found
    assert taken == sorted(set(taken))
    if taken:
        assert missing == taken[-1] - taken[0] + 1 - len(taken)


def tick(number: int) -> TradeTick:
    return TradeTick("BTC/USD", D(100), D(1), "buy", str(number), number, number)


def told(state: CoinbaseState, *numbers: int, is_past: bool = False) -> list[str]:
    items = state.on_trades([Trade(tick(number), number, is_past) for number in numbers])
    return [item.trade_id for item in items if isinstance(item, TradeTick)]


def watched() -> tuple[CoinbaseState, FeedCounters, list[str]]:
    counters, gaps = FeedCounters(), []
    counters.on_gap = lambda symbol, _: gaps.append(symbol)
    return CoinbaseState([BTC], counters), counters, gaps


def test_trade_numbers_that_skip_are_no_gap_while_no_frame_is_missing():
    """Products may share one counter: what the connection lacks its own count of frames tells."""
    state, counters, gaps = watched()
    assert told(state, 5, 9, 14) == ["5", "9", "14"]
    assert told(state, 14, 12) == []
    assert (gaps, counters.trade_gaps, counters.missed_trades, counters.duplicates) == ([], 0, 0, 2)


def test_a_jump_behind_a_lost_connection_or_a_refused_frame_is_one_gap():
    state, counters, gaps = watched()
    told(state, 5)
    state.on_connection_lost(6)
    told(state, 9, 14)
    assert (gaps, counters.missed_trades) == (["BTC/USD"], 3)
    state.on_trades_refused("BTC/USD")
    told(state, 20, 30)
    assert (gaps, counters.missed_trades) == (["BTC/USD"] * 2, 8)


def test_a_list_that_reaches_back_to_the_last_known_trade_leaves_no_gap():
    state, counters, gaps = watched()
    told(state, 5)
    state.on_connection_lost(6)
    assert [each.trade_id for each in state.backfill("BTC/USD", [(n, tick(n)) for n in (3, 5, 9, 14)])] == ["9", "14"]
    state.on_connection_lost(15)
    assert told(state, 14, 18, is_past=True) == ["18"]
    assert (gaps, counters.trade_gaps, counters.backfilled_trades) == ([], 0, 2)
