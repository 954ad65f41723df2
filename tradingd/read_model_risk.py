"""Risk as a fold for people: the locks that hold, and the figures of each UTC day."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from bus.messages.header import Message
from bus.messages.ledger import FundsChanged, PortfolioSnapshot, PositionClosed
from bus.messages.system import LockLifted, LockPlaced
from market.money import ZERO, to_text
from risk.drawdown import day_number
from risk.locks import LockBook
from tradingd.read_model_results import MeanAndDeviation, return_ratio
from tradingd.read_model_views import text_or_none, to_iso

MAX_DAYS: Final = 800
_ENGINE: Final = "engine"
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class LockView:
    """A lock that holds: `symbol` or "*" for all; `remaining_s` seconds until it ends by itself."""

    id: str
    rule: str
    symbol: str
    reason: str
    since: str
    until: str
    remaining_s: float


@dataclass(frozen=True, slots=True)
class DayView:
    """One UTC day, from 00:00. Money in quote, ratios 0-1.

    `trades` are round trips that closed; `profit` is theirs after fees; `drawdown` the deepest from the day's peak;
    `net_flow` deposits less withdrawals; `sharpe` mean over deviation of the round trips' returns, None below two.
    """

    day: str
    trades: int
    wins: int
    losses: int
    profit: str
    fees: str
    drawdown: float
    sharpe: float | None
    opening_equity: str | None
    closing_equity: str | None
    net_flow: str


@dataclass(slots=True)
class _Day:
    """The sums of one day."""

    trades: int = 0
    wins: int = 0
    losses: int = 0
    profit: Decimal = ZERO
    fees: Decimal = ZERO
    drawdown: float = 0.0
    net_flow: Decimal = ZERO
    opening: Decimal | None = None
    closing: Decimal | None = None
    returns: MeanAndDeviation = field(default_factory=MeanAndDeviation)


class RiskFold:
    """Only journalled facts count, so that the daemon and its journal tell the same."""

    __slots__ = ("_days", "_quote", "locks")

    def __init__(self, quote: str) -> None:
        self._quote = quote
        self.locks = LockBook()
        self._days: OrderedDict[int, _Day] = OrderedDict()

    def apply(self, message: Message) -> None:
        """Fold one message; others than the five are ignored."""
        match message.body:
            case LockPlaced() as fact:
                self.locks.place(fact)
            case LockLifted(lock_id=lock_id):
                self.locks.lift(lock_id)
            case PositionClosed() as trip:
                self._on_trip(self._day(message), trip)
            case PortfolioSnapshot() as snapshot if message.header.source == _ENGINE:
                self._on_snapshot(self._day(message), snapshot)
            case FundsChanged() as funds:
                if funds.asset == self._quote:
                    self._day(message).net_flow += funds.delta

    def _day(self, message: Message) -> _Day:
        number = day_number(message.header.ts)
        day = self._days.get(number)
        if day is None:
            day = self._days[number] = _Day()
            if len(self._days) > MAX_DAYS:
                self._days.popitem(last=False)
        return day

    @staticmethod
    def _on_trip(day: _Day, trip: PositionClosed) -> None:
        day.trades += 1
        day.wins += trip.realized_pnl > ZERO
        day.losses += trip.realized_pnl < ZERO
        day.profit += trip.realized_pnl
        day.fees += trip.fees
        day.returns.add(return_ratio(trip))

    @staticmethod
    def _on_snapshot(day: _Day, snapshot: PortfolioSnapshot) -> None:
        if day.opening is None:
            day.opening = snapshot.day_open_equity
        day.closing = snapshot.equity
        day.drawdown = max(day.drawdown, snapshot.daily_drawdown)

    # ---- views -------------------------------------------------------------------------------------

    def lock_views(self, now: int) -> list[LockView]:
        """Locks that hold at `now` (UTC ns), oldest first."""
        return [
            LockView(
                lock.lock_id, lock.rule, lock.symbol, lock.reason, to_iso(lock.since_ns), to_iso(lock.until_ns),
                round((lock.until_ns - now) / 1e9, 3),
            )
            for lock in self.locks.active(now)
        ]

    def day_views(self, limit: int) -> list[DayView]:
        """Newest first, at most `limit`."""
        return [_day_view(number, self._days[number]) for number in sorted(self._days, reverse=True)[:limit]]


def _day_view(number: int, day: _Day) -> DayView:
    returns = day.returns
    return DayView(
        day=datetime.fromtimestamp(number * _DAY_S, UTC).date().isoformat(),
        trades=day.trades,
        wins=day.wins,
        losses=day.losses,
        profit=to_text(day.profit),
        fees=to_text(day.fees),
        drawdown=day.drawdown,
        sharpe=returns.mean / returns.deviation if returns.deviation > 0 else None,
        opening_equity=text_or_none(day.opening),
        closing_equity=text_or_none(day.closing),
        net_flow=to_text(day.net_flow),
    )
