"""What the paper venue is given back when the process starts anew: orders and money, folded from the journal."""

from decimal import Decimal

from exchanges.simulated import WorkingOrder
from orders.engine import Engine


def holdings(engine: Engine) -> dict[str, Decimal]:
    """By asset, quote currency included."""
    return {asset: amount for account, asset, amount in engine.ledger.accounts() if account == "holdings"}


def resting_orders(engine: Engine) -> list[WorkingOrder]:
    """Limit orders and stops that lay at the paper venue when the last session ended."""
    return [
        WorkingOrder(
            order.client_order_id, order.spec.symbol, order.spec.side, order.spec.price, order.remaining,
            order.spec.stop_price if order.is_disaster_stop else None,
        )
        for order in engine.orders.working()
        if order.is_at_venue and order.spec.price is not None
        and (order.is_disaster_stop or (order.spec.order_type == "limit" and order.spec.time_in_force == "GTC"))
    ]
