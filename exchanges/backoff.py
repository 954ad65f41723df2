"""How long to wait before trying again: doubling, capped, with a little chance so that clients spread out."""

from collections.abc import Callable

JITTER_RATIO = 0.1


class Backoff:
    """1, 2, 4 ... seconds up to a ceiling, each ±10 %.

    `jitter` returns numbers in [0, 1); pass a seeded generator's `random` to have repeatable waits.
    """

    __slots__ = ("_attempts", "_ceiling_s", "_first_s", "_jitter", "_last_s")

    def __init__(self, jitter: Callable[[], float], first_s: float = 1.0, ceiling_s: float = 30.0) -> None:
        self._jitter = jitter
        self._first_s = first_s
        self._ceiling_s = ceiling_s
        self._attempts = 0
        self._last_s = 0.0

    @property
    def attempts(self) -> int:
        """Waits handed out since the last success."""
        return self._attempts

    def next_s(self) -> float:
        """Seconds to wait before the next attempt."""
        # The exponent is capped: 2 ** attempts would overflow a float after a week of outage.
        wait = min(self._first_s * 2.0 ** min(self._attempts, 32), self._ceiling_s)
        self._attempts += 1
        self._last_s = wait
        return wait * (1.0 - JITTER_RATIO + 2.0 * JITTER_RATIO * self._jitter())

    def lasted(self, held_s: float) -> None:
        """A connection came about and held so long. It was a success if it held as long as was waited for it.

        Otherwise a server that takes everybody and drops him at once would be asked at the shortest wait for ever.
        """
        if held_s >= self._last_s:
            self.reset()

    def reset(self) -> None:
        """It worked: the next failure waits the shortest time again."""
        self._attempts = 0
        self._last_s = 0.0
