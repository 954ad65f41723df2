"""Results as a fold: fills, positions, round trips, and the figures people judge a trader by."""

import itertools
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from bus.messages.header import Message
from bus.messages.ledger import FundsChanged, PortfolioSnapshot, PositionChanged, PositionClosed, PositionOpened
from bus.messages.orders import OrderFilled, Origin
from market.money import ZERO, to_text
from tradingd.packed_ring import PackedRing, packed, unpacked
from tradingd.read_model_orders import PRICE_PLACES, OrderRecord
from tradingd.read_model_views import (
    FillView,
    PerformanceView,
    PositionRow,
    RoundTripView,
    iso_or_none,
    text_or_none,
    to_iso,
)

DAY_NS: Final = 86_400 * 1_000_000_000
MAX_DAYS: Final = 800
MIN_DAILY_RETURNS: Final = 5
DAYS_PER_YEAR: Final = 365  # the market never closes
LATEST_ROUND_TRIPS: Final = 20


@dataclass(frozen=True, slots=True)
class FillRecord:
    """One execution, with what its order says about its reason."""

    ts: int
    fill: OrderFilled
    origin: Origin
    lead_alpha: str


class FillRing(PackedRing[FillRecord]):
    """The last executions."""

    __slots__ = ()

    def pack(self, thing: FillRecord) -> list[Any]:
        return [thing.ts, thing.origin, thing.lead_alpha, *packed(thing.fill)]

    def unpack(self, values: list[Any]) -> FillRecord:
        ts, origin, lead_alpha, *fill = values
        return FillRecord(ts, unpacked(OrderFilled, fill), origin, lead_alpha)


class RoundTripRing(PackedRing[PositionClosed]):
    """The last round trips."""

    __slots__ = ()

    def pack(self, thing: PositionClosed) -> list[Any]:
        return packed(thing)

    def unpack(self, values: list[Any]) -> PositionClosed:
        return unpacked(PositionClosed, values)


@dataclass(slots=True)
class Holding:
    """A position as its facts tell it."""

    symbol: str
    quantity: Decimal
    average_price: Decimal
    opened_ns: int
    entry_order_id: str


class MeanAndDeviation:
    """Running mean and sample deviation (Welford 1962): no list of values is kept."""

    __slots__ = ("_squares", "count", "mean")

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self._squares += delta * (value - self.mean)

    @property
    def deviation(self) -> float:
        """Sample standard deviation; 0 below two values."""
        return math.sqrt(self._squares / (self.count - 1)) if self.count > 1 else 0.0


class ResultsFold:
    """Fills, positions and round trips; bounded lists, unbounded sums."""

    def __init__(self, quote: str, max_fills: int, max_round_trips: int) -> None:
        self.quote = quote
        self.fills = FillRing(max_fills)
        self.round_trips = RoundTripRing(max_round_trips)
        self.holdings: dict[str, Holding] = {}
        self.portfolio: PortfolioSnapshot | None = None
        self.fills_total = 0
        self._wins = self._losses = self._trips = 0
        self._gross_profit = self._gross_loss = self._fees = ZERO
        self._returns = MeanAndDeviation()
        self._max_drawdown = 0.0
        self._slipped = self._slipped_over = ZERO
        self._fill_times = MeanAndDeviation()
        self._equity_by_day: OrderedDict[int, Decimal] = OrderedDict()
        self._flows_by_day: OrderedDict[int, Decimal] = OrderedDict()
        self.handlers: dict[type, Any] = {
            PositionOpened: self._on_opened,
            PositionChanged: self._on_changed,
            PositionClosed: self._on_closed,
            PortfolioSnapshot: self._on_portfolio,
            FundsChanged: self._on_funds,
        }

    # ---- facts -------------------------------------------------------------------------------------

    def on_filled(self, message: Message, fill: OrderFilled, record: OrderRecord) -> None:
        """After the order itself was folded."""
        ts = message.header.ts
        self.fills.append(FillRecord(ts, fill, record.spec.origin, record.spec.lead_alpha))
        self.fills_total += 1
        reference = record.reference_price
        if reference:
            worse = fill.price - reference if fill.side == "buy" else reference - fill.price
            self._slipped += worse * fill.quantity
            self._slipped_over += reference * fill.quantity
        if fill.is_complete and record.submitted_ns:
            self._fill_times.add((ts - record.submitted_ns) / 1e6)

    def _on_opened(self, message: Message, body: PositionOpened) -> None:
        self.holdings[body.symbol] = Holding(
            body.symbol, body.quantity, body.average_price, message.header.ts, body.client_order_id
        )

    def _on_changed(self, message: Message, body: PositionChanged) -> None:
        held = self.holdings.get(body.symbol)
        if held is None:
            self.holdings[body.symbol] = Holding(
                body.symbol, body.quantity, body.average_price, message.header.ts, body.client_order_id
            )
        else:
            held.quantity, held.average_price = body.quantity, body.average_price

    def _on_closed(self, _: Message, body: PositionClosed) -> None:
        self.holdings.pop(body.symbol, None)
        self.round_trips.append(body)
        self._trips += 1
        self._fees += body.fees
        if body.realized_pnl > ZERO:
            self._wins += 1
            self._gross_profit += body.realized_pnl
        elif body.realized_pnl < ZERO:
            self._losses += 1
            self._gross_loss -= body.realized_pnl
        self._returns.add(return_ratio(body))

    def _on_portfolio(self, message: Message, body: PortfolioSnapshot) -> None:
        self.portfolio = body
        self._max_drawdown = max(self._max_drawdown, body.max_drawdown)
        self._equity_by_day[message.header.ts // DAY_NS] = body.equity
        if len(self._equity_by_day) > MAX_DAYS:
            self._equity_by_day.popitem(last=False)

    def _on_funds(self, message: Message, body: FundsChanged) -> None:
        if body.asset != self.quote:
            return
        day = message.header.ts // DAY_NS
        self._flows_by_day[day] = self._flows_by_day.get(day, ZERO) + body.delta
        if len(self._flows_by_day) > MAX_DAYS:
            self._flows_by_day.popitem(last=False)

    # ---- views -------------------------------------------------------------------------------------

    def positions(self, exits: dict[str, list[str]], protected: Mapping[str, Decimal]) -> list[PositionRow]:
        """By symbol. `exits`: ids of the orders that would sell each; `protected`: what stops and trails cover."""
        marked = {line.symbol: line for line in self.portfolio.positions} if self.portfolio else {}
        rows = []
        for symbol in sorted(self.holdings):
            held, line = self.holdings[symbol], marked.get(symbol)
            mark = line.mark if line is not None else None
            rows.append(
                PositionRow(
                    symbol=symbol,
                    quantity=to_text(held.quantity),
                    average_price=to_text(round(held.average_price, PRICE_PLACES)),
                    mark=text_or_none(mark),
                    value=None if mark is None else to_text(mark * held.quantity),
                    unrealized_pnl=None if mark is None else to_text((mark - held.average_price) * held.quantity),
                    opened=iso_or_none(held.opened_ns),
                    entry_order_id=held.entry_order_id,
                    exits=tuple(exits.get(symbol, ())),
                    protected=to_text(min(held.quantity, protected.get(symbol, ZERO))),
                )
            )
        return rows

    def fill_views(self, limit: int, since_ns: int) -> list[FillView]:
        """Newest first."""
        return [fill_view(record) for record in self.fill_records(limit, since_ns)]

    def fill_records(self, limit: int, since_ns: int) -> list[FillRecord]:
        """As `fill_views`, for whoever makes the views a few at a time."""
        records: list[FillRecord] = []
        for record in reversed(self.fills):
            if len(records) >= limit or record.ts < since_ns:
                break
            records.append(record)
        return records

    def performance(self) -> PerformanceView:
        portfolio = self.portfolio
        realized = portfolio.realized_pnl if portfolio else self._gross_profit - self._gross_loss
        unrealized = portfolio.unrealized_pnl if portfolio else ZERO
        trips, (sharpe, basis) = self._trips, self._sharpe()
        times = self._fill_times
        return PerformanceView(
            quote=self.quote,
            equity=text_or_none(portfolio.equity if portfolio else None),
            initial_capital=text_or_none(portfolio.initial_capital if portfolio else None),
            net_pnl=to_text(realized + unrealized),
            realized_pnl=to_text(realized),
            unrealized_pnl=to_text(unrealized),
            fees=to_text(portfolio.fees if portfolio else self._fees),
            round_trips=trips,
            wins=self._wins,
            losses=self._losses,
            win_rate=self._wins / trips if trips else None,
            profit_factor=float(self._gross_profit / self._gross_loss) if self._gross_loss else None,
            gross_profit=to_text(self._gross_profit),
            gross_loss=to_text(self._gross_loss),
            expectancy=to_text(round((self._gross_profit - self._gross_loss) / trips, 8)) if trips else None,
            max_drawdown=self._max_drawdown,
            sharpe=sharpe,
            sharpe_basis=basis,
            average_slippage=float(self._slipped / self._slipped_over) if self._slipped_over else None,
            average_fill_ms=round(times.mean, 3) if times.count else None,
            fills=self.fills_total,
            latest_round_trips=tuple(self.round_trip_views(LATEST_ROUND_TRIPS)),
        )

    def round_trip_views(self, limit: int) -> list[RoundTripView]:
        """Newest first."""
        return [round_trip_view(trip) for trip in self.round_trips.newest(limit)]

    def _sharpe(self) -> tuple[float | None, Literal["daily", "round_trips", "none"]]:
        """Mean over deviation of returns (Sharpe 1994, risk-free rate 0)."""
        daily = MeanAndDeviation()
        days = list(self._equity_by_day.items())
        for (_, before), (day, after) in itertools.pairwise(days):
            if before > ZERO:
                daily.add(float((after - self._flows_by_day.get(day, ZERO)) / before) - 1.0)
        if daily.count >= MIN_DAILY_RETURNS and daily.deviation > 0:
            return daily.mean / daily.deviation * math.sqrt(DAYS_PER_YEAR), "daily"
        if self._returns.count > 1 and self._returns.deviation > 0:
            return self._returns.mean / self._returns.deviation, "round_trips"
        return None, "none"


def return_ratio(trip: PositionClosed) -> float:
    """Profit after fees over what the position cost."""
    cost = trip.entry_price * trip.quantity
    return float(trip.realized_pnl / cost) if cost else 0.0


def fill_view(record: FillRecord) -> FillView:
    """One execution for people."""
    fill = record.fill
    return FillView(
        time=to_iso(record.ts),
        order_id=fill.client_order_id,
        trade_id=fill.trade_id,
        symbol=fill.symbol,
        side=fill.side,
        quantity=to_text(fill.quantity),
        price=to_text(fill.price),
        value=to_text(fill.quantity * fill.price),
        fee=to_text(fill.fee),
        fee_asset=fill.fee_asset,
        is_maker=fill.is_maker,
        simulated=fill.simulated,
        origin=record.origin,
        lead_alpha=record.lead_alpha,
    )


def round_trip_view(trip: PositionClosed) -> RoundTripView:
    """One round trip for people."""
    pnl = trip.realized_pnl
    return RoundTripView(
        symbol=trip.symbol,
        result="WIN" if pnl > ZERO else "LOSS" if pnl < ZERO else "BREAKEVEN",
        quantity=to_text(trip.quantity),
        entry_price=to_text(round(trip.entry_price, PRICE_PLACES)),
        exit_price=to_text(round(trip.exit_price, PRICE_PLACES)),
        realized_pnl=to_text(pnl),
        return_ratio=return_ratio(trip),
        fees=to_text(trip.fees),
        opened=to_iso(trip.opened_ns),
        closed=to_iso(trip.closed_ns),
        duration_s=(trip.closed_ns - trip.opened_ns) / 1e9,
        exit_order_id=trip.client_order_id,
    )
