"""What a candle rule is: one class with `on_candle(context)`, told one closed candle after the other.

Written once, run in two places: `tradelab backtest` fills its wishes at the next open, and in the daemon the strategy
agent turns them into proposals that pass the risk officer and the gate (`agents.strategies.rule_book`). A rule is
shown the candle that closed and what is held, and nothing more: no way leads from here to candles still to come.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable


class RuleError(ValueError):
    """A rule that cannot be used: the text names rule, parameter or file, and what to do."""


class Wish(NamedTuple):
    """What a rule asked for at a close.

    Of a buy: `fraction` of the cash (None = the usual share), exits as ratios of the entry price. Of a sell:
    `fraction` of what is held (None = all). `why`: a sentence for people.
    """

    side: Literal["buy", "sell"]
    fraction: float | None = None
    stop: float | None = None
    target: float | None = None
    trail: float | None = None
    why: str = ""


class Context(Protocol):
    """What a rule is shown at the close of a candle, and what it may wish.

    Prices are floats (analytics); the orders that follow are exact. `fraction` is a share of the cash, 0-1.
    """

    index: int
    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quantity: float
    """Base held now."""
    cash: float
    """Quote not spent."""
    is_waiting: bool
    """Is an order on its way to the next open?"""

    def buy(self, fraction: float | None = None, *, stop: float | None = None, target: float | None = None,
            trail: float | None = None, why: str = "") -> None:
        """Buy at the next open; `stop`, `target` and `trail` are ratios of the entry price, held by the engine."""
        ...

    def sell(self, fraction: float | None = None, *, why: str = "") -> None:
        """Sell all that is held, or this share of it, at the next open."""
        ...


@runtime_checkable
class CandleRule(Protocol):
    """A rule. `prepare(candles)`, when there is one, gets `research.backtest.bars.Candles` before a backtest."""

    def on_candle(self, context: Context) -> None: ...


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
        trail: float | None = None, why: str = "",
    ) -> None:
        """See `Context`; raises `RuleError` for a ratio that cannot be one."""
        for name, ratio, highest in (("fraction", fraction, 1.0), ("stop", stop, 1.0), ("trail", trail, 1.0)):
            if ratio is not None and not 0.0 < ratio <= highest:
                raise RuleError(f"buy({name}={ratio!r}): write a ratio above 0, at most 1")
        if target is not None and not (target > 0.0 and math.isfinite(target)):
            raise RuleError(f"buy(target={target!r}): write a ratio above 0")
        self.wishes.append(Wish("buy", fraction, stop, target, trail, why))
        self.is_waiting = True

    def sell(self, fraction: float | None = None, *, why: str = "") -> None:
        """See `Context`; raises `RuleError` for a fraction that cannot be one."""
        if fraction is not None and not 0.0 < fraction <= 1.0:
            raise RuleError(f"sell(fraction={fraction!r}): write a ratio above 0, at most 1")
        self.wishes.append(Wish("sell", fraction, why=why))
        self.is_waiting = True


def build_rule(name: str, maker: Callable[..., Any], parameters: Mapping[str, str | int | float]) -> CandleRule:
    """The rule `maker` makes of these parameters; raises `RuleError` naming the one that is wrong."""
    known = inspect.signature(maker).parameters
    chosen: dict[str, Any] = {}
    for key, value in parameters.items():
        if key not in known:
            raise RuleError(f"{name} has no parameter {key!r}: it has {', '.join(known) or 'none'}")
        chosen[key] = _number(name, key, value)
    rule = maker(**chosen)
    if not isinstance(rule, CandleRule):
        raise RuleError(f"{name}: a rule is a class with a method on_candle(self, context)")
    return rule


def _number(name: str, key: str, value: str | int | float) -> int | float:
    try:
        number = float(value)
    except ValueError:
        raise RuleError(f"{name}: parameter {key} is {value!r}; write a number") from None
    if not math.isfinite(number):
        raise RuleError(f"{name}: parameter {key} is {value!r}; write a finite number")
    return int(number) if number.is_integer() and "." not in str(value) else number


def require_whole(name: str, lowest: int, **parameters: float) -> None:
    """Raise `RuleError` unless each parameter is a whole number of at least `lowest`."""
    for key, value in parameters.items():
        if isinstance(value, bool) or value != int(value) or value < lowest:
            raise RuleError(f"{name}: {key}={value}: write a whole number of {lowest} or more")


def require_positive(name: str, **parameters: float) -> None:
    """Raise `RuleError` unless each parameter is above 0."""
    for key, value in parameters.items():
        if not value > 0:
            raise RuleError(f"{name}: {key}={value}: write a number above 0")


def stop_of(distance: float, close: float) -> float | None:
    """A stop this far (in quote) below the close as a ratio of it, at most 0.5; None when the price never moved."""
    ratio = distance / close if close > 0.0 else 0.0
    return min(ratio, 0.5) if ratio > 0.0 else None
