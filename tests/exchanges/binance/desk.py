"""Binance's order client beside a loopback exchange: the desk, and what the exchange says."""

import asyncio
from decimal import Decimal
from typing import Any

from aiohttp import web

from bus.clock import LiveClock
from bus.messages.orders import ExecutionReport
from exchanges.binance.orders import BinanceConfig, BinanceVenue
from market.instrument import Instrument
from tests.exchanges.approvals import approved_order
from tests.exchanges.binance.loopback import Loopback, until

D = Decimal
T0 = 1_723_161_255_000
BTC = Instrument("BTC/USDT", "BTCUSDT", "BTC", "USDT", D("0.01"), D("0.00001"), D("0.00001"), D(9000), D(5))
ORDER = "/api/v3/order"


def order_body(status: str = "FILLED", executed: str = "1", fills: list[dict] | None = None, **more: Any) -> dict:
    return {
        "symbol": "BTCUSDT", "orderId": 28, "clientOrderId": "td-1", "transactTime": T0, "price": "0", "origQty": "1",
        "executedQty": executed, "status": status, "fills": fills or [], **more,
    }


def fill(trade_id: int, quantity: str, price: str = "100") -> dict:
    return {"price": price, "qty": quantity, "commission": "0.001", "commissionAsset": "BTC", "tradeId": trade_id}


class Desk:
    """A live venue against a loopback server, and the reports it gave."""

    def __init__(self, server: Loopback, *, ws: bool = False, **options: Any) -> None:
        self.server = server
        self.reports: list[ExecutionReport] = []
        self.problems: list[str] = []
        self.refusals: list[str] = []
        timeout = options.pop("order_timeout_s", 2.0)
        config = BinanceConfig(
            "binance", server.rest_url, f"ws://{server.base}/ws-api/v3" if ws else "", "key", "secret", timeout
        )
        self.venue = BinanceVenue(
            config, self.reports.append, LiveClock(), [BTC], jitter=lambda: 0.5, on_problem=self.problems.append,
            on_refused=self.refusals.append,
            **options,
        )

    async def __aenter__(self) -> "Desk":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.venue.close()

    async def submitted(self, **order: Any) -> list[str]:
        self.venue.submit(approved_order(**order))
        await until(lambda: self.reports)
        await asyncio.sleep(0)
        return self.kinds

    @property
    def kinds(self) -> list[str]:
        return [report.exec_type for report in self.reports]

    @property
    def posts(self) -> list[dict[str, str]]:
        return self.server.calls("POST", ORDER)


def hang_after_accepting(server: Loopback) -> None:
    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.json_response({})

    server.handlers[("POST", ORDER)] = handler


def trade_row(trade_id: int, quantity: str) -> dict:
    return {**fill(trade_id, quantity), "id": trade_id, "time": T0 + 5, "isMaker": True, "orderId": 28}


def ready(server: Loopback) -> None:
    server.answer("GET", "/api/v3/time", {"serverTime": LiveClock().now() // 1_000_000})
    server.answer("GET", "/api/v3/account", {"balances": []})


def user_event(client_order_id: str, execution: str = "TRADE") -> dict:
    return {"subscriptionId": 0, "event": {
        "e": "executionReport", "s": "BTCUSDT", "c": client_order_id, "C": "", "x": execution, "r": "NONE", "i": 28,
        "l": "1", "L": "100", "n": "0.001", "N": "BTC", "T": T0, "t": 9, "m": True,
    }}
