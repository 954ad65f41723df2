"""Numbers of a wish that nothing can be computed with: refused before the first comparison, rounding or product.

NaN raises where it is compared, and 1E+999999 where it is divided; inside the engine either would end the process.
The wire refuses them already. An agent of this process can still make one.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Any, Final

from bus.messages.orders import SubmitOrder
from market.money import ZERO

MOST_DIGITS: Final = 18
"""Before and after the point, as on the wire (`market.money.parse_decimal`)."""

_LARGEST: Final = Decimal(10) ** MOST_DIGITS
_SMALLEST: Final = Decimal(10) ** -MOST_DIGITS
_DEPTH: Final = 3
_PLAIN: Final = frozenset({str, int, float, bool, tuple, type(None)})


def absurd_number(wish: object) -> tuple[str, Decimal] | None:
    """Dotted name and value of the first number in `wish` (a message body) that is not finite, too big or too fine."""
    kind: Any = type(wish)
    for name in _names(kind):
        value = getattr(wish, name)
        if type(value) in _PLAIN:
            continue
        if isinstance(value, Decimal):
            if _is_absurd(value):
                return name, value
        elif is_dataclass(value):
            inner = next((each for each in _numbers(value, f"{name}.", _DEPTH - 1) if _is_absurd(each[1])), None)
            if inner is not None:
                return inner
    return None


def without_absurd_numbers(order: SubmitOrder) -> SubmitOrder:
    """The same with 0 in their place: how a refused order is written down, for they cannot be read again."""
    cleaned: SubmitOrder = _cleaned(order, _DEPTH)
    return cleaned


def _cleaned(part: Any, depth: int) -> Any:
    changes: dict[str, Any] = {}
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(value, Decimal) and _is_absurd(value):
            changes[field.name] = ZERO
        elif depth and is_dataclass(value):
            changes[field.name] = _cleaned(value, depth - 1)
    return replace(part, **changes) if changes else part


def _is_absurd(value: Decimal) -> bool:
    if not value.is_finite():
        return True
    if len(str(value)) > 2 * MOST_DIGITS and len(value.as_tuple().digits) > 2 * MOST_DIGITS:
        return True
    return bool(value) and not _SMALLEST <= value.copy_abs() < _LARGEST


def _numbers(part: Any, prefix: str, depth: int) -> Iterator[tuple[str, Decimal]]:
    kind: Any = type(part)
    for name in _names(kind):
        value = getattr(part, name)
        if isinstance(value, Decimal):
            yield prefix + name, value
        elif depth and type(value) not in _PLAIN and is_dataclass(value):
            yield from _numbers(value, f"{prefix}{name}.", depth - 1)


@cache
def _names(kind: Any) -> tuple[str, ...]:
    """Asked for every order: looking a message's fields up anew cost half of the check."""
    return tuple(field.name for field in fields(kind))
