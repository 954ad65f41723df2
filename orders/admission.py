"""Is the order complete and sane? Rounds it against us, or says in a sentence what is wrong with it.

What depends on the account or the market's mood is the gate's business, not asked here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from bus.messages.orders import Protection, SubmitOrder, TrailSpec
from market.instrument import Instrument
from market.money import ONE, ZERO
from orders.sane_numbers import MOST_DIGITS, absurd_number

MAX_ID: Final = 36
MAX_PARENT_ID: Final = 32
"""An entry with protection needs room for its children's ids (parent + "-s2")."""

_ID: Final = re.compile(r"[.A-Za-z0-9:/_-]{1,36}\Z")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an order or a command is refused before the gate sees it. `code` is one of `risk.codes`."""

    code: str
    rule: str
    value: str
    limit: str
    message: str


def refuse(code: str, rule: str, message: str, value: object = "", limit: object = "") -> Refusal:
    """A refusal, its value and limit as text."""
    return Refusal(code, rule, str(value), str(limit), message)


def admit(order: SubmitOrder, instrument: Instrument | None, quote: str) -> SubmitOrder | Refusal:
    """The order rounded (quantity down, prices against us), or the first thing that is wrong with it."""
    if not _ID.match(order.client_order_id):
        return refuse(
            "INVALID_ORDER", "client_order_id",
            f"The client order id {order.client_order_id[:60]!r} is not 1 to {MAX_ID} letters, digits or .:/_-.",
            order.client_order_id[:60], MAX_ID,
        )
    if order.protection is not None and len(order.client_order_id) > MAX_PARENT_ID:
        return refuse(
            "INVALID_ORDER", "client_order_id",
            f"The client order id of an order with protection may have {MAX_PARENT_ID} characters at most.",
            len(order.client_order_id), MAX_PARENT_ID,
        )
    if instrument is None:
        return refuse(
            "UNKNOWN_INSTRUMENT", "instrument",
            f"{order.symbol} is not traded here: use a symbol of the configuration's list.", order.symbol,
        )
    if instrument.quote != quote:
        return refuse(
            "UNKNOWN_INSTRUMENT", "instrument",
            f"{order.symbol} is only watched: profit is counted in {quote}, not in {instrument.quote}.",
            instrument.quote, quote,
        )
    problem = next(_problems(order), None)
    if problem is not None:
        return problem
    rounded = round_order(order, instrument)
    if rounded.stop_price is not None and not rounded.stop_price:
        return refuse(
            "PRICE_NOT_POSITIVE", "stop_price",
            f"The stop_price {order.stop_price} is below one tick ({instrument.price_tick}): nothing can fire there.",
            order.stop_price, instrument.price_tick,
        )
    return rounded


def round_order(order: SubmitOrder, instrument: Instrument) -> SubmitOrder:
    """Quantity down to the step, price and trigger to the tick, never in our favour."""
    quantity, price, stop_price = order.quantity, order.price, order.stop_price
    rounded = instrument.round_quantity(quantity)
    if price is None and stop_price is None and rounded.compare_total(quantity) == 0:
        return order  # to the digit, as it is written down
    return replace(
        order,
        quantity=rounded,
        price=None if price is None else instrument.round_price(price, order.side),
        stop_price=None if stop_price is None else instrument.round_trigger(stop_price, order.side),
    )


def _problems(order: SubmitOrder) -> Iterator[Refusal]:
    if not order.quantity.is_finite() or order.quantity <= ZERO:
        yield refuse(
            "QUANTITY_NOT_POSITIVE", "quantity", f"The quantity is {order.quantity}; it must be above zero.",
            order.quantity, 0,
        )
    for name in ("price", "stop_price"):
        price: Decimal | None = getattr(order, name)
        if price is not None and not (price.is_finite() and price > ZERO):
            yield refuse("PRICE_NOT_POSITIVE", name, f"The {name} is {price}; it must be above zero.", price, 0)
    absurd = absurd_number(order)
    if absurd is not None:
        name, value = absurd
        yield refuse(
            "INVALID_ORDER", name,
            f"The {name} is {str(value)[:40]}; it must be a number with at most {MOST_DIGITS} digits before and after "
            "the point.", str(value)[:40], MOST_DIGITS,
        )
    needed = {
        "limit": "price", "stop": "stop_price", "take_profit": "stop_price", "trailing": "trail",
    }.get(order.order_type)
    if needed is not None and getattr(order, needed) is None:
        yield refuse("INVALID_ORDER", needed, f"A {order.order_type} order needs a {needed}, and there is none.")
    if order.order_type == "take_profit" and order.side == "buy":
        yield refuse("INVALID_ORDER", "side", "Only a sell can take profit: give a buy a protection with a target.")
    if order.order_type == "market" and order.price is not None:
        yield refuse("PRICE_UNEXPECTED", "price", "A market order takes no price.", order.price)
    if order.trail is not None:
        yield from trail_problems(order.trail)
    if order.protection is not None:
        yield from _protection_problems(order.protection, order.side)


def trail_problems(trail: TrailSpec) -> Iterator[Refusal]:
    """What is wrong with a trail on its own."""
    def wrong(name: str, value: object, rule: str) -> Refusal:
        return refuse("INVALID_ORDER", f"trail.{name}", f"The trail's {name} is {value}; it must be {rule}.", value)

    distance = trail.distance
    if not distance.is_finite() or distance <= ZERO or (trail.kind == "percent" and distance >= ONE):
        yield wrong("distance", distance, "above 0" + (" and below 1 (0.02 is 2 %)" if trail.kind == "percent" else ""))
    if trail.activation_price is not None and not trail.activation_price > ZERO:
        yield wrong("activation_price", trail.activation_price, "above 0")
    if trail.limit_offset is not None and not ZERO <= trail.limit_offset < ONE:
        yield wrong("limit_offset", trail.limit_offset, "at least 0 and below 1")
    if trail.break_even_ratio is not None and not ZERO < trail.break_even_ratio < ONE:
        yield wrong("break_even_ratio", trail.break_even_ratio, "between 0 and 1")
    if trail.decay_ratio_per_minute is None:
        return
    if not ZERO < trail.decay_ratio_per_minute <= ONE:
        yield wrong("decay_ratio_per_minute", trail.decay_ratio_per_minute, "above 0 and at most 1")
    if trail.decay_floor is None or not trail.decay_floor > ZERO:
        yield wrong("decay_floor", trail.decay_floor, "above 0 where the distance decays")


def _protection_problems(protection: Protection, side: str) -> Iterator[Refusal]:
    if side == "sell":
        yield refuse("INVALID_ORDER", "protection", "Only a buy can have protection: a sell closes what is held.")
    for name, below_one in (("stop_ratio", True), ("take_profit_ratio", False)):
        ratio: Decimal | None = getattr(protection, name)
        if ratio is not None and not (ratio > ZERO and (ratio < ONE or not below_one)):
            rule = "between 0 and 1" if below_one else "above 0"
            yield refuse(
                "INVALID_ORDER", f"protection.{name}", f"The protection's {name} is {ratio}; it must be {rule}.", ratio,
            )
    if protection.trail is not None:
        yield from trail_problems(protection.trail)
