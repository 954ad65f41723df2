"""What is wrong now, and since when: the conditions behind the health vote and the status page."""

from collections.abc import Callable, Collection

from tradingd.control import Problem


class Health:
    """A condition that `reduces` makes health vote REDUCING while it lasts; others are only shown."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._conditions: dict[str, tuple[str, int, bool]] = {}
        self._halted: frozenset[str] = frozenset()
        self._not_closed: frozenset[str] = frozenset()

    def raise_condition(self, name: str, text: str, *, reduces: bool = True) -> None:
        """It is wrong (still wrong: the time of the first report stays)."""
        since = self._conditions[name][1] if name in self._conditions else self._now()
        self._conditions[name] = (text, since, reduces)

    def show_halted(self, symbols: frozenset[str]) -> None:
        """Symbols on which the engine has stopped entries after repeated faults; only shown, it acts by itself."""
        if symbols == self._halted:
            return
        for symbol in self._halted - symbols:
            self.clear(f"halted {symbol}")
        for symbol in sorted(symbols - self._halted):
            text = (
                f"entries on {symbol} are halted after repeated faults until an exit of it is executed; "
                "`tradingd start` (POST /api/trading/start) opens them at once"
            )
            self.raise_condition(f"halted {symbol}", text, reduces=False)
        self._halted = symbols

    def close_refused(self, symbol: str, why: str) -> None:
        """A person wanted to sell a position and may not now; shown until `show_not_closed` drops it."""
        self.raise_condition(f"not closed {symbol}", f"{symbol} was not closed: {why}", reduces=False)
        self._not_closed |= {symbol}

    def show_not_closed(self, still: Collection[str]) -> None:
        """Of the positions whose close was refused, these are still held, and nothing else was tried."""
        for symbol in self._not_closed - {*still}:
            self.clear(f"not closed {symbol}")
        self._not_closed &= {*still}

    def clear(self, name: str) -> None:
        """It is well again."""
        self._conditions.pop(name, None)

    def is_raised(self, name: str) -> bool:
        return name in self._conditions

    def text_of(self, name: str) -> str:
        """What is said of it; "" when all is well."""
        return self._conditions[name][0] if name in self._conditions else ""

    @property
    def reasons_to_reduce(self) -> tuple[str, ...]:
        """Why nothing new should be risked now; empty when all is well."""
        return tuple(text for text, _, reduces in self._conditions.values() if reduces)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All conditions, oldest first."""
        found = [Problem(text, since) for text, since, _ in self._conditions.values()]
        return tuple(sorted(found, key=lambda problem: problem.since_ns))
