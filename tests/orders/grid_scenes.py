"""A grid of the tests and what is looked for in its journal."""

from decimal import Decimal
from typing import Any

from bus.messages.grid import (
    StartGrid,
)
from bus.messages.orders import (
    OrderDenied,
)
from tests.orders.grid_world import GridWorld
from tests.orders.trading import BTC

D = Decimal


def world(**more: Any) -> GridWorld:
    made = GridWorld(**more)
    made.price("100")
    return made


def opened(account: dict[str, Any] | None = None, **more: Any) -> GridWorld:
    """A grid of 1.5 % around 100, with 2,000 of money; `account` says what is special about the world."""
    made = world(**account or {})
    made.give(StartGrid(BTC, D(2000), **more))
    made.second()
    return made


def denied(bodies: list[Any]) -> OrderDenied:
    (found,) = [body for body in bodies if isinstance(body, OrderDenied)]
    return found


def kinds(bodies: list[Any]) -> list[str]:
    return [type(body).__name__ for body in bodies]


def found(made: GridWorld, kind: type) -> list[Any]:
    return [message.body for message in made.journal if isinstance(message.body, kind)]


def armed(made: GridWorld, side: str) -> list[int]:
    """Levels with a held order of this side."""
    book, levels = made.engine.grids, []
    for order in made.engine.orders.working(BTC):
        leg = book.leg(order.client_order_id)
        if leg is not None and leg.level is not None and order.is_armed and order.spec.side == side:
            levels.append(leg.level)
    return sorted(levels)
