"""Which faults are at work now. Asked by the layers around requests, frames and fills; it changes nothing itself."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from exchanges.practice.fault_script import Fault, skew_ms

MOST: Final = 10_000
"""Faults kept; beyond them the oldest that are over are forgotten."""


class _Entry:
    __slots__ = ("fault", "struck", "was_begun")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.struck = 0
        self.was_begun = False

    def is_active(self, now_s: float) -> bool:
        fault = self.fault
        if fault.lasts == 0:
            return fault.at <= now_s and self.struck == 0
        return fault.at <= now_s < fault.end


class Faults:
    """The faults of a script and those ordered while it runs. `now_s`: seconds since the exchange began."""

    def __init__(self, script: Iterable[Fault], now_s: Callable[[], float]) -> None:
        self._entries = [_Entry(fault) for fault in script]
        self.now_s = now_s

    @property
    def is_empty(self) -> bool:
        return not self._entries

    def add(self, fault: Fault) -> None:
        """From `fault.at` on."""
        self._entries.append(_Entry(fault))
        if len(self._entries) > MOST:
            now = self.now_s()
            over = (entry for entry in self._entries if entry.fault.at <= now and not entry.is_active(now))
            self._entries.remove(next(over, self._entries[0]))

    def clear(self) -> None:
        """Nothing is wrong any more."""
        self._entries.clear()

    def strikes(self, name: str, *tags: str, is_named: bool = False) -> Fault | None:
        """The fault that befalls this request or frame, which is then used up when it is for one only.

        `tags` say what it is about: the fault's target must be one of them, or empty (unless `is_named`).
        """
        entry = self._find(name, tags, is_named=is_named)
        if entry is None:
            return None
        entry.struck += 1
        return entry.fault

    def count(self, name: str, *tags: str) -> int:
        """As `strikes`: how often the fault has struck by now, this time included; 0 when it does not."""
        entry = self._find(name, tags)
        if entry is None:
            return 0
        entry.struck += 1
        return entry.struck

    def lasts(self, name: str, *tags: str) -> bool:
        """Whether it is at work; uses up nothing."""
        return self._find(name, tags) is not None

    def left_s(self, fault: Fault) -> float:
        """Seconds to its end, at least one."""
        return max(1.0, fault.end - self.now_s())

    def skew_ms(self) -> int:
        """How far the venue's clock is ahead."""
        entry = self._find("clock_skew", None)
        return 0 if entry is None else skew_ms(entry.fault)

    def begun(self, names: Iterable[str]) -> list[Fault]:
        """Those of these names whose time has come since the last call. One for a single moment is then used up."""
        now = self.now_s()
        found = []
        for entry in self._entries:
            if entry.fault.name in names and not entry.was_begun and entry.fault.at <= now:
                entry.was_begun = True
                entry.struck += 1
                found.append(entry.fault)
        return found

    def listing(self) -> list[dict[str, Any]]:
        """For people and tests: each fault, whether it waits, is active or over, and how often it struck."""
        now = self.now_s()
        return [
            {"at": entry.fault.at, "fault": entry.fault.name, "target": entry.fault.target, "for": entry.fault.lasts,
             "state": _state(entry, now), "struck": entry.struck}
            for entry in self._entries
        ]

    def _find(self, name: str, tags: Iterable[str] | None, *, is_named: bool = False) -> _Entry | None:
        if not self._entries:
            return None
        now = self.now_s()
        for entry in self._entries:
            fault = entry.fault
            if fault.name != name or not entry.is_active(now) or (is_named and not fault.target):
                continue
            if tags is None or _fits(fault, tags):
                return entry
        return None


def _state(entry: _Entry, now_s: float) -> str:
    if entry.fault.at > now_s:
        return "waiting"
    return "active" if entry.is_active(now_s) else "over"


def _fits(fault: Fault, tags: Iterable[str]) -> bool:
    if not fault.target:
        return True
    wanted = plain(fault.target)
    return any(plain(tag) == wanted for tag in tags)


def plain(word: str) -> str:
    """"BTC/USDT", "BTC-USDT" and "btcusdt" are the same target."""
    return word.replace("/", "").replace("-", "").lower()
