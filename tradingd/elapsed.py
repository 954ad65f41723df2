"""Seconds that pass while the machine sleeps, too."""

import sys
import time


def elapsed_s() -> float:
    """For spans of time only. On Linux `time.monotonic` stands still while the machine is suspended: an hour of sleep
    would be no delay, what lies in the buffers fresh, and a lease renewed just now."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()
