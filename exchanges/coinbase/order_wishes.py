"""Approved orders in Coinbase's words. Pure.

The venue sells an exact base size at market but wants a quote amount for a buy, so both go out as a limit that takes
what is there at once (`sor_limit_ioc`): the size is exact, and the limit caps the slippage.
"""

from decimal import Decimal
from typing import Any, Final

from market.instrument import Instrument
from market.money import to_text
from risk.approved import OrderRequest

BUY_REACH: Final = Decimal("0.01")
"""A market buy pays at most so much (ratio) more than the price it was approved at."""
SELL_REACH: Final = Decimal("0.05")
"""A market sale, which is mostly an exit, takes at most so much less. What is left is for the engine to try anew."""
_LIMITS: Final = {"GTC": "limit_limit_gtc", "IOC": "sor_limit_ioc", "FOK": "limit_limit_fok"}


def create_body(order: OrderRequest, instrument: Instrument) -> dict[str, Any]:
    """The body of POST /orders; raises `ValueError` for an order that should not have been approved."""
    return {
        "client_order_id": order.client_order_id,
        "product_id": instrument.venue_symbol,
        "side": order.side.upper(),
        "order_configuration": _configuration(order, instrument),
    }


def _configuration(order: OrderRequest, instrument: Instrument) -> dict[str, dict[str, Any]]:
    size = to_text(order.quantity)
    if order.wire_type == "market":
        return {"sor_limit_ioc": {"base_size": size, "limit_price": to_text(_reach(order, instrument))}}
    if order.price is None:
        raise ValueError(f"{order.client_order_id}: a limit order without a price was approved")
    limit: dict[str, Any] = {"base_size": size, "limit_price": to_text(order.price)}
    if order.wire_type == "stop_limit":
        if order.stop_price is None:
            raise ValueError(f"{order.client_order_id}: a stop without a stop price was approved")
        # A protective sale waits below the market and fires as the price falls; the other direction takes profit.
        down_or_up = "STOP_DIRECTION_STOP_DOWN" if order.side == "sell" else "STOP_DIRECTION_STOP_UP"
        return {"stop_limit_stop_limit_gtc": {
            **limit, "stop_price": to_text(order.stop_price), "stop_direction": down_or_up,
        }}
    kind = _LIMITS[order.time_in_force]
    return {kind: {**limit, "post_only": False} if kind == "limit_limit_gtc" else limit}


def _reach(order: OrderRequest, instrument: Instrument) -> Decimal:
    """The worst price a market order takes, on the venue's grid, rounded towards the price it was approved at."""
    reference = order.reference_price
    factor = 1 + BUY_REACH if order.side == "buy" else 1 - SELL_REACH
    price = instrument.round_price(reference * factor, order.side)
    if price <= 0:
        raise ValueError(f"{order.client_order_id}: no price can be made of the reference {reference}")
    return price


def is_immediate(order: OrderRequest) -> bool:
    """Whether the venue decides at once: it fills, and what it does not fill ends."""
    return order.wire_type == "market" or (order.wire_type == "limit" and order.time_in_force in ("IOC", "FOK"))
