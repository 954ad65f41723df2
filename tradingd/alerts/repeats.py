"""The same alert again and again is told once, and afterwards how often it came."""

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from market.interval import SECOND_NS
from tradingd.alerts.alert import Alert

_MAX_KEYS: Final = 1_000


class Repeats:
    """`admit` returns the alert to be told, or None for one that came already within `repeat_s`. Bounded."""

    def __init__(self, repeat_s: int) -> None:
        self._window_ns = repeat_s * SECOND_NS
        self._told: OrderedDict[tuple[str, str], list[int]] = OrderedDict()
        self.suppressed = 0

    def admit(self, alert: Alert) -> Alert | None:
        """By key and level: a warning does not hide the critical word on the same matter."""
        if not alert.key or not self._window_ns:
            return alert
        key = (alert.key, alert.level)
        known = self._told.get(key)
        if known is not None and 0 <= alert.ts - known[0] < self._window_ns:
            known[1] += 1
            self.suppressed += 1
            return None
        self._told[key] = [alert.ts, 0]
        self._told.move_to_end(key)
        if len(self._told) > _MAX_KEYS:
            self._told.popitem(last=False)
        if known is not None and known[1]:
            return replace(alert, text=f"{alert.text} (came {known[1]} times more since it was last told)")
        return alert
