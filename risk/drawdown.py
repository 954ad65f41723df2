"""How far equity has fallen: from the day's, the week's and the highest peak, the day's opening, and fast.

Days begin at 00:00 UTC and weeks on Monday (ISO 8601), found by integer arithmetic on UTC nanoseconds.
"""

from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from market.interval import SECOND_NS
from market.money import ZERO

_DAY_NS: Final = 86_400 * SECOND_NS
_RUNAWAY_WINDOW_S: Final = 60
_EPOCH_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday: three days after a Monday


def day_number(ts_ns: int) -> int:
    """UTC days since 1970-01-01."""
    return ts_ns // _DAY_NS


def week_number(ts_ns: int) -> int:
    """ISO weeks (Monday to Sunday, UTC) since the one that holds 1970-01-01."""
    return (day_number(ts_ns) + _EPOCH_WEEKDAY) // 7


def loss_ratio(base: Decimal, equity: Decimal) -> Decimal:
    """The share of `base` that is lost at `equity`: 0 when nothing is, above 1 when equity is negative."""
    if base <= ZERO or equity >= base:
        return ZERO
    return (base - equity) / base


class Losses(NamedTuple):
    """How much is lost, as ratios of the bases that `EquityTracker` keeps."""

    daily_drawdown: Decimal
    weekly_drawdown: Decimal
    max_drawdown: Decimal
    daily_loss: Decimal
    runaway_loss: Decimal
    capital_loss: Decimal


class EquityTracker:
    """Folds equity (marked to bid, in quote) into the bases of every drawdown and loss rule.

    A deposit or withdrawal is no profit and no loss: it moves every base in proportion, so that no ratio
    changes by it. (Adding the flow instead would hide a drawdown behind a deposit, and would let a large
    withdrawal after a small loss look like ruin and engage the kill switch.)
    """

    __slots__ = (
        "_fast_peaks", "_last_ns", "_losses", "day_open_equity", "day_peak_equity", "equity", "initial_capital",
        "old_marks", "peak_equity", "week_peak_equity",
    )

    def __init__(self) -> None:
        self.equity = ZERO
        self.peak_equity = ZERO
        self.day_open_equity = ZERO
        self.day_peak_equity = ZERO
        self.week_peak_equity = ZERO
        self.initial_capital = ZERO
        self.old_marks: dict[str, Decimal] = {}
        """By symbol, what a unit of what was held was worth in the account that was taken up."""
        self._last_ns: int | None = None
        self._losses: Losses | None = None
        # (second, equity) with falling equity: the head is the peak of the last minute, at most one a second.
        self._fast_peaks: deque[tuple[int, Decimal]] = deque(maxlen=_RUNAWAY_WINDOW_S + 2)

    def update(self, ts_ns: int, equity: Decimal, net_flow: Decimal = ZERO, *, is_of_now: bool = True) -> None:
        """Equity now, after `net_flow` (deposits minus withdrawals, in quote) since the last update.

        The first update with money sets every base. A time before the last one counts as the last one. `is_of_now`:
        False for what was known before market data was away: whatever is found lost then was not lost in a minute.
        """
        self._losses = None
        last_ns = self._last_ns
        if last_ns is None or (self.peak_equity <= ZERO < equity):
            self._begin(ts_ns, equity)
            return
        ts_ns = max(ts_ns, last_ns)
        if net_flow != ZERO:
            self._move_bases(equity - net_flow, equity)
        # A new day opens with the last equity before midnight (self.equity, moved by the flow above), so
        # that a fall across midnight belongs to the new day rather than to none.
        if day_number(ts_ns) != day_number(last_ns):
            self.day_open_equity = self.day_peak_equity = self.equity
        if week_number(ts_ns) != week_number(last_ns):
            self.week_peak_equity = self.equity
        self._last_ns = ts_ns
        self.equity = equity
        self.peak_equity = max(self.peak_equity, equity)
        self.day_peak_equity = max(self.day_peak_equity, equity)
        self.week_peak_equity = max(self.week_peak_equity, equity)
        self._note_fast_peak(ts_ns // SECOND_NS, equity if is_of_now else None)

    def restore(
        self, ts_ns: int, *, equity: Decimal, peak_equity: Decimal, day_open_equity: Decimal,
        day_peak_equity: Decimal, week_peak_equity: Decimal, initial_capital: Decimal,
        marks: Mapping[str, Decimal] | None = None,
    ) -> None:
        """Take up the bases of a journalled `PortfolioSnapshot` (fields of the same names) made at `ts_ns`.

        Equity that had not changed may have been known for long: its peak of the minute stays where it was.
        """
        peaks = tuple(self._fast_peaks) if equity == self.equity else None
        self._begin(ts_ns, equity)
        if peaks is not None:
            self._fast_peaks.clear()
            self._fast_peaks.extend(peaks)
        self.peak_equity = peak_equity
        self.day_open_equity = day_open_equity
        self.day_peak_equity = day_peak_equity
        self.week_peak_equity = week_peak_equity
        self.initial_capital = initial_capital
        self.old_marks = dict(marks or {})

    @property
    def losses(self) -> Losses:
        """All of them; worked out once after each update."""
        if self._losses is None:
            equity, runaway = self.equity, self._fast_peaks[0][1] if self._fast_peaks else ZERO
            self._losses = Losses(*[
                ZERO if base <= ZERO or equity >= base else (base - equity) / base
                for base in (
                    self.day_peak_equity, self.week_peak_equity, self.peak_equity, self.day_open_equity, runaway,
                    self.initial_capital,
                )
            ])
        return self._losses

    @property
    def daily_drawdown(self) -> Decimal:
        """Ratio of the day's peak."""
        return self.losses.daily_drawdown

    @property
    def weekly_drawdown(self) -> Decimal:
        """Ratio of the week's peak."""
        return self.losses.weekly_drawdown

    @property
    def max_drawdown(self) -> Decimal:
        """Ratio of the highest equity ever."""
        return self.losses.max_drawdown

    @property
    def daily_loss(self) -> Decimal:
        """Ratio of the day's opening equity."""
        return self.losses.daily_loss

    @property
    def capital_loss(self) -> Decimal:
        """Ratio of the initial capital."""
        return self.losses.capital_loss

    @property
    def runaway_loss(self) -> Decimal:
        """Ratio of the highest equity of the last 60 seconds before the last update."""
        return self.losses.runaway_loss

    def _begin(self, ts_ns: int, equity: Decimal) -> None:
        self._losses = None
        self._last_ns = ts_ns
        self.equity = self.peak_equity = self.initial_capital = equity
        self.day_open_equity = self.day_peak_equity = self.week_peak_equity = equity
        self._fast_peaks.clear()
        self._note_fast_peak(ts_ns // SECOND_NS, equity)

    def _move_bases(self, before: Decimal, after: Decimal) -> None:
        if before <= ZERO or after <= ZERO:
            # Nothing to be in proportion to: the account begins anew, or is empty; shift by the amount.
            flow = after - before
            self._map_bases(lambda base: max(base + flow, ZERO))
        else:
            self._map_bases(lambda base: base * after / before)

    def _map_bases(self, move: Callable[[Decimal], Decimal]) -> None:
        self.equity = move(self.equity)
        self.peak_equity = move(self.peak_equity)
        self.day_open_equity = move(self.day_open_equity)
        self.day_peak_equity = move(self.day_peak_equity)
        self.week_peak_equity = move(self.week_peak_equity)
        self.initial_capital = move(self.initial_capital)
        moved = [(second, move(equity)) for second, equity in self._fast_peaks]
        self._fast_peaks.clear()
        self._fast_peaks.extend(moved)

    def _note_fast_peak(self, second: int, equity: Decimal | None) -> None:
        """None: only what is older than the window is forgotten."""
        peaks = self._fast_peaks
        while peaks and peaks[0][0] < second - _RUNAWAY_WINDOW_S:
            peaks.popleft()
        if equity is None:
            return
        while peaks and peaks[-1][1] <= equity:
            peaks.pop()
        if not peaks or peaks[-1][0] != second:
            peaks.append((second, equity))
