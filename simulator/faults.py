"""What goes wrong, and when: the kinds of faults there are, and scripts of {at, fault, target, for}, drawn or read.

Each kind has a name of its own; `simulator.fault_names` knows what else people call it. Ids are those of the
product's list of faults (F01 and so on).
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from simulator.fault_names import UnknownFaultError, UnknownTargetError, faults_named, target_named


@dataclass(frozen=True, slots=True)
class Kind:
    """`lasts`: it goes on for a while, else it happens once. `hinders`: "orders" cannot get through meanwhile, the
    "feed" is away, or the "process" can do nothing."""

    name: str
    ids: str
    about: str
    lasts: bool = False
    hinders: str = ""


KINDS: Final[tuple[Kind, ...]] = (
    # ---- the way of orders and answers
    Kind("timeout_before", "F15", "requests are lost on their way to the exchange", True, "orders"),
    Kind("timeout_after_accept", "F14", "the exchange takes them, its answers are lost", True, "orders"),
    Kind("http_5xx", "F16", "answered with 5xx, half of the orders are taken all the same", True, "orders"),
    Kind("rate_limit", "F17 F18", "429 or a ban: nothing may be asked", True, "orders"),
    Kind("bad_key", "F19", "the exchange refuses the key", True, "orders"),
    Kind("clock_skew", "F20", "our timestamps are refused; asked again once", True, "orders"),
    Kind("slow", "F14", "one to four seconds each way", True, "orders"),
    Kind("maintenance", "F34", "the exchange takes no orders", True, "orders"),
    Kind("trading_down", "F55", "market data goes on, no request is answered", True, "orders"),
    Kind("network_down", "F56", "nothing gets through, neither orders nor data nor answers", True, "orders"),
    Kind("cancel_lost", "F26", "cancels and their answers are lost", True, "orders"),
    Kind("cancel_race", "F25", "an order executes just before its cancel arrives", True),
    Kind("stream_down", "F21", "the user stream is cut off, REST works", True),
    Kind("fill_lost", "F24", "one execution of an order that rests is not told"),
    Kind("fill_duplicate", "F23", "each report comes twice", True),
    Kind("overfill", "F28", "an order executes more than was asked for"),
    Kind("reorder", "F22", "reports overtake each other and the answers", True),
    Kind("partial", "F21 F31", "orders execute in parts", True),
    Kind("not_found_early", "F27", "creations get no answer and are not found for four seconds", True, "orders"),
    Kind("stop_refused", "F29", "stops are refused", True, "orders"),
    # ---- market data
    Kind("feed_down", "F01", "the market stream is closed", True, "feed"),
    Kind("mute", "F02", "it is connected and silent", True, "feed"),
    Kind("quiet", "F03", "nobody trades; the connection lives", True, "feed"),
    Kind("reorder_ticks", "F04", "frames in the wrong order", True),
    Kind("duplicate_ticks", "F05", "frames twice", True),
    Kind("gap", "F06", "numbers are missing"),
    Kind("crossed", "F07", "a bid above the ask"),
    Kind("nan", "F08", "NaN, infinite, negative, zero, a hundred times the price, an absurd size"),
    Kind("bad_tick", "F09", "one print far away"),
    Kind("crash", "F10 F30", "the price falls by 4 % and stays: stops with a limit are jumped over"),
    Kind("rally", "F10", "the price rises by 4 % and stays"),
    Kind("malformed", "F11", "broken JSON, unknown frames, 5 MB of nothing"),
    Kind("new_rules", "F12", "price tick and minimum change", hinders="orders"),
    Kind("halted", "F12", "the symbol is not traded", True, "orders"),
    # ---- process, disk, clock
    Kind("kill_idle", "F39", "kill -9 (`for`: seconds until it is started again)"),
    Kind("kill_before_journal", "F39", "kill -9 before the next order is written down"),
    Kind("kill_after_journal", "F39", "kill -9 when it is written down"),
    Kind("kill_before_send", "F39", "kill -9 before it is sent"),
    Kind("kill_after_send", "F39", "kill -9 when it is sent"),
    Kind("kill_on_report", "F39", "kill -9 at the next report"),
    Kind("crash_loop", "F40", "four times kill -9 within a minute, with SAFE mode on; a person clears it"),
    Kind("stop", "F57", "SIGTERM with orders open, then another start"),
    Kind("power_cut", "F41", "what was not flushed is gone, but for a torn part"),
    Kind("bit_flip", "F42", "a bit of the journal flips while the process is down; `for` seconds later it is restored"),
    Kind("fsync_error", "F42", "the disk reports an error when flushing", True, "process"),
    Kind("disk_full", "F43", "no free byte but what the journal took in advance", True, "process"),
    Kind("bus_down", "F44 F45", "the bus is away: the council hears nothing", True),
    Kind("bus_loss", "F46", "the bus loses every third message", True),
    Kind("forged", "F47", "orders without a verdict, or on somebody else's, come over the bus"),
    Kind("clock_jump", "F48", "the clock jumps by 30 s"),
    Kind("sleep", "F49", "the machine sleeps", True, "process"),
    Kind("stall", "F13", "the event loop is blocked, everything comes late and at once", True, "process"),
    Kind("second_daemon", "F51 F52", "another daemon is started on the same account"),
    # ---- agents, people
    Kind("agent_dies", "F53", "an agent (`target`) fails at each message until it is begun anew"),
    Kind("risk_agent_dies", "F54", "the risk officer fails"),
    Kind("fat_finger", "F35", "a person asks for far too much, far from the market"),
    Kind("runaway", "F36", "three hundred orders within a second"),
    Kind("replayed", "F37 F60", "commands of the past are given again"),
    Kind("kill_halt", "F58", "a person engages the kill switch"),
    Kind("kill_cancel", "F58", "the same, cancelling"),
    Kind("kill_flatten", "F58 F59", "the same, selling everything"),
    Kind("unlock", "F58", "a person releases it"),
    Kind("pause", "F58", "a person stops entries"),
    Kind("resume", "F58", "a person allows them, and clears a crash loop"),
    Kind("deposit", "F32", "money comes in"),
    Kind("withdrawal", "F32", "money goes out"),
    Kind("foreign_order", "F33", "a person buys at the exchange"),
    Kind("sold_by_hand", "F32 F72", "sells that again; where nothing is foreign, half of what is ours"),
    Kind("cancelled_by_hand", "F72", "a person cancels our orders at the exchange"),
)
KIND_BY_NAME: Final[dict[str, Kind]] = {kind.name: kind for kind in KINDS}
FAULTS: Final[tuple[str, ...]] = tuple(KIND_BY_NAME)
HINDER_ORDERS: Final = frozenset(kind.name for kind in KINDS if kind.hinders == "orders")
HINDER_FEED: Final = frozenset(kind.name for kind in KINDS if kind.hinders == "feed") | {"network_down"}
HINDER_PROCESS: Final = frozenset(kind.name for kind in KINDS if kind.hinders == "process")

MOST_S: Final = 4 * 3600.0
"""However long a script goes on; of what would last longer the rest is cut off."""


def longest(seconds: float) -> float:
    """How long a seed of usually so many seconds lives at most."""
    return max(MOST_S, seconds)


DEFAULT_S: Final = 10.0
"""How long a fault lasts whose script does not say."""

_SHAPE: Final = 'A fault script is a JSON list of {"at": seconds, "fault": name, "target": text, "for": seconds}.'


class FaultScriptError(ValueError):
    """The script cannot be used: the text names file, entry and remedy."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`at` and `lasts` in seconds of virtual time; `target` is a symbol or agent, "" = all, or chosen by chance."""

    at: float
    name: str
    target: str = ""
    lasts: float = 0.0

    @property
    def end(self) -> float:
        return self.at + self.lasts


def read_script(path: Path, seconds: float = MOST_S) -> list[Fault]:
    """For seeds of usually so many seconds. Raises `FaultScriptError`."""
    try:
        rows: Any = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_object)
    except (OSError, ValueError) as error:
        raise FaultScriptError(f"{path}: {error}. {_SHAPE}") from error
    except RecursionError as error:
        raise FaultScriptError(f"{path}: lists within lists without end. {_SHAPE}") from error
    if isinstance(rows, dict) and isinstance(rows.get("faults"), list):
        rows = rows["faults"]
    if not isinstance(rows, list):
        raise FaultScriptError(f"{path}: this is no list. {_SHAPE}")
    entries = [_faults(path, number, row) for number, row in enumerate(rows, 1)]
    for number, (fault, *_) in enumerate(entries, 1):
        if fault.at >= longest(seconds) - 1:
            raise FaultScriptError(
                f"{path}: entry {number}: at is {fault.at:g}; a seed lives {longest(seconds):g} s at most. Write an "
                "earlier moment, or a longer --seconds."
            )
    return sorted(itertools.chain.from_iterable(entries), key=lambda fault: fault.at)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises `ValueError` for a key that is there twice: one of the two would be lost without a word."""
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{json.dumps(row)[:200]}: {twice!r} is written twice")
    return row


def _faults(path: Path, number: int, row: Any) -> list[Fault]:
    """One, or the two that its name means."""
    where = f"{path}: entry {number}"
    if not isinstance(row, dict):
        raise FaultScriptError(f"{where}: {row!r} is no object. {_SHAPE}")
    missing = [key for key in ("at", "fault") if key not in row]
    unknown = sorted(row.keys() - {"at", "fault", "target", "for"})
    if missing or unknown:
        wrong = [*(f"{key!r} is missing" for key in missing), *(f"{key!r} is not known" for key in unknown)]
        raise FaultScriptError(f"{where}: {', '.join(wrong)}. {_SHAPE}")
    for key in ("at", "for"):
        value: Any = row.get(key)
        if key not in row or (key == "for" and value is None):
            continue
        if type(value) not in (int, float) or not 0 <= value < 1e7:
            raise FaultScriptError(f"{where}: {key} is {value!r}; write seconds from 0 to 10,000,000.")
    target = row.get("target")
    if target is not None and not isinstance(target, str):
        raise FaultScriptError(f"{where}: target is {target!r}; write a symbol, an agent or what the fault befalls.")
    if type(row["fault"]) not in (str, int):
        raise FaultScriptError(f"{where}: fault is {row['fault']!r}; write one name, such as \"kill\".")
    try:
        named = [(name, target_named(rest)) for name, rest in faults_named(str(row["fault"]), target or "")]
    except (UnknownFaultError, UnknownTargetError) as error:
        raise FaultScriptError(f"{where}: {error}") from error
    at, given_s = float(row["at"]), row.get("for")
    return [Fault(at, name, aimed, _lasts(name, given_s, is_alone=len(named) == 1)) for name, aimed in named]


def _lasts(name: str, given_s: float | None, *, is_alone: bool) -> float:
    is_lasting = KIND_BY_NAME[name].lasts
    if given_s is None:
        return DEFAULT_S if is_lasting else 0.0
    return float(given_s) if is_lasting or is_alone else 0.0


_WEIGHTS: Final[dict[str, int]] = {
    "kill_idle": 2, "kill_before_journal": 2, "kill_after_journal": 3, "kill_before_send": 3, "kill_after_send": 3,
    "kill_on_report": 3, "power_cut": 2, "timeout_after_accept": 3, "timeout_before": 2, "stream_down": 2,
}
_NEVER_ALONE: Final = ("unlock", "resume")
_LOCKING: Final = ("kill_halt", "kill_cancel", "kill_flatten", "runaway")
_PAUSING: Final = ("pause", "crash_loop", "bad_key")
"""After these, and after those that lock, nothing is bought until a person comes."""
_DRAWN: Final = tuple(name for name in FAULTS if name not in _NEVER_ALONE)


def draw_script(random: Random, seconds: float) -> list[Fault]:
    """Five to fifteen faults over the session; people always come back to unlock and resume."""
    weights = [_WEIGHTS.get(name, 1) for name in _DRAWN]
    script: list[Fault] = []
    for _ in range(random.randint(5, 15)):
        name = random.choices(_DRAWN, weights)[0]
        at = random.uniform(60, seconds - 300)
        lasts = random.choice((2.0, 10.0, 40.0)) if KIND_BY_NAME[name].lasts else 0.0
        script.append(Fault(at, name, "", lasts))
        if name in _LOCKING:
            script.append(Fault(at + random.uniform(20, 120), "unlock"))
        if name in _PAUSING:
            script.append(Fault(at + lasts + random.uniform(60, 160), "resume"))
    for round_at in (seconds / 4, seconds / 2):  # people look in, whatever locked or paused it
        script += [Fault(round_at, "unlock"), Fault(round_at + 1.0, "resume")]
    return sorted(script, key=lambda fault: fault.at)


_ROUNDS: Final = 8


def draw_wild_script(random: Random, seconds: float, symbols: Sequence[str]) -> list[Fault]:
    """As a stranger might write it: up to forty faults, nested, long, of no length, from the first second on, some
    beyond the end. In half of them nobody comes back to unlock, in the others people look in again and again."""
    script: list[Fault] = []
    for _ in range(random.randint(0, 40)):
        at = random.choice((0.0, random.uniform(0, 60), random.uniform(0, seconds), random.uniform(0, seconds * 1.2)))
        name = random.choice(FAULTS)
        lasts = random.choice((0.0, random.uniform(0, 5), random.uniform(5, 120), random.uniform(60, seconds / 2)))
        target = random.choice(("", "", *symbols))
        script.append(Fault(round(at, 3), name, target, round(lasts, 3) if KIND_BY_NAME[name].lasts else 0.0))
        if random.random() < 0.3:  # the same again, inside or across the first
            script.append(Fault(round(at + lasts * random.random(), 3), name, target, round(lasts, 3)))
    if random.random() < 0.5:
        for number in range(1, _ROUNDS):
            at = round(seconds * number / _ROUNDS, 3)
            script += [Fault(at, "unlock"), Fault(at + 1.0, "resume")]
    return sorted(script, key=lambda fault: fault.at)
