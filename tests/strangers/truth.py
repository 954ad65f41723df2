"""The stranger's own books beside the daemon's: nothing twice, nothing lost, the same coins and cash."""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from time import monotonic
from typing import Any

from tests.e2e.process import Process, until
from tests.strangers.market import Exchange, Order
from tradingd.client import NotReachableError

OURS = "td-"
FATE_S = 30.0
"""Within this after a fault's end the fate of every order is known."""
UNPROTECTED_S = 5.0
_STATES = {"FILLED": ("FILLED",), "CANCELED": ("CANCELLED",), "EXPIRED": ("EXPIRED", "CANCELLED")}
"""What the daemon may call an end; Coinbase itself calls the rest of an immediate order cancelled."""


def agree(daemon: Process, exchange: Exchange, seconds: float = FATE_S) -> None:
    """Both books become the same within `seconds`."""
    seen: list[str] = []

    def look() -> bool:
        try:
            seen[:] = differences(daemon, exchange)
        except NotReachableError as error:
            seen[:] = [str(error)]
        return not seen

    try:
        until(look, "books that agree", seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}: {seen}") from None


def ours(exchange: Exchange) -> list[Order]:
    """The orders there that carry our mark."""
    return [order for order in list(exchange.orders) if order.client_id.startswith(OURS)]


def differences(daemon: Process, exchange: Exchange) -> list[str]:
    """In words; the daemon first, so that what happens between the two looks shows only as a later state there."""
    known = {order["id"]: order for order in daemon.orders()}
    there = ours(exchange)
    found = [f"made twice: {name}" for name, times in Counter(row.client_id for row in there).items() if times > 1]
    for row in there:
        here = known.get(row.client_id)
        if here is None:
            found.append(f"not in our books: {row.client_id}")
            continue
        if Decimal(here["filled"]) != row.filled:
            found.append(f"{row.client_id}: filled {here['filled']} here, {row.filled} there")
        if row.status in _STATES and here["state"] not in _STATES[row.status]:
            found.append(f"{row.client_id}: {here['state']} here, {row.status} there")
    names = {row.client_id for row in there}
    found += [f"{each['id']} is {each['state']} here and was never there" for each in known.values()
              if each["venue_order_id"] and each["id"] not in names]
    found += [f"{each['id']} awaits the venue's word" for each in known.values()
              if each["state"] == "SUBMITTED" and not each["venue_order_id"]]
    status = daemon.status()
    if status["unknown_orders"]:
        found.append(f"{status['unknown_orders']} of unknown fate")
    return found + _holdings(daemon, exchange) + _cash(exchange, status)


def _holdings(daemon: Process, exchange: Exchange) -> list[str]:
    """What is held by our own orders, which is all the daemon counts as its own."""
    found = []
    positions = daemon.positions()
    for market in exchange.markets:
        symbol = f"{market.base}/{market.quote}"
        held = Decimal(positions[symbol]["quantity"]) if symbol in positions else Decimal(0)
        true = _bought(exchange, symbol)
        if held != true and not (symbol not in positions and true < market.step):  # less than a step cannot be sold
            found.append(f"{symbol}: {held} held here, {true} there")
    return found


def _cash(exchange: Exchange, status: Mapping[str, Any]) -> list[str]:
    """Compared while no entry of ours works, for those reserve some of it."""
    if any(order.is_working and order.is_buy for order in ours(exchange)):
        return []
    quote = next((order.market.quote for order in ours(exchange)), exchange.markets[0].quote)
    here, there = Decimal(status["available"]), exchange.account.total(quote)
    return [] if here == there else [f"cash: {here} here, {there} there"]


def _bought(exchange: Exchange, symbol: str) -> Decimal:
    total = Decimal(0)
    for order in ours(exchange):
        if f"{order.market.base}/{order.market.quote}" != symbol:
            continue
        for fill in list(order.fills):
            total += fill.quantity if order.is_buy else -fill.quantity
            if fill.fee_asset == order.market.base:
                total -= fill.fee
    return total


def protected(daemon: Process, exchange: Exchange, symbol: str) -> bool:
    """Whether stops that rest there cover the whole steps of what is held, or nothing is held."""
    market = next(each for each in exchange.markets if f"{each.base}/{each.quote}" == symbol)
    held = _bought(exchange, symbol) // market.step * market.step
    resting = sum((order.remaining for order in ours(exchange) if order.market is market and not order.is_buy
                   and order.is_working), Decimal(0))
    return held * market.middle < market.minimum * 2 or resting >= held


def unprotected_s(daemon: Process, exchange: Exchange, symbol: str, most: float = UNPROTECTED_S) -> float:
    """How long it takes from now until the position is protected."""
    began = monotonic()
    until(lambda: protected(daemon, exchange, symbol), f"a protected position of {symbol}", most)
    return monotonic() - began
