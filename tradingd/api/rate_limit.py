"""How often somebody may ask: a bucket per login and a wider one per address, both bounded in number."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

BURST_S: Final = 2.0
"""A bucket holds so many seconds' worth of requests."""
ADDRESS_FACTOR: Final = 4
"""An address may ask so many times as often as one login: several people may sit behind it."""
MOST_BUCKETS: Final = 4_096


class RateLimit:
    """Token buckets; `per_second` is what one login may ask on average."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, int], tuple[float, float]] = OrderedDict()

    def wait_s(self, address: str, credential: bytes) -> float:
        """Count one request; 0 when it may pass, else the seconds after which the next one may."""
        now = self._clock()
        wait = self._take((address, 0), self._per_second * ADDRESS_FACTOR, now)
        if credential and not wait:
            wait = self._take((address, hash(credential)), self._per_second, now)
        return wait

    def _take(self, key: tuple[str, int], rate: float, now: float) -> float:
        most = rate * BURST_S
        left, since = self._buckets.get(key, (most, now))
        left = min(most, left + (now - since) * rate)
        wait = 0.0
        if left >= 1.0:
            left -= 1.0
        else:
            wait = (1.0 - left) / rate
        self._buckets[key] = (left, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        return wait
