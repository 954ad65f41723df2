from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from exchanges.binance.market_state import FeedCounters
from exchanges.coinbase.market_state import CoinbaseState, ConnectionSequence, StreamBook
from exchanges.coinbase.parser import BookChange
from market.book import OrderBook
from market.instrument import Instrument
from market.ticks import BookDelta, BookInvalid, BookSnapshot, QuoteTick

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
        for item in state.on_book(change, number, number):
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
