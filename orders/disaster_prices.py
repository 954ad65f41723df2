"""Where a position's disaster stop belongs: below everything that the engine itself would sell at.

The rule. A position's own stop-loss is the lowest trigger among its armed exits: of each entry its fixed stop, or
its trail where it has no stop (the trigger of this moment); a target is none. For what no armed exit covers it is
`limits.stop_loss` below the average price. The stop that rests at the venue lies `GAP` below that, so that while
this process lives its own exits come first; its limit lies `LIMIT_OFFSET` lower still, so that it is marketable
when it is triggered in all but a crash. A fall through the limit before anybody could buy leaves it resting above
the market: `orders.disaster_stop` then takes it back and sells at market (F30).
"""

from decimal import Decimal
from typing import Final, NamedTuple

from bus.ids import ClientOrderId
from market.money import ONE, ZERO
from orders import account
from orders.desk import Desk
from orders.order_table import Order

GAP: Final = Decimal("0.01")
"""Between the lowest stop of our own and the one at the venue (ratio of price)."""

LIMIT_OFFSET: Final = Decimal("0.02")
"""From the stop price down to the limit (ratio of price): what the sale may cost at worst while we are away."""


class StopPrices(NamedTuple):
    """In quote, on the tick; `own` is the lowest stop-loss of our own that they follow from."""

    own: Decimal
    stop: Decimal
    limit: Decimal


def stop_prices(desk: Desk, symbol: str) -> StopPrices | None:
    """Where the stop belongs by the rule; None when there is no such price (nothing held, or it would be zero)."""
    own = own_stop(desk, symbol)
    return None if own is None else prices_below(desk, symbol, own)


def prices_below(desk: Desk, symbol: str, own: Decimal) -> StopPrices | None:
    """The stop `GAP` below a price, and its limit; both rounded down."""
    instrument = desk.markets[symbol].instrument
    stop = instrument.round_price(own * (ONE - GAP), "buy")
    limit = instrument.round_price(stop * (ONE - LIMIT_OFFSET), "buy")
    return StopPrices(own, stop, limit) if limit > ZERO else None


def own_stop(desk: Desk, symbol: str) -> Decimal | None:
    """The position's widest own stop-loss, None when nothing is held."""
    position, held = desk.state.ledger.position(symbol), account.held_quantity(desk.state, desk.markets[symbol])
    if position is None or held <= ZERO or position.average_price <= ZERO:
        return None
    fixed: dict[ClientOrderId, Decimal] = {}
    trailing: dict[ClientOrderId, Decimal] = {}
    covered: dict[ClientOrderId, Decimal] = {}
    for order in desk.state.orders.exits(symbol):
        trigger = falling_trigger(desk, order)
        if trigger is None:
            continue
        family = order.spec.parent_id or order.client_order_id
        found = trailing if order.spec.trail is not None else fixed
        found[family] = min(trigger, found.get(family, trigger))
        covered[family] = max(order.spec.quantity, covered.get(family, ZERO))
    levels = [*fixed.values(), *(level for family, level in trailing.items() if family not in fixed)]
    if sum(covered.values(), ZERO) < held:
        levels.append(position.average_price * (ONE - desk.config.limits.stop_loss))
    return min(levels)


def falling_trigger(desk: Desk, order: Order) -> Decimal | None:
    """The price at or below which an armed exit sells; None for targets and for trails that still wait."""
    client_order_id = order.client_order_id
    if not order.is_armed or not desk.state.watch.is_active(client_order_id):
        return None
    trigger = desk.state.watch.trigger_of(client_order_id)
    is_target = trigger is not None and order.spec.trail is None and trigger > order.arming_price
    return None if is_target else trigger
