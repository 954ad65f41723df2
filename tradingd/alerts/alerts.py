"""All channels together: facts and conditions in, alerts to each channel, a task for each, and a digest a day.

`hear` is called inside the trading loop and only puts into bounded queues; everything that waits is in tasks of its
own, begun again when one fails.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Final

from bus.messages.header import Message
from orders.time_rules import parse_blackout, parse_day_end
from tradingd.alerts.alert import Alert
from tradingd.alerts.alert_rules import AlertRules
from tradingd.alerts.channel import Channel, ChannelRules
from tradingd.alerts.digest import DigestClock, make_digest
from tradingd.alerts.make_service import make_service
from tradingd.alerts.problem_watch import ProblemWatch
from tradingd.alerts.repeats import Repeats
from tradingd.control import Control
from tradingd.health import Health
from tradingd.settings import Settings
from tradingd.settings_alerts import AlertChannelSettings

_log = logging.getLogger(__name__)
_FLUSH_S: Final = 3.0
_RESTART_S: Final = 1.0
_LOOK_S: Final = 1.0
_OWN: Final = "alert channel "


class Alerts:
    """Made before the daemon starts (a wrong channel stops it there), fed by `hear` and `tell`, ended by `close`.

    `open` begins to send what is told, `start` to look at conditions and for the time of the digest.

    `health` shows a channel that does not work as a problem; it never keeps trading from going on.
    """

    def __init__(self, settings: Settings, control: Control, now: Callable[[], int]) -> None:
        """Raises `ConfigError` for a channel that lacks its secret."""
        self._settings = settings
        self._control = control
        self._now = now
        self._health: Health | None = None
        self._rules = AlertRules(settings.account.quote)
        self._repeats = Repeats(settings.alerts.repeat_s)
        self._problems = ProblemWatch()
        self._tasks: list[asyncio.Task[None]] = []
        self.notes: Callable[[], Iterable[str]] = tuple
        self.channels = tuple(
            self._make_channel(name, channel) for name, channel in settings.alerts.channels.items()
        )

    def _make_channel(self, name: str, wanted: AlertChannelSettings) -> Channel:
        alerts = self._settings.alerts
        quiet = wanted.quiet_hours if wanted.quiet_hours is not None else alerts.quiet_hours
        rules = ChannelRules(
            wanted.level, tuple(parse_blackout(text) for text in quiet), wanted.digest, alerts.queue_size,
            alerts.per_minute, alerts.timeout_s,
        )
        service = make_service(name, wanted, alerts.timeout_s)
        money = "LIVE" if self._settings.mode == "live" else "paper"
        return Channel(name, service, rules, f"[tradingd {money} {self._settings.venue}]", self._now, self._on_change)

    @property
    def suppressed(self) -> int:
        """Alerts that were only counted, because the same was told shortly before."""
        return self._repeats.suppressed

    # ---- in the trading loop ------------------------------------------------------------------------

    def hear(self, message: Message) -> None:
        """Any message; never blocks, never raises."""
        if not self.channels:
            return
        try:
            alert = self._rules.of(message)
        except Exception:  # noqa: BLE001 - a wrong sentence must not stop trading
            _log.exception("no alert could be made of %s", type(message.body).__name__)
            return
        if alert is not None:
            self.tell(alert)

    def tell(self, alert: Alert) -> None:
        """To every channel that wants it."""
        admitted = self._repeats.admit(alert)
        if admitted is not None:
            for channel in self.channels:
                channel.put(admitted)

    # ---- tasks --------------------------------------------------------------------------------------

    def open(self) -> None:
        """From now on alerts leave; those that were told before have waited. Once."""
        if self._tasks:
            return
        for channel in self.channels:
            self._tasks.append(asyncio.create_task(self._supervise(channel), name=f"alerts {channel.name}"))

    def start(self, health: Health) -> None:
        """Opens, if that was not done yet. A channel that does not work already is among the problems at once."""
        self.open()
        self._health = health
        for channel in self.channels:
            if channel.problem:
                self._show(channel, health)
        if self.channels:
            self._tasks.append(asyncio.create_task(self._watch(), name="alerts watch"))

    async def close(self) -> None:
        """What waits may still leave, for at most 3 s."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S if self._tasks else 0):
                while any(channel.may_still_tell for channel in self.channels):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FLUSH_S)
        self._tasks.clear()
        for channel in self.channels:
            channel.give_up()
            await channel.service.close()

    async def _supervise(self, channel: Channel) -> None:
        while True:
            try:
                await channel.run()
            except Exception:  # noqa: BLE001 - told in the log, and begun again
                _log.exception("alert channel %s failed and begins again", channel.name)
            await asyncio.sleep(_RESTART_S)

    async def _watch(self) -> None:
        """Once a second: conditions, and the time of the digest."""
        at = self._settings.alerts.digest
        clock = DigestClock(parse_day_end(at), self._now()) if at else None
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                self.look()
                if clock is not None and clock.is_due(self._now()):
                    self.tell(make_digest(self._control, tuple(self.notes())))
            except Exception:  # noqa: BLE001 - told in the log; the next second is another chance
                _log.exception("the alert watch failed")

    def look(self) -> None:
        """Compare conditions with what was told of them."""
        problems = [each for each in self._control.status().problems if not each.text.startswith(_OWN)]
        for alert in self._problems.look(problems, self._now()):
            self.tell(alert)

    def _on_change(self, channel: Channel) -> None:
        if channel.problem:
            _log.warning("%s%s does not work: %s", _OWN, channel.name, channel.problem)
        if self._health is not None:
            self._show(channel, self._health)

    @staticmethod
    def _show(channel: Channel, health: Health) -> None:
        name = f"{_OWN}{channel.name}"
        if channel.problem:
            health.raise_condition(name, f"{name} does not work: {channel.problem}", reduces=False)
        else:
            health.clear(name)
