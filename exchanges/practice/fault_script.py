"""Fault scripts: JSON lists of {at, fault, target, for}, with the simulator's names where they mean the same."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FAULTS: Final[Mapping[str, str]] = {
    # new orders, cancels, questions
    "timeout_before": "the request never arrives: no answer",
    "timeout_after_accept": "the request is obeyed: no answer",
    "lost_ack": "the request is obeyed: the connection breaks instead of the answer",
    "http_5xx": "HTTP 503; every second one is obeyed all the same, the first one too",
    "rate_limit": "HTTP 429 with Retry-After",
    "ban": "HTTP 418 with Retry-After",
    "slow": "answers come two seconds late",
    "maintenance": "no new orders; cancels are obeyed",
    "cancel_lost": "a cancel is obeyed, its answer lost",
    "not_found_early": "an order younger than two seconds is not found",
    "stop_refused": "a stop order is rejected",
    "bad_key": "the key is refused",
    "clock_skew": "the venue's clock is 30 seconds ahead (or `target` seconds)",
    # fills and the user stream
    "partial": "what is taken comes in three executions",
    "overfill": "a tenth more is executed than was ordered",
    "fill_lost": "a fill is not told on the user stream",
    "fill_duplicate": "a fill is told twice on the user stream",
    "reorder": "two events of the user stream change places",
    "user_mute": "the user stream says nothing",
    "stream_down": "the user stream is cut and cannot be opened",
    # market data
    "feed_down": "the market streams are cut and cannot be opened",
    "mute": "the market streams stay open and say nothing",
    "drop": "market frames are lost",
    "delay": "market frames come one second late",
    "duplicate_ticks": "market frames come twice",
    "reorder_ticks": "market frames change places in pairs",
    "gap": "a book frame is lost",
    "crossed": "a book frame whose bid is above its ask",
    "bad_tick": "a trade frame a tenth below its price",
    "nan": "a trade or quote frame with a price that is no number",
    "malformed": "half a frame",
    "crash": "the price falls by 3 % at once and stays there (not in a replay)",
    # the account, by somebody else's hand
    "deposit": "500 of a quote currency come in",
    "withdrawal": "300 of a quote currency go out",
    "foreign_order": "somebody buys for 50 at market",
    "sold_by_hand": "somebody sells half of what is free",
}
"""Every fault and what it does."""

NEEDS_TIME: Final = frozenset({"maintenance", "clock_skew", "user_mute", "mute", "ban", "delay"})
"""Faults that mean nothing for a single request or frame."""
_KEYS: Final = frozenset({"at", "fault", "target", "for"})
_LONGEST_S: Final = 1e7
_SHAPE: Final = 'A fault script is a JSON list of {"at": seconds, "fault": name, "target": text, "for": seconds}.'


class FaultError(ValueError):
    """A fault cannot be used as written: the text says which, why and what to write."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`at` and `lasts` in seconds since the exchange began. `lasts` 0: only the next request or frame it fits.

    `target`: a symbol, or another word that the fault knows (see docs/practice.md); "" fits everything.
    """

    at: float
    name: str
    target: str = ""
    lasts: float = 0.0

    @property
    def end(self) -> float:
        return self.at + self.lasts


def read_script(path: Path) -> tuple[Fault, ...]:
    """The faults of a file, earliest first; raises `FaultError`."""
    try:
        rows: Any = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise FaultError(f"{path}: {error}. {_SHAPE}") from error
    if not isinstance(rows, list):
        raise FaultError(f"{path}: this is no list. {_SHAPE}")
    faults = []
    for number, row in enumerate(rows, 1):
        try:
            faults.append(read_fault(row))
        except FaultError as error:
            raise FaultError(f"{path}: entry {number}: {error}") from error
    return tuple(sorted(faults, key=lambda fault: fault.at))


def read_fault(row: Any, default_at: float | None = None) -> Fault:
    """One entry; without "at" it begins at `default_at`. Raises `FaultError`."""
    if not isinstance(row, dict) or "fault" not in row or not row.keys() <= _KEYS:
        raise FaultError(f"not an object with these keys. {_SHAPE}")
    name = row["fault"]
    if name not in FAULTS:
        raise FaultError(f"unknown fault {str(name)[:40]!r}. Known: {', '.join(FAULTS)}.")
    if "at" not in row and default_at is None:
        raise FaultError('"at" is missing: write the second at which it begins.')
    target = row.get("target", "")
    if not isinstance(target, str) or len(target) > 100:
        raise FaultError(f"target is {str(target)[:40]!r}; write a symbol or another word, or leave it out.")
    at = _seconds(row, "at", default_at or 0.0)
    lasts = _seconds(row, "for", 0.0)
    if name in NEEDS_TIME and lasts == 0:
        raise FaultError(f'{name} needs "for": write how many seconds it lasts.')
    if name == "clock_skew":
        skew_ms(Fault(at, name, target, lasts))
    return Fault(at, name, target, lasts)


def _seconds(row: dict[str, Any], key: str, default: float) -> float:
    value = row.get(key, default)
    if type(value) not in (int, float) or not 0 <= value < _LONGEST_S:
        raise FaultError(f"{key} is {str(value)[:40]}; write seconds from 0.")
    return float(value)


def skew_ms(fault: Fault) -> int:
    """How far `clock_skew` sets the venue's clock ahead; raises `FaultError`."""
    try:
        seconds = float(fault.target or 30)
    except ValueError:
        seconds = float("nan")
    if not abs(seconds) <= 86_400:
        raise FaultError(f"target of clock_skew is {fault.target[:40]!r}; write seconds such as 30 or -30.")
    return round(seconds * 1000)
