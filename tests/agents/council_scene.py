"""Words for the council's tests: messages at a second of session time, signals, portfolios, one instrument."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from agents.agent import Emit
from bus.ids import ProposalId, SessionId
from bus.messages.council import (
    Action,
    AlphaSignal,
    AnalysisCompleted,
    Feature,
    Regime,
    TradeProposed,
    Vote,
)
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import PortfolioSnapshot, PositionView
from bus.messages.orders import Protection, TrailSpec
from bus.messages.system import TimerFired
from market.instrument import Instrument
from market.interval import SECOND_NS

SESSION = SessionId("s7")
START_NS = 1_723_108_000 * SECOND_NS
BTC = Instrument(
    "BTC/USDT", "BTCUSDT", "BTC", "USDT", price_tick=Decimal("0.01"), quantity_step=Decimal("0.00001"),
    min_quantity=Decimal("0.00001"), max_quantity=Decimal(9000), min_notional=Decimal(5),
)
ETH = replace(BTC, symbol="ETH/USDT", venue_symbol="ETHUSDT", base="ETH", quantity_step=Decimal("0.0001"))
SOL = replace(BTC, symbol="SOL/USDT", venue_symbol="SOLUSDT", base="SOL", quantity_step=Decimal("0.001"))
XRP = replace(BTC, symbol="XRP/USDT", venue_symbol="XRPUSDT", base="XRP", quantity_step=Decimal("0.1"))
PRICES = {"BTC/USDT": Decimal(60_000), "ETH/USDT": Decimal(3_000), "SOL/USDT": Decimal(150), "XRP/USDT": Decimal(1)}


def at(second: float) -> int:
    """UTC ns of a second of the session."""
    return START_NS + round(second * SECOND_NS)


class Voice:
    """One source of messages with its own numbers."""

    def __init__(self, source: str = "engine") -> None:
        self._maker = MessageMaker(source, SESSION)

    def say(self, second: float, body: Any, *, expires: int = 0, cause: str = "") -> Message:
        return self._maker.make(body, at(second), expires=expires, cause=cause)

    def tick(self, second: float) -> Message:
        return self.say(second, TimerFired("second"))


def bodies(emits: Sequence[Emit], kind: type | None = None) -> list[Any]:
    return [emit.body for emit in emits if kind is None or isinstance(emit.body, kind)]


def signal(alpha: str, action: Action, confidence: float, weight: float = 1.0, symbol: str = "BTC/USDT") -> AlphaSignal:
    return AlphaSignal(alpha, "1", symbol, "1s", START_NS, action, confidence, weight, 0.002, "medium", "it says so")


def buys(symbol: str = "BTC/USDT") -> tuple[AlphaSignal, ...]:
    return (
        signal("momentum", "trail_buy", 0.78, symbol=symbol),
        signal("structure", "trail_buy", 0.70, 0.8, symbol=symbol),
        signal("technical", "hold", 0.5, 0.3, symbol=symbol),
    )


def sells(symbol: str = "BTC/USDT") -> tuple[AlphaSignal, ...]:
    return (signal("momentum", "trail_sell", 0.8, symbol=symbol), signal("technical", "hold", 0.5, 0.3, symbol=symbol))


def analysis(
    symbol: str = "BTC/USDT", signals: Sequence[AlphaSignal] | None = None, *, second: float = 0,
    atr_ratio: float = 0.001, regime: Regime = "trending", interval: str = "1s",
) -> AnalysisCompleted:
    close = PRICES[symbol]
    features = (Feature("atr_14", float(close) * atr_ratio), Feature("rsi_14", 61.0)) if atr_ratio else ()
    return AnalysisCompleted(
        symbol, interval, at(second), close, regime, features, tuple(buys(symbol) if signals is None else signals),
    )


def position(symbol: str, quantity: str) -> PositionView:
    price, amount = PRICES[symbol], Decimal(quantity)
    return PositionView(symbol, amount, price, price, price * amount, Decimal(0))


def portfolio(
    *positions: PositionView, equity: str = "10000", working: tuple[tuple[str, Decimal], ...] = (), **changes: Any,
) -> PortfolioSnapshot:
    total, invested = Decimal(equity), sum((p.value for p in positions), Decimal(0))
    held_back = sum((notional for _, notional in working), Decimal(0))
    snapshot = PortfolioSnapshot(
        quote="USDT", equity=total, cash=total - invested, available=total - invested - held_back,
        exposure=invested + held_back, realized_pnl=Decimal(0), unrealized_pnl=Decimal(0), fees=Decimal(0),
        positions=positions, working_entries=working, peak_equity=total, day_open_equity=total,
        day_peak_equity=total, week_peak_equity=total, daily_drawdown=0.0, weekly_drawdown=0.0,
        max_drawdown=0.0, daily_loss=0.0, initial_capital=total,
    )
    return replace(snapshot, **changes)


def losing(field: str, ratio: float) -> PortfolioSnapshot:
    """An account that has lost this ratio, by the measure of this field."""
    change: dict[str, Any] = {field: ratio}
    return portfolio(**change)


def proposal(number: int = 1, **changes: Any) -> TradeProposed:
    entry = TradeProposed(
        proposal_id=ProposalId(f"{SESSION}-p{number}"), symbol="BTC/USDT", side="buy", quantity=Decimal("0.0050"),
        reference_price=Decimal(60_000), confidence=0.75, votes=(Vote("momentum", "trail_buy", 0.75, 1.0),),
        lead_alpha="momentum", trail=TrailSpec("percent", Decimal("0.002")),
        protection=Protection(Decimal("0.02"), TrailSpec("percent", Decimal("0.006"))),
        order_expires=at(60), reduce_only=False, reason="momentum 0.75 says buy",
    )
    return replace(entry, **changes)
