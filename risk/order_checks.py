"""Checks that ask whether the order itself makes sense: sides, quantities, prices, the smallest and the collar."""

from decimal import Decimal
from typing import Final

from market.money import ZERO, to_text
from risk.case import Case, CheckFunction, Judgement, judged, not_asked
from risk.wording import money, percent

_NO_INSTRUMENT: Final = "Not asked of an unknown symbol."


def check_side(case: Case) -> Judgement:
    """Long only: a sell lowers exposure and says so, a buy never does."""
    order = case.order
    label = f"{order.side}{', reduce-only' if order.reduce_only else ''}"
    if order.side == "buy":
        return judged("side", not order.reduce_only, "BUY_NOT_REDUCING", lambda: (
            label, "buy",
            "A buy cannot be reduce-only: positions are long only." if order.reduce_only
            else "A buy opens or enlarges a position.",
        ))
    return judged("side", order.reduce_only, "SELL_NOT_REDUCE_ONLY", lambda: (
        label, "sell, reduce-only",
        "A sell lowers a position." if order.reduce_only
        else "A sell must be reduce-only: positions are long only.",
    ))


def check_quantity_positive(case: Case) -> Judgement:
    """Above zero."""
    quantity = case.order.quantity
    return judged("quantity", quantity > ZERO, "QUANTITY_NOT_POSITIVE", lambda: (
        to_text(quantity), "above 0",
        f"The quantity is {to_text(quantity)} {case.base}"
        + ("." if quantity > ZERO else "; it must be above 0."),
    ))


def check_quantity_step(case: Case) -> Judgement:
    """On the venue's step."""
    instrument = case.view.instrument
    if instrument is None:
        return not_asked("quantity_step", _NO_INSTRUMENT)
    step = instrument.quantity_step
    return judged("quantity_step", _is_multiple(case.order.quantity, step), "QUANTITY_OFF_STEP", lambda: (
        to_text(case.order.quantity), to_text(step),
        f"The quantity is {to_text(case.order.quantity)} {case.base}; the venue's step is {to_text(step)}.",
    ))


def check_quantity_minimum(case: Case) -> Judgement:
    """At least the venue's smallest; a whole position below it is dust."""
    instrument = case.view.instrument
    if instrument is None:
        return not_asked("min_quantity", _NO_INSTRUMENT)
    quantity, smallest = case.order.quantity, instrument.min_quantity
    return judged("min_quantity", quantity >= smallest, _too_small(case, "QUANTITY_TOO_SMALL"), lambda: (
        to_text(quantity), to_text(smallest),
        f"The quantity is {to_text(quantity)} {case.base}; the venue's smallest is {to_text(smallest)}.",
    ))


def check_quantity_maximum(case: Case) -> Judgement:
    """At most the venue's largest, where it names one (0 = none)."""
    instrument = case.view.instrument
    if instrument is None or instrument.max_quantity <= ZERO:
        return not_asked("max_quantity", "Not asked: the venue names no largest quantity.")
    quantity, largest = case.order.quantity, instrument.max_quantity
    return judged("max_quantity", quantity <= largest, "QUANTITY_TOO_LARGE", lambda: (
        to_text(quantity), to_text(largest),
        f"The quantity is {to_text(quantity)} {case.base}; the venue's largest is {to_text(largest)}.",
    ))


def check_price_present(case: Case) -> Judgement:
    """A limit order has a price and a market order has none."""
    price, is_limit = case.order.price, case.order.wire_type == "limit"
    told = "none" if price is None else to_text(price)
    if is_limit:
        return judged("price", price is not None, "PRICE_MISSING", lambda: (
            told, "a price",
            "The limit order has a price." if price is not None else "The limit order has no price.",
        ))
    return judged("price", price is None, "PRICE_UNEXPECTED", lambda: (
        told, "none",
        "The order goes at market." if price is None
        else f"The market order carries a price of {told}; send it as a limit order or without.",
    ))


def check_price_positive(case: Case) -> Judgement:
    """Above zero."""
    price = case.order.price
    if price is None:
        return not_asked("price_positive", "Not asked of an order without a price.")
    return judged("price_positive", price > ZERO, "PRICE_NOT_POSITIVE", lambda: (
        to_text(price), "above 0",
        f"The price is {to_text(price)} {case.quote}" + ("." if price > ZERO else "; it must be above 0."),
    ))


def check_price_tick(case: Case) -> Judgement:
    """On the venue's tick."""
    price, instrument = case.order.price, case.view.instrument
    if price is None or instrument is None:
        return not_asked("price_tick", "Not asked of an order without a price or of an unknown symbol.")
    tick = instrument.price_tick
    return judged("price_tick", _is_multiple(price, tick), "PRICE_OFF_TICK", lambda: (
        to_text(price), to_text(tick),
        f"The price is {to_text(price)} {case.quote}; the venue's tick is {to_text(tick)}.",
    ))


def check_collar(case: Case) -> Judgement:
    """The order's price (at market: the price the decision rests on) lies near the market, on either side.

    Not asked at arming, when a price far away is the point: the order is reviewed again when it fires. Nor of
    protection: in a crash it must leave, whatever the distance.
    """
    order, market = case.order, case.market_price
    if case.is_protective or order.is_arming or (not case.is_entry and order.price is None):
        return not_asked("collar", "Not asked of protection, of an exit at market, or before an armed order fires.")
    if market is None or market <= ZERO:
        return not_asked("collar", "Not asked while no market price is known.")
    price = order.price if order.price is not None else order.reference_price
    limit = case.limits.collar
    distance = abs(price - market)
    return judged("collar", distance < limit * market, "PRICE_COLLAR", lambda: (
        percent(distance / market), percent(limit),
        f"The price {to_text(price)} {case.quote} is {percent(distance / market)} from the market; "
        f"the limit is {percent(limit)}.",
    ))


def check_venue_minimum_notional(case: Case) -> Judgement:
    """Worth what the venue asks at least; a whole position below it is dust."""
    instrument, value = case.view.instrument, _market_value(case)
    if instrument is None or value is None:
        return not_asked("venue_min_notional", "Not asked of an unknown symbol or without any price.")
    smallest = instrument.min_notional
    return judged("venue_min_notional", value >= smallest, _too_small(case, "BELOW_VENUE_MIN_NOTIONAL"), lambda: (
        to_text(value), to_text(smallest),
        f"The order is worth {money(value, case.quote)}; "
        f"the venue's minimum is {money(smallest, case.quote)}.",
    ))


def check_minimum_notional(case: Case) -> Judgement:
    """Worth its fees. Closing all that is left is always worth it, and so is protection."""
    value = _market_value(case)
    if case.is_protective or _closes_position(case):
        return not_asked("min_notional", "Not asked of protection or of closing a whole position.")
    if value is None:
        return not_asked("min_notional", "Not asked without any price.")
    smallest = case.limits.min_notional
    return judged("min_notional", value >= smallest, "BELOW_MIN_NOTIONAL", lambda: (
        to_text(value), to_text(smallest),
        f"The order is worth {money(value, case.quote)}; our minimum is {money(smallest, case.quote)}.",
    ))


def check_sellable(case: Case) -> Judgement:
    """Never sells more than is held and free."""
    if case.is_entry:
        return not_asked("sellable_quantity", "Not asked of an entry.")
    quantity, sellable, held = case.order.quantity, case.view.sellable_quantity, case.view.position_quantity
    code = "NOTHING_TO_SELL" if sellable <= ZERO else "EXCEEDS_POSITION"
    return judged("sellable_quantity", quantity <= sellable, code, lambda: (
        to_text(quantity), to_text(sellable),
        f"The order sells {to_text(quantity)} {case.base}; {to_text(max(sellable, ZERO))} of "
        f"{to_text(held)} held are free to be sold.",
    ))


def _is_multiple(value: Decimal, step: Decimal) -> bool:
    if step <= ZERO:
        return True
    # The remainder of Decimal is exact but refuses quotients beyond the context's 28 digits; no order is that long.
    return value.copy_abs() < step * 10**27 and value % step == ZERO


def _market_value(case: Case) -> Decimal | None:
    """The order's value at its own price, else the market's, else the one the decision rests on."""
    price = case.order.price if case.order.price is not None else case.market_price
    if price is None and case.order.reference_price > ZERO:
        price = case.order.reference_price
    return None if price is None else case.order.quantity * price


def _closes_position(case: Case) -> bool:
    """Sells everything that is free to be sold, as far as the venue's step allows."""
    instrument = case.view.instrument
    if case.is_entry or instrument is None:
        return False
    return case.order.quantity >= instrument.round_quantity(case.view.sellable_quantity)


def _too_small(case: Case, code: str) -> str:
    return "POSITION_IS_DUST" if _closes_position(case) else code


CHECKS: Final[tuple[CheckFunction, ...]] = (
    check_side, check_quantity_positive, check_sellable, check_quantity_step, check_quantity_minimum,
    check_quantity_maximum, check_price_present, check_price_positive, check_price_tick, check_collar,
    check_venue_minimum_notional, check_minimum_notional,
)
