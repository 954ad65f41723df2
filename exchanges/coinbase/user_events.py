"""What Coinbase's user channel says of orders. Pure.

The channel tells totals without fill ids, so nothing is booked from it: it tells that an order moved, and the fills
are asked for; of an order that it calls filled the fills alone. `executed` and `is_over` are what the answer must at
least show.
"""

from decimal import Decimal
from typing import Any, NamedTuple

from bus.ids import CLIENT_ID_PREFIX, ClientOrderId, VenueOrderId
from exchanges.binance.parser import FrameError
from exchanges.coinbase.order_answers import ALIVE, ENDED, FILLED
from exchanges.coinbase.parser import Envelope
from market.money import ZERO, MoneyError, parse_decimal


class OrderNews(NamedTuple):
    """The venue's latest word about one order. `is_resting`: it exists there and is not over.

    `is_filled`: it is over, and not because somebody ended it.
    """

    client_order_id: ClientOrderId
    venue_order_id: VenueOrderId
    product: str
    executed: Decimal
    is_over: bool
    is_resting: bool
    is_filled: bool = False


def parse_orders(envelope: Envelope) -> list[OrderNews]:
    """The orders of one frame of the user channel; raises `FrameError` and nothing else.

    Somebody else's order that cannot be read hides none of ours: of it no more is told than that there is one.
    """
    try:
        return [_told(row) for event in envelope.events for row in event.get("orders") or ()]
    except (KeyError, TypeError, AttributeError, MoneyError) as error:
        raise FrameError("unknown_shape", f"user: {type(error).__name__} {str(error)[:100]}") from None


def _told(row: Any) -> OrderNews:
    try:
        return _news(row)
    except (KeyError, TypeError, MoneyError):
        client_order_id = row.get("client_order_id")
        if type(client_order_id) is not str or client_order_id.startswith(CLIENT_ID_PREFIX):
            raise
        return OrderNews(ClientOrderId(client_order_id), VenueOrderId(""), "", ZERO, is_over=False, is_resting=False)


def _news(row: Any) -> OrderNews:
    status, client_order_id, order_id = row["status"], row["client_order_id"], row["order_id"]
    if type(client_order_id) is not str or type(order_id) is not str:
        raise TypeError("ids are not text")
    return OrderNews(
        ClientOrderId(client_order_id), VenueOrderId(order_id), str(row["product_id"]),
        parse_decimal(row.get("cumulative_quantity") or "0", "cumulative_quantity"),
        status in ENDED or status == FILLED,
        status in ALIVE,
        status == FILLED,
    )
