"""The frames of the market stream as they come: twice (F05), or overtaken by later ones (F04)."""

from collections.abc import Callable
from typing import NamedTuple

from simulator.market import SeededMarket


class Step(NamedTuple):
    """What comes with one move of a market, in its order; `has_print`: is its own trade among it?"""

    frames: list[bytes]
    has_print: bool


class Frames:
    """`has(fault, symbol)`: is this fault with us now?"""

    def __init__(self, has: Callable[[str, str], bool]) -> None:
        self._has = has
        self._held_back: dict[str, list[bytes]] = {}
        self._reordered = 0

    def of(self, symbol: str, market: SeededMarket, now: int) -> Step:
        """Every second time one of the two is held back, the quote and the trade in turn, and comes after the next."""
        frames = [market.quote_frame(), market.trade_frame(now)]
        if self._has("duplicate_ticks", symbol):
            frames += frames
        overtaken = self._held_back.pop(symbol, [])
        if not self._has("reorder_ticks", symbol) or overtaken:
            return Step([*frames, *overtaken], has_print=True)
        self._reordered += 1
        late = self._reordered % 2
        self._held_back[symbol] = frames[late::2]
        return Step(frames[1 - late::2], has_print=not late)

    def forget(self) -> None:
        """Another connection: what the old one held back never comes."""
        self._held_back.clear()
