"""Self-tuning at work (T12): once a day a child process replays recent history, and what comes of it is journalled
first.

The child only scores the sets it is given; arithmetic and bounds are ours (`agents.tuning`). One that fails, is killed
or takes too long changes nothing, and is told. Replays of recordings are never tuned.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import orjson

from agents import tuning
from agents.parameters import BOUNDS, Parameters
from bus.messages.council import ParametersChanged
from market.money import to_text
from tradingd.parameters import configured_parameters, held_parameters
from tradingd.research_line import Ended, OutOfTimeError, tradelab
from tradingd.settings import Settings
from tradingd.tuning_fold import DAY_NS, TUNER, TuningFold

NO_HISTORY: Final = 7
"""`tradelab tune` found no candles."""
_MINUTE_NS: Final = 60 * 1_000_000_000
SETTLED_NS: Final = 15 * _MINUTE_NS
"""A start has better things to do, and a process that never lives so long needs no tuning."""


class TuningError(Exception):
    """It cannot be done now; the text says why."""


class _Scorer(Protocol):
    """Runs one command of the laboratory."""

    async def __call__(self, arguments: list[str], *, within_s: float, config: str) -> Ended: ...


@dataclass(frozen=True, slots=True)
class Scores:
    """What a replay said: a score for each set, or none where it could not be replayed."""

    council: tuple[float, ...]
    grid: tuple[float, ...]
    told: str


class Tuner:
    """`record` journals a change and tells the agents; `note` only journals (a day that changed nothing); `tell` says a
    line to people.
    """

    def __init__(
        self, settings: Settings, fold: TuningFold, now: Callable[[], int],
        record: Callable[[ParametersChanged, str], object], note: Callable[[ParametersChanged], object],
        tell: Callable[[str], None], scorer: _Scorer = tradelab,
    ) -> None:
        self._settings = settings
        self._fold = fold
        self._now = now
        self._record = record
        self._note = note
        self._tell = tell
        self._scorer = scorer
        self._has_file = Path(settings.source).is_file()
        self._task: asyncio.Task[None] | None = None
        self._first_ns = 0
        self._last = ""

    @property
    def last(self) -> str:
        """What came of the last attempt, of an earlier process, too."""
        return self._last or self._fold.last_told or "it has not been tried yet"

    @property
    def is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def is_on(self) -> bool:
        """By the settings, unless a person switched it."""
        current = self._fold.current
        return self._settings.tuning.enabled if current is None else current.is_tuning

    def on_second(self) -> None:
        """Begin when it is due: on, not yet today, late enough in the day, and the process has settled."""
        now = self._now()
        self._first_ns = self._first_ns or now
        if now < self._first_ns + SETTLED_NS:
            return
        hours, _, minutes = self._settings.tuning.at.partition(":")
        if not self.is_on or self.is_running or self._was_today():
            return
        if now % DAY_NS >= (int(hours) * 60 + int(minutes)) * _MINUTE_NS:
            self.start()

    def start(self) -> None:
        """Begin at once; raises `TuningError` when that may not be."""
        if self.is_running:
            raise TuningError("the tuning is under way already")
        if self._was_today():
            raise TuningError("it was tuned today already: at most once a day")
        self._task = asyncio.create_task(self._run(), name="tuning")

    async def stop(self) -> None:
        """End the child, if one runs."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def revert(self, version: int | None, by: str) -> ParametersChanged:
        """Put an earlier set back (0 = as configured; None = the one before), as a new version. Raises
        `TuningError`.
        """
        current = self._fold.current
        if current is None:
            raise TuningError("nothing was tuned yet: everything is as configured")
        wanted = current.parent if version is None else version
        configured = configured_parameters(self._settings)
        found = self._fold.version(wanted)
        if wanted != 0 and found is None:
            raise TuningError(f"there is no version {wanted}: `tradingd tuning` lists them")
        parameters = configured if found is None else held_parameters(self._settings, found) or configured
        what = "as configured" if wanted == 0 else f"version {wanted}"
        return self._change(parameters, wanted, self.is_on, by, f"{by} put {what} back")

    def switch(self, on: bool, by: str) -> ParametersChanged:
        """On or off. Off puts back what is configured; raises `TuningError` when it is so already."""
        if on == self.is_on:
            raise TuningError(f"tuning is {'on' if on else 'off'} already")
        parent = self._fold.current.version if self._fold.current is not None else 0
        configured = configured_parameters(self._settings)
        held = (held_parameters(self._settings, self._fold.current) or configured) if on else configured
        return self._change(held, parent if on else 0, on, by, f"{by} switched tuning {'on' if on else 'off'}")

    # ---- one day's work ----------------------------------------------------------------------------

    async def _run(self) -> None:
        configured = configured_parameters(self._settings)
        current = self._fold.current
        held = (held_parameters(self._settings, current) or configured).within_bounds(configured)
        version = current.version if current is not None else 0
        sets = tuning.variations(held, configured, self._settings.seed, version)
        try:
            scores = await self._scores(sets)
        except (TuningError, OutOfTimeError, OSError) as error:
            self._leave(f"nothing changed: {error}")
            return
        if self._fold.current is not current:
            self._leave("nothing changed: a person changed the parameters meanwhile")
            return
        tuned = tuning.tune(sets, scores.council, scores.grid, self._fold.outcomes(), configured)
        if tuned.parameters == held and not tuned.judged:
            self._leave(f"nothing changed: no variation was better ({scores.told})")
            return
        reason = f"{'; '.join(tuned.reasons) or 'judged, and left as it is'} ({scores.told})"
        self._change(tuned.parameters, version, True, TUNER, reason, tuned.judged)
        self._say(reason)

    def _leave(self, reason: str) -> None:
        """The day's work is done, whatever came of it: written down, so that a restart does not begin it again."""
        configured = configured_parameters(self._settings)
        held = self._fold.current or ParametersChanged(0, 0, configured.told(), self.is_on, TUNER, "")
        self._note(replace(held, by=TUNER, reason=reason[:2000], judged=()))
        self._say(reason)

    async def _scores(self, sets: tuple[Parameters, ...]) -> Scores:
        settings = self._settings
        told = orjson.dumps([{name: to_text(each.value(name)) for name in BOUNDS} for each in sets]).decode()
        arguments = [
            "tune", "--sets", told, "--data-dir", str(settings.data_dir), "--venue", settings.venue,
            "--symbols", ",".join(settings.symbols), "--candles", str(settings.tuning.candles), "--json",
        ]
        config = settings.source if self._has_file else ""
        ended = await self._scorer(arguments, within_s=settings.tuning.time_limit_s, config=config)
        if ended.code == NO_HISTORY:
            return Scores((), (), ended.note or "there is no history to replay")
        if ended.code != 0:
            raise TuningError(ended.note or f"the replay ended with code {ended.code}")
        return scores_of(ended.out, len(sets))

    def _change(
        self, parameters: Parameters, parent: int, is_tuning: bool, by: str, reason: str, judged: tuple[str, ...] = (),
    ) -> ParametersChanged:
        change = ParametersChanged(
            self._fold.next_version, parent, parameters.told(), is_tuning, by, reason[:2000], judged,
        )
        self._record(change, by)
        return change

    def _was_today(self) -> bool:
        return self._fold.tuned_day == self._now() // DAY_NS

    def _say(self, text: str) -> None:
        self._last = text
        self._tell(text)


def scores_of(out: bytes, count: int) -> Scores:
    """The child's answer, believed in nothing: raises `TuningError` for one that is not as it must be."""
    try:
        document: Any = orjson.loads(out)
        council = tuple(float(each) for each in document["council"])
        grid = tuple(float(each) for each in document["grid"])
        told = str(document["told"])[:200]
    except (ValueError, KeyError, TypeError) as error:
        raise TuningError(f"the replay's answer cannot be read ({type(error).__name__})") from error
    for scores in (council, grid):
        if scores and (len(scores) != count or not all(abs(each) < 1e6 for each in scores)):
            raise TuningError("the replay's answer does not judge each set once with a finite number")
    return Scores(council, grid, told)
