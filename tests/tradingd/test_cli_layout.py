"""Tables at any width: figures whole, sentences between words, and nothing lost on a narrow screen."""

import pytest
from rich.cells import cell_len

from tradingd.cli_layout import Table, wrapped

COLUMNS = ("id", "made", "symbol", "quantity", "price", "message")
NUMBERS = ("quantity", "price")
LONG = "the risk officer approved 1158 of it after 23 checks and nobody objected to the price that was named"
ROWS = [
    ("td-s1inh92-p8-x", "2026-11-28 10:34:59", "BTC/USDT", "0.00398123", "92615.63", LONG),
    ("td-s1inh92-p9", "-", "DOGE/USDT", "123456.7", "0.3205", ""),
]


def lines(width: int, columns: tuple[str, ...] = COLUMNS, later: tuple[str, ...] = ()) -> list[str]:
    rows = [row[:len(columns)] for row in ROWS]
    return [line.plain for line in Table(columns, rows, NUMBERS, later=later).lines(width)]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_every_value_is_there_in_one_piece_at_every_width(width: int) -> None:
    text = "\n".join(lines(width))
    for row in ROWS:
        assert all(value in text for value in row[:-1] if value != "-")
    assert " ".join(LONG.split()) in " ".join(text.split()) or all(word in text for word in LONG.split())


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_line_is_longer_than_the_screen(width: int) -> None:
    assert max(cell_len(line) for line in lines(width)) <= width


def test_a_sentence_that_would_be_a_tower_of_words_stands_under_its_row() -> None:
    assert lines(85) == [
        "id               made                 symbol       quantity     price",
        "td-s1inh92-p8-x  2026-11-28 10:34:59  BTC/USDT   0.00398123  92615.63",
        "    the risk officer approved 1158 of it after 23 checks and nobody objected to the",
        "    price that was named",
        "td-s1inh92-p9    -                    DOGE/USDT    123456.7    0.3205",
    ]


def test_where_there_is_room_the_sentence_stands_beside_and_goes_on_under_its_beginning() -> None:
    head, first, second, *_ = lines(120)
    assert head.endswith("message")
    at = head.index("message")
    assert first[at:].startswith("the risk officer")
    assert second[:at].isspace()
    assert second[at:].strip()


def test_what_has_no_room_is_named_under_its_row_and_the_unimportant_leaves_first() -> None:
    assert lines(56, COLUMNS[:5], later=("made",)) == [
        "id               symbol       quantity     price",
        "td-s1inh92-p8-x  BTC/USDT   0.00398123  92615.63",
        "    made 2026-11-28 10:34:59",
        "td-s1inh92-p9    DOGE/USDT    123456.7    0.3205",
    ]


def test_a_screen_narrower_than_an_id_still_shows_the_id_whole() -> None:
    assert lines(10, COLUMNS[:2])[1:3] == ["td-s1inh92-p8-x", "    made 2026-11-28 10:34:59"]


def test_control_characters_of_a_cell_never_reach_the_screen() -> None:
    table = Table(("symbol",), [("BTC\x1b[31m\nUSDT\u202e",)])
    assert [line.plain for line in table.lines(80)] == ["symbol", "BTC[31m USDT"]


def test_a_word_longer_than_the_line_is_not_broken() -> None:
    assert wrapped("see /var/lib/tradingd/alphas/breakout.py there", 12) == [
        "see", "/var/lib/tradingd/alphas/breakout.py", "there",
    ]
