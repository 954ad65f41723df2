"""Denials in bulk: the first are told one by one, the others are counted and told in one sentence a minute.

A runaway strategy asks a thousand times a second. Each of its orders gets its answer, but the journal, the story
and the table of orders keep a bounded number of them. An order that was only counted leaves no trace of its id:
given again, it is judged again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bus.messages.orders import DenialsCounted, Origin
from market.interval import SECOND_NS
from orders.denied_attempts import WINDOW_NS

LISTED_PER_SECOND: Final = 20
LISTED_PER_MINUTE: Final = 120


@dataclass(slots=True)
class _Tally:
    """Denials of one code and origin. `counted`: those that were not listed since the last sentence."""

    second_ns: int = 0
    in_second: int = 0
    minute_ns: int = 0
    in_minute: int = 0
    counted: int = 0
    told_ns: int = 0


class Unlisted:
    """Which denials are listed. Its memory is not restored: it is about the journal's size, not about money."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, Origin], _Tally] = {}

    def lists(self, code: str, origin: Origin, now: int) -> bool:
        """Is this denial one of the first? If not, it is counted. Both keys are few: codes and origins."""
        tally = self._tallies.setdefault((code, origin), _Tally())
        if now - tally.second_ns >= SECOND_NS:
            tally.second_ns, tally.in_second = now, 0
        if now - tally.minute_ns >= WINDOW_NS:
            tally.minute_ns, tally.in_minute = now, 0
        if tally.in_second < LISTED_PER_SECOND and tally.in_minute < LISTED_PER_MINUTE:
            tally.in_second += 1
            tally.in_minute += 1
            return True
        tally.counted += 1
        return False

    def due(self, now: int) -> Iterator[DenialsCounted]:
        """One sum for each kind of denial that was counted: soon after it began, then once a minute."""
        for (code, origin), tally in sorted(self._tallies.items()):
            if tally.counted and (not tally.told_ns or now - tally.told_ns >= WINDOW_NS):
                count, tally.counted, tally.told_ns = tally.counted, 0, now
                yield DenialsCounted(code, origin, count)
