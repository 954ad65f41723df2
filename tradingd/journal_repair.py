"""A damaged journal mended: its whole beginning, and a latch, because what came after it is no longer known."""

import time
from pathlib import Path

from bus.ids import SessionId
from bus.messages.header import MessageMaker
from bus.messages.system import BY_RULE, KillSwitchEngaged
from store.journal_repair import Repair, repair
from tradingd.message_journal import MessageJournal


def repair_journal(path: Path) -> Repair | None:
    """Repair and latch; None when nothing was damaged. Raises `JournalError`.

    The latch is a rule's: exits go on for what is known to be held, and nothing new begins until a person has compared
    the account with the venue.
    """
    done = repair(path)
    if done is None:
        return None
    now = time.time_ns()
    maker = MessageMaker("repair", SessionId(f"repair-{now}"))
    reason = (
        f"the journal was damaged: {done.set_aside_records} records behind record {done.kept_records} are set aside in "
        f"{done.original.name}; compare positions and orders with the venue"
    )
    journal = MessageJournal.open(path)
    try:
        journal.append([maker.make(KillSwitchEngaged("halt", reason, BY_RULE), now)], sync=True)
    finally:
        journal.close()
    return done
