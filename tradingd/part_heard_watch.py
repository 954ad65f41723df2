"""Shows symbols whose decision candles are all heard only in part: nothing is decided, and people wonder why."""

from dataclasses import dataclass
from typing import Final

from bus.messages.header import Message
from market.interval import SECOND_NS, interval_ns
from market.ticks import Candle
from tradingd.health import Health

LONG_NS: Final = 60 * SECOND_NS
"""So long none may have been whole before it is shown, and at least for `LEAST` candles."""
LEAST: Final = 3
_CONDITION: Final = "part heard"
_NAMED: Final = 6


@dataclass(slots=True)
class _Run:
    """Candles in a row, closed between the two times (UTC ns), of which none was whole."""

    first_ns: int
    last_ns: int
    count: int = 1


class PartHeardWatch:
    """`listen` is told every message, `on_second` the time. It stops nothing: the candles themselves do."""

    def __init__(self, health: Health, decision: str) -> None:
        self._health = health
        self._decision = decision
        self._long_ns = max(LONG_NS, LEAST * interval_ns(decision))
        self._runs: dict[str, _Run] = {}

    def listen(self, message: Message) -> None:
        """A closed candle, whole or not; all else is passed over."""
        candle = message.body
        if type(candle) is not Candle or candle.interval != self._decision:
            return
        run = self._runs.get(candle.symbol)
        if not candle.is_warmup:
            self._runs.pop(candle.symbol, None)
        elif run is None or candle.ts_init - run.last_ns > self._long_ns:
            self._runs[candle.symbol] = _Run(candle.ts_init, candle.ts_init)
        else:
            run.last_ns = candle.ts_init
            run.count += 1

    def on_second(self, now: int) -> None:
        """Show it, or that it is over (UTC ns)."""
        found = sorted(
            symbol for symbol, run in self._runs.items()
            if run.count >= LEAST and run.last_ns - run.first_ns >= self._long_ns and now - run.last_ns <= self._long_ns
        )
        if not found:
            self._health.clear(_CONDITION)
            return
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        self._health.raise_condition(
            _CONDITION,
            f"every {self._decision} candle of {', '.join(found[:_NAMED])}{more} is heard only in part: trades are "
            "missed, so the council decides nothing on them. Look at the feed's gaps in `tradingd status`",
            reduces=False,
        )
