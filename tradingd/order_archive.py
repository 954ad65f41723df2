"""Orders and decisions that the read model has forgotten, or kept in outline: read from the journal when asked for.

The journal is passed over a few times, each time for the records that name what the last pass found: the order, its
parent, the proposal it came from, and the analysis and candle that led to that. Records are recognised by the bytes
of an id, so that of millions only a few are decoded.
"""

from collections.abc import Set
from pathlib import Path
from typing import Final

from bus.codec import decode
from bus.messages.council import TradeProposed
from bus.messages.header import Message
from bus.messages.orders import SubmitOrder
from store.journal import Journal
from store.journal_format import Record
from tradingd.read_model_council import CouncilFold
from tradingd.read_model_orders import OrderFold, OrderRecord

MOST_PASSES: Final = 5
"""Order, parent, proposal, analysis, candle: nothing lies deeper."""

MOST_FOUND: Final = 20_000
"""Records of one order and its relatives; what comes later is left out."""


class Archive:
    """What the journal says of one order: its record, those of its relatives, and the council's chain."""

    def __init__(self) -> None:
        self.orders = OrderFold(MOST_FOUND)
        self.council = CouncilFold(MOST_FOUND)
        self._handlers = self.council.handlers | self.orders.handlers

    def apply(self, message: Message) -> None:
        """Fold one message that has to do with the order."""
        handler = self._handlers.get(type(message.body))
        if handler is not None:
            handler(message, message.body)
        if isinstance(message.body, SubmitOrder):
            self.council.on_command(message.body)


def read_order(path: Path, order_id: str) -> Archive | None:
    """All that the journal at `path` says of the order; None when it does not know it.

    Takes time in proportion to the journal (about seven seconds for a million records): call it from a thread. Raises
    `JournalError` for a journal that cannot be read.
    """
    journal = Journal.open(path, read_only=True)
    try:
        names, found = frozenset({order_id}), Archive()
        for _ in range(MOST_PASSES):
            found = _read(journal, names, order_id)
            more = names | _leads(found, order_id)
            if more == names:
                break
            names = more
        record = found.orders.by_id.get(order_id)
        return found if record is not None else None
    finally:
        journal.close()


def read_decision(path: Path, wanted: str) -> CouncilFold | None:
    """All that the journal at `path` says of a decision, by its id or its proposal's; None when it does not know it.

    As slow as `read_order`; raises `JournalError`, too.
    """
    journal = Journal.open(path, read_only=True)
    try:
        names, found = frozenset({_name_of(wanted)}), Archive()
        for _ in range(MOST_PASSES):
            found = _read(journal, names, "")
            more = names | _decision_leads(found.council, wanted)
            if more == names:
                break
            names = more
        return found.council if found.council.decision(wanted) is not None else None
    finally:
        journal.close()


def _name_of(decision: str) -> str:
    """A proposal's id stands in quotes; one that begins with it is another's."""
    return decision if "." in decision else f'"{decision}"'


def _decision_leads(council: CouncilFold, wanted: str) -> frozenset[str]:
    decision = council.decision(wanted)
    if decision is None:
        return frozenset()
    leads, body = {decision.header.cause}, decision.body
    if isinstance(body, TradeProposed):
        leads.add(_name_of(body.proposal_id))
    analysis = council.analysis(decision.header.cause)
    if analysis is not None:
        leads.add(f'"symbol":"{analysis.symbol}","interval":"{analysis.interval}","ts_open":{analysis.ts_open},')
    return frozenset(leads - {""})


def _read(journal: Journal, names: Set[str], order_id: str) -> Archive:
    found, count = Archive(), 0
    tests = [_test_of(name) for name in sorted(names)]
    for record in journal.read():
        if record.kind == "TrailingAdvanced":  # names the trail that is nearest to firing, and moves the others too
            is_wanted = _is_step(record, found, order_id)
        else:
            is_wanted = count < MOST_FOUND and any(all(part in record.data for part in test) for test in tests)
            count += is_wanted
        if is_wanted:
            found.apply(decode(record.data))
    return found


def _is_step(record: Record, found: Archive, order_id: str) -> bool:
    own = found.orders.by_id.get(order_id)
    if own is None or f'"symbol":"{own.spec.symbol}"'.encode() not in record.data:
        return False
    return any(each.is_working for each in found.orders.by_id.values())


def _test_of(name: str) -> tuple[bytes, ...]:
    """What the bytes of a record must all contain to be told of by this name: an id, a message's or an order's."""
    if name.startswith('"'):
        return (name.encode(),)
    source, _, rest = name.partition(".")
    session, _, number = rest.rpartition(".")
    if session and number.isdigit():  # a message tells its own id in its head, as parts
        return f'"session":"{session}"'.encode(), f'"header":["{source}",{number},'.encode()
    return (f'"{name}'.encode(),)  # an exit's id begins with that of its entry


def _leads(found: Archive, order_id: str) -> frozenset[str]:
    """Names to look for in the next pass."""
    leads: set[str] = set()
    record: OrderRecord | None = found.orders.by_id.get(order_id)
    if record is not None:
        leads |= {record.spec.parent_id, record.spec.proposal_id}
        parent = found.orders.by_id.get(record.spec.parent_id)
        if parent is not None:
            leads.add(parent.spec.proposal_id)
    for chain in found.council.chains.values():
        if chain.proposal.body.proposal_id in leads:
            leads.add(chain.proposal.header.cause)
            if chain.analysis is not None:
                said = chain.analysis.body
                leads.add(f'"symbol":"{said.symbol}","interval":"{said.interval}","ts_open":{said.ts_open},')
    return frozenset(leads - {""})
