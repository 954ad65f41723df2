"""14:00 to 15:59 UTC: the American stock markets open, spreads and swings are at their widest (T9)."""

from typing import Final

from market.interval import SECOND_NS

FIRST_HOUR: Final = 14
END_HOUR: Final = 16
_HOUR_NS: Final = 3_600 * SECOND_NS


def is_busy(now: int) -> bool:
    """Does `now` (UTC ns) lie within the busy hours?"""
    return FIRST_HOUR <= now // _HOUR_NS % 24 < END_HOUR
