"""Orders that nobody can mean (F35), and the code with which each is refused."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tests.e2e.process import Process, until
from tradingd.client import AnswerError

EQUITY = Decimal(10_000)
"""Of the accounts that are traded in tests, about, in quote."""
SENT_TOO_FAST = ("RATE_PER_SECOND", "RATE_PER_MINUTE")
Slip = tuple[dict[str, Any], str]


def slips(held: str, price: str) -> list[Slip]:
    """Of a symbol of which `held` is held, whose price is about `price`: too much, too far, no number at all."""
    at, cent = Decimal(price), Decimal("0.01")
    far_above, far_below = str((at * 2).quantize(cent)), str((at / 10).quantize(cent))
    a_little, half_of_all = str((Decimal(held) / 2).quantize(Decimal("0.1"))), str(EQUITY // 2 // at)
    return [
        ({"side": "buy", "type": "market", "quantity": half_of_all}, "MAX_ORDER_NOTIONAL"),
        ({"side": "buy", "type": "market", "quantity": "100000000"}, "QUANTITY_TOO_LARGE"),
        ({"side": "buy", "type": "limit", "quantity": a_little, "price": far_above}, "PRICE_COLLAR"),
        ({"side": "buy", "type": "limit", "quantity": a_little, "price": far_below}, "PRICE_COLLAR"),
        ({"side": "buy", "type": "limit", "quantity": a_little, "price": "1500000000000"}, "PRICE_COLLAR"),
        ({"side": "buy", "type": "stop", "quantity": a_little, "stop_price": far_below}, "STOP_THROUGH_MARKET"),
        ({"side": "buy", "type": "market", "quantity": "0.000000001"}, "QUANTITY_NOT_POSITIVE"),
        ({"side": "sell", "type": "market", "quantity": "500"}, "EXCEEDS_POSITION"),
        ({"side": "sell", "type": "limit", "quantity": a_little, "price": far_below}, "PRICE_COLLAR"),
        ({"side": "sell", "type": "stop", "quantity": a_little, "stop_price": far_above}, "STOP_THROUGH_MARKET"),
        *(({"side": "buy", "type": "market", "quantity": wrong}, "INVALID_REQUEST")
          for wrong in ("-1", "0", "NaN", "Infinity", "1e30", 5)),
    ]


def refusal_of(daemon: Process, body: Mapping[str, Any]) -> str:
    """The code; "" when the order was taken. What only came too fast is asked again."""

    def ask() -> str | None:
        try:
            daemon.client.post("/api/orders", dict(body))
        except AnswerError as error:
            return None if error.code in SENT_TOO_FAST else error.code
        return "taken"

    return until(ask, f"an answer to {body}", 30).replace("taken", "")
