"""Faults of the matching itself: executions in parts, more than was ordered, refused orders."""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from exchanges.practice.faults import Faults
from exchanges.practice.order import ZERO, Order
from exchanges.practice.pairs import Pair

_PARTS: Final = 3
_EXCESS: Final = Decimal("0.1")


class OrderFaults:
    """Implements `matching.Executions`."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def pieces(self, pair: Pair, order: Order, quantity: Decimal) -> Sequence[Decimal]:
        """The whole at once, or in three parts."""
        if self._faults.is_empty or self._faults.strikes("partial", *_tags(pair, order)) is None:
            return (quantity,)
        part = _whole_steps(quantity / _PARTS, pair)
        if part <= ZERO:
            return (quantity,)
        return (*[part] * (_PARTS - 1), quantity - part * (_PARTS - 1))

    def excess(self, pair: Pair, order: Order) -> Decimal:
        """A tenth, at least one step."""
        if self._faults.is_empty or self._faults.strikes("overfill", *_tags(pair, order)) is None:
            return ZERO
        return max(pair.step, _whole_steps(order.quantity * _EXCESS, pair))

    def refuses_stop(self, order: Order) -> bool:
        return not self._faults.is_empty and self._faults.strikes("stop_refused", order.name, order.side) is not None

    def refuses_orders(self, pair: Pair) -> bool:
        return self._faults.lasts("maintenance", pair.name)

    def hides(self, order: Order, now_ms: int) -> bool:
        """Whether a question about so young an order finds nothing."""
        if self._faults.is_empty or now_ms - order.created_ms >= 2_000:
            return False
        return self._faults.strikes("not_found_early", order.name) is not None


def _tags(pair: Pair, order: Order) -> tuple[str, ...]:
    return pair.name, order.side, order.kind


def _whole_steps(quantity: Decimal, pair: Pair) -> Decimal:
    if not pair.step:
        return quantity
    return (quantity / pair.step).to_integral_value(rounding=ROUND_FLOOR) * pair.step
