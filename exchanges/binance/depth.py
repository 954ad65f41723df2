"""Keeping one symbol's order book in step with Binance's diff stream. Pure: the stream module does the I/O.

The rule ("How to manage a local order book correctly", spot WebSocket Streams): buffer events, fetch a
REST snapshot, drop events with u <= lastUpdateId, the first event applied has U <= lastUpdateId + 1 <= u,
and each later one U = previous u + 1. Whatever breaks the chain makes the book invalid at once.
"""

from collections import deque
from dataclasses import replace
from typing import Final

from market.book import OrderBook
from market.ticks import BookDelta, BookInvalid, BookSnapshot

BUFFERED_EVENTS: Final = 2_000  # three minutes at ten a second: a snapshot later than that is of no use
BookItem = BookSnapshot | BookDelta | BookInvalid


class DepthSync:
    """The thread of one symbol's book: what goes in is raw, what comes out is in step.

    `wants_snapshot` is true from the first event until a fitting snapshot is given.
    """

    __slots__ = ("_book", "_buffer", "_is_synced", "_last", "_snapshot", "gaps", "symbol")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.gaps = 0
        self._book = OrderBook(symbol)
        self._buffer: deque[BookDelta] = deque(maxlen=BUFFERED_EVENTS)
        self._snapshot: BookSnapshot | None = None
        self._is_synced = False
        self._last = -1

    @property
    def is_synced(self) -> bool:
        """Whether a reader that followed the items has the venue's book."""
        return self._is_synced

    @property
    def wants_snapshot(self) -> bool:
        """Whether events wait for a snapshot that nobody has given yet."""
        return not self._is_synced and self._snapshot is None and bool(self._buffer)

    def on_delta(self, delta: BookDelta) -> list[BookItem]:
        """The next event of the stream; returns what readers may now be told."""
        if not self._is_synced:
            self._buffer.append(delta)
            return self._try_to_join(delta.ts_init)
        if delta.last_sequence <= self._last:
            return []  # seen before
        if delta.first_sequence != self._last + 1:
            self.gaps += 1
            return self._lost(f"gap: update {self._last + 1} is missing, got {delta.first_sequence}", delta)
        return self._apply(delta)

    def on_snapshot(self, snapshot: BookSnapshot) -> list[BookItem]:
        """A REST snapshot; its own `ts_init` and those of buffered events become the time of joining."""
        if self._is_synced:
            return []
        self._snapshot = snapshot
        return self._try_to_join(snapshot.ts_init)

    def start_empty(self, ts_init: int) -> list[BookItem]:
        """Join the buffered events to a book without levels (a replay that has no snapshot to offer).

        What then grows is a part of the book, never a level that is gone.
        """
        if self._is_synced or not self._buffer:
            return []
        return self.on_snapshot(
            BookSnapshot(self.symbol, (), (), self._buffer[0].first_sequence - 1, ts_init, ts_init)
        )

    def invalidate(self, reason: str, ts_init: int) -> list[BookItem]:
        """Forget everything: a new connection, or an event that could not be believed."""
        was_synced = self._is_synced
        self._is_synced = False
        self._snapshot = None
        self._buffer.clear()
        self._last = -1
        self._book.invalidate(reason)
        return [BookInvalid(self.symbol, reason, ts_init)] if was_synced else []

    def _lost(self, reason: str, delta: BookDelta) -> list[BookItem]:
        items = self.invalidate(reason, delta.ts_init)
        self._buffer.append(delta)  # the first event that the next snapshot may join
        return items

    def _try_to_join(self, now: int) -> list[BookItem]:
        snapshot = self._snapshot
        if snapshot is None:
            return []
        buffer = self._buffer
        while buffer and buffer[0].last_sequence <= snapshot.sequence:
            buffer.popleft()
        if not buffer:
            return []
        if buffer[0].first_sequence > snapshot.sequence + 1:
            self._snapshot = None  # older than what was buffered: a newer one is wanted
            return []
        waiting = list(buffer)
        buffer.clear()
        self._snapshot = None
        self._is_synced = True
        self._last = waiting[0].first_sequence - 1
        joined = replace(snapshot, ts_event=now, ts_init=now)  # the venue stamps no snapshot
        self._book.apply_snapshot(joined)
        items: list[BookItem] = [joined]
        for delta in waiting:
            # Events older than the joining would make time run backwards for the reader.
            items += self.on_delta(replace(delta, ts_init=now))
        return items

    def _apply(self, delta: BookDelta) -> list[BookItem]:
        if not self._book.apply_delta(delta):
            return self.invalidate(f"the book is {self._book.invalid_reason}", delta.ts_init)
        self._last = delta.last_sequence
        return [delta]
