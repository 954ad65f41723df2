"""The one account of this exchange: balances, orders and fills, kept in an append-only log.

Every change is written (one JSON line) before it is answered, so a killed process has forgotten nothing it
told. At the start the log is folded and rewritten (temporary file, then rename); a torn last line, the trace of
a kill while writing, was never answered and is dropped.
"""

import os
from decimal import Decimal
from io import BufferedWriter
from pathlib import Path
from typing import Any, Final

import orjson

from exchanges.practice.config import PracticeError
from exchanges.practice.order import ZERO, Fill, Order, fill_from_row, order_from_row

_ORDERS_KEPT: Final = 10_000
_FILLS_KEPT: Final = 20_000
_FIRST_ORDER_ID: Final = 1_000
_FIRST_TRADE_ID: Final = 7_000_000_000  # apart from the public trades' ids
_REWRITE_BYTES: Final = 32 * 1024 * 1024


class Account:
    """Change it through the methods, then `commit`."""

    def __init__(self, path: Path, opening: dict[str, Decimal]) -> None:
        self.free: dict[str, Decimal] = {}
        self.locked: dict[str, Decimal] = {}
        self.orders: dict[int, Order] = {}
        self.open_orders: dict[int, Order] = {}
        self.fills: dict[int, Fill] = {}
        self._by_client: dict[tuple[str, str], int] = {}  # (pair, client id) -> latest order
        self._next_order = _FIRST_ORDER_ID
        self._next_trade = _FIRST_TRADE_ID
        self._touched_orders: dict[int, Order] = {}
        self._touched_assets: dict[str, None] = {}
        self._new_fills: list[Fill] = []
        self._path = path
        self._log: BufferedWriter | None = None
        self._load(opening)
        self._rewrite()

    def next_order_id(self) -> int:
        self._next_order += 1
        return self._next_order

    def next_trade_id(self) -> int:
        self._next_trade += 1
        return self._next_trade

    def add(self, asset: str, free: Decimal = ZERO, locked: Decimal = ZERO) -> None:
        """Change a balance."""
        self.free[asset] = self.free.get(asset, ZERO) + free
        self.locked[asset] = self.locked.get(asset, ZERO) + locked
        self._touched_assets[asset] = None

    def balance(self, asset: str) -> tuple[Decimal, Decimal]:
        """(free, locked)."""
        return self.free.get(asset, ZERO), self.locked.get(asset, ZERO)

    def touch(self, order: Order) -> None:
        """An order is new or has changed."""
        self._touched_orders[order.order_id] = order
        self.orders[order.order_id] = order
        self._by_client[order.name, order.client_id] = order.order_id
        if order.is_open:
            self.open_orders[order.order_id] = order
        else:
            self.open_orders.pop(order.order_id, None)

    def book_fill(self, fill: Fill) -> None:
        self._new_fills.append(fill)
        self.fills[fill.trade_id] = fill

    def find(self, name: str, order_id: int | None, client_id: str | None) -> Order | None:
        """By the venue's id, else by the client's (the latest with that id)."""
        key = order_id if order_id is not None else self._by_client.get((name, client_id or ""))
        order = self.orders.get(key) if key is not None else None
        return order if order is not None and order.name == name else None

    def commit(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Write what changed; returns the balances that did. Nothing may be answered before this."""
        balances = {asset: self.balance(asset) for asset in sorted(self._touched_assets)}
        if self._log is None or not (balances or self._touched_orders or self._new_fills):
            return balances
        self._log.write(self._line(list(self._touched_orders.values()), self._new_fills, balances))
        self._log.flush()
        self._touched_orders.clear()
        self._touched_assets.clear()
        self._new_fills.clear()
        if self._log.tell() > _REWRITE_BYTES:
            self._rewrite()
        return balances

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    def _line(
        self, orders: list[Order], fills: list[Fill], balances: dict[str, tuple[Decimal, Decimal]]
    ) -> bytes:
        return orjson.dumps({
            "next": [self._next_order, self._next_trade],
            "balances": {asset: [str(free), str(locked)] for asset, (free, locked) in balances.items()},
            "orders": [order.to_row() for order in orders], "fills": [fill.to_row() for fill in fills],
        }) + b"\n"

    def _load(self, opening: dict[str, Decimal]) -> None:
        try:
            lines = self._path.read_bytes().split(b"\n") if self._path.exists() else []
        except OSError as error:
            raise PracticeError(f"{self._path}: cannot be read ({error.strerror}): mend its rights") from error
        for number, line in enumerate(lines[:-1], 1):  # what follows the last line end is torn
            try:
                self._fold(orjson.loads(line))
            except (ValueError, KeyError, TypeError, ArithmeticError) as error:
                raise PracticeError(
                    f"{self._path}:{number}: not a record of this account ({error}): move the file away to begin anew"
                ) from error
        for asset, amount in opening.items():
            if asset not in self.free:  # a quote currency that is traded here for the first time
                self.add(asset, amount)

    def _fold(self, record: dict[str, Any]) -> None:
        self._next_order, self._next_trade = (int(number) for number in record["next"])
        for asset, (free, locked) in record["balances"].items():
            self.free[asset], self.locked[asset] = Decimal(free), Decimal(locked)
        for row in record["orders"]:
            self.touch(order_from_row(row))
        for row in record["fills"]:
            fill = fill_from_row(row)
            self.fills[fill.trade_id] = fill

    def _rewrite(self) -> None:
        """One line that holds everything, in a file that replaces the old one at once."""
        self._prune()
        everything = {asset: self.balance(asset) for asset in sorted(self.free)}
        temporary = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as out:
                out.write(self._line(list(self.orders.values()), list(self.fills.values()), everything))
            self.close()
            os.replace(temporary, self._path)
            self._log = self._path.open("ab")
        except OSError as error:
            raise PracticeError(f"{self._path}: cannot be written ({error.strerror}): mend its rights") from error
        self._touched_orders.clear()
        self._touched_assets.clear()
        self._new_fills.clear()

    def _prune(self) -> None:
        closed = [order for order in self.orders.values() if not order.is_open]
        for order in closed[: max(0, len(closed) - _ORDERS_KEPT)]:
            del self.orders[order.order_id]
            if self._by_client.get((order.name, order.client_id)) == order.order_id:
                del self._by_client[order.name, order.client_id]
        for trade_id in list(self.fills)[: max(0, len(self.fills) - _FILLS_KEPT)]:
            del self.fills[trade_id]
