"""How each fault befalls the world: what happens at its moment. What lasts is asked for where it matters."""

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from bus.ids import ClientOrderId, ProposalId, SessionId
from bus.messages import orders, system
from bus.messages.header import MessageMaker
from market.instrument import Instrument
from market.money import ZERO
from simulator.exchange import OURS
from simulator.faults import KIND_BY_NAME, Fault
from simulator.process import Died
from simulator.schedule import SECOND
from store.journal import JournalError
from store.journal_check import examine
from tradingd.message_journal import MessageJournal

if TYPE_CHECKING:
    from simulator.world import World

D = Decimal
_BY_SYMBOL: Final = frozenset({
    "timeout_before", "timeout_after_accept", "http_5xx", "rate_limit", "slow", "maintenance", "trading_down",
    "cancel_lost", "cancel_race", "partial", "not_found_early", "stop_refused", "fill_duplicate", "reorder",
    "reorder_ticks", "duplicate_ticks", "quiet", "halted",
})
"""Lasting faults that may befall one symbol alone; the others, and these without a symbol, befall everything."""

_DEATHS: Final = frozenset({
    "kill_before_journal", "kill_after_journal", "kill_before_send", "kill_after_send", "kill_on_report",
})
_OF_A_PROCESS: Final = frozenset({
    "kill_idle", "stop", "power_cut", "forged", "second_daemon", "agent_dies", "risk_agent_dies", "fat_finger",
    "runaway", "replayed",
})
FOLLOWED_S: Final = 40.0
"""Within this time our books have followed what a person did at the exchange (F72)."""
_PLANNED_S: Final = 120.0
_JUMP_S: Final = 30.0
_BY_HAND: Final = {"BTC/USDT": D("0.001"), "ETH/USDT": D("0.02")}
"""What a person buys at the exchange."""
_RULES_S: Final = 60.0
"""Until the daemon asks for the rules anew."""

_RUNAWAY: Final = 300
_LOOP_GAP_S: Final = 12.0


class Strikes:
    """`strike` once for each fault of the script, at its moment."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._forged = 0
        self._moments: dict[str, Callable[[Fault], None]] = {
            "kill_idle": lambda fault: self._world.die("kill -9", down_s=fault.lasts),
            "crash_loop": self._crash_loop, "stop": self._stop, "bit_flip": self._flip_a_bit,
            "power_cut": lambda fault: self._world.die("power cut", keeps_unsynced=False, down_s=fault.lasts),
            "second_daemon": self._start_another, "clock_jump": self._jump, "forged": self._forge,
            "risk_agent_dies": lambda fault: self._break_agent("risk"),
            "agent_dies": lambda fault: self._break_agent(fault.target if "/" not in fault.target else ""),
            "fat_finger": self._fat_finger, "runaway": self._run_away, "replayed": self._replay,
            "kill_halt": self._kill, "kill_cancel": self._kill, "kill_flatten": self._kill,
            "unlock": lambda fault: self._world.command(orders.ReleaseKillSwitch("anna", "drill over")),
            "pause": self._vote, "resume": self._vote,
            "fill_lost": self._lose_a_fill, "overfill": self._overfill,
            "deposit": lambda fault: self._move_money(D(500)), "withdrawal": lambda fault: self._move_money(D(-300)),
            "foreign_order": self._buy_by_hand, "sold_by_hand": self._sell_by_hand,
            "cancelled_by_hand": self._cancel_by_hand, "new_rules": self._change_rules,
            "crash": lambda fault: self._leap(fault, D("0.96")), "rally": lambda fault: self._leap(fault, D("1.04")),
        }

    def strike(self, fault: Fault) -> None:
        world = self._world
        world.note(f"*** {fault.name} {fault.target} for {fault.lasts:g} s")
        world.outcome.faults += 1
        if world.process is None and fault.name in _OF_A_PROCESS:
            world.note_in_vain(f"no process lives: {fault.name} befalls nobody")
        if KIND_BY_NAME[fault.name].lasts:
            is_aimed = fault.name in _BY_SYMBOL and "/" in fault.target
            if not fault.lasts:
                world.note_in_vain(f"{fault.name} goes on for 0 s: it befalls nobody")
            elif "/" in fault.target and not is_aimed:
                world.note(f"{fault.name} befalls no symbol alone: everything has it")
            world.begin(fault.name, fault.target if is_aimed else "", fault.lasts)
        elif fault.name in _DEATHS:
            world.plan_death(fault.name.removeprefix("kill_"), _PLANNED_S, fault.lasts)
        elif fault.name in self._moments:
            self._moments[fault.name](fault)
        else:
            self._spoil_market(fault)

    # ---- process, disk, clock ----------------------------------------------------------------------

    def _crash_loop(self, _fault: Fault) -> None:
        world = self._world
        world.is_safe_mode = True
        for number in range(4):
            world.schedule.after(number * _LOOP_GAP_S, lambda: world.die("kill -9"))

    def _stop(self, fault: Fault) -> None:
        """The process obeys when its loop comes to it."""
        process = self._world.process
        if process is None:
            return

        def obeyed() -> None:
            process.stop()
            raise Died("SIGTERM", fault.lasts)

        self._world.in_process(obeyed)

    def _flip_a_bit(self, fault: Fault) -> None:
        """In the middle of what was promised; a person restores it (`for` seconds later, 20 when not said)."""
        world = self._world
        if world.is_damaged:
            world.note_in_vain("the journal is damaged already")
            return
        world.die("kill -9, and a bit of its journal flips")
        whole = world.journal_path.read_bytes()
        data = bytearray(whole)
        data[len(whole.rstrip(b"\0")) // 3] ^= 1 << world.random.randrange(8)
        world.journal_path.write_bytes(data)
        if examine(world.journal_path).is_whole:  # it was in the last append: a torn tail, as after a power cut
            world.journal_path.write_bytes(whole)
            world.note("the bit was in the last append: the same as a torn tail")
            return
        world.is_damaged = True

        def restore() -> None:
            world.journal_path.write_bytes(whole)
            world.is_damaged = False

        world.schedule.after(fault.lasts or 20.0, restore)

    def _start_another(self, _fault: Fault) -> None:
        world = self._world
        if world.process is None:
            return
        try:
            MessageJournal.open(world.journal_path)
        except JournalError:
            return
        world.violate("a second daemon opened the journal of one that runs")

    def _jump(self, _fault: Fault) -> None:
        self._world.schedule.jump(_JUMP_S)

    def _forge(self, fault: Fault) -> None:
        """An order of nobody's, as anybody who can write to the bus may send it.

        It names the newest verdict, which everybody hears of there, or one that never was.
        """
        world = self._world
        process = world.process
        if process is None:
            return
        self._forged += 1
        symbol = fault.target if "/" in fault.target else world.random.choice(sorted(world.markets))
        known = next(reversed(process.engine.desk.state.verdicts), ProposalId("p-forged"))
        wish = orders.SubmitOrder(
            ClientOrderId(f"{OURS}forged-{self._forged}"), symbol, "buy", "market", D("0.01"), "manual",
            proposal_id=ProposalId("p-forged") if self._forged % 2 else known,
        )
        world.forbidden.add(wish.client_order_id)
        message = MessageMaker("trader", SessionId("forged")).make(wish, world.schedule.now)
        world.in_process(lambda: process.runtime._on_council_command(message))

    # ---- agents, people ----------------------------------------------------------------------------

    def _break_agent(self, name: str) -> None:
        process = self._world.process
        if process is None:
            return

        def broken(message: Any) -> list[Any]:
            raise RuntimeError("the agent broke")

        runner: Any = process.runtime.runners[name or "analyst"]
        runner._agent.handle = broken

    def _kill(self, fault: Fault) -> None:
        action: Any = fault.name.removeprefix("kill_")
        self._world.command(orders.EngageKillSwitch(action, "drill", "anna"))

    def _vote(self, fault: Fault) -> None:
        state: Any = "REDUCING" if fault.name == "pause" else "ACTIVE"
        self._world.command(system.VoteTradingState("operator", state, fault.name))

    def _fat_finger(self, fault: Fault) -> None:
        world = self._world
        process = world.process
        if process is None:
            return
        symbol = fault.target if "/" in fault.target else world.random.choice(sorted(world.markets))
        price = world.markets[symbol].ask
        for quantity, limit in ((D(1000), price), (D("0.01"), price * 10), (D("1E+9"), price)):
            wish = orders.SubmitOrder(
                process.next_order_id(), symbol, "buy", "limit", quantity, "manual", price=round(limit, 2),
            )
            world.forbidden.add(wish.client_order_id)
            self._world.command(wish)

    def _run_away(self, fault: Fault) -> None:
        world = self._world
        process = world.process
        if process is None:
            return
        for number in range(_RUNAWAY):
            symbol = sorted(world.markets)[number % 2]
            unit = D("0.0005") if symbol.startswith("BTC") else D("0.01")
            self._world.command(orders.SubmitOrder(
                process.next_order_id(), symbol, "buy", "market", unit + number % 7 * D("0.001"), "manual",
            ))

    def _replay(self, _fault: Fault) -> None:
        """What was asked for is asked for again under the same ids, of earlier processes too: nothing happens."""
        world = self._world
        process = world.process
        if process is None or world.is_held_up:
            return
        before = len(world.link.sent)
        known = [wish for wish in world.person.given if wish.client_order_id in process.engine.orders]
        for wish in known[-20:]:
            self._world.command(wish)
        repeated = {wish.client_order_id for wish in known}
        again = [order for _, order in world.link.sent[before:] if order.client_order_id in repeated]
        if again:
            world.violate(f"{again[0].client_order_id} was sent again because it was asked for again")

    # ---- at the exchange ---------------------------------------------------------------------------

    def _lose_a_fill(self, fault: Fault) -> None:
        self._world.link.loses_fills_of.append(_symbol(fault))

    def _overfill(self, fault: Fault) -> None:
        self._world.exchange.overfills_of.append(_symbol(fault))
        self._world.limits.exempt_exposure(_PLANNED_S)

    def _move_money(self, amount: Decimal) -> None:
        world = self._world
        if world.exchange.free_cash() + amount <= ZERO:
            world.note_in_vain(f"{-amount} cannot be withdrawn: {world.exchange.free_cash()} are free")
        else:
            world.exchange.balances["USDT"] += amount
            world.true_flow += amount
            world.limits.exempt_exposure(FOLLOWED_S)  # the limits are shares of what our books take the account for

    def _buy_by_hand(self, fault: Fault) -> None:
        """With an order that is not ours."""
        world, symbol = self._world, _symbol(fault) or "ETH/USDT"
        taken_ns = world.taken_ns.get(symbol)
        if taken_ns is not None and world.schedule.now - taken_ns < FOLLOWED_S * SECOND:
            world.note_in_vain("not bought by hand: coins have no names, and those taken have not been missed yet")
            return
        base = world.exchange.instruments[symbol].base
        before, cash = world.exchange.balances.get(base, ZERO), world.exchange.balances["USDT"]
        world.exchange.create("hand-1", symbol, "buy", "market", _BY_HAND[symbol], None, None, world.schedule.now)
        world.foreign[base] = world.foreign.get(base, ZERO) + world.exchange.balances.get(base, ZERO) - before
        world.true_flow += world.exchange.balances["USDT"] - cash

    def _sell_by_hand(self, fault: Fault) -> None:
        """What is foreign; where nothing is, half of what is ours, for which the sells that bind it are taken back."""
        world, exchange = self._world, self._world.exchange
        symbol = _symbol(fault) or next((
            each for each in sorted(world.markets) if world.foreign.get(exchange.instruments[each].base, ZERO)
        ), "ETH/USDT")
        instrument = exchange.instruments[symbol]
        foreign, cash = world.foreign.get(instrument.base, ZERO), exchange.balances["USDT"]
        quantity = foreign or instrument.round_quantity(world.held(symbol) / 2)
        if quantity <= ZERO:
            world.note_in_vain(f"not sold by hand: no {instrument.base} is there")
            return
        if not foreign:
            for order in exchange.working(symbol):
                if order.side == "sell":
                    exchange.cancel(order.client_id)
        made, refusal = exchange.create(
            f"hand-s{world.schedule.now}", symbol, "sell", "market", quantity, None, None, world.schedule.now,
        )
        if made is None:
            world.note_in_vain(f"not sold by hand: {refusal}")
        elif foreign:
            world.foreign[instrument.base] = foreign - made.filled
        else:
            world.note(f"{made.filled} {symbol} of ours sold by hand")
            world.note_taken(symbol, made.filled)
        world.true_flow += exchange.balances["USDT"] - cash

    def _cancel_by_hand(self, fault: Fault) -> None:
        world = self._world
        ours = [each for each in world.exchange.working(_symbol(fault)) if each.client_id.startswith(OURS)]
        if not ours:
            world.note_in_vain("not cancelled by hand: no order of ours is there")
        for order in ours:
            world.exchange.cancel(order.client_id)
            if order.side == "sell":
                world.stops_taken[order.symbol] = True

    def _change_rules(self, fault: Fault) -> None:
        """Coarser, and later fine again; what is held stays tradable."""
        world = self._world
        symbol = fault.target if "/" in fault.target else world.random.choice(sorted(world.markets))
        world.begin("new_rules", symbol, _RULES_S)
        now = world.exchange.instruments[symbol]
        is_fine = now.price_tick == D("0.01")
        tick, least = (D("0.05"), D(8)) if is_fine else (D("0.01"), D(5))
        world.exchange.instruments[symbol] = Instrument(
            now.symbol, now.venue_symbol, now.base, now.quote, tick, now.quantity_step, now.min_quantity,
            now.max_quantity, least, now.maker_fee, now.taker_fee,
        )

    # ---- the market --------------------------------------------------------------------------------

    def _leap(self, fault: Fault, factor: Decimal) -> None:
        world = self._world
        symbol = fault.target if "/" in fault.target else world.random.choice(sorted(world.markets))
        world.markets[symbol].leap(float(factor))
        world.limits.exempt_exposure(_PLANNED_S)

    def _spoil_market(self, fault: Fault) -> None:
        world = self._world
        symbol = fault.target if "/" in fault.target else world.random.choice(sorted(world.markets))
        market, now = world.markets[symbol], world.schedule.now
        bad: dict[str, list[bytes]] = {
            "bad_tick": [market.trade_frame(now, market.bid * D("0.9"))],
            "nan": [
                market.trade_frame(now, text)
                for text in ("NaN", "-1", "0", "Infinity", "1e5", str(market.bid * 100), str(market.bid / 100))
            ] + [market.trade_frame(now, quantity="1e30"), market.quote_frame(market.bid * 100, market.ask * 100)],
            "malformed": [
                b'{"stream": "x', b"[]", b"{}", b"\xff\xfe", b"x" * 5_000_000, b'{"stream":"a@b","data":{"e":"new"}}',
            ],
            "gap": [market.trade_frame(now, skipped=7)],
            "crossed": [market.quote_frame(market.ask + 5, market.bid - 5)],
        }
        is_heard = world.stream.give(symbol, bad[fault.name])
        if is_heard and fault.name == "bad_tick":
            world.triggers.note_far_print(symbol, market.bid * D("0.9"))


def _symbol(fault: Fault) -> str:
    """The symbol that it is aimed at, "" for none."""
    return fault.target if "/" in fault.target else ""
