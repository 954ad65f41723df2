"""Within which bounds the spacing of a grid is found where nobody wrote one: a preset may draw them closer (T7)."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from bus.messages.grid import StartGrid

BOUNDS_BY_PRESET: Final[Mapping[str, tuple[Decimal, Decimal]]] = MappingProxyType({
    "trailing-grid": (Decimal("0.005"), Decimal("0.02")),
})
"""Lowest and highest spacing (ratios) of a preset's design. Without one the grid's own hold: 0.5 and 5 %."""


def within_preset(command: StartGrid, preset: str) -> StartGrid:
    """The same with the preset's bounds where it has none of its own; what a person wrote is never contradicted."""
    if command.spacing is not None or preset not in BOUNDS_BY_PRESET:
        return command
    lowest, highest = BOUNDS_BY_PRESET[preset]
    low, high = command.min_spacing, command.max_spacing
    if low is None and (high is None or lowest <= high):
        low = lowest
    if high is None and (command.min_spacing is None or command.min_spacing <= highest):
        high = highest
    return replace(command, min_spacing=low, max_spacing=high)


def tuned_within_preset(spacing: Decimal, preset: str) -> Decimal:
    """What self-tuning has found, within the preset's bounds."""
    if preset not in BOUNDS_BY_PRESET:
        return spacing
    lowest, highest = BOUNDS_BY_PRESET[preset]
    return min(max(spacing, lowest), highest)
