"""`python -m tradingd.checkpoint_process JOURNAL KIND`: one checkpoint, made beside a daemon that trades on.

Folding and writing take seconds that the process with the market in its hands does not have.
"""

import os
import sys
from pathlib import Path

from store.checkpoint import KINDS, CheckpointError
from store.journal import JournalError
from tradingd.checkpoint import make_checkpoint
from tradingd.exit_codes import FAILURE, OK

_LEAST_URGENT = 19


def main(arguments: list[str]) -> int:
    """0 when there is a checkpoint of the journal's end, else 1 and one line that says why not."""
    journal, kind = Path(arguments[0]), KINDS[KINDS.index(arguments[1])]
    if kind == "auto":
        os.nice(_LEAST_URGENT)
    try:
        make_checkpoint(journal, kind)
    except (CheckpointError, JournalError) as error:
        sys.stdout.write(f"{error}\n")
        return FAILURE
    return OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
