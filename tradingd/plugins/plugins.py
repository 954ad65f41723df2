"""The foreign alphas of one run: found, loaded, given to the analyst, and what is wrong with them told."""

import logging
from collections.abc import Collection
from typing import Final

from agents.alphas.panel import OutsideAlpha
from agents.alphas.registry import BUILT_IN_NAMES
from bus.clock import Clock
from bus.messages.council import AlphaLoaded
from bus.messages.system import AlertRaised
from market.interval import interval_ns
from tradingd.plugins.host import HostOptions
from tradingd.plugins.live_panel import LivePanel
from tradingd.plugins.panel import PanelOfHosts, PluginReport, WaitingPanel
from tradingd.plugins.sources import find_sources
from tradingd.plugins.states import AlphaStates
from tradingd.profile import Inspected
from tradingd.runtime import Runtime
from tradingd.settings import Settings

LOADED_WITHIN_S: Final = 3.0
"""A start waits so long for alphas; one that takes longer joins the council later."""
_log = logging.getLogger(__name__)


def host_options(settings: Settings, *, waits: bool) -> HostOptions:
    """Live, an answer that takes longer than half a decision candle is not worth waiting for."""
    council = settings.council
    limit_s = council.plugin_timeout_s
    if not waits:
        limit_s = min(limit_s, interval_ns(settings.candles.decision) / 2e9)
    return HostOptions(limit_s, council.plugin_memory_mb, council.plugin_weight)


class Plugins:
    """`waits`: a replay or backtest, in which the council waits for them and nothing is kept."""

    def __init__(self, settings: Settings, clock: Clock, *, waits: bool) -> None:
        sources, broken = find_sources(settings.data_dir, BUILT_IN_NAMES)
        options = host_options(settings, waits=waits)
        self._live: LivePanel | None = None
        self._waiting: WaitingPanel | None = None
        if waits:
            self._waiting = WaitingPanel(sources, broken, options, BUILT_IN_NAMES, clock.now)
        else:
            states = AlphaStates(settings.data_dir)
            self._live = LivePanel(sources, broken, options, BUILT_IN_NAMES, states)
        self._runtime: Runtime | None = None
        self.panel: PanelOfHosts = self._live or self._waiting  # type: ignore[assignment] # one of them is there

    def launch(self) -> None:
        """Start their processes; a panel that waits also waits for each to be loaded."""
        if self._live is not None:
            self._live.launch()
        elif self._waiting is not None:
            self._waiting.start()

    async def loaded(self) -> None:
        """Until all are there, for a moment at most."""
        if self._live is not None:
            await self._live.loaded(LOADED_WITHIN_S)

    def connect(self, runtime: Runtime) -> None:
        """From here on answers go to the analyst, and problems are shown."""
        self._runtime = runtime
        if self._live is not None:
            self._live.on_gathered = runtime.hear_opinions
        if self._waiting is not None:
            self._waiting.watch = runtime.agent_watch
        self.panel.on_problem = self._on_problem
        for label, text in self.panel.problems():
            _log.warning(text)
            self._show(label, text)

    def tell_loaded(self) -> None:
        """Say in the journal who is there; who comes later is told when he comes."""
        for alpha in self.panel.roster():
            self._tell_loaded(alpha)
        self.panel.on_loaded = self._tell_loaded

    def _tell_loaded(self, alpha: OutsideAlpha) -> None:
        if self._runtime is not None:
            source = self.panel.source_of(alpha.name)
            self._runtime.record("alphas", AlphaLoaded(alpha.name, alpha.version, alpha.weight, alpha.regimes, source))

    def _on_problem(self, label: str, text: str) -> None:
        if self._show(label, text) and self._runtime is not None:
            self._runtime.record("alphas", AlertRaised("warning", f"alpha {self.panel.name_of(label)}", text))

    def _show(self, label: str, text: str) -> bool:
        """In the status; False when there is nothing (new) to be told."""
        if self._runtime is None:
            return False
        health, condition = self._runtime.health, f"alpha {label}"
        if not text:
            health.clear(condition)
            return False
        health.raise_condition(condition, text, reduces=False)
        return True

    @property
    def names(self) -> Collection[str] | None:
        """Of all that were loaded; None when some could not be, so that any name may be theirs."""
        return None if self.panel.may_hold_others else [alpha.name for alpha in self.panel.roster()]

    def weights(self) -> dict[str, float]:
        """What each wishes to weigh."""
        return {alpha.name: alpha.weight for alpha in self.panel.roster()}

    def reports(self) -> list[PluginReport]:
        """For people."""
        return self.panel.reports()

    def inspected(self) -> dict[str, Inspected]:
        """By name."""
        return {
            report.name: Inspected(report.timing, None, report.memory_bytes) for report in self.reports()
            if report.version
        }

    async def keep_states(self) -> None:
        """For ever; nothing of a replay is kept."""
        if self._live is not None:
            await self._live.keep_states()

    async def stop(self) -> None:
        """End them all, after they handed over what is to be kept."""
        if self._live is not None:
            await self._live.stop()
        else:
            self.end()

    def end(self) -> None:
        """End them all, as they are."""
        self.panel.end()
