"""Whatever the world looks like: an approval never violates a limit, recomputed here in exact fractions."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from risk.approved import Approved, Denied, OrderRequest
from risk.case import open_case
from risk.codes import DENIAL_CODES
from risk.gate import CHECKS, GateView, RiskGate
from risk.limits import RiskLimits
from tests.risk.examples import BTC, ENTRY, EXIT, FLATTEN, PROTECTION, SECOND, VIEW

LIMITS = RiskLimits()


def near(*values: str) -> st.SearchStrategy[Decimal]:
    """Exactly these, a hair beside them, or anything."""
    hair = [Decimal(value) + step for value in values for step in (Decimal(0), Decimal("1E-9"), Decimal("-1E-9"))]
    return st.sampled_from(hair)


def prices() -> st.SearchStrategy[Decimal]:
    edges = ("47500", "47500.01", "49999", "50000", "50001", "52499.99", "52500", "0")
    return st.sampled_from([Decimal(edge) for edge in edges])


RATIOS = near("0", "0.01", "0.02", "0.05", "0.1", "0.15", "0.5")
SOUND_ORDERS = (ENTRY, replace(ENTRY, wire_type="market", price=None), EXIT, PROTECTION, FLATTEN)
ORDER_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "side": st.sampled_from(["buy", "sell"]), "wire_type": st.sampled_from(["market", "limit"]),
    "quantity": st.sampled_from([-1, 0, 1, 20, 100, 400, 401, 999, 1000, 1001, 5000]).map(
        lambda steps: Decimal(steps) * Decimal("0.00001")),
    "price": st.one_of(st.none(), prices()), "reference_price": prices(), "reduce_only": st.booleans(),
    "origin": st.sampled_from(["council", "manual", "protective", "kill"]),
    "proposal_id": st.sampled_from(["", "p-1"]), "is_arming": st.booleans(),
}
VIEW_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "trading_state": st.sampled_from(["REDUCING", "HALTED"]), "kill_engaged": st.just(True),
    "instrument": st.sampled_from([replace(BTC, is_trading=False), None]),
    "bid": st.sampled_from([None, Decimal(50_001)]), "ask": st.sampled_from([None, Decimal(49_999)]),
    "last": st.sampled_from([None, Decimal(52_000)]),
    "feed_age_ns": st.sampled_from([0, 3 * SECOND - 1, 3 * SECOND, None]),
    "equity": near("10000", "0"), "available": near("5000", "501.002", "200.4", "0"),
    "sellable_quantity": near("0.05", "0.004", "0"), "open_positions": st.integers(0, 4),
    "asset_exposure": near("0", "299.99", "300", "450"), "total_exposure": near("0", "2300", "2000"),
    "daily_drawdown": RATIOS, "weekly_drawdown": RATIOS, "max_drawdown": RATIOS, "daily_loss": RATIOS,
    "runaway_loss": RATIOS, "capital_loss": RATIOS, "orders_last_second": st.sampled_from([9, 10]),
    "orders_last_minute": st.sampled_from([59, 60]), "duplicate_of": st.just("td-0"),
    "unknown_on_symbol": st.just(True), "symbol_halted": st.just(True),
    "approved_quantity": st.sampled_from([Decimal("0.00399"), Decimal(1), None]),
}


@st.composite
def spoilt(draw: st.DrawFn, sound: st.SearchStrategy[Any], fields: dict[str, st.SearchStrategy[Any]]) -> Any:
    """Something sound with up to three of its fields changed: near enough to yes that both answers are common."""
    names = draw(st.lists(st.sampled_from(sorted(fields)), max_size=3, unique=True))
    return replace(draw(sound), **{name: draw(fields[name]) for name in names})


ORDERS = spoilt(st.sampled_from(SOUND_ORDERS), ORDER_FIELDS)
VIEWS = spoilt(st.just(VIEW), VIEW_FIELDS)


def _violations_of_any(order: OrderRequest, view: GateView) -> list[str]:
    """What must hold of every approved order, entries and exits alike."""
    instrument, quantity = view.instrument, Fraction(order.quantity)
    if instrument is None:
        return ["no instrument"]
    is_exit = order.side == "sell" and order.reduce_only
    guard = is_exit and order.origin in ("protective", "kill")
    broken = {
        "killed": view.kill_engaged and not (guard and (order.origin == "kill" or order.is_arming)),
        "halted": view.trading_state == "HALTED"
        and not (guard and (order.is_arming or (view.kill_engaged and order.origin == "kill"))),
        "short": order.side == "sell" and (not order.reduce_only or quantity > Fraction(view.sellable_quantity)),
        "quantity": quantity <= 0 or (quantity / Fraction(instrument.quantity_step)).denominator != 1
        or not Fraction(instrument.min_quantity) <= quantity <= Fraction(instrument.max_quantity),
        "price": order.wire_type == "limit" and (
            order.price is None or order.price <= 0
            or (Fraction(order.price) / Fraction(instrument.price_tick)).denominator != 1
        ),
        "venue minimum": order.price is not None
        and quantity * Fraction(order.price) < Fraction(instrument.min_notional),
        "rate": not guard and (
            view.orders_last_second >= (30 if is_exit else 10) or view.orders_last_minute >= (180 if is_exit else 60)
        ),
        "duplicate": not guard and view.duplicate_of != "",
        "verdict": order.origin == "council" and (
            not order.proposal_id or view.approved_quantity is None or order.quantity > view.approved_quantity
        ),
    }
    return [name for name, is_broken in broken.items() if is_broken]


def _violations_of_entry(order: OrderRequest, view: GateView) -> list[str]:
    """What must hold of every approved order that is not a reduce-only sell."""
    quotes = [Fraction(price) for price in (view.ask, view.last, order.reference_price) if price is not None]
    price = Fraction(order.price) if order.price is not None else max(quotes)
    value, equity = Fraction(order.quantity) * price, Fraction(view.equity)
    market = (
        (Fraction(view.bid) + Fraction(view.ask)) / 2 if view.bid is not None and view.ask is not None
        else Fraction(view.last or view.bid or view.ask or 0)
    )
    named = Fraction(order.price if order.price is not None else order.reference_price)
    mark = next((Fraction(each) for each in (view.bid, view.last, view.ask) if each is not None), price)
    lost = value * Fraction(2, 1000) + max(value - Fraction(order.quantity) * mark, Fraction(0))
    left = equity - lost

    def grown(loss: Decimal) -> Fraction:
        return Fraction(loss) + (1 - Fraction(loss)) * lost / equity if equity > 0 else Fraction(loss)

    assert view.instrument is not None
    broken = {
        "state": view.trading_state != "ACTIVE" or not view.instrument.is_trading,
        "symbol": view.unknown_on_symbol or view.symbol_halted,
        "data": view.feed_age_ns is None or view.feed_age_ns >= 3 * SECOND or market <= 0,
        "crossed": view.bid is not None and view.ask is not None and view.bid >= view.ask,
        "collar": not order.is_arming and abs(named - market) * 20 >= market,
        "equity": equity <= 0,
        "one order": value * 4 > equity,
        "funds": value * Fraction(1002, 1000) > Fraction(view.available),
        "asset": (value + Fraction(view.asset_exposure)) * 20 >= left,
        "total": (value + Fraction(view.total_exposure)) * 4 >= left,
        "positions": view.open_positions >= 3,
        "daily": max(grown(view.daily_drawdown), grown(view.daily_loss)) >= Fraction(5, 100),
        "weekly": grown(view.weekly_drawdown) >= Fraction(1, 10),
        "maximum": grown(view.max_drawdown) >= Fraction(15, 100),
        "fast": grown(view.runaway_loss) >= Fraction(2, 100),
        "capital": grown(view.capital_loss) >= Fraction(1, 2),
        "our minimum": order.price is not None and value < 10,
    }
    return [name for name, is_broken in broken.items() if is_broken]


def _violations(order: OrderRequest, view: GateView) -> list[str]:
    found = _violations_of_any(order, view)
    if view.instrument is not None and not (order.side == "sell" and order.reduce_only):
        found += _violations_of_entry(order, view)
    return found


@given(ORDERS, VIEWS)
@settings(max_examples=400, deadline=None)
def test_an_approval_never_violates_a_limit(order: OrderRequest, view: GateView) -> None:
    answer = RiskGate(LIMITS).review(order, view)
    if isinstance(answer, Approved):
        assert _violations(order, view) == []
        assert all(check.passed for check in answer.checks)
    else:
        assert isinstance(answer, Denied)
        assert answer.code in DENIAL_CODES


CALM_ENTRIES = st.builds(
    lambda steps, price: replace(ENTRY, quantity=Decimal(steps) * Decimal("0.00001"), price=price),
    st.integers(1, 1200), st.integers(4_750_000, 5_250_000).map(lambda cents: Decimal(cents) / 100),
)


@given(CALM_ENTRIES, near("0", "100", "300"), near("2300", "1900"), near("501", "200.4"))
@settings(max_examples=300, deadline=None)
def test_near_the_limits_of_money_the_gate_and_exact_arithmetic_agree(
    order: OrderRequest, asset: Decimal, total: Decimal, available: Decimal,
) -> None:
    view = replace(VIEW, asset_exposure=asset, total_exposure=total, available=available, approved_quantity=Decimal(1))
    approved = isinstance(RiskGate(LIMITS).review(order, view), Approved)
    assert approved == (_violations(order, view) == [])


@given(ORDERS, VIEWS)
@settings(max_examples=200, deadline=None)
def test_the_answer_is_yes_exactly_when_every_check_in_words_passed(order: OrderRequest, view: GateView) -> None:
    case = open_case(order, view, LIMITS)
    checks = tuple(rule.check(case) for rule in CHECKS)
    answer = RiskGate(LIMITS).review(order, view)
    assert isinstance(answer, Approved) == all(check.passed for check in checks)
    assert answer.checks == checks


@given(ORDERS, VIEWS)
@settings(max_examples=100, deadline=None)
def test_the_same_question_gets_the_same_answer(order: OrderRequest, view: GateView) -> None:
    first, second = RiskGate(LIMITS).review(order, view), RiskGate(LIMITS).review(order, view)
    assert first.checks == second.checks
    assert type(first) is type(second)


@given(VIEWS, st.sampled_from(["equity", "available", "bid", "ask", "last", "asset_exposure", "daily_loss"]),
       st.sampled_from(["NaN", "sNaN", "Infinity", "-Infinity"]))
@settings(max_examples=100, deadline=None)
def test_a_number_that_is_none_is_denied_and_never_raises(view: GateView, field: str, text: str) -> None:
    change: dict[str, Any] = {field: Decimal(text)}
    answer = RiskGate(LIMITS).review(ENTRY, replace(view, **change))
    assert isinstance(answer, Denied)
    assert answer.code == "NOT_FINITE"
    assert answer.value == field


@given(ORDERS, VIEWS)
@settings(max_examples=100, deadline=None)
def test_every_family_of_checks_answers_each_of_them_and_says_yes_where_it_is_not_asked(
    order: OrderRequest, view: GateView,
) -> None:
    case = open_case(order, view, LIMITS)
    families = [[rule for rule in CHECKS if rule.judge is judge] for judge in dict.fromkeys(r.judge for r in CHECKS)]
    for family in families:
        answers = family[0].judge(case)
        assert [rule.place for rule in family] == list(range(len(answers)))
        asked_of_some_exits = any(not rule.is_for_entries for rule in family)
        if asked_of_some_exits and not case.is_entry:
            assert all(answers[rule.place] for rule in family if rule.is_for_entries)
