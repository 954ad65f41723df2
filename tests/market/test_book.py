"""The order book: a fold of snapshots and deltas that never serves what it does not know."""

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal as D
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.book import BookError, OrderBook
from market.ticks import BookDelta, BookSnapshot
from tests.shared_data import shared_file

Rows = list[tuple[str, str]]


def levels(rows: Rows) -> tuple[tuple[D, D], ...]:
    return tuple((D(price), D(quantity)) for price, quantity in rows)


def snapshot(bids: Rows, asks: Rows, sequence: int = 1, symbol: str = "BTC/USDT") -> BookSnapshot:
    return BookSnapshot(symbol, levels(bids), levels(asks), sequence, 10, 11)


def delta(bids: Rows, asks: Rows, sequence: int = 2, symbol: str = "BTC/USDT") -> BookDelta:
    return BookDelta(symbol, levels(bids), levels(asks), sequence, sequence, 20, 21)


def full_book() -> OrderBook:
    book = OrderBook("BTC/USDT")
    assert book.apply_snapshot(snapshot(
        [("99", "1"), ("98", "2"), ("97", "3")], [("101", "1.5"), ("102", "2.5"), ("103", "3.5")]
    ))
    return book


def test_nothing_is_served_before_the_first_snapshot() -> None:
    book = OrderBook("BTC/USDT")
    assert not book.is_valid
    assert book.best_bid is None
    assert book.best_ask is None
    assert not book.apply_delta(delta([("99", "1")], []))
    assert book.depth("bid", 5) == []
    with pytest.raises(BookError, match="no snapshot yet"):
        book.take("buy", D(1))


def test_a_snapshot_shows_its_best_levels_whatever_their_order() -> None:
    book = OrderBook("BTC/USDT")
    book.apply_snapshot(snapshot([("97", "3"), ("99", "1")], [("103", "3"), ("101", "2")], 7))
    assert book.best_bid == (D(99), D(1))
    assert book.best_ask == (D(101), D(2))
    assert (book.sequence, book.ts_event, book.ts_init) == (7, 10, 11)


def test_a_delta_sets_absolute_quantities_and_zero_removes() -> None:
    book = full_book()
    assert book.apply_delta(delta([("99", "0"), ("98", "5"), ("98.5", "1")], [("101", "0.25")], 9))
    assert book.depth("bid", 9) == [(D("98.5"), D(1)), (D(98), D(5)), (D(97), D(3))]
    assert book.best_ask == (D(101), D("0.25"))
    assert (book.sequence, book.ts_event, book.ts_init) == (9, 20, 21)


def test_removing_a_level_that_is_not_there_changes_nothing() -> None:
    book = full_book()
    assert book.apply_delta(delta([("98.7", "0")], [("500", "0")]))
    assert len(book.depth("bid", 9)) == 3


def test_a_level_set_and_removed_in_one_delta_is_gone() -> None:
    book = full_book()
    assert book.apply_delta(delta([("98.7", "4"), ("98.7", "0")], []))
    assert len(book.depth("bid", 9)) == 3


@pytest.mark.parametrize("bid", ["101", "104"])
def test_a_delta_that_crosses_or_locks_the_book_makes_it_invalid(bid: str) -> None:
    book = full_book()
    assert not book.apply_delta(delta([(bid, "1")], []))
    assert book.invalid_reason == "crossed"
    assert book.best_bid is None
    assert book.best_ask is None
    with pytest.raises(BookError, match="crossed"):
        book.take("sell", D(1))


def test_only_a_snapshot_heals_an_invalid_book() -> None:
    book = full_book()
    book.invalidate("gap")
    assert not book.apply_delta(delta([("99", "1")], []))
    assert book.invalid_reason == "gap"
    assert book.apply_snapshot(snapshot([("50", "1")], [("51", "1")]))
    assert book.depth("bid", 9) == [(D(50), D(1))]


def test_a_crossed_snapshot_is_not_served_either() -> None:
    book = OrderBook("BTC/USDT")
    assert not book.apply_snapshot(snapshot([("101", "1")], [("100", "1")]))
    assert book.invalid_reason == "crossed"


def test_taking_walks_the_depth_and_changes_nothing() -> None:
    book = full_book()
    assert book.take("buy", D(3)) == [(D(101), D("1.5")), (D(102), D("1.5"))]
    assert book.take("buy", D(3)) == [(D(101), D("1.5")), (D(102), D("1.5"))]
    assert book.take("sell", D("1.5")) == [(D(99), D(1)), (D(98), D("0.5"))]
    assert book.best_ask == (D(101), D("1.5"))


def test_taking_stops_at_the_limit_and_at_the_end_of_the_book() -> None:
    book = full_book()
    assert book.take("buy", D(100), D(102)) == [(D(101), D("1.5")), (D(102), D("2.5"))]
    assert book.take("sell", D(100), D(98)) == [(D(99), D(1)), (D(98), D(2))]
    assert book.take("buy", D(1), D(100)) == []
    assert sum(part for _, part in book.take("sell", D(100))) == 6
    assert book.take("buy", D(0)) == []


def test_levels_that_make_no_sense_are_refused_and_leave_the_book_as_it_was() -> None:
    book = full_book()
    for bids in ([("-1", "1")], [("0", "1")], [("90", "-1")], [("NaN", "1")], [("90", "Infinity")]):
        with pytest.raises(BookError, match="needs a price"):
            book.apply_delta(delta([("98", "7"), *bids], []))
    assert book.best_bid == (D(99), D(1))
    assert book.depth("bid", 2)[1] == (D(98), D(2))


def test_another_symbols_change_is_refused() -> None:
    book = full_book()
    with pytest.raises(BookError, match="ETH/USDT"):
        book.apply_delta(delta([], [], symbol="ETH/USDT"))
    with pytest.raises(BookError, match="ETH/USDT"):
        book.apply_snapshot(snapshot([], [], symbol="ETH/USDT"))


CHANGES = st.lists(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3)), max_size=25), max_size=12)


@given(changes=CHANGES)
def test_any_deltas_give_what_a_plain_dictionary_gives(changes: list[list[tuple[int, int]]]) -> None:
    book = OrderBook("BTC/USDT")
    book.apply_snapshot(snapshot([("20", "1")], [("200", "1")]))
    bids, asks = {20: 1}, {200: 1}
    for change in changes:
        rows = [(str(price), str(quantity)) for price, quantity in change]
        mirrored = [(str(price + 100), str(quantity)) for price, quantity in change]
        assert book.apply_delta(delta(rows, mirrored))
        for price, quantity in change:
            bids[price], asks[price + 100] = quantity, quantity
    expected_bids = [(D(price), D(q)) for price, q in sorted(bids.items(), reverse=True) if q]
    expected_asks = [(D(price), D(q)) for price, q in sorted(asks.items()) if q]
    assert book.depth("bid", 500) == expected_bids
    assert book.depth("ask", 500) == expected_asks


def recorded_lines(path: Path) -> Iterator[tuple[int, str, str]]:
    with gzip.open(path, "rt") as lines:
        for line in lines:
            stamp, direction, text = line.rstrip("\n").split("\t", 2)
            yield int(stamp), direction, text


@pytest.mark.shared
def test_the_recorded_book_agrees_with_the_venues_own_best_prices() -> None:
    """Binance's rule, in short: drop deltas up to the snapshot's id, then each continues the one before.

    bookTicker arrives as things happen, depth every 100 ms: they are compared where their update ids are equal.
    """
    book = OrderBook("BTC/USDT")
    tickers: dict[int, tuple[D, D, D, D]] = {}
    tops: dict[int, tuple[D, D, D, D]] = {}
    held: list[BookDelta] = []
    applied = 0
    for stamp, direction, text in recorded_lines(shared_file("messages/binance/ws_spot_btcusdt_20240808.tsv.gz")):
        if direction == "=":
            body = json.loads(text.split(" ", 1)[1])
            whole = BookSnapshot(
                "BTC/USDT", levels(body["bids"]), levels(body["asks"]), body["lastUpdateId"], stamp, stamp
            )
            assert book.apply_snapshot(whole)
        elif "bookTicker" in text[:60]:
            data = json.loads(text)["data"]
            tickers[data["u"]] = (D(data["b"]), D(data["B"]), D(data["a"]), D(data["A"]))
        elif "depthUpdate" in text[:80]:
            data = json.loads(text)["data"]
            held.append(BookDelta("BTC/USDT", levels(data["b"]), levels(data["a"]), data["U"], data["u"], stamp, stamp))
        if not book.is_valid:
            continue
        for change in held:
            if change.last_sequence <= book.sequence:
                continue
            assert change.first_sequence <= book.sequence + 1, "the recording has no gap"
            assert book.apply_delta(change), book.invalid_reason
            applied += 1
            assert book.best_bid is not None
            assert book.best_ask is not None
            tops[book.sequence] = (*book.best_bid, *book.best_ask)
        held.clear()
    compared = [number for number in tops if number in tickers]
    assert applied > 3_000
    assert len(compared) > 100
    assert {number: tops[number] for number in compared} == {number: tickers[number] for number in compared}
