"""What a new order must look like: parameters and the pair's filters, refused in the venue's words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from exchanges.practice.order import LIMITS, TRIGGERED, ZERO
from exchanges.practice.pairs import ORDER_TYPES, Pair
from exchanges.practice.rest_market import VenueRefusal, needed

_CLIENT_ID: Final = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}\Z")
_DECIMAL: Final = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?\Z")
_FORCES: Final = ("GTC", "IOC", "FOK")
_RESPONSES: Final = ("ACK", "RESULT", "FULL")


@dataclass(frozen=True, slots=True)
class NewOrder:
    """A request to place an order, checked. Absent prices and quantities are 0."""

    pair: Pair
    side: str
    kind: str
    time_in_force: str
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    stop_price: Decimal
    client_id: str
    response: str
    fee_in_quote: bool = False


def read_order(pair: Pair, params: Mapping[str, str]) -> NewOrder:
    """The order a request describes; raises `VenueRefusal` (-1100 family, -1013 for filters)."""
    side = needed(params, "side")
    if side not in ("BUY", "SELL"):
        raise VenueRefusal(-1117, "Invalid side.")
    kind = needed(params, "type")
    if kind not in ORDER_TYPES:
        raise VenueRefusal(-1116, "Invalid orderType.")
    force = _force(kind, params)
    client_id = params.get("newClientOrderId", "")
    if client_id and not _CLIENT_ID.match(client_id):
        raise VenueRefusal(
            -1100, "Illegal characters found in parameter 'newClientOrderId'; legal range is "
            "'^[.A-Z:/a-z0-9_-]{1,36}$'."
        )
    response = params.get("newOrderRespType") or ("FULL" if kind in ("MARKET", "LIMIT") else "ACK")
    if response not in _RESPONSES:
        raise VenueRefusal(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
    order = NewOrder(
        pair, side, kind, force, _amount(params, "price", is_needed=kind in LIMITS),
        _amount(params, "quantity", is_needed=kind != "MARKET" or not params.get("quoteOrderQty")),
        _amount(params, "quoteOrderQty", is_needed=False),
        _amount(params, "stopPrice", is_needed=kind in TRIGGERED), client_id, response,
    )
    _check_shape(order)
    _check_filters(order)
    return order


def _force(kind: str, params: Mapping[str, str]) -> str:
    if kind in ("LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"):
        force = needed(params, "timeInForce")
        if force not in _FORCES:
            raise VenueRefusal(-1115, "Invalid timeInForce.")
        return force
    if params.get("timeInForce"):
        raise VenueRefusal(-1106, "Parameter 'timeInForce' sent when not required.")
    return "GTC"


def _amount(params: Mapping[str, str], key: str, *, is_needed: bool) -> Decimal:
    text = needed(params, key) if is_needed else params.get(key, "")
    if not text:
        return ZERO
    if not _DECIMAL.match(text):
        raise VenueRefusal(
            -1100, f"Illegal characters found in parameter '{key}'; "
            "legal range is '^([0-9]{1,20})(\\.[0-9]{1,20})?$'."
        )
    value = Decimal(text)
    if value <= ZERO:
        raise VenueRefusal(-1013, f"Invalid {key}.")
    if value != value.quantize(Decimal("1e-8"), rounding=ROUND_FLOOR):
        raise VenueRefusal(-1111, f"Parameter '{key}' has too much precision.")
    return value


def _check_shape(order: NewOrder) -> None:
    if order.kind not in LIMITS and order.price:
        raise VenueRefusal(-1106, "Parameter 'price' sent when not required.")
    if order.quantity and order.quote_quantity:
        raise VenueRefusal(-1128, "Combination of optional parameters invalid.")
    if order.quote_quantity and order.kind != "MARKET":
        raise VenueRefusal(-1106, "Parameter 'quoteOrderQty' sent when not required.")
    if order.stop_price and order.kind not in TRIGGERED:
        raise VenueRefusal(-1106, "Parameter 'stopPrice' sent when not required.")


def _check_filters(order: NewOrder) -> None:
    pair = order.pair
    for price in (order.price, order.stop_price):
        if price and pair.tick and price % pair.tick:
            raise VenueRefusal(-1013, "Filter failure: PRICE_FILTER")
    quantity = order.quantity
    if quantity:
        if quantity < pair.min_quantity or 0 < pair.max_quantity < quantity or (pair.step and quantity % pair.step):
            raise VenueRefusal(-1013, "Filter failure: LOT_SIZE")
        if order.kind == "MARKET" and 0 < pair.market_max_quantity < quantity:
            raise VenueRefusal(-1013, "Filter failure: MARKET_LOT_SIZE")
    if order.kind in LIMITS:
        check_notional(pair, order.price * quantity)
    elif order.quote_quantity:
        check_notional(pair, order.quote_quantity)


def check_notional(pair: Pair, value: Decimal) -> None:
    """Refuse an order worth less than the pair's minimum."""
    if value < pair.min_notional:
        raise VenueRefusal(-1013, "Filter failure: NOTIONAL")
