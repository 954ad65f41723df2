"""What the parts of the process tell of themselves, as conditions: status names them, and entries heed them."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from bus.messages.system import AlertRaised
from market.interval import SECOND_NS
from tradingd.health import Health
from tradingd.kill_file import kill_file_in
from tradingd.life import BEHIND, STOPPING, Life
from tradingd.redaction import redact
from tradingd.runtime import Runtime
from tradingd.settings import Settings

_log = logging.getLogger(__name__)
_MEMORY_BUS: Final = "memory://"
_BEHIND_LOOKS: Final = 3
TOLD_AHEAD_NS: Final = 60 * SECOND_NS


class Conditions:
    """One method for each part that reports. `begin` comes before all but `lease`, which is remembered until then.

    `restored` comes once the engine knows its past: before, a start that cannot go on fails or asks by itself.
    """

    def __init__(self, settings: Settings, life: Life) -> None:
        self._settings = settings
        self._life = life
        self._runtime: Runtime
        self._lease_doubt = self._refusal = ""
        self.is_restored = False
        self.on_refused: Callable[[], None] = lambda: None
        self.on_go_on: Callable[[], None] = lambda: None

    @property
    def _health(self) -> Health:
        return self._runtime.health

    def begin(self, runtime: Runtime, *, listed: Sequence[str], held: Sequence[str], notes: Sequence[str]) -> None:
        """What status must name from the first moment on. `notes`: what the venue said of the account and its keys."""
        self._runtime = runtime
        if self._settings.bus.url != _MEMORY_BUS:
            self._health.raise_condition("bus", "the Redis bus is not connected yet")
        self._health.raise_condition("feed", "market data has not begun")
        if self._lease_doubt:
            self._health.raise_condition("lease", self._lease_doubt)
        if unlisted := sorted({*held} - {*listed}):
            self._show(
                "unlisted", f"held, but not traded here any more: {', '.join(unlisted)}; nobody watches their prices",
            )
        for number, note in enumerate(notes):
            self._show(f"account {number}", redact(note))

    def restored(self) -> None:
        """The engine knows its past: that the venue refused the account before is told now."""
        self.is_restored = True
        self._set("lease", self._lease_doubt)  # it may have come or gone since `begin`
        if self._refusal:
            self.refused(self._refusal)

    def refused_at_start(self, text: str) -> None:
        """The venue refuses the account, and the daemon starts all the same: told as soon as anything can be."""
        _log.warning(redact(text))
        self._refusal = text
        self.on_refused()

    def _show(self, name: str, text: str) -> None:
        """Named by status; it stops nothing."""
        self._health.raise_condition(name, text, reduces=False)

    def _set(self, name: str, text: str) -> None:
        """It holds while there is a text, and while it holds there are no entries."""
        if text:
            self._health.raise_condition(name, text)
        else:
            self._health.clear(name)

    def crash_loop(self) -> None:
        self._set(
            "crash loop", "crash loop: there was a third start within ten minutes after unclean ends; "
            "look into the log, then `tradingd start` trades on",
        )

    def slow_start(self, problems: Sequence[str]) -> None:
        """Checkpoints that could not be used."""
        self._show("checkpoint", f"the start took longer: {'; '.join(map(redact, problems))}")

    def person_says_go_on(self) -> None:
        """What waits for a person does so no more; a venue that still has its trouble tells it again at once."""
        self._health.clear("crash loop")
        self.on_go_on()
        self._health.clear("venue")
        self._runtime.vote_health()

    def lease(self, why: str) -> None:
        """The right to trade the account is in doubt ("": it is ours)."""
        self._lease_doubt = why
        if self.is_restored:
            self._set("lease", why)
            self._runtime.vote_health()

    def store(self, is_up: bool, why: str) -> None:
        """The SQL store's process has its database, or has lost it."""
        if is_up:
            self._health.clear("store")
        else:
            self._show("store", f"the SQL store is away ({why}): nothing is lost, the journal gives it later")

    def venue(self, text: str) -> None:
        """A defect of ours or of the venue's, found at an order: nothing new is risked until a person says so."""
        remedy = "When you have looked into it: `tradingd start` (POST /api/trading/start)."
        self._on_venue("venue", f"{redact(text).rstrip('.')}. {remedy}")

    def refused(self, text: str) -> None:
        """The venue refuses our account (keys, clock): shown, and nothing new is risked until it is taken again."""
        self._on_venue("refused", f"{redact(text)} It is asked again and again; entries come back by themselves.")
        self.on_refused()

    def taken_again(self) -> None:
        """The venue takes our account, and the books were compared."""
        self._health.clear("refused")
        told = f"{self._settings.venue} takes our account again, and the books were compared"
        self._runtime.tell_story("VENUE", told)
        self._runtime.vote_health()

    def _on_venue(self, name: str, text: str) -> None:
        if not self.is_restored:
            _log.warning(text)
            return
        is_news = self._health.text_of(name) != text
        self._set(name, text)
        if is_news:
            self._runtime.record("venue", AlertRaised("critical", f"venue {self._settings.venue}", text))
        self._runtime.vote_health()

    def api(self, why: str) -> None:
        """The control API cannot be opened ("": it listens): no entries while nobody can look and steer by it."""
        self._set("api", why and f"control API: {why}")
        told = "it listens, as it should"  # as loud as that it did not
        if why:
            told = (
                f"{why}. Positions or orders are open, so the daemon goes on without it, takes no entries and tries "
                f"again every few seconds; the file {kill_file_in(self._settings.data_dir)} locks trading."
            )
        self._runtime.record("daemon", AlertRaised("critical", "control API", told))
        self._runtime.vote_health()

    def kill_file(self, why: str) -> None:
        """It is there and cannot be read, so what it asks for is not known."""
        self._runtime.record("daemon", AlertRaised("critical", "kill file", why))

    def no_kill_file(self, why: str) -> None:
        """None could be made ("": it could): no entries while nobody can stop them by it."""
        self._set("no kill file", why)
        told = "it could be made again"
        if why:
            told = f"{why}. Positions or orders are open, so the daemon watches over them and takes no entries."
        self._runtime.record("daemon", AlertRaised("critical", "kill file", told))
        self._runtime.vote_health()

    def selection(self, why: str) -> None:
        """Strategies or alphas of the settings are no good ("": they are): no entries, what is open is watched."""
        if why:
            self._set("selection", why)
            told = f"{why} Positions or orders are open, so the daemon watches over them and takes no entries."
            self._runtime.record("daemon", AlertRaised("critical", "strategies", told))
            self._runtime.vote_health()

    def left_out(self, names: Sequence[str]) -> None:
        """Configured symbols that the venue does not trade, while something else is at stake."""
        if names:
            told = (
                f"{self._settings.venue} does not trade {', '.join(names)} (any more): left out, because what is open "
                f"must be watched over. Take it out of symbols ({self._settings.where('symbols')}): with nothing open "
                "the next start fails over it."
            )
            self._show("left out", told)
            self._runtime.record("daemon", AlertRaised("critical", "symbols left out", told))

    def order_line(self, text: str) -> None:
        """Orders cannot be sent ("": they can again): no entries, although prices may flow."""
        if self.is_restored:
            self._set("order line", redact(text))
            self._runtime.vote_health()

    def bus(self, connected: bool) -> None:
        """The Redis bus came or went. When we hang up it is no fault, and the journal has its last word already."""
        if self._life.phase == STOPPING:
            return
        self._set("bus", "" if connected else "the Redis bus is not connected: no entries until it is back")
        self._runtime.vote_health()

    def bus_is_there(self) -> None:
        """Seen by who looks each second."""
        if self._settings.bus.url != _MEMORY_BUS:
            self._health.clear("bus")

    def data_age(self, age_ns: int, limit_ns: int) -> None:
        """Nanoseconds since the last frame of a connected feed. No age in the text: a reason that changes every second
        would be a new vote every second."""
        too_old = f"no market data for more than {limit_ns / SECOND_NS:g} s"
        self._set("stale", too_old if age_ns > limit_ns else "")

    def session_time(self, ahead_ns: int) -> None:
        """How far our time is ahead of the machine's clock: that was set back, or an earlier run's was wrong."""
        if ahead_ns < SECOND_NS:
            self._health.clear("clock")
        elif ahead_ns >= TOLD_AHEAD_NS and not self._health.is_raised("clock"):
            self._show(
                "clock", f"our time is {ahead_ns // (60 * SECOND_NS)} min ahead of this machine's clock, which was set "
                "back since; it goes on more slowly until that is there, and so long orders and days end early",
            )

    def backlog(self, looks: int) -> None:
        """So many looks in a row found market data that waits to be handled; a burst is worked off before the third."""
        if looks == 0 or looks >= _BEHIND_LOOKS:
            self._set("backlog", "market data comes faster than it is handled: prices are old" if looks else "")

    def mode(self, text: str) -> None:
        """The mode is being switched ("": it is not)."""
        self._set("mode", text)
        self._runtime.vote_health()

    def disk(self, why: str) -> None:
        self._set("disk", why)

    def replay_is_over(self) -> None:
        self._show("replay", "the replay is over")

    def child_died(self, reason: str) -> None:
        """The practice exchange is gone."""
        _log.error(reason)
        if self._life.is_up and self._life.phase != BEHIND:
            self._runtime.record("daemon", AlertRaised("critical", "practice exchange", reason))
