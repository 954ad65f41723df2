"""A damaged journal mended: its whole beginning, and a latch, because what came after it is no longer known."""

import time
from pathlib import Path

from bus.codec import encode
from bus.ids import SessionId
from bus.messages.header import MessageMaker
from bus.messages.system import BY_RULE, KillSwitchEngaged
from store.journal_format import Record
from store.journal_repair import Repair, repair


def repair_journal(path: Path) -> Repair | None:
    """Repair and latch; None when nothing was damaged. Raises `JournalError`.

    The latch is a rule's: exits go on for what is known to be held, and nothing new begins until a person has compared
    the account with the venue.
    """
    return repair(path, _latch)


def _latch(done: Repair) -> Record:
    now = time.time_ns()
    reason = (
        f"the journal was damaged: {done.set_aside_records} records behind record {done.kept_records} are set aside in "
        f"{done.original.name}; compare positions and orders with the venue"
    )
    maker = MessageMaker("repair", SessionId(f"repair-{now}"))
    latch = maker.make(KillSwitchEngaged("halt", reason, BY_RULE), now)
    return Record(0, now, type(latch.body).__name__, encode(latch))
