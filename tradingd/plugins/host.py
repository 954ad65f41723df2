"""One foreign alpha, seen from the daemon: its worker process, its questions one at a time, its rests after failures.

Nothing here waits. Whoever owns a host tells it when its link is readable or writable and when its `deadline` has
passed (`tradingd.plugins.panel` does, live from the event loop, in a replay from a loop of its own).
"""

from collections import deque
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, Literal, Protocol

from agents.alphas.alpha import Opinion, what_is_wrong
from agents.alphas.panel import AWAY, BUSY, CRASHED, FAILED, TIMED_OUT, OutsideAlpha
from bus.messages.council import AlphaSignal, AlphaSkipped
from tradingd.plugins.process import WorkerProcess
from tradingd.plugins.sources import AlphaSource
from tradingd.plugins.wire import WireError, pack, plain_text
from tradingd.profile import Timing

LOAD_LIMIT_S: Final = 10.0
FIRST_REST_S: Final = 1.0
LONGEST_REST_S: Final = 60.0
MOST_DEATHS: Final = 10
"""In a row; then it is given up until the daemon starts anew."""
GOOD_ANSWERS: Final = 20
"""In a row make earlier deaths forgotten."""

HostState = Literal["loading", "ready", "resting", "broken", "refused", "given up", "ended"]
"""`broken`: it cannot be used as it is; `refused`: another one has its name."""


@dataclass(slots=True, eq=False)
class Question:
    """One candle before several alphas: who has yet to answer, and what the others said."""

    number: int
    symbol: str
    interval: str
    ts_open: int
    waiting: set[str]
    signals: dict[str, AlphaSignal] = field(default_factory=dict)
    skipped: dict[str, AlphaSkipped] = field(default_factory=dict)

    def skip(self, name: str, code: str, reason: str) -> None:
        """It gives no opinion on this one."""
        if name in self.waiting:
            self.waiting.discard(name)
            self.skipped[name] = AlphaSkipped(name, 0.0, code, reason)

    def answer(self, signal: AlphaSignal) -> None:
        if signal.alpha in self.waiting:
            self.waiting.discard(signal.alpha)
            self.signals[signal.alpha] = signal


@dataclass(frozen=True, slots=True)
class HostOptions:
    """`limit_s` for each opinion; `memory_mb` of data for each worker; `default_weight` of one that names none."""

    limit_s: float = 5.0
    memory_mb: int = 1024
    default_weight: float = 0.5


@dataclass(frozen=True, slots=True)
class SavedState:
    """What an alpha asked us to keep; only one of the same version gets it back."""

    version: str
    state: Any


class HostOwner(Protocol):
    """Who looks after hosts."""

    def on_process_begun(self, host: "AlphaHost") -> None:
        """It has a new process, whose link is to be watched."""
        ...

    def on_process_ending(self, host: "AlphaHost") -> None:
        """Its link is about to be closed."""
        ...

    def on_changed(self, host: "AlphaHost") -> None:
        """It was loaded, failed, rests, or is well again."""
        ...

    def on_answered(self, question: Question) -> None:
        """Nobody is left to wait for."""
        ...

    def on_saved(self, host: "AlphaHost") -> None:
        """`host.saved` is what it wants kept."""
        ...


class AlphaHost:
    """One alpha and its process, over all its lives."""

    def __init__(
        self, source: AlphaSource, options: HostOptions, owner: HostOwner, saved: SavedState | None = None,
    ) -> None:
        self.source = source
        self.identity: OutsideAlpha | None = None
        self.state: HostState = "loading"
        self.problem = ""
        self.line = 0
        self.rest_s = 0.0
        self.deaths = self.failures = self.restarts = 0
        self.timing = Timing()
        self.deadline: float | None = None
        self.process: WorkerProcess | None = None
        self.has_state = False
        self.saved = saved
        self._options = options
        self._owner = owner
        self._queue: deque[tuple[Question, bytes]] = deque()
        self._current: Question | None = None
        self.is_saving = False
        """It was asked for its state, or will be as soon as it is idle."""
        self._is_save_sent = False
        self._asked_at = 0.0
        self._good = 0

    # ---- life ------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start its process; it says itself when it is ready."""
        self.state, self.deadline = "loading", monotonic() + LOAD_LIMIT_S
        try:
            self.process = WorkerProcess()
        except OSError as error:
            self.process = None
            self._die(CRASHED, f"its process cannot be started: {error}")
            return
        self._owner.on_process_begun(self)
        saved = self.saved
        self.process.send(pack({
            "op": "load", "path": self.source.path, "entry": self.source.entry, "memory_mb": self._options.memory_mb,
            "state": saved.state if saved else None, "state_version": saved.version if saved else "",
        }))

    def end(self) -> None:
        """For good."""
        self._stop_process()
        self.state = "ended"
        self._skip_all(AWAY, "the daemon is stopping")

    def refuse(self, why: str, state: HostState = "broken") -> None:
        """It cannot be used as it is, or is not the one of its name; it is not tried again."""
        self._stop_process()
        self.state, self.problem, self.deadline = state, why, None
        self._skip_all(AWAY, why)
        self._owner.on_changed(self)

    def _stop_process(self) -> str:
        process = self.process
        self.deadline, self.is_saving, self._is_save_sent = None, False, False
        if process is None:
            return ""
        self._owner.on_process_ending(self)
        self.process = None
        return process.kill()

    def _die(self, code: str, why: str) -> None:
        """Its process is over or must be: the one who was asked is skipped, and it rests a while."""
        told = self._stop_process()
        why = told if told and code == CRASHED else why
        self.failures += 1
        self.deaths += 1
        self._good = 0
        self.restarts += 1
        current, self._current = self._current, None
        is_over = self.deaths >= MOST_DEATHS
        self.rest_s = min(FIRST_REST_S * 2.0 ** (self.deaths - 1), LONGEST_REST_S)
        self.state = "given up" if is_over else "resting"
        after = "given up until the daemon starts anew" if is_over else f"begun anew in {self.rest_s:g} s"
        self.problem = f"{why}; {after}"
        if current is not None:
            self._skip(current, code, why)
        self._skip_all(AWAY, why)
        self._owner.on_changed(self)

    # ---- questions -------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Of the alpha, or of its file until it has said one."""
        return self.identity.name if self.identity is not None else self.source.stem

    def put(self, question: Question, frame: bytes) -> None:
        """Ask it, now or when it has answered the earlier ones."""
        if self.state != "ready":
            question.skip(self.name, AWAY, self.problem or f"it is {self.state}")
            return
        self._queue.append((question, frame))
        self._next()

    def save(self) -> None:
        """Ask for the state to be kept, after the question it is at."""
        if self.state == "ready" and self.has_state:
            self.is_saving = True
            self._next()

    def _next(self) -> None:
        if self.state == "ready" and self._current is None and self.is_saving and not self._is_save_sent:
            self._is_save_sent = True
            self._send(pack({"op": "save"}))
        while self._queue and self._current is None and not self._is_save_sent and self.state == "ready":
            question, frame = self._queue.popleft()
            if self.name in question.waiting:  # else its time was over while it waited
                self._current = question
                self._send(frame)

    def _send(self, frame: bytes) -> None:
        self._asked_at = monotonic()
        self.deadline = self._asked_at + self._options.limit_s
        if self.process is not None:
            self.process.send(frame)

    def _skip(self, question: Question, code: str, why: str) -> None:
        was_waiting = self.name in question.waiting
        question.skip(self.name, code, why)
        if was_waiting and not question.waiting:
            self._owner.on_answered(question)

    def _skip_all(self, code: str, why: str) -> None:
        waiting, self._queue = list(self._queue), deque()
        if self._current is not None:
            waiting.insert(0, (self._current, b""))
            self._current = None
        for question, _ in waiting:
            self._skip(question, code, why)

    def give_up_on(self, question: Question) -> None:
        """The question's time is over while this one was at others, or too long at this one."""
        if self._current is question and monotonic() - self._asked_at >= 0.9 * self._options.limit_s:
            self._time_out()
        else:
            self._skip(question, BUSY, "it was still at other symbols when the time was over")

    # ---- events ----------------------------------------------------------------------------------------

    def on_readable(self) -> None:
        """Its link has something to say."""
        process = self.process
        if process is None:
            return
        try:
            frames = process.receive()
        except WireError as error:
            self._die(FAILED, f"it sent what is no answer ({error})")
            return
        for frame in frames:
            if self.process is not process:
                return
            try:
                self._on_frame(frame)
            except (KeyError, TypeError, ValueError) as error:
                self._die(FAILED, f"it sent what is no answer ({plain_text(error, 80)})")
                return
        if process.is_over and self.process is process:
            self._die(CRASHED, "its process ended")

    def on_writable(self) -> None:
        if self.process is not None:
            self.process.flush()

    def on_deadline(self) -> None:
        """`deadline` has passed."""
        if self.deadline is not None and monotonic() >= self.deadline:
            self._time_out()

    def _time_out(self) -> None:
        if self.state == "loading":
            self._die(TIMED_OUT, f"it did not load within {LOAD_LIMIT_S:g} s")
        else:
            self._die(TIMED_OUT, f"no answer within {self._options.limit_s:g} s: its process was ended")

    def _on_frame(self, frame: dict[str, Any]) -> None:
        match frame["op"]:
            case "ready":
                self._on_ready(frame)
            case "broken":
                self.line = int(frame["line"])
                self.refuse(plain_text(frame["error"]))
            case "opinion" | "failed" if self._current is not None and frame["id"] == self._current.number:
                self._on_answer(self._current, frame)
            case "state" | "failed" if self._is_save_sent:
                self.is_saving, self._is_save_sent, self.deadline = False, False, None
                if frame["op"] == "state":
                    self.saved = SavedState(self.identity.version if self.identity else "", frame["state"])
                    self._owner.on_saved(self)
                else:
                    self._note_failure(frame)
                self._next()

    def _on_ready(self, frame: dict[str, Any]) -> None:
        weight = frame["weight"]
        found = OutsideAlpha(
            str(frame["name"]), str(frame["version"]),
            self._options.default_weight if weight is None else float(weight), tuple(frame["regimes"]),
        )
        if self.identity is not None and self.identity.name != found.name:
            self.refuse(f"it was {self.identity.name} and is {found.name} now: start the daemon anew")
            return
        self.identity, self.has_state = found, bool(frame["has_state"])
        self.state, self.deadline = "ready", None
        if not self.deaths:
            self.problem, self.line = "", 0
        self._owner.on_changed(self)
        self._next()

    def _on_answer(self, question: Question, frame: dict[str, Any]) -> None:
        self._current, self.deadline = None, None
        self.timing.add(monotonic() - self._asked_at)
        if frame["op"] == "failed":
            why = self._note_failure(frame)
            if frame.get("fatal"):
                self._current = question
                self._die(FAILED, why)
                return
            self._skip(question, FAILED, why)
        else:
            opinion = Opinion(
                frame["action"], float(frame["confidence"]), float(frame["trail_ratio"]), frame["urgency"],
                plain_text(frame["reasoning"]),
            )
            if wrong := what_is_wrong(opinion):
                raise ValueError(wrong)
            self._take(question, opinion)
        self._next()

    def _note_failure(self, frame: dict[str, Any]) -> str:
        was_well = not self.problem
        self.failures += 1
        self._good = 0
        self.line = int(frame.get("line", 0))
        place = f" (line {self.line})" if self.line else ""
        self.problem = f"{plain_text(frame['error'], 300)}{place}"
        if was_well:
            self._owner.on_changed(self)
        return self.problem

    def _take(self, question: Question, opinion: Opinion) -> None:
        identity = self.identity
        if identity is None:
            return
        self._good += 1
        if self._good >= GOOD_ANSWERS and (self.deaths or self.problem):
            self.deaths, self.problem, self.line = 0, "", 0
            self._owner.on_changed(self)
        was_waiting = self.name in question.waiting
        question.answer(AlphaSignal(
            identity.name, identity.version, question.symbol, question.interval, question.ts_open, opinion.action,
            opinion.confidence, 0.0, opinion.trail_ratio, opinion.urgency, opinion.reasoning, identity.regimes,
        ))
        if was_waiting and not question.waiting:
            self._owner.on_answered(question)
