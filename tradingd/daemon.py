"""One run of the process: starts every part in order, keeps them going, ends them in order.

Start: data directory and lock -> journal -> practice child (when the venue is practice; while it boots, the
control API is loaded) -> instruments -> venue -> engine folded from the journal, stops placed -> agents -> feed and the
engine's seconds -> control API -> bus -> account compared -> history -> timer. A replay's feed comes after all of it.
End: feed -> council -> journal -> control API -> venue -> practice child -> lock.
"""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Sequence

from bus import codec
from bus.bus import Bus
from bus.clock import Clock, FeedClock, LiveClock
from bus.ids import SessionId
from bus.messages import system
from exchanges.venue import ReportSink, Venue
from market.instrument import Instrument
from market.interval import SECOND_NS
from tradingd import composition, restore, venue_access
from tradingd.account_opening import AccountOpening
from tradingd.account_return import AccountReturn
from tradingd.announcements import candles_note, farewell_of, invention_note, tell_standing, welcome
from tradingd.api_opening import ApiOpening
from tradingd.api_return import ApiReturn
from tradingd.audience import Audience
from tradingd.background_tasks import BackgroundTasks
from tradingd.bus_choice import make_bus
from tradingd.checkpoint import Recovery
from tradingd.checkpoint_keeper import CheckpointKeeper
from tradingd.collection_pause import collect_rarely
from tradingd.conditions import Conditions
from tradingd.crash_loop import CrashLoopMark
from tradingd.data_dir import DataDir
from tradingd.disk_watch import DiskWatch
from tradingd.each_second import EachSecond
from tradingd.early_reports import EarlyReports
from tradingd.elapsed import elapsed_s
from tradingd.exit_codes import OK
from tradingd.feed_driver import FeedDriver
from tradingd.huge_pages import move_to_huge_pages
from tradingd.journal_flusher import JournalFlusher
from tradingd.journal_opening import open_journal
from tradingd.kill_file_trial import until_it_can_be_made
from tradingd.lasting_work import LastingWork
from tradingd.lease import LeaseKeeper
from tradingd.lease_choice import hold_account
from tradingd.life import BEHIND, READY, STOPPING, WAITING, Life
from tradingd.logs import LogFiles
from tradingd.long_reading import LongReading
from tradingd.market_access import MarketAccess
from tradingd.message_journal import MessageJournal
from tradingd.operations import Operations
from tradingd.partial_candles import PartialCandles
from tradingd.path_dependence import PathDependence
from tradingd.plugins.plugins import Plugins
from tradingd.read_model import ReadModel
from tradingd.records import Records
from tradingd.rehearsal import rehearse
from tradingd.replay_run import ReplayRun
from tradingd.run_options import RunOptions
from tradingd.runtime import Runtime
from tradingd.runtime_assembly import RuntimeAssembly
from tradingd.service_notify import ServiceNotify
from tradingd.session import begin_session
from tradingd.session_inputs import InputTape
from tradingd.settings import Settings, VenueSettings
from tradingd.start_failure import after_start, before_reading
from tradingd.status_report import StatusReport
from tradingd.store_choice import start_store
from tradingd.story import BackgroundWriter, StoryLine, make_writer
from tradingd.strategy_choice import chosen_over
from tradingd.tuner import Tuner
from tradingd.venue_opening import make_paper_venue, open_live_venue
from tradingd.venue_wait import OutageAlert, VenueWait, open_matters
from tradingd.warm_up import warm_up
from tradingd.weight_keeper import keep_weights

_log = logging.getLogger(__name__)


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
        self._past = before_reading(data_dir.path)
        self._checkpoints: CheckpointKeeper | None = None
        self._replay = ReplayRun(settings, options, data_dir.path)
        self._replay_note = ""
        self._left_out: list[str] = []
        self._early = EarlyReports()
        self._conditions = Conditions(settings, self.life)
        self._operations = Operations(settings, options, data_dir.path, self.life, self._replay, self._conditions)
        self._log_files = log_files
        self._audience = Audience(settings, self._operations, lambda: self._clock.now())
        self._long_reading = LongReading(self._audience, data_dir.path, is_live=settings.mode == "live")
        self._api = ApiOpening(settings, data_dir, self._operations, self._audience.metrics)
        self._service = ServiceNotify()
        self._tuner: Tuner | None = None
        self._account_return: AccountReturn | None = None
        # Set while starting; read only when ready.
        self._journal: MessageJournal
        self._recovery: Recovery
        self._runtime: Runtime
        self._driver: FeedDriver
        self._each_second: EachSecond
        self._wait: VenueWait
        self._account: AccountOpening
        self._feed: venue_access.MarketFeed
        self._venue: Venue
        self._bus: Bus
        self._clock: Clock = LiveClock()
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
                if self._conditions.is_restored:  # a session has begun: it ends as any other
                    await self._end()
                return OK
            failed = starting.exception()
            if not self._is_replay:
                after_start(failed, self._past, self._audience, self._data_dir.path, stack)
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
        urls = await self._reach_market(access, stack)
        first_ns = self._recording.first_ns if self._is_replay else None
        self._clock, self._session = begin_session(self._past, first_ns, self.settings.seed)
        self._operations.clock, self._operations.session = self._clock, self._session
        self._audience.open()
        stack.push_async_callback(self._audience.close)
        records = Records(self.settings, self._data_dir.path, is_replay=self._is_replay)
        self._operations.plugins = plugins = Plugins(self.settings, self._clock, waits=self._is_replay)
        stack.push_async_callback(plugins.stop)
        plugins.launch()
        self._begin_replay(stack)
        self._feed = venue_access.make_feed(
            self.settings, urls, self._clock, is_replay=self._is_replay, on_frame=records.frames(stack),
            urgent=lambda: self._read_model.symbols_at_stake(),
        )
        stack.push_async_callback(self._feed.close)
        instruments = await self._choose_instruments()
        await plugins.loaded()
        keeper = await hold_account(
            self.settings, urls, self._session, stack, is_restart=bool(self._past.count),
            on_doubt=self._conditions.lease, on_lost=self._on_fatal,
        )
        await self._open_venue(urls, instruments, stack)
        self._make_runtime(instruments, plugins, records.inputs(
            self._session, self._clock.now(), self._journal.path.name, instruments, stack,
        ))
        if not self._replay.was_cut:
            self._hear()
        stack.push_async_callback(self._audience.close)  # in a run's orderly end before the venue
        self._each_second.history = records.history(
            self._runtime, self._driver, self._feed, self._limits.stale_after_ns, stack,
        )
        stack.push_async_callback(self._tasks.cancel)
        await self._restore(keeper)
        plugins.tell_loaded()
        self._runtime.agent_watch.install()
        self._runtime.start_council()
        stack.callback(self._runtime.agent_watch.remove)
        self._watch_over_positions(instruments)
        await self._serve(stack)
        self._audience.start(self._runtime.health)
        await self._bus.start()
        stack.push_async_callback(self._bus.stop)
        stack.push_async_callback(self._tasks.cancel)
        self._welcome(instruments)
        await self._open_account()
        await warm_up(self._runtime, self._feed, instruments, self.settings.candles)
        self._begin_council(instruments)
        work = LastingWork(self.settings, self._tasks, self._runtime, self._venue)
        work.look_after_account(instruments, self._account, self._account_return)
        if not self._is_replay:
            work.look_after_rules(instruments, self._feed)
            work.keep_time_and_files(self._driver, self._journal, self._checkpoints, plugins)
            start_store(self.settings, self._data_dir.path, self._conditions.store, stack)
        rehearse()
        collect_rarely()
        self._tasks.spawn("huge pages", move_to_huge_pages())

    async def _reach_market(self, access: MarketAccess, stack: contextlib.AsyncExitStack) -> VenueSettings:
        """Where it is; of a practice exchange of our own once it has booted, beside which the control API is loaded."""
        stack.push_async_callback(access.close)
        await access.launch(
            self._data_dir.path, not_before_ns=self._past.last_ts, held=self._read_model.results.holdings.keys(),
            shift_days=self._replay.shift_days, fast_until_ns=self._replay.cut_ns,
            stake=open_matters(self._read_model),
        )
        self._no_kill_file = access.no_kill_file
        codec.prepare()
        if access.has_child:
            self._api.load_early()
        urls = await access.urls()
        self._recording = await access.recording(urls)
        return urls

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
        self._tasks.spawn("journal flush", JournalFlusher(self._journal).run())
        self._tasks.spawn("first beats", self._driver.run_first_beats())
        self._feed.know_prices(self._runtime.engine.old_prices())
        self._tasks.spawn("feed", self._feed.run(instruments, self._driver.sink))

    def _begin_council(self, instruments: Sequence[Instrument]) -> None:
        """The history is there. A replay's feed begins only now: it waits for nobody."""
        self.life.phase = READY if self._driver.first_ns else WAITING
        if not self._is_replay:
            self._runtime.release_candles()
            return
        if self._replay.is_behind:
            self.life.phase = BEHIND
        self._driver.before_item = self._before_item if self._replay.was_cut else None
        self._tasks.spawn("feed", self._feed.run(instruments, self._driver.sink))

    def _open_journal(self, stack: contextlib.AsyncExitStack) -> None:
        with self._long_reading.watching(is_replay=self._is_replay):
            opened = open_journal(
                self._data_dir, self.settings, self._replay, self._service, is_replay=self._is_replay,
                progress=self._long_reading.progress,
            )
        self._journal, self._past, self._recovery = opened.journal, opened.past, opened.recovery
        self._operations.read_model, self._replay_note = opened.read_model, opened.note
        stack.callback(self._journal.close)
        is_first = not self._past.count  # nothing is at stake, and its terminal tells
        self._wait = VenueWait(
            self._options.patience_s if is_first else None, self._data_dir, self._service,
            None if is_first or self._is_replay else OutageAlert(self.settings, self._read_model, self._audience.tell),
        )
        self._strategies, self._untried = chosen_over(self.settings, open_matters(self._read_model))

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
        engine, operations = self._runtime.engine, self._operations
        # A replay's journal is held against another run's, in which there was no such file.
        warn = _log.warning if self._is_replay else self._conditions.kill_file
        watch = operations.kill_file.watch(lambda: engine.kill, operations.by_kill_file, warn)
        self._tasks.spawn("kill file", watch)
        if self._no_kill_file:
            self._conditions.no_kill_file(self._no_kill_file)
            again = until_it_can_be_made(self._data_dir.path, self._conditions.no_kill_file)
            self._tasks.spawn("kill file trial", again)

    async def _choose_instruments(self) -> list[Instrument]:
        offered = await self._wait.until_answered(self._feed.instruments)
        holdings = self._read_model.results.holdings
        if self._is_replay:
            take_all = not self._options.symbols_given
            return composition.choose_instruments(self.settings, offered, take_all=take_all, held=holdings.keys())
        held = {symbol: (each.quantity, each.average_price) for symbol, each in holdings.items()}
        left_out = self._left_out if open_matters(self._read_model) else None
        return composition.choose_watched(self.settings, offered, held, left_out)

    async def _open_venue(
        self, urls: VenueSettings, instruments: Sequence[Instrument], stack: contextlib.AsyncExitStack
    ) -> None:
        if self.settings.mode == "paper":
            on_report: ReportSink = lambda report: self._runtime.on_report(report)  # noqa: E731 - it answers later
            self._venue = make_paper_venue(self.settings, instruments, on_report, lambda: self._runtime.engine)
            return
        self._venue, self._account_return = await open_live_venue(
            self.settings, urls, self._clock, instruments, self._read_model, on_report=self._early.take,
            compare=lambda: self._account.compare_again(), conditions=self._conditions, wait=self._wait, stack=stack,
        )

    def _make_runtime(
        self, instruments: Sequence[Instrument], plugins: Plugins, inputs: InputTape | None
    ) -> None:
        self._bus = make_bus(self.settings, self._session, self._clock, self._conditions.bus)
        assembly = RuntimeAssembly(
            settings=self.settings, limits=self._limits, session=self._session, clock=self._clock, venue=self._venue,
            tradable=[each for each in instruments if each.quote == self.settings.account.quote],
            bus=self._bus, journal=self._journal, read_model=self._read_model, strategies=self._strategies,
        )
        outside = plugins.names
        if open_matters(self._read_model) and (why := composition.unknown_alpha(self.settings, outside)):
            outside, self._untried = None, f"{self._untried} {why}".strip()
        watch = self._operations.alpha_watch
        self._runtime = runtime = assembly.runtime(plugins, outside, watch, inputs, self._write_line)
        runtime.on_fatal = self._on_fatal
        grids = assembly.grids(runtime, self._operations.by_settings)
        self._tuner = assembly.tuner(runtime)
        weights = keep_weights(runtime, self.settings)
        plugins.connect(runtime)
        self._driver = FeedDriver(
            runtime, on_second=lambda: self._each_second.look(), on_end=self._on_replay_end,
            replay_clock=self._clock if isinstance(self._clock, FeedClock) else None,
            silence_is_normal=self._recording.has_candles, on_up=self._on_market_data,
            for_ns=round((self._options.for_seconds or 0) * SECOND_NS), on_full=self._on_full, monotonic=elapsed_s,
        )
        if not self._is_replay:
            self._driver.partial_candles = PartialCandles(runtime, self._feed, instruments, self.settings.candles)
        limit = None if self._is_replay else self._options.for_seconds
        self._each_second = EachSecond(
            settings=self.settings, clock=self._clock, runtime=runtime, driver=self._driver, feed=self._feed,
            bus=self._bus, conditions=self._conditions, replay=self._replay, disk=DiskWatch(self._data_dir.path),
            grids=grids, tuner=None if self._is_replay else self._tuner, stale_after_ns=self._limits.stale_after_ns,
            for_ns=None if limit is None else limit * SECOND_NS, on_full=self._on_full,
        )
        report = StatusReport(
            runtime, self._driver, self._feed, self._bus, self.settings.bus.url, self._read_model,
            started_ns=self._started_ns,
        )
        self._operations.begin(runtime, self._driver, report, weights, self._tuner)
        self._account = AccountOpening(runtime, self._venue, self.settings.account.quote)
        if self._recording.has_candles:
            self._read_model.paths = PathDependence(self.settings.candles.decision)
        self._conditions.begin(
            runtime, listed=[each.symbol for each in instruments],
            held=[row.symbol for row in self._read_model.positions()], notes=getattr(self._venue, "notes", ()),
        )

    async def _restore(self, keeper: LeaseKeeper | None) -> None:
        """The engine folded, checkpoints kept from here on; the kill file; then what protects may be sent."""
        recovery = self._recovery
        del self._recovery  # a checkpoint is large
        with self._long_reading.watching(is_replay=self._is_replay):
            scope = restore.fold_engine(self._runtime, recovery, self.settings.account.quote, self._service)
        if not self._is_replay:  # a replay begins anew each time
            if recovery.problems:
                self._conditions.slow_start(recovery.problems)
            self._checkpoints = restore.keep_checkpoints(self._journal, recovery, scope)
        if keeper is not None:  # the fold may have taken longer than the lease lasts
            await keeper.verify()
        restore.finish(self._runtime, self._operations, self._replay, recovery)
        self._early.give_to(self._runtime.on_report)
        self._conditions.restored()
        self._conditions.selection(self._untried)
        self._conditions.left_out(self._left_out)
        if not self._replay.was_cut:
            self._watch_kill_file()
        self._operations.refresh_portfolio()
        mark = CrashLoopMark(self._journal.path, remembers=not self._is_replay)
        self._conditions.on_go_on = mark.clear
        is_found = self._past.is_crash_loop(self._clock.now())
        if mark.look(is_found_now=is_found, is_wanted=not self._options.no_safe):
            self._conditions.crash_loop()

    async def _serve(self, stack: contextlib.AsyncExitStack) -> None:
        stack.push_async_callback(self._api.stop)
        api = ApiReturn(self._api, self._data_dir, self._started_ns, self._conditions.api)
        if not await api.open("" if self._is_replay else open_matters(self._read_model)):
            self._tasks.spawn("control API", api.run())
        self._service.ready(f"control {self._api.url or 'API away'}")
        self._tasks.spawn("service watchdog", self._service.watch(
            lambda: self.life.phase or f"{self._runtime.engine.trading_state} in {self.settings.mode} mode",
        ))

    async def _open_account(self) -> None:
        """Paper: the configured capital once. Live: what the venue says; exits need market data now, entries wait."""
        account = self._account
        if self.settings.mode == "paper":
            account.give_capital(self.settings.account.capital)
        elif account.is_new:
            await self._wait.until_answered(account.compare)
        else:
            self._tasks.spawn("reconciliation", account.compare())

    def _welcome(self, instruments: Sequence[Instrument]) -> None:
        """What a person must know at once."""
        is_console = self.settings.log.format == "console"
        if is_console:
            welcome(self.settings, instruments, self._api.url, self._data_dir.path, is_replay=self._is_replay)
        self._api.show_new_password()
        candles = candles_note(self.settings.candles.decision) if self._recording.has_candles else ""
        notes = (self._replay_note, candles, "" if self._is_replay else invention_note(self.settings))
        tell_standing(self._runtime, url="" if is_console else self._api.url, notes=notes)

    # ---- while running -----------------------------------------------------------------------------

    def _on_fatal(self, error: BaseException) -> None:
        """Engine, gate, ledger or journal failed: nothing goes on from here but a new start."""
        if self.life.failure is None:
            self.life.failure = error
            self._audience.tell("critical", "stopped by a failure", str(error) or type(error).__name__)
        self.life.end(f"failure: {error}")

    def _on_full(self) -> None:
        self.life.end(f"ran for {self._options.for_seconds:g} s of feed time")

    def _on_market_data(self) -> None:
        if self._each_second.history is not None:
            self._each_second.history.on_up(self._clock.now())
        if self.life.phase == WAITING:
            self.life.phase = READY

    def _tell_paths(self) -> None:
        """When a recording of candles is over, and again at the end if more was traded since."""
        if self._read_model.paths is not None and (told := self._read_model.paths.news()):
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
