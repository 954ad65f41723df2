"""Backtests that people ask the daemon for: a few at a time, in processes of their own, with progress and an end.

The laboratory writes each one's outcome as a session under `lab/sessions` of the data directory, named like the job, so
results outlive the daemon; the list of jobs does not.
"""

import asyncio
import mmap
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from tradingd.read_model_views import to_iso
from tradingd.research_line import Ended, OutOfTimeError, tradelab
from tradingd.settings import Settings

JobState = Literal["pending", "running", "completed", "failed", "cancelled"]
ENDED: Final = frozenset({"completed", "failed", "cancelled"})
JOB_ID: Final = re.compile(r"bt-[a-z0-9]{1,20}-[0-9]{1,9}")
SESSION_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$"
_KEPT: Final = 200
_ASK_WITHIN_S: Final = 60.0
_ASK_AT_ONCE: Final = 2
_TRADES: Final = b',\n "trades": ['
_ROW: Final = ("trades", "total_return", "max_drawdown", "sharpe")
_COMPARED: Final = (
    "total_return", "annual_return", "sharpe", "sortino", "calmar", "max_drawdown", "trades", "win_rate",
    "profit_factor", "fees",
)
_MOST_SESSIONS: Final = 1_000
_NS: Final = 1_000_000_000


class TooManyJobsError(Exception):
    """As many wait as may wait."""


class UnknownJobError(Exception):
    """No job and no session has this id."""


class LaboratoryError(Exception):
    """The laboratory could not answer; the text says why."""


@dataclass(frozen=True, slots=True)
class JobProgress:
    """Candles done of all. `eta_s` None until it can be told."""

    done: int
    total: int
    percent: float
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class JobView:
    """One backtest. `request` is what was asked for; `error` says why it failed, "" otherwise."""

    id: str
    state: JobState
    progress: JobProgress
    by: str
    request: dict[str, Any]
    queued: str | None
    started: str | None
    ended: str | None
    error: str


@dataclass(slots=True, eq=False)
class _Job:
    id: str
    arguments: tuple[str, ...]
    request: dict[str, Any]
    by: str
    queued_ns: int
    state: JobState = "pending"
    done: int = 0
    total: int = 0
    started_ns: int = 0
    ended_ns: int = 0
    error: str = ""
    task: asyncio.Task[None] | None = field(default=None)

    def view(self) -> JobView:
        took_s = ((self.ended_ns or time.time_ns()) - self.started_ns) / _NS if self.started_ns else 0.0
        is_known = self.state == "running" and 0 < self.done <= self.total
        eta_s = round(took_s * (self.total - self.done) / self.done, 1) if is_known else None
        percent = round(100 * self.done / self.total, 2) if self.total else 0.0
        return JobView(
            self.id, self.state, JobProgress(self.done, self.total, percent, eta_s), self.by, self.request,
            _time(self.queued_ns), _time(self.started_ns), _time(self.ended_ns), self.error,
        )


class ResearchJobs:
    """`on_change(view)` is called at each step of a job. All calls come from the daemon's loop."""

    def __init__(self, settings: Settings, session: Callable[[], str], on_change: Callable[[JobView], None]) -> None:
        self._settings = settings
        self._session = session
        self._on_change = on_change
        self._jobs: OrderedDict[str, _Job] = OrderedDict()
        self._waiting: deque[_Job] = deque()
        self._running: set[_Job] = set()
        self._asking = asyncio.Semaphore(_ASK_AT_ONCE)
        self._count = 0
        self._is_stopped = False

    # ---- backtests ---------------------------------------------------------------------------------

    def start(self, options: Mapping[str, str], parameters: Mapping[str, str], by: str) -> JobView:
        """Queue `tradelab backtest` with these options; raises `TooManyJobsError`."""
        if self._is_stopped or len(self._waiting) >= self._settings.research.waiting:
            raise TooManyJobsError(
                f"{len(self._waiting)} backtests wait already: wait for one, or cancel one (research.waiting)"
            )
        self._count += 1
        session = re.sub(r"[^a-z0-9]", "", self._session().lower())[:20] or "x"
        job_id = f"bt-{session}-{self._count}"
        arguments = ["backtest", f"--name={job_id}", f"--data-dir={self._settings.data_dir}"]
        arguments += [f"--{name}={value}" for name, value in options.items() if value]
        arguments += [f"--param={name}={value}" for name, value in parameters.items()]
        request = {name: value for name, value in options.items() if value} | {"param": dict(parameters)}
        job = self._jobs[job_id] = _Job(job_id, tuple(arguments), request, by, time.time_ns())
        self._waiting.append(job)
        self._forget()
        self._on_change(job.view())
        self._begin()
        return job.view()

    def views(self) -> list[JobView]:
        """Newest first."""
        return [job.view() for job in reversed(self._jobs.values())]

    async def view(self, job_id: str) -> JobView:
        """A job of this run of the daemon, or an earlier one by its session; raises `UnknownJobError`."""
        job = self._jobs.get(job_id)
        if job is not None:
            return job.view()
        if not JOB_ID.fullmatch(job_id):
            raise UnknownJobError
        found = await asyncio.to_thread(_outcome, self._path(job_id))
        if found is None:
            raise UnknownJobError
        state, error, ended_ns = found
        if state == "running":
            state, error = "failed", "it did not come to its end: run it again"
        done = JobProgress(0, 0, 100.0 if state == "completed" else 0.0, None)
        return JobView(job_id, state, done, "", {}, None, None, _time(ended_ns), error)

    async def results(self, name: str) -> bytes:
        """The document of a completed session as JSON; raises `UnknownJobError` when there is none."""
        path = self._path(name)
        found = await asyncio.to_thread(_outcome, path)
        if found is None:
            raise UnknownJobError(f"no session is called {name!r}")
        state, error, _ = found
        if state != "completed":
            raise UnknownJobError(f"session {name} is {state}: {error or 'it did not come to its end'}")
        try:
            return await asyncio.to_thread(path.read_bytes)
        except OSError as error_:
            raise UnknownJobError(f"no session is called {name!r}") from error_

    async def cancel(self, job_id: str) -> JobView:
        """Ends it, waiting or running; one that has ended stays as it is. Raises `UnknownJobError`."""
        job = self._jobs.get(job_id)
        if job is None:
            return await self.view(job_id)
        if job in self._waiting:
            self._waiting.remove(job)
            self._ended(job, "cancelled", "cancelled before it began")
        elif job.state == "running":
            await self._interrupt(job)
        return job.view()

    async def stop(self) -> None:
        """End every process; nothing begins any more."""
        self._is_stopped = True
        self._waiting.clear()
        await asyncio.gather(*(self._interrupt(job) for job in list(self._running)))

    async def _interrupt(self, job: _Job) -> None:
        if job.task is not None:
            job.task.cancel()
            with suppress(asyncio.CancelledError):
                await job.task
        if job.state not in ENDED:  # its task was ended before it had begun
            self._running.discard(job)
            self._ended(job, "cancelled", "cancelled")
            self._begin()

    def _path(self, job_id: str) -> Path:
        if not re.match(SESSION_NAME, job_id):
            raise UnknownJobError
        return self._settings.data_dir / "lab" / "sessions" / f"{job_id}.json"

    def _begin(self) -> None:
        while self._waiting and len(self._running) < self._settings.research.at_once and not self._is_stopped:
            job = self._waiting.popleft()
            self._running.add(job)
            job.state, job.started_ns = "running", time.time_ns()
            job.task = asyncio.create_task(self._run(job), name=f"backtest {job.id}")
            self._on_change(job.view())

    async def _run(self, job: _Job) -> None:
        def on_progress(done: int, total: int) -> None:
            job.done, job.total = done, total
            self._on_change(job.view())

        try:
            ended = await tradelab(
                job.arguments, within_s=self._settings.research.time_limit_s, on_progress=on_progress,
                config=self._config(),
            )
            if ended.code == 0:
                job.done = job.total
                self._ended(job, "completed")
            else:
                self._ended(job, "failed", ended.note or f"tradelab ended with code {ended.code}")
        except (OutOfTimeError, OSError) as error:
            self._ended(job, "failed", str(error))
        except asyncio.CancelledError:
            self._ended(job, "cancelled", "cancelled")
            raise
        finally:
            self._running.discard(job)
            self._begin()

    def _ended(self, job: _Job, state: JobState, error: str = "") -> None:
        job.state, job.error, job.ended_ns = state, error, time.time_ns()
        self._on_change(job.view())

    def _forget(self) -> None:
        for job_id in list(self._jobs):
            if len(self._jobs) <= _KEPT:
                return
            if self._jobs[job_id].state in ENDED:
                del self._jobs[job_id]

    def _config(self) -> str:
        path = Path(self._settings.source)
        return str(path.resolve()) if path.is_file() else ""

    # ---- questions ---------------------------------------------------------------------------------

    async def sessions(self) -> list[dict[str, Any]]:
        """Name, status and main figures of each session in the laboratory, the newest thousand, newest first."""
        return await asyncio.to_thread(_session_rows, self._settings.data_dir / "lab" / "sessions")

    async def compared(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Figure by figure, by session; raises `UnknownJobError`."""
        heads = {}
        for name in names:
            head = await asyncio.to_thread(session_head, self._path(name))
            if head is None or head.get("status") != "completed":
                raise UnknownJobError(f"no completed session is called {name!r}")
            heads[name] = head["stats"]
        return {key: {name: stats.get(key) for name, stats in heads.items()} for key in _COMPARED}

    async def ask(self, *arguments: str) -> Ended:
        """`tradelab ARGUMENTS` for an answer now, two at a time, within a minute; raises `LaboratoryError`."""
        try:
            async with asyncio.timeout(_ASK_WITHIN_S), self._asking:
                given = (*arguments, "--json", f"--data-dir={self._settings.data_dir}")
                return await tradelab(given, within_s=_ASK_WITHIN_S, config=self._config())
        except (TimeoutError, OutOfTimeError, OSError) as error:
            raise LaboratoryError(f"the laboratory does not answer ({error or 'too slow'}): ask again") from error


def _outcome(path: Path) -> tuple[JobState, str, int] | None:
    """State, error and time (UTC ns) of a session's document."""
    head = session_head(path)
    if head is None:
        return None
    state: Any = head.get("status", "failed")
    return state, str(head.get("error", "")), path.stat().st_mtime_ns


def _session_rows(folder: Path) -> list[dict[str, Any]]:
    try:
        paths = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    except OSError:  # one that has just gone
        paths = sorted(folder.glob("*.json"))
    rows = []
    for path in paths[:_MOST_SESSIONS]:
        head = session_head(path)
        if head is not None:
            stats = head.get("stats", {})
            rows.append({"name": path.stem, "status": head.get("status"), **{key: stats.get(key) for key in _ROW}})
    return rows


def session_head(path: Path) -> dict[str, Any] | None:
    """A session's document without its trades, which come last and are most of it; None when it cannot be read."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            end = text.find(_TRADES)
            head: Any = orjson.loads(text[:] if end < 0 else text[:end] + b"}")
    except (OSError, ValueError):
        return None
    return head if isinstance(head, dict) else None


def _time(ns: int) -> str | None:
    return to_iso(ns) if ns else None
