"""Checks that ask whether the order itself makes sense: sides, quantities, prices, the smallest and the collar."""

from decimal import Decimal
from typing import Final

from market.money import ZERO, to_text
from risk.case import Case, Words, not_asked, rules_of
from risk.wording import money, percent

_NO_INSTRUMENT: Final = "Not asked of an unknown symbol."
_LARGEST_QUOTIENT: Final = Decimal(10) ** 27


def judge(case: Case) -> tuple[bool, ...]:
    """In the order of `CHECKS`."""
    order, instrument, limits = case.order, case.view.instrument, case.limits
    quantity, price, value, market = order.quantity, order.price, case.market_value, case.market_price
    has_price = price is not None
    return (
        # Long only: a sell lowers exposure and says so, a buy never does.
        order.reduce_only == (order.side != "buy"),
        quantity > ZERO,
        # Never sells more than is held and free.
        case.is_entry or quantity <= case.view.sellable_quantity,
        # On the venue's step.
        instrument is None or _is_multiple(quantity, instrument.quantity_step),
        # At least the venue's smallest; a whole position below it is dust.
        instrument is None or quantity >= instrument.min_quantity,
        # At most the venue's largest, where it names one (0 = none).
        instrument is None or quantity <= instrument.max_quantity or instrument.max_quantity <= ZERO,
        # A limit order has a price, a stop-limit too, and a market order has none.
        (order.wire_type != "market") == has_price,
        price is None or price > ZERO,
        # On the venue's tick.
        price is None or instrument is None or _is_multiple(price, instrument.price_tick),
        # A stop that is to rest at the venue sells, lies on the tick and below the market, and its limit below itself.
        (order.stop_price is None and order.wire_type != "stop_limit")
        or (_is_stop_well_formed(case) and not _is_through_market(case)),
        # The order's price (at market: the price the decision rests on) lies near the market, on either side.
        market is None or market <= ZERO or abs((order.reference_price if price is None else price) - market)
        < limits.collar * market or not _has_collar(case),
        # Worth what the venue asks at least; a whole position below it is dust.
        instrument is None or value is None or value >= instrument.min_notional,
        # Worth its fees. Closing all that is left is always worth it, and so is protection.
        value is None or value >= limits.min_notional or _may_be_small(case),
    )


def _tell_side(case: Case, passed: bool) -> Words:
    order = case.order
    label = f"{order.side}{', reduce-only' if order.reduce_only else ''}"
    if order.side == "buy":
        return Words(
            "BUY_NOT_REDUCING", label, "buy",
            "A buy opens or enlarges a position." if passed
            else "A buy cannot be reduce-only: positions are long only.",
        )
    return Words(
        "SELL_NOT_REDUCE_ONLY", label, "sell, reduce-only",
        "A sell lowers a position." if passed else "A sell must be reduce-only: positions are long only.",
    )


def _tell_quantity(case: Case, passed: bool) -> Words:
    quantity = to_text(case.order.quantity)
    return Words(
        "QUANTITY_NOT_POSITIVE", quantity, "above 0",
        f"The quantity is {quantity} {case.base}" + ("." if passed else "; it must be above 0."),
    )


def _tell_sellable(case: Case, _passed: bool) -> Words:
    if case.is_entry:
        return not_asked("Not asked of an entry.")
    quantity, sellable = to_text(case.order.quantity), case.view.sellable_quantity
    return Words(
        "NOTHING_TO_SELL" if sellable <= ZERO else "EXCEEDS_POSITION", quantity, to_text(sellable),
        f"The order sells {quantity} {case.base}; {to_text(max(sellable, ZERO))} of "
        f"{to_text(case.view.position_quantity)} held are free to be sold.",
    )


def _tell_quantity_step(case: Case, _passed: bool) -> Words:
    if case.view.instrument is None:
        return not_asked(_NO_INSTRUMENT)
    quantity, step = to_text(case.order.quantity), to_text(case.view.instrument.quantity_step)
    return Words(
        "QUANTITY_OFF_STEP", quantity, step, f"The quantity is {quantity} {case.base}; the venue's step is {step}.",
    )


def _tell_quantity_minimum(case: Case, _passed: bool) -> Words:
    if case.view.instrument is None:
        return not_asked(_NO_INSTRUMENT)
    quantity, smallest = to_text(case.order.quantity), to_text(case.view.instrument.min_quantity)
    return Words(
        _too_small(case, "QUANTITY_TOO_SMALL"), quantity, smallest,
        f"The quantity is {quantity} {case.base}; the venue's smallest is {smallest}.",
    )


def _tell_quantity_maximum(case: Case, _passed: bool) -> Words:
    instrument = case.view.instrument
    if instrument is None or instrument.max_quantity <= ZERO:
        return not_asked("Not asked: the venue names no largest quantity.")
    quantity, largest = to_text(case.order.quantity), to_text(instrument.max_quantity)
    return Words(
        "QUANTITY_TOO_LARGE", quantity, largest,
        f"The quantity is {quantity} {case.base}; the venue's largest is {largest}.",
    )


def _tell_price(case: Case, passed: bool) -> Words:
    price = case.order.price
    told = "none" if price is None else to_text(price)
    if case.order.wire_type != "market":
        return Words(
            "PRICE_MISSING", told, "a price",
            "The limit order has a price." if passed else "The limit order has no price.",
        )
    return Words(
        "PRICE_UNEXPECTED", told, "none",
        "The order goes at market." if passed
        else f"The market order carries a price of {told}; send it as a limit order or without.",
    )


def _tell_price_positive(case: Case, passed: bool) -> Words:
    price = case.order.price
    if price is None:
        return not_asked("Not asked of an order without a price.")
    return Words(
        "PRICE_NOT_POSITIVE", to_text(price), "above 0",
        f"The price is {to_text(price)} {case.quote}" + ("." if passed else "; it must be above 0."),
    )


def _tell_price_tick(case: Case, _passed: bool) -> Words:
    price, instrument = case.order.price, case.view.instrument
    if price is None or instrument is None:
        return not_asked("Not asked of an order without a price or of an unknown symbol.")
    tick = to_text(instrument.price_tick)
    return Words(
        "PRICE_OFF_TICK", to_text(price), tick,
        f"The price is {to_text(price)} {case.quote}; the venue's tick is {tick}.",
    )


def _is_stop_well_formed(case: Case) -> bool:
    order, instrument = case.order, case.view.instrument
    stop, price = order.stop_price, order.price
    return (
        order.wire_type == "stop_limit" and order.side == "sell" and stop is not None and price is not None
        and ZERO < price <= stop and (instrument is None or _is_multiple(stop, instrument.price_tick))
    )


def _is_through_market(case: Case) -> bool:
    """Venues look at the last price; where none was heard, the middle of the quote must do."""
    last = case.view.last if case.view.last is not None else case.market_price
    stop = case.order.stop_price
    return last is not None and stop is not None and stop >= last


def _tell_stop(case: Case, passed: bool) -> Words:
    order = case.order
    if order.wire_type != "stop_limit" and order.stop_price is None:
        return not_asked("Not asked of an order without a stop.")
    told = "none" if order.stop_price is None else to_text(order.stop_price)
    if passed:
        return Words("", told, "below the market", f"The stop rests at {told} {case.quote}, below the market.")
    if not _is_stop_well_formed(case):
        return Words(
            "STOP_PRICE_INVALID", told, "a stop above its limit",
            f"The stop price is {told} {case.quote}: only a stop-limit sell has one, on the venue's tick and not below "
            "its limit.",
        )
    last = case.view.last if case.view.last is not None else case.market_price or ZERO
    return Words(
        "STOP_THROUGH_MARKET", told, to_text(last),
        f"The stop price {told} {case.quote} is not below the market at {to_text(last)}: it would sell at once.",
    )


def _tell_collar(case: Case, _passed: bool) -> Words:
    market = case.market_price
    if not _has_collar(case):
        return not_asked("Not asked of protection, of an exit at market, or before an armed order fires.")
    if market is None or market <= ZERO:
        return not_asked("Not asked while no market price is known.")
    price, limit = _named_price(case), percent(case.limits.collar)
    distance = percent(abs(price - market) / market)
    return Words(
        "PRICE_COLLAR", distance, limit,
        f"The price {to_text(price)} {case.quote} is {distance} from the market; the limit is {limit}.",
    )


def _has_collar(case: Case) -> bool:
    """Not asked at arming, when a price far away is the point: the order is reviewed again when it fires. Nor of
    protection: in a crash it must leave, whatever the distance.
    """
    order = case.order
    return not (case.is_protective or order.is_arming or (not case.is_entry and order.price is None))


def _named_price(case: Case) -> Decimal:
    return case.order.price if case.order.price is not None else case.order.reference_price


def _tell_venue_minimum(case: Case, _passed: bool) -> Words:
    instrument, value = case.view.instrument, case.market_value
    if instrument is None or value is None:
        return not_asked("Not asked of an unknown symbol or without any price.")
    smallest = instrument.min_notional
    return Words(
        _too_small(case, "BELOW_VENUE_MIN_NOTIONAL"), to_text(value), to_text(smallest),
        f"The order is worth {money(value, case.quote)}; "
        f"the venue's minimum is {money(smallest, case.quote)}.",
    )


def _tell_minimum(case: Case, _passed: bool) -> Words:
    value, smallest = case.market_value, case.limits.min_notional
    if _may_be_small(case):
        return not_asked("Not asked of protection, of a fired exit or of closing a whole position.")
    if value is None:
        return not_asked("Not asked without any price.")
    return Words(
        "BELOW_MIN_NOTIONAL", to_text(value), to_text(smallest),
        f"The order is worth {money(value, case.quote)}; our minimum is {money(smallest, case.quote)}.",
    )


def _is_multiple(value: Decimal, step: Decimal) -> bool:
    if step <= ZERO:
        return True
    # The remainder of Decimal is exact but refuses quotients beyond the context's 28 digits; no order is that long.
    return value.copy_abs() < step * _LARGEST_QUOTIENT and value % step == ZERO


def _may_be_small(case: Case) -> bool:
    """A fired exit may have been made smaller with its position since it was armed: the venue's minimum is enough."""
    return case.is_protective or (not case.is_entry and case.order.has_fired) or _closes_position(case)


def _closes_position(case: Case) -> bool:
    """Sells everything that is free to be sold, as far as the venue's step allows."""
    instrument = case.view.instrument
    if case.is_entry or instrument is None:
        return False
    return case.order.quantity >= instrument.round_quantity(case.view.sellable_quantity)


def _too_small(case: Case, code: str) -> str:
    return "POSITION_IS_DUST" if _closes_position(case) else code


CHECKS: Final = rules_of(
    judge,
    ("side", _tell_side, False),
    ("quantity", _tell_quantity, False),
    ("sellable_quantity", _tell_sellable, False),
    ("quantity_step", _tell_quantity_step, False),
    ("min_quantity", _tell_quantity_minimum, False),
    ("max_quantity", _tell_quantity_maximum, False),
    ("price", _tell_price, False),
    ("price_positive", _tell_price_positive, False),
    ("price_tick", _tell_price_tick, False),
    ("stop_price", _tell_stop, False),
    ("collar", _tell_collar, False),
    ("venue_min_notional", _tell_venue_minimum, False),
    ("min_notional", _tell_minimum, False),
)
