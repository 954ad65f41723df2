"""One seed: a market, an exchange, people, faults, the lives of a daemon among them; then the accounts are settled."""

import gc
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Collection
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

from bus.messages.orders import EngageKillSwitch, KillAction, ReleaseKillSwitch
from bus.messages.system import VoteTradingState
from market.instrument import Instrument
from market.money import ZERO
from simulator.checks import Checks
from simulator.exchange import Exchange
from simulator.faults import HINDER_PROCESS, Fault, draw_script, draw_wild_script, longest
from simulator.limits import Limits, rules_of, settings_of
from simulator.link import Link
from simulator.market import SeededMarket
from simulator.market_stream import MarketStream
from simulator.outcome import Outcome
from simulator.people import Person
from simulator.process import Died, PlannedDeath, Process
from simulator.schedule import SECOND, Schedule
from simulator.sent_orders import SentOrders
from simulator.strikes import Strikes
from simulator.triggers import Triggers
from simulator.wishes import Wishes
from store.checkpoint import CheckpointError
from store.journal import JournalError
from tradingd.checkpoint import make_checkpoint
from tradingd.journal_packing import pack
from tradingd.settings import CandleSettings, OrdersSettings, Settings

D = Decimal
BEGIN: Final = 1_750_000_000 * SECOND
CAPITAL: Final = D(10_000)
SETTLE_S: Final = 180.0
"""After the last fault everything must be in order within this time."""
RESTART_S: Final = 1.5
"""As long as the service manager and the start take; up to as much again by chance."""
_HEARD_S: Final = 0.5
"""After a start, until people are heard."""
_MOST_RESTART_S: Final = 20.0
"""Between starts that fail one after the other."""
_LAST_WORDS: Final = 100
"""Questions and answers that are awaited at the end: orders that follow each other without end are a violation."""
_FEWEST_ORDERS: Final = 20
_MOST_ADDED_S: Final = 36_000.0
"""Past the next midnight (UTC): a seed that lost what its rules let it lose in a day trades again on the next one."""
LOOK_EVERY_S: Final = 12
RULES_EVERY_S: Final = 60
"""So often the daemon asks for the exchange's rules; until then it does not know that they have changed."""

_SEVERITY: Final[tuple[KillAction | Literal[""], ...]] = ("", "halt", "cancel", "flatten")
_YOUNG_OBJECTS: Final = 50_000


class World:
    """`run` lives through one seed."""

    def __init__(
        self, seed: int, script: list[Fault] | None, seconds: float, folder: Path, *, is_wild: bool = False,
    ) -> None:
        self.random = Random(seed)  # the seed is the point
        instruments = [_instrument("BTC/USDT", "0.01", "0.0001"), _instrument("ETH/USDT", "0.01", "0.001")]
        self.instruments = instruments
        is_given = script is not None
        self._may_add_s = 0.0 if is_given or is_wild or seconds < 3600 else _MOST_ADDED_S
        if script is None:
            symbols = [each.symbol for each in instruments]
            script = draw_wild_script(self.random, seconds, symbols) if is_wild else draw_script(self.random, seconds)
        self.seconds = min(max([seconds, *(fault.end + 1 for fault in script)]), longest(seconds))
        late = [fault for fault in script if fault.at >= self.seconds]
        if late and is_given:
            raise ValueError(f"{late[0].name} at {late[0].at:g} s: a seed lives {self.seconds:g} s at most")
        self.script = [_cut(fault, self.seconds) for fault in script if fault not in late]
        self.outcome = Outcome(seed)
        self.schedule = Schedule(BEGIN)
        self.markets = {
            each.symbol: SeededMarket(each, D(50_000) if each.base == "BTC" else D(2_500), Random(seed * 7 + number))
            for number, each in enumerate(instruments)
        }
        self.exchange = Exchange(instruments, "USDT", CAPITAL, D("0.001"))
        self.limits = Limits(self, rules_of(seed))
        self.settings = Settings(
            mode="live", venue="practice", symbols=tuple(self.markets), candles=CandleSettings(
                intervals=("5s", "1m"), decision="5s", warmup=0), risk=settings_of(self.limits.rules),
            orders=OrdersSettings(disaster_stop="always"),
        )
        self.link = Link(self.schedule, self.exchange, Random(seed + 1), self.has)
        self.link.guard = self.in_process
        self.process: Process | None = None
        self.journal_path = folder / "sim.journal"
        self._folder = f"{folder}{os.sep}"
        self.kill_pressed: KillAction | Literal[""] = ""
        """What a person's kill switch asks for: pressed is what a living process has obeyed, until one released it."""
        self._doubtful_kill: KillAction | Literal[""] = ""
        """What it asks for if a word that the process died of did not count, or did: the next process knows."""
        self._unheard: list[object] = []
        """What people said while no process lived, in its order."""
        self._kill_file: EngageKillSwitch | None = None
        """Left for the next process by a kill switch that one died of: by itself, or by the command line unanswered."""
        self._is_paused = False
        self._resumed_s = self._started_s = 0.0
        self.true_flow = CAPITAL
        self.taken_ns: dict[str, int] = {}
        """When a person took coins of ours away."""
        self.taken_worth = ZERO
        self.stops_taken: dict[str, bool] = {}
        """Symbols whose sale at the exchange a person cancelled, until `Protection` has seen it."""
        self.foreign: dict[str, Decimal] = {}
        self.forbidden: set[str] = set()
        """Ids of orders that must never reach the exchange."""
        self.is_safe_mode = self.is_damaged = False
        self.deaths = 0
        """Of processes, and of those that were starting."""
        self._failed_first_starts = 0
        self._kept_down_until = 0.0
        self._ends: dict[tuple[str, str], float] = {}
        self._begun: set[str] = set()
        """Names of faults that were ever with us: most are asked for by the second and never come."""
        self._held: list[Callable[[], Any]] = []
        self._deaths: list[PlannedDeath] = []
        self.stream = MarketStream(self)
        self.person = Person(self)
        self.wishes = Wishes(self)
        self.triggers = Triggers(self)
        self.checks = Checks(self)
        self._strikes = Strikes(self)
        self.link.judge = SentOrders(self).judge

    # ---- one life ------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Until the end and the settling after it."""
        self._begin()
        try:
            while self.schedule.now < (end := self._end_ns):  # it moves when the clock jumps
                self.schedule.run_until(end)
            for _ in range(_LAST_WORDS):  # an order of the last instant is known to one side only until it has arrived
                if self.link.busy_until_ns <= self.schedule.now:
                    break
                self.schedule.run_until(self.link.busy_until_ns)
            self.checks.settle()
        except (Exception, Died) as error:  # noqa: BLE001 - a defect of the product is what is looked for
            self.violate(f"failed: {type(error).__name__}: {error}")
            self.note("".join(traceback.format_exc().splitlines(keepends=True)[-12:]))
        if self.process is not None:
            self.process.die(keeps_unsynced=True, torn=0)
        return self.outcome

    def goes_on(self) -> bool:
        """A minute more of a drawn life in which fewer than twenty orders have left: ten hours of them at most.

        Each hour of these somebody comes by who ends the entries' rest after a crash loop.
        """
        if self._may_add_s <= 0 or self.outcome.orders >= _FEWEST_ORDERS:
            return False
        self._may_add_s -= 60
        self.seconds += 60
        if self._may_add_s % 3600 == 0 and self.is_safe_mode and self._resumed_s <= self._started_s:
            self.command(VoteTradingState("operator", "ACTIVE", "the log was looked into"))
        return True

    @property
    def _end_ns(self) -> int:
        return BEGIN + int((self.seconds + SETTLE_S + self.schedule.jumped_since(self.seconds)) * SECOND)

    def _begin(self) -> None:
        for symbol, market in self.markets.items():
            self.exchange.move(symbol, market.bid, market.ask, self.schedule.now)
        self._start()
        for fault in self.script:
            self.schedule.after(fault.at, lambda fault=fault: self._strikes.strike(fault))  # type: ignore[misc]
        for number, symbol in enumerate(self.markets):
            self.schedule.after(0.1 + number / 7, lambda symbol=symbol: self.stream.step(symbol))  # type: ignore[misc]
        self.schedule.after(1, self._second)
        self.schedule.after(self.random.uniform(20, 40), self.person.act)
        for _ in range(2):
            self.schedule.after(self.random.uniform(60, self.seconds), self._keep_journal)

    def _start(self) -> None:
        if self.process is not None:
            return
        if self.schedule.elapsed_s < self._kept_down_until:
            self.schedule.after(RESTART_S, self._start)
            return
        try:
            self.process = Process(
                self.settings, list(self.exchange.instruments.values()), self.schedule, self.link, self.journal_path,
                moment=self._moment, tell=self.note, has=self.has, is_safe_mode=self.is_safe_mode,
            )
        except (Died, JournalError) as death:
            self.link.hang_up()
            self.note(f"the start failed: {death}")
            if isinstance(death, Died):
                self.deaths += 1
                self._keep_down(death.down_s)
            self.schedule.after(RESTART_S, self._start)
            return
        if self.is_damaged:
            self.violate("a damaged journal was folded as if it were whole")
        self.note(f"--- process {self.process.session} started")
        if self._doubtful_kill and self.process.engine.kill is not None:
            self.kill_pressed = self._doubtful_kill
        self._doubtful_kill = ""
        self._started_s = self.schedule.elapsed_s
        self.outcome.recoveries_s.append(self.process.recovery_s)
        self.schedule.after(0.1, self._open_account)
        self.schedule.after(_HEARD_S, self._say_again)
        self.stream.begin_anew()
        if self._kill_file is not None:
            self.command(self._kill_file)

    def _say_again(self) -> None:
        unheard, self._unheard = self._unheard, []
        for body in unheard:
            self.command(body)

    def _open_account(self) -> None:
        process = self.process
        if process is not None and not process.is_reconciled:
            self.in_process(lambda: None if process.open_account() else self.schedule.after(0.1, self._open_account))

    def in_process(self, action: Callable[[], Any]) -> None:
        """What happens in the living process, unless it dies of it; late when its loop is held up."""
        if self.process is None:
            return
        if self.is_held_up:
            self._held.append(action)
            return
        try:
            action()
        except Died as death:
            self.die(str(death), down_s=death.down_s)
        except JournalError as error:
            self.die(f"journal: {error}")

    def command(self, body: object) -> None:
        """A person's word to the living process. What it did to the kill switch is remembered here, for the process may
        forget it: engaged once it was obeyed, released from the moment it is tried."""
        process = self.process
        if process is None:
            if isinstance(body, EngageKillSwitch | ReleaseKillSwitch | VoteTradingState):
                self.note(f"no process lives: {type(body).__name__} waits for the next one")
                self._unheard.append(body)
            return

        def obeyed() -> None:
            self.wishes.note_given(body)
            if isinstance(body, ReleaseKillSwitch):
                self._doubtful_kill, self.kill_pressed, self._kill_file = self.kill_pressed, "", None
            if isinstance(body, EngageKillSwitch):
                self._doubtful_kill = max(self.kill_pressed, body.action, key=_SEVERITY.index)
                if self._kill_file is None or body.action == self._doubtful_kill:
                    self._kill_file = body
            process.obey(body, "anna")
            self._doubtful_kill = ""
            if isinstance(body, VoteTradingState):
                self._is_paused = body.state != "ACTIVE"
                self._resumed_s = -1.0 if self._is_paused else self.schedule.elapsed_s
            if isinstance(body, EngageKillSwitch):
                self._kill_file = None
                self.kill_pressed = max(self.kill_pressed, body.action, key=_SEVERITY.index)

        self.in_process(obeyed)

    @property
    def awaits_a_person(self) -> bool:
        """A person has locked or paused it, or must look first: after a crash loop, after a key that was refused."""
        if self.kill_pressed or self._is_paused:
            return True
        key_was_bad = self._ends.get(("bad_key", ""), -1.0)
        return self._resumed_s <= key_was_bad or (self.is_safe_mode and self._resumed_s <= self._started_s)

    @property
    def is_held_up(self) -> bool:
        """The process has no time, or the machine is asleep."""
        return self.has("stall") or self.has("sleep")

    def die(self, why: str, *, keeps_unsynced: bool = True, down_s: float = 0.0) -> None:
        """The process is gone, and is begun anew by the service manager, `down_s` seconds later at the earliest."""
        self._keep_down(down_s)
        process, self.process = self.process, None
        if process is None:
            return
        self.note(f"--- process died: {why}")
        self.outcome.deaths += 1
        self.deaths += 1
        self._held.clear()
        process.die(keeps_unsynced=keeps_unsynced, torn=self.random.random())
        delay_s = RESTART_S + self.random.uniform(0, RESTART_S)
        if process.is_new:  # it holds nothing, and the exchange tells it no balance: as often as that goes on
            self._failed_first_starts += 1
            delay_s = min(delay_s * 2 ** min(self._failed_first_starts, 10), _MOST_RESTART_S)
        self.schedule.after(delay_s, self._start)

    def _keep_down(self, seconds: float) -> None:
        if seconds:
            self._kept_down_until = max(self._kept_down_until, self.schedule.elapsed_s + seconds)

    @property
    def is_kept_down(self) -> bool:
        """Nobody starts it, or nobody can."""
        return self.process is None and (self.schedule.elapsed_s < self._kept_down_until or self.is_damaged)

    def plan_death(self, moment: str, seconds: float, down_s: float) -> None:
        """One death, at the next such moment within so many seconds; nobody starts it again for `down_s`."""
        plan = PlannedDeath(moment, down_s)
        self._deaths.append(plan)

        def over() -> None:
            if plan in self._deaths:
                self._deaths.remove(plan)
                self.note_in_vain(f"nobody died: no moment {moment} came")

        self.schedule.after(seconds, over)

    def _moment(self, name: str) -> None:
        for plan in self._deaths:
            if plan.moment == name:
                self._deaths.remove(plan)
                raise Died(name, plan.down_s)

    def _keep_journal(self) -> None:
        """As the daemon's keeper does: a checkpoint, another file, and the old one packed."""
        process = self.process
        if process is None or self.is_held_up or self.has("disk_full") or self.has("fsync_error"):
            return
        process.journal.rotate()
        try:
            make_checkpoint(self.journal_path, "auto")
        except CheckpointError as error:
            self.violate(f"no checkpoint: {error}")
        for packed in pack(self.journal_path, time.time_ns(), 0, 0):
            self.note(f"packed {packed.records_before} records into {packed.records_after}")

    # ---- what is with us ---------------------------------------------------------------------------

    def begin(self, fault: str, symbol: str, seconds: float) -> None:
        """It lasts so long from now on, or as long as it was to last already."""
        key = fault, symbol
        end = self.schedule.elapsed_s + seconds
        self._ends[key] = max(self._ends.get(key, 0.0), end)
        self._begun.add(fault)
        if fault == "disk_full" and self.process is not None:
            self.process.fill_disk(self.random.randrange(1 << 18))
        if fault in HINDER_PROCESS:
            self.schedule.after(seconds + 0.001, self._wake)
        if fault == "halted":
            for each in [symbol] if symbol else self.markets:
                self.exchange.halted.add(each)
            self.schedule.after(seconds + 0.001, self._trade_again)

    def has(self, fault: str, symbol: str = "") -> bool:
        """Is this fault with us now, for everything or for this symbol?"""
        return fault in self._begun and self.had(fault, symbol, 0.0)

    def had(self, fault: str, symbol: str, within_s: float) -> bool:
        """The same, or not longer ago than that."""
        if fault not in self._begun:
            return False
        after = self.schedule.ago(within_s) if within_s else self.schedule.elapsed_s
        ends = self._ends
        return ends.get((fault, ""), -1e9) > after or (symbol != "" and ends.get((fault, symbol), -1e9) > after)

    def is_hindered(self, faults: Collection[str]) -> bool:
        """One of these is with us."""
        return any(self.has(fault) for fault in faults)

    def _trade_again(self) -> None:
        for symbol in self.markets:
            if not self.has("halted", symbol):
                self.exchange.halted.discard(symbol)

    def _wake(self) -> None:
        """What had to wait happens now, in its order; a machine that slept has lost its connections."""
        if self.is_held_up:
            return
        held, self._held = self._held, []
        for action in held:
            self.in_process(action)
        process = self.process
        if held and process is not None and self.had("sleep", "", 1.0):
            self.stream.lose(process, "the machine was asleep")

    def note_taken(self, symbol: str, quantity: Decimal) -> None:
        """A person has sold so much of what was ours; what came for it counts as paid in."""
        self.taken_ns[symbol] = self.schedule.now
        self.taken_worth += quantity * self.markets[symbol].bid

    def held(self, symbol: str) -> Decimal:
        """What is ours of it, in truth."""
        base = self.exchange.instruments[symbol].base
        return self.exchange.balances.get(base, ZERO) - self.foreign.get(base, ZERO)

    # ---- each second -----------------------------------------------------------------------------------

    def _second(self) -> None:
        self.schedule.after(1, self._second)
        process = self.process
        if process is not None and not self.is_held_up:
            self.in_process(process.second)
            second = int(self.schedule.elapsed_s)
            if second % 2 == 0:
                self.in_process(self.link.poll)
            if second % LOOK_EVERY_S == 0:
                self.schedule.after(0.5, self._look_at_account)  # not in step with the timer that sends
            if not self.has("network_down"):
                self.in_process(partial(process.look_at_rules, is_due=second % RULES_EVERY_S == 0))
            self.stream.watch(process)
        self.link.pump()
        self.checks.observe()

    def _look_at_account(self) -> None:
        process = self.process
        if process is not None and not self.is_held_up:
            self.in_process(process.look_at_account)

    # ---- the record ------------------------------------------------------------------------------------

    def violate(self, text: str) -> None:
        """What must not be."""
        line = f"VIOLATION {text}"
        self.note(line)
        self.outcome.violations.append(f"{self.schedule.elapsed_s:.1f} s: {text}")

    def note_in_vain(self, text: str) -> None:
        """A fault that befell nobody, and why."""
        self.outcome.faults_in_vain += 1
        self.note(text)

    def note(self, text: str) -> None:
        """For the trace; the folder of this life is no part of it, so that two of one seed are alike."""
        told = text.replace(self._folder, "")
        self.outcome.trace.append(f"{self.schedule.elapsed_s:10.3f} {told}")


def _cut(fault: Fault, end: float) -> Fault:
    return fault if fault.end <= end else Fault(fault.at, fault.name, fault.target, end - fault.at)


def _instrument(symbol: str, tick: str, step: str) -> Instrument:
    base, quote = symbol.split("/")
    return Instrument(
        symbol, base + quote, base, quote, D(tick), D(step), D(step), D(10_000), D(5), D("0.001"), D("0.001"),
    )


def live_through(seed: int, script: list[Fault] | None, seconds: float, *, is_wild: bool = False) -> Outcome:
    """One seed, in a folder of its own that is gone afterwards."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="tradingd-sim-", dir=shared if shared.is_dir() else None) as folder:
        return World(seed, script, seconds, Path(folder), is_wild=is_wild).run()


def begin_worker() -> None:
    """Before the first of many: what is loaded stays, the collector need not look at it (a twentieth of a seed)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)


def live_quietly(seed: int, *, script: list[Fault] | None, seconds: float, is_wild: bool) -> Outcome:
    """For one of many: without the trace, which a seed that failed tells when it is lived through again."""
    outcome = live_through(seed, script, seconds, is_wild=is_wild)
    outcome.trace.clear()
    return outcome


__all__ = ["Outcome", "World", "begin_worker", "live_quietly", "live_through"]
