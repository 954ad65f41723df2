"""An order, a view and a proposal that pass everything, to be spoilt one field at a time."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from bus.ids import ClientOrderId, ProposalId
from bus.messages.council import TradeProposed
from bus.messages.ledger import PortfolioSnapshot, PositionView
from bus.messages.orders import Protection
from bus.messages.system import LockPlaced
from market.instrument import Instrument
from risk.approved import Approved, Denied, OrderRequest
from risk.gate import GateView, RiskGate
from risk.limits import RiskLimits

D = Decimal
SECOND = 1_000_000_000
BTC = Instrument(
    symbol="BTC/USDT", venue_symbol="BTCUSDT", base="BTC", quote="USDT", price_tick=D("0.01"),
    quantity_step=D("0.00001"), min_quantity=D("0.00001"), max_quantity=D(9000), min_notional=D(5),
    maker_fee=D("0.001"), taker_fee=D("0.001"),
)

ENTRY = OrderRequest(
    client_order_id=ClientOrderId("td-1"), symbol="BTC/USDT", side="buy", wire_type="limit", quantity=D("0.004"),
    price=D(50_000), time_in_force="GTC", reference_price=D(50_000), reduce_only=False, origin="council",
    proposal_id="p-1",
)
EXIT = replace(
    ENTRY, side="sell", wire_type="market", price=None, reduce_only=True, origin="manual", proposal_id="",
)
PROTECTION = replace(EXIT, origin="protective")
FLATTEN = replace(EXIT, origin="kill")

# Equity 10000: one asset below 500, all below 2500, one order at most 2500. The entry is worth 200.
VIEW = GateView(
    now=1_700_000_000 * SECOND, trading_state="ACTIVE", kill_engaged=False, instrument=BTC, bid=D(49_999),
    ask=D(50_001), last=D(50_000), feed_age_ns=SECOND, equity=D(10_000), available=D(5_000),
    position_quantity=D("0.005"), sellable_quantity=D("0.005"), open_positions=0, asset_exposure=D(0),
    total_exposure=D(0), daily_drawdown=D(0), weekly_drawdown=D(0), max_drawdown=D(0), daily_loss=D(0),
    runaway_loss=D(0), orders_last_second=0, orders_last_minute=0, approved_quantity=D("0.004"),
    taker_fee_ratio=D("0.002"),
)


def lock(symbol: str = "BTC/USDT", *, ends_in_ns: int = 1) -> LockPlaced:
    """A lock that ends so long after the moment of `VIEW`."""
    return LockPlaced("lock-1", "cooldown", symbol, "a test", VIEW.now - SECOND, VIEW.now + ends_in_ns)


def review(order: OrderRequest, limits: RiskLimits | None = None, **changes: Any) -> Approved | Denied:
    return RiskGate(limits or RiskLimits()).review(order, replace(VIEW, **changes))


def code(order: OrderRequest, limits: RiskLimits | None = None, **changes: Any) -> str:
    """The code of the denial, "" when approved."""
    answer = review(order, limits, **changes)
    return answer.code if isinstance(answer, Denied) else ""


PROPOSAL = TradeProposed(
    proposal_id=ProposalId("p-1"), symbol="BTC/USDT", side="buy", quantity=D("0.004"), reference_price=D(50_000),
    confidence=0.7, votes=(), lead_alpha="momentum", trail=None, protection=Protection(stop_ratio=D("0.02")),
    order_expires=0, reduce_only=False, reason="",
)
PORTFOLIO = PortfolioSnapshot(
    quote="USDT", equity=D(10_000), cash=D(10_000), available=D(10_000), exposure=D(0), realized_pnl=D(0),
    unrealized_pnl=D(0), fees=D(0), positions=(), working_entries=(), peak_equity=D(10_000),
    day_open_equity=D(10_000), day_peak_equity=D(10_000), week_peak_equity=D(10_000), daily_drawdown=0.0,
    weekly_drawdown=0.0, max_drawdown=0.0, daily_loss=0.0, initial_capital=D(10_000),
)


def position(symbol: str, quantity: str, value: str) -> PositionView:
    return PositionView(symbol, D(quantity), D(1), D(1), D(value), D(0))
