"""Kline interval names: <n>s|m|h|d, a superset of the real venue's (5s is an extension)."""

from market.interval import IntervalError, interval_ns


def interval_ms(name: str) -> int | None:
    """Length in milliseconds, None when it is not an interval."""
    try:
        length = interval_ns(name) // 1_000_000
    except IntervalError:
        return None
    return length if length <= 400 * 86_400_000 else None
