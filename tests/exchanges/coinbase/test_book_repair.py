from itertools import pairwise

import pytest

from exchanges.coinbase.book_repair import BOOK_GRACE_S, BOOK_TRIES, BookRepair, BooksLostError

SYMBOLS = ("A", "B")


def begun() -> BookRepair:
    repair = BookRepair()
    repair.begin()
    repair.expect(SYMBOLS, 0.0)
    return repair


def asked(repair: BookRepair, synced: set[str], seconds: range) -> list[tuple[int, str]]:
    return [(second, symbol) for second in seconds for symbol in repair.look(SYMBOLS, synced, float(second))]


def test_a_new_connection_has_a_while_to_send_its_books() -> None:
    repair = begun()
    assert repair.look(SYMBOLS, set(), BOOK_GRACE_S - 0.5) == []
    assert repair.look(SYMBOLS, set(), BOOK_GRACE_S) == ["A", "B"]


def test_a_book_that_was_there_and_is_lost_is_asked_for_at_once_and_then_ever_more_rarely() -> None:
    repair = begun()
    for symbol in SYMBOLS:
        repair.on_snapshot(symbol)
    assert repair.look(SYMBOLS, {"A", "B"}, 1.0) == []
    assert asked(repair, {"A"}, range(2, 20)) == [(2, "B"), (3, "B"), (5, "B"), (9, "B"), (17, "B")]


def test_a_book_that_was_there_and_does_not_come_back_ends_the_connection() -> None:
    repair = begun()
    repair.on_snapshot("B")
    with pytest.raises(BooksLostError, match=f"no book of B that can be believed in {BOOK_TRIES} attempts"):
        asked(repair, {"A"}, range(200))


def test_when_no_book_comes_at_all_the_connection_ends() -> None:
    with pytest.raises(BooksLostError):
        asked(begun(), set(), range(200))


def test_a_book_that_never_comes_is_its_symbols_trouble_alone_for_ever() -> None:
    repair = begun()
    repair.on_snapshot("A")
    times = [second for second, _ in asked(repair, {"A"}, range(0, 100_000, 10))]
    assert {later - earlier for earlier, later in pairwise(times[BOOK_TRIES:])} == {30}
