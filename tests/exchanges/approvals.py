"""Approved orders for venue tests, made with the gate's own key: what the gate decides is tested elsewhere."""

from decimal import Decimal

from bus.ids import ClientOrderId
from bus.messages.orders import Side, TimeInForce, WireType
from risk import approved as waist
from risk.approved import Approved, OrderRequest


def approved_order(
    client_order_id: str = "td-1", *, symbol: str = "BTC/USDT", side: Side = "buy",
    wire_type: WireType = "market", quantity: str = "1", price: str | None = None,
    time_in_force: TimeInForce = "GTC", ts: int = 0, stop_price: str | None = None,
) -> Approved:
    request = OrderRequest(
        ClientOrderId(client_order_id), symbol, side, wire_type, Decimal(quantity),
        None if price is None else Decimal(price), time_in_force, Decimal(price or "100"), False, "manual",
        stop_price=None if stop_price is None else Decimal(stop_price),
    )
    return Approved(waist._GATE_KEY, request, (), ts)
