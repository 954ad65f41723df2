"""A start that finds its exchange away: it asks again, and says so: to the log, `tradingd status`, systemd, people."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Final, TypeVar

from exchanges.answers import NoAnswerError
from exchanges.backoff import Backoff
from tradingd.data_dir import DataDir
from tradingd.read_model import ReadModel
from tradingd.redaction import redact
from tradingd.service_notify import ServiceNotify
from tradingd.settings import Settings
from tradingd.settings_alerts import Level

ALERT_AFTER_S: Final = 30.0
_ANSWER_WITHIN_S: Final = 300.0
"""Longer than asking a venue once takes, with its pauses."""
_MOST_ORDERS: Final = 1_000
_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class OutageAlert:
    """People hear of a wait when it has lasted `after_s` seconds, and once more when it is over, equally loud.

    `model`: what is open in the account; `tell` takes level, title and text.
    """

    def __init__(
        self, settings: Settings, model: ReadModel, tell: Callable[[Level, str, str], None], *,
        after_s: float = ALERT_AFTER_S,
    ) -> None:
        self._venue = settings.venue
        self._is_live = settings.mode == "live"
        self._model = model
        self._tell = tell
        self._after_s = after_s
        self.reason = ""
        """What the last try came to; "" while none has failed."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Around one wait. A timer tells, not the tries: a venue that hangs is away as well."""
        loop = asyncio.get_running_loop()
        began, self.reason = loop.time(), ""
        told: list[Level] = []
        timer = loop.call_later(self._after_s, lambda: told.append(self._tell_waiting()))
        how = f"{self._venue} answers again"
        try:
            yield
        except asyncio.CancelledError:
            how = f"the start was ended before {self._venue} answered"
            raise
        finally:
            timer.cancel()
            for level in told:
                self._tell(level, how, f"after {loop.time() - began:.0f} s")

    def _tell_waiting(self) -> Level:
        what = open_matters(self._model)
        level: Level = "critical" if what else "warning"
        guard = "only the stops that rest at the exchange protect that" if self._is_live else "nobody watches that"
        stake = f"Open: {what}; until it answers {guard}." if what else "Nothing is open."
        text = f"the start has waited for {self._after_s:g} s and asks on. {stake} {self.reason}"
        self._tell(level, f"{self._venue} does not answer", text.strip())
        return level


class VenueWait:
    """`patience_s`: so long a first start asks again; None, of a later one: until the outage is over."""

    def __init__(
        self, patience_s: float | None, data_dir: DataDir, service: ServiceNotify, alert: OutageAlert | None,
    ) -> None:
        self._patience_s = patience_s
        self._data_dir = data_dir
        self._service = service
        self._alert = alert

    async def until_answered(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """What `ask` gives; it is asked again after `NoAnswerError`, which is raised when patience is at its end."""
        with self._alert.watching() if self._alert is not None else nullcontext():
            return await self._ask_on(ask)

    async def _ask_on(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        backoff, loop = Backoff(random.random), asyncio.get_running_loop()
        began = loop.time()
        while True:
            try:
                return await ask()
            except NoAnswerError as error:
                if self._patience_s is not None and loop.time() - began >= self._patience_s:
                    raise
                self._note(redact(str(error)).rstrip("."))
                await asyncio.sleep(backoff.next_s())

    def _note(self, told: str) -> None:
        _log.warning("the start waits for the venue and asks again: %s", told)
        self._data_dir.note_waiting(f"it waits for the venue and asks again: {told}")
        self._service.waiting(f"waiting for the venue: {told}", within_s=_ANSWER_WITHIN_S)
        if self._alert is not None:
            self._alert.reason = told


def open_matters(model: ReadModel) -> str:
    """What is at stake in the account, such as "BTC/USDT, 2 orders"; "" when nothing is."""
    matters = [row.symbol for row in model.positions()]
    orders = len(model.order_records(working_only=True, limit=_MOST_ORDERS))
    if orders:
        matters.append(f"{orders} {'order' if orders == 1 else 'orders'}")
    return ", ".join(matters)
