"""One seed: a market, an exchange, people, faults, the lives of a daemon among them; then the accounts are settled."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final

from bus.ids import ClientOrderId
from bus.messages import orders, system
from bus.messages.grid import StartGrid, StopGrid
from bus.messages.orders import Protection, SubmitOrder, TrailSpec
from market.instrument import Instrument
from market.money import ZERO
from orders.order_table import Order
from simulator.exchange import OURS, Exchange
from simulator.faults import FEED_FAULTS, MOMENTS, ORDER_FAULTS, Fault, draw_script
from simulator.link import Link
from simulator.market import SeededMarket
from simulator.process import Died, Process
from simulator.schedule import MILLISECOND, SECOND, Schedule
from store.journal import JournalError
from tradingd.settings import CandleSettings, OrdersSettings, RiskSettings, Settings

D = Decimal
BEGIN: Final = 1_750_000_000 * SECOND
CAPITAL: Final = D(10_000)
SETTLE_S: Final = 180.0
"""After the last fault everything must be in order within this time."""
RESTART_S: Final = 1.5
"""As long as the service manager and the start take; up to as much again by chance."""
UNPROTECTED_S: Final = 5.0
_GRACE_S: Final = 45.0
"""Seconds after an order fault's end without protection being expected: a timeout and its questions take as long."""


@dataclass(slots=True)
class Outcome:
    """What one seed came to. Zero is the only good number for most of it."""

    seed: int
    orders: int = 0
    fills: int = 0
    deaths: int = 0
    duplicates: int = 0
    orphans: int = 0
    unprotected_s_max: float = 0.0
    position_error: Decimal = ZERO
    cash_error: Decimal = ZERO
    limit_breaches: int = 0
    orders_after_kill: int = 0
    stale_entries: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)


class World:
    """`run` lives through one seed."""

    def __init__(self, seed: int, script: list[Fault] | None, seconds: float, folder: Path) -> None:
        self.random = Random(seed)  # the seed is the point
        self.seconds = seconds
        self.script = draw_script(self.random, seconds) if script is None else script
        self.outcome = Outcome(seed)
        self.schedule = Schedule(BEGIN)
        self.instruments = [_instrument("BTC/USDT", "0.01", "0.0001"), _instrument("ETH/USDT", "0.01", "0.001")]
        self.markets = {
            each.symbol: SeededMarket(each, D(50_000) if each.base == "BTC" else D(2_500), Random(seed * 7 + number))
            for number, each in enumerate(self.instruments)
        }
        self.exchange = Exchange(self.instruments, "USDT", CAPITAL, D("0.001"))
        self.settings = Settings(
            mode="live", venue="practice", symbols=tuple(self.markets), candles=CandleSettings(
                intervals=("5s", "1m"), decision="5s", warmup=0), risk=RiskSettings(preset=""),
            orders=OrdersSettings(disaster_stop="always"),
        )
        self.link = Link(self.schedule, self.exchange, Random(seed + 1), self.has)
        self.link.guard = self._in_process
        self.process: Process | None = None
        self._folder = folder
        self._active: dict[str, float] = {}
        self._death_at = ""
        self._feed_is_down = True
        self._mute_since: float | None = None
        self._last_fault_end = 0.0
        self._unprotected: dict[str, float] = {}
        self._sent_seen = 0
        self._bought_seen: dict[str, int] = {}
        self._true_flow = CAPITAL
        self._foreign: dict[str, Decimal] = {}
        self._killed_at: int | None = None

    # ---- one life ------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        self._begin()
        end = BEGIN + int((self.seconds + SETTLE_S) * SECOND)
        try:
            self.schedule.run_until(end)
            self._settle_accounts()
        except (Exception, Died) as error:  # noqa: BLE001 - a defect of the product is what is looked for
            import traceback

            self._violate(f"failed: {type(error).__name__}: {error}")
            self._note("".join(traceback.format_exc().splitlines(keepends=True)[-12:]))
        if self.process is not None:
            self.process.die(keeps_unsynced=True, torn=0)
        return self.outcome

    def _begin(self) -> None:
        for symbol, market in self.markets.items():
            self.exchange.move(symbol, market.bid, market.ask, self.schedule.now)
        self._start()
        for fault in self.script:
            self._last_fault_end = max(self._last_fault_end, fault.end)
            self.schedule.after(fault.at, lambda fault=fault: self._strike(fault))  # type: ignore[misc]
        for number, symbol in enumerate(self.markets):
            self.schedule.after(0.1 + number / 7, lambda symbol=symbol: self._market_step(symbol))  # type: ignore[misc]
        self.schedule.after(1, self._second)
        self.schedule.after(self.random.uniform(20, 40), self._person)

    def _start(self) -> None:
        if self.process is not None:
            return
        try:
            self.process = Process(
                self.settings, self.instruments, self.schedule, self.link, self._folder / "sim.journal",
                moment=self._moment, tell=self._note, has=self.has,
            )
        except (Died, JournalError) as death:
            self.link.hang_up()
            self._note(f"the start failed: {death}")
            self.schedule.after(RESTART_S, self._start)
            return
        self._note(f"--- process {self.process.session} started")
        self.outcome.recoveries_s.append(self.process.recovery_s)
        self.schedule.after(0.1, self._open_account)
        self._feed_is_down = True
        self._mute_since = None
        self.schedule.after(1.0, self._feed_up)

    def _open_account(self) -> None:
        process = self.process
        if process is not None and not process.is_reconciled:
            self._in_process(lambda: None if process.open_account() else self.schedule.after(0.1, self._open_account))

    def _in_process(self, action: Callable[[], Any]) -> None:
        """What happens in the living process, unless it dies of it."""
        if self.process is None:
            return
        try:
            action()
        except Died as death:
            self._die(str(death))
        except JournalError as error:
            self._die(f"journal: {error}")

    def _die(self, why: str, *, keeps_unsynced: bool = True) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        self._note(f"--- process died: {why}")
        self.outcome.deaths += 1
        process.die(keeps_unsynced=keeps_unsynced, torn=self.random.random())
        self.schedule.after(RESTART_S + self.random.uniform(0, RESTART_S), self._start)

    def _moment(self, name: str) -> None:
        if self._death_at and name == self._death_at:
            self._death_at = ""
            raise Died(name)

    def has(self, fault: str) -> bool:
        """Is this fault with us now?"""
        return self._active.get(fault, -1.0) > self.schedule.elapsed_s

    # ---- the market ------------------------------------------------------------------------------------

    def _market_step(self, symbol: str) -> None:
        market = self.markets[symbol]
        market.step()
        now = self.schedule.now
        self.exchange.move(symbol, market.bid, market.ask, now)
        self._in_process(self.link.pump)
        frames = [market.quote_frame(), market.trade_frame(now)]
        if self.has("duplicate_ticks"):
            frames += frames
        if self.has("reorder_ticks"):
            frames.reverse()
        self._give(frames)
        self.schedule.after(self.random.uniform(0.6, 1.4), lambda: self._market_step(symbol))

    def _give(self, frames: list[bytes]) -> None:
        process = self.process
        if process is None or self._feed_is_down or self.has("mute"):
            return
        for raw in frames:
            self._in_process(lambda raw=raw: process.frame(raw))  # type: ignore[misc]

    def _feed_up(self) -> None:
        process = self.process
        if process is None or not self._feed_is_down:
            return
        if self.has("feed_down") or self.has("mute"):
            self.schedule.after(1.0, self._feed_up)
            return
        self._feed_is_down = False
        self._in_process(process.feed_up)

    # ---- each second -----------------------------------------------------------------------------------

    def _second(self) -> None:
        self.schedule.after(1, self._second)
        process = self.process
        if process is not None and not self.has("sleep"):
            self._in_process(process.second)
            second = int(self.schedule.elapsed_s)
            if second % 2 == 0:
                self._in_process(self.link.poll)
            if second % 12 == 0 and process.is_reconciled:
                self._in_process(process.look_at_account)
            self._watch_feed(process)
        self._in_process(self.link.pump)
        self._observe()

    def _watch_feed(self, process: Process) -> None:
        """The stream's own watchdog: five silent seconds end the connection."""
        if self._feed_is_down:
            return
        if self.has("feed_down"):
            self._lose_feed(process, "closed by the venue")
        elif self.has("mute"):
            self._mute_since = self._mute_since or self.schedule.elapsed_s
            if self.schedule.elapsed_s - self._mute_since >= 5:
                self._lose_feed(process, "mute: no frame for 5 s")
        else:
            self._mute_since = None

    def _lose_feed(self, process: Process, reason: str) -> None:
        self._feed_is_down = True
        self._mute_since = None
        self._in_process(lambda: process.feed_down(reason))
        self.schedule.after(1.0, self._feed_up)

    # ---- people ----------------------------------------------------------------------------------------

    def _person(self) -> None:
        """Somebody trades by hand, so that every kind of order is met."""
        if self.schedule.elapsed_s > self.seconds - 120:
            return
        self.schedule.after(self.random.uniform(20, 80), self._person)
        process = self.process
        if process is None or self._feed_is_down:
            return
        symbol = self.random.choice(sorted(self.markets))
        held = process.engine.ledger.quantity(symbol)
        command = self._management(process, symbol) if self.random.random() < 0.35 else None
        if command is None:
            command = self._wish(process, symbol, held)
        self._in_process(lambda: process.runtime.command(command, by="anna"))

    def _management(self, process: Process, symbol: str) -> object | None:
        """A grid is opened or closed, an order is changed or ended, weights are set."""
        market = self.markets[symbol]
        grids = list(process.engine.grids.live())
        working = [each for each in process.engine.orders.working(symbol) if each.spec.origin == "manual"]
        match self.random.choice(("grid", "grid_end", "change", "change", "end", "weights")):
            case "grid" if not grids:
                return StartGrid(symbol, D(450), levels=5, spacing=D("0.005"), reason="sideways, it seems")
            case "grid_end" if grids:
                return StopGrid(grids[0].grid_id, close=self.random.random() < 0.5, reason="enough")
            case "change" if working:
                order = self.random.choice(working)
                return self._change(order, market)
            case "end" if working:
                return orders.CancelOrder(self.random.choice(working).client_order_id, "changed my mind")
            case "weights":
                weight = self.random.choice((D(0), D("0.02"), D("0.04")))
                return orders.Rebalance((orders.TargetWeight(symbol, weight),), "as planned")
        return None

    def _change(self, order: Order, market: SeededMarket) -> object:
        """A little nearer to the market, or less of it."""
        spec = order.spec
        price = (market.bid - 3 if spec.side == "buy" else market.ask + 8) if spec.price is not None else None
        stop = None
        if spec.order_type in ("stop", "take_profit"):
            stop = market.ask + 4 if spec.side == "buy" or spec.order_type == "take_profit" else market.bid - 40
        quantity = None if price or stop else spec.quantity / 2
        return orders.ModifyOrder(spec.client_order_id, quantity, price, stop, reason="nearer")

    def _wish(self, process: Process, symbol: str, held: Decimal) -> object:
        market = self.markets[symbol]
        unit = D("0.004") if symbol.startswith("BTC") else D("0.08")
        kind = self.random.choice((
            "market", "limit", "stop", "trailing", "bracket", "sell", "sell_limit", "close", "target", "better",
        ))
        new = process.next_order_id()
        if kind in ("sell", "sell_limit", "close", "target") and held <= ZERO:
            kind = "market"
        if kind == "close":
            return orders.ClosePosition(symbol, "enough")
        common: dict[str, Any] = {"client_order_id": new, "symbol": symbol, "origin": "manual", "quantity": unit}
        match kind:
            case "market":
                return SubmitOrder(side="buy", order_type="market", **common)
            case "limit":
                return SubmitOrder(side="buy", order_type="limit", price=market.bid - 5, **common)
            case "stop":
                return SubmitOrder(side="buy", order_type="stop", stop_price=market.ask + 10, **common)
            case "trailing":
                return SubmitOrder(side="buy", order_type="trailing", trail=TrailSpec("percent", D("0.001")), **common)
            case "bracket":
                around = Protection(D("0.01"), TrailSpec("percent", D("0.004")), D("0.006"))
                return SubmitOrder(side="buy", order_type="market", protection=around, **common)
            case "better":
                return SubmitOrder(side="buy", order_type="limit", price=market.bid - 10, improve=True, **common)
            case "target":
                common["quantity"] = held
                return SubmitOrder(
                    side="sell", order_type="take_profit", stop_price=market.ask + 30, reduce_only=True, **common,
                )
            case "sell":
                common["quantity"] = held
                return SubmitOrder(side="sell", order_type="market", reduce_only=True, **common)
            case _:
                common["quantity"] = held
                return SubmitOrder(
                    side="sell", order_type="limit", price=market.ask + 20, reduce_only=True, **common,
                )

    # ---- faults ----------------------------------------------------------------------------------------

    def _strike(self, fault: Fault) -> None:
        self._note(f"*** {fault.name} {fault.target} for {fault.lasts:g} s")
        if fault.name not in MOMENTS:
            self._active[fault.name] = self.schedule.elapsed_s + fault.lasts
            return
        match fault.name:
            case "kill_idle":
                self._die("kill -9")
            case "power_cut":
                self._die("power cut", keeps_unsynced=False)
            case ("kill_before_journal" | "kill_after_journal" | "kill_before_send" | "kill_after_send"
                  | "kill_on_report"):
                self._death_at = fault.name.removeprefix("kill_")
                self.schedule.after(120, self._no_more_planned_death)
            case "kill_halt" | "kill_cancel" | "kill_flatten":
                action: Any = fault.name.removeprefix("kill_")
                self._command(orders.EngageKillSwitch(action, "drill", "anna"))
            case "unlock":
                self._command(orders.ReleaseKillSwitch("anna", "drill over"), again=True)
            case "pause" | "resume":
                state: Any = "REDUCING" if fault.name == "pause" else "ACTIVE"
                self._command(system.VoteTradingState("operator", state, fault.name), again=True)
            case "fill_lost":
                self.link.loses_next_fill = True
            case "risk_agent_dies" | "agent_dies":
                self._agent_dies("risk" if fault.name == "risk_agent_dies" else fault.target or "analyst")
            case "deposit" | "withdrawal":
                amount = D(500) if fault.name == "deposit" else D(-300)
                self.exchange.balances["USDT"] += amount
                self._true_flow += amount
            case "foreign_order" | "sold_by_hand":
                self._by_hand(fault.name)
            case "clock_jump":
                self.schedule.clock.advance(self.schedule.now + 30 * SECOND)
            case _:
                self._spoil_market(fault.name, fault.target)

    def _no_more_planned_death(self) -> None:
        self._death_at = ""

    def _command(self, body: object, *, again: bool = False) -> None:
        process = self.process
        if process is None:
            if again:
                self.schedule.after(5, lambda: self._command(body, again=True))
            return
        self._in_process(lambda: process.runtime.command(body, by="anna"))

    def _agent_dies(self, name: str) -> None:
        process = self.process
        if process is not None:
            def broken(message: Any) -> list[Any]:
                raise RuntimeError("the agent broke")

            runner: Any = process.runtime.runners[name]
            runner._agent.handle = broken

    def _by_hand(self, name: str) -> None:
        """A person acts at the exchange itself, with orders that are not ours."""
        symbol = "ETH/USDT"
        base = self.exchange.instruments[symbol].base
        if name == "foreign_order":
            before = self.exchange.balances.get(base, ZERO)
            cash = self.exchange.balances["USDT"]
            self.exchange.create("hand-1", symbol, "buy", "market", D("0.02"), None, None, self.schedule.now)
            self._foreign[base] = self._foreign.get(base, ZERO) + self.exchange.balances.get(base, ZERO) - before
            self._true_flow += self.exchange.balances["USDT"] - cash
            return
        # Only what is foreign is sold by hand here: of what is ours, a person is told and must act (F72).
        held = self._foreign.get(base, ZERO)
        if held > ZERO:
            cash = self.exchange.balances["USDT"]
            made, _ = self.exchange.create("hand-2", symbol, "sell", "market", held, None, None, self.schedule.now)
            if made is not None:
                self._foreign[base] = ZERO
                self._true_flow += self.exchange.balances["USDT"] - cash

    def _spoil_market(self, name: str, target: str) -> None:
        symbol = target or self.random.choice(sorted(self.markets))
        market, now = self.markets[symbol], self.schedule.now
        if name == "crash":
            market.fall(0.04)
            return
        bad: dict[str, list[bytes]] = {
            "bad_tick": [market.trade_frame(now, market.bid * D("0.9"))],
            "nan": [market.trade_frame(now, "NaN"), market.trade_frame(now, "-1"), market.trade_frame(now, "0")],
            "malformed": [b"{\"stream\": \"x", b"[]", b"{}", b"\xff\xfe"],
            "gap": [market.trade_frame(now, skipped=7)],
            "crossed": [market.quote_frame(market.ask + 5, market.bid - 5)],
        }
        self._give(bad[name])

    # ---- what must hold --------------------------------------------------------------------------------

    def _observe(self) -> None:
        self._look_at_sent()
        self._look_at_protection()

    def _look_at_sent(self) -> None:
        """Orders after a kill, entries on stale data, exposure beyond the limits."""
        process = self.process
        sent = self.link.sent
        kill = process.engine.kill if process is not None else None
        for ts, order in sent[self._sent_seen :]:
            self.outcome.orders += 1
            what = f"{order.side} {order.wire_type} {order.quantity} {order.symbol}"
            self._note(f"sent {what} {order.client_order_id} {order.origin}")
            if self._killed_at is not None and ts > self._killed_at and kill is not None and order.origin != "kill":
                self.outcome.orders_after_kill += 1
                self._violate(f"{order.client_order_id} was sent after the kill switch")
            silent_s = 0.0 if self._mute_since is None else self.schedule.elapsed_s - self._mute_since
            if not order.reduce_only and silent_s > 5:
                self.outcome.stale_entries += 1
                self._violate(f"{order.client_order_id}: an entry on stale data")
        self._sent_seen = len(sent)
        if process is not None:
            self._killed_at = (self._killed_at or self.schedule.now) if kill is not None else None
        for client_id in self.exchange.doubled:
            self.outcome.duplicates += 1
            self._violate(f"{client_id} was created again")
        self.exchange.doubled.clear()
        news = {symbol for symbol, number in self.exchange.bought.items() if number != self._bought_seen.get(symbol, 0)}
        if news:
            self._bought_seen = dict(self.exchange.bought)
            self._look_at_exposure(news)

    def _look_at_exposure(self, bought: set[str]) -> None:
        """After a purchase, what is held may not exceed the limits by more than prices move within a second."""
        limits = self.process.limits if self.process is not None else None
        if limits is None:
            return
        equity = self.exchange.balances["USDT"]
        values: dict[str, Decimal] = {}
        for symbol, market in self.markets.items():
            base = self.exchange.instruments[symbol].base
            ours = self.exchange.balances.get(base, ZERO) - self._foreign.get(base, ZERO)
            values[symbol] = ours * market.bid
            equity += self.exchange.balances.get(base, ZERO) * market.bid
        for symbol, value in values.items():
            if symbol in bought and value > limits.exposure_per_asset * equity * D("1.02") + 1:
                self.outcome.limit_breaches += 1
                self._violate(f"{symbol}: {value:.2f} held of {equity:.2f}")
        if sum(values.values(), ZERO) > limits.exposure_total * equity * D("1.02") + 1:
            self.outcome.limit_breaches += 1
            self._violate(f"{sum(values.values(), ZERO):.2f} held of {equity:.2f} in all")

    def _look_at_protection(self) -> None:
        """Seconds for which a position has no working exit at the exchange and no armed one in a living process."""
        now = self.schedule.elapsed_s
        for symbol in self.markets:
            instrument = self.exchange.instruments[symbol]
            held = self.exchange.balances.get(instrument.base, ZERO) - self._foreign.get(instrument.base, ZERO)
            is_dust = held < instrument.min_quantity or held * self.markets[symbol].bid < instrument.min_notional * 2
            if is_dust or self._is_guarded(symbol) or self._is_excused():
                self._unprotected.pop(symbol, None)
                continue
            since = self._unprotected.setdefault(symbol, now)
            self.outcome.unprotected_s_max = max(self.outcome.unprotected_s_max, now - since)
            if now - since > UNPROTECTED_S:
                self._violate(f"{symbol}: {held} held without protection for {now - since:.0f} s")
                self._unprotected[symbol] = now

    def _is_guarded(self, symbol: str) -> bool:
        if any(order.side == "sell" for order in self.exchange.working(symbol)):
            return True
        process = self.process
        if process is None:
            return False
        return any(
            order.is_exit and (order.is_armed or order.is_at_venue or order.is_waiting)
            for order in process.engine.orders.working(symbol)
        )

    def _is_excused(self) -> bool:
        """While orders cannot get through, or nobody knows the price, nothing new can be put in place."""
        now = self.schedule.elapsed_s
        kill = self.process.engine.kill if self.process is not None else None
        if kill is not None and kill.action != "flatten":
            return True  # a person said: nothing more is sent (F58); status names what stays unprotected
        return any(
            self._active.get(name, -1e9) + _GRACE_S > now
            for name in (*ORDER_FAULTS, *FEED_FAULTS, "disk_full", "sleep")
        )

    def _settle_accounts(self) -> None:
        """After the last fault and a calm while: our books against the truth."""
        process = self.process
        if process is None:
            self._violate("no process lives at the end")
            return
        engine = process.engine
        for symbol in self.markets:
            base = self.exchange.instruments[symbol].base
            true = self.exchange.balances.get(base, ZERO) - self._foreign.get(base, ZERO)
            error = abs(engine.ledger.quantity(symbol) - true)
            self.outcome.position_error = max(self.outcome.position_error, error)
            if error:
                self._violate(f"{symbol}: our books say {engine.ledger.quantity(symbol)}, the exchange {true}")
        true_cash = self.exchange.balances["USDT"]
        error = abs(engine.ledger.cash - true_cash)
        # Money that the books took for a deposit, and that nobody paid in, is an error too.
        invented = abs(engine.ledger.funds_in - self._true_flow)
        self.outcome.cash_error = max(error, invented)
        if error or invented:
            self._violate(
                f"cash: our books say {engine.ledger.cash}, the exchange {true_cash}; paid in by our books "
                f"{engine.ledger.funds_in}, in truth {self._true_flow}"
            )
        ours = {order.client_order_id: order for order in engine.orders.working() if order.is_at_venue}
        theirs = {each.client_id for each in self.exchange.working() if each.client_id.startswith(OURS)}
        for client_id in sorted(theirs - set(ours)):
            self.outcome.orphans += 1
            self._violate(f"{client_id} works at the exchange and not in our books")
        for client_id in sorted(set(ours) - {ClientOrderId(each) for each in theirs}):
            self.outcome.orphans += 1
            self._violate(f"{client_id} works in our books ({ours[client_id].detail}) and not at the exchange")
        self.outcome.fills = sum(len(each.executions) for each in self.exchange.orders.values())

    # ---- the record ------------------------------------------------------------------------------------

    def _violate(self, text: str) -> None:
        line = f"VIOLATION {text}"
        self._note(line)
        self.outcome.violations.append(f"{self.schedule.elapsed_s:.1f} s: {text}")

    def _note(self, text: str) -> None:
        self.outcome.trace.append(f"{self.schedule.elapsed_s:10.3f} {text}")


def _instrument(symbol: str, tick: str, step: str) -> Instrument:
    base, quote = symbol.split("/")
    return Instrument(
        symbol, base + quote, base, quote, D(tick), D(step), D(step), D(10_000), D(5), D("0.001"), D("0.001"),
    )


def live_through(seed: int, script: list[Fault] | None, seconds: float) -> Outcome:
    """One seed, in a folder of its own that is gone afterwards."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="tradingd-sim-", dir=shared if shared.is_dir() else None) as folder:
        return World(seed, script, seconds, Path(folder)).run()


__all__ = ["MILLISECOND", "Outcome", "World", "live_through"]
