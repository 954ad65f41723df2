"""What each alpha of the council was worth: how often it spoke, how often it was right, what it earned.

Accuracy: share of its buy and sell signals after which the next close lay in that direction (unchanged closes count
for neither). Contribution: the profit of each round trip is shared among the alphas that voted for its entry, by
weight times confidence.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from bus.messages.council import AlphaSignal
from bus.messages.orders import OrderFilled, SubmitOrder
from research.backtest.trades import Trade


@dataclass(slots=True)
class _Tally:
    signals: int = 0
    buys: int = 0
    sells: int = 0
    confidence: float = 0.0
    right: int = 0
    wrong: int = 0
    contribution: float = 0.0
    entries: int = 0


class _Market:
    """What is open on one symbol: who is paid for the position, and which signals wait for the next close."""

    __slots__ = ("close", "held", "waiting", "wished")

    def __init__(self) -> None:
        self.wished: dict[str, dict[str, float]] = {}
        self.held: dict[str, float] | None = None
        self.waiting: list[tuple[str, int]] = []
        self.close: float | None = None


class AlphaFigures:
    """Feed it signals, entries and closes in the order in which they happen; symbols are kept apart."""

    def __init__(self) -> None:
        self._tallies: defaultdict[str, _Tally] = defaultdict(_Tally)
        self._markets: defaultdict[str, _Market] = defaultdict(_Market)

    def on_signal(self, signal: AlphaSignal) -> None:
        tally = self._tallies[signal.alpha]
        tally.signals += 1
        tally.confidence += signal.confidence
        direction = {"trail_buy": 1, "trail_sell": -1}.get(signal.action, 0)
        tally.buys += direction > 0
        tally.sells += direction < 0
        if direction:
            self._markets[signal.symbol].waiting.append((signal.alpha, direction))

    def on_order(self, order: SubmitOrder) -> None:
        """An entry carries the votes that led to it; the exits around it carry them too, and are passed over."""
        if order.side == "buy" and order.votes:
            shares = {vote.alpha: vote.weight * vote.confidence for vote in order.votes if vote.action == "trail_buy"}
            total = sum(shares.values())
            if total > 0:
                wished = self._markets[order.symbol].wished
                wished[order.client_order_id] = {name: share / total for name, share in sorted(shares.items())}

    def on_fill(self, fill: OrderFilled) -> None:
        """The first entry of a round trip names those who are paid for it."""
        market = self._markets[fill.symbol]
        if fill.side == "buy" and market.held is None:
            market.held = market.wished.get(fill.client_order_id, {})

    def on_trade(self, trade: Trade) -> None:
        """A round trip is over."""
        market = self._markets[trade.symbol]
        held, market.held = market.held, None
        market.wished.clear()
        for name, share in (held or {}).items():
            tally = self._tallies[name]
            tally.contribution += share * float(trade.pnl)
            tally.entries += 1

    def on_close(self, symbol: str, close: float) -> None:
        """Signals given since the last close spoke of the move to this one."""
        market = self._markets[symbol]
        if market.close is not None and close != market.close:
            for name, direction in market.waiting:
                if (close > market.close) == (direction > 0):
                    self._tallies[name].right += 1
                else:
                    self._tallies[name].wrong += 1
        market.waiting.clear()
        market.close = close

    def figures(self) -> dict[str, dict[str, Any]]:
        """By name of the alpha."""
        return {
            name: {
                "signals": tally.signals, "buys": tally.buys, "sells": tally.sells,
                "accuracy": tally.right / (tally.right + tally.wrong) if tally.right + tally.wrong else None,
                "confidence": tally.confidence / tally.signals if tally.signals else None,
                "entries": tally.entries, "contribution": tally.contribution,
            }
            for name, tally in sorted(self._tallies.items())
        }
