"""Questions to a venue about orders: at most one about each is under way."""

from collections.abc import Awaitable, Callable

from bus.ids import ClientOrderId
from exchanges.order_tasks import OrderTasks

Ask = Callable[[ClientOrderId, str], Awaitable[None]]
"""Asks about an order of a symbol, and tells what the answer is."""


class OrderQuestions:
    """Who asks while an answer is on its way has the question put once more after it: that answer may be too old.

    Routine questions come again and again, perhaps sooner than the answers: nobody waits for these.
    """

    def __init__(self, tasks: OrderTasks, ask: Ask) -> None:
        self._tasks = tasks
        self._ask = ask
        self._under_way: set[ClientOrderId] = set()
        self._once_more: set[ClientOrderId] = set()
        self._awaited: dict[ClientOrderId, bool] = {}  # whether what is under way will answer it

    def __contains__(self, client_order_id: ClientOrderId) -> bool:
        """Whether a question about it is under way, a routine one too."""
        return client_order_id in self._under_way

    def __len__(self) -> int:
        """How many are not answered yet, without routine ones."""
        return len(self._awaited)

    def put(self, client_order_id: ClientOrderId, symbol: str, *, is_routine: bool = False) -> None:
        """Ask, now or after the answer that is on its way."""
        if not is_routine:
            self._awaited[client_order_id] = False
        if client_order_id in self._under_way:
            self._once_more.add(client_order_id)
            return
        self._under_way.add(client_order_id)
        self._tasks.run(self._settle(client_order_id, symbol), f"query {client_order_id}", client_order_id, symbol)

    async def _settle(self, client_order_id: ClientOrderId, symbol: str) -> None:
        try:
            while True:
                self._once_more.discard(client_order_id)
                if client_order_id in self._awaited:
                    self._awaited[client_order_id] = True
                await self._ask(client_order_id, symbol)
                if self._awaited.get(client_order_id):
                    del self._awaited[client_order_id]
                if client_order_id not in self._once_more:
                    return
        finally:
            self._under_way.discard(client_order_id)
            self._once_more.discard(client_order_id)
            self._awaited.pop(client_order_id, None)
