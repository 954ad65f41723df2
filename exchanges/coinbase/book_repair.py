"""Which books of a connection are asked for anew, and when a connection is of no use for its books. Pure."""

from collections.abc import Collection, Iterable
from typing import Final

BOOK_GRACE_S: Final = 5.0
"""So long a new subscription may take to send its books."""
BOOK_TRIES: Final = 8
_LONGEST_PAUSE_S: Final = 30.0


class BooksLostError(Exception):
    """The books do not come back on this connection; the text names one."""


class BookRepair:
    """The books of one connection; `now` is in seconds of any steady clock."""

    def __init__(self) -> None:
        self._tries: dict[str, int] = {}
        self._due: dict[str, float] = {}
        self._came: set[str] = set()

    def begin(self) -> None:
        """A new connection."""
        self._tries.clear()
        self._due.clear()
        self._came.clear()

    def expect(self, symbols: Iterable[str], now: float) -> None:
        """Their books were subscribed to just now."""
        for symbol in symbols:
            self._tries.pop(symbol, None)
            self._due[symbol] = now + BOOK_GRACE_S

    def on_snapshot(self, symbol: str) -> None:
        """It came: if it is lost now, it is asked for at once."""
        self._came.add(symbol)
        if not self._tries.get(symbol):
            self._due[symbol] = 0.0

    def look(self, symbols: Iterable[str], synced: Collection[str], now: float) -> list[str]:
        """Of `symbols` those to subscribe to anew; raises `BooksLostError` when that was tried in vain.

        A book that never came on a connection that brings others is the trouble of its symbol alone (a delisted
        one, say): it is asked for ever more rarely, and the others go on.
        """
        lost: list[str] = []
        for symbol in symbols:
            tries = self._tries.get(symbol, 0)
            if symbol in synced:
                self._due[symbol] = 0.0
                self._tries.pop(symbol, None)
            elif now >= self._due.get(symbol, 0.0):
                if tries >= BOOK_TRIES and (symbol in self._came or not self._came):
                    raise BooksLostError(f"no book of {symbol} that can be believed in {tries} attempts")
                self._tries[symbol] = tries + 1
                self._due[symbol] = now + min(2.0 ** min(tries, 16), _LONGEST_PAUSE_S)
                lost.append(symbol)
        return lost
