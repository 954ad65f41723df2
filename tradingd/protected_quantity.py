"""How much of each position stops and trailing sells cover, as far as the read model knows."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from market.money import ZERO
from tradingd.read_model_orders import OrderRecord

COVERED: Final = Decimal("0.95")
"""Of a position: with less of it covered it counts as unprotected. Fees and rounding leave a little over."""

_PROTECTING: Final = frozenset({"stop", "trailing"})
_AT_VENUE: Final = frozenset({"SUBMITTED", "PARTIAL"})
_DISASTER: Final = "disaster"
_GRID: Final = "grid"
_FLOOR: Final = "floor"


def protected_quantities(working: Iterable[OrderRecord], *, are_held_back: bool = False) -> dict[str, Decimal]:
    """By symbol, in base; `working` are the orders that are not ended.

    `are_held_back`: those that are watched here may not leave now, so only what rests at the venue covers anything.

    A stop and a trail around one entry sell the same coins, and so do a grid's floor and its levels: the larger counts.
    The disaster stop at the venue is for coins that are watched here as well: there, too, the larger of the two counts.
    """
    resting: dict[str, Decimal] = {}
    families: dict[tuple[str, str], dict[str, Decimal]] = {}
    for record in working:
        spec = record.spec
        if spec.side != "sell" or spec.order_type not in _PROTECTING:
            continue
        left = max(record.quantity - record.filled, ZERO)
        if record.state in _AT_VENUE:
            resting[spec.symbol] = resting.get(spec.symbol, ZERO) + left
        if spec.tag == _DISASTER or are_held_back:
            continue
        family, role = _family(record)
        roles = families.setdefault((spec.symbol, family), {})
        roles[role] = roles.get(role, ZERO) + left
    watched: dict[str, Decimal] = {}
    for (symbol, _), roles in families.items():
        watched[symbol] = watched.get(symbol, ZERO) + max(roles.values())
    return {
        symbol: max(watched.get(symbol, ZERO), resting.get(symbol, ZERO)) for symbol in watched.keys() | resting.keys()
    }


def _family(record: OrderRecord) -> tuple[str, str]:
    """Whose coins it sells, and as what; orders of the same role sell different ones."""
    tag = record.spec.tag
    if tag.startswith(f"{_GRID}-"):
        return "-".join(tag.split("-")[:2]), _FLOOR if tag.endswith(_FLOOR) else _GRID
    return record.spec.parent_id or record.id, tag
