"""A position and the stop that rests at the venue for it."""

from decimal import Decimal

from bus.messages.orders import Protection
from orders.order_table import Order
from tests.orders.trading import BTC, Bench, sent

D = Decimal
STOP = Protection(stop_ratio=D("0.02"))


def resting(bench: Bench) -> list[Order]:
    return [order for order in bench.engine.orders.exits(BTC) if order.is_disaster_stop and order.is_at_venue]


def placed(bench: Bench) -> str:
    """A second later the stop is sent; the venue takes it."""
    (call,) = sent(bench.second())
    bench.accept(call.approved.order.client_order_id)
    return call.approved.order.client_order_id


def guarded(bench: Bench, quantity: str = "1", price: str = "100", **more: object) -> str:
    bench.hold(quantity, price, **{"protection": STOP, **more})
    return placed(bench)
