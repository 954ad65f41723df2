"""One run of the process: starts every part in order, keeps them going, ends them in order.

Start: data directory and lock -> journal -> practice child (when the venue is practice; while it boots, the
control API is loaded) -> instruments -> engine folded from the journal -> venue -> control API -> agents and
bus -> warm-up -> feed.
End: feed -> council -> journal -> control API -> venue -> practice child -> lock.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar

from agents.alphas.panel import AlphaPanel
from bus import codec
from bus.bus import Bus
from bus.clock import Clock, FeedClock, LiveClock
from bus.ids import CLIENT_ID_PREFIX, ClientOrderId, SessionId
from bus.memory_bus import MemoryBus
from bus.messages import council, orders, system
from bus.messages.grid import StartGrid
from bus.messages.header import Message, MessageMaker
from exchanges.binance.rest import NoAnswerError
from exchanges.simulated import SimulatedVenue
from exchanges.venue import Venue
from market.instrument import Instrument
from market.interval import SECOND_NS
from store.candle_writer import CandleWriter
from store.checkpoint import CheckpointError
from store.tape import Tape
from tradingd import banner, composition, mode_switch, venue_access
from tradingd.account_opening import ASK_AGAIN_S, AccountOpening
from tradingd.account_watch import AccountWatch
from tradingd.announcements import farewell_of, tell_standing
from tradingd.audience import Audience
from tradingd.auth import CREDENTIALS_FILE, Auth, read_credentials
from tradingd.candle_history import CandleHistory
from tradingd.checkpoint import Recovery, note_scope
from tradingd.checkpoint_keeper import CheckpointKeeper
from tradingd.checkpoint_parts import Scope
from tradingd.configured_grids import BY as BY_SETTINGS
from tradingd.configured_grids import ConfiguredGrids
from tradingd.continued_journal import ContinuedJournal
from tradingd.control import (
    ControlConflictError,
    ControlUnavailableError,
    DaemonStatus,
)
from tradingd.data_dir import DataDir, RunInfo, journal_name
from tradingd.disk_watch import DiskWatch
from tradingd.exit_codes import OK
from tradingd.feed_driver import FeedDriver
from tradingd.instrument_watch import InstrumentWatch
from tradingd.journal_keeper import JournalKeeper
from tradingd.kill_file import KillFile
from tradingd.lease import LeaseKeeper, holder_name
from tradingd.lease_choice import take_account
from tradingd.logs import LogFiles
from tradingd.market_access import MarketAccess
from tradingd.message_journal import MessageJournal
from tradingd.paper_account import holdings, resting_orders
from tradingd.parameters import held_parameters
from tradingd.path_dependence import PathDependence
from tradingd.plugins.panel import PluginReport
from tradingd.plugins.plugins import Plugins
from tradingd.profile import AlphaWatch, Inspected
from tradingd.projection_account import AUTO, account_of, store_url
from tradingd.projection_child import ProjectionChild, ProjectionTask
from tradingd.read_model import ReadModel
from tradingd.recorded_panel import RecordedPanel
from tradingd.recorded_runtime import RecordedRuntime
from tradingd.redaction import redact
from tradingd.rehearsal import rehearse
from tradingd.replay_run import ReplayRun
from tradingd.run_options import RunOptions
from tradingd.runtime import Runtime
from tradingd.service_notify import ServiceNotify
from tradingd.session import PastSessions, live_session_id, replay_session_id
from tradingd.session_inputs import FOLDER as INPUTS_FOLDER
from tradingd.session_inputs import InputTape
from tradingd.settings import Settings, VenueSettings
from tradingd.status_report import StatusReport
from tradingd.story import BackgroundWriter, Story, StoryLine, make_writer
from tradingd.tuner import Tuner
from tradingd.version import VERSION
from tradingd.warm_up import warm_up
from tradingd.weight_keeper import WeightKeeper, keep_weights

if TYPE_CHECKING:
    from fastapi import FastAPI

_log = logging.getLogger(__name__)
_FEED: Final = "market"
_VENUE_CLOCK_S: Final = 0.02
_WAITING: Final = "waiting for market data"
_BEHIND: Final = "the replay that was cut off is played again up to the cut"
_SHUTDOWN_LIMIT_S: Final = 15.0
_YOUNG_OBJECTS: Final = 20_000
_T = TypeVar("_T")


class PortTakenError(Exception):
    """The control API cannot listen: somebody else does."""


class Daemon:
    """The running process as the control plane sees it (`tradingd.control.Control`)."""

    def __init__(
        self, settings: Settings, options: RunOptions, data_dir: DataDir, log_files: LogFiles | None = None,
    ) -> None:
        self.settings = settings
        self.read_model = ReadModel(settings.account.quote)
        self._options = options
        self._data_dir = data_dir
        self._is_replay = bool(options.replay)
        self._started_ns = time.time_ns()
        self._stop = asyncio.Event()
        self._stop_reason = ""
        self._fatal: BaseException | None = None
        self._not_ready = "starting"
        self._manual_orders = 0
        self._limits = composition.make_limits(settings)
        self._writer: BackgroundWriter = make_writer(settings.log.format)
        self._tasks: list[asyncio.Task[Any]] = []
        self._past = PastSessions()
        self._recovery: Recovery | None = None
        self._checkpoints: CheckpointKeeper | None = None
        self._kill_file = KillFile(data_dir.path)
        self._is_restored = False
        self._replay = ReplayRun(settings, options, data_dir.path)
        self._replay_note = self._paths_told = ""
        self._lease_doubt = ""
        self._disk_watch = DiskWatch(data_dir.path)
        self._log_files = log_files
        self._audience = Audience(settings, self, lambda: self._clock.now())
        self._alpha_watch = AlphaWatch()
        self._tuner: Tuner | None = None
        self._configured_grids: ConfiguredGrids | None = None
        self._plugins: Plugins | None = None
        self._service = ServiceNotify()
        self.is_to_start_again = False
        """Told to switch the mode: the process begins anew after the orderly end."""
        self._history: CandleHistory | None = None
        # Set while starting; read only when ready.
        self._journal: MessageJournal
        self._runtime: Runtime
        self._weights: WeightKeeper
        self._driver: FeedDriver
        self._report: StatusReport
        self._account: AccountOpening
        self._feed: venue_access.MarketFeed
        self._venue: Venue
        self._bus: Bus
        self._clock: Clock
        self._session: SessionId

    # ---- Control -----------------------------------------------------------------------------------

    def now(self) -> int:
        return self._clock.now()

    async def execute(self, body: object, *, by: str) -> Sequence[Message]:
        may_come_early = isinstance(body, orders.EngageKillSwitch) and self._is_restored
        if (self._not_ready == "starting" and not may_come_early) or self._stop.is_set():
            doing = "stopping" if self._stop.is_set() else "starting"
            raise ControlUnavailableError(f"the daemon is {doing}; try again")
        if self._replay.is_behind:
            raise ControlUnavailableError(f"{_BEHIND}; try again")
        if isinstance(body, orders.ReleaseKillSwitch) and self._kill_file.exists:
            raise ControlConflictError(
                "KILL_FILE_PRESENT",
                f"the kill file {self._kill_file.path} is still there and would lock trading again at once: "
                "delete it, then unlock",
            )
        self._replay.note(self._driver.items, by, body, self._clock.now())
        return self._obey(body, by=by)

    def _obey(self, body: object, *, by: str) -> Sequence[Message]:
        if isinstance(body, system.VoteTradingState) and body.voter == "operator" and body.state == "ACTIVE":
            self._runtime.health.clear("crash loop")
            self._runtime.health.clear("venue")  # told again at once if it is still so
            self._runtime.vote_health()
        if isinstance(body, council.WeightChanged):
            return [self._runtime.set_weight(body, by=by)]
        return self._runtime.command(body, by=by)

    def _by_settings(self, body: StartGrid) -> Sequence[Message]:
        """What the settings ask for is done as a person's command is, and given again where a cut replay goes on."""
        self._replay.note(self._driver.items, BY_SETTINGS, body, self._clock.now())
        return self._obey(body, by=BY_SETTINGS)

    def alpha_weights(self) -> Mapping[str, float]:
        wished = self._plugins.weights() if self._plugins is not None else {}
        chosen = {**wished, **self.settings.council.weights, **self.read_model.alphas.chosen_weights()}
        return {name: chosen.get(name, 0.0) for name in sorted({*self._alpha_watch.alphas, *wished})}

    def released_weight(self, alpha: str, by: str) -> council.WeightChanged:
        return self._weights.release(alpha, by)

    def plugin_reports(self) -> Sequence[PluginReport]:
        return self._plugins.reports() if self._plugins is not None else ()

    def inspected(self) -> Mapping[str, Inspected]:
        runners = self._runtime.runners.values()
        agents = {f"agent:{runner.name}": Inspected(runner.timing, runner.agent) for runner in runners}
        alphas = self._alpha_watch.inspected() | (self._plugins.inspected() if self._plugins is not None else {})
        return agents | {f"alpha:{name}": part for name, part in alphas.items()}

    def tuner(self) -> Tuner:
        if self._tuner is None or self._not_ready in ("starting", "stopping") or self._stop.is_set():
            raise ControlUnavailableError("the daemon is starting or stopping; try again")
        if self._is_replay:
            raise ControlConflictError("TUNING", "a replay is never tuned: it would not be the same session again")
        return self._tuner

    def switch_mode(self, mode: mode_switch.Mode, *, confirm: str, by: str) -> None:
        if self._not_ready in ("starting", "stopping") or self._stop.is_set():
            raise ControlUnavailableError("the daemon is starting or stopping; try again")
        if mode == "live" and confirm != "live":
            raise ControlConflictError("CONFIRM_LIVE", 'real money may be at stake: send "confirm": "live"')
        if self._is_replay:
            raise ControlConflictError(*mode_switch.REPLAY_REFUSAL)
        # First no more entries, then look: nothing can slip in between.
        self._runtime.health.raise_condition("mode", f"the mode is being switched to {mode}")
        self._runtime.vote_health()
        engine = self._runtime.engine
        problem = mode_switch.why_not(
            mode, configured=self._options.configured_mode or self.settings.mode, is_replay=self._is_replay,
            working=[order.client_order_id for order in engine.orders.working()],
            held=[position.symbol for position in engine.look().positions],
        )
        if problem is not None:
            self._runtime.health.clear("mode")
            self._runtime.vote_health()
            raise ControlConflictError(*problem)
        mode_switch.write_choice(self._data_dir.path, mode, by)
        self.is_to_start_again = True
        self.request_shutdown(f"switched to {mode} by {by}")

    def prices(self) -> Mapping[str, tuple[Decimal | None, Decimal | None, Decimal | None]]:
        return self._runtime.engine.prices()

    def next_manual_order_id(self) -> ClientOrderId:
        self._manual_orders += 1
        return ClientOrderId(f"{CLIENT_ID_PREFIX}{self._session}-m{self._manual_orders}")

    def request_shutdown(self, reason: str) -> None:
        if not self._stop.is_set():
            self._stop_reason = reason
            self._stop.set()

    def status(self) -> DaemonStatus:
        self._refresh_portfolio()
        return self._report.make(
            self._session, now=self._clock.now(), not_ready_reason=self._not_ready, is_replay=self._is_replay,
        )

    # ---- life --------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Until told to stop, or until something fails that must not go on. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request_shutdown, f"signal {signal.Signals(number).name}")
        async with contextlib.AsyncExitStack() as stack:
            starting = asyncio.create_task(self._start(stack), name="start")
            stopping = asyncio.create_task(self._stop.wait(), name="stop")
            await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                # Told to stop while a venue or a server keeps us waiting.
                starting.cancel()
                await asyncio.wait((starting,))
                return OK
            failed = starting.exception()
            if failed is not None:
                stopping.cancel()
                raise failed
            await stopping
            await self._end()
        if self._fatal is not None:
            raise self._fatal
        return OK

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        stack.callback(self._writer.close)
        access = MarketAccess(self.settings, self._options, self._on_child_death)
        self._is_replay = await access.is_replay()
        self._open_journal(stack)
        stack.push_async_callback(access.close)
        await access.launch(
            self._data_dir.path, not_before_ns=self._past.last_ts, shift_days=self._replay.shift_days,
            fast_until_ns=self._replay.cut_ns,
        )
        codec.prepare()
        app = self._load_api()
        urls = await access.urls()
        self._recording = await access.recording(urls)
        self._make_clock_and_session()
        self._plugins = plugins = Plugins(self.settings, self._clock, waits=self._is_replay)
        stack.push_async_callback(plugins.stop)
        plugins.launch()
        self._begin_replay(stack)
        self._feed = venue_access.make_feed(
            self.settings, urls, self._clock, is_replay=self._is_replay, on_frame=self._open_tape(stack),
        )
        stack.push_async_callback(self._feed.close)
        instruments = await self._choose_instruments()
        keeper = await self._take_account(urls, stack)
        await self._make_venue(urls, instruments, stack)
        await plugins.loaded()
        self._make_runtime(instruments, plugins, self._open_inputs(instruments, stack))
        if not self._replay.was_cut:
            self._hear()
        stack.push_async_callback(self._audience.close)
        self._open_history(stack)
        stack.push_async_callback(self._cancel_tasks)
        self._restore()
        plugins.tell_loaded()
        await self._serve(app, stack)
        self._audience.start(self._runtime.health)
        self._start_council()
        stack.callback(self._runtime.agent_watch.remove)
        await self._bus.start()
        stack.push_async_callback(self._bus.stop)
        self._welcome(instruments)
        tell_standing(
            self._runtime, url=self._url if self.settings.log.format == "json" else "",
            notes=(self._replay_note, self._recording_note()),
        )
        await self._open_account()
        await warm_up(self._runtime, self._feed, instruments, self.settings.candles)
        self._not_ready = _WAITING if not self._replay.is_behind else _BEHIND
        self._driver.before_item = self._before_item if self._replay.was_cut else None
        self._spawn("feed", self._run_feed(instruments))
        if self.settings.mode == "live":
            quote = self.settings.account.quote
            watch = AccountWatch(self._runtime, self._venue, quote, instruments, self._account.change_funds)
            self._spawn("account watch", watch.run())
        if not self._is_replay:
            rules = InstrumentWatch(self._runtime, self._feed, self._venue, instruments)
            self._spawn("instrument watch", rules.run(self._own_settings.refresh_s))
        if keeper is not None:
            self._spawn("account lease", keeper.run())
        if not self._is_replay:
            self._spawn("timer", self._driver.run_timer())
            self._spawn("venue clock", self._driver.run_venue_clock(_VENUE_CLOCK_S))
        if self._checkpoints is not None:
            self._spawn("checkpoints", self._checkpoints.run())
        if not self._is_replay:
            self._spawn("alpha states", plugins.keep_states())
            # A replay is held against its one file byte by byte, and is finite.
            files = JournalKeeper(self._journal, self.settings.journal, self._checkpoints)
            self._spawn("journal files", files.run())
        stack.push_async_callback(self._cancel_tasks)
        self._start_store(stack)
        rehearse()
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS)  # ticks leave nothing behind to be collected: look more rarely

    def _open_journal(self, stack: contextlib.AsyncExitStack) -> None:
        """Open and fold it. A replay begins with a fresh account, unless this very one was cut off."""
        path = self._data_dir.use_journal(self.settings.venue, self.settings.mode, is_replay=self._is_replay)
        journal = ContinuedJournal.open(path)
        self._replay.find_cut(journal)
        self._journal = journal
        self._fold_journal()
        is_done_with = not self._past.ended_unclean or self._replay.is_able
        if self._is_replay and not self._replay.was_cut and self._past.count and is_done_with \
                and self.read_model.kill is None:
            if self._past.ended_unclean:
                self._replay_note = (
                    "the last replay was cut off, and this is another one (recording, settings or version): it begins "
                    "with a fresh account; the other's journal is kept"
                )
            self._journal.close()
            self._data_dir.set_aside(path)
            self._past = PastSessions()
            self.read_model = ReadModel(self.settings.account.quote)
            self._journal = MessageJournal.open(path)
            self._fold_journal()
        stack.callback(self._journal.close)
        self.read_model.journal = path

    def _begin_replay(self, stack: contextlib.AsyncExitStack) -> None:
        self._replay.begin(self._session, self._recording.shift_days)
        stack.callback(self._replay.close)
        self._manual_orders = self._replay.last_manual_order(self._session)

    def _before_item(self, taken: int) -> None:
        """A replay that was cut off is told again what it was told, where it was told; then it goes on."""
        for told in self._replay.due(taken):
            self._obey(told.message.body, by=told.by)
        if self._replay.is_behind:
            return
        self._driver.before_item = None
        self._not_ready = "" if self._driver.first_ns else _WAITING
        self._hear()
        self._watch_kill_file()
        self._runtime.tell_story("NOTE", "the replay that was cut off goes on from here, as if nothing had happened")

    def _hear(self) -> None:
        """Alerts, metrics, log files: not of what was told before a cut."""
        self._runtime.listeners.append(self._audience.hear)
        if self._log_files is not None:
            self._runtime.listeners.append(self._log_files.hear)

    def _watch_kill_file(self) -> None:
        engine = self._runtime.engine
        self._spawn("kill file", self._kill_file.watch(lambda: engine.kill, self._engage_by_file))

    def _engage_by_file(self, command: orders.EngageKillSwitch) -> None:
        self._replay.note(self._driver.items, command.by, command, self._clock.now())
        self._runtime.command(command, by=command.by)

    def _fold_journal(self) -> None:
        """By the newest good checkpoint and the records behind it; the engine follows in `_restore`."""
        self._recovery = Recovery(
            self._journal, self._past, self.read_model, use_checkpoints=not self._is_replay,
        )

    async def _take_account(self, urls: VenueSettings, stack: contextlib.AsyncExitStack) -> LeaseKeeper | None:
        """Live: nobody else may trade this account, before anything is sent to it."""
        lease = take_account(self.settings, urls, holder := holder_name(self._session), stack)
        if lease is None:
            return None
        keeper = LeaseKeeper(lease, holder, self._on_lease_doubt, self._on_fatal)
        stack.push_async_callback(keeper.end)
        await keeper.begin()
        return keeper

    def _on_lease_doubt(self, why: str) -> None:
        self._lease_doubt = why
        if not self._is_restored:
            return  # told as soon as there is somebody to tell
        if why:
            self._runtime.health.raise_condition("lease", why)
        else:
            self._runtime.health.clear("lease")
        self._runtime.vote_health()

    def _start_store(self, stack: contextlib.AsyncExitStack) -> None:
        """The SQL store follows the journal in a process of its own; a replay's account is not kept."""
        url = store_url(self.settings.store.url, self._data_dir.path)
        if not url or self._is_replay:
            return
        path = self._data_dir.path / journal_name(self.settings.venue, self.settings.mode, is_replay=False)
        task = ProjectionTask(
            path, url, account_of(path), self.settings.account.quote, is_own=self.settings.store.url == AUTO,
        )
        store = ProjectionChild(task, self._on_store_change)
        store.start()
        stack.push_async_callback(store.stop)

    def _on_store_change(self, is_up: bool, why: str) -> None:
        if is_up:
            self._runtime.health.clear("store")
        else:
            self._runtime.health.raise_condition(
                "store", f"the SQL store is away ({why}): nothing is lost, the journal gives it later", reduces=False,
            )

    def _open_tape(self, stack: contextlib.AsyncExitStack) -> Callable[[int, bytes], None] | None:
        """Raw frames beside the journal; a replay is recorded already."""
        if not self.settings.tape.enabled or self._is_replay:
            return None
        tape = Tape(self._data_dir.path / "tape", self.settings.tape.max_mb)
        stack.callback(tape.close)
        return tape.write

    def _open_inputs(self, instruments: Sequence[Instrument], stack: contextlib.AsyncExitStack) -> InputTape | None:
        """All that reaches the runtime, so that `tradelab parity` can run the session again. Not over Redis: what
        comes when is decided there, and cannot be repeated."""
        if not self.settings.tape.enabled or self.settings.bus.url != "memory://":
            return None
        tape = InputTape(self._data_dir.path / INPUTS_FOLDER, self.settings.tape.max_mb, self._session)
        stack.callback(tape.close)
        tape.begin(self._clock.now(), self._journal.path.name, self.settings, instruments)
        return tape

    def _open_history(self, stack: contextlib.AsyncExitStack) -> None:
        """Closed candles for the laboratory; those of a replay are history already."""
        if not self.settings.history.enabled or self._is_replay:
            return
        writer = CandleWriter(self._data_dir.path / "history", self.settings.venue)
        self._history = CandleHistory(
            writer, self._driver, lambda: self._feed.counters, self._runtime.health, self._limits.stale_after_ns
        )
        self._runtime.on_candle = self._history.keep
        stack.callback(self._history.close)

    def _make_clock_and_session(self) -> None:
        if self._is_replay:
            self._clock = FeedClock(max(self._past.last_ts, self._recording.first_ns))
            self._session = replay_session_id(self.settings.seed, self._past.count)
        else:
            self._clock = LiveClock()
            self._session = live_session_id(self._clock.now())

    async def _choose_instruments(self) -> list[Instrument]:
        offered = await self._patiently(self._feed.instruments)
        take_all = self._is_replay and not self._options.symbols_given
        held = {row.symbol for row in self.read_model.positions()}
        return composition.choose_instruments(self.settings, offered, take_all=take_all, held=held)

    async def _make_venue(
        self, urls: VenueSettings, instruments: Sequence[Instrument], stack: contextlib.AsyncExitStack
    ) -> None:
        if self.settings.mode == "paper":
            self._venue = SimulatedVenue(
                composition.paper_config(self.settings), instruments, self._on_report,
                balances=lambda: holdings(self._runtime.engine),
            )
        else:
            self._venue = venue_access.make_live_venue(
                self.settings, urls, self._clock, instruments, on_report=self._on_report,
                on_problem=self._on_venue_problem, on_line=self._on_order_line,
            )
        stack.push_async_callback(self._venue.close)
        await self._patiently(self._venue.start)

    async def _patiently(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """A restart in the middle of an outage waits for its end; a first start says at once what is wrong."""
        while True:
            try:
                return await ask()
            except NoAnswerError as error:
                if not self._past.count:
                    raise
                _log.warning("the start waits for the venue: %s", redact(str(error)))
                await asyncio.sleep(ASK_AGAIN_S)

    def _on_venue_problem(self, text: str) -> None:
        """What no order can cure (refused keys, a clock that cannot be set): shown, and nothing new is risked."""
        text = redact(text)
        if not self._is_restored:
            _log.warning(text)  # the start itself fails of it, or asks again
            return
        self._runtime.health.raise_condition("venue", text)
        self._runtime.record("venue", system.AlertRaised("critical", f"venue {self.settings.venue}", text))
        self._runtime.vote_health()

    def _on_order_line(self, text: str) -> None:
        """Orders cannot be sent ("": they can again): no entries, although prices may flow."""
        if not self._is_restored:
            return  # the start asks until it is answered
        if text:
            self._runtime.health.raise_condition("order line", redact(text))
        else:
            self._runtime.health.clear("order line")
        self._runtime.vote_health()

    def _on_report(self, report: orders.ExecutionReport) -> None:
        if report.reason:
            report = replace(report, reason=redact(report.reason))  # a venue's words may repeat our key
        self._runtime.on_report(report)

    def _make_runtime(
        self, instruments: Sequence[Instrument], plugins: Plugins, inputs: InputTape | None
    ) -> None:
        tradable = [i for i in instruments if i.quote == self.settings.account.quote]
        engine = composition.make_engine(self.settings, self._limits, tradable, self._session)
        maker = MessageMaker("bus", self._session)
        if self.settings.bus.url == "memory://":
            self._bus = MemoryBus(maker, self.settings.bus.queue_size)
        else:
            from bus.redis_bus import RedisBus  # only those who use Redis pay for its library

            self._bus = RedisBus(
                self.settings.bus.url, self.settings.bus.namespace, self._session, maker, self._clock,
                self.settings.bus.queue_size, self._on_bus_change,
            )
        story = Story(self._write_line, self.settings.account.quote)
        parts: dict[str, Any] = {
            "session": self._session, "engine": engine, "venue": self._venue, "bus": self._bus,
            "journal": self._journal, "read_model": self.read_model, "story": story, "clock": self._clock,
            "warmup": self.settings.candles.warmup,
        }
        with_books = self._venue.is_simulated and self.settings.paper.use_book
        panel: AlphaPanel = plugins.panel
        if inputs is None:
            self._runtime = Runtime(**parts)
        else:
            self._runtime = recorded = RecordedRuntime(inputs, with_books=with_books, **parts)
            panel = RecordedPanel(panel, recorded.note)
        self._runtime.on_fatal = self._on_fatal
        for name, make in composition.make_agents(
            self.settings, self._limits, tradable, self._session, self.read_model.alphas.chosen_weights,
            self._alpha_watch, panel, plugins.names, chosen_parameters=lambda: self.read_model.tuning.current,
        ).items():
            self._runtime.add_agent(name, make)
        self._configured_grids = ConfiguredGrids(
            self.settings, self._limits, [each.symbol for each in tradable], self.read_model.grids, self._by_settings,
            lambda text: self._runtime.tell_story("GRID", text),
        )
        self._tuner = Tuner(
            self.settings, self.read_model.tuning, self._clock.now,
            lambda change, by: self._runtime.set_parameters(change, by=by),
            lambda text: self._runtime.tell_story("TUNING", text),
        )
        self._weights = keep_weights(self._runtime, self.settings)
        plugins.connect(self._runtime)
        self._driver = FeedDriver(
            self._runtime, on_second=self._on_second, on_end=self._on_replay_end,
            replay_clock=self._clock if isinstance(self._clock, FeedClock) else None,
            silence_is_normal=self._recording.has_candles, on_up=self._on_market_data,
            for_ns=round((self._options.for_seconds or 0) * SECOND_NS), on_full=self._on_full,
        )
        self._report = StatusReport(
            self._runtime, self._driver, self._feed, self._bus, self.settings.bus.url, self.read_model,
            started_ns=self._started_ns,
        )
        self._account = AccountOpening(self._runtime, self._venue, self.settings.account.quote)
        if self._recording.has_candles:
            self.read_model.paths = PathDependence(self.settings.candles.decision)
        self._raise_what_is_known(instruments)

    def _raise_what_is_known(self, instruments: Sequence[Instrument]) -> None:
        """What status must name from the first moment on."""
        if self.settings.bus.url != "memory://":
            self._runtime.health.raise_condition("bus", "the Redis bus is not connected yet")
        self._runtime.health.raise_condition("feed", "market data has not begun")
        if self._lease_doubt:
            self._runtime.health.raise_condition("lease", self._lease_doubt)
        unlisted = {row.symbol for row in self.read_model.positions()} - {each.symbol for each in instruments}
        if unlisted:
            self._runtime.health.raise_condition(
                "unlisted", f"held, but not traded here any more: {', '.join(sorted(unlisted))}; nobody watches their "
                "prices", reduces=False,
            )
        for number, note in enumerate(getattr(self._venue, "notes", ())):
            self._runtime.health.raise_condition(f"account {number}", redact(note), reduces=False)

    def _restore(self) -> None:
        engine = self._runtime.engine
        scope = Scope.of(self.settings.account.quote, [market.instrument for market in engine.desk.markets.values()])
        if self._recovery is not None:
            self._recovery.fold_engine(engine, scope)
        self._keep_checkpoints(scope)
        now = self._clock.now()
        self._runtime.record(
            "daemon",
            system.DaemonStarted(
                self._session, VERSION, self.settings.mode, self.settings.venue, self.settings.symbols,
                self.settings.seed, self._is_replay,
            ),
        )
        if isinstance(self._venue, SimulatedVenue):
            self._venue.restore(resting_orders(engine))
        # The kill file before anything is sent: the orders that a restart would give wait for a person, too.
        for told in self._replay.due(-1):
            self._runtime.command(told.message.body, by=told.by)
        wish = None if self._replay.was_cut else self._kill_file.look(engine.kill, is_patient=False)
        if wish is not None:
            self._replay.note(-1, wish.by, wish, now)
            self._runtime.command(wish, by=wish.by)
        self._runtime.finish_restore()
        self._is_restored = True
        if not self._replay.was_cut:
            self._watch_kill_file()
        self._refresh_portfolio()
        if self._past.is_crash_loop(now) and not self._options.no_safe:
            self._runtime.health.raise_condition(
                "crash loop", "crash loop: the third start within ten minutes after unclean ends; "
                "look into the log, then `tradingd start` trades on",
            )

    def _keep_checkpoints(self, scope: Scope) -> None:
        """From here on; none of a replay, which begins anew each time."""
        recovery, self._recovery = self._recovery, None
        if recovery is None or self._is_replay:
            return
        if recovery.problems:
            self._runtime.health.raise_condition(
                "checkpoint", f"the start took longer: {'; '.join(map(redact, recovery.problems))}", reduces=False,
            )
        try:
            note_scope(self._journal.path, scope)
        except CheckpointError as error:
            _log.warning("no checkpoints will be made: %s", error)
            return
        done = recovery.checkpointed if recovery.is_engine_restored else 0
        self._checkpoints = CheckpointKeeper(self._journal, done)

    def _refresh_portfolio(self) -> None:
        """Of now: the last snapshot may be older than the orders that were given or ended since."""
        self.read_model.apply(self._runtime.make("status", self._runtime.engine.look()))

    def _load_api(self) -> "FastAPI":
        """The heaviest part to import: done while the practice exchange boots on another core."""
        from tradingd.api.app import create_app

        self._auth = Auth.open(self._data_dir.path, self.settings.api.token_hours)
        redact.learn(read_credentials(self._data_dir.path / CREDENTIALS_FILE).secret)
        app = create_app(self, self._auth)
        app.state.metrics = self._audience.metrics
        return app

    async def _serve(self, app: "FastAPI", stack: contextlib.AsyncExitStack) -> None:
        from tradingd.api.server import PortInUseError, serve_api

        try:
            server = await serve_api(app, self.settings.api.host, self.settings.api.port)
        except PortInUseError as error:
            raise PortTakenError(str(error)) from error
        stack.push_async_callback(server.stop)
        self._url = server.url
        self._data_dir.announce(RunInfo(os.getpid(), server.url, self._started_ns))
        self._service.ready(f"control {server.url}")
        self._spawn("service watchdog", self._service.watch(self._service_status))

    def _service_status(self) -> str:
        return self._not_ready or f"{self._runtime.engine.trading_state} in {self.settings.mode} mode"

    def _start_council(self) -> None:
        self._runtime.agent_watch.install()
        self._runtime.start_council()

    async def _open_account(self) -> None:
        """Paper: the configured capital once. Live: what the venue says; exits need market data now, entries wait."""
        account = self._account
        if self.settings.mode == "paper":
            account.give_capital(self.settings.account.capital)
            return
        account.forbid_entries()
        if account.is_new:
            await account.compare()
        else:
            self._spawn("reconciliation", account.compare())

    @property
    def _own_settings(self) -> VenueSettings:
        return self.settings.venues.get(self.settings.venue, VenueSettings())

    def _welcome(self, instruments: Sequence[Instrument]) -> None:
        if self.settings.log.format == "console":
            where = "a replay" if self._is_replay else f"the {self.settings.venue} market"
            names = [instrument.symbol for instrument in instruments]
            sys.stdout.write(banner.welcome(self.settings.mode, where, names, self._url, self._data_dir.path))
            sys.stdout.flush()
        self._auth.show_new_password(sys.stderr)

    def _recording_note(self) -> str:
        if not self._recording.has_candles:
            return ""
        decision = self.settings.candles.decision
        return (
            f"the recording is made of candles; decisions are taken on {decision} candles (candles.decision): set it "
            "to the recording's interval if that is longer"
        )

    # ---- while running -----------------------------------------------------------------------------

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._on_task_done)
        self._tasks.append(task)

    def _on_task_done(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._on_fatal(task.exception() or RuntimeError(task.get_name()))

    def _on_fatal(self, error: BaseException) -> None:
        """Engine, gate, ledger or journal failed: nothing goes on from here but a new start."""
        if self._fatal is None:
            self._fatal = error
            self._audience.tell("critical", "stopped by a failure", str(error) or type(error).__name__)
        self.request_shutdown(f"failure: {error}")

    async def _run_feed(self, instruments: Sequence[Instrument]) -> None:
        await self._feed.run(instruments, self._driver.sink)

    def _on_second(self) -> None:
        """Before each timer: the data's age, symbols that were halted, the end of a timed run."""
        runtime, driver = self._runtime, self._driver
        runtime.health.show_halted(runtime.engine.halted_symbols)
        if self._history is not None:
            self._history.on_second(self._clock.now())
        if driver.state == "connected" and driver.last_ns:
            age = self._clock.now() - driver.last_ns
            if age > self._limits.stale_after_ns:
                limit_s = self._limits.stale_after_ns / SECOND_NS
                # No age in the text: a reason that changes every second would be a new vote every second.
                runtime.health.raise_condition("stale", f"no market data for more than {limit_s:g} s")
            else:
                runtime.health.clear("stale")
        if self.settings.bus.url != "memory://" and self._bus.is_connected:
            runtime.health.clear("bus")
        if self._replay.is_behind:
            return
        if why := self._disk_watch.look():
            runtime.health.raise_condition("disk", why)
        else:
            runtime.health.clear("disk")
        if self._configured_grids is not None:
            self._configured_grids.on_second(
                is_active=runtime.engine.trading_state == "ACTIVE", prices=runtime.engine.prices(),
                tuned=held_parameters(self.settings, self.read_model.tuning.current),
            )
        if self._tuner is not None and not self._is_replay:
            self._tuner.on_second()
        limit = self._options.for_seconds
        is_full = driver.first_ns and limit is not None and self._clock.now() - driver.first_ns >= limit * SECOND_NS
        if is_full and not self._is_replay:  # a replay's driver stops at that very moment
            self._on_full()

    def _on_full(self) -> None:
        self.request_shutdown(f"ran for {self._options.for_seconds:g} s of feed time")

    def _on_market_data(self) -> None:
        if self._history is not None:
            self._history.on_up(self._clock.now())
        if self._not_ready == _WAITING:
            self._not_ready = ""

    def _tell_paths(self) -> None:
        """When a recording of candles is over, and again at the end if more was traded since."""
        paths = self.read_model.paths
        told = None if paths is None else paths.report().sentence(self.settings.candles.decision)
        if told is not None and told != self._paths_told:
            self._paths_told = told
            self._runtime.tell_story("NOTE", told)

    def _on_replay_end(self) -> None:
        if self._driver.before_item is not None:
            self._before_item(self._driver.items)
            self._replay.check_end()
        self._tell_paths()
        self._runtime.health.raise_condition("replay", "the replay is over", reduces=False)
        if self._options.for_seconds is not None:
            self.request_shutdown("the replay is over")

    def _on_bus_change(self, connected: bool) -> None:
        if self._not_ready == "stopping":
            return  # we hung up ourselves: no fault, and the journal has its last word already
        if connected:
            self._runtime.health.clear("bus")
        else:
            self._runtime.health.raise_condition("bus", "the Redis bus is not connected: no entries until it is back")
        self._runtime.vote_health()

    def _on_child_death(self, reason: str) -> None:
        _log.error(reason)
        if self._not_ready in ("starting", "stopping", _BEHIND):
            return
        self._runtime.record("daemon", system.AlertRaised("critical", "practice exchange", reason))

    # ---- the end -----------------------------------------------------------------------------------

    async def _end(self) -> None:
        self._not_ready = "stopping"
        if not self.is_to_start_again:
            self._service.stopping(self._stop_reason)
        await self._cancel_tasks()
        if self._tuner is not None:
            await self._tuner.stop()
        if self._plugins is not None:
            await self._plugins.stop()  # what they would still answer is no part of this session
        if self._fatal is None and not self._replay.is_behind:  # else it is cut again where it was cut
            self._tell_paths()
            if self.read_model.paths is not None:
                self._runtime.record("daemon", self.read_model.paths.noted())
            self._runtime.record("daemon", system.DaemonStopping(self._stop_reason))
            self._journal.flush()
            if self._checkpoints is not None:
                await self._checkpoints.at_end()
            farewell = farewell_of(self._runtime.engine, self._venue, self._stop_reason, self._data_dir.path)
            self._runtime.tell_story("STOPPED", farewell)

    def _write_line(self, line: StoryLine) -> None:
        """To the console, but not again what was there before the cut."""
        if not self._replay.is_behind:
            self._writer(line)

    async def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_SHUTDOWN_LIMIT_S)
        self._tasks.clear()
