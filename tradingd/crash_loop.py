"""That the process died again and again is remembered until a person has seen it (F40): neither time nor an orderly
restart makes it well."""

import logging
from pathlib import Path
from typing import Final

from tradingd.data_dir import write_durably

SUFFIX: Final = ".crash-loop"
_log = logging.getLogger(__name__)


class CrashLoopMark:
    """A file beside the journal of the account that trades; none where nothing is to be remembered (of a replay)."""

    def __init__(self, journal: Path, *, remembers: bool = True) -> None:
        self.path = journal.with_suffix(SUFFIX)
        self._remembers = remembers

    def look(self, *, is_found_now: bool, is_wanted: bool) -> bool:
        """Does this start wait for a person? `is_found_now`: the journal says so. Not `is_wanted`: forget all of it."""
        if not is_wanted:
            self.clear()
            return False
        if not self._remembers:
            return is_found_now
        if is_found_now and not self.path.exists():
            try:
                write_durably(self.path, "the third start within ten minutes after unclean ends\n")
            except OSError as error:
                _log.warning("%s cannot be written: a later start may forget the crash loop: %s", self.path, error)
        return is_found_now or self.path.exists()

    def clear(self) -> None:
        """A person has seen it."""
        if not self._remembers:
            return
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("%s cannot be removed: the next start waits for a person again: %s", self.path, error)
