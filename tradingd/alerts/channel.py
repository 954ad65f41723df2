"""One channel to people: a bounded queue, quiet hours, a rate, retries; and a task of its own that alone may wait.

`put` is all that the trading loop ever calls. It never blocks: when the queue is full the least important, oldest
alert is dropped and counted. What is given up after some tries is written to the log; a critical one is owed: tried
again, at last each minute, for a day, and told with the time at which it happened.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from orders.time_rules import Blackout
from tradingd.alerts.alert import RANK, Alert, DeliveryError, Letter, Service
from tradingd.read_model_views import to_iso
from tradingd.redaction import redact
from tradingd.settings_alerts import Level

_LEVELS: Final[tuple[Level, ...]] = ("critical", "warning", "info")
_MAX_TOGETHER: Final = 20
_MAX_HELD: Final = 50
_TRIES: Final = 6
_LONGEST_PAUSE_S: Final = 60.0
_LOOK_S: Final = 30.0
_MINUTE_S: Final = 60.0
_MAX_OWED: Final = 20
_OWED_FOR_S: Final = 86_400.0
_FIRST_PAY_S: Final = 10.0
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Owed:
    """Critical alerts that nobody has got yet: `count` of them, since `since` (seconds of the loop's clock)."""

    letter: Letter
    count: int
    since: float


@dataclass(slots=True)
class ChannelCounters:
    """What became of the alerts of one channel."""

    sent: int = 0
    failed: int = 0
    dropped: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """What a channel wants: least level, silence, pace.

    `timeout_s`: how long a service may take; `first_pause_s`: after a failure, doubled each time.
    """

    level: Level
    quiet: tuple[Blackout, ...]
    wants_digest: bool
    queue_size: int
    per_minute: int
    timeout_s: float
    first_pause_s: float = 1.0


class Channel:
    """`run` in a task; `problem` says what is wrong with the service right now, "" when nothing is.

    `prefix` stands before each message (which account, and whether its money is real).
    """

    def __init__(
        self, name: str, service: Service, rules: ChannelRules, prefix: str, now: Callable[[], int],
        on_change: Callable[["Channel"], None] = lambda channel: None,
    ) -> None:
        self.name = name
        self.service = service
        self.rules = rules
        self.counters = ChannelCounters()
        self.problem = ""
        self._prefix = prefix
        self._now = now
        self._on_change = on_change
        self._waiting: dict[Level, deque[Alert]] = {level: deque() for level in _LEVELS}
        self._held: deque[Alert] = deque()
        self._held_lost = 0
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._sent_at: deque[float] = deque(maxlen=rules.per_minute)
        self._on_its_way: list[Alert] = []
        self._is_tried = False
        self._interrupted: tuple[list[Alert], set[str]] = [], set()
        """What made way for something critical, and which of its recipients have it."""
        self._owed: deque[_Owed] = deque()
        self._pay_at = 0.0
        self._pay_pause = _FIRST_PAY_S

    # ---- from the trading loop ----------------------------------------------------------------------

    def put(self, alert: Alert) -> None:
        """Take it or leave it, at once."""
        if alert.is_digest:
            if not self.rules.wants_digest:
                return
        elif RANK[alert.level] < RANK[self.rules.level]:
            return
        if self.backlog >= self.rules.queue_size and not self._make_room(alert):
            return
        self._waiting[alert.level].append(alert)
        self._wake.set()
        if alert.level == "critical":
            self._urgent.set()

    def _make_room(self, alert: Alert) -> bool:
        """Drop the oldest of what is less or as important; False when everything that waits is more important."""
        self.counters.dropped += 1
        for level in reversed(_LEVELS):
            if self._waiting[level] and RANK[level] <= RANK[alert.level]:
                self._waiting[level].popleft()
                return True
        return False

    @property
    def backlog(self) -> int:
        """Alerts that wait to be sent."""
        return sum(len(queue) for queue in self._waiting.values())

    @property
    def waiting(self) -> int:
        """Alerts that are not told yet, those owed included."""
        return self.backlog + sum(each.count for each in self._owed)

    @property
    def is_idle(self) -> bool:
        """Nothing waits and nothing is on its way."""
        return not self.waiting and not self._on_its_way

    @property
    def may_still_tell(self) -> bool:
        """Is a moment's wait worth it? Where the service fails only for what is critical and was never tried."""
        is_new = self._on_its_way and self._on_its_way[0].level == "critical" and not self._is_tried
        return not self.is_idle and (not self.problem or bool(is_new or self._waiting["critical"]))

    # ---- its own task -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled. Most important first; what waits together goes together."""
        self._drop("given up", self._on_its_way)  # begun again after a failure of our own
        self._on_its_way = []
        while True:
            if self._owed and self._clock() >= self._pay_at:
                await self._pay()
            if not self.backlog and not (self._held and not self._is_quiet):
                self._wake.clear()
                # Never wait_for: before Python 3.12 it can swallow a cancellation.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._until_next_look()):
                        await self._wake.wait()
                continue
            await self._keep_pace()
            batch = self._next()
            if batch:
                # It stays there when this task is cancelled: nobody has been told.
                self._on_its_way, self._is_tried = batch, False
                await self._deliver(batch)
                self._on_its_way = []

    def _until_next_look(self) -> float | None:
        """Seconds until something is due that nobody wakes us for; None when nothing is."""
        looks = [_LOOK_S] if self._held else []
        looks += [max(0.0, self._pay_at - self._clock())] if self._owed else []
        return min(looks, default=None)

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()

    @property
    def _is_quiet(self) -> bool:
        now = self._now()
        return any(period.holds(now) for period in self.rules.quiet)

    def _next(self) -> list[Alert]:
        """The most important level's oldest, as many as fit into one message; quiet hours hold back the rest."""
        if self._is_quiet:
            self._hold_back()
        elif self._held:
            self._release()
        for level in _LEVELS:
            queue = self._waiting[level]
            if queue:
                return self._fitting(queue)
        return []

    def _fitting(self, queue: deque[Alert]) -> list[Alert]:
        begun, _ = self._interrupted
        if begun and list(islice(queue, len(begun))) == begun:  # as it was, for some have it already
            return [queue.popleft() for _ in begun]
        batch = [queue.popleft()]
        length = len(batch[0].line)
        while queue and len(batch) < _MAX_TOGETHER:
            length += len(queue[0].line) + 1
            if length + len(self._prefix) + 2 > self.service.max_text:
                break
            batch.append(queue.popleft())
        return batch

    def _hold_back(self) -> None:
        for level in _LEVELS[1:]:
            queue = self._waiting[level]
            while queue:
                self.counters.held += 1
                self._held.append(queue.popleft())
                if len(self._held) > _MAX_HELD:
                    self._held.popleft()
                    self._held_lost += 1
                    self.counters.dropped += 1

    def _release(self) -> None:
        if self._held_lost:
            self._waiting["warning"].append(Alert(
                "warning", "quiet hours", f"{self._held_lost} older alerts were not kept", self._now()
            ))
            self._held_lost = 0
        while self._held:
            alert = self._held.popleft()
            self._waiting[alert.level].append(alert)

    async def _keep_pace(self) -> None:
        """Wait while this minute's messages are used up: what comes meanwhile goes together. Not with critical ones."""
        while len(self._sent_at) == self.rules.per_minute and self._clock() - self._sent_at[0] < _MINUTE_S:
            if self._waiting["critical"]:
                return
            await self._pause(max(0.05, self._sent_at[0] + _MINUTE_S - self._clock()))

    async def _deliver(self, batch: list[Alert]) -> None:
        lines = [alert.line for alert in batch]
        letter = Letter(redact(f"{self._prefix} {batch[0].title}"), self._fitted(lines), batch[0].level)
        begun, done = self._interrupted
        if begun == batch:
            letter.done, self._interrupted = done, ([], set())
        pause = self.rules.first_pause_s
        for attempt in range(_TRIES):
            failure = await self._try(letter)
            self._is_tried = True
            if failure is None:
                self.counters.sent += len(batch)
                self._pay_at, self._pay_pause = 0.0, _FIRST_PAY_S  # it works: what is owed is told now
                return
            if failure.is_final or attempt == _TRIES - 1:
                break
            if letter.level != "critical" and self._waiting["critical"]:
                self._waiting[letter.level].extendleft(reversed(batch))  # its turn comes behind them
                self._interrupted = batch, letter.done
                return
            await self._pause(min(max(pause, failure.retry_after_s), _LONGEST_PAUSE_S))
            pause *= 2
        self._log_untold("not told yet" if letter.level == "critical" else "given up", letter.level, letter.text)
        if letter.level == "critical":
            letter.text = self._fitted([f"TOLD LATE, of {to_iso(batch[0].ts)[:19]} UTC:", *lines])
            self._owe(_Owed(letter, len(batch), self._clock()))
        else:
            self.counters.dropped += len(batch)

    def _fitted(self, lines: list[str]) -> str:
        return redact("\n".join([self._prefix, *lines]))[: self.service.max_text]

    async def _try(self, letter: Letter) -> DeliveryError | None:
        """Once; what went wrong, and `problem` says the same."""
        self._sent_at.append(self._clock())
        try:
            async with asyncio.timeout(self.rules.timeout_s):
                await self.service.send(letter)
        except TimeoutError:
            failure = DeliveryError(f"no answer within {self.rules.timeout_s:g} s")
        except DeliveryError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - a service's own bug must not end the channel
            failure = DeliveryError(f"{type(error).__name__}: {error}")
        else:
            self._set_problem("")
            return None
        self.counters.failed += 1
        self._set_problem(redact(str(failure)))
        return failure

    # ---- what is owed -------------------------------------------------------------------------------

    def _owe(self, owed: _Owed) -> None:
        self._owed.append(owed)
        self._pay_at = self._clock() + self._pay_pause
        if len(self._owed) > _MAX_OWED:
            self._forget(self._owed.popleft())

    async def _pay(self) -> None:
        """Once through, oldest first, until one fails."""
        while self._owed:
            owed = self._owed[0]
            if self._clock() - owed.since > _OWED_FOR_S:
                self._forget(self._owed.popleft())
                continue
            failure = await self._try(owed.letter)
            if failure is not None:
                self._pay_at = self._clock() + max(self._pay_pause, failure.retry_after_s)
                self._pay_pause = min(self._pay_pause * 2, _MINUTE_S)
                self._owed.rotate(-1)  # the next time another one has its turn
                return
            self._owed.popleft()
            self.counters.sent += owed.count

    def _forget(self, owed: _Owed, what: str = "given up") -> None:
        self.counters.dropped += owed.count
        self._log_untold(what, owed.letter.level, owed.letter.text)

    def give_up(self) -> None:
        """At the end of the process, when `run` has ended: what nobody was told stands at least in the log."""
        while self._owed:
            self._forget(self._owed.popleft(), "not told")
        everything = [*self._on_its_way, *self._held]
        for queue in self._waiting.values():
            everything += queue
            queue.clear()
        self._on_its_way = []
        self._held.clear()
        self._drop("not told", everything)

    def _drop(self, what: str, alerts: list[Alert]) -> None:
        self.counters.dropped += len(alerts)
        for level in _LEVELS:
            lines = [f"{to_iso(alert.ts)[:19]} {alert.line}" for alert in alerts if alert.level == level]
            if lines:
                self._log_untold(what, level, redact("\n".join(lines)))

    def _log_untold(self, what: str, level: Level, text: str) -> None:
        severity = logging.ERROR if level == "critical" else logging.WARNING
        _log.log(severity, "alert channel %s, %s: %s", self.name, what, text)

    async def _pause(self, seconds: float) -> None:
        """So long, or until something critical comes: that is a reason to try again now."""
        self._urgent.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._urgent.wait()

    def _set_problem(self, text: str) -> None:
        if text != self.problem:
            self.problem = text
            self._on_change(self)
