"""One life of the daemon in virtual time: the real parts, wired as `tradingd.daemon` wires them, without sockets."""

import os
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from bus.bus import Bus
from bus.ids import CLIENT_ID_PREFIX, ClientOrderId
from bus.memory_bus import MemoryBus
from bus.messages import system
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import FundsChanged
from bus.messages.orders import OrderSubmitted
from exchanges.answers import VenueError
from exchanges.binance.market_state import FeedCounters, MarketState
from exchanges.binance.parser import FrameError, FrameParser, QuoteFrame, TradeFrame
from exchanges.venue import FeedDown, FeedUp
from market.instrument import Instrument
from market.money import ZERO
from market.ticks import FeedAlive
from simulator.link import Link
from simulator.schedule import SECOND, Schedule
from store.journal_format import Record
from tradingd import composition
from tradingd.account_watch import AccountWatch, query_working
from tradingd.balance_hints import is_any_on_its_way
from tradingd.checkpoint import Recovery, note_scope
from tradingd.checkpoint_parts import Scope
from tradingd.feed_driver import FeedDriver
from tradingd.instrument_watch import LEAST_PAUSE_S, InstrumentWatch
from tradingd.message_journal import MessageJournal
from tradingd.read_model import ReadModel
from tradingd.ready_keeper import SOON_S as READY_SOON_S
from tradingd.runtime import Runtime
from tradingd.session import PastSessions, live_session_id
from tradingd.settings import Settings
from tradingd.story import Story, StoryLine

_T = TypeVar("_T")


class Died(BaseException):
    """The process was killed here: nothing after this line happened. Nobody starts it again for `down_s` seconds."""

    def __init__(self, why: str, down_s: float = 0.0) -> None:
        super().__init__(why)
        self.down_s = down_s


@dataclass(eq=False, slots=True)
class PlannedDeath:
    """At the next moment of this name; each is one death."""

    moment: str
    down_s: float


class Process:
    """From start to death. `moment` is asked at each point where a death may be planned."""

    def __init__(
        self, settings: Settings, instruments: Sequence[Instrument], schedule: Schedule, link: Link, path: Path,
        *, moment: Callable[[str], None], tell: Callable[[str], None], has: Callable[[str], bool],
        is_safe_mode: bool = False,
    ) -> None:
        """`is_safe_mode`: the third start within ten minutes after unclean ends waits for a person (F40)."""
        self.settings = settings
        self.schedule = schedule
        self.link = link
        self.orders = 0
        self.is_reconciled = False
        self._rules_ns = 0
        self._seen = ZERO
        """A difference of money that was found once."""
        self._instruments = instruments
        self._moment = moment
        self._tell_world = tell
        self._has = has
        self.path = path
        self.begun_ns = schedule.now
        begin = time.perf_counter()
        self.limits = composition.make_limits(settings)
        self.session = live_session_id(schedule.now)
        self.journal = MessageJournal.open(path)
        self.past = PastSessions()
        self.model = ReadModel(settings.account.quote)
        try:
            self.recovery = Recovery(self.journal, self.past, self.model)
        except BaseException:
            self.journal.abandon()
            raise
        self.engine = composition.make_engine(settings, self.limits, instruments, self.session)
        self.bus: Bus = _ShakyBus(MessageMaker("bus", self.session), has)
        self._watch_journal()
        self.runtime = Runtime(
            session=self.session, engine=self.engine, venue=link, bus=self.bus, journal=self.journal,
            read_model=self.model, story=Story(self._line, settings.account.quote),
            clock=schedule.clock, warmup=settings.candles.warmup,
        )
        for name, make in composition.make_agents(settings, self.limits, instruments, self.session).items():
            self.runtime.add_agent(name, make)
        self.driver = FeedDriver(
            self.runtime, on_second=self._on_second, on_end=lambda: None, replay_clock=None,
            monotonic=lambda: schedule.now / SECOND,
        )
        self.driver.expect_second()
        self.parser = FrameParser({each.venue_symbol: each.symbol for each in instruments})
        self.market = MarketState(instruments, FeedCounters())
        self.watch = AccountWatch(self.runtime, link, settings.account.quote, instruments, self._change_funds)
        no_feed: Any = _NoFeed()
        self.rules_watch = InstrumentWatch(self.runtime, no_feed, link, instruments)
        self._is_safe_mode = is_safe_mode
        self._is_ready_due = self._is_dead = False
        self.runtime.health.raise_condition("feed", "market data has not begun")
        link.sink = self._on_report
        link.on_send = self._on_send
        try:
            self._restore()
        except BaseException:
            self.journal.abandon()  # it died on the way up
            raise
        self.recovery_s = time.perf_counter() - begin

    # ---- as the daemon does -------------------------------------------------------------------------

    def _restore(self) -> None:
        scope = Scope.of(self.settings.account.quote, self._instruments)
        self.recovery.fold_engine(self.engine, scope)
        if not self.past.count:
            note_scope(self.path, scope)
        run_now(self.link.start())
        self.runtime.record("daemon", system.DaemonStarted(
            self.session, "simulated", self.settings.mode, self.settings.venue, self.settings.symbols,
            self.settings.seed, False,
        ))
        self.runtime.finish_restore()
        self.market.know_prices(self.engine.old_prices())
        self.runtime.start_council()
        self.runtime.on_step = self._on_step
        if self._is_safe_mode and self.past.is_crash_loop(self.schedule.now):
            self.runtime.health.raise_condition("crash loop", "crash loop: the third start within ten minutes")
        self.runtime.health.raise_condition("reconciliation", "our books are not yet compared with the venue's")
        self.runtime.vote_health()

    @property
    def is_new(self) -> bool:
        """Did this account never hold anything?"""
        return self.engine.ledger.funds_in == ZERO

    def open_account(self) -> bool:
        """One look whether the books can be compared, as `tradingd.account_opening` does; true when it is done."""
        engine = self.engine
        if engine.awaits_answers or is_any_on_its_way(self.runtime):
            self._seen = ZERO
            return False
        quote = self.settings.account.quote
        is_new = self.is_new
        try:
            theirs = run_now(self.link.balances()).get(quote, ZERO)
        except VenueError as error:
            if is_new:
                raise Died(f"no balances at the first start: {error}") from error  # the service manager tries again
            return False
        difference = theirs - engine.ledger.cash
        if difference and difference != self._seen and not is_new:
            self._seen = difference
            query_working(self.runtime, self.link)
            return False
        known = engine.ledger.cash
        if theirs != known:
            reason = "initial balance at the venue" if is_new else "difference found at the venue"
            self._change_funds(FundsChanged(quote, theirs - known, theirs, reason))
        self.runtime.record("daemon", system.ReconciliationCompleted(()))
        self.runtime.health.clear("reconciliation")
        self.runtime.vote_health()
        self.is_reconciled = True
        return True

    @property
    def waits_for_a_person(self) -> bool:
        """SAFE mode: entries wait until somebody has looked."""
        return self.runtime.health.is_raised("crash loop")

    def obey(self, body: object, by: str) -> list[Message]:
        """A person's command, as the daemon takes it."""
        if isinstance(body, system.VoteTradingState) and body.voter == "operator" and body.state == "ACTIVE":
            self.runtime.health.clear("crash loop")
            self.runtime.health.clear("venue")
            self.runtime.vote_health()
        return self.runtime.command(body, by=by)

    def stop(self) -> None:
        """An orderly end: the last word is written and flushed."""
        self.runtime.record("daemon", system.DaemonStopping("signal SIGTERM"))
        self.journal.flush()

    def look_at_account(self) -> None:
        run_now(self.watch.look())

    def look_at_rules(self, *, is_due: bool) -> None:
        """The exchange's rules for our symbols, as they are now: when it is time, and when a refusal spoke of them."""
        now = self.schedule.now
        if not is_due and not (self.rules_watch.is_doubted and now - self._rules_ns >= LEAST_PAUSE_S * SECOND):
            return
        self._rules_ns = now
        self.rules_watch.begin_look()
        exchange = self.link.exchange
        self.rules_watch.take([
            replace(exchange.instruments[each.symbol], is_trading=each.symbol not in exchange.halted)
            for each in self._instruments
        ])

    def heartbeat(self) -> None:
        """An application frame that carries nothing else."""
        self.driver.sink(FeedAlive(self.schedule.now))

    def feed_up(self) -> None:
        self.driver.sink(FeedUp("market", self.schedule.now))

    def feed_down(self, reason: str) -> None:
        for item in self.market.on_connection_lost(self.schedule.now):
            self.driver.sink(item)
        self.driver.sink(FeedDown("market", reason, self.schedule.now))

    def frame(self, raw: bytes) -> None:
        """One frame of the market stream, as `exchanges.binance.stream` handles it."""
        try:
            frame = self.parser.parse_frame(raw, self.schedule.now)
        except FrameError:
            return
        if isinstance(frame, QuoteFrame):
            items = self.market.on_quote(frame)
        elif isinstance(frame, TradeFrame):
            items = self.market.on_trade(frame)
        else:
            return
        for item in items:
            self.driver.sink(item)

    def second(self) -> None:
        """The once-a-second timer."""
        self.driver.second()

    def _on_second(self) -> None:
        self._show("disk", "disk_full", "less than 64 MB are free for the journal")
        self._show("bus", "bus_down", "the bus is not connected: no entries until it is back")
        self._show("venue", "bad_key", "the venue refuses the key", stays=True)
        driver, limit = self.driver, self.limits.stale_after_ns
        if driver.state == "connected" and driver.last_ns:
            if self.schedule.now - driver.last_ns > limit:
                self.runtime.health.raise_condition("stale", "no market data")
            else:
                self.runtime.health.clear("stale")

    def _show(self, condition: str, fault: str, text: str, *, stays: bool = False) -> None:
        """What the daemon's watches notice within a second; some things only a person declares well again."""
        if self._has(fault):
            self.runtime.health.raise_condition(condition, text)
        elif not stays:
            self.runtime.health.clear(condition)

    def next_order_id(self) -> ClientOrderId:
        self.orders += 1
        return ClientOrderId(f"{CLIENT_ID_PREFIX}{self.session}-m{self.orders}")

    def _change_funds(self, fact: FundsChanged) -> None:
        self.runtime.take(self.runtime.record("daemon", fact))

    def _on_report(self, report: Any) -> None:
        self._moment("on_report")
        self.runtime.on_report(report)

    def _on_send(self, order: Any, when: str) -> None:
        self._moment(f"{when}_send")

    def _line(self, line: StoryLine) -> None:
        self._tell_world(f"{line.who} {line.kind} {line.symbol} {line.text}")

    def _on_step(self) -> None:
        """As `tradingd.ready_keeper`, without its budget."""
        if not self._is_ready_due:
            self._is_ready_due = True
            self.schedule.after(READY_SOON_S, self._make_ready)

    def _make_ready(self) -> None:
        self._is_ready_due = False
        if not self._is_dead:
            self.runtime.make_ready()

    # ---- disk -----------------------------------------------------------------------------------------

    def _watch_journal(self) -> None:
        append, append_encoded = self.journal.append, self.journal.append_encoded

        def watched(messages: Sequence[Message], *, sync: bool) -> None:
            messages = list(messages)
            is_send = any(type(message.body) is OrderSubmitted for message in messages)
            if sync and self._has("fsync_error"):
                raise Died("the disk reports an error")
            if is_send:
                self._moment("before_journal")
            append(messages, sync=sync)
            if is_send:
                self._moment("after_journal")

        def watched_encoded(records: Sequence[Record], *, sync: bool) -> None:
            if sync and self._has("fsync_error"):
                raise Died("the disk reports an error")
            self._moment("before_journal")
            append_encoded(records, sync=sync)
            self._moment("after_journal")

        self.journal.append = watched  # type: ignore[method-assign,assignment]
        self.journal.append_encoded = watched_encoded  # type: ignore[method-assign]
        file: Any = self.journal._journal
        take_space = file._take_space

        def taken(end: int) -> None:
            if self._has("disk_full"):
                raise OSError("no space left on device")
            take_space(end)

        file._take_space = taken

    def fill_disk(self, left: int) -> None:
        """So many bytes of what the journal took in advance are left."""
        file: Any = self.journal._journal
        file._allocated = min(file._allocated, file._end + left)

    def die(self, *, keeps_unsynced: bool, torn: float) -> None:
        """The process is gone. A power cut takes what was not flushed, but for a part of it."""
        self.link.hang_up()
        self._is_dead = True
        size, synced = self.journal.size, self.journal.synced
        self.journal.abandon()
        if not keeps_unsynced and size > synced:
            os.truncate(self.path, synced + int((size - synced) * torn))


class _NoFeed:
    """The prices are the world's own: nothing is asked for."""

    def leave_out(self, symbols: Collection[str]) -> None:
        pass


class _ShakyBus(MemoryBus):
    """May be away, or lose what it is given."""

    def __init__(self, maker: MessageMaker, has: Callable[[str], bool]) -> None:
        super().__init__(maker)
        self._has = has
        self._given = 0

    def publish(self, message: Message) -> None:
        self._given += 1
        if self._has("bus_down") or (self._has("bus_loss") and self._given % 3 == 0):
            return
        super().publish(message)


def run_now(work: Coroutine[Any, Any, _T]) -> _T:
    """Run what never really waits."""
    try:
        work.send(None)
    except StopIteration as end:
        return cast("_T", end.value)
    work.close()
    raise RuntimeError("something waited in virtual time")

