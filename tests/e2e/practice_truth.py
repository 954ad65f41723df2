"""The other side of a live session: the practice exchange's own books, and faults ordered there."""

import json
import socket
import urllib.error
import urllib.request
from collections import Counter
from decimal import Decimal
from typing import Any

from tests.e2e.process import Process, until

LIVE = {"TRADINGD__MODE": "live", "TRADINGD__COUNCIL__THRESHOLD": "1", "TRADINGD__RISK__PROTECTIONS__COOLDOWN_S": "0"}
"""Live trading in which the council stays silent: only the test trades."""
OURS = "td-"
FATE_S = 30.0
"""Within this after a fault's end the fate of every order is known."""
DUST = {"SOL/USDT": Decimal("0.001"), "XRP/USDT": Decimal("0.1"), "DOGE/USDT": Decimal(1)}
"""The steps of the symbols traded here."""
_STATES = {"FILLED": "FILLED", "CANCELED": "CANCELLED", "EXPIRED": "EXPIRED"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PracticeTruth:
    """Asks and troubles the practice exchange on a port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.env = {**LIVE, "TRADINGD__PRACTICE__PORT": str(self.port)}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def signed(self, path: str, **query: Any) -> Any:
        now = self.call("GET", "/api/v3/time")["serverTime"]
        words = "&".join(f"{key}={value}" for key, value in {**query, "timestamp": now}.items())
        return self.call("GET", f"/api/v3/{path}?{words}")

    def fault(self, name: str, target: str = "", lasts: float = 0, at: float = 0) -> None:
        """From now (or `at` seconds after now) on."""
        self.call("POST", "/practice/faults", {"fault": name, "target": target, "for": lasts, "at": at})

    def struck(self, name: str) -> int:
        """How often it has struck."""
        return sum(row["struck"] for row in self.call("GET", "/practice/faults")["faults"] if row["fault"] == name)

    def orders(self, *symbols: str) -> list[dict[str, Any]]:
        return [row for symbol in symbols for row in self.signed("allOrders", symbol=symbol.replace("/", ""))]

    def balances(self) -> dict[str, Decimal]:
        rows = self.signed("account")["balances"]
        totals = {row["asset"]: Decimal(row["free"]) + Decimal(row["locked"]) for row in rows}
        return {asset: total for asset, total in totals.items() if total}


def market_order(daemon: Process, symbol: str, side: str, quantity: str) -> str:
    """Sent once; its id."""
    body = {"symbol": symbol, "side": side, "type": "market", "quantity": quantity}
    answer: dict[str, Any] = daemon.client.post("/api/orders", body)
    return str(answer["id"])


def limit_order(daemon: Process, truth: PracticeTruth, symbol: str, quantity: str, ratio: str) -> str:
    """A buy at the bid times `ratio`; its id."""
    bid = Decimal(truth.call("GET", f"/api/v3/ticker/bookTicker?symbol={symbol.replace('/', '')}")["bidPrice"])
    tick = {"SOL/USDT": "0.01", "XRP/USDT": "0.0001", "DOGE/USDT": "0.00001"}[symbol]
    price = (bid * Decimal(ratio)).quantize(Decimal(tick))
    body = {"symbol": symbol, "side": "buy", "type": "limit", "quantity": quantity, "price": str(price)}
    answer: dict[str, Any] = daemon.client.post("/api/orders", body)
    return str(answer["id"])


def agree(daemon: Process, truth: PracticeTruth, *symbols: str) -> None:
    """The daemon's books become the exchange's: orders, fills, positions and cash; nothing twice, nothing lost."""
    seen: list[str] = []

    def look() -> bool:
        seen[:] = differences(daemon, truth, symbols)
        return not seen

    try:
        until(look, "books that agree", FATE_S)
    except AssertionError as error:
        raise AssertionError(f"{error}: {seen}") from None


def differences(daemon: Process, truth: PracticeTruth, symbols: tuple[str, ...]) -> list[str]:
    """In words."""
    known = {order["id"]: order for order in daemon.orders()}
    there = [row for row in truth.orders(*symbols) if row["clientOrderId"].startswith(OURS)]
    times_sent = Counter(row["clientOrderId"] for row in there)
    found = [f"sent twice: {name}" for name, times in times_sent.items() if times > 1]
    for row in there:
        ours = known.get(row["clientOrderId"])
        if ours is None:
            found.append(f"not in our books: {row['clientOrderId']}")
            continue
        if Decimal(ours["filled"]) != Decimal(row["executedQty"]):
            found.append(f"{ours['id']}: filled {ours['filled']} here, {row['executedQty']} there")
        if row["status"] in _STATES and ours["state"] != _STATES[row["status"]]:
            found.append(f"{ours['id']}: {ours['state']} here, {row['status']} there")
    names = {row["clientOrderId"] for row in there}
    found += [
        f"{order['id']} is {order['state']} here and does not exist there" for order in known.values()
        if order["symbol"] in symbols and order["venue_order_id"] and order["id"] not in names
    ]
    status = daemon.status()
    if status["unknown_orders"]:
        found.append(f"{status['unknown_orders']} of unknown fate")
    if status["kill"] is not None:
        found.append(f"the kill switch is engaged: {status['kill']['reason']}")
    balances = truth.balances()
    positions = daemon.positions()
    for symbol in symbols:
        held = Decimal(positions[symbol]["quantity"]) if symbol in positions else Decimal(0)
        base = balances.get(symbol.partition("/")[0], Decimal(0))
        is_dust = symbol not in positions and base < DUST[symbol]  # less than a step cannot be sold
        if held != base and not is_dust:
            found.append(f"{symbol}: {held} held here, {base} there")
    cash = Decimal(daemon.status()["available"])
    is_reserved = any(row["side"] == "BUY" and row["status"] in ("NEW", "PARTIALLY_FILLED") for row in there)
    if not is_reserved and cash != balances.get("USDT", Decimal(0)):
        found.append(f"cash: {cash} here, {balances.get('USDT')} there")
    return found
