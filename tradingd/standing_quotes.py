"""Best prices that stand while trades move away from them: their stream is dead, though the line lives.

Data age, which is the line's, does not tell. The mark, by which losses are counted, and what entries are judged by
would stay where they were. Whoever trades takes what is offered at the best price, so that a quote follows each trade:
several trades beyond a quote that nobody has told anew for seconds void it.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from market.interval import SECOND_NS
from market.ticks import QuoteInvalid
from tradingd.runtime import Runtime

STANDING_NS: Final = 3 * SECOND_NS
MOVES: Final = 3
"""So many seconds have had other last prices, all beyond the quote: one trade may be told late."""
_CONDITION: Final = "standing quotes"
_NAMED: Final = 6


@dataclass(slots=True)
class _Beyond:
    """Of one symbol: trades beyond this quote, since then (UTC ns)."""

    quote: tuple[Decimal, Decimal]
    last: Decimal
    since_ns: int
    moves: int = 1


class StandingQuotes:
    """`on_second` is for live runs: once a second, before the engine's timer."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._beyond: dict[str, _Beyond] = {}
        self._void: set[str] = set()

    def on_second(self, now: int) -> None:
        """Void the quotes that stand, and show which (UTC ns)."""
        for symbol, (bid, ask, last) in self._runtime.engine.prices().items():
            if bid is None or ask is None or last is None or bid >= ask:
                self._beyond.pop(symbol, None)  # void already, until a sound one is heard
            elif bid <= last <= ask:
                self._beyond.pop(symbol, None)
                self._void.discard(symbol)
            elif self._stands(symbol, (bid, ask), last, now):
                self._void.add(symbol)
                self._runtime.take(QuoteInvalid(symbol, "best prices that stand while trades move", now))
        self._show()

    def _stands(self, symbol: str, quote: tuple[Decimal, Decimal], last: Decimal, now: int) -> bool:
        beyond = self._beyond.get(symbol)
        if beyond is None or beyond.quote != quote:
            self._beyond[symbol] = _Beyond(quote, last, now)
            self._void.discard(symbol)
            return False
        if beyond.last != last:
            beyond.last = last
            beyond.moves += 1
        return beyond.moves >= MOVES and now - beyond.since_ns >= STANDING_NS

    def _show(self) -> None:
        if not self._void:
            self._runtime.health.clear(_CONDITION)
            return
        found = sorted(self._void)
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        self._runtime.health.raise_condition(
            _CONDITION,
            f"best prices of {', '.join(found[:_NAMED])}{more} stand while trades move: entries on them wait, and what "
            "is held is marked by trades. If it lasts, restart the daemon: it opens the streams anew",
            reduces=False,
        )
