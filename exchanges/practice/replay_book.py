"""What a replay has sent so far of one symbol: book, best quote, trades, closed klines.

Frames are kept as they came and only read when somebody asks.
"""

from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from typing import Any, Final

import orjson

from exchanges.practice.market_view import Level
from exchanges.practice.pairs import Pair, wire
from exchanges.practice.recording import SymbolFacts

_PENDING_LIMIT: Final = 500
_KEPT: Final = 1_000
_PLENTY: Final = Decimal(1_000_000)
"""Quantity offered where a recording has trades only: any order is filled one tick from the last price."""


class SymbolPast:
    """The fold of one symbol."""

    __slots__ = ("_asks", "_bids", "_facts", "_pending", "_quote", "_quote_text", "has_begun", "klines",
                 "last_update_id", "pair", "trades")

    def __init__(self, pair: Pair, facts: SymbolFacts) -> None:
        self.pair = pair
        self._facts = facts
        self.trades: deque[str] = deque(maxlen=_KEPT)
        self.klines: dict[str, deque[str]] = {}
        self._pending: list[str] = []
        self._quote_text: str | None = None
        self._quote: dict[str, Any] | None = None
        snapshot = facts.snapshot
        self._bids: dict[Decimal, str] = _side(snapshot["bids"]) if snapshot else {}
        self._asks: dict[Decimal, str] = _side(snapshot["asks"]) if snapshot else {}
        self.last_update_id = int(snapshot["lastUpdateId"]) if snapshot else max(0, facts.first_update_id - 1)
        self.has_begun = False

    def see(self, kind: str, data: str) -> None:
        """A frame of this symbol has been sent; `kind` is the stream's name after the @."""
        self.has_begun = True
        if kind == "bookTicker":
            self._quote_text, self._quote = data, None
        elif kind in ("trade", "aggTrade"):
            self._see_trade(kind, data)
        elif kind.startswith("depth"):
            if '"U":' in data:
                self._pending.append(data)
                if len(self._pending) >= _PENDING_LIMIT:
                    self._fold()
        elif kind.startswith("kline_") and '"x":true' in data:
            self.klines.setdefault(kind[6:], deque(maxlen=_KEPT)).append(data)

    def _see_trade(self, kind: str, data: str) -> None:
        # Trades are the better record: once there is one, aggregates of the same trades are dropped.
        if kind == "aggTrade" and self.trades and '"e":"trade"' in self.trades[-1]:
            return
        if kind == "trade" and self.trades and '"e":"aggTrade"' in self.trades[-1]:
            self.trades.clear()
        self.trades.append(data)

    def depth(self, limit: int) -> dict[str, Any]:
        """As GET /api/v3/depth: the recorded snapshot at first, later what was sent."""
        snapshot = self._facts.snapshot
        if not self.has_begun and snapshot is not None:
            return {**snapshot, "bids": snapshot["bids"][:limit], "asks": snapshot["asks"][:limit]}
        if not self._facts.first_update_id and snapshot is None:
            return self._depth_of_quote()
        self._fold()
        bids = [[wire(price), self._bids[price]] for price in sorted(self._bids, reverse=True)[:limit]]
        asks = [[wire(price), self._asks[price]] for price in sorted(self._asks)[:limit]]
        return {"lastUpdateId": self.last_update_id, "bids": bids, "asks": asks}

    def _depth_of_quote(self) -> dict[str, Any]:
        quote = self.quote()
        if quote is None:
            return {"lastUpdateId": 0, "bids": [], "asks": []}
        return {"lastUpdateId": quote["u"], "bids": [[quote["b"], quote["B"]]], "asks": [[quote["a"], quote["A"]]]}

    def quote(self) -> dict[str, Any] | None:
        """The last bookTicker's data."""
        if self._quote is None and self._quote_text is not None:
            self._quote = orjson.loads(self._quote_text)
        return self._quote

    def last_trade(self) -> dict[str, Any] | None:
        return orjson.loads(self.trades[-1]) if self.trades else None

    def last_price(self) -> Decimal | None:
        trade = self.last_trade()
        if trade is not None:
            return Decimal(trade["p"])
        quote = self.quote()
        return None if quote is None else (Decimal(quote["b"]) + Decimal(quote["a"])) / 2

    def offers(self, *, is_bid: bool) -> Iterator[Level]:
        """Best first: the fold with the newer best quote laid over it; without both, the last price."""
        self._fold()
        quote = self.quote()
        side = self._bids if is_bid else self._asks
        levels = ((price, Decimal(side[price])) for price in sorted(side, reverse=is_bid))
        if quote is not None and int(quote["u"]) >= self.last_update_id:
            best, quantity = Decimal(quote["b" if is_bid else "a"]), Decimal(quote["B" if is_bid else "A"])
            worse = (level for level in levels if (level[0] < best if is_bid else level[0] > best))
            return chain([(best, quantity)] if quantity > 0 else [], worse)
        if side and self.has_begun:
            return levels
        last = self.last_price() if self.has_begun else None
        if last is None:
            return iter(())
        tick = self.pair.tick
        return iter([(max(tick, last - tick) if is_bid else last + tick, _PLENTY)])

    def _fold(self) -> None:
        for text in self._pending:
            data = orjson.loads(text)
            if data["u"] <= self.last_update_id:
                continue
            self.last_update_id = data["u"]
            for side, levels in ((self._bids, data["b"]), (self._asks, data["a"])):
                for price, quantity in levels:
                    if Decimal(quantity) == 0:
                        side.pop(Decimal(price), None)
                    else:
                        side[Decimal(price)] = quantity
        self._pending.clear()


def _side(levels: list[list[str]]) -> dict[Decimal, str]:
    return {Decimal(price): quantity for price, quantity, *_ in levels}
