"""A flush of the journal beside its writer, in a thread of its own: the writer does not wait for it."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FlushBeside:
    """What `store.journal.Journal` had appended, up to byte `end` of the file that begins with record `first`."""

    path: Path
    first: int
    end: int

    def perform(self) -> bool:
        """In any thread: put it on disk; raises OSError as fdatasync(2) does. False when the file cannot be opened.

        The file is opened anew each time. The writer may close or replace its own descriptor meanwhile, and the kernel
        reports a failed write once to each opening: through the writer's, an error heard here would be none for the
        urgent flush that comes next, which would then promise what is not on disk.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError:
            return False
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        return True
