"""Faults of market frames and of the user stream: what becomes of one frame on its way to the clients."""

import asyncio
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

import orjson

from exchanges.practice.faults import Faults

LATE_S: Final = 1.0
_HELD_S: Final = 1.0  # a frame that waits for its successor waits no longer than this
_LOWER: Final = Decimal("0.9")
_HIGHER: Final = Decimal("1.01")

Action = Literal["pass", "lose", "twice", "hold", "late"]
Kind = Literal["trade", "quote", "book", "other"]
_ACTIONS: Final[tuple[tuple[str, Action], ...]] = (
    ("duplicate_ticks", "twice"), ("reorder_ticks", "hold"), ("delay", "late"),
)
_KINDS: Final[dict[str, Kind]] = {"trade": "trade", "aggTrade": "trade", "bookTicker": "quote"}


class Verdict(NamedTuple):
    """What to do with a frame. `change`: how its content is falsified, "" = not at all."""

    action: Action
    change: str = ""


class Lane:
    """Carries one connection's frames as told: lost, twice, swapped with the next one, or late, and all behind wait."""

    __slots__ = ("_held", "_late", "_send")

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._held: str | None = None
        self._late: deque[tuple[float, str]] = deque()

    def put(self, action: Action, text: str) -> None:
        if action == "lose":
            return
        if action == "late" or self._late:
            self._delay(action, text)
            return
        if action == "hold" and self._held is None:
            self._held = text
            asyncio.get_running_loop().call_later(_HELD_S, self._release)
            return
        self._send(text)
        if action == "twice":
            self._send(text)
        self._release()

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._send(held)

    def _delay(self, action: Action, text: str) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + (LATE_S if action == "late" else 0.0)
        if self._late:
            due = max(due, self._late[-1][0])
        self._late.append((due, text))
        loop.call_at(due, self._let_go)

    def _let_go(self) -> None:
        now = asyncio.get_running_loop().time() + 1e-6
        while self._late and self._late[0][0] <= now:
            self._send(self._late.popleft()[1])


class FrameFaults:
    """Judges market frames of both protocols."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def judge(self, kind: Kind, name: str) -> Verdict:
        """The fate of one frame about the pair `name` ("BTCUSDT")."""
        faults = self._faults
        if faults.is_empty:
            return Verdict("pass")
        if faults.lasts("mute", name) or faults.strikes("drop", name, kind) is not None:
            return Verdict("lose")
        if kind == "book" and faults.strikes("gap", name) is not None:
            return Verdict("lose")
        change = self._change(kind, name)
        for fault, action in _ACTIONS:
            if faults.strikes(fault, name, kind) is not None:
                return Verdict(action, change)
        return Verdict("pass", change)

    def _change(self, kind: Kind, name: str) -> str:
        if kind == "trade" and self._faults.strikes("bad_tick", name) is not None:
            return "bad_tick"
        if kind in ("quote", "book") and self._faults.strikes("crossed", name, kind) is not None:
            return "crossed"
        if kind in ("trade", "quote") and self._faults.strikes("nan", name, kind) is not None:
            return "nan"
        return "malformed" if self._faults.strikes("malformed", name, kind) is not None else ""

    def on_binance_frame(self, stream: str, data: str) -> tuple[Action, str]:
        """The fate and text of a frame of one of Binance's streams."""
        if self._faults.is_empty or stream.startswith("practice@"):
            return "pass", data
        name, _, what = stream.partition("@")
        kind = "book" if what.startswith("depth") else _KINDS.get(what, "other")
        action, change = self.judge(kind, name.upper())
        return action, falsify_binance(change, data) if change else data

    def judge_event(self, name: str, *, is_fill: bool) -> Action:
        """The fate of an event of the user stream."""
        faults = self._faults
        if faults.is_empty:
            return "pass"
        if faults.lasts("user_mute", name) or (is_fill and faults.strikes("fill_lost", name) is not None):
            return "lose"
        if is_fill and faults.strikes("fill_duplicate", name) is not None:
            return "twice"
        return "hold" if faults.strikes("reorder", name) is not None else "pass"


def falsify_binance(change: str, data: str) -> str:
    """A frame's text with a falsehood in it."""
    if change == "malformed":
        return data[: len(data) // 2]
    frame: dict[str, Any] = orjson.loads(data)
    if change == "bad_tick":
        frame["p"] = times(frame["p"], _LOWER)
    elif change == "nan":
        frame["p" if "p" in frame else "b"] = "NaN"
    elif change == "crossed" and isinstance(frame.get("b"), str):
        frame["b"] = times(frame["a"], _HIGHER)
    elif change == "crossed":
        bids = "b" if "b" in frame else "bids"
        asks = frame["a" if "a" in frame else "asks"]
        best = max((price for price, _ in asks), key=Decimal) if asks else "1000000.00000000"
        frame[bids] = [[times(best, _HIGHER), "1.00000000"], *frame[bids]]
    return orjson.dumps(frame).decode()


def times(text: str, factor: Decimal) -> str:
    """A price text times a factor, in the same number of decimals."""
    value = Decimal(text)
    return str((value * factor).quantize(value))
