"""What the story tells of grids."""

from collections.abc import Callable
from typing import Any, Final

from bus.messages import grid
from bus.messages.header import Message
from market.money import to_text

Teller = Callable[[Any, Message], tuple[str, str, str] | None]


def _started(body: grid.GridStarted, _: Message) -> tuple[str, str, str]:
    command = body.command
    if command.entry == "first":
        text = f"{body.grid_id} waits for its first entry, from {to_text(body.centre)}"
    else:
        text = f"{body.grid_id} of {2 * command.levels + 1} levels around {to_text(body.centre)}"
    text += f", {to_text(round(body.spacing * 100, 3))} % apart, with {to_text(command.capital)}"
    if command.entry != "first":
        text += "; nothing is bought yet: levels within 5 % of the price get a trailing buy now, the others as it nears"
    return "GRID", body.symbol, f"{text}; {body.warning}" if body.warning else text


GRID_TELLERS: Final[dict[type, Teller]] = {
    grid.GridStarted: _started,
    grid.GridEntered: lambda b, m: ("GRID", b.symbol, f"{b.grid_id} begins at {to_text(b.centre)}: {b.reason}"),
    grid.GridShifted: lambda b, m: (
        "GRID", b.symbol, f"{b.grid_id} moves from {to_text(b.centre_before)} to {to_text(b.centre)}: {b.reason}"
    ),
    grid.GridLevelBlocked: lambda b, m: (
        "GRID", b.symbol, f"{b.grid_id} level {b.level} cannot be armed: {b.message} [{b.code}]"
    ),
    grid.GridInventoryReleased: lambda b, m: (
        "GRID", b.symbol, f"{b.grid_id} level {b.level} gives up {to_text(b.quantity)}: {b.reason}"
    ),
    grid.GridStopping: lambda b, m: ("GRID", b.symbol, f"{b.grid_id} stops: {b.reason}"),
    grid.GridStopped: lambda b, m: (
        "GRID", b.symbol, f"{b.grid_id} has ended with a profit of {b.profit:.4f}: {b.reason}"
    ),
}
