"""How that Binance words orders, books and candles: eight decimals, more fields than anybody needs, its own order."""

from decimal import Decimal
from typing import Any

from tests.strangers.market import Account, Execution, Market, Order, now_ms

STATES = {"NEW": "NEW", "PARTIAL": "PARTIALLY_FILLED", "FILLED": "FILLED", "CANCELED": "CANCELED", "EXPIRED": "EXPIRED",
          "REJECTED": "REJECTED", "EXPIRED_IN_MATCH": "EXPIRED_IN_MATCH"}
MINUTES = {"m": 60, "h": 3600, "d": 86_400, "s": 1, "w": 604_800}


def number(value: Decimal | int) -> str:
    return f"{value:.8f}"


def symbol_row(name: str, market: Market) -> dict[str, Any]:
    """With filters nobody asked for; the cheap ones use NOTIONAL, the others the older MIN_NOTIONAL."""
    most = 9000 if market.step < 1 else 9_000_000
    notional: dict[str, Any] = {
        "filterType": "NOTIONAL", "minNotional": number(market.minimum), "applyMinToMarket": True,
        "maxNotional": "9000000.00000000", "applyMaxToMarket": False, "avgPriceMins": 5,
    }
    if market.step == 1:
        notional = {"filterType": "MIN_NOTIONAL", "minNotional": number(market.minimum), "applyToMarket": True,
                    "avgPriceMins": 5}
    return {
        "symbol": name, "status": "BREAK" if market.status == "HALTED" else market.status, "baseAsset": market.base,
        "baseAssetPrecision": 8, "quoteAsset": market.quote, "quotePrecision": 8, "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8, "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT",
                       "TAKE_PROFIT_LIMIT"],
        "icebergAllowed": True, "ocoAllowed": True, "otoAllowed": True, "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True, "allowTrailingStop": True, "cancelReplaceAllowed": True,
        "amendAllowed": True, "pegInstructionsAllowed": True, "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": True,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": number(market.tick), "maxPrice": "1000000.00000000",
             "tickSize": number(market.tick)},
            {"filterType": "LOT_SIZE", "minQty": number(market.step), "maxQty": number(most),
             "stepSize": number(market.step)},
            {"filterType": "ICEBERG_PARTS", "limit": 100},
            {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": number(most // 10),
             "stepSize": "0.00000000"},
            {"filterType": "TRAILING_DELTA", "minTrailingAboveDelta": 10, "maxTrailingAboveDelta": 2000,
             "minTrailingBelowDelta": 10, "maxTrailingBelowDelta": 2000},
            {"filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "1.3", "bidMultiplierDown": "0.3",
             "askMultiplierUp": "5", "askMultiplierDown": "0.7", "avgPriceMins": 5},
            notional,
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
            {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 20},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
            {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": 10},
        ],
        "permissions": [], "permissionSets": [["SPOT", "MARGIN", "TRD_GRP_004"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER", "allowedSelfTradePreventionModes": ["EXPIRE_MAKER", "NONE"],
    }


def book_rows(market: Market, limit: int) -> dict[str, list[list[str]]]:
    """Best first."""
    return {
        "bids": [[number(price), number(size)] for price, size in sorted(market.bids.items(), reverse=True)][:limit],
        "asks": [[number(price), number(size)] for price, size in sorted(market.asks.items())][:limit],
    }


def kline_rows(market: Market, wish: dict[str, str]) -> list[list[Any]]:
    """Flat candles up to the running one; twelve columns."""
    interval = wish["interval"]
    span_ms = int(interval[:-1]) * MINUTES[interval[-1]] * 1000
    limit = int(wish.get("limit", 500))
    last = int(wish.get("endTime", now_ms())) // span_ms * span_ms
    first = max(last - (limit - 1) * span_ms, int(wish.get("startTime", 0)) // span_ms * span_ms)
    price = number(market.middle)
    return [
        [start, price, price, price, price, "12.50000000", start + span_ms - 1, number(market.middle * Decimal("12.5")),
         42, "6.00000000", number(market.middle * 6), "0"]
        for start in range(first, min(last, first + (limit - 1) * span_ms) + 1, span_ms)
    ]


def order_row(order: Order) -> dict[str, Any]:
    """GET /order, /openOrders, /allOrders: without fills and without their fees."""
    return {
        "symbol": order.market.base + order.market.quote, "orderId": order.number, "orderListId": -1,
        "clientOrderId": order.client_id, "price": number(order.price), "origQty": number(order.quantity),
        "executedQty": number(order.filled), "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": number(order.cost), "status": STATES[order.status], "timeInForce": _lifetime(order),
        "type": order.wire.get("type", "LIMIT"), "side": "BUY" if order.is_buy else "SELL",
        "stopPrice": number(order.stop), "icebergQty": "0.00000000", "time": order.created_ms,
        "updateTime": order.updated_ms, "isWorking": not order.waits_for_stop, "workingTime": order.created_ms,
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }


def trade_rows(order: Order) -> list[dict[str, Any]]:
    """GET /myTrades."""
    return [
        {"symbol": order.market.base + order.market.quote, "id": fill.number, "orderId": order.number,
         "orderListId": -1, "price": number(fill.price), "qty": number(fill.quantity),
         "quoteQty": number(fill.price * fill.quantity), "commission": number(fill.fee),
         "commissionAsset": fill.fee_asset, "time": fill.at_ms, "isBuyer": order.is_buy, "isMaker": fill.is_maker,
         "isBestMatch": True}
        for fill in order.fills
    ]


def acknowledged(order: Order, kind: str) -> dict[str, Any]:
    """POST /order: ACK says five things, RESULT the state, FULL the fills."""
    row = {
        "symbol": order.market.base + order.market.quote, "orderId": order.number, "orderListId": -1,
        "clientOrderId": order.client_id, "transactTime": order.updated_ms,
    }
    if kind == "ACK":
        return row
    row |= {
        "price": number(order.price), "origQty": number(order.quantity), "executedQty": number(order.filled),
        "origQuoteOrderQty": "0.00000000", "cummulativeQuoteQty": number(order.cost), "status": STATES[order.status],
        "timeInForce": _lifetime(order), "type": order.wire.get("type", "LIMIT"),
        "side": "BUY" if order.is_buy else "SELL", "workingTime": order.created_ms,
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }
    if kind == "FULL":
        row["fills"] = [
            {"price": number(fill.price), "qty": number(fill.quantity), "commission": number(fill.fee),
             "commissionAsset": fill.fee_asset, "tradeId": fill.number} for fill in order.fills
        ]
    return row


def cancelled(order: Order) -> dict[str, Any]:
    """DELETE /order: `clientOrderId` names the cancel, `origClientOrderId` the order."""
    return {
        "symbol": order.market.base + order.market.quote, "origClientOrderId": order.client_id,
        "orderId": order.number, "orderListId": -1, "clientOrderId": order.wire["cancelled_by"],
        "transactTime": now_ms(), "price": number(order.price), "origQty": number(order.quantity),
        "executedQty": number(order.filled), "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": number(order.cost), "status": STATES[order.status], "timeInForce": _lifetime(order),
        "type": order.wire.get("type", "LIMIT"), "side": "BUY" if order.is_buy else "SELL",
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }


def report(order: Order, event: str, fill: Execution | None) -> dict[str, Any]:
    """An execution report. In one of a cancel, `c` names the cancel and `C` the order."""
    is_cancel = event == "CANCELED" and "cancelled_by" in order.wire
    execution = {"TRIGGERED": "NEW", "TRADE": "TRADE"}.get(event, event)
    # each report is of its moment: the state is read when it happens
    return {
        "e": "executionReport", "E": now_ms(), "s": order.market.base + order.market.quote,
        "c": order.wire["cancelled_by"] if is_cancel else order.client_id, "S": "BUY" if order.is_buy else "SELL",
        "o": order.wire.get("type", "LIMIT"), "f": _lifetime(order), "q": number(order.quantity),
        "p": number(order.price), "P": number(order.stop), "F": "0.00000000", "g": -1,
        "C": order.client_id if is_cancel else "", "x": execution, "X": STATES[order.status], "r": "NONE",
        "i": order.number, "l": number(fill.quantity) if fill else "0.00000000", "z": number(order.filled),
        "L": number(fill.price) if fill else "0.00000000", "n": number(fill.fee) if fill else "0",
        "N": fill.fee_asset if fill else None, "T": order.updated_ms, "t": fill.number if fill else -1,
        "I": 8_641_984 + order.number, "w": order.is_working and not order.waits_for_stop,
        "m": fill.is_maker if fill else False, "M": bool(fill), "O": order.created_ms, "Z": number(order.cost),
        "Y": number(fill.price * fill.quantity) if fill else "0.00000000", "Q": "0.00000000", "W": order.created_ms,
        "V": "EXPIRE_MAKER",
    }


def account_position(account: Account, assets: list[str]) -> dict[str, Any]:
    """The balances that an event changed."""
    return {
        "e": "outboundAccountPosition", "E": now_ms(), "u": now_ms(),
        "B": [{"a": asset, "f": number(account.free.get(asset, Decimal(0))),
               "l": number(account.locked.get(asset, Decimal(0)))} for asset in assets],
    }


def _lifetime(order: Order) -> str:
    return "GTC" if order.time_in_force == "POST" else order.time_in_force
