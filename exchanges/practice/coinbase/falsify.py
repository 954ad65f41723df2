"""Falsehoods in Coinbase's market events."""

from decimal import Decimal
from typing import Any, Final

from exchanges.practice.fault_market import times

_LOWER: Final = Decimal("0.9")
_HIGHER: Final = Decimal("1.01")


def falsify(change: str, event: dict[str, Any]) -> None:
    """Change one event in place."""
    if change == "bad_tick":
        for trade in event["trades"]:
            trade["price"] = times(trade["price"], _LOWER)
    elif change == "nan":
        for row in (*event.get("trades", ()), *event.get("tickers", ())):
            row["price" if "tickers" not in event else "best_bid"] = "NaN"
    elif change == "crossed" and "tickers" in event:
        for row in event["tickers"]:
            row["best_bid"] = times(row["best_ask"], _HIGHER)
    elif change == "crossed":
        offers = [Decimal(each["price_level"]) for each in event["updates"] if each["side"] == "offer"]
        level = max(offers, default=Decimal(1_000_000)) * _HIGHER
        at = event["updates"][0]["event_time"] if event["updates"] else ""
        event["updates"].append(
            {"side": "bid", "event_time": at, "price_level": f"{level:f}", "new_quantity": "1"}
        )
