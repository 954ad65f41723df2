"""Moves a recording to the present by whole weeks: candle boundaries and weekdays stay where they were."""

import re
from typing import Final

DAY_NS: Final = 86_400_000_000_000
_DAY_MS: Final = 86_400_000
_WEEK_DAYS: Final = 7
_TIMES: Final = re.compile(r'"([ETOC])":(\d{13}|\d{16})(?=[,}])')
_KLINE_TIMES: Final = re.compile(r'"([ETt])":(\d{13}|\d{16})(?=[,}])')


def shift_days(first_ns: int, now_ns: int, not_before_ns: int) -> int:
    """Days to add, whole weeks: the recording starts within the last seven days, but not before `not_before_ns`."""
    week_ns = _WEEK_DAYS * DAY_NS
    weeks = (now_ns - first_ns) // week_ns
    if first_ns + weeks * week_ns < not_before_ns:
        weeks = -((first_ns - not_before_ns) // week_ns)
    return weeks * _WEEK_DAYS


def shifted(stream: str, data: str, days: int) -> str:
    """The frame with its event, trade, open and close times moved (ms, or us where 16 digits); else unchanged."""
    if days == 0 or '"E":' not in data:
        return data
    # "t" is a time in klines only: in a trade it is the trade's id.
    pattern = _KLINE_TIMES if "@kline" in stream else _TIMES

    def moved(found: re.Match[str]) -> str:
        digits = found[2]
        unit = _DAY_MS if len(digits) == 13 else _DAY_MS * 1000
        return f'"{found[1]}":{int(digits) + days * unit}'

    return pattern.sub(moved, data)
