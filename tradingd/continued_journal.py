"""The journal of a replay that is played again after a cut: held against what is said, until it goes on."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from bus.codec import decode, encode
from bus.messages.header import Message
from bus.messages.system import DaemonStarted, DaemonStopping
from store.journal import Journal, JournalError
from store.journal_format import Record
from tradingd.message_journal import MessageJournal


class ReplayDivergedError(JournalError):
    """Played again, the replay does not do what it did before the cut."""


class ContinuedJournal(MessageJournal):
    """As any journal until `play_again`: then its last session is expected word for word, and not written twice."""

    def __init__(self, journal: Journal, path: Path) -> None:
        super().__init__(journal, path)
        self._before = 0
        self._expected: Iterator[Record] | None = None
        self._left = 0
        self.on_diverged: Callable[[], None] = lambda: None

    @property
    def torn_bytes(self) -> int:
        """Of an append that was cut short, which opening has cut off."""
        return self._journal.cut

    def cut_session(self) -> tuple[DaemonStarted, int] | None:
        """The last session's first word and the time of its last one (UTC ns), unless it took its leave."""
        found: Record | None = None
        last_ns = 0
        for record in self._journal.read():
            if record.kind == DaemonStarted.__name__:
                found, last_ns = record, 0
            elif record.kind == DaemonStopping.__name__:
                found = None
            last_ns = max(last_ns, record.ts)
        if found is None:
            return None
        self._before = found.number - 1
        started: DaemonStarted = decode(found.data).body
        return started, last_ns

    def play_again(self) -> None:
        """From here on the session that `cut_session` found is expected; `read` gives what was before it."""
        self._expected = self._journal.read(self._before)
        self._left = len(self._journal) - self._before

    @property
    def is_behind(self) -> bool:
        """Not yet where it was cut."""
        return self._left > 0

    def read(self) -> Iterator[Message]:
        """Every message in order, but not those which are yet to be said again."""
        return islice(super().read(), self._before) if self.is_behind else super().read()

    def append(self, messages: Iterable[Message], *, sync: bool) -> None:
        """Hold against the journal what is there already, write what is new; raises `ReplayDivergedError` too."""
        if self._expected is None:
            super().append(messages, sync=sync)
            return
        said = list(messages)
        while said and self._left:
            self._compare(said.pop(0), next(self._expected))
            self._left -= 1
        if not self._left:
            self._expected = None
            super().append(said, sync=sync)

    def refuse(self, why: str) -> ReplayDivergedError:
        """The error to raise when it cannot go on; the next start begins anew."""
        self.on_diverged()
        return ReplayDivergedError(
            f"{self._path}: the replay that was cut off cannot be gone on with: {why}. Start again: it begins anew "
            "with a fresh account; this journal is kept."
        )

    def _compare(self, message: Message, record: Record) -> None:
        said = encode(message)
        if said != record.data:
            at = next((i for i, (ours, theirs) in enumerate(zip(said, record.data, strict=False)) if ours != theirs), 0)
            was, now = (each[max(0, at - 40) : at + 40].decode(errors="replace") for each in (record.data, said))
            raise self.refuse(
                f"record {record.number} is a {record.kind} with ...{was}..., and now a {type(message.body).__name__} "
                f"with ...{now}... follows"
            )
