"""One run of the process: starts every part in order, keeps them going, ends them in order.

Start: data directory and lock -> journal -> practice child (when the venue is practice; while it boots, the
control API is loaded) -> instruments -> venue -> engine folded from the journal, stops placed -> agents -> feed and the
engine's seconds -> control API -> bus -> account compared -> history -> timer. A replay's feed comes after all of it.
End: feed -> council -> journal -> control API -> venue -> practice child -> lock.
"""

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from agents.alphas.panel import AlphaPanel
from bus import codec
from bus.bus import Bus
from bus.clock import Clock, FeedClock, LiveClock
from bus.ids import SessionId
from bus.messages import orders, system
from exchanges.backoff import Backoff
from exchanges.binance.rest import NoAnswerError, VenueError
from exchanges.practice.pairs import invented_note
from exchanges.simulated import SimulatedVenue
from exchanges.venue import Venue
from market.instrument import Instrument
from market.interval import SECOND_NS
from store.checkpoint import CheckpointError
from tradingd import banner, composition, venue_access
from tradingd.account_opening import AccountOpening
from tradingd.account_return import AccountReturn
from tradingd.account_watch import AccountWatch
from tradingd.announcements import farewell_of, tell_standing
from tradingd.audience import Audience
from tradingd.auth import CREDENTIALS_FILE, Auth, read_credentials
from tradingd.background_tasks import BackgroundTasks
from tradingd.bus_choice import make_bus
from tradingd.candle_history import CandleHistory
from tradingd.checkpoint import Recovery, note_scope
from tradingd.checkpoint_keeper import CheckpointKeeper
from tradingd.checkpoint_parts import Scope
from tradingd.collection_pause import no_collection
from tradingd.conditions import Conditions
from tradingd.configured_grids import ConfiguredGrids
from tradingd.data_dir import DataDir, RunInfo
from tradingd.disk_watch import DiskWatch
from tradingd.exit_codes import OK
from tradingd.feed_driver import FeedDriver
from tradingd.huge_pages import move_to_huge_pages
from tradingd.instrument_watch import InstrumentWatch
from tradingd.journal_keeper import JournalKeeper
from tradingd.journal_opening import open_journal
from tradingd.lease import PATIENCE_S, LeaseKeeper, holder_name
from tradingd.lease_choice import take_account
from tradingd.life import BEHIND, READY, STOPPING, WAITING, Life
from tradingd.logs import LogFiles
from tradingd.market_access import MarketAccess
from tradingd.message_journal import MessageJournal
from tradingd.operations import Operations
from tradingd.paper_account import holdings, resting_orders
from tradingd.parameters import held_parameters
from tradingd.path_dependence import PathDependence
from tradingd.plugins.plugins import Plugins
from tradingd.read_model import ReadModel
from tradingd.ready_keeper import ReadyKeeper
from tradingd.recorded_panel import RecordedPanel
from tradingd.recorded_runtime import RecordedRuntime
from tradingd.records import Records
from tradingd.redaction import redact
from tradingd.rehearsal import rehearse
from tradingd.replay_run import ReplayRun
from tradingd.run_options import RunOptions
from tradingd.runtime import Runtime
from tradingd.service_notify import ServiceNotify
from tradingd.session import PastSessions, live_session_id, replay_session_id
from tradingd.session_inputs import InputTape
from tradingd.settings import Settings, VenueSettings
from tradingd.status_report import StatusReport
from tradingd.store_choice import make_store
from tradingd.story import BackgroundWriter, Story, StoryLine, make_writer
from tradingd.tuner import Tuner
from tradingd.tuning_fold import TUNER
from tradingd.version import VERSION
from tradingd.warm_up import warm_up
from tradingd.weight_keeper import keep_weights

if TYPE_CHECKING:
    from fastapi import FastAPI

_log = logging.getLogger(__name__)
_FEED: Final = "market"
_VENUE_CLOCK_S: Final = 0.02
_ANSWER_WITHIN_S: Final = 300.0
"""Longer than asking a venue once takes, with its pauses."""
_YOUNG_OBJECTS: Final = 20_000
_STAYS: Final = (
    "The daemon starts all the same, because positions or orders are open: until the account is taken, only the stops "
    "that rest at the exchange protect them."
)
_T = TypeVar("_T")


class PortTakenError(Exception):
    """The control API cannot listen: somebody else does."""


class Daemon:
    """The parts of one run; people and programs speak to its `Operations`."""

    def __init__(
        self, settings: Settings, options: RunOptions, data_dir: DataDir, log_files: LogFiles | None = None,
    ) -> None:
        self.settings = settings
        self.life = Life()
        self._options = options
        self._data_dir = data_dir
        self._started_ns = time.time_ns()
        self._limits = composition.make_limits(settings)
        self._writer: BackgroundWriter = make_writer(settings.log.format)
        self._tasks = BackgroundTasks(self._on_fatal)
        self._past = PastSessions()
        self._recovery: Recovery | None = None
        self._checkpoints: CheckpointKeeper | None = None
        self._replay = ReplayRun(settings, options, data_dir.path)
        self._replay_note = self._paths_told = ""
        self._conditions = Conditions(settings, self.life)
        self._operations = Operations(settings, options, data_dir.path, self.life, self._replay, self._conditions)
        self._disk_watch = DiskWatch(data_dir.path)
        self._log_files = log_files
        self._audience = Audience(settings, self._operations, lambda: self._clock.now())
        self._tuner: Tuner | None = None
        self._configured_grids: ConfiguredGrids | None = None
        self._service = ServiceNotify()
        self._history: CandleHistory | None = None
        self._account_return: AccountReturn | None = None
        # Set while starting; read only when ready.
        self._journal: MessageJournal
        self._runtime: Runtime
        self._driver: FeedDriver
        self._account: AccountOpening
        self._feed: venue_access.MarketFeed
        self._venue: Venue
        self._bus: Bus
        self._clock: Clock
        self._session: SessionId

    @property
    def _read_model(self) -> ReadModel:
        return self._operations.read_model

    @property
    def _is_replay(self) -> bool:
        return self._operations.is_replay

    # ---- life --------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Until told to stop, or until something fails that must not go on. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.life.end, f"signal {signal.Signals(number).name}")
        async with contextlib.AsyncExitStack() as stack:
            starting = asyncio.create_task(self._start(stack), name="start")
            stopping = asyncio.create_task(self.life.end_asked.wait(), name="stop")
            await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                # Told to stop while a venue or a server keeps us waiting.
                starting.cancel()
                await asyncio.wait((starting,))
                if self.life.failure is not None:  # what runs already has failed: not an end in order
                    raise self.life.failure
                return OK
            failed = starting.exception()
            if failed is not None:
                stopping.cancel()
                raise failed
            await stopping
            await self._end()
        if self.life.failure is not None:
            raise self.life.failure
        return OK

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        stack.callback(self._writer.close)
        access = MarketAccess(self.settings, self._options, self._conditions.child_died)
        self._operations.is_replay = await access.is_replay()
        self._open_journal(stack)
        stack.push_async_callback(access.close)
        await access.launch(
            self._data_dir.path, not_before_ns=self._past.last_ts, held=self._read_model.results.holdings.keys(),
            shift_days=self._replay.shift_days, fast_until_ns=self._replay.cut_ns,
        )
        codec.prepare()
        app = self._load_api() if access.has_child else None
        urls = await access.urls()
        self._recording = await access.recording(urls)
        self._records = Records(self.settings, self._data_dir.path, is_replay=self._is_replay)
        self._make_clock_and_session()
        self._operations.plugins = plugins = Plugins(self.settings, self._clock, waits=self._is_replay)
        stack.push_async_callback(plugins.stop)
        plugins.launch()
        self._begin_replay(stack)
        self._feed = venue_access.make_feed(
            self.settings, urls, self._clock, is_replay=self._is_replay, on_frame=self._records.frames(stack),
        )
        stack.push_async_callback(self._feed.close)
        instruments = await self._choose_instruments()
        keeper = await self._take_account(urls, stack)
        await self._make_venue(urls, instruments, stack)
        await plugins.loaded()
        self._make_runtime(instruments, plugins, self._records.inputs(
            self._session, self._clock.now(), self._journal.path.name, instruments, stack,
        ))
        if not self._replay.was_cut:
            self._hear()
        stack.push_async_callback(self._audience.close)
        self._history = self._records.history(
            self._runtime, self._driver, self._feed, self._limits.stale_after_ns, stack,
        )
        stack.push_async_callback(self._tasks.cancel)
        self._restore()
        plugins.tell_loaded()
        self._start_council()
        stack.callback(self._runtime.agent_watch.remove)
        self._watch_over_positions(instruments)
        await self._serve(app or await self._load_api_aside(), stack)
        self._audience.start(self._runtime.health)
        await self._bus.start()
        stack.push_async_callback(self._bus.stop)
        stack.push_async_callback(self._tasks.cancel)
        self._welcome(instruments)
        tell_standing(
            self._runtime, url=self._url if self.settings.log.format == "json" else "",
            notes=(self._replay_note, self._recording_note(), self._invented_note()),
        )
        await self._open_account()
        await warm_up(self._runtime, self._feed, instruments, self.settings.candles)
        self._begin_council(instruments)
        if self.settings.mode == "live":
            quote = self.settings.account.quote
            watch = AccountWatch(self._runtime, self._venue, quote, instruments, self._account.change_funds)
            self._tasks.spawn("account watch", watch.run())
        if self._account_return is not None:
            self._tasks.spawn("account return", self._account_return.run())
        if not self._is_replay:
            rules = InstrumentWatch(self._runtime, self._feed, self._venue, instruments)
            self._tasks.spawn("instrument watch", rules.run(self._own_settings.refresh_s))
        if keeper is not None:
            self._tasks.spawn("account lease", keeper.run())
        if not self._is_replay:
            self._tasks.spawn("timer", self._driver.run_timer())
            if self._venue.is_simulated:  # a real one answers when it likes
                self._tasks.spawn("venue clock", self._driver.run_venue_clock(_VENUE_CLOCK_S))
            if self.settings.mode == "live":
                self._tasks.spawn("ready orders", ReadyKeeper(self._runtime).run())
        if self._checkpoints is not None:
            self._tasks.spawn("checkpoints", self._checkpoints.run())
        if not self._is_replay:
            self._tasks.spawn("alpha states", plugins.keep_states())
            # A replay is held against its one file byte by byte, and is finite.
            files = JournalKeeper(self._journal, self.settings.journal, self._checkpoints)
            self._tasks.spawn("journal files", files.run())
        self._start_store(stack)
        rehearse()
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS)  # ticks leave nothing behind to be collected: look more rarely
        self._tasks.spawn("huge pages", move_to_huge_pages())

    def _watch_over_positions(self, instruments: Sequence[Instrument]) -> None:
        """Prices, and the engine's seconds: nothing that protects waits for what is started after it."""
        if self._is_replay:
            return
        if self.settings.mode == "live":
            self._account.forbid_entries()
            self._runtime.vote_health()
        else:
            self._account.give_capital(self.settings.account.capital)
        self._runtime.hold_candles()
        self._tasks.spawn("first beats", self._driver.run_first_beats())
        self._tasks.spawn("feed", self._run_feed(instruments))

    def _begin_council(self, instruments: Sequence[Instrument]) -> None:
        """The history is there. A replay's feed begins only now: it waits for nobody."""
        self.life.phase = READY if self._driver.first_ns else WAITING
        if not self._is_replay:
            self._runtime.release_candles()
            return
        if self._replay.is_behind:
            self.life.phase = BEHIND
        self._driver.before_item = self._before_item if self._replay.was_cut else None
        self._tasks.spawn("feed", self._run_feed(instruments))

    def _open_journal(self, stack: contextlib.AsyncExitStack) -> None:
        opened = open_journal(self._data_dir, self.settings, self._replay, is_replay=self._is_replay)
        self._journal, self._past, self._recovery = opened.journal, opened.past, opened.recovery
        self._operations.read_model, self._replay_note = opened.read_model, opened.note
        stack.callback(self._journal.close)

    def _begin_replay(self, stack: contextlib.AsyncExitStack) -> None:
        self._replay.begin(self._session, self._recording.shift_days)
        stack.callback(self._replay.close)
        self._operations.manual_orders = self._replay.last_manual_order(self._session)

    def _before_item(self, taken: int) -> None:
        """A replay that was cut off is told again what it was told, where it was told; then it goes on."""
        for told in self._replay.due(taken):
            self._operations.obey(told.message.body, by=told.by)
        if self._replay.is_behind:
            return
        self._driver.before_item = None
        self.life.phase = READY if self._driver.first_ns else WAITING
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
        watch = self._operations.kill_file.watch(lambda: engine.kill, self._operations.by_kill_file)
        self._tasks.spawn("kill file", watch)

    async def _take_account(self, urls: VenueSettings, stack: contextlib.AsyncExitStack) -> LeaseKeeper | None:
        """Live: nobody else may trade this account, before anything is sent to it."""
        lease = take_account(self.settings, urls, holder := holder_name(self._session), stack)
        if lease is None:
            return None
        keeper = LeaseKeeper(lease, holder, self._conditions.lease, self._on_fatal)
        stack.push_async_callback(keeper.end)
        await keeper.begin(patience_s=PATIENCE_S if self._past.count else 0.0)
        return keeper

    def _start_store(self, stack: contextlib.AsyncExitStack) -> None:
        store = None if self._is_replay else make_store(self.settings, self._data_dir.path, self._conditions.store)
        if store is not None:
            store.start()
            stack.push_async_callback(store.stop)

    def _make_clock_and_session(self) -> None:
        if self._is_replay:
            self._clock = FeedClock(max(self._past.last_ts, self._recording.first_ns))
            self._session = replay_session_id(self.settings.seed, self._past.count)
        else:
            self._clock = LiveClock(self._past.last_ts)
            self._session = live_session_id(self._clock.now(), self._past.last_id)
        self._operations.clock, self._operations.session = self._clock, self._session

    async def _choose_instruments(self) -> list[Instrument]:
        offered = await self._patiently(self._feed.instruments)
        take_all = self._is_replay and not self._options.symbols_given
        holdings = self._read_model.results.holdings
        chosen = composition.choose_instruments(self.settings, offered, take_all=take_all, held=holdings.keys())
        if not self._is_replay:
            held = {symbol: (each.quantity, each.average_price) for symbol, each in holdings.items()}
            composition.require_watched(self.settings, offered, chosen, held)
        return chosen

    async def _make_venue(
        self, urls: VenueSettings, instruments: Sequence[Instrument], stack: contextlib.AsyncExitStack
    ) -> None:
        if self.settings.mode == "paper":
            self._venue = SimulatedVenue(
                composition.paper_config(self.settings), instruments, self._on_report,
                balances=lambda: holdings(self._runtime.engine),
            )
        else:
            live = venue_access.make_live_venue(
                self.settings, urls, self._clock, instruments, on_report=self._on_report,
                on_problem=self._conditions.venue, on_line=self._conditions.order_line,
                on_refused=self._conditions.refused,
            )
            self._venue = live
            self._account_return = AccountReturn(
                live.prove_account, lambda: self._account.compare_again(), self._conditions.taken_again,
                jitter=random.random,
            )
            self._conditions.on_refused = self._account_return.refused
            stack.push_async_callback(live.close)
            await self._open(live)

    async def _open(self, live: venue_access.LiveVenue) -> None:
        """An account that is refused ends the start, unless something is at stake in it."""
        try:
            await self._patiently(live.start)
        except VenueError as error:
            if not self._read_model.positions() and not self._read_model.order_records(working_only=True, limit=1):
                raise
            # An end would leave the stops at the venue alone, and service managers give up after some tries.
            self._conditions.refused_at_start(f"{str(error).rstrip('.')}. {_STAYS}")
            live.begin()

    async def _patiently(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """A restart in the middle of an outage waits for its end; a first start has the patience of its options."""
        backoff, loop = Backoff(random.random), asyncio.get_running_loop()
        began = loop.time()
        while True:
            try:
                return await ask()
            except NoAnswerError as error:
                if not self._past.count and loop.time() - began >= self._options.patience_s:
                    raise
                told = redact(str(error)).rstrip(".")
                _log.warning("the start waits for the venue and asks again: %s", told)
                self._data_dir.note_waiting(f"it waits for the venue and asks again: {told}")
                self._service.waiting(f"waiting for the venue: {told}", within_s=_ANSWER_WITHIN_S)
                await asyncio.sleep(backoff.next_s())

    def _on_report(self, report: orders.ExecutionReport) -> None:
        if report.reason:
            report = replace(report, reason=redact(report.reason))  # a venue's words may repeat our key
        self._runtime.on_report(report)

    def _make_runtime(
        self, instruments: Sequence[Instrument], plugins: Plugins, inputs: InputTape | None
    ) -> None:
        tradable = [i for i in instruments if i.quote == self.settings.account.quote]
        engine = composition.make_engine(self.settings, self._limits, tradable, self._session)
        self._bus = make_bus(self.settings, self._session, self._clock, self._conditions.bus)
        story = Story(self._write_line, self.settings.account.quote)
        parts: dict[str, Any] = {
            "session": self._session, "engine": engine, "venue": self._venue, "bus": self._bus,
            "journal": self._journal, "read_model": self._read_model, "story": story, "clock": self._clock,
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
            self.settings, self._limits, tradable, self._session, self._read_model.alphas.chosen_weights,
            self._operations.alpha_watch, panel, plugins.names,
            chosen_parameters=lambda: self._read_model.tuning.current,
        ).items():
            self._runtime.add_agent(name, make)
        self._configured_grids = ConfiguredGrids(
            self.settings, self._limits, [each.symbol for each in tradable], self._read_model.grids,
            self._operations.by_settings, lambda text: self._runtime.tell_story("GRID", text),
        )
        self._tuner = Tuner(
            self.settings, self._read_model.tuning, self._clock.now,
            lambda change, by: self._runtime.set_parameters(change, by=by),
            lambda note: self._runtime.record(TUNER, note),
            lambda text: self._runtime.tell_story("TUNING", text),
        )
        weights = keep_weights(self._runtime, self.settings)
        plugins.connect(self._runtime)
        self._driver = FeedDriver(
            self._runtime, on_second=self._on_second, on_end=self._on_replay_end,
            replay_clock=self._clock if isinstance(self._clock, FeedClock) else None,
            silence_is_normal=self._recording.has_candles, on_up=self._on_market_data,
            for_ns=round((self._options.for_seconds or 0) * SECOND_NS), on_full=self._on_full,
        )
        report = StatusReport(
            self._runtime, self._driver, self._feed, self._bus, self.settings.bus.url, self._read_model,
            started_ns=self._started_ns,
        )
        self._operations.begin(self._runtime, self._driver, report, weights, self._tuner)
        self._account = AccountOpening(self._runtime, self._venue, self.settings.account.quote)
        if self._recording.has_candles:
            self._read_model.paths = PathDependence(self.settings.candles.decision)
        self._conditions.begin(
            self._runtime, listed=[each.symbol for each in instruments],
            held=[row.symbol for row in self._read_model.positions()], notes=getattr(self._venue, "notes", ()),
        )

    def _restore(self) -> None:
        engine = self._runtime.engine
        scope = Scope.of(self.settings.account.quote, [market.instrument for market in engine.desk.markets.values()])
        lost, recovery = "", self._recovery
        if recovery is not None:
            recovery.fold_engine(engine, scope)
            lost = recovery.lost
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
        if lost and engine.kill is None:  # what seems to be held may be sold already: exits wait for a person, too
            self._runtime.command(orders.EngageKillSwitch("halt", lost, "journal"), by="journal")
        if recovery is not None:
            recovery.forget_lost()
        wish = None if self._replay.was_cut else self._operations.kill_file.look(engine.kill, is_patient=False)
        if wish is not None:
            self._replay.note(-1, wish.by, wish, now)
            self._runtime.command(wish, by=wish.by)
        self._runtime.finish_restore()
        self._conditions.restored()
        if not self._replay.was_cut:
            self._watch_kill_file()
        self._operations.refresh_portfolio()
        if self._past.is_crash_loop(now) and not self._options.no_safe:
            self._conditions.crash_loop()

    def _keep_checkpoints(self, scope: Scope) -> None:
        """From here on; none of a replay, which begins anew each time."""
        recovery, self._recovery = self._recovery, None
        if recovery is None or self._is_replay:
            return
        if recovery.problems:
            self._conditions.slow_start(recovery.problems)
        try:
            note_scope(self._journal.path, scope)
        except CheckpointError as error:
            _log.warning("no checkpoints will be made: %s", error)
            return
        done = recovery.checkpointed if recovery.is_engine_restored else 0
        self._checkpoints = CheckpointKeeper(self._journal, done)

    async def _load_api_aside(self) -> "FastAPI":
        """Imported beside the event loop, which has positions to watch."""
        with no_collection():
            await asyncio.to_thread(importlib.import_module, "tradingd.api.app")
        return self._load_api()

    def _load_api(self) -> "FastAPI":
        """The heaviest part to import: done while the practice exchange boots on another core, if there is one."""
        self._auth = Auth.open(self._data_dir.path, self.settings.api.token_hours)
        redact.learn(read_credentials(self._data_dir.path / CREDENTIALS_FILE).secret)
        with no_collection():
            from tradingd.api.app import create_app

            app = create_app(self._operations, self._auth)
        app.state.metrics = self._audience.metrics
        return app

    async def _serve(self, app: "FastAPI", stack: contextlib.AsyncExitStack) -> None:
        from tradingd.api.server import PortInUseError, serve_api

        try:
            server = await serve_api(app, self.settings.api.host, self.settings.api.port)
        except PortInUseError as error:
            self._auth.show_new_password(sys.stderr)  # it was made, and the next start will not know it
            raise PortTakenError(str(error)) from error
        stack.push_async_callback(server.stop)
        self._url = server.url
        self._data_dir.announce(RunInfo(os.getpid(), server.url, self._started_ns))
        self._service.ready(f"control {server.url}")
        self._tasks.spawn("service watchdog", self._service.watch(self._service_status))

    def _service_status(self) -> str:
        return self.life.phase or f"{self._runtime.engine.trading_state} in {self.settings.mode} mode"

    def _start_council(self) -> None:
        self._runtime.agent_watch.install()
        self._runtime.start_council()

    async def _open_account(self) -> None:
        """Paper: the configured capital once. Live: what the venue says; exits need market data now, entries wait."""
        account = self._account
        if self.settings.mode == "paper":
            account.give_capital(self.settings.account.capital)
        elif account.is_new:
            await self._patiently(account.compare)
        else:
            self._tasks.spawn("reconciliation", account.compare())

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

    def _invented_note(self) -> str:
        is_made_up = self.settings.venue == "practice" and not self._is_replay
        return invented_note(self.settings.symbols) if is_made_up else ""

    def _recording_note(self) -> str:
        if not self._recording.has_candles:
            return ""
        decision = self.settings.candles.decision
        return (
            f"the recording is made of candles; decisions are taken on {decision} candles (candles.decision): set it "
            "to the recording's interval if that is longer"
        )

    # ---- while running -----------------------------------------------------------------------------

    def _on_fatal(self, error: BaseException) -> None:
        """Engine, gate, ledger or journal failed: nothing goes on from here but a new start."""
        if self.life.failure is None:
            self.life.failure = error
            self._audience.tell("critical", "stopped by a failure", str(error) or type(error).__name__)
        self.life.end(f"failure: {error}")

    async def _run_feed(self, instruments: Sequence[Instrument]) -> None:
        await self._feed.run(instruments, self._driver.sink)

    def _on_second(self) -> None:
        """Before each timer: the data's age, symbols that were halted, the end of a timed run."""
        runtime, driver = self._runtime, self._driver
        runtime.health.show_halted(runtime.engine.halted_symbols)
        if self._history is not None:
            self._history.on_second(self._clock.now())
        if driver.state == "connected" and driver.last_ns:
            self._conditions.data_age(self._clock.now() - driver.last_ns, self._limits.stale_after_ns)
        self._conditions.backlog(self._feed.counters.behind_looks)
        if self._bus.is_connected:
            self._conditions.bus_is_there()
        if self._replay.is_behind:
            return
        self._conditions.disk(self._disk_watch.look())
        if self._configured_grids is not None:
            self._configured_grids.on_second(
                is_active=runtime.engine.trading_state == "ACTIVE", prices=runtime.engine.prices(),
                tuned=held_parameters(self.settings, self._read_model.tuning.current),
            )
        if self._tuner is not None and not self._is_replay:
            self._tuner.on_second()
        limit = self._options.for_seconds
        is_full = driver.first_ns and limit is not None and self._clock.now() - driver.first_ns >= limit * SECOND_NS
        if is_full and not self._is_replay:  # a replay's driver stops at that very moment
            self._on_full()

    def _on_full(self) -> None:
        self.life.end(f"ran for {self._options.for_seconds:g} s of feed time")

    def _on_market_data(self) -> None:
        if self._history is not None:
            self._history.on_up(self._clock.now())
        if self.life.phase == WAITING:
            self.life.phase = READY

    def _tell_paths(self) -> None:
        """When a recording of candles is over, and again at the end if more was traded since."""
        paths = self._read_model.paths
        told = None if paths is None else paths.report().sentence(self.settings.candles.decision)
        if told is not None and told != self._paths_told:
            self._paths_told = told
            self._runtime.tell_story("NOTE", told)

    def _on_replay_end(self) -> None:
        if self._driver.before_item is not None:
            self._before_item(self._driver.items)
            self._replay.check_end()
        self._tell_paths()
        self._conditions.replay_is_over()
        if self._options.for_seconds is not None:
            self.life.end("the replay is over")

    # ---- the end -----------------------------------------------------------------------------------

    async def _end(self) -> None:
        self.life.phase = STOPPING
        if not self.life.is_to_start_again:
            self._service.stopping(self.life.end_reason)
        await self._tasks.cancel()
        if self._tuner is not None:
            await self._tuner.stop()
        if self._operations.plugins is not None:
            await self._operations.plugins.stop()  # what they would still answer is no part of this session
        if self.life.failure is None and not self._replay.is_behind:  # else it is cut again where it was cut
            self._tell_paths()
            if self._read_model.paths is not None:
                self._runtime.record("daemon", self._read_model.paths.noted())
            self._runtime.record("daemon", system.DaemonStopping(self.life.end_reason))
            self._journal.flush()
            if self._checkpoints is not None:
                await self._checkpoints.at_end()
            farewell = farewell_of(self._runtime.engine, self._venue, self.life.end_reason, self._data_dir.path)
            self._runtime.tell_story("STOPPED", farewell)

    def _write_line(self, line: StoryLine) -> None:
        """To the console, but not again what was there before the cut."""
        if not self._replay.is_behind:
            self._writer(line)
