"""When entries may not be made: blackout periods, and the last minutes of a day that is to be ended flat (T6).

Pure integer arithmetic on UTC nanoseconds; a day ends at `day_end_s` seconds after 00:00 UTC.
"""

import re
from dataclasses import dataclass
from typing import Final

from market.interval import SECOND_NS

DAY_S: Final = 86_400
MARGIN_S: Final = 300
"""So long before the end of the day positions and entries are ended."""

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EPOCH_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday
_TIME: Final = r"([01][0-9]|2[0-3]):([0-5][0-9])"
_PERIOD: Final = re.compile(rf"(?:(mon|tue|wed|thu|fri|sat|sun)\s+)?{_TIME}\s*-\s*{_TIME}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Blackout:
    """No entries from `start_s` until `end_s` (seconds of the UTC day; over midnight when `end_s` is not later).

    `weekday` 0 = Monday, of the day on which it begins; None = every day.
    """

    start_s: int
    end_s: int
    weekday: int | None
    text: str

    def holds(self, now: int) -> bool:
        """Is `now` (UTC ns) inside? The start is, the end is not."""
        day, second = divmod(now // SECOND_NS, DAY_S)
        if self.start_s < self.end_s:
            return self.start_s <= second < self.end_s and self._is_on(day)
        return (second >= self.start_s and self._is_on(day)) or (second < self.end_s and self._is_on(day - 1))

    def _is_on(self, day: int) -> bool:
        return self.weekday is None or (day + _EPOCH_WEEKDAY) % 7 == self.weekday


@dataclass(frozen=True, slots=True)
class TimeRules:
    """`closes_with_day`: entries and positions end `MARGIN_S` before the day does."""

    blackouts: tuple[Blackout, ...] = ()
    day_end_s: int = 0
    closes_with_day: bool = False

    def blackout(self, now: int) -> Blackout | None:
        """The first blackout that holds now."""
        for each in self.blackouts:
            if each.holds(now):
                return each
        return None

    def is_day_ending(self, now: int) -> bool:
        """Are these the last `MARGIN_S` of the day?"""
        return 0 < (self.day_end_s - now // SECOND_NS) % DAY_S <= MARGIN_S

    def last_end(self, now: int) -> int:
        """When the day before the one of `now` ended (UTC ns)."""
        return now - (now - self.day_end_s * SECOND_NS) % (DAY_S * SECOND_NS)


def parse_blackout(text: str) -> Blackout:
    """`08:00-08:30` or `fri 21:00-23:30`, UTC; raises ValueError with what to write."""
    found = _PERIOD.fullmatch(text.strip())
    if found is None:
        raise ValueError(f'{text!r} is no period: write "08:00-08:30" or "fri 21:00-23:30", in UTC')
    day, *parts = found.groups()
    numbers = [int(part) for part in parts]
    start_s, end_s = numbers[0] * 3600 + numbers[1] * 60, numbers[2] * 3600 + numbers[3] * 60
    if start_s == end_s:
        raise ValueError(f"{text!r} begins and ends at the same time: name two times")
    return Blackout(start_s, end_s, _DAYS.index(day.lower()) if day else None, text.strip())


def parse_day_end(text: str) -> int:
    """`00:00` or `21:30` (UTC) as seconds of the day; raises ValueError."""
    found = re.fullmatch(_TIME, text.strip())
    if found is None:
        raise ValueError(f'{text!r} is no time of day: write "00:00" or "21:30", in UTC')
    return int(found[1]) * 3600 + int(found[2]) * 60
