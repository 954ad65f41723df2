"""One replay of the daemon: begun afresh, or gone on with where it was cut off. See `tradingd.cut_replay`."""

from collections import deque
from collections.abc import Sequence
from pathlib import Path

from bus.ids import CLIENT_ID_PREFIX, SessionId
from tradingd.continued_journal import ContinuedJournal
from tradingd.cut_replay import (
    NOTES_FILE,
    Input,
    Plan,
    ReplayNotes,
    can_go_on,
    file_prints,
    is_same_recording,
    read_notes,
    settings_digest,
)
from tradingd.run_options import RunOptions
from tradingd.settings import Settings


class ReplayRun:
    """`find_cut`, then `begin` when the session is known; `due` gives what people told the cut replay.

    Where a replay cannot be repeated (`is_able`: real orders, Redis, scripted faults, no replay at all) all of it
    does nothing.
    """

    def __init__(self, settings: Settings, options: RunOptions, data_dir: Path) -> None:
        self.is_able = can_go_on(settings, options)
        self._settings = settings
        self._options = options
        self._path = data_dir / NOTES_FILE
        self._journal: ContinuedJournal | None = None
        self._plan: Plan | None = None
        self._notes: ReplayNotes | None = None
        self._inputs: deque[Input] = deque()
        self.was_cut = False
        self.cut_ns = 0

    def find_cut(self, journal: ContinuedJournal) -> None:
        """Whether the journal's last session was cut off and is the one that is asked for again."""
        cut = journal.cut_session() if self.is_able else None
        notes = read_notes(self._path) if cut is not None else None
        if cut is None or notes is None:
            return
        plan, inputs = notes
        if (
            plan.session != cut[0].session or plan.settings != settings_digest(self._settings, self._options)
            or not is_same_recording(self._options.replay, plan.files)
        ):
            return
        journal.play_again()
        journal.on_diverged = self._forget
        self._journal, self._plan, self._inputs, self.cut_ns = journal, plan, deque(inputs), cut[1]
        self.was_cut = True

    @property
    def shift_days(self) -> int | None:
        """Of the cut replay."""
        return self._plan.shift_days if self._plan is not None else None

    @property
    def is_behind(self) -> bool:
        """Not yet where it was cut: nobody may tell it anything but what it was told then."""
        return self._journal is not None and (self._journal.is_behind or bool(self._inputs))

    def begin(self, session: SessionId, shift_days: int) -> None:
        """From here on what people tell it is noted."""
        if not self.is_able:
            return
        if self._plan is not None:
            self._notes = ReplayNotes.go_on(self._path, self._plan)
            return
        digest = settings_digest(self._settings, self._options)
        self._notes = ReplayNotes.begin(
            self._path, Plan(session, shift_days, digest, file_prints(self._options.replay))
        )

    def note(self, at: int, by: str, body: object, now: int) -> None:
        """A command, before it is obeyed."""
        if self._notes is not None:
            self._notes.note(at, by, body, now)

    def due(self, at: int) -> Sequence[Input]:
        """What the cut replay was told up to its `at`-th feed item, once."""
        found = []
        while self._inputs and self._inputs[0].at <= at:
            found.append(self._inputs.popleft())
        return found

    def check_end(self) -> None:
        """The recording is over: raises `ReplayDivergedError` when the journal goes further."""
        if self._journal is not None and self.is_behind:
            raise self._journal.refuse("the recording ended, and the journal goes on")

    def last_manual_order(self, session: SessionId) -> int:
        """The highest number that a person's order of this session has."""
        prefix = f"{CLIENT_ID_PREFIX}{session}-m"
        ids = [str(getattr(each.message.body, "client_order_id", "")) for each in self._inputs]
        numbers = [each.removeprefix(prefix) for each in ids if each.startswith(prefix)]
        return max((int(each) for each in numbers if each.isdigit()), default=0)

    def _forget(self) -> None:
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._notes is not None:
            self._notes.close()
            self._notes = None
