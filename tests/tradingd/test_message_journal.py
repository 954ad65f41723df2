"""Messages in the journal: what goes in comes out, in order, and what cannot be read is named."""

from decimal import Decimal
from pathlib import Path

import pytest

from bus.ids import ClientOrderId, SessionId
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import FundsChanged
from bus.messages.orders import OrderInitialized, SubmitOrder, TrailSpec
from bus.messages.system import AlertRaised
from store.journal import Journal, JournalError, Record
from tradingd.message_journal import MessageJournal


def some(count: int) -> list[Message]:
    maker = MessageMaker("daemon", SessionId("s1"))
    order = SubmitOrder(
        ClientOrderId("td-1"), "BTC/USDT", "sell", "trailing", Decimal("0.10"), "manual",
        trail=TrailSpec("percent", Decimal("0.0200")),
    )
    bodies = (AlertRaised("info", "a", "b"), FundsChanged("USDT", Decimal("1.10"), Decimal("2E+3"), "gift"),
              OrderInitialized(order))
    return [maker.make(bodies[n % 3], n, cause="x.s1.1", expires=n) for n in range(count)]


def test_what_goes_in_comes_out_in_order(tmp_path: Path) -> None:
    journal = MessageJournal.open(tmp_path / "j.journal")
    messages = some(7)
    journal.append(messages[:4], sync=True)
    journal.append(messages[4:], sync=False)
    assert len(journal) == 7
    assert list(journal.read()) == messages
    journal.close()
    again = MessageJournal.open(tmp_path / "j.journal", read_only=True)
    assert list(again.read()) == messages
    again.close()


def test_decimals_keep_their_digits(tmp_path: Path) -> None:
    journal = MessageJournal.open(tmp_path / "j.journal")
    journal.append(some(3), sync=False)
    read = list(journal.read())
    assert str(read[1].body.delta) == "1.10"
    assert str(read[2].body.order.trail.distance) == "0.0200"
    journal.close()


def test_what_is_appended_is_seen_by_another_process_at_once(tmp_path: Path) -> None:
    journal = MessageJournal.open(tmp_path / "j.journal")
    journal.append(some(2), sync=False)
    other = MessageJournal.open(tmp_path / "j.journal", read_only=True)
    assert len(list(other.read())) == 2
    other.close()
    journal.close()


def test_a_record_that_cannot_be_read_is_named_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "j.journal"
    journal = MessageJournal.open(path)
    journal.append(some(2), sync=True)
    journal.close()
    raw = Journal.open(path)
    raw.append([Record(0, 1, "Nonsense", b"{}")], sync=True)
    raw.close()
    broken = MessageJournal.open(path)
    with pytest.raises(JournalError, match=r"j\.journal: record 3: .*Use the version that wrote it"):
        list(broken.read())
    broken.close()


def test_a_journal_opened_for_reading_refuses_to_write(tmp_path: Path) -> None:
    MessageJournal.open(tmp_path / "j.journal").close()
    journal = MessageJournal.open(tmp_path / "j.journal", read_only=True)
    with pytest.raises(JournalError):
        journal.append(some(1), sync=True)
    journal.close()


def test_all_of_a_step_is_written_or_nothing(tmp_path: Path) -> None:
    journal = MessageJournal.open(tmp_path / "j.journal")
    bad = Message(some(1)[0].header, object())
    with pytest.raises(Exception):  # noqa: B017 - whatever the codec says of an unknown body
        journal.append([*some(2), bad], sync=True)
    assert len(journal) == 0
    journal.close()
