"""How many requests an account of Coinbase sends in any second, and what is kept for whom.

The venue grants an account thirty a second, whatever they are for. Each class has a share that the others never use up;
what is left over belongs to whoever comes first.
"""

from collections import deque
from typing import Final, Literal

RequestClass = Literal["exit", "entry", "cancel", "account"]
MOST: Final = 28
WINDOW_S: Final = 1.1
"""A little more than a second: on their way requests come closer together."""
SHARES: Final[dict[RequestClass, int]] = {"exit": 4, "entry": 6, "cancel": 5, "account": 7}
_LEAST_WAIT_S: Final = 0.001


class SecondBudget:
    """In no `WINDOW_S` more than `MOST` leave. `now` is a clock in seconds, the same one at each call."""

    __slots__ = ("_counts", "_sent")

    def __init__(self) -> None:
        self._sent: deque[tuple[float, RequestClass]] = deque()  # of the last window, the oldest first
        self._counts: dict[RequestClass, int] = dict.fromkeys(SHARES, 0)

    def take_now(self, kind: RequestClass, now: float) -> bool:
        """Take one request if it may leave at once."""
        sent, counts = self._sent, self._counts
        while sent and sent[0][0] <= now - WINDOW_S:
            counts[sent.popleft()[1]] -= 1
        if not _has_room(kind, counts):
            return False
        counts[kind] += 1
        sent.append((now, kind))
        return True

    def wait_s(self, kind: RequestClass, now: float) -> float:
        """How long until one request may leave, if nobody else sends any."""
        counts = dict(self._counts)
        for at, sent in (None, None), *self._sent:
            if sent is not None:
                counts[sent] -= 1
            if _has_room(kind, counts):
                return 0.0 if at is None else max(_LEAST_WAIT_S, at + WINDOW_S - now)
        return WINDOW_S


def _has_room(kind: RequestClass, counts: dict[RequestClass, int]) -> bool:
    """Whether one more leaves every other class what is kept for it."""
    kept = 0
    for each, share in SHARES.items():
        count = counts[each] + (each == kind)
        kept += count if count > share else share
    return kept <= MOST
