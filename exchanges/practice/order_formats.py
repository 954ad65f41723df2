"""The venue's JSON for orders, fills, balances and the events of the user stream."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from exchanges.practice.order import Fill, Order
from exchanges.practice.pairs import wire


def order_row(order: Order) -> dict[str, Any]:
    """GET /order, openOrders, allOrders."""
    return {
        "symbol": order.name, "orderId": order.order_id, "orderListId": -1, "clientOrderId": order.client_id,
        "price": wire(order.price), "origQty": wire(order.quantity), "executedQty": wire(order.executed),
        "cummulativeQuoteQty": wire(order.turnover), "status": order.status, "timeInForce": order.time_in_force,
        "type": order.kind, "side": order.side, "stopPrice": wire(order.stop_price), "icebergQty": "0.00000000",
        "time": order.created_ms, "updateTime": order.updated_ms, "isWorking": order.is_working,
        "workingTime": order.working_ms or -1, "origQuoteOrderQty": wire(order.quote_quantity),
        "selfTradePreventionMode": "NONE",
    }


def placed_answer(order: Order, fills: Sequence[Fill], response: str) -> dict[str, Any]:
    """POST /order in the asked detail."""
    body: dict[str, Any] = {
        "symbol": order.name, "orderId": order.order_id, "orderListId": -1, "clientOrderId": order.client_id,
        "transactTime": order.updated_ms,
    }
    if response == "ACK":
        return body
    body |= {
        "price": wire(order.price), "origQty": wire(order.quantity), "executedQty": wire(order.executed),
        "origQuoteOrderQty": wire(order.quote_quantity), "cummulativeQuoteQty": wire(order.turnover),
        "status": order.status, "timeInForce": order.time_in_force, "type": order.kind, "side": order.side,
        "workingTime": order.working_ms or -1, "selfTradePreventionMode": "NONE",
    }
    if order.stop_price:
        body["stopPrice"] = wire(order.stop_price)
    if response == "FULL":
        body["fills"] = [
            {"price": wire(fill.price), "qty": wire(fill.quantity), "commission": wire(fill.fee),
             "commissionAsset": fill.fee_asset, "tradeId": fill.trade_id}
            for fill in fills
        ]
    return body


def cancelled_answer(order: Order, cancel_id: str) -> dict[str, Any]:
    """DELETE /order."""
    return {
        "symbol": order.name, "origClientOrderId": order.client_id, "orderId": order.order_id, "orderListId": -1,
        "clientOrderId": cancel_id, "transactTime": order.updated_ms, "price": wire(order.price),
        "origQty": wire(order.quantity), "executedQty": wire(order.executed),
        "origQuoteOrderQty": wire(order.quote_quantity), "cummulativeQuoteQty": wire(order.turnover),
        "status": order.status, "timeInForce": order.time_in_force, "type": order.kind, "side": order.side,
        "stopPrice": wire(order.stop_price), "selfTradePreventionMode": "NONE",
    }


def fill_row(fill: Fill) -> dict[str, Any]:
    """GET /myTrades."""
    return {
        "symbol": fill.name, "id": fill.trade_id, "orderId": fill.order_id, "orderListId": -1,
        "price": wire(fill.price), "qty": wire(fill.quantity), "quoteQty": wire(fill.turnover),
        "commission": wire(fill.fee), "commissionAsset": fill.fee_asset, "time": fill.time_ms,
        "isBuyer": fill.is_buyer, "isMaker": fill.is_maker, "isBestMatch": True,
    }


def execution_report(
    order: Order, execution: str, time_ms: int, fill: Fill | None = None, cancel_id: str = "", reason: str = "NONE"
) -> dict[str, Any]:
    """The user stream's executionReport; `execution` is NEW, TRADE, CANCELED, EXPIRED or REJECTED.

    On a cancel "c" is the id of the cancel and "C" the order's, as on the real venue.
    """
    return {
        "e": "executionReport", "E": time_ms, "s": order.name, "c": cancel_id or order.client_id, "S": order.side,
        "o": order.kind, "f": order.time_in_force, "q": wire(order.quantity), "p": wire(order.price),
        "P": wire(order.stop_price), "F": "0.00000000", "g": -1, "C": order.client_id if cancel_id else "",
        "x": execution, "X": order.status, "r": reason, "i": order.order_id,
        "l": wire(fill.quantity) if fill else "0.00000000", "z": wire(order.executed),
        "L": wire(fill.price) if fill else "0.00000000", "n": wire(fill.fee) if fill else "0",
        "N": fill.fee_asset if fill else None, "T": order.updated_ms, "t": fill.trade_id if fill else -1,
        "I": order.order_id * 2, "w": order.is_working and order.is_open, "m": fill.is_maker if fill else False,
        "M": False, "O": order.created_ms, "Z": wire(order.turnover),
        "Y": wire(fill.turnover) if fill else "0.00000000", "Q": wire(order.quote_quantity),
        "W": order.working_ms or order.created_ms, "V": "NONE",
    }


def account_position(balances: Mapping[str, tuple[Decimal, Decimal]], time_ms: int) -> dict[str, Any]:
    """The user stream's outboundAccountPosition: the balances that may have changed."""
    return {
        "e": "outboundAccountPosition", "E": time_ms, "u": time_ms,
        "B": [{"a": asset, "f": wire(free), "l": wire(locked)} for asset, (free, locked) in sorted(balances.items())],
    }


def account_answer(balances: Mapping[str, tuple[Decimal, Decimal]], time_ms: int) -> dict[str, Any]:
    """GET /account."""
    return {
        "makerCommission": 10, "takerCommission": 10, "buyerCommission": 0, "sellerCommission": 0,
        "commissionRates": {"maker": "0.00100000", "taker": "0.00100000", "buyer": "0.00000000",
                            "seller": "0.00000000"},
        "canTrade": True, "canWithdraw": False, "canDeposit": False, "brokered": False,
        "requireSelfTradePrevention": False, "preventSor": False, "updateTime": time_ms, "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": wire(free), "locked": wire(locked)}
            for asset, (free, locked) in sorted(balances.items())
        ],
        "permissions": ["SPOT"], "uid": 1,
    }
