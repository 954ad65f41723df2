"""What goes wrong, and when: scripts of {at, fault, target, for}, drawn from a seed or read from a file."""

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, Literal, get_args

FaultName = Literal[
    # the way of orders and answers
    "timeout_before", "timeout_after_accept", "http_5xx", "rate_limit", "slow", "maintenance", "cancel_lost",
    "stream_down", "fill_lost", "fill_duplicate", "reorder", "partial", "not_found_early", "stop_refused",
    # market data
    "feed_down", "mute", "bad_tick", "nan", "malformed", "duplicate_ticks", "reorder_ticks", "gap", "crossed", "crash",
    # process, disk, clock
    "kill_idle", "kill_before_journal", "kill_after_journal", "kill_before_send", "kill_after_send", "kill_on_report",
    "power_cut", "disk_full", "clock_jump", "sleep",
    # people, agents
    "risk_agent_dies", "agent_dies", "kill_halt", "kill_cancel", "kill_flatten", "unlock", "pause", "resume",
    "deposit", "withdrawal", "sold_by_hand", "foreign_order",
]
FAULTS: Final[tuple[str, ...]] = get_args(FaultName)
MOMENTS: Final = frozenset(name for name in FAULTS if name.startswith("kill_") or name in (
    "power_cut", "bad_tick", "nan", "malformed", "crossed", "clock_jump", "risk_agent_dies", "agent_dies", "unlock",
    "pause", "resume", "deposit", "withdrawal", "sold_by_hand", "foreign_order", "fill_lost", "crash", "gap",
))
"""These happen once; the others last."""
ORDER_FAULTS: Final = frozenset({
    "timeout_before", "timeout_after_accept", "http_5xx", "rate_limit", "slow", "maintenance", "cancel_lost",
    "stop_refused", "not_found_early",
})
_SHAPE: Final = 'A fault script is a JSON list of {"at": seconds, "fault": name, "target": text, "for": seconds}.'
FEED_FAULTS: Final = frozenset({"feed_down", "mute"})


class FaultScriptError(ValueError):
    """The script cannot be used: the text names file, entry and remedy."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`at` and `lasts` in seconds of virtual time; `target` is a symbol or agent, "" = chosen by the simulator."""

    at: float
    name: FaultName
    target: str = ""
    lasts: float = 0.0

    @property
    def end(self) -> float:
        return self.at + self.lasts


def read_script(path: Path) -> list[Fault]:
    """Raises `FaultScriptError`."""
    try:
        rows: Any = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise FaultScriptError(f"{path}: {error}. {_SHAPE}") from error
    if not isinstance(rows, list):
        raise FaultScriptError(f"{path}: this is no list. {_SHAPE}")
    return sorted((_fault(path, number, row) for number, row in enumerate(rows, 1)), key=lambda fault: fault.at)


def _fault(path: Path, number: int, row: Any) -> Fault:
    where = f"{path}: entry {number}"
    if not isinstance(row, dict) or not {"at", "fault"} <= row.keys() <= {"at", "fault", "target", "for"}:
        raise FaultScriptError(f"{where}: not an object with these keys. {_SHAPE}")
    if row["fault"] not in FAULTS:
        raise FaultScriptError(f"{where}: unknown fault {row['fault']!r}. Known: {', '.join(FAULTS)}.")
    for key in ("at", "for"):
        value = row.get(key, 0)
        if type(value) not in (int, float) or not 0 <= value < 1e7:
            raise FaultScriptError(f"{where}: {key} is {value!r}; write seconds from 0.")
    return Fault(float(row["at"]), row["fault"], str(row.get("target", "")), float(row.get("for", 0)))


_WEIGHTS: Final[dict[str, int]] = {
    "kill_idle": 2, "kill_before_journal": 2, "kill_after_journal": 3, "kill_before_send": 3, "kill_after_send": 3,
    "kill_on_report": 3, "power_cut": 2, "timeout_after_accept": 3, "timeout_before": 2, "stream_down": 2,
}
_NEVER_ALONE: Final = ("unlock", "resume")


def draw_script(random: Random, seconds: float) -> list[Fault]:
    """Five to fifteen faults over the session; people always come back to unlock and resume."""
    names = [name for name in FAULTS if name not in _NEVER_ALONE]
    weights = [_WEIGHTS.get(name, 1) for name in names]
    script: list[Fault] = []
    for _ in range(random.randint(5, 15)):
        name = random.choices(names, weights)[0]
        at = random.uniform(60, seconds - 300)
        lasts = 0.0 if name in MOMENTS else random.choice((2.0, 10.0, 40.0))
        script.append(Fault(at, name, "", lasts))  # type: ignore[arg-type]
        if name in ("kill_halt", "kill_cancel", "kill_flatten"):
            script.append(Fault(at + random.uniform(20, 120), "unlock"))
        if name == "pause":
            script.append(Fault(at + random.uniform(20, 120), "resume"))
    return sorted(script, key=lambda fault: fault.at)
