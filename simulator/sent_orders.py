"""What is held against each order at the moment it leaves the process. Nothing here asks the product's own verdict."""

from typing import TYPE_CHECKING, Any, Final

from bus.messages.system import BY_RULE
from risk.approved import OrderRequest

if TYPE_CHECKING:
    from simulator.world import World

STALE_ENTRY_S: Final = 3.0
"""On data older than this nothing is bought (F01)."""


class SentOrders:
    """`judge` is the link's first listener: it is told of an order before anything becomes of it."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._outcome = world.outcome

    def judge(self, order: OrderRequest) -> None:
        """An order leaves now."""
        world = self._world
        self._outcome.orders += 1
        what = f"{order.side} {order.wire_type} {order.quantity} {order.symbol}"
        world.note(f"sent {what} {order.client_order_id} {order.origin}")
        world.wishes.note_sent(order)
        world.triggers.note_sent(order)
        self._look_at_kill(order)
        if not order.reduce_only:
            self._look_at_entry(order)

    def _look_at_kill(self, order: OrderRequest) -> None:
        """A person's switch lets nothing go but what flatten itself sells; a rule's latch lets exits go on, for nobody
        may be there."""
        world = self._world
        engine: Any = world.process.engine if world.process is not None else None
        kill = engine.kill if engine is not None else None
        if world.kill_pressed:
            is_late = not (order.origin == "kill" and order.reduce_only and world.kill_pressed == "flatten")
        elif engine is not None and kill is not None and kill.by == BY_RULE:
            is_late = not order.reduce_only and world.schedule.now > engine._desk.state.kill_ns
        else:
            return
        if is_late:
            self._outcome.orders_after_kill += 1
            world.violate(f"{order.client_order_id} was sent after the kill switch")

    def _look_at_entry(self, order: OrderRequest) -> None:
        world, process = self._world, self._world.process
        name = order.client_order_id
        if world.stream.data_age_s > STALE_ENTRY_S:
            self._outcome.stale_entries += 1
            world.violate(f"{name}: an entry on stale data, {min(world.stream.data_age_s, 1e6):.1f} s old")
        if process is None or not process.is_reconciled:
            world.violate(f"{name}: an entry before our books were compared with the exchange's")
        elif process.waits_for_a_person:
            world.violate(f"{name}: an entry in SAFE mode")
        world.limits.judge(order)
