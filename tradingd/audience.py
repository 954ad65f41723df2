"""Those who are told what happens, and may steer over Telegram: alerts, commands, metrics. Built and ended together.

They listen in process like the story, not over Redis, which loses silently and is itself one of the things to be told.
Nothing here can stop trading: `hear` only counts and puts into bounded queues, the rest is in tasks begun anew when
they fail.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from bus.messages.header import Message
from tradingd.control import Control
from tradingd.health import Health
from tradingd.metrics import Metrics
from tradingd.secrets import SecretEntry, SecretsError, due_for_rotation, read_entries, set_at_text
from tradingd.settings import Settings, secrets_file
from tradingd.settings_alerts import Level

if TYPE_CHECKING:
    from tradingd.alerts.alert import Alert
    from tradingd.alerts.alerts import Alerts
    from tradingd.alerts.telegram_bot import TelegramBot

_log = logging.getLogger(__name__)
_SECOND_S: Final = 1.0
_RESTART_S: Final = 5.0
_LONGEST_RESTART_S: Final = 60.0
_END_S: Final = 3.0


class Audience:
    """Raises `ConfigError` when made with a channel that cannot work; afterwards it never raises."""

    def __init__(self, settings: Settings, control: Control, now: Callable[[], int]) -> None:
        self._settings = settings
        self._control = control
        self._now = now
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closed = False
        self._entries = _entries(settings)
        self.metrics = Metrics(control)
        self.metrics.secrets_due = lambda: len(self.secrets_due())
        self.alerts: Alerts | None = None
        self.bots: tuple[tuple[str, TelegramBot], ...] = ()
        if settings.alerts.channels:
            self._make_alerts(control)

    def _make_alerts(self, control: Control) -> None:
        from tradingd.alerts.alerts import Alerts  # its libraries are only for those who have channels
        from tradingd.alerts.telegram_api import TelegramApi
        from tradingd.alerts.telegram_bot import TelegramBot

        settings = self._settings.alerts
        self.alerts = self.metrics.alerts = Alerts(self._settings, control, self._now)
        self.alerts.notes = self._rotation_notes
        self.bots = tuple(
            (name, TelegramBot(
                TelegramApi(channel.api_url, channel.token.get_secret_value(), settings.timeout_s), control,
                chats=channel.to, users=channel.allow_users, on_problem=self._bot_problem(name),
            ))
            for name, channel in settings.channels.items() if channel.commands
        )
        self.metrics.bots = tuple(bot for _, bot in self.bots)

    # ---- in the trading loop ------------------------------------------------------------------------

    def hear(self, message: Message) -> None:
        """Every fact of the process and every word of the council."""
        self.metrics.hear(message)
        if self.alerts is not None:
            self.alerts.hear(message)

    def tell(self, level: Level, title: str, text: str) -> None:
        """An alert that no fact stands for, such as the failure that ends the process."""
        if self.alerts is not None:
            self.alerts.tell(self.alert(level, title, text))

    def alert(self, level: Level, title: str, text: str) -> "Alert":
        """Of now."""
        from tradingd.alerts.alert import Alert

        return Alert(level, title, text, self._now())

    def alerts_apart(self) -> "Alerts | None":
        """The same channels made anew, for who tells something from an event loop of its own; None without any."""
        if self.alerts is None:
            return None
        from tradingd.alerts.alerts import Alerts

        return Alerts(self._settings, self._control, self._now)

    # ---- life ---------------------------------------------------------------------------------------

    def open(self) -> None:
        """Early in the start: what is told from now on is sent, although there is nothing to be asked about yet."""
        if self.alerts is not None:
            self.alerts.open()

    def start(self, health: Health) -> None:
        """Begin to poll, to sample and to watch; to send, too, if `open` was not called."""
        self._health = health
        due = self.secrets_due()
        if due:
            names = ", ".join(f"{entry.name} (set {set_at_text(entry)})" for entry in due)
            days = self._settings.secrets.rotate_after_days
            health.raise_condition("secrets", f"secrets older than {days} days: {names}", reduces=False)
        self._keep("metrics", self._sample)
        if self.alerts is not None:
            self.alerts.start(health)
        for name, bot in self.bots:
            self._keep(f"telegram {name}", bot.run)
        if self._settings.metrics.enabled and self._settings.metrics.otlp_url:
            from tradingd.otlp import OtlpPusher

            wanted = self._settings.metrics
            self._keep("otlp", OtlpPusher(wanted.otlp_url, wanted.otlp_every_s, self.metrics).run)

    async def close(self) -> None:
        """Commands first, then what alerts still wait; bounded. Once: what is told later stays untold."""
        if self._is_closed:
            return
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_END_S)
        self._tasks.clear()
        for _, bot in self.bots:
            await bot.close()
        if self.alerts is not None:
            await self.alerts.close()

    def secrets_due(self) -> tuple[SecretEntry, ...]:
        """Those of the encrypted file that should be replaced."""
        return due_for_rotation(self._entries, time.time(), self._settings.secrets.rotate_after_days)

    def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(self._supervise(name, work), name=name))

    async def _supervise(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        pause = _RESTART_S
        while True:
            try:
                await work()
            except Exception:  # noqa: BLE001 - told in the log and begun anew: listeners never end the process
                _log.exception("%s failed and begins anew in %g s", name, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_RESTART_S)

    async def _sample(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(_SECOND_S)
            now = time.monotonic()
            self.metrics.sample(now - last)
            last = now

    def _bot_problem(self, name: str) -> Callable[[str], None]:
        title = f"telegram commands of {name}"

        def on_problem(text: str) -> None:
            if not text:
                self._health.clear(title)
            else:
                if not self._health.is_raised(title):
                    _log.warning("%s are not received: %s", title, text)
                self._health.raise_condition(title, f"{title} are not received: {text}", reduces=False)

        return on_problem

    def _rotation_notes(self) -> list[str]:
        return [f"secret {entry.name} was set {set_at_text(entry)}: replace it" for entry in self.secrets_due()]


def _entries(settings: Settings) -> tuple[SecretEntry, ...]:
    try:
        return read_entries(secrets_file(settings))
    except SecretsError as error:
        _log.warning("the ages of the secrets are unknown: %s", error)
        return ()
