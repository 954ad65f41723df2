"""What the control plane (REST, and through it the command line) may ask of the running daemon."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal, Protocol

from bus.ids import ClientOrderId
from bus.messages.council import WeightChanged
from bus.messages.header import Message
from tradingd.mode_switch import Mode
from tradingd.plugins.panel import PluginReport
from tradingd.profile import Inspected
from tradingd.read_model import ReadModel
from tradingd.settings import Settings
from tradingd.tuner import Tuner


class ControlUnavailableError(RuntimeError):
    """The engine cannot take a command now (starting, stopping, no answer in time).

    The text is for a person. It does not mean that the command was not carried out: ask before repeating it
    without an Idempotency-Key.
    """


class ControlConflictError(RuntimeError):
    """The command makes no sense while something else stands; the text says what to do first.

    `status`: of the HTTP answer.
    """

    status: ClassVar[int] = 409

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class VenueSilentError(ControlConflictError):
    """The venue wants no requests, and an entry would be too old when it does again."""

    status = 422


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """One market data connection. `age_s`: seconds since its last frame, None before the first."""

    name: str
    state: Literal["connecting", "connected", "stale", "lost", "ended"]
    messages: int
    reconnects: int
    gaps: int
    age_s: float | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class BusStatus:
    """The carrier of the council. `url` without credentials."""

    url: str
    is_connected: bool
    published: int = 0
    dropped: int = 0
    gaps: int = 0


@dataclass(frozen=True, slots=True)
class AgentReport:
    """One agent as its runner sees it; `status`, `message`, `current`, `total` are its own words.

    Times are UTC ns, 0 = not yet; `error` is the last failure's, "" when there was none.
    """

    name: str
    state: Literal["idle", "running", "completed", "failed", "cancelled"]
    status: str = ""
    message: str = ""
    current: int = 0
    total: int = 0
    restarts: int = 0
    handled: int = 0
    emitted: int = 0
    queued: int = 0
    dropped: int = 0
    started_ns: int = 0
    completed_ns: int = 0
    heartbeat_ns: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong right now, in a sentence, and since when (UTC ns)."""

    text: str
    since_ns: int


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """What the read model cannot know: the process and its connections, at this moment.

    `is_ready`: reconciled, connected, and taking commands; otherwise `not_ready_reason` says why not in a
    sentence. `uptime_s` is wall time of the process; `feed_age_s` the data age the gate judges by.
    """

    pid: int
    session: str
    started_ns: int
    uptime_s: float
    is_ready: bool
    not_ready_reason: str
    is_replay: bool
    feeds: tuple[FeedStatus, ...]
    feed_age_s: float | None
    bus: BusStatus
    agents: tuple[AgentReport, ...]
    problems: tuple[Problem, ...]
    loop_lag_ms: float = 0.0
    memory_mb: float = 0.0


class Control(Protocol):
    """The runtime as the control plane sees it. All calls come from the daemon's own event loop."""

    settings: Settings
    read_model: ReadModel

    def now(self) -> int:
        """The session's time, UTC ns."""
        ...

    async def execute(self, body: object, *, by: str) -> Sequence[Message]:
        """Give a command to the engine; the facts it caused, journalled and applied to `read_model`.

        Raises `ControlUnavailableError` when it cannot be taken or is not answered in time. `by` names the
        person, for the journal.
        """
        ...

    def status(self) -> DaemonStatus: ...

    def prices(self) -> Mapping[str, tuple[Decimal | None, Decimal | None, Decimal | None]]:
        """Bid, ask and last trade of every traded symbol, None until heard."""
        ...

    def alpha_weights(self) -> Mapping[str, float]:
        """Weight by alpha, as it holds; every alpha there is."""
        ...

    def released_weight(self, alpha: str, by: str) -> WeightChanged:
        """The fact that gives an alpha back to what was learnt of it, and to the file."""
        ...

    def plugin_reports(self) -> Sequence[PluginReport]:
        """Every alpha that thinks in a process of its own, also those that cannot be used."""
        ...

    def inspected(self) -> Mapping[str, Inspected]:
        """What can be profiled: "agent:NAME" and "alpha:NAME"."""
        ...

    def tuner(self) -> Tuner:
        """The self-tuning; raises `ControlUnavailableError` while starting or stopping, `ControlConflictError` in a
        replay.
        """
        ...

    def switch_mode(self, mode: Mode, *, confirm: str, by: str) -> None:
        """Begin to start anew in the other mode; raises `ControlConflictError` when something stands in the way."""
        ...

    def next_manual_order_id(self) -> ClientOrderId:
        """A new id with our prefix, from the session's counter."""
        ...

    def request_shutdown(self, reason: str) -> None:
        """Begin an orderly end; returns at once."""
        ...
