"""What reaches a session from outside, written down and read again."""

from decimal import Decimal
from pathlib import Path

import pytest

from bus.ids import SessionId
from bus.messages.system import FeedConnected
from market.ticks import BookDelta, FeedAlive, QuoteTick, TradeTick
from tests.agents.council_scene import BTC, ETH
from tradingd.recorded_runtime import StepClock
from tradingd.session_inputs import (
    FOLDER,
    InputsError,
    InputTape,
    inputs_of,
    item_of,
    quote_of,
    said_of,
    sessions,
    trade_of,
)
from tradingd.settings import Settings

D = Decimal
QUOTE = QuoteTick("BTC/USDT", D("1.10"), D("2"), D("1.20"), D("0.00000001"), 5, 6)
TRADE = TradeTick("BTC/USDT", D("1E-8"), D("7"), "sell", "t-1", 5, 7)
DELTA = BookDelta("BTC/USDT", ((D("1.1"), D("0")),), (), 3, 4, 5, 8)


def tape(folder: Path, name: str = "s1", *, ns: int = 1) -> InputTape:
    made = InputTape(folder / FOLDER, 64, SessionId(name))
    made.begin(ns, "journal.journal", Settings(symbols=("BTC/USDT",)), [BTC, ETH])
    return made


def test_what_was_noted_is_read_again_as_it_was(tmp_path: Path) -> None:
    made = tape(tmp_path)
    made.quote(6, QUOTE)
    made.trade(7, TRADE)
    made.item(8, DELTA)
    made.item(9, FeedAlive(9))
    made.said(10, "record", "feed", FeedConnected("market"))
    made.note(11, "second")
    made.close()
    (head,) = sessions(tmp_path / FOLDER)
    assert (head.session, head.journal, head.instruments) == ("s1", "journal.journal", (BTC, ETH))
    assert head.settings.symbols == ("BTC/USDT",)
    quote, trade, delta, alive, said, second = inputs_of(head)
    assert (quote_of(quote.data), trade_of(trade.data)) == (QUOTE, TRADE)
    assert item_of(delta.kind, delta.data) == DELTA
    assert item_of(alive.kind, alive.data) == FeedAlive(9)
    assert said_of(said.data) == ("feed", FeedConnected("market"))
    assert (second.ns, second.kind) == (11, "second")


def test_the_head_holds_no_secret_and_no_address(tmp_path: Path) -> None:
    made = InputTape(tmp_path / FOLDER, 64, SessionId("s1"))
    made.begin(1, "j", Settings(venues={"binance": {"api_key": "K3Y", "api_secret": "S3CRET"}}), [])  # type: ignore[dict-item]
    made.close()
    text = next((tmp_path / FOLDER).glob("*.tsv")).read_text()
    assert "K3Y" not in text
    assert "S3CRET" not in text


def test_sessions_are_told_apart_and_a_torn_last_line_ends_one(tmp_path: Path) -> None:
    for number, name in enumerate(("s1", "s2")):
        made = tape(tmp_path, name, ns=100 * (number + 1))
        made.note(100 * (number + 1) + 1, "second")
        made.close()
    last = sorted((tmp_path / FOLDER).glob("*.tsv"))[-1]
    last.write_bytes(last.read_bytes() + b"300\tsecond\tnu")
    assert [(head.session, [each.ns for each in inputs_of(head)]) for head in sessions(tmp_path / FOLDER)] == [
        ("s1", [101]), ("s2", [201]),
    ]


def test_one_without_its_beginning_is_left_out_and_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.tsv").write_text("1\tsecond\tnull\n")
    assert sessions(tmp_path) == []
    (tmp_path / "2.tsv").write_text('2\tsession\t{"format": 99}\n')
    with pytest.raises(InputsError, match="format 99"):
        sessions(tmp_path)
    (tmp_path / "2.tsv").write_text("2\tsession\t{}\n")
    with pytest.raises(InputsError, match="its head cannot be read"):
        sessions(tmp_path)


def test_behind_a_line_that_the_disk_did_not_take_nothing_is_noted(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    made = InputTape(folder, 64, SessionId("s1"))
    (folder / f"{1:020d}.tsv").symlink_to("/dev/full")
    for number in range(3):
        made.note(1 + number, "blob", "x" * 300_000)
    made.note(60_000_000_000, "second")
    made.quote(60_000_000_001, QUOTE)
    made.close()
    assert [path.name for path in folder.glob("*.tsv")] == [f"{1:020d}.tsv"]


class Hand:
    """A clock that is set."""

    def __init__(self) -> None:
        self.ns = 100

    def now(self) -> int:
        return self.ns


def test_a_held_clock_stands_still_and_none_goes_back() -> None:
    hand = Hand()
    clock = StepClock(hand)
    assert clock.hold(90) == 90
    hand.ns = 200
    assert clock.now() == 90
    clock.go_on()
    assert clock.now() == 200
    assert clock.hold(50) == 90
    clock.go_on()
    hand.ns = 80
    assert clock.now() == 90
