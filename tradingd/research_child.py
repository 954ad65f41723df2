"""Becomes `tradelab` on terms that suit a daemon: the lowest priority, and no longer alive than its parent.

`python -m tradingd.research_child PARENT_PID ARGUMENT...`. The laboratory is never imported here: this process is
replaced by it.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
"""prctl(2): the signal we get when our parent is gone; it survives exec."""
_LOWEST: Final = 19
_ROOT: Final = str(Path(__file__).resolve().parents[1])
_START: Final = (
    f"import sys; {_ROOT!r} in sys.path or sys.path.insert(0, {_ROOT!r}); sys.argv[0] = 'tradelab'; "
    "from research.cli import main; main()"
)


def main() -> None:
    """Never returns."""
    parent = int(sys.argv[1])
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the daemon is gone")
    os.setpriority(os.PRIO_PROCESS, 0, _LOWEST)
    # -P: a folder "research" of the user's, where the daemon was started, is not the laboratory.
    os.execv(sys.executable, [sys.executable, "-P", "-c", _START, *sys.argv[2:]])  # noqa: S606 - no shell: as is meant


if __name__ == "__main__":
    main()
