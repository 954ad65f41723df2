"""Every code that stands for a number: just below the limit, at the limit and just above it, code by code."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from agents.risk_officer import RiskOfficer
from bus.ids import SessionId
from bus.messages.council import MandateIssued, ProposalVetoed
from bus.messages.header import MessageMaker
from bus.messages.orders import OrderDenied, Protection
from risk.approved import OrderRequest
from risk.codes import DENIAL_CODES
from risk.limits import RiskLimits
from risk.proposal import review_proposal
from tests.orders.trading import Bench, of_type
from tests.risk.examples import BTC, ENTRY, EXIT, PORTFOLIO, PROPOSAL, PROTECTION, SECOND, VIEW, D, code, lock

ROOMY = RiskLimits(exposure_per_asset=D(1), exposure_total=D(1))
STOP = replace(PROTECTION, wire_type="stop_limit", price=D(49_000), stop_price=D(49_500))

Row = tuple[Callable[[Any], str], tuple[Any, bool], tuple[Any, bool], tuple[Any, bool]]
"""Which code a value is denied with; then (value, is it denied) just below, at and just above the limit."""


def view(field: str, order: OrderRequest = ENTRY) -> Callable[[Any], str]:
    """The gate's code when this field of the view has the value."""
    def decide(value: Any) -> str:
        changes: dict[str, Any] = {field: value if isinstance(value, int) else D(value)}
        return code(order, **changes)

    return decide


def costless(field: str) -> Callable[[Any], str]:
    """As `view`, in a market where a fill takes nothing off the equity: no fee, and bought at the bid."""
    def decide(value: Any) -> str:
        changes: dict[str, Any] = {field: D(value), "bid": D(50_000), "taker_fee_ratio": D(0)}
        return code(ENTRY, **changes)

    return decide


def order(field: str, of: OrderRequest = ENTRY, limits: RiskLimits | None = None, **more: Any) -> Callable[[Any], str]:
    """The gate's code when this field of the order has the value."""
    more = {"approved_quantity": D(1)} | more

    def decide(value: Any) -> str:
        changes: dict[str, Any] = {field: D(value)}
        return code(replace(of, **changes), limits, **more)

    return decide


def listed(of: OrderRequest = ENTRY, **changes: Any) -> Callable[[Any], str]:
    """The gate's code for a quantity under other rules of the venue."""
    return order("quantity", of, instrument=replace(BTC, **changes))


def whole_position(value: Any) -> str:
    quantity = D(value)
    return code(
        replace(EXIT, quantity=quantity), instrument=replace(BTC, min_quantity=D("0.005")),
        sellable_quantity=quantity, position_quantity=quantity,
    )


def proposed(**changes: Any) -> str:
    return review_proposal(
        replace(PROPOSAL, **changes), PORTFOLIO, RiskLimits(), BTC, "ACTIVE", "risk_on",
    ).code


def portfolio_of_age(age_ns: int) -> str:
    """The risk officer's code for a proposal when the portfolio it knows is so old."""
    officer, maker, start = RiskOfficer(RiskLimits(), (BTC,)), MessageMaker("test", SessionId("s1")), 10 * SECOND
    officer.handle(maker.make(MandateIssued("risk_on", "", 1000 * SECOND), start))
    officer.handle(maker.make(PORTFOLIO, start))
    (emit,) = officer.handle(maker.make(PROPOSAL, start + age_ns))
    return emit.body.code if isinstance(emit.body, ProposalVetoed) else ""


def repeated_after(pause_ns: int) -> str:
    """The engine's code for the same order again so much later."""
    bench = Bench(replace(RiskLimits(), exposure_per_asset=D(1)))
    bench.trade("100")
    bench.submit("td-1", "buy", "limit", "1", price="99")
    bench.now += pause_ns - 1_000_000
    bench.trade("100")
    denials = of_type(bench.submit("td-2", "buy", "limit", "1", price="99"), OrderDenied)
    return denials[0].code if denials else ""


TABLE: dict[str, Row] = {
    "STALE_DATA": (view("feed_age_ns"), (3 * SECOND - 1, False), (3 * SECOND, True), (3 * SECOND + 1, True)),
    "SYMBOL_LOCKED": (lambda left: code(ENTRY, symbol_lock=lock(ends_in_ns=left)), (-1, False), (0, False), (1, True)),
    "ALL_LOCKED": (lambda left: code(ENTRY, all_lock=lock("*", ends_in_ns=left)), (-1, False), (0, False), (1, True)),
    "PRICE_UNKNOWN": (
        lambda value: code(ENTRY, bid=None, ask=None, last=D(value)), ("-0.01", True), ("0", True), ("0.01", False)),
    "CROSSED_BOOK": (view("bid"), ("50000.99", False), ("50001", True), ("50001.01", True)),
    "QUANTITY_NOT_POSITIVE": (order("quantity"), ("-0.00001", True), ("0", True), ("0.00001", False)),
    "QUANTITY_OFF_STEP": (order("quantity"), ("0.003999", True), ("0.004", False), ("0.004001", True)),
    "QUANTITY_TOO_SMALL": (listed(min_quantity=D("0.004")), ("0.00399", True), ("0.004", False), ("0.00401", False)),
    "QUANTITY_TOO_LARGE": (listed(max_quantity=D("0.004")), ("0.00399", False), ("0.004", False), ("0.00401", True)),
    "POSITION_IS_DUST": (whole_position, ("0.00499", True), ("0.005", False), ("0.00501", False)),
    "PRICE_NOT_POSITIVE": (order("price"), ("-0.01", True), ("0", True), ("0.01", False)),
    "PRICE_OFF_TICK": (order("price"), ("49999.999", True), ("50000", False), ("50000.001", True)),
    "PRICE_COLLAR": (order("price"), ("52499.99", False), ("52500", True), ("52500.01", True)),
    "STOP_PRICE_INVALID": (order("stop_price", STOP), ("48999.99", True), ("49000", False), ("49000.01", False)),
    "STOP_THROUGH_MARKET": (order("stop_price", STOP), ("49999.99", False), ("50000", True), ("50000.01", True)),
    "BELOW_VENUE_MIN_NOTIONAL": (
        listed(min_notional=D(200)), ("0.00399", True), ("0.004", False), ("0.00401", False)),
    "BELOW_MIN_NOTIONAL": (order("quantity"), ("0.00019", True), ("0.0002", False), ("0.00021", False)),
    "NOTHING_TO_SELL": (view("sellable_quantity", EXIT), ("-0.00001", True), ("0", True), ("0.00001", False)),
    "EXCEEDS_POSITION": (order("quantity", EXIT), ("0.00499", False), ("0.005", False), ("0.00501", True)),
    "DUPLICATE_ORDER": (repeated_after, (5 * SECOND - 1, True), (5 * SECOND, False), (5 * SECOND + 1, False)),
    "RATE_PER_SECOND": (view("orders_last_second"), (8, False), (9, False), (10, True)),
    "RATE_PER_MINUTE": (view("orders_last_minute"), (58, False), (59, False), (60, True)),
    "NOTIONAL_PER_MINUTE": (
        view("sent_notional_last_minute"), ("9799.99", False), ("9800", False), ("9800.01", True)),
    "EXCEEDS_VERDICT": (view("approved_quantity"), ("0.00399", True), ("0.004", False), ("0.00401", False)),
    "NO_EQUITY": (view("equity"), ("-0.01", True), ("0", True), ("0.01", False)),
    "MAX_ORDER_NOTIONAL": (
        order("quantity", limits=ROOMY), ("0.04999", False), ("0.05", False), ("0.05001", True)),
    "INSUFFICIENT_FUNDS": (view("available"), ("200.39", True), ("200.4", False), ("200.41", False)),
    "EXPOSURE_PER_ASSET": (costless("asset_exposure"), ("299.99", False), ("300", True), ("300.01", True)),
    "EXPOSURE_TOTAL": (costless("total_exposure"), ("2299.99", False), ("2300", True), ("2300.01", True)),
    "MAX_POSITIONS": (view("open_positions"), (1, False), (2, False), (3, True)),
    "DAILY_DRAWDOWN": (costless("daily_drawdown"), ("0.0499999", False), ("0.05", True), ("0.0500001", True)),
    "WEEKLY_DRAWDOWN": (costless("weekly_drawdown"), ("0.0999999", False), ("0.1", True), ("0.1000001", True)),
    "MAX_DRAWDOWN": (costless("max_drawdown"), ("0.1499999", False), ("0.15", True), ("0.1500001", True)),
    "DAILY_LOSS": (costless("daily_loss"), ("0.0499999", False), ("0.05", True), ("0.0500001", True)),
    "RUNAWAY_LOSS": (costless("runaway_loss"), ("0.0199999", False), ("0.02", True), ("0.0200001", True)),
    "CAPITAL_LOSS": (costless("capital_loss"), ("0.4999999", False), ("0.5", True), ("0.5000001", True)),
    "CONFIDENCE_INVALID": (lambda value: proposed(confidence=value), (0.9999, False), (1.0, False), (1.0001, True)),
    "STOP_MISSING": (
        lambda ratio: proposed(protection=Protection(stop_ratio=Decimal(ratio))),
        ("-0.0001", True), ("0", True), ("0.0001", False)),
    "PORTFOLIO_STALE": (
        portfolio_of_age, (5 * SECOND - 1, False), (5 * SECOND, False), (5 * SECOND + 1, True)),
}

NO_NUMBER = {
    "NOT_FINITE", "KILL_ENGAGED", "TRADING_HALTED", "TRADING_REDUCING", "UNKNOWN_INSTRUMENT",
    "INSTRUMENT_NOT_TRADING", "SYMBOL_HALTED", "UNKNOWN_PENDING", "FEED_SILENT", "BUY_NOT_REDUCING",
    "SELL_NOT_REDUCE_ONLY", "PRICE_MISSING", "PRICE_UNEXPECTED", "NO_VERDICT", "MANDATE_RISK_OFF",
    "UNKNOWN_ORDER", "UNKNOWN_LOCK", "INVALID_ORDER", "VERDICT_MISMATCH",
}
"""Codes that stand for a yes or no; `test_gate_codes.py` reaches those of the gate."""
TESTED_ELSEWHERE = {name for name in DENIAL_CODES if "GRID" in name} | {"BLACKOUT", "DAY_ENDING"}
"""Codes that are no limits of risk: of grids and of the trading day, tested under tests/orders."""

CASES = [
    (name, where, decide, value, is_denied)
    for name, (decide, *cases) in TABLE.items()
    for where, (value, is_denied) in zip(("below", "at", "above"), cases, strict=True)
]


@pytest.mark.parametrize(
    ("name", "where", "decide", "value", "is_denied"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES],
)
def test_at_below_and_above_each_limit(
    name: str, where: str, decide: Callable[[Any], str], value: Any, is_denied: bool,
) -> None:
    assert (decide(value) == name) is is_denied


def test_each_limit_denies_on_one_side_and_not_on_the_other() -> None:
    for name, (_, below, _, above) in TABLE.items():
        assert below[1] != above[1] or name in ("QUANTITY_OFF_STEP", "PRICE_OFF_TICK"), name


def test_every_code_has_its_three_cases_or_is_no_number() -> None:
    assert set(TABLE) | NO_NUMBER | TESTED_ELSEWHERE == set(DENIAL_CODES)
    assert not set(TABLE) & (NO_NUMBER | TESTED_ELSEWHERE)


def test_the_moment_of_the_locks_is_that_of_the_view() -> None:
    assert lock(ends_in_ns=7).until_ns - VIEW.now == 7


@pytest.mark.parametrize(("field", "fits", "breaks", "denied_with"), [
    # The entry is worth 200; its fee and slippage take 0.40 and the way to the bid 0.004 off the equity of 10,000.
    ("asset_exposure", "299.9797", "299.9798", "EXPOSURE_PER_ASSET"),
    ("total_exposure", "2299.898", "2299.899", "EXPOSURE_TOTAL"),
    ("daily_drawdown", "0.04996", "0.04997", "DAILY_DRAWDOWN"),
    ("weekly_drawdown", "0.09996", "0.09997", "WEEKLY_DRAWDOWN"),
    ("max_drawdown", "0.14996", "0.14997", "MAX_DRAWDOWN"),
    ("daily_loss", "0.04996", "0.04997", "DAILY_LOSS"),
    ("runaway_loss", "0.01996", "0.01997", "RUNAWAY_LOSS"),
    ("capital_loss", "0.49997", "0.49998", "CAPITAL_LOSS"),
])
def test_what_the_fill_itself_costs_counts(field: str, fits: str, breaks: str, denied_with: str) -> None:
    assert view(field)(fits) == ""
    assert view(field)(breaks) == denied_with
