"""When an order may leave: not while the venue wants no requests, and within our own budget of them.

An entry that may not leave soon is refused, for its price is old by then; an exit waits, for one that is refused would
only be given again. What waits can be taken back: it is not at the venue yet, and will not be.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from bus.clock import Clock
from bus.ids import ClientOrderId
from bus.messages.orders import ExecType, ExecutionReport
from risk.approved import OrderRequest

ENTRY_PATIENCE_S: Final = 1.2
"""An entry that may not leave within this time is refused."""
_LOOK_AGAIN_S: Final = 1.0


class OrderBudget(Protocol):
    """How many requests we allow ourselves; part of it is kept for what is urgent."""

    def take_now(self, *, is_urgent: bool) -> bool:
        """Take one request if it may leave at once."""
        ...

    def wait_s(self, *, is_urgent: bool) -> float:
        """How long until one request may leave, if nobody else takes it."""
        ...


class OrderLeave:
    """The leave of one account's orders. `banned_for_s`: how long the venue wants to hear nothing, 0 for not at all."""

    def __init__(self, budget: Callable[[], OrderBudget], banned_for_s: Callable[[], float], clock: Clock) -> None:
        self._budget = budget
        self._banned_for_s = banned_for_s
        self._clock = clock
        self._held: dict[ClientOrderId, bool] = {}  # whether its place in the budget is taken already

    def take_now(self, order: OrderRequest) -> bool:
        """Whether it may leave at once; if so it must, for its place in the budget is taken."""
        return self._banned_for_s() <= 0 and self._budget().take_now(is_urgent=order.side == "sell")

    def hold(self, client_order_id: ClientOrderId, *, has_leave: bool) -> None:
        """It is not sent yet: `wait` for its leave, which `take_now` may have given it."""
        self._held[client_order_id] = has_leave

    def take_back(self, client_order_id: ClientOrderId) -> bool:
        """Whether it waited; then it never leaves, and `wait` says so."""
        return self._held.pop(client_order_id, None) is not None

    def forget(self, client_order_id: ClientOrderId) -> None:
        """It is sent, or will never be."""
        self._held.pop(client_order_id, None)

    async def wait(self, order: OrderRequest) -> ExecutionReport | None:
        """Until the order that is held may be sent; a report of its end when it may not, or no more."""
        client_order_id = order.client_order_id
        is_exit = order.side == "sell"
        deadline = asyncio.get_running_loop().time() + ENTRY_PATIENCE_S
        while True:
            has_leave, banned_s = self._held.get(client_order_id), self._banned_for_s()
            pause_s = banned_s or (0.0 if has_leave else self._budget().wait_s(is_urgent=is_exit))
            if has_leave is None:
                return self._ended(order, "cancelled", "taken back before it was sent")
            if not is_exit and (banned_s > 0 or asyncio.get_running_loop().time() + pause_s > deadline):
                why = "the venue wants no requests" if banned_s else "our own budget of requests is used up"
                return self._ended(order, "rejected", f"not sent: {why} for another {pause_s:.1f} s")
            if banned_s == 0 and (has_leave or self._budget().take_now(is_urgent=is_exit)):
                self.forget(client_order_id)
                return None
            await asyncio.sleep(min(pause_s, _LOOK_AGAIN_S))

    def _ended(self, order: OrderRequest, exec_type: ExecType, reason: str) -> ExecutionReport:
        return ExecutionReport(order.client_order_id, order.symbol, exec_type, self._clock.now(), reason=reason)
