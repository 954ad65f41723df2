"""What must hold: looked at each second, and once more when everything has settled."""

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from bus.ids import ClientOrderId
from market.money import ZERO
from simulator.exchange import OURS
from simulator.fates import Fates
from simulator.faults import HINDER_PROCESS
from simulator.protection import Protection

if TYPE_CHECKING:
    from simulator.world import World

D = Decimal
STALE_S: Final = 5.0
TAKEN_SLACK: Final = D("0.3")
_AWAKE_S: Final = 1.5
"""A process that had no time has its first second after it."""


class Checks:
    """Compares what the daemon does and believes with what the exchange knows."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._outcome = world.outcome
        self._protection = Protection(world)
        self._fates = Fates(world)
        self._is_kill_lost = False

    def observe(self) -> None:
        """Each second."""
        self._look_at_arrivals()
        self._look_at_latch()
        self._protection.observe()
        self._world.limits.observe()
        self._world.wishes.observe()
        self._world.triggers.observe()
        self._fates.observe()
        self._look_at_staleness()

    # ---- what arrived ------------------------------------------------------------------------------

    def _look_at_arrivals(self) -> None:
        """The same order twice, an order of nobody's, what is not ours."""
        world = self._world
        for client_id in world.exchange.doubled:
            self._outcome.duplicates += 1
            world.violate(f"{client_id} was created again")
        world.exchange.doubled.clear()
        for client_id in world.forbidden & world.exchange.orders.keys():
            world.forbidden.discard(client_id)
            world.violate(f"{client_id} reached the exchange, and nobody who may had asked for it")

    # ---- the kill switch, data -----------------------------------------------------------------------

    def _look_at_latch(self) -> None:
        """What a person engaged stays engaged in every life until a person releases it."""
        world, process = self._world, self._world.process
        if process is None or not world.kill_pressed or process.engine.kill is not None:
            self._is_kill_lost = False
        elif not self._is_kill_lost:
            self._is_kill_lost = True
            world.violate("the kill switch was pressed, and the process knows nothing of it")

    def _look_at_staleness(self) -> None:
        """Silent data must be noticed: an entry state while nothing was heard for longer is a fault by itself."""
        world, process = self._world, self._world.process
        if process is None or process.engine.trading_state != "ACTIVE":
            return
        if any(world.had(name, "", _AWAKE_S) for name in HINDER_PROCESS):
            return
        self._outcome.stale_s = max(self._outcome.stale_s, world.stream.data_age_s)
        if world.stream.data_age_s > STALE_S:
            world.violate(f"market data silent for {min(world.stream.data_age_s, 1e6):.0f} s, and trading is ACTIVE")

    # ---- the end -----------------------------------------------------------------------------------

    def settle(self) -> None:
        """After the last fault and a calm while: our books against the truth."""
        world, process = self._world, self._world.process
        if process is None:
            world.violate("no process lives at the end")
            return
        engine, exchange = process.engine, world.exchange
        for symbol in world.markets:
            true = world.held(symbol)
            error = abs(engine.ledger.quantity(symbol) - true)
            self._outcome.position_error = max(self._outcome.position_error, error)
            if error:
                world.violate(f"{symbol}: our books say {engine.ledger.quantity(symbol)}, the exchange {true}")
        true_cash = exchange.balances["USDT"]
        error = abs(engine.ledger.cash - true_cash)
        # Money that the books took for a deposit, and that nobody paid in, is an error too.
        # What a person took of ours left our books at its cost, which is known here only about.
        flow, about = world.true_flow - world.taken_worth, world.taken_worth * TAKEN_SLACK
        invented = max(abs(engine.ledger.funds_in - flow) - about, ZERO)
        self._outcome.cash_error = max(error, invented)
        if error or invented:
            world.violate(
                f"cash: our books say {engine.ledger.cash}, the exchange {true_cash}; paid in by our books "
                f"{engine.ledger.funds_in}, in truth {flow}"
            )
        self._look_for_orphans()
        self._fates.settle()
        self._outcome.made_ready = self._world.link.made_ready
        self._outcome.early_answers = self._world.link.early_answers
        self._outcome.fills = sum(len(each.executions) for each in exchange.orders.values())

    def _look_for_orphans(self) -> None:
        world, process = self._world, self._world.process
        if process is None:
            return
        ours = {order.client_order_id: order for order in process.engine.orders.working() if order.is_at_venue}
        theirs = {each.client_id for each in world.exchange.working() if each.client_id.startswith(OURS)}
        for client_id in sorted(theirs - set(ours)):
            self._outcome.orphans += 1
            world.violate(f"{client_id} works at the exchange and not in our books")
        for client_id in sorted(set(ours) - {ClientOrderId(each) for each in theirs}):
            self._outcome.orphans += 1
            world.violate(f"{client_id} works in our books ({ours[client_id].detail}) and not at the exchange")
