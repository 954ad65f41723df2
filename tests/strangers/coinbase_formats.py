"""How that Coinbase words products, orders, fills and books: plain decimals, ISO times, empty texts for nothing."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tests.strangers.market import Account, Market, Order, now_ms

STATES = {"NEW": "OPEN", "PARTIAL": "OPEN", "FILLED": "FILLED", "CANCELED": "CANCELLED", "EXPIRED": "CANCELLED",
          "REJECTED": "FAILED"}
SECONDS = {"ONE_MINUTE": 60, "FIVE_MINUTE": 300, "FIFTEEN_MINUTE": 900, "THIRTY_MINUTE": 1800, "ONE_HOUR": 3600,
           "TWO_HOUR": 7200, "FOUR_HOUR": 14_400, "SIX_HOUR": 21_600, "ONE_DAY": 86_400}


def iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def plain(value: Decimal) -> str:
    """Without trailing zeros and exponents, as the exchange writes it."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def product_row(
    name: str, market: Market, flags: Mapping[str, bool], alias: str, alias_to: list[str]
) -> dict[str, Any]:
    """A product."""
    halted = market.status != "TRADING"
    return {
        "product_id": name, "price": plain(market.last), "price_percentage_change_24h": "0.45462975445749",
        "volume_24h": "4626.0191046", "volume_percentage_change_24h": "-27.48666634621953",
        "base_increment": plain(market.step), "quote_increment": plain(market.tick), "quote_min_size": "1",
        "quote_max_size": "150000000", "base_min_size": plain(market.step), "base_max_size": "3400000",
        "base_name": market.base, "quote_name": "US Dollar", "watched": False,
        "is_disabled": flags.get("is_disabled", False), "new": False, "status": "delisted" if halted else "online",
        "cancel_only": flags.get("cancel_only", False), "limit_only": flags.get("limit_only", False),
        "post_only": flags.get("post_only", False), "trading_disabled": halted or flags.get("trading_disabled", False),
        "auction_mode": False, "product_type": "SPOT", "quote_currency_id": market.quote,
        "base_currency_id": market.base, "fcm_trading_session_details": None, "mid_market_price": "", "alias": alias,
        "alias_to": alias_to, "base_display_symbol": market.base, "quote_display_symbol": "USD",
        "view_only": flags.get("view_only", False), "price_increment": plain(market.tick), "display_name": name,
        "product_venue": "CBE", "approximate_quote_24h_volume": "385375332.57", "new_at": "2023-01-01T00:00:00Z",
        "market_cap": "", "best_bid_price": "", "best_ask_price": "", "hidden_from_discovery": False,
    }


def book(name: str, market: Market, limit: int) -> dict[str, Any]:
    """GET /product_book."""
    return {
        "pricebook": {
            "product_id": name, "time": iso(now_ms()),
            "bids": [{"price": plain(price), "size": plain(size)}
                     for price, size in sorted(market.bids.items(), reverse=True)][:limit],
            "asks": [{"price": plain(price), "size": plain(size)}
                     for price, size in sorted(market.asks.items())][:limit],
        },
        "last": plain(market.last), "mid_market": plain(market.middle), "spread_bps": "1.2", "spread_absolute": "0.02",
    }


def candle_rows(market: Market, query: Mapping[str, str]) -> list[dict[str, str]]:
    """Newest first."""
    span = SECONDS[query.get("granularity", "ONE_MINUTE")]
    start, end = int(query["start"]) // span * span, min(int(query["end"]), now_ms() // 1000)
    price = plain(market.middle)
    rows = [{"start": str(at), "low": price, "high": price, "open": price, "close": price, "volume": "12.5"}
            for at in range(start, end + 1, span)]
    return rows[::-1]


def account_row(name: str, account: Account) -> dict[str, Any]:
    """One wallet."""
    nothing = Decimal(0)
    return {
        "uuid": f"00000000-0000-0000-0000-{sum(map(ord, name)):012d}", "name": f"{name} Wallet", "currency": name,
        "available_balance": {"value": plain(account.free.get(name, nothing)), "currency": name}, "default": True,
        "active": True, "created_at": "2026-09-30T01:38:13.165Z", "updated_at": "2026-09-30T01:38:13.191101Z",
        "deleted_at": None, "type": "ACCOUNT_TYPE_FIAT" if name == "USD" else "ACCOUNT_TYPE_CRYPTO", "ready": True,
        "hold": {"value": plain(account.locked.get(name, nothing)), "currency": name},
        "retail_portfolio_id": "00000000-0000-0000-0000-000000000000", "platform": "ACCOUNT_PLATFORM_CONSUMER",
    }


def configured(body: dict[str, Any], market: Market) -> Order:
    """The order that a request describes."""
    ((kind, wish),) = body["order_configuration"].items()
    is_buy = body["side"] == "BUY"
    wire = {"product_id": body["product_id"], "order_configuration": body["order_configuration"], "kind": kind}
    price, stop = Decimal(wish.get("limit_price", "0")), Decimal(wish.get("stop_price", "0"))
    if "base_size" in wish:
        quantity = Decimal(wish["base_size"])
    else:
        quantity = Decimal(wish["quote_size"]) / market.best_ask // market.step * market.step
    lifetimes = {"market_market_ioc": "IOC", "sor_limit_ioc": "IOC", "limit_limit_fok": "FOK"}
    lifetime = "POST" if wish.get("post_only") else lifetimes.get(kind, "GTC")
    return Order(
        0, body["client_order_id"], market, is_buy, "MARKET" if kind.startswith("market") else "LIMIT", quantity,
        price, stop, lifetime, wish.get("stop_direction") == "STOP_DIRECTION_STOP_UP", wire=wire,
    )


def order_row(order: Order, number: str) -> dict[str, Any]:
    """GET /orders/historical: an order that got nothing more of its IOC is CANCELLED, with what it filled."""
    fees = sum((fill.fee for fill in order.fills), Decimal(0))
    kind = str(order.wire["kind"])
    status = STATES[order.status]
    return {
        "order_id": number, "product_id": order.wire["product_id"], "user_id": "00000000-0000-0000-0000-000000000000",
        "order_configuration": order.wire["order_configuration"], "side": "BUY" if order.is_buy else "SELL",
        "client_order_id": order.client_id, "status": status,
        "time_in_force": {"IOC": "IMMEDIATE_OR_CANCEL", "FOK": "FILL_OR_KILL"}.get(
            order.time_in_force, "GOOD_UNTIL_CANCELLED"),
        "created_time": iso(order.created_ms),
        "completion_percentage": f"{order.filled / order.quantity * 100:.2f}", "filled_size": plain(order.filled),
        "average_filled_price": plain(order.cost / order.filled) if order.filled else "0", "fee": "",
        "number_of_fills": str(len(order.fills)), "filled_value": plain(order.cost), "pending_cancel": False,
        "size_in_quote": False, "total_fees": plain(fees), "size_inclusive_of_fees": False,
        "total_value_after_fees": plain(order.cost + fees), "trigger_status": "INVALID_ORDER_TYPE",
        "order_type": "STOP_LIMIT" if "stop" in kind else "MARKET" if "market" in kind else "LIMIT",
        "reject_reason": "REJECT_REASON_UNSPECIFIED", "settled": status == "FILLED", "product_type": "SPOT",
        "reject_message": "", "cancel_message": "Internal error" if order.status == "EXPIRED" else "",
        "order_placement_source": "RETAIL_ADVANCED", "outstanding_hold_amount": plain(order.locked),
        "is_liquidation": False, "last_fill_time": iso(order.fills[-1].at_ms) if order.fills else None,
        "edit_history": [], "leverage": "", "margin_type": "UNKNOWN_MARGIN_TYPE",
        "retail_portfolio_id": "00000000-0000-0000-0000-000000000000", "originating_order_id": "",
        "attached_order_id": "", "attached_order_configuration": None, "current_pending_replace": None,
    }


def fill_rows(order: Order, number: str) -> list[dict[str, Any]]:
    """GET /orders/historical/fills."""
    return [
        {"entry_id": f"{fill.number:064x}", "trade_id": f"11111111-0000-4000-8000-{fill.number:012d}",
         "order_id": number, "trade_time": iso(fill.at_ms), "trade_type": "FILL", "price": plain(fill.price),
         "size": plain(fill.quantity), "commission": plain(fill.fee), "product_id": order.wire["product_id"],
         "sequence_timestamp": iso(fill.at_ms), "liquidity_indicator": "MAKER" if fill.is_maker else "TAKER",
         "size_in_quote": False, "user_id": "00000000-0000-0000-0000-000000000000",
         "side": "BUY" if order.is_buy else "SELL", "retail_portfolio_id": "00000000-0000-0000-0000-000000000000",
         "fillSource": "FILL_SOURCE_CLOB",
         "commission_detail_total": {"total_commission": plain(fill.fee), "gst_commission": "0"}}
        for fill in order.fills
    ]


def user_row(order: Order, number: str) -> dict[str, Any]:
    """An order as the user channel says it; more fields than the documents name."""
    fees = sum((fill.fee for fill in order.fills), Decimal(0))
    kind = str(order.wire["kind"])
    return {
        "avg_price": plain(order.cost / order.filled) if order.filled else "0", "cancel_reason": "",
        "client_order_id": order.client_id,
        "completion_percentage": f"{order.filled / order.quantity * 100:.2f}", "contract_expiry_type":
        "UNKNOWN_CONTRACT_EXPIRY_TYPE", "cumulative_quantity": plain(order.filled),
        "filled_value": plain(order.cost), "leaves_quantity": plain(max(order.remaining, Decimal(0))),
        "limit_price": plain(order.price), "number_of_fills": str(len(order.fills)), "order_id": number,
        "order_side": "BUY" if order.is_buy else "SELL",
        "order_type": "Stop Limit" if "stop" in kind else "Market" if "market" in kind else "Limit",
        "outstanding_hold_amount": plain(order.locked),
        "post_only": "true" if order.time_in_force == "POST" else "false",
        "product_id": order.wire["product_id"], "product_type": "SPOT", "reject_reason": "",
        "retail_portfolio_id": "00000000-0000-0000-0000-000000000000", "risk_managed_by":
        "UNKNOWN_RISK_MANAGEMENT_TYPE", "status": STATES[order.status], "stop_price": plain(order.stop) if order.stop
        else "", "time_in_force": "GOOD_UNTIL_CANCELLED", "total_fees": plain(fees),
        "total_value_after_fees": plain(order.cost + fees), "trigger_status": "INVALID_ORDER_TYPE",
        "creation_time": iso(order.created_ms), "end_time": "0001-01-01T00:00:00Z", "start_time":
        "0001-01-01T00:00:00Z",
    }
