"""Orders that were refused within the last minute: how the runaway guard knows one who does not listen."""

from collections import deque
from decimal import Decimal
from typing import Final, NamedTuple

from market.interval import SECOND_NS
from market.money import ZERO

RUNAWAY_FACTOR: Final = 3
"""So many times a cap, within a minute, is no longer a limit reached but somebody who does not hear."""

WINDOW_NS: Final = 60 * SECOND_NS

PACE_OF_MONEY: Final = "NOTIONAL_PER_MINUTE"
_CLOSED_DOOR: Final = frozenset({"KILL_ENGAGED", "TRADING_HALTED", "TRADING_REDUCING"})
"""Denials that say nothing about the one who asked: nobody could have got through."""


class _Attempt(NamedTuple):
    ts: int
    notional: Decimal


class DeniedAttempts:
    """Orders that were refused within the last minute, and the seconds for which the loss limit has held.

    Its memory is not restored: what was denied did nothing, and a restart counts anew.
    """

    def __init__(self, orders_per_minute: int) -> None:
        self._most = RUNAWAY_FACTOR * orders_per_minute
        self._times: deque[int] = deque(maxlen=self._most + 1)
        self._money: deque[_Attempt] = deque(maxlen=self._most + 1)
        self.loss_seconds = 0

    def note(self, code: str, now: int, notional: Decimal) -> None:
        """One more order was refused; `notional` (quote) counts where the money was the reason."""
        if code in _CLOSED_DOOR:
            return
        self._times.append(now)
        if code == PACE_OF_MONEY:
            self._money.append(_Attempt(now, notional))

    def are_too_many(self, now: int) -> bool:
        """More than `RUNAWAY_FACTOR` times the orders that a minute may have."""
        return len(self._times) > self._most and now - self._times[0] < WINDOW_NS

    def money(self, now: int) -> Decimal:
        """What was asked for beyond the cap on money within the last minute, in quote."""
        return sum((each.notional for each in self._money if now - each.ts < WINDOW_NS), ZERO)

    def forgive(self) -> None:
        """A person released the switch: count anew."""
        self._times.clear()
        self._money.clear()
        self.loss_seconds = 0
