"""Records of the moment: born by the thousand on the way from a tick to an order, read once, and forgotten.

To the type checker they are frozen. At run time nothing guards their fields, because that costs five to ten times
as much at birth as all the rest. For what is handed on or kept (messages, orders, approvals) use a frozen dataclass.
"""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

Kind = TypeVar("Kind")


@dataclass_transform(frozen_default=True)
def record(kind: type[Kind]) -> type[Kind]:
    """A slotted dataclass, compared and hashed by its values."""
    return dataclass(slots=True, unsafe_hash=True)(kind)
