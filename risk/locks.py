"""Locks: pauses after what went wrong. Each has a rule, a reason and an end, and a person can lift it.

- cooldown: a symbol rests after each exit; only the council's entries wait for it, a person may know better.
- stop_guard: so many losing stops within a window lock the symbol, or everything.
- low_profit: round trips of a symbol that together brought too little lock it.
- drawdown_guard: closed round trips that gave back too much of equity lock everything.

Locks keep new risk out, never an exit. They are a fold over facts: `PositionClosed` is remembered, `LockPlaced`
and `LockLifted` are obeyed, and time is told by whoever asks. Protections of this kind are known from other bots
(freqtrade's "Protections"); the rules here are our own.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from bus.messages.system import LockPlaced
from market.interval import SECOND_NS
from market.money import ZERO
from risk.wording import money, percent

ALL_SYMBOLS: Final = "*"
COOLDOWN: Final = "cooldown"
KEEP_TRIPS: Final = 1000
Scope = Literal["symbol", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protections:
    """[risk.protections]. Times in ns, ratios 0-1; 0 stops, trips or ns = that rule is off.

    `low_profit_ratio`: returns of the window's round trips, added up, below which the symbol is locked.
    `drawdown_guard_ratio`: share of equity that closed round trips may give back from their best.
    """

    cooldown_ns: int = 0
    stop_guard_stops: int = 0
    stop_guard_window_ns: int = 600 * SECOND_NS
    stop_guard_pause_ns: int = 120 * SECOND_NS
    stop_guard_scope: Scope = "symbol"
    low_profit_trips: int = 0
    low_profit_ratio: Decimal = Decimal("-0.01")
    low_profit_window_ns: int = 1800 * SECOND_NS
    low_profit_pause_ns: int = 300 * SECOND_NS
    drawdown_guard_trips: int = 0
    drawdown_guard_ratio: Decimal = Decimal("0.03")
    drawdown_guard_window_ns: int = 3600 * SECOND_NS
    drawdown_guard_pause_ns: int = 600 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Trip:
    """A closed round trip: profit after fees and cost in quote; `is_stop`: its own protection sold at a loss."""

    symbol: str
    closed_ns: int
    profit: Decimal
    cost: Decimal
    is_stop: bool

    @property
    def return_ratio(self) -> Decimal:
        """Profit over cost; 0 when nothing was paid."""
        return self.profit / self.cost if self.cost > ZERO else ZERO


@dataclass(frozen=True, slots=True)
class NewLock:
    """A lock that a rule asks for; `symbol` or "*" for all."""

    rule: str
    symbol: str
    reason: str
    until_ns: int


class LockBook:
    """The locks and the round trips they are judged by. One lock per rule and symbol: a new one replaces the old."""

    __slots__ = ("_last_placed_ns", "_placed", "_trips", "by_place")

    def __init__(self) -> None:
        self.by_place: dict[tuple[str, str], LockPlaced] = {}
        """By (rule, symbol); some may have ended already."""
        self._last_placed_ns: dict[tuple[str, str], int] = {}
        self._trips: deque[Trip] = deque(maxlen=KEEP_TRIPS)
        self._placed = 0

    # ---- the fold ----------------------------------------------------------------------------------

    def note_trip(self, trip: Trip) -> None:
        """Remember a round trip that closed."""
        self._trips.append(trip)

    def place(self, fact: LockPlaced) -> None:
        """A lock begins. Those that ended by then are forgotten."""
        self.by_place = {place: lock for place, lock in self.by_place.items() if lock.until_ns > fact.since_ns}
        self.by_place[(fact.rule, fact.symbol)] = fact
        self._last_placed_ns[(fact.rule, fact.symbol)] = fact.since_ns
        self._placed += 1

    def lift(self, lock_id: str) -> None:
        """A person ended a lock."""
        self.by_place = {place: lock for place, lock in self.by_place.items() if lock.lock_id != lock_id}

    # ---- what is known -----------------------------------------------------------------------------

    @property
    def next_id(self) -> str:
        """A new id; numbers are folded from the facts, so a restart goes on with them."""
        return f"lock-{self._placed + 1}"

    def active(self, now: int) -> tuple[LockPlaced, ...]:
        """Locks that hold at `now`, oldest first."""
        return tuple(lock for lock in self.by_place.values() if lock.until_ns > now)

    def get(self, lock_id: str, now: int) -> LockPlaced | None:
        """The lock of this id while it holds."""
        return next((lock for lock in self.active(now) if lock.lock_id == lock_id), None)

    def holding(self, symbol: str, now: int, *, is_council: bool = True) -> LockPlaced | None:
        """The lock of this symbol ("*" = of everything) that lasts longest, None when there is none.

        `is_council`: of an entry the council wants; one by hand or of a grid does not wait for a cooldown.
        """
        if not self.by_place:
            return None
        found = [
            lock for lock in self.by_place.values()
            if lock.symbol == symbol and lock.until_ns > now and (is_council or lock.rule != COOLDOWN)
        ]
        return max(found, key=lambda lock: lock.until_ns, default=None)

    def wanted_after(self, trip: Trip, rules: Protections, equity: Decimal, quote: str) -> Iterator[NewLock]:
        """The locks that the rules ask for now that `trip` (noted already) has closed. `equity` in `quote`."""
        now = trip.closed_ns
        if rules.cooldown_ns > 0:
            yield NewLock(
                COOLDOWN, trip.symbol, f"cooldown of {_seconds(rules.cooldown_ns)} after an exit",
                now + rules.cooldown_ns,
            )
        yield from self._stop_guard(trip, rules)
        yield from self._low_profit(trip, rules)
        yield from self._drawdown_guard(trip, rules, equity, quote)

    def _stop_guard(self, trip: Trip, rules: Protections) -> Iterator[NewLock]:
        place = trip.symbol if rules.stop_guard_scope == "symbol" else ALL_SYMBOLS
        if rules.stop_guard_stops <= 0 or not trip.is_stop:
            return
        trips = self._recent("stop_guard", place, trip.closed_ns, rules.stop_guard_window_ns)
        stops = sum(each.is_stop for each in trips)
        if stops >= rules.stop_guard_stops:
            yield NewLock(
                "stop_guard", place, f"{stops} losing stops within {_seconds(rules.stop_guard_window_ns)}",
                trip.closed_ns + rules.stop_guard_pause_ns,
            )

    def _low_profit(self, trip: Trip, rules: Protections) -> Iterator[NewLock]:
        if rules.low_profit_trips <= 0:
            return
        trips = self._recent("low_profit", trip.symbol, trip.closed_ns, rules.low_profit_window_ns)
        total = sum((each.return_ratio for each in trips), ZERO)
        if len(trips) >= rules.low_profit_trips and total < rules.low_profit_ratio:
            yield NewLock(
                "low_profit", trip.symbol,
                f"{len(trips)} round trips within {_seconds(rules.low_profit_window_ns)} returned {percent(total)}, "
                f"less than {percent(rules.low_profit_ratio)}",
                trip.closed_ns + rules.low_profit_pause_ns,
            )

    def _drawdown_guard(self, trip: Trip, rules: Protections, equity: Decimal, quote: str) -> Iterator[NewLock]:
        if rules.drawdown_guard_trips <= 0 or equity <= ZERO:
            return
        trips = self._recent("drawdown_guard", ALL_SYMBOLS, trip.closed_ns, rules.drawdown_guard_window_ns)
        given_back = deepest_fall([each.profit for each in trips])
        if len(trips) >= rules.drawdown_guard_trips and given_back >= rules.drawdown_guard_ratio * equity:
            yield NewLock(
                "drawdown_guard", ALL_SYMBOLS,
                f"{len(trips)} round trips within {_seconds(rules.drawdown_guard_window_ns)} gave back "
                f"{money(given_back, quote)}, {percent(given_back / equity)} of equity",
                trip.closed_ns + rules.drawdown_guard_pause_ns,
            )

    def _recent(self, rule: str, place: str, now: int, window_ns: int) -> list[Trip]:
        """Round trips of the place within the window, and since the rule's last lock: nothing counts twice."""
        since = max(now - window_ns, self._last_placed_ns.get((rule, place), 0))
        return [trip for trip in self._trips if trip.closed_ns > since and place in (ALL_SYMBOLS, trip.symbol)]


def deepest_fall(profits: Sequence[Decimal]) -> Decimal:
    """The largest fall of the running sum of profits from its best so far (which is 0 at the start)."""
    total = best = deepest = ZERO
    for profit in profits:
        total += profit
        best = max(best, total)
        deepest = max(deepest, best - total)
    return deepest


def _seconds(duration_ns: int) -> str:
    return f"{duration_ns / SECOND_NS:g} s"
