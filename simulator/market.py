"""A market drawn from a seed: bursts, calm, jumps; as the frames the real parser reads."""

from decimal import Decimal
from random import Random

import orjson

from market.instrument import Instrument


class SeededMarket:
    """One symbol's price path in ticks, and its frames in Binance's format."""

    def __init__(self, instrument: Instrument, price: Decimal, random: Random) -> None:
        self.instrument = instrument
        self._tick = instrument.price_tick
        self._level = int(price / self._tick)
        self._random = random
        self._drift = 0.0
        self._trade = 0
        self._update = 0

    @property
    def bid(self) -> Decimal:
        return self._level * self._tick

    @property
    def ask(self) -> Decimal:
        return (self._level + 2) * self._tick

    def step(self) -> None:
        """One move: mostly small, with spells of trend."""
        if self._random.random() < 0.01:
            self._drift = self._random.uniform(-4e-4, 4e-4)
        move = self._random.gauss(self._drift, 3e-4)
        self._level = max(1000, int(self._level * (1 + move)))

    def leap(self, factor: float) -> None:
        """A true crash or rally: the price is so many times what it was, from here on."""
        self._level = max(1000, int(self._level * factor))

    def quote_frame(self, bid: Decimal | None = None, ask: Decimal | None = None) -> bytes:
        self._update += 1
        return orjson.dumps({"stream": f"{self.instrument.venue_symbol.lower()}@bookTicker", "data": {
            "u": self._update, "s": self.instrument.venue_symbol, "b": str(self.bid if bid is None else bid), "B": "50",
            "a": str(self.ask if ask is None else ask), "A": "50"}})

    def trade_frame(
        self, ts_ns: int, price: Decimal | str | None = None, skipped: int = 0, quantity: str = "0.5",
    ) -> bytes:
        self._trade += 1 + skipped
        said = price if price is not None else self._random.choice((self.bid, self.ask))
        return orjson.dumps({"stream": f"{self.instrument.venue_symbol.lower()}@trade", "data": {
            "e": "trade", "E": ts_ns // 1_000_000, "s": self.instrument.venue_symbol, "t": self._trade, "p": str(said),
            "q": quantity, "T": ts_ns // 1_000_000, "m": False}})
