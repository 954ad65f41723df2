"""All grids as a fold over their own facts and those of their orders.

It needs nothing but the messages, so the engine and the read model fold the same book, live and from the journal.
An order belongs to a grid by its tag, `grid-<id>-L<level>`, `grid-<id>-floor` or `grid-<id>-close`. Sells carry it as
their `parent_id` too: the market order that replaces a failed exit has another tag, but keeps the parent.
"""

import re
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from bus.ids import ClientOrderId
from bus.messages.grid import (
    GridBandEntered,
    GridEntered,
    GridInventoryReleased,
    GridLevelBlocked,
    GridSampled,
    GridSessionBased,
    GridShifted,
    GridStarted,
    GridStopped,
    GridStopping,
    GridTuned,
)
from bus.messages.header import Message
from bus.messages.orders import (
    OrderCancelled,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderInitialized,
    OrderRejected,
    OrderTriggered,
    SubmitOrder,
    TrailingArmed,
)
from market.money import ZERO
from orders.grid_state import NO_ORDER, Grid, GridLevel, Leg, LegRole

KEEP_STOPPED: Final = 50
KEEP_LEGS: Final = 5_000
"""Orders of grids remembered as such, ended ones too: a fill may come late."""

TAG: Final = "grid-"
_TAG: Final = re.compile(r"grid-(?P<grid>g[0-9]+)-(?:L(?P<level>-?[0-9]+)|(?P<whole>floor|close))\Z")
_COST_STEP: Final = Decimal("1e-12")


def level_tag(grid_id: str, level: int) -> str:
    """What a level's orders are tagged with."""
    return f"{TAG}{grid_id}-L{level}"


def whole_tag(grid_id: str, role: LegRole) -> str:
    """What the orders of a whole grid are tagged with."""
    return f"{TAG}{grid_id}-{role}"


class GridBook:
    """Grids by id. `apply` takes any message; `dirty` names the grids something happened to since it was emptied."""

    __slots__ = ("_by_id", "_by_symbol", "_legs", "dirty", "started")

    def __init__(self) -> None:
        self._by_id: dict[str, Grid] = {}
        self._by_symbol: dict[str, str] = {}
        self._legs: dict[ClientOrderId, Leg] = {}
        self.dirty: dict[str, None] = {}
        self.started = 0

    # ---- what is known -----------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Grid]:
        return iter(self._by_id.values())

    def get(self, grid_id: str) -> Grid | None:
        return self._by_id.get(grid_id)

    def live(self) -> tuple[Grid, ...]:
        """Grids that have not stopped, in order of birth."""
        return tuple(self._by_id[grid_id] for grid_id in self._by_symbol.values())

    def of_symbol(self, symbol: str) -> Grid | None:
        """The live grid of the symbol."""
        grid_id = self._by_symbol.get(symbol)
        return None if grid_id is None else self._by_id[grid_id]

    def leg(self, client_order_id: ClientOrderId) -> Leg | None:
        """Whose order it is; None when it is no grid's."""
        return self._legs.get(client_order_id)

    @property
    def next_id(self) -> str:
        return f"g{self.started + 1}"

    # ---- the fold ----------------------------------------------------------------------------------

    def apply(self, message: Message) -> None:
        """Fold one message; one that is about no grid changes nothing."""
        body = message.body
        kind = type(body)
        own = _OF_GRIDS.get(kind)
        if own is not None:
            if kind is GridStarted:
                own(self, body, message.header.ts)
                return
            grid = self._by_id.get(body.grid_id)
            if grid is not None:
                own(self, grid, body, message.header.ts)
            return
        if kind is OrderInitialized:
            self._on_initialized(body)
            return
        folded = _OF_ORDERS.get(kind)
        if folded is None:
            return
        leg = self._legs.get(body.client_order_id)
        if leg is not None:
            grid = self._by_id.get(leg.grid_id)
            if grid is not None:
                self.dirty[grid.grid_id] = None
                folded(self, grid, leg, body, message.header.ts)

    # ---- facts of grids ----------------------------------------------------------------------------

    def _on_started(self, fact: GridStarted, ts: int) -> None:
        command = fact.command
        grid = Grid(
            fact.grid_id, fact.symbol, command, fact.spacing, fact.trail, fact.centre, fact.price_tick, ts,
            reason=command.reason, warning=fact.warning,
        )
        grid.levels = {index: GridLevel(index) for index in range(-command.levels, command.levels + 1)}
        grid.samples.extend(command.history)
        if command.entry == "first":
            grid.phase = "WAITING"
            grid.session_price, grid.session_ns = fact.centre, ts
        self._by_id[fact.grid_id] = grid
        self._by_symbol[fact.symbol] = fact.grid_id
        self.dirty[fact.grid_id] = None
        self.started += 1
        stopped = [each.grid_id for each in self._by_id.values() if not each.is_live]
        for old in stopped[: max(len(stopped) - KEEP_STOPPED, 0)]:
            del self._by_id[old]

    def _on_session(self, grid: Grid, fact: GridSessionBased, ts: int) -> None:
        grid.session_price, grid.session_ns = fact.price, ts

    def _on_entered(self, grid: Grid, fact: GridEntered, _ts: int) -> None:
        grid.phase, grid.centre, grid.reason = "RUNNING", fact.centre, fact.reason
        self.dirty[grid.grid_id] = None

    def _on_tuned(self, grid: Grid, fact: GridTuned, ts: int) -> None:
        grid.spacing, grid.trail = fact.spacing, fact.trail
        grid.tuning, grid.tuned_ns = fact, ts
        _close_band(grid, ts)

    def _on_shifted(self, grid: Grid, fact: GridShifted, ts: int) -> None:
        grid.centre = fact.centre
        grid.shifts += 1
        for level in grid.levels.values():
            level.is_ready = False
        _close_band(grid, ts)

    def _on_sampled(self, grid: Grid, fact: GridSampled, ts: int) -> None:
        grid.samples.append(fact.price)
        grid.sampled_ns = ts

    def _on_band(self, grid: Grid, fact: GridBandEntered, ts: int) -> None:
        _close_band(grid, ts)
        if fact.is_inside:
            grid.band, grid.band_ns = fact.level, ts

    def _on_blocked(self, grid: Grid, fact: GridLevelBlocked, ts: int) -> None:
        level = grid.levels.get(fact.level)
        if level is not None:
            level.blocked_code = fact.code
            level.error, level.error_ns = f"{fact.message} [{fact.code}]", ts

    def _on_released(self, grid: Grid, fact: GridInventoryReleased, _ts: int) -> None:
        level = grid.levels.get(fact.level)
        if level is not None:
            level.quantity -= fact.quantity
            level.cost -= fact.cost
            grid.released_cost += fact.cost

    def _on_stopping(self, grid: Grid, fact: GridStopping, ts: int) -> None:
        grid.phase, grid.reason = "STOPPING", fact.reason
        grid.is_closing = grid.is_closing or fact.close
        _close_band(grid, ts)
        self.dirty[grid.grid_id] = None

    def _on_stopped(self, grid: Grid, fact: GridStopped, ts: int) -> None:
        grid.phase, grid.reason, grid.stopped_ns = "STOPPED", fact.reason, ts
        self._by_symbol.pop(grid.symbol, None)
        self.dirty.pop(grid.grid_id, None)

    # ---- facts of orders ---------------------------------------------------------------------------

    def _on_initialized(self, fact: OrderInitialized) -> None:
        spec = fact.order
        leg = self._leg_of(spec.tag, spec.side) or self._leg_of(spec.parent_id, spec.side)
        grid = self._by_id.get(leg.grid_id) if leg is not None else None
        if leg is None or grid is None or not _is_made_by(grid, spec):
            return
        client_order_id = spec.client_order_id
        self._legs[client_order_id] = leg
        if len(self._legs) > KEEP_LEGS:
            self._forget_oldest_leg()
        grid.orders_made += 1
        self.dirty[grid.grid_id] = None
        if leg.level is None:
            if leg.role == "floor":
                grid.floor_id = client_order_id
            else:
                grid.close_id = client_order_id
            return
        level = grid.levels[leg.level]
        level.orders += 1
        level.blocked_code = ""
        if leg.role == "buy":
            level.buy_id = client_order_id
        else:
            level.sell_id = client_order_id

    def _forget_oldest_leg(self) -> None:
        """The oldest that has ended: an exit may wait for months."""
        for client_order_id, leg in self._legs.items():
            grid = self._by_id.get(leg.grid_id)
            level = None if grid is None or leg.level is None else grid.levels[leg.level]
            current = (level.buy_id, level.sell_id) if level else (grid.floor_id, grid.close_id) if grid else ()
            if client_order_id not in current:
                del self._legs[client_order_id]
                return

    def _leg_of(self, tag: str, side: str) -> Leg | None:
        found = _TAG.match(tag) if tag.startswith(TAG) else None
        grid = None if found is None else self._by_id.get(found["grid"])
        if found is None or grid is None:
            return None
        if found["whole"]:
            return Leg(grid.grid_id, "floor" if found["whole"] == "floor" else "close", None)
        index = int(found["level"])
        return Leg(grid.grid_id, "buy" if side == "buy" else "sell", index) if index in grid.levels else None

    def _on_armed(self, grid: Grid, leg: Leg, fact: TrailingArmed, _ts: int) -> None:
        if leg.role == "buy" and leg.level is not None and fact.is_active:
            grid.levels[leg.level].is_ready = True

    def _on_triggered(self, grid: Grid, leg: Leg, _fact: OrderTriggered, _ts: int) -> None:
        if leg.role == "floor":
            grid.is_floor_reached = True

    def _on_order_ended(
        self, grid: Grid, leg: Leg, fact: OrderDenied | OrderRejected | OrderCancelled | OrderExpired, ts: int,
    ) -> None:
        if isinstance(fact, OrderDenied) and fact.order is None:
            return
        level = self._forget_order(grid, leg, fact.client_order_id)
        if level is None:
            return
        if isinstance(fact, OrderDenied):
            level.error, level.error_ns = f"{fact.message} [{fact.code}]", ts
        elif isinstance(fact, OrderRejected) or fact.by == "venue":
            level.error, level.error_ns = f"{leg.role} ended by the venue: {fact.reason}", ts

    def _forget_order(self, grid: Grid, leg: Leg, client_order_id: ClientOrderId) -> GridLevel | None:
        if leg.level is None:
            if grid.floor_id == client_order_id:
                grid.floor_id = NO_ORDER
            elif grid.close_id == client_order_id:
                grid.close_id = NO_ORDER
            return None
        level = grid.levels[leg.level]
        if level.buy_id == client_order_id:
            level.buy_id = NO_ORDER
        elif level.sell_id == client_order_id:
            level.sell_id = NO_ORDER
        return level

    def _on_filled(self, grid: Grid, leg: Leg, fact: OrderFilled, _ts: int) -> None:
        base, _, quote = grid.symbol.partition("/")
        fee_in_base = fact.fee if fact.fee_asset == base else ZERO
        fee_in_quote = fact.fee if (fact.fee_asset or quote) == quote else ZERO
        if fact.side == "buy" and leg.level is not None:
            level = grid.levels[leg.level]
            value = fact.quantity * fact.price
            level.quantity += fact.quantity - fee_in_base
            level.cost += value + fee_in_quote
            level.bought += value
            level.fees += fee_in_quote + fee_in_base * fact.price
            level.is_ready = False
        elif leg.level is not None:
            level = grid.levels[leg.level]
            _sell(level, fact.quantity, fact.price, fee_in_quote)
            level.take(fee_in_base)
            level.round_trips += fact.is_complete
        else:
            _sell_together(grid, fact.quantity, fact.price, fee_in_quote)
        if fact.is_complete:
            self._forget_order(grid, leg, fact.client_order_id)


def _is_made_by(grid: Grid, spec: SubmitOrder) -> bool:
    """A person may tag an order as they like: the grid's own have its ids, or the parent that only the engine sets."""
    is_own = spec.client_order_id.startswith(grid.id_stem) or bool(spec.parent_id and spec.origin != "manual")
    return is_own and grid.symbol == spec.symbol


def _sell(level: GridLevel, quantity: Decimal, price: Decimal, fee: Decimal) -> None:
    """Book a sale of the level's own; what it does not hold was never its to earn from."""
    sold = min(quantity, level.quantity)
    value = sold * price
    level.profit += value - fee - level.take(sold)
    level.sold += value
    level.fees += fee


def _sell_together(grid: Grid, quantity: Decimal, price: Decimal, fee: Decimal) -> None:
    """A sale of the whole grid: the lowest levels first, each with its part of the fee."""
    left, fee_left = min(quantity, grid.quantity), fee
    for index in sorted(grid.levels):
        level = grid.levels[index]
        part = min(left, level.quantity)
        if part <= ZERO:
            continue
        is_last = part == left
        own_fee = fee_left if is_last else (fee_left * part / left).quantize(_COST_STEP, ROUND_HALF_EVEN)
        _sell(level, part, price, own_fee)
        level.round_trips += not level.quantity
        left -= part
        fee_left -= own_fee
        if is_last:
            return


def _close_band(grid: Grid, ts: int) -> None:
    """The time since the price came into its band is that level's."""
    if grid.band is not None and grid.band in grid.levels:
        grid.levels[grid.band].spent_ns += max(ts - grid.band_ns, 0)
    grid.band = None


_OF_GRIDS: Final[dict[type, Callable[..., None]]] = {
    GridStarted: GridBook._on_started,
    GridSessionBased: GridBook._on_session,
    GridEntered: GridBook._on_entered,
    GridTuned: GridBook._on_tuned,
    GridShifted: GridBook._on_shifted,
    GridSampled: GridBook._on_sampled,
    GridBandEntered: GridBook._on_band,
    GridLevelBlocked: GridBook._on_blocked,
    GridInventoryReleased: GridBook._on_released,
    GridStopping: GridBook._on_stopping,
    GridStopped: GridBook._on_stopped,
}
_OF_ORDERS: Final[dict[type, Callable[[GridBook, Grid, Leg, Any, int], None]]] = {
    TrailingArmed: GridBook._on_armed,
    OrderTriggered: GridBook._on_triggered,
    OrderDenied: GridBook._on_order_ended,
    OrderRejected: GridBook._on_order_ended,
    OrderCancelled: GridBook._on_order_ended,
    OrderExpired: GridBook._on_order_ended,
    OrderFilled: GridBook._on_filled,
}
