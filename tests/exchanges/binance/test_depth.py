from decimal import Decimal

import orjson
import pytest

from exchanges.binance.depth import BUFFERED_EVENTS, DepthSync
from exchanges.binance.market_rest import parse_snapshot
from exchanges.binance.parser import FrameParser, QuoteFrame
from market.book import OrderBook
from market.ticks import BookDelta, BookInvalid, BookSnapshot
from tests.exchanges.binance import recordings

BID, ASK = Decimal(99), Decimal(101)


def event(first: int, last: int, bid: str = "99", ask: str = "101", ts: int = 5) -> BookDelta:
    return BookDelta(
        "BTC/USDT", ((Decimal(bid), Decimal(1)),), ((Decimal(ask), Decimal(1)),), first, last, ts, ts
    )


def snapshot(sequence: int, ts: int = 50) -> BookSnapshot:
    return BookSnapshot("BTC/USDT", ((BID, Decimal(1)),), ((ASK, Decimal(1)),), sequence, ts, ts)


def joined() -> DepthSync:
    depth = DepthSync("BTC/USDT")
    depth.on_delta(event(8, 11))
    depth.on_snapshot(snapshot(10))
    assert depth.is_synced
    return depth


def test_events_wait_for_the_snapshot_and_old_ones_are_dropped():
    depth = DepthSync("BTC/USDT")
    assert not depth.wants_snapshot
    assert depth.on_delta(event(5, 8)) == []
    assert depth.wants_snapshot
    assert depth.on_delta(event(9, 11)) == []
    assert depth.on_delta(event(12, 12)) == []
    items = depth.on_snapshot(snapshot(10))
    assert [type(item) for item in items] == [BookSnapshot, BookDelta, BookDelta]
    assert [item.first_sequence for item in items[1:]] == [9, 12]
    assert {item.ts_init for item in items} == {50}  # joining time: never backwards for a reader
    assert not depth.wants_snapshot


def test_a_snapshot_ahead_of_the_events_waits_for_the_one_that_bridges():
    depth = DepthSync("BTC/USDT")
    depth.on_delta(event(5, 8))
    assert depth.on_snapshot(snapshot(10)) == []
    assert not depth.wants_snapshot  # it is there, it only waits
    assert depth.on_delta(event(9, 10)) == []
    items = depth.on_delta(event(11, 12, ts=77))
    assert [type(item) for item in items] == [BookSnapshot, BookDelta]
    assert items[0].ts_init == 77


def test_a_snapshot_older_than_the_events_is_refused_and_another_wanted():
    depth = DepthSync("BTC/USDT")
    depth.on_delta(event(20, 22))
    assert depth.on_snapshot(snapshot(10)) == []
    assert depth.wants_snapshot


def test_a_gap_makes_the_book_invalid_at_once():
    depth = joined()
    items = depth.on_delta(event(13, 14))
    assert [type(item) for item in items] == [BookInvalid]
    assert "update 12 is missing" in items[0].reason
    assert depth.gaps == 1
    assert depth.wants_snapshot
    assert depth.on_delta(event(15, 16)) == []  # nothing is told from a broken chain
    items = depth.on_snapshot(snapshot(14))
    assert [type(item) for item in items] == [BookSnapshot, BookDelta]


def test_a_repeated_event_says_nothing_new():
    depth = joined()
    assert depth.on_delta(event(8, 11)) == []
    assert depth.is_synced


def test_an_overlapping_event_is_a_break_of_the_chain():
    depth = joined()
    assert [type(item) for item in depth.on_delta(event(11, 13))] == [BookInvalid]


def test_a_book_that_would_cross_is_invalid():
    depth = joined()
    items = depth.on_delta(event(12, 12, bid="101.5"))
    assert [type(item) for item in items] == [BookInvalid]
    assert "crossed" in items[0].reason
    assert not depth.is_synced


def test_a_lost_connection_voids_the_book_once():
    depth = joined()
    assert [type(item) for item in depth.invalidate("lost", 9)] == [BookInvalid]
    assert depth.invalidate("lost", 9) == []


def test_an_empty_start_joins_the_first_event():
    depth = DepthSync("BTC/USDT")
    assert depth.start_empty(5) == []
    depth.on_delta(event(20, 22))
    items = depth.start_empty(5)
    assert isinstance(items[0], BookSnapshot)
    assert items[0].bids == ()
    assert items[0].sequence == 19
    assert isinstance(items[1], BookDelta)


def test_the_buffer_is_bounded():
    depth = DepthSync("BTC/USDT")
    for number in range(BUFFERED_EVENTS + 10):
        depth.on_delta(event(number, number))
    assert depth.on_snapshot(snapshot(5)) == []  # its bridge fell out of the buffer: another one is wanted
    assert depth.wants_snapshot


@pytest.mark.shared
@pytest.mark.parametrize("name", ["ws_spot_btcusdt_20240808.tsv.gz", "ws_spot_ethusdt_20240808.tsv.gz"])
def test_a_recorded_stream_joins_its_snapshot_and_agrees_with_the_quotes(name: str):
    wire = "BTCUSDT" if "btc" in name else "ETHUSDT"
    parser = FrameParser({wire: wire})
    depth, book = DepthSync(wire), OrderBook(wire)
    quotes: dict[int, tuple[Decimal, Decimal]] = {}
    agreed = deltas = 0
    for received, direction, text in recordings.lines(name):
        if direction == "=":
            items = depth.on_snapshot(parse_snapshot(orjson.loads(text.split(" ", 1)[1]), wire, received))
        elif "bookTicker" in text:
            frame = parser.parse_frame(text, received)
            assert isinstance(frame, QuoteFrame)
            quotes[frame.update_id] = (frame.tick.bid, frame.tick.ask)
            continue
        elif "depth" in text:
            items = depth.on_delta(parser.parse_frame(text, received))
        else:
            continue
        for item in items:
            assert not isinstance(item, BookInvalid)
            if isinstance(item, BookSnapshot):
                book.apply_snapshot(item)
                continue
            book.apply_delta(item)
            deltas += 1
            quote = quotes.get(item.last_sequence)
            if quote is not None:
                assert book.best_bid
                assert book.best_ask
                assert (book.best_bid[0], book.best_ask[0]) == quote
                agreed += 1
    assert depth.gaps == 0
    assert deltas > 3000
    assert agreed > 500


@pytest.mark.shared
def test_a_recorded_perpetual_whose_events_name_the_one_before_rebuilds_its_book_without_a_break():
    parser, depth, book = FrameParser({"BTCUSDT": "BTCUSDT"}), DepthSync("BTCUSDT"), OrderBook("BTCUSDT")
    quotes: dict[int, tuple[Decimal, Decimal]] = {}
    agreed = 0
    for received, direction, text in recordings.lines("../binance_futures/ws_usdm_btcusdt_20240808.tsv.gz"):
        if direction == "=":
            items = depth.on_snapshot(parse_snapshot(orjson.loads(text.split(" ", 1)[1]), "BTCUSDT", received))
        else:
            frame = parser.parse_frame(text, received)
            if isinstance(frame, QuoteFrame):
                quotes[frame.update_id] = (frame.tick.bid, frame.tick.ask)
            items = depth.on_delta(frame) if isinstance(frame, BookDelta) else []
        for item in items:
            assert not isinstance(item, BookInvalid)
            if isinstance(item, BookSnapshot):
                book.apply_snapshot(item)
                continue
            assert book.apply_delta(item)
            quote = quotes.get(item.last_sequence)
            if quote is not None:
                assert book.best_bid
                assert book.best_ask
                assert (book.best_bid[0], book.best_ask[0]) == quote
                agreed += 1
    assert depth.gaps == 0
    assert agreed > 400
