"""Which of its symbols a feed asks its venue about: not those that are listed no more, or that it refuses."""

import re
from collections.abc import Collection, Sequence
from typing import Final

from market.instrument import Instrument

FIRST_REFUSAL_S: Final = 60.0
LONGEST_REFUSAL_S: Final = 1_800.0


class ListedSymbols:
    """What is left of a feed's instruments. Never nothing: some venues take no symbol for all of them.

    Delisted is what whoever reads the venue's list says so; refused is what the venue itself named in an error, and
    that is asked for again after a while, ever longer ones. Pure: `now` is in seconds of any steady clock.
    """

    def __init__(self, instruments: Sequence[Instrument] = ()) -> None:
        self._all = list(instruments)
        self._delisted: frozenset[str] = frozenset()
        self._refused_until: dict[str, float] = {}
        self._refusals: dict[str, int] = {}

    def begin(self, instruments: Sequence[Instrument]) -> None:
        """These are the feed's."""
        self._all = list(instruments)

    def left(self, now: float) -> list[Instrument]:
        """Those to ask about, in the feed's order."""
        return [each for each in self._all if not self._is_out(each.symbol, now)] or self._all

    def _is_out(self, symbol: str, now: float) -> bool:
        return symbol in self._delisted or now < self._refused_until.get(symbol, 0.0)

    def leave_out(self, symbols: Collection[str]) -> None:
        """All that are delisted now; one that is not among them any more is asked about again."""
        for symbol in self._delisted.difference(symbols):
            self.welcome(symbol)
        self._delisted = frozenset(symbols)

    def refuse(self, words: str, now: float) -> list[str]:
        """The venue's error `words`: the symbols they name are left out for a while, unless nothing would be left."""
        named = [each.symbol for each in self._all if _names(words, each.venue_symbol)]
        if all(each.symbol in named or self._is_out(each.symbol, now) for each in self._all):
            return []
        for symbol in named:
            if not self._is_out(symbol, now):
                times = self._refusals[symbol] = self._refusals.get(symbol, 0) + 1
                pause_s = min(FIRST_REFUSAL_S * 2.0 ** min(times - 1, 16), LONGEST_REFUSAL_S)
                self._refused_until[symbol] = now + pause_s
        return named

    def welcome(self, symbol: str) -> None:
        """The venue tells about it: it refuses it no more."""
        self._refused_until.pop(symbol, None)
        self._refusals.pop(symbol, None)


def _names(words: str, venue_symbol: str) -> bool:
    """As a word of its own: BTC-USDC does not name BTC-USD."""
    return re.search(rf"(?<![\w-]){re.escape(venue_symbol)}(?![\w-])", words, re.IGNORECASE) is not None
