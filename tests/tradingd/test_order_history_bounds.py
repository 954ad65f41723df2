"""A list of the newest orders is whole, however many older ones still work or have just ended."""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest

from bus.ids import ClientOrderId, SessionId
from bus.messages.header import Message, MessageMaker
from bus.messages.orders import OrderCancelled, OrderInitialized, SubmitOrder
from tradingd.message_journal import MessageJournal
from tradingd.order_history import OrderHistory

BTC = "BTC/USDT"


class Facts:
    """Makes facts one second apart."""

    def __init__(self) -> None:
        self._maker = MessageMaker("engine", SessionId("s1"))
        self._ts = 0

    def _make(self, body: object) -> Message:
        self._ts += 1_000_000_000
        return self._maker.make(body, self._ts)

    def born(self, name: str, count: int) -> list[Message]:
        return [self._make(OrderInitialized(SubmitOrder(
            ClientOrderId(f"td-{name}{number}"), BTC, "sell", "trailing", Decimal(1), "manual",
        ))) for number in range(count)]

    def ended(self, name: str, count: int) -> list[Message]:
        return [
            self._make(OrderCancelled(ClientOrderId(f"td-{name}{number}"), BTC, "us", "by hand"))
            for number in range(count)
        ]


def missing(path: Path, told: Iterable[list[Message]], wanted: int, newest: set[str]) -> set[str]:
    journal = MessageJournal.open(path)
    for messages in told:
        for message in messages:
            journal.append([message], sync=False)
    journal.flush()
    journal.close()
    listed = sorted(OrderHistory(path).newest(wanted), key=lambda each: each.created_ns, reverse=True)[:wanted]
    return newest - {each.id for each in listed}


@pytest.mark.parametrize("working", [0, 150, 2_000])
def test_older_orders_that_still_work_take_no_place_of_newer_ones(tmp_path: Path, working: int) -> None:
    facts = Facts()
    told = [facts.born("trail", working), *(
        part for number in range(4) for part in (facts.born(f"n{number}-", 100), facts.ended(f"n{number}-", 100))
    )]
    newest = {f"td-n{part}-{number}" for part in (2, 3) for number in range(100)}
    assert missing(tmp_path / "x.journal", told, 200, newest) == set()


def test_older_orders_that_end_all_at_once_take_no_place_of_newer_ones(tmp_path: Path) -> None:
    facts = Facts()
    told = [
        facts.born("trail", 400), facts.born("new", 200), facts.ended("new", 200), facts.ended("trail", 400),
        facts.born("last", 100), facts.ended("last", 100),
    ]
    newest = {f"td-last{number}" for number in range(100)} | {f"td-new{number}" for number in range(100, 200)}
    assert missing(tmp_path / "x.journal", told, 200, newest) == set()
