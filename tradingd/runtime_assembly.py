"""The runtime of a run and what acts through it (council, tuner, grids of the settings), before it knows its past."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from agents.alphas.panel import AlphaPanel
from agents.strategies.rule_book import RuleChoice
from bus.bus import Bus
from bus.clock import Clock
from bus.ids import SessionId
from bus.messages.grid import StartGrid
from bus.messages.header import Message
from exchanges.venue import Venue
from market.instrument import Instrument
from risk.limits import RiskLimits
from tradingd import composition
from tradingd.configured_grids import ConfiguredGrids
from tradingd.message_journal import MessageJournal
from tradingd.plugins.plugins import Plugins
from tradingd.profile import AlphaWatch
from tradingd.read_model import ReadModel
from tradingd.recorded_panel import RecordedPanel
from tradingd.recorded_runtime import RecordedRuntime
from tradingd.runtime import Runtime
from tradingd.session_inputs import InputTape
from tradingd.settings import Settings
from tradingd.story import Story, StoryLine
from tradingd.tuner import Tuner
from tradingd.tuning_fold import TUNER


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeAssembly:
    """What all of them are made of; `runtime` first. `tradable`: the instruments in the account's currency.

    `strategies`: those that decide.
    """

    settings: Settings
    limits: RiskLimits
    tradable: Sequence[Instrument]
    session: SessionId
    clock: Clock
    venue: Venue
    bus: Bus
    journal: MessageJournal
    read_model: ReadModel
    strategies: Sequence[RuleChoice]

    def runtime(
        self, plugins: Plugins, outside: Collection[str] | None, alpha_watch: AlphaWatch, inputs: InputTape | None,
        write_line: Callable[[StoryLine], None],
    ) -> Runtime:
        """With its engine and its agents. `inputs`: where its inputs go, for the session to be run again.

        `outside`: the names of the plugins' alphas, None when there may be others.
        """
        settings, model = self.settings, self.read_model
        parts: dict[str, Any] = {
            "session": self.session, "venue": self.venue, "bus": self.bus, "journal": self.journal,
            "engine": composition.make_engine(settings, self.limits, self.tradable, self.session),
            "read_model": model, "story": Story(write_line, settings.account.quote), "clock": self.clock,
            "warmup": settings.candles.warmup,
        }
        with_books = self.venue.is_simulated and settings.paper.use_book
        panel: AlphaPanel = plugins.panel
        if inputs is None:
            runtime = Runtime(**parts)
        else:
            runtime = recorded = RecordedRuntime(inputs, with_books=with_books, **parts)
            panel = RecordedPanel(panel, recorded.note)
        agents = composition.make_agents(
            settings, self.limits, self.tradable, self.session, model.alphas.chosen_weights, alpha_watch, panel,
            outside, chosen_parameters=lambda: model.tuning.current,
            strategies=self.strategies,
        )
        for name, make in agents.items():
            runtime.add_agent(name, make)
        return runtime

    def grids(self, runtime: Runtime, give: Callable[[StartGrid], Sequence[Message]]) -> ConfiguredGrids:
        """`give`: a grid to the engine, as a person's command."""
        return ConfiguredGrids(
            self.settings, self.limits, [each.symbol for each in self.tradable], self.read_model.grids, give,
            lambda text: runtime.tell_story("GRID", text),
        )

    def tuner(self, runtime: Runtime) -> Tuner:
        return Tuner(
            self.settings, self.read_model.tuning, self.clock.now,
            lambda change, by: runtime.set_parameters(change, by=by),
            lambda note: runtime.record(TUNER, note),
            lambda text: runtime.tell_story("TUNING", text),
        )
