"""New orders in Coinbase's words, read by the same rules as Binance's, and refusals in Coinbase's words."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from exchanges.practice.order_rules import NewOrder, read_order
from exchanges.practice.pairs import Pair
from exchanges.practice.rest_market import VenueRefusal

_CLIENT_ID: Final = re.compile(r"[\x21-\x7e]{1,128}\Z")
_LIMITS: Final[Mapping[str, str]] = {"limit_limit_gtc": "GTC", "sor_limit_ioc": "IOC", "limit_limit_fok": "FOK"}
_STOP: Final = "stop_limit_stop_limit_gtc"
_MARKET: Final = "market_market_ioc"
_DOWN, _UP = "STOP_DIRECTION_STOP_DOWN", "STOP_DIRECTION_STOP_UP"


class OrderRefusal(Exception):
    """An order is not taken: `error` and `preview` are this venue's words for why."""

    def __init__(self, error: str, message: str, preview: str = "") -> None:
        super().__init__(message)
        self.error = error
        self.preview = preview


def client_id_of(body: Mapping[str, Any]) -> str:
    """The client's id; raises `OrderRefusal`."""
    client_id = body.get("client_order_id")
    if not isinstance(client_id, str) or not _CLIENT_ID.match(client_id):
        raise OrderRefusal("INVALID_CLIENT_ORDER_ID", "client_order_id must be 1 to 128 printable characters")
    return client_id


def read_wish(pair: Pair, body: Mapping[str, Any]) -> NewOrder:
    """The order that a body of POST /orders describes; raises `OrderRefusal`."""
    client_id = client_id_of(body)
    configured = body.get("order_configuration")
    if not isinstance(configured, dict) or len(configured) != 1:
        raise OrderRefusal("UNSUPPORTED_ORDER_CONFIGURATION", "order_configuration must hold exactly one kind")
    ((kind, terms),) = configured.items()
    if not isinstance(terms, dict):
        raise OrderRefusal("UNSUPPORTED_ORDER_CONFIGURATION", f"{kind} must be an object")
    params = {"symbol": pair.name, "side": str(body.get("side", "")), **_params(kind, terms, str(body.get("side", "")))}
    try:
        new = read_order(pair, {key: value for key, value in params.items() if value})
    except VenueRefusal as refusal:
        raise in_words(refusal) from refusal
    return replace(new, client_id=client_id, fee_in_quote=True)


def _params(kind: str, terms: Mapping[str, Any], side: str) -> dict[str, str]:
    size, price = str(terms.get("base_size") or ""), str(terms.get("limit_price") or "")
    if kind in _LIMITS:
        if terms.get("post_only") is True and kind == "limit_limit_gtc":
            return {"type": "LIMIT_MAKER", "quantity": size, "price": price}
        return {"type": "LIMIT", "timeInForce": _LIMITS[kind], "quantity": size, "price": price}
    if kind == _MARKET:
        return {"type": "MARKET", "quantity": size, "quoteOrderQty": str(terms.get("quote_size") or "")}
    if kind != _STOP:
        raise OrderRefusal("UNSUPPORTED_ORDER_CONFIGURATION", f"{kind[:60]} is not known to the practice exchange")
    direction = terms.get("stop_direction")
    if direction not in (_DOWN, _UP):
        raise OrderRefusal("INVALID_REQUEST", "stop_direction must say STOP_DOWN or STOP_UP")
    is_protective = (direction == _DOWN) == (side == "SELL")
    return {
        "type": "STOP_LOSS_LIMIT" if is_protective else "TAKE_PROFIT_LIMIT", "timeInForce": "GTC", "quantity": size,
        "price": price, "stopPrice": str(terms.get("stop_price") or ""),
    }


_WORDS: Final = (
    ("insufficient balance", "INSUFFICIENT_FUND", "PREVIEW_INSUFFICIENT_FUND"),
    ("immediately match and take", "INVALID_LIMIT_PRICE_POST_ONLY", "PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY"),
    ("would trigger immediately", "INVALID_STOP_PRICE", "PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE"),
    ("PRICE_FILTER", "INVALID_PRICE_PRECISION", "PREVIEW_INVALID_PRICE_PRECISION"),
    ("LOT_SIZE", "INVALID_SIZE_PRECISION", "PREVIEW_INVALID_BASE_SIZE_TOO_SMALL"),
    ("NOTIONAL", "INVALID_ORDER_SIZE", "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"),
    ("precision", "INVALID_SIZE_PRECISION", "PREVIEW_INVALID_SIZE_PRECISION"),
    ("Invalid side", "INVALID_SIDE", "PREVIEW_INVALID_SIDE"),
    ("Market is closed", "ORDER_ENTRY_DISABLED", "PREVIEW_ORDER_ENTRY_DISABLED"),
)


def in_words(refusal: VenueRefusal) -> OrderRefusal:
    """A refusal of the matching, as this venue says it."""
    text = str(refusal)
    for part, error, preview in _WORDS:
        if part in text:
            return OrderRefusal(error, text, preview)
    return OrderRefusal("INVALID_REQUEST", text, "PREVIEW_INVALID_ORDER_CONFIG")


def refused(refusal: OrderRefusal, body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to POST /orders that says no."""
    return {
        "success": False, "failure_reason": "UNKNOWN_FAILURE_REASON", "order_id": "",
        "error_response": {
            "error": refusal.error, "message": str(refusal), "error_details": "",
            "preview_failure_reason": refusal.preview or "UNKNOWN_PREVIEW_FAILURE_REASON",
            "new_order_failure_reason": "UNKNOWN_FAILURE_REASON",
        },
        "order_configuration": body.get("order_configuration"),
    }
