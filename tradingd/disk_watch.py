"""Free space where the journal lies, in bytes and files: entries stop while what is held can be protected (F43)."""

import os
from pathlib import Path
from typing import Final

LEAST_BYTES: Final = 64 << 20
"""Below this nothing new is risked: exits of every position and days of trails fit into it many times over."""

BACK_AT_BYTES: Final = 2 * LEAST_BYTES
"""Well above it again, or the vote would change with every file that comes and goes."""


LEAST_FILES: Final = 256
"""A file system without room for one more file takes neither checkpoint nor kill file, however many bytes it has."""

BACK_AT_FILES: Final = 2 * LEAST_FILES


class DiskWatch:
    """`look` once in a while; cheap enough for once a second."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_low = False

    def look(self) -> str:
        """Why nothing new may be risked, "" while there is room. A folder that cannot be asked counts as full."""
        try:
            found = os.statvfs(self._folder)
            free = found.f_bavail * found.f_frsize
        except OSError as error:
            self._is_low = True
            return f"the disk of {self._folder} cannot be asked for free space ({error.strerror}): no entries"
        was_low = self._is_low
        few_files = found.f_files > 0 and found.f_favail < (BACK_AT_FILES if was_low else LEAST_FILES)
        few_bytes = free < (BACK_AT_BYTES if was_low else LEAST_BYTES)
        self._is_low = few_bytes or few_files
        if not self._is_low:
            return ""
        if not few_bytes:
            return f"the disk of {self._folder} has no room for {LEAST_FILES} more files (inodes): no entries"
        # No figure in the text: a reason that changes every second would be a new vote every second.
        return f"less than {LEAST_BYTES >> 20} MB are free for the journal: no entries until there is more"
