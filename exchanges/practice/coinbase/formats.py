"""Coinbase's JSON for products, orders, fills and balances, and its ways to write numbers, times and ids."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from exchanges.practice.matching import FEE
from exchanges.practice.order import ZERO, Fill, Order
from exchanges.practice.pairs import Pair

_PORTFOLIO: Final = "00000000-0000-4000-8000-00000000000f"
_FIAT: Final = frozenset({"USD", "EUR", "GBP", "SGD"})
_STATUS: Final[Mapping[str, str]] = {
    "NEW": "OPEN", "PARTIALLY_FILLED": "OPEN", "FILLED": "FILLED", "CANCELED": "CANCELLED", "EXPIRED": "CANCELLED",
    "REJECTED": "FAILED",
}
_FORCE: Final[Mapping[str, str]] = {
    "GTC": "GOOD_UNTIL_CANCELLED", "IOC": "IMMEDIATE_OR_CANCEL", "FOK": "FILL_OR_KILL",
}


def product_id(pair: Pair) -> str:
    """BTC/USDT is BTC-USDT."""
    return f"{pair.base}-{pair.quote}"


def plain(value: Decimal) -> str:
    """Without exponent and needless zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def moment(time_ms: int) -> str:
    """RFC 3339, UTC."""
    whole = datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{time_ms % 1000:03d}000Z"


def order_id(number: int) -> str:
    """An order's id on this door."""
    return f"00000000-0000-4000-8000-{number:012d}"


def trade_id(number: int) -> str:
    """A fill's id on this door."""
    return f"00000001-0000-4000-8000-{number:012d}"


def order_number(text: str) -> int | None:
    """Back from `order_id`; None for an id that is none of ours."""
    head, _, tail = text.rpartition("-")
    return int(tail) if head == "00000000-0000-4000-8000" and tail.isascii() and tail.isdigit() else None


def product(pair: Pair, day: Mapping[str, Any] | None, *, is_closed: bool) -> dict[str, Any]:
    """A row of products; `day` is the 24 h ticker."""
    day = day or {}
    name = product_id(pair)
    return {
        "product_id": name, "price": plain(Decimal(day.get("lastPrice", "0"))),
        "price_percentage_change_24h": str(day.get("priceChangePercent", "0")),
        "volume_24h": plain(Decimal(day.get("volume", "0"))), "volume_percentage_change_24h": "0",
        "base_increment": plain(pair.step), "quote_increment": plain(pair.tick), "price_increment": plain(pair.tick),
        "quote_min_size": plain(pair.min_notional), "quote_max_size": "150000000",
        "base_min_size": plain(pair.min_quantity), "base_max_size": plain(pair.max_quantity),
        "base_name": pair.base, "quote_name": pair.quote, "watched": False, "is_disabled": False, "new": False,
        "status": "online", "cancel_only": is_closed, "limit_only": False, "post_only": False,
        "trading_disabled": False, "auction_mode": False, "product_type": "SPOT", "quote_currency_id": pair.quote,
        "base_currency_id": pair.base, "fcm_trading_session_details": None, "mid_market_price": "", "alias": "",
        "alias_to": [], "base_display_symbol": pair.base, "quote_display_symbol": pair.quote, "view_only": False,
        "display_name": name, "product_venue": "CBE",
        "approximate_quote_24h_volume": plain(Decimal(day.get("quoteVolume", "0"))),
    }


def status_of(order: Order) -> str:
    """In this venue's words."""
    return _STATUS[order.status]


def configuration(order: Order) -> dict[str, dict[str, Any]]:
    """The order_configuration that describes the order."""
    if order.kind in ("MARKET", "STOP_LOSS", "TAKE_PROFIT"):
        if order.quote_quantity:
            return {"market_market_ioc": {"quote_size": plain(order.quote_quantity)}}
        return {"market_market_ioc": {"base_size": plain(order.quantity)}}
    terms: dict[str, Any] = {"base_size": plain(order.quantity), "limit_price": plain(order.price)}
    if order.stop_price:
        falls = (order.kind == "STOP_LOSS_LIMIT") != order.is_buy
        return {"stop_limit_stop_limit_gtc": {
            **terms, "stop_price": plain(order.stop_price),
            "stop_direction": "STOP_DIRECTION_STOP_DOWN" if falls else "STOP_DIRECTION_STOP_UP",
        }}
    if order.time_in_force == "IOC":
        return {"sor_limit_ioc": terms}
    if order.time_in_force == "FOK":
        return {"limit_limit_fok": terms}
    return {"limit_limit_gtc": {**terms, "post_only": order.kind == "LIMIT_MAKER"}}


def order_type(order: Order) -> str:
    """MARKET, LIMIT or STOP_LIMIT."""
    if not order.is_limit:
        return "MARKET"
    return "STOP_LIMIT" if order.stop_price else "LIMIT"


def fee_in_quote(fill: Fill, pair: Pair) -> Decimal:
    """This venue states every fee in the quote currency."""
    return fill.fee if fill.fee_asset == pair.quote else fill.fee * fill.price


def order_row(order: Order, pair: Pair, fills: list[Fill]) -> dict[str, Any]:
    """orders/historical."""
    fees = sum((fee_in_quote(fill, pair) for fill in fills), ZERO)
    average = order.turnover / order.executed if order.executed else ZERO
    total = order.turnover + fees if order.is_buy else order.turnover - fees
    done = order.executed / order.quantity * 100 if order.quantity else ZERO
    status = status_of(order)
    return {
        "order_id": order_id(order.order_id), "product_id": product_id(pair), "user_id": _PORTFOLIO,
        "order_configuration": configuration(order), "side": order.side, "client_order_id": order.client_id,
        "status": status, "time_in_force": _FORCE.get(order.time_in_force, "UNKNOWN_TIME_IN_FORCE"),
        "created_time": moment(order.created_ms), "completion_percentage": f"{done:.2f}",
        "filled_size": plain(order.executed), "average_filled_price": plain(average.quantize(Decimal("1e-12"))),
        "fee": "", "number_of_fills": str(len(fills)), "filled_value": plain(order.turnover), "pending_cancel": False,
        "size_in_quote": bool(order.quote_quantity), "total_fees": plain(fees), "size_inclusive_of_fees": False,
        "total_value_after_fees": plain(total), "trigger_status": _trigger(order),
        "order_type": order_type(order), "reject_reason": "REJECT_REASON_UNSPECIFIED", "settled": status == "FILLED",
        "product_type": "SPOT", "reject_message": "", "cancel_message": "", "order_placement_source": "RETAIL_ADVANCED",
        "outstanding_hold_amount": plain(order.hold_price * order.left if order.is_open else ZERO),
        "is_liquidation": False, "last_fill_time": moment(fills[-1].time_ms) if fills else None, "edit_history": [],
        "leverage": "", "margin_type": "UNKNOWN_MARGIN_TYPE",
    }


def _trigger(order: Order) -> str:
    if not order.stop_price:
        return "INVALID_ORDER_TYPE"
    return "STOP_TRIGGERED" if order.is_working else "STOP_PENDING"


def fill_row(fill: Fill, pair: Pair) -> dict[str, Any]:
    """orders/historical/fills."""
    return {
        "entry_id": f"{fill.trade_id:064x}", "trade_id": trade_id(fill.trade_id), "order_id": order_id(fill.order_id),
        "trade_time": moment(fill.time_ms), "trade_type": "FILL", "price": plain(fill.price),
        "size": plain(fill.quantity), "commission": plain(fee_in_quote(fill, pair)), "product_id": product_id(pair),
        "sequence_timestamp": moment(fill.time_ms), "liquidity_indicator": "MAKER" if fill.is_maker else "TAKER",
        "size_in_quote": False, "user_id": _PORTFOLIO, "side": "BUY" if fill.is_buyer else "SELL",
    }


def user_row(order: Order, pair: Pair, fills: list[Fill]) -> dict[str, Any]:
    """An order in the user channel."""
    row = order_row(order, pair, fills)
    return {
        "avg_price": row["average_filled_price"], "cancel_reason": "", "client_order_id": order.client_id,
        "completion_percentage": row["completion_percentage"], "contract_expiry_type": "UNKNOWN_CONTRACT_EXPIRY_TYPE",
        "cumulative_quantity": plain(order.executed), "filled_value": plain(order.turnover),
        "leaves_quantity": plain(max(ZERO, order.left) if order.is_open else ZERO), "limit_price": plain(order.price),
        "number_of_fills": str(len(fills)), "order_id": row["order_id"], "order_side": order.side,
        "order_type": {"MARKET": "Market", "LIMIT": "Limit", "STOP_LIMIT": "Stop Limit"}[row["order_type"]],
        "outstanding_hold_amount": row["outstanding_hold_amount"],
        "post_only": str(order.kind == "LIMIT_MAKER").lower(), "product_id": row["product_id"],
        "product_type": "SPOT", "reject_reason": "", "retail_portfolio_id": _PORTFOLIO,
        "risk_managed_by": "UNKNOWN_RISK_MANAGEMENT_TYPE", "status": row["status"],
        "stop_price": plain(order.stop_price), "time_in_force": order.time_in_force, "total_fees": row["total_fees"],
        "total_value_after_fees": row["total_value_after_fees"], "trigger_status": row["trigger_status"],
        "creation_time": row["created_time"], "end_time": "0001-01-01T00:00:00Z", "start_time": "0001-01-01T00:00:00Z",
    }


def account_row(asset: str, number: int, free: Decimal, locked: Decimal) -> dict[str, Any]:
    """A wallet."""
    return {
        "uuid": f"00000002-0000-4000-8000-{number:012d}", "name": f"{asset} Wallet", "currency": asset,
        "available_balance": {"value": plain(free), "currency": asset}, "default": False, "active": True,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "deleted_at": None,
        "type": "ACCOUNT_TYPE_FIAT" if asset in _FIAT else "ACCOUNT_TYPE_CRYPTO", "ready": True,
        "hold": {"value": plain(locked), "currency": asset}, "retail_portfolio_id": _PORTFOLIO,
        "platform": "ACCOUNT_PLATFORM_CONSUMER",
    }


def fee_summary() -> dict[str, Any]:
    """transaction_summary."""
    rate = plain(FEE)
    return {
        "total_volume": 0, "total_fees": 0,
        "fee_tier": {"pricing_tier": "Practice", "usd_from": "0", "usd_to": "", "taker_fee_rate": rate,
                     "maker_fee_rate": rate, "aop_from": "", "aop_to": ""},
        "margin_rate": None, "goods_and_services_tax": None, "advanced_trade_only_volume": 0,
        "advanced_trade_only_fees": 0, "coinbase_pro_volume": 0, "coinbase_pro_fees": 0, "total_balance": "",
        "has_promo_fee": False,
    }


def rights() -> dict[str, Any]:
    """key_permissions: what a careful person grants."""
    return {
        "can_view": True, "can_trade": True, "can_transfer": False, "portfolio_uuid": _PORTFOLIO,
        "portfolio_type": "DEFAULT",
    }
