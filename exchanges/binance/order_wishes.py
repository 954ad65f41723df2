"""Our approved orders in Binance's words. Pure."""

from collections.abc import Mapping
from typing import Final

from bus.messages.orders import WireType
from market.money import to_text
from risk.approved import OrderRequest

_WIRE_TYPES: Final[Mapping[WireType, str]] = {"market": "MARKET", "limit": "LIMIT", "stop_limit": "STOP_LOSS_LIMIT"}


def order_parameters(order: OrderRequest, wire_symbol: str) -> Mapping[str, str | int]:
    """The parameters of `POST /api/v3/order`; raises `ValueError` for an order that no approval should let through."""
    parameters: dict[str, str | int] = {
        "symbol": wire_symbol,
        "side": order.side.upper(),
        "type": _WIRE_TYPES[order.wire_type],
        "quantity": to_text(order.quantity),
        "newClientOrderId": order.client_order_id,
        "newOrderRespType": "FULL",
    }
    if order.wire_type != "market":
        if order.price is None:
            raise ValueError(f"{order.client_order_id}: a limit order without a price was approved")
        parameters["timeInForce"] = order.time_in_force
        parameters["price"] = to_text(order.price)
    if order.wire_type == "stop_limit":
        # STOP_LOSS_LIMIT is the one stop every Binance spot symbol takes; a sell triggers when the last price falls
        # to stopPrice, and a stopPrice at or above it is refused with -2010 instead of being sold.
        if order.stop_price is None:
            raise ValueError(f"{order.client_order_id}: a stop without a stop price was approved")
        parameters["stopPrice"] = to_text(order.stop_price)
    return parameters
