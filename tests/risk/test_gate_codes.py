"""Each denial code at its limit, just below it and just above it."""

from dataclasses import replace
from typing import Any

import pytest

from risk.approved import Approved, Denied, OrderRequest
from risk.codes import DENIAL_CODES
from risk.gate import CHECKS
from risk.limits import RiskLimits
from tests.risk.examples import BTC, ENTRY, EXIT, FLATTEN, PROTECTION, SECOND, D, code, lock, review

ROOMY = RiskLimits(exposure_per_asset=D(1), exposure_total=D(1))
"""Limits under which only the size of one order, or the cash, can be what stops it."""
MARKET_BUY = replace(ENTRY, wire_type="market", price=None)

RESTING = replace(PROTECTION, wire_type="stop_limit", price=D(45_000), stop_price=D(46_000))
"""A disaster stop: far below the market, which is its point."""

STOP = replace(PROTECTION, wire_type="stop_limit", price=D(49_000), stop_price=D(49_500))


def entry(**changes: Any) -> OrderRequest:
    return replace(ENTRY, **changes)


def exit_(**changes: Any) -> OrderRequest:
    return replace(EXIT, **changes)


def listed(**changes: Any) -> dict[str, Any]:
    return {"instrument": replace(BTC, **changes)}


RULE_LATCH: dict[str, Any] = {"kill_engaged": True, "trading_state": "HALTED", "is_latched_by_rule": True}
ROWS: list[tuple[str, OrderRequest, dict[str, Any], str]] = [
    ("the plain entry passes", ENTRY, {}, ""),
    ("the plain exit passes", EXIT, {}, ""),
    # permission
    ("a NaN in the view", ENTRY, {"equity": D("NaN")}, "NOT_FINITE"),
    ("an infinite quantity", entry(quantity=D("Infinity")), {}, "NOT_FINITE"),
    ("a signalling NaN as price", entry(price=D("sNaN")), {}, "NOT_FINITE"),
    ("killed", ENTRY, {"kill_engaged": True}, "KILL_ENGAGED"),
    ("an exit while killed", EXIT, {"kill_engaged": True}, "KILL_ENGAGED"),
    ("protection firing while killed", PROTECTION, {"kill_engaged": True}, "KILL_ENGAGED"),
    ("halted", ENTRY, {"trading_state": "HALTED"}, "TRADING_HALTED"),
    ("an exit while halted", EXIT, {"trading_state": "HALTED"}, "TRADING_HALTED"),
    ("protection firing while halted", PROTECTION, {"trading_state": "HALTED"}, "TRADING_HALTED"),
    ("an unheard-of state", ENTRY, {"trading_state": "PERHAPS"}, "TRADING_HALTED"),
    ("an entry while reducing", ENTRY, {"trading_state": "REDUCING"}, "TRADING_REDUCING"),
    ("an exit while reducing", EXIT, {"trading_state": "REDUCING"}, ""),
    ("protection while reducing", PROTECTION, {"trading_state": "REDUCING"}, ""),
    ("unknown symbol", ENTRY, {"instrument": None}, "UNKNOWN_INSTRUMENT"),
    ("another symbol's rules", ENTRY, listed(symbol="ETH/USDT"), "UNKNOWN_INSTRUMENT"),
    ("paused by the venue", ENTRY, listed(is_trading=False), "INSTRUMENT_NOT_TRADING"),
    ("an exit of a paused symbol", EXIT, listed(is_trading=False), ""),
    ("halted symbol", ENTRY, {"symbol_halted": True}, "SYMBOL_HALTED"),
    ("an exit of a halted symbol", EXIT, {"symbol_halted": True}, ""),
    ("an unknown outcome on the symbol", ENTRY, {"unknown_on_symbol": True}, "UNKNOWN_PENDING"),
    ("an exit beside an unknown outcome", EXIT, {"unknown_on_symbol": True}, ""),
    ("a lock on the symbol", ENTRY, {"symbol_lock": lock()}, "SYMBOL_LOCKED"),
    ("a lock on everything", ENTRY, {"all_lock": lock("*")}, "ALL_LOCKED"),
    ("a lock that has just ended", ENTRY, {"symbol_lock": lock(ends_in_ns=0)}, ""),
    ("an exit of a locked symbol", EXIT, {"symbol_lock": lock(), "all_lock": lock("*")}, ""),
    # market data
    ("never heard", ENTRY, {"feed_age_ns": None}, "FEED_SILENT"),
    ("heard this instant", ENTRY, {"feed_age_ns": 0}, ""),
    ("almost stale", ENTRY, {"feed_age_ns": 3 * SECOND - 1}, ""),
    ("just stale", ENTRY, {"feed_age_ns": 3 * SECOND}, "STALE_DATA"),
    ("older still", ENTRY, {"feed_age_ns": 3 * SECOND + 1}, "STALE_DATA"),
    ("from the future", ENTRY, {"feed_age_ns": -1}, "STALE_DATA"),
    ("a stale exit", EXIT, {"feed_age_ns": 60 * SECOND}, ""),
    ("no price", ENTRY, {"bid": None, "ask": None, "last": None}, "PRICE_UNKNOWN"),
    ("a limit exit without a price", exit_(wire_type="limit", price=D(50_000)),
     {"bid": None, "ask": None, "last": None}, "PRICE_UNKNOWN"),
    ("a market exit without a price", EXIT, {"bid": None, "ask": None, "last": None}, ""),
    ("a price of zero", ENTRY, {"bid": None, "ask": None, "last": D(0)}, "PRICE_UNKNOWN"),
    ("only a last price", ENTRY, {"bid": None, "ask": None}, ""),
    ("only a bid", ENTRY, {"ask": None, "last": None}, ""),
    ("uncrossed by a tick", ENTRY, {"bid": D("50000.99"), "ask": D(50_001)}, ""),
    ("locked", ENTRY, {"bid": D(50_001), "ask": D(50_001)}, "CROSSED_BOOK"),
    ("crossed", ENTRY, {"bid": D("50001.01"), "ask": D(50_001)}, "CROSSED_BOOK"),
    ("a market exit from a crossed book", EXIT, {"bid": D(50_002), "ask": D(50_001)}, ""),
    # the order itself
    ("a reduce-only buy", entry(reduce_only=True), {}, "BUY_NOT_REDUCING"),
    ("a protective reduce-only buy", entry(reduce_only=True, origin="protective"), {}, "BUY_NOT_REDUCING"),
    ("an open sell", exit_(reduce_only=False), {}, "SELL_NOT_REDUCE_ONLY"),
    ("zero", entry(quantity=D(0)), {}, "QUANTITY_NOT_POSITIVE"),
    ("negative", entry(quantity=D("-0.004")), {}, "QUANTITY_NOT_POSITIVE"),
    ("the smallest step above zero is too small instead", entry(quantity=D("0.00001")), {}, "BELOW_VENUE_MIN_NOTIONAL"),
    ("off the step", entry(quantity=D("0.003999")), {}, "QUANTITY_OFF_STEP"),
    ("absurdly long", entry(quantity=D("123456789012345678.123456789012345678")), {}, "QUANTITY_OFF_STEP"),
    ("absurdly large and dear", entry(quantity=D("9" * 18), price=D("9" * 18)), {}, "QUANTITY_TOO_LARGE"),
    ("at the venue's smallest", ENTRY, listed(min_quantity=D("0.004")), ""),
    ("below the venue's smallest", ENTRY, listed(min_quantity=D("0.00401")), "QUANTITY_TOO_SMALL"),
    ("at the venue's largest", ENTRY, listed(max_quantity=D("0.004")), ""),
    ("above the venue's largest", ENTRY, listed(max_quantity=D("0.00399")), "QUANTITY_TOO_LARGE"),
    ("no largest", ENTRY, listed(max_quantity=D(0)), ""),
    ("a whole position too small to sell", exit_(quantity=D("0.00001")),
     {"sellable_quantity": D("0.000012"), "position_quantity": D("0.000012")}, "POSITION_IS_DUST"),
    ("a whole position below the smallest quantity", exit_(quantity=D("0.005")),
     listed(min_quantity=D("0.006")), "POSITION_IS_DUST"),
    ("a part below the smallest quantity", EXIT, listed(min_quantity=D("0.0045")), "QUANTITY_TOO_SMALL"),
    ("a limit without a price", entry(price=None), {}, "PRICE_MISSING"),
    ("a market order with a price", entry(wire_type="market"), {}, "PRICE_UNEXPECTED"),
    ("price zero", entry(price=D(0)), {}, "PRICE_NOT_POSITIVE"),
    ("price negative", entry(price=D(-50_000)), {}, "PRICE_NOT_POSITIVE"),
    ("off the tick", entry(price=D("50000.001")), {}, "PRICE_OFF_TICK"),
    ("on the tick", entry(price=D("50000.01")), {}, ""),
    ("a stop below the market", RESTING, {}, ""),
    ("a stop without a price", replace(RESTING, stop_price=None), {}, "STOP_PRICE_INVALID"),
    ("a limit with a stop price", replace(RESTING, wire_type="limit"), {}, "STOP_PRICE_INVALID"),
    ("a stop below its limit", replace(RESTING, stop_price=D(44_999)), {}, "STOP_PRICE_INVALID"),
    ("a stop at its limit", replace(RESTING, stop_price=D(45_000)), {}, ""),
    ("a stop off the tick", replace(RESTING, stop_price=D("46000.001")), {}, "STOP_PRICE_INVALID"),
    ("a stop that is no number", replace(RESTING, stop_price=D("NaN")), {}, "NOT_FINITE"),
    ("a stop without a limit", replace(RESTING, price=None), {}, "PRICE_MISSING"),
    ("a stop a tick below the last price", replace(RESTING, stop_price=D("49999.99")), {}, ""),
    ("a stop at the last price", replace(RESTING, stop_price=D(50_000)), {}, "STOP_THROUGH_MARKET"),
    ("a stop above the last price", replace(RESTING, stop_price=D("50000.01")), {}, "STOP_THROUGH_MARKET"),
    ("a stop at the middle when nothing traded", replace(RESTING, stop_price=D(50_000)), {"last": None},
     "STOP_THROUGH_MARKET"),
    ("a stop while no price is known", RESTING, {"last": None, "bid": None, "ask": None}, ""),
    ("a stop to buy", entry(wire_type="stop_limit", stop_price=D(50_000)), {}, "STOP_PRICE_INVALID"),
    ("a resting stop while killed", RESTING, {"kill_engaged": True}, "KILL_ENGAGED"),
    ("a resting stop larger than what is free", replace(RESTING, quantity=D("0.00501")), {}, "EXCEEDS_POSITION"),
    ("a stop below the market", STOP, {}, ""),
    ("a stop without a stop price", replace(STOP, stop_price=None), {}, "STOP_PRICE_INVALID"),
    ("a stop below its own limit", replace(STOP, stop_price=D(48_999)), {}, "STOP_PRICE_INVALID"),
    ("a stop at the market", replace(STOP, stop_price=D(50_000)), {}, "STOP_THROUGH_MARKET"),
    ("just inside the collar, above", entry(price=D("52499.99")), {}, ""),
    ("at the collar, above", entry(price=D(52_500)), {}, "PRICE_COLLAR"),
    ("beyond the collar, above", entry(price=D("52500.01")), {}, "PRICE_COLLAR"),
    ("just inside the collar, below", entry(price=D("47500.01")), {}, ""),
    ("at the collar, below", entry(price=D(47_500)), {}, "PRICE_COLLAR"),
    ("a market order decided on an old price", replace(MARKET_BUY, reference_price=D(40_000)), {}, "PRICE_COLLAR"),
    ("an armed order with a price far away", entry(is_arming=True, price=D(40_000)), {}, ""),
    ("a limit exit beyond the collar", exit_(wire_type="limit", price=D(47_500)), {}, "PRICE_COLLAR"),
    ("protection beyond the collar", replace(PROTECTION, wire_type="limit", price=D(30_000)), {}, ""),
    ("at the venue's minimum", ENTRY, listed(min_notional=D(200)), ""),
    ("below the venue's minimum", ENTRY, listed(min_notional=D("200.01")), "BELOW_VENUE_MIN_NOTIONAL"),
    ("at our minimum", entry(quantity=D("0.0002")), {}, ""),
    ("below our minimum", entry(quantity=D("0.00019")), {}, "BELOW_MIN_NOTIONAL"),
    ("a part below our minimum", exit_(quantity=D("0.00019")), {}, "BELOW_MIN_NOTIONAL"),
    ("a fired part below our minimum", exit_(quantity=D("0.00019"), has_fired=True), {}, ""),
    ("the whole below our minimum", exit_(quantity=D("0.00019")), {"sellable_quantity": D("0.000195")}, ""),
    ("protection below our minimum", replace(PROTECTION, quantity=D("0.00019")), {}, ""),
    ("protection below the venue's minimum", replace(PROTECTION, quantity=D("0.00009")), {},
     "BELOW_VENUE_MIN_NOTIONAL"),
    ("selling all that is free", exit_(quantity=D("0.005")), {}, ""),
    ("selling a step more", exit_(quantity=D("0.00501")), {}, "EXCEEDS_POSITION"),
    ("selling nothing", EXIT, {"sellable_quantity": D(0)}, "NOTHING_TO_SELL"),
    ("the kill switch selling too much", replace(FLATTEN, quantity=D("0.00501")), {}, "EXCEEDS_POSITION"),
    # capital
    ("no equity", ENTRY, {"equity": D(0)}, "NO_EQUITY"),
    ("negative equity", ENTRY, {"equity": D(-1)}, "NO_EQUITY"),
    ("all funds", ENTRY, {"available": D("200.4")}, ""),
    ("a cent too little", ENTRY, {"available": D("200.39")}, "INSUFFICIENT_FUNDS"),
    ("just below the asset's limit", ENTRY, {"asset_exposure": D("299.97")}, ""),
    ("at the asset's limit", ENTRY, {"asset_exposure": D(300)}, "EXPOSURE_PER_ASSET"),
    ("above the asset's limit", ENTRY, {"asset_exposure": D("300.01")}, "EXPOSURE_PER_ASSET"),
    ("a market order is valued at the ask", MARKET_BUY, {"asset_exposure": D("299.996")}, "EXPOSURE_PER_ASSET"),
    ("just below the total limit", ENTRY, {"total_exposure": D("2299.89")}, ""),
    ("at the total limit", ENTRY, {"total_exposure": D(2300)}, "EXPOSURE_TOTAL"),
    ("above the total limit", ENTRY, {"total_exposure": D("2300.01")}, "EXPOSURE_TOTAL"),
    ("the third position", ENTRY, {"open_positions": 2}, ""),
    ("the fourth position", ENTRY, {"open_positions": 3}, "MAX_POSITIONS"),
    ("below the daily drawdown", ENTRY, {"daily_drawdown": D("0.0499")}, ""),
    ("at the daily drawdown", ENTRY, {"daily_drawdown": D("0.05")}, "DAILY_DRAWDOWN"),
    ("above the daily drawdown", ENTRY, {"daily_drawdown": D("0.0501")}, "DAILY_DRAWDOWN"),
    ("below the weekly drawdown", ENTRY, {"weekly_drawdown": D("0.0999")}, ""),
    ("at the weekly drawdown", ENTRY, {"weekly_drawdown": D("0.1")}, "WEEKLY_DRAWDOWN"),
    ("below the maximum drawdown", ENTRY, {"max_drawdown": D("0.1499")}, ""),
    ("at the maximum drawdown", ENTRY, {"max_drawdown": D("0.15")}, "MAX_DRAWDOWN"),
    ("below the daily loss", ENTRY, {"daily_loss": D("0.0499")}, ""),
    ("at the daily loss", ENTRY, {"daily_loss": D("0.05")}, "DAILY_LOSS"),
    ("below the runaway loss", ENTRY, {"runaway_loss": D("0.0199")}, ""),
    ("at the runaway loss", ENTRY, {"runaway_loss": D("0.02")}, "RUNAWAY_LOSS"),
    ("below the loss of capital", ENTRY, {"capital_loss": D("0.4999")}, ""),
    ("at the loss of capital", ENTRY, {"capital_loss": D("0.5")}, "CAPITAL_LOSS"),
    ("an exit in ruin", EXIT, {"equity": D(1), "available": D(0), "max_drawdown": D("0.9"), "daily_loss": D("0.9"),
                               "open_positions": 9, "asset_exposure": D(9_000), "capital_loss": D("0.9")}, ""),
    # pace and repetition
    ("the tenth in a second", ENTRY, {"orders_last_second": 9}, ""),
    ("the eleventh in a second", ENTRY, {"orders_last_second": 10}, "RATE_PER_SECOND"),
    ("the sixtieth in a minute", ENTRY, {"orders_last_minute": 59}, ""),
    ("the sixty-first in a minute", ENTRY, {"orders_last_minute": 60}, "RATE_PER_MINUTE"),
    ("an exit where entries have used up the pace", EXIT, {"orders_last_second": 29, "orders_last_minute": 179}, ""),
    ("an exit too often", EXIT, {"orders_last_second": 30}, "RATE_PER_SECOND"),
    ("an exit too often in a minute", EXIT, {"orders_last_minute": 180}, "RATE_PER_MINUTE"),
    ("protection as often as it must", PROTECTION, {"orders_last_second": 99, "orders_last_minute": 999}, ""),
    ("a minute's money spent", ENTRY, {"sent_notional_last_minute": D(9_800)}, ""),
    ("more than a minute's money", ENTRY, {"sent_notional_last_minute": D("9800.01")}, "NOTIONAL_PER_MINUTE"),
    ("an exit after a minute's money", EXIT, {"sent_notional_last_minute": D(99_000)}, ""),
    ("just below a minute's money", ENTRY, {"sent_notional_last_minute": D("9799.99")}, ""),
    ("at a minute's money", ENTRY, {"sent_notional_last_minute": D(9_800)}, ""),
    ("above a minute's money", ENTRY, {"sent_notional_last_minute": D("9800.01")}, "NOTIONAL_PER_MINUTE"),
    ("an exit after a minute of spending", EXIT, {"sent_notional_last_minute": D(99_999)}, ""),
    ("an exit under a rule's latch", EXIT, RULE_LATCH, ""),
    ("protection under a rule's latch", PROTECTION, RULE_LATCH, ""),
    ("a council exit under a rule's latch", exit_(origin="council"), RULE_LATCH, "KILL_ENGAGED"),
    ("an entry under a rule's latch", ENTRY, RULE_LATCH, "KILL_ENGAGED"),
    ("protection under a person's latch", PROTECTION, {**RULE_LATCH, "is_latched_by_rule": False}, "KILL_ENGAGED"),
    ("a repeated entry", ENTRY, {"duplicate_of": "td-0"}, "DUPLICATE_ORDER"),
    ("a repeated exit", EXIT, {"duplicate_of": "td-0"}, "DUPLICATE_ORDER"),
    ("repeated protection", PROTECTION, {"duplicate_of": "td-0"}, ""),
    # the council
    ("no verdict", ENTRY, {"approved_quantity": None}, "NO_VERDICT"),
    ("no proposal", entry(proposal_id=""), {}, "NO_VERDICT"),
    ("a council exit without a verdict", exit_(origin="council"), {"approved_quantity": None}, "NO_VERDICT"),
    ("a manual entry needs none", entry(origin="manual", proposal_id=""), {"approved_quantity": None}, ""),
    ("less than approved", ENTRY, {"approved_quantity": D("0.00401")}, ""),
    ("more than approved", ENTRY, {"approved_quantity": D("0.00399")}, "EXCEEDS_VERDICT"),
]


@pytest.mark.parametrize(("order", "changes", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_gate_answers_each_case_with_its_code(order: OrderRequest, changes: dict[str, Any], expected: str) -> None:
    assert code(order, **changes) == expected


@pytest.mark.parametrize(("quantity", "expected"), [("0.04999", ""), ("0.05", ""), ("0.05001", "MAX_ORDER_NOTIONAL")])
def test_one_order_may_be_exactly_a_quarter_of_equity_and_no_more(quantity: str, expected: str) -> None:
    assert code(entry(quantity=D(quantity)), ROOMY, approved_quantity=D(1)) == expected


def test_every_code_of_the_gate_is_reached_by_a_row() -> None:
    elsewhere = {"MANDATE_RISK_OFF", "STOP_MISSING", "CONFIDENCE_INVALID", "PORTFOLIO_STALE", "UNKNOWN_ORDER",
                 "INVALID_ORDER", "MAX_ORDER_NOTIONAL", "UNKNOWN_LOCK", "VERDICT_MISMATCH"}
    elsewhere |= {name for name in DENIAL_CODES if "GRID" in name} | {"BLACKOUT", "DAY_ENDING"}
    assert {row[3] for row in ROWS} - {""} == set(DENIAL_CODES) - elsewhere


def test_there_are_at_least_twenty_codes_each_with_a_family_and_a_sentence() -> None:
    assert len(DENIAL_CODES) >= 20
    for name, entry_ in DENIAL_CODES.items():
        assert entry_.code == name
        assert entry_.family in {f"E00{n}" for n in range(1, 8)}
        assert entry_.meaning.endswith(".")


@pytest.mark.parametrize("order", [ENTRY, EXIT, PROTECTION, FLATTEN])
def test_a_verdict_lists_every_check_once_whatever_the_order(order: OrderRequest) -> None:
    spoilt: dict[str, Any] = {"trading_state": "HALTED", "daily_loss": D(1), "instrument": None}
    for changes in ({}, spoilt):
        checks = review(order, **changes).checks
        assert len({check.rule for check in checks}) == len(checks) == len(CHECKS)
        assert all(check.message.endswith(".") and check.value and check.limit for check in checks)
        assert all((check.code in DENIAL_CODES) != check.passed for check in checks)


def test_a_denial_speaks_in_a_sentence_with_numbers() -> None:
    denied = review(ENTRY, asset_exposure=D(320))
    assert isinstance(denied, Denied)
    assert denied.message == "Exposure in BTC would be 5.2 % of equity; the limit is 5 %."
    assert (denied.code, denied.family, denied.rule) == ("EXPOSURE_PER_ASSET", "E006", "exposure_per_asset")
    assert (denied.value, denied.limit) == ("5.2 %", "5 %")


@pytest.mark.parametrize(("changes", "family"), [
    ({"feed_age_ns": None}, "E001"), ({"available": D(0)}, "E002"), ({"orders_last_second": 10}, "E003"),
    ({"bid": D(60_000)}, "E004"), ({"approved_quantity": None}, "E005"), ({"daily_loss": D(1)}, "E006"),
    ({"equity": D(0)}, "E007"),
])
def test_each_family_of_denials_is_used(changes: dict[str, Any], family: str) -> None:
    denied = review(ENTRY, **changes)
    assert isinstance(denied, Denied)
    assert denied.family == family


def test_the_first_failing_check_in_the_fixed_order_names_the_denial() -> None:
    worst: dict[str, Any] = {"kill_engaged": True, "trading_state": "HALTED", "feed_age_ns": None,
                             "daily_loss": D(1), "duplicate_of": "td-0"}
    expected = ["KILL_ENGAGED", "TRADING_HALTED", "FEED_SILENT", "DAILY_LOSS", "DUPLICATE_ORDER"]
    told = []
    for name in ("kill_engaged", "trading_state", "feed_age_ns", "daily_loss", "duplicate_of"):
        told.append(code(ENTRY, **worst))
        del worst[name]
    assert told == expected
    assert code(ENTRY, **worst) == ""


def test_an_approval_carries_the_order_its_checks_and_its_time() -> None:
    approved = review(ENTRY)
    assert isinstance(approved, Approved)
    assert approved.order == ENTRY
    assert approved.ts == 1_700_000_000 * SECOND
    assert all(check.passed and not check.code for check in approved.checks)


def test_the_kill_switch_may_close_positions_after_it_was_engaged() -> None:
    assert code(FLATTEN, kill_engaged=True, trading_state="HALTED") == ""
    assert code(replace(FLATTEN, reduce_only=False), kill_engaged=True, trading_state="HALTED") == "KILL_ENGAGED"
    assert code(entry(origin="kill"), kill_engaged=True, trading_state="HALTED") == "KILL_ENGAGED"


def test_orders_of_the_kill_switch_do_not_pass_a_halt_that_is_not_its_own() -> None:
    assert code(FLATTEN, trading_state="HALTED") == "TRADING_HALTED"


def test_protection_may_be_armed_but_not_sent_while_killed_or_halted() -> None:
    arming = replace(PROTECTION, is_arming=True)
    assert code(arming, kill_engaged=True, trading_state="HALTED") == ""
    assert code(arming, trading_state="HALTED") == ""
    assert code(entry(is_arming=True), kill_engaged=True, trading_state="HALTED") == "KILL_ENGAGED"


def test_protection_leaves_in_the_worst_of_markets() -> None:
    assert code(PROTECTION, trading_state="REDUCING", feed_age_ns=None, bid=D(50_002), last=None, equity=D(-5),
                orders_last_second=1000, orders_last_minute=1000, duplicate_of="td-0", unknown_on_symbol=True,
                symbol_halted=True, daily_loss=D(1), instrument=replace(BTC, is_trading=False)) == ""
