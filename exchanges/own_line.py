"""The line on which a venue tells of our own orders, as people look at it."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class OwnLine:
    """`breaks`: how often it was lost or could not be opened; `problem`: the last one."""

    is_up: bool
    frames: int
    breaks: int
    gaps: int
    problem: str


@runtime_checkable
class TellsOwnLine(Protocol):
    """A venue with such a line."""

    def own_line(self) -> OwnLine | None:
        """None where it has none: then working orders are asked for."""
        ...
