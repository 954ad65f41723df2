"""Refusals of an order that speak of a product's rules: what we know of them may be old. Pure.

Words of Coinbase's `NewOrderFailureReason` and `PreviewFailureReason` and of its messages, and of Binance's errors
-1013 (filters), -1111 (precision), -1121 (no such symbol), -2010 ("Market is closed") and of its trading phases.
"""

from typing import Final

_WORDS: Final = (
    "order_entry_disabled", "untradable", "_precision", "invalid_size", "invalid_order_size", "size_too_",
    "invalid_price", "invalid_product", "ineligible_pair", "market_disabled", "trading_disabled", "trading_halted",
    "market_state", "only mode", "filter failure", "market is closed", "trading phase", "precision is over",
    "invalid symbol", "symbol is not trading", "-1013", "-1111", "-1121",
)


def speaks_of_rules(reason: str) -> bool:
    """Whether the venue refused because the product is closed, or has other increments or limits than we think."""
    said = reason.lower()
    return any(word in said for word in _WORDS)
