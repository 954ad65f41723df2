"""Trailing grid: levels bought behind trailing buys on the way down, each sold one level up behind a trail."""

from dataclasses import dataclass

from agents.strategies.candle_rule import Context, RuleError, require_positive, require_whole


@dataclass(slots=True)
class _Level:
    """One buying level. `price` in quote; `held` in base; `low` and `high`: extremes since its trail was armed."""

    price: float
    held: float = 0.0
    low: float | None = None
    high: float | None = None
    is_buying: bool = False


class TrailingGrid:
    """Levels centre * (1 + i * spacing), i = -n .. n - 1, with one part of the capital each.

    A level the close has fallen to arms a trailing buy: it follows the lowest close and buys when the close is `trail`
    above it. What it bought arms a trailing sell when the close reaches the level above: it follows the highest close
    and sells this part when the close is `trail` below it. 5 % below the lowest level all is sold, and the grid begins
    anew around the close. A close above the highest level with nothing held moves the centre there.

    levels: n, on each side (10). spacing: ratio between levels (0.015). trail: ratio (0.005), below the spacing.
    Source: the grid of trailing orders of the product itself (T7), decided at closes; in the daemon the engine's own
    grid runs it tick by tick.
    """

    def __init__(self, levels: int = 10, spacing: float = 0.015, trail: float = 0.005) -> None:
        require_whole("trailing_grid", 1, levels=levels)
        require_positive("trailing_grid", spacing=spacing, trail=trail)
        if trail >= spacing or levels * spacing >= 0.9:
            raise RuleError(
                f"trailing_grid: levels={levels}, spacing={spacing}, trail={trail}: write a trail below the spacing, "
                "and levels x spacing below 0.9"
            )
        self._count, self._spacing, self._trail = int(levels), spacing, trail
        self._levels: list[_Level] = []
        self._step = self._top = self._part = 0.0
        self._quantity = 0.0

    def on_candle(self, context: Context) -> None:
        if context.is_waiting:
            return
        self._book(context.quantity)
        close = context.close
        if not self._levels or (not context.quantity and close > self._top):
            self._open(close, context.cash)
        floor = 0.95 * self._levels[0].price
        if close < floor:
            if context.quantity:
                context.sell(why=f"{close:g} is below the grid's floor {floor:g}")
            self._levels = []
            return
        self._trail_sells(context)
        if not context.is_waiting:
            self._trail_buys(context)

    def _open(self, close: float, cash: float) -> None:
        self._step = close * self._spacing
        self._levels = [_Level(close + number * self._step) for number in range(-self._count, self._count)]
        self._top = close + self._count * self._step
        self._part = cash / len(self._levels)

    def _book(self, quantity: float) -> None:
        """What was wished at the last candle has been filled, or was not."""
        bought = quantity - self._quantity
        self._quantity = quantity
        for level in self._levels:
            if level.is_buying:
                level.is_buying = False
                level.held = max(bought, 0.0)
                level.low = None
        if not quantity:
            for level in self._levels:
                level.held, level.high = 0.0, None

    def _trail_sells(self, context: Context) -> None:
        close, held = context.close, context.quantity
        due: list[_Level] = []
        for level in self._levels:
            if not level.held:
                continue
            if level.high is None and close < level.price + self._step:
                continue
            level.high = max(close, level.high or close)
            if close <= level.high * (1.0 - self._trail):
                due.append(level)
        if not due or not held:
            return
        share = sum(level.held for level in due) / held
        for level in due:
            level.held, level.high = 0.0, None
        is_all = not any(level.held for level in self._levels)
        told = f"{len(due)} levels sold behind their trails at {close:g}"
        context.sell(None if is_all else min(share, 1.0), why=told)

    def _trail_buys(self, context: Context) -> None:
        """One level at a time: the highest whose trail fires."""
        close = context.close
        due: _Level | None = None
        for level in self._levels:
            if level.held or (level.low is None and close > level.price):
                continue
            if level.low is None and close <= level.price - self._step:
                continue  # it was passed from further below: another level's business
            level.low = min(close, level.low if level.low is not None else close)
            if close >= level.low * (1.0 + self._trail):
                due = level
        if due is None:
            return
        if context.cash < self._part:
            return
        due.is_buying, due.low = True, None
        context.buy(self._part / context.cash, why=f"the level {due.price:g} bought behind its trail at {close:g}")
