"""How long a server wants to be left alone, by its Retry-After header (RFC 9110, 10.2.3): seconds, or a date."""

import math
from email.utils import parsedate_to_datetime
from typing import Final

from market.interval import SECOND_NS

_LONGEST_S: Final = 100_000_000.0
"""Three years: what says more says nonsense."""


def retry_after_s(text: str, now_ns: int) -> float:
    """Seconds from `now_ns` (UTC), 0 when it does not say."""
    if not text.isascii():
        return 0.0
    try:
        pause_s = float(text)
    except ValueError:
        pause_s = _until(text, now_ns)
    return pause_s if math.isfinite(pause_s) and 0.0 <= pause_s < _LONGEST_S else 0.0


def _until(text: str, now_ns: int) -> float:
    try:
        return parsedate_to_datetime(text).timestamp() - now_ns / SECOND_NS
    except (ValueError, TypeError, OverflowError):
        return 0.0
