"""Which products' books are asked for: the venue gives a connection those of so many, and refuses all of one wish more.

"too many L2 streams requested in a single session" says it to the 31st; no page tells the number. The other channels
have no such bound: who has no book here has prices from the ticker, and all trades. Pure.
"""

from collections.abc import Collection, Sequence
from typing import Final

MOST_BOOKS: Final = 30
_TOO_MANY: Final = "too many l2 streams"


class BookSeats:
    """Symbols, those at stake first. `most`: so many at once, fewer when the venue says so."""

    def __init__(self, most: int = MOST_BOOKS) -> None:
        self._most = most
        self.taken: list[str] = []

    def begin(self, symbols: Sequence[str], urgent: Collection[str]) -> list[str]:
        """A new connection: whose books to ask for."""
        self.taken = sorted(symbols, key=lambda symbol: symbol not in urgent)[: self._most]
        return list(self.taken)

    def change(self, symbols: Sequence[str], urgent: Collection[str]) -> tuple[list[str], list[str]]:
        """Whose books are asked for no more and whose anew: of these symbols, who is at stake has one if any can."""
        stay = [each for each in self.taken if each in symbols]
        seated = set(stay)
        wanting = [each for each in symbols if each not in seated]
        coming = sorted(wanting, key=lambda symbol: symbol not in urgent)[: max(0, self._most - len(stay))]
        for each in wanting:
            others = [one for one in stay if one not in urgent]
            if each in urgent and each not in coming and others:
                stay.remove(others[-1])
                coming.append(each)
        leaving = [each for each in self.taken if each not in stay]
        self.taken = [*stay, *coming]
        return leaving, coming

    def heed(self, error: str) -> bool:
        """Whether the venue's words are about too many of them; then fewer are asked for."""
        if _TOO_MANY not in error.lower():
            return False
        self._most = max(1, min(self._most, len(self.taken)) // 2)
        return True
