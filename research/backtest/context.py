"""What a rule is shown, and nothing more: no way leads from here to candles that are still to come."""

import math
from typing import Literal, NamedTuple

from research.backtest.rules import RuleError


class Wish(NamedTuple):
    """What a rule asked for at a close. `fraction` of the cash, None = the session's stake; exits as ratios."""

    side: Literal["buy", "sell"]
    fraction: float | None = None
    stop: float | None = None
    target: float | None = None
    trail: float | None = None


class CandleContext:
    """The candle that closed, and what is held. Plain values: written to, they change nothing but themselves."""

    __slots__ = (
        "cash", "close", "high", "index", "is_waiting", "low", "open", "quantity", "ts", "volume", "wishes",
    )

    def __init__(self) -> None:
        self.index = self.ts = 0
        self.open = self.high = self.low = self.close = self.volume = 0.0
        self.quantity = self.cash = 0.0
        self.is_waiting = False
        self.wishes: list[Wish] = []

    def buy(
        self, fraction: float | None = None, *, stop: float | None = None, target: float | None = None,
        trail: float | None = None,
    ) -> None:
        """See `research.backtest.rules.Context`; raises `RuleError` for a ratio that cannot be one."""
        for name, ratio, highest in (("fraction", fraction, 1.0), ("stop", stop, 1.0), ("trail", trail, 1.0)):
            if ratio is not None and not 0.0 < ratio <= highest:
                raise RuleError(f"buy({name}={ratio!r}): write a ratio above 0, at most 1")
        if target is not None and not (target > 0.0 and math.isfinite(target)):
            raise RuleError(f"buy(target={target!r}): write a ratio above 0")
        self.wishes.append(Wish("buy", fraction, stop, target, trail))
        self.is_waiting = True

    def sell(self) -> None:
        """Sell all that is held at the next open."""
        self.wishes.append(Wish("sell"))
        self.is_waiting = True
