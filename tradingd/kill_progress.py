"""How far the engaged kill switch has come: what is not yet cancelled, not yet sold, and what nothing protects."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from bus.messages.orders import KillAction
from bus.messages.system import BY_RULE, KillSwitchEngaged
from market.money import ZERO
from tradingd.protected_quantity import COVERED, protected_quantities
from tradingd.read_model_orders import OrderRecord
from tradingd.read_model_results import Holding

_TOO_SMALL: Final = frozenset({"POSITION_IS_DUST", "QUANTITY_TOO_SMALL", "BELOW_VENUE_MIN_NOTIONAL"})
_MOST_NAMED: Final = 20


@dataclass(frozen=True, slots=True)
class KillProgress:
    """`not_cancelled` order ids and `not_sold` symbols are at most so many as can be named; the counts are whole.

    `unprotected`: symbols held without a stop at the venue while the engine's own exits wait.
    """

    not_cancelled_count: int
    not_sold_count: int
    not_cancelled: tuple[str, ...]
    not_sold: tuple[str, ...]
    too_small: tuple[str, ...]
    unprotected: tuple[str, ...]

    @property
    def is_done(self) -> bool:
        return not self.not_cancelled_count and not self.not_sold_count

    @property
    def text(self) -> str:
        """For people, without a full stop: `not yet cancelled: 2, not yet sold: 1; still trying`."""
        parts = []
        if not self.is_done:
            named = [f"not yet {what}: {count}" for what, count in (
                ("cancelled", self.not_cancelled_count), ("sold", self.not_sold_count)) if count]
            parts.append(", ".join(named) + "; still trying")
        if self.too_small:
            parts.append(f"too small to be sold: {', '.join(self.too_small)}")
        if self.unprotected:
            parts.append(f"held without a stop at the exchange, and held exits wait: {', '.join(self.unprotected)}")
        return "; ".join(parts)


def kill_progress(
    kill: KillSwitchEngaged, engaged_ns: int, records: Iterable[OrderRecord], held: Mapping[str, Holding],
) -> KillProgress:
    """Of the latch `kill`; `records` are all orders known, oldest first, `held` the positions by symbol."""
    known = list(records)
    working = [record for record in known if record.is_working]
    open_orders = tuple(record.id for record in working if _must_end(record, kill.action))
    symbols = sorted(held)
    too_small = _too_small(known, engaged_ns, symbols) if kill.action == "flatten" else ()
    unsold = tuple(symbol for symbol in symbols if symbol not in too_small) if kill.action == "flatten" else ()
    covered = protected_quantities(working, are_held_back=True)
    waits = kill.action != "flatten" and kill.by != BY_RULE
    bare = tuple(
        symbol for symbol in symbols if covered.get(symbol, ZERO) < COVERED * held[symbol].quantity
    ) if waits else ()
    return KillProgress(
        len(open_orders), len(unsold), open_orders[:_MOST_NAMED], unsold[:_MOST_NAMED], too_small, bare,
    )


def _must_end(record: OrderRecord, action: KillAction) -> bool:
    if action == "flatten":
        return record.spec.origin != "kill"
    return action == "cancel" and record.spec.side == "buy"


def _too_small(records: list[OrderRecord], engaged_ns: int, symbols: list[str]) -> tuple[str, ...]:
    """Symbols whose sale by the kill switch was denied for being dust."""
    refused = {
        record.spec.symbol for record in records
        if record.spec.origin == "kill" and record.created_ns >= engaged_ns
        and record.denial is not None and record.denial.code in _TOO_SMALL
    }
    return tuple(symbol for symbol in symbols if symbol in refused)
