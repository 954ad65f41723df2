"""What the risk officer says to a proposal."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.messages.orders import Protection, TrailSpec
from risk.codes import DENIAL_CODES
from risk.limits import RiskLimits
from risk.proposal import ProposalVerdict, highest_entry_price, review_proposal
from tests.risk.examples import BTC, PORTFOLIO, PROPOSAL, D, position

EXIT = replace(PROPOSAL, side="sell", reduce_only=True, protection=Protection())
HOLDING = replace(PORTFOLIO, positions=(position("BTC/USDT", "0.003", "150"),), exposure=D(150))
FULL = tuple(position(symbol, "1", "100") for symbol in ("ETH/USDT", "SOL/USDT", "XRP/USDT"))


def judge(
    proposal: Any = PROPOSAL, portfolio: Any = PORTFOLIO, state: str = "ACTIVE", mandate: str = "neutral",
    instrument: Any = BTC, reserved: tuple[tuple[str, Decimal], ...] = (), limits: RiskLimits | None = None,
) -> ProposalVerdict:
    return review_proposal(proposal, portfolio, limits or RiskLimits(), instrument, state, mandate, reserved)


def test_a_sound_entry_is_approved_as_it_is() -> None:
    verdict = judge()
    assert (verdict.approved, verdict.quantity, verdict.shrunk_from, verdict.code) == (True, D("0.004"), None, "")
    assert verdict.reason == "Approved: 0.004 BTC within all limits."
    assert all(check.passed for check in verdict.checks)


@pytest.mark.parametrize(("expected", "arguments"), [
    ("TRADING_REDUCING", {"state": "REDUCING"}),
    ("TRADING_HALTED", {"state": "HALTED"}),
    ("TRADING_HALTED", {"state": "PERHAPS"}),
    ("MANDATE_RISK_OFF", {"mandate": "risk_off"}),
    ("MANDATE_RISK_OFF", {"mandate": ""}),
    ("UNKNOWN_INSTRUMENT", {"instrument": replace(BTC, symbol="ETH/USDT")}),
    ("INSTRUMENT_NOT_TRADING", {"instrument": replace(BTC, is_trading=False)}),
    ("BUY_NOT_REDUCING", {"proposal": replace(PROPOSAL, reduce_only=True)}),
    ("QUANTITY_NOT_POSITIVE", {"proposal": replace(PROPOSAL, quantity=D(0))}),
    ("NOT_FINITE", {"proposal": replace(PROPOSAL, quantity=D("NaN"))}),
    ("NOT_FINITE", {"portfolio": replace(PORTFOLIO, available=D("Infinity"))}),
    ("PRICE_UNKNOWN", {"proposal": replace(PROPOSAL, reference_price=D(0))}),
    ("CONFIDENCE_INVALID", {"proposal": replace(PROPOSAL, confidence=1.0001)}),
    ("CONFIDENCE_INVALID", {"proposal": replace(PROPOSAL, confidence=-0.0001)}),
    ("CONFIDENCE_INVALID", {"proposal": replace(PROPOSAL, confidence=float("nan"))}),
    ("STOP_MISSING", {"proposal": replace(PROPOSAL, protection=Protection())}),
    ("STOP_MISSING", {"proposal": replace(PROPOSAL, protection=Protection(stop_ratio=D(0)))}),
    ("STOP_MISSING", {"proposal": replace(PROPOSAL, protection=Protection(stop_ratio=D(1)))}),
    ("MAX_POSITIONS", {"portfolio": replace(PORTFOLIO, positions=FULL)}),
    ("MAX_POSITIONS", {"portfolio": replace(PORTFOLIO, positions=FULL[:2], working_entries=(("ADA/USDT", D(9)),))}),
    ("MAX_POSITIONS", {"portfolio": replace(PORTFOLIO, positions=FULL[:2]), "reserved": (("ADA/USDT", D(9)),)}),
    ("DAILY_DRAWDOWN", {"portfolio": replace(PORTFOLIO, equity=D(9_500), day_open_equity=D(9_500))}),
    ("WEEKLY_DRAWDOWN", {"portfolio": replace(PORTFOLIO, week_peak_equity=D("11111.12"))}),
    ("MAX_DRAWDOWN", {"portfolio": replace(PORTFOLIO, peak_equity=D("11764.71"))}),
    ("DAILY_LOSS", {"portfolio": replace(PORTFOLIO, day_open_equity=D("10526.32"))}),
    ("CAPITAL_LOSS", {"portfolio": replace(PORTFOLIO, initial_capital=D(20_000))}),
    ("NO_EQUITY", {"portfolio": replace(PORTFOLIO, equity=D(0), day_peak_equity=D(0), week_peak_equity=D(0),
                                        peak_equity=D(0), day_open_equity=D(0), initial_capital=D(0))}),
    ("INSUFFICIENT_FUNDS", {"portfolio": replace(PORTFOLIO, available=D(0))}),
    ("EXPOSURE_PER_ASSET", {"portfolio": replace(PORTFOLIO, positions=(position("BTC/USDC", "1", "500"),))}),
    ("EXPOSURE_TOTAL", {"portfolio": replace(PORTFOLIO, exposure=D(2_500))}),
    ("QUANTITY_TOO_SMALL", {"proposal": replace(PROPOSAL, quantity=D("0.000009"))}),
    ("QUANTITY_TOO_SMALL", {"instrument": replace(BTC, min_quantity=D("0.00401"))}),
    ("BELOW_MIN_NOTIONAL", {"proposal": replace(PROPOSAL, quantity=D("0.00019"))}),
    ("BELOW_MIN_NOTIONAL", {"instrument": replace(BTC, min_notional=D("200.01"))}),
])
def test_each_rule_vetoes_with_its_code_and_a_sentence(expected: str, arguments: dict[str, Any]) -> None:
    verdict = judge(**arguments)
    assert (verdict.approved, verdict.code, verdict.quantity, verdict.shrunk_from) == (False, expected, D(0), None)
    assert verdict.reason.startswith("Vetoed: ")
    assert verdict.reason.endswith(".")
    assert expected in DENIAL_CODES
    assert next(check for check in verdict.checks if not check.passed).code == expected


@pytest.mark.parametrize("arguments", [
    {"mandate": "risk_on"},
    {"portfolio": replace(PORTFOLIO, positions=FULL[:2])},
    {"portfolio": replace(PORTFOLIO, positions=(*FULL[:2], position("BTC/USDT", "0.001", "50")))},
    {"portfolio": replace(PORTFOLIO, positions=(*FULL[:2], position("ADA/USDT", "0", "0")))},
    {"portfolio": replace(PORTFOLIO, day_open_equity=D("10416.66"))},
    {"proposal": replace(PROPOSAL, confidence=0.0)},
    {"proposal": replace(PROPOSAL, confidence=1.0)},
    {"proposal": replace(PROPOSAL, quantity=D("0.0002"))},
    {"instrument": replace(BTC, min_notional=D(200))},
    {"instrument": replace(BTC, min_quantity=D("0.004"))},
])
def test_what_is_just_within_a_rule_passes_whole(arguments: dict[str, Any]) -> None:
    verdict = judge(**arguments)
    assert verdict.approved
    assert verdict.shrunk_from is None


def test_a_full_house_is_told_in_plain_words() -> None:
    assert judge(portfolio=replace(PORTFOLIO, positions=FULL)).reason == "Vetoed: 3 of 3 positions are open already."


def test_an_entry_too_large_for_its_asset_is_shrunk_below_the_limit() -> None:
    verdict = judge(replace(PROPOSAL, quantity=D("0.0100")))
    assert verdict.approved
    assert verdict.quantity == D("0.00998")
    assert verdict.shrunk_from == D("0.0100")
    assert verdict.reason == "Approved, shrunk from 0.01 to 0.00998 BTC: exposure in BTC would exceed 5 %."
    assert verdict.quantity * D(50_050) < 500


@pytest.mark.parametrize(("portfolio", "reserved", "quantity", "phrase"), [
    (replace(PORTFOLIO, positions=(position("BTC/USDT", "0.008", "400"),), exposure=D(400)), (), "0.00199", "BTC"),
    (replace(PORTFOLIO, working_entries=(("BTC/USDT", D(400)),), exposure=D(400)), (), "0.00199", "BTC"),
    (PORTFOLIO, (("BTC/USDT", D(400)),), "0.00199", "exposure in BTC"),
    (replace(PORTFOLIO, exposure=D(2_400)), (), "0.00199", "total exposure"),
    (replace(PORTFOLIO, exposure=D(2_000)), (("ETH/USDT", D(400)),), "0.00199", "total exposure"),
    (replace(PORTFOLIO, available=D(100)), (), "0.00199", "cash"),
    (replace(PORTFOLIO, available=D(500)), (("ETH/USDT", D(400)),), "0.00199", "cash"),
])
def test_held_pending_and_just_approved_entries_all_take_room(
    portfolio: Any, reserved: tuple[tuple[str, Decimal], ...], quantity: str, phrase: str,
) -> None:
    verdict = judge(portfolio=portfolio, reserved=reserved)
    assert verdict.approved
    assert verdict.quantity == D(quantity)
    assert phrase in verdict.reason


REPLACING = replace(
    PORTFOLIO, working_entries=(("BTC/USDT", D(400)),), exposure=D(400), available=D(9_600),
    replaceable=(("BTC/USDT", D(400)),),
)


def test_an_entry_is_not_lowered_by_the_one_it_replaces() -> None:
    assert judge(replace(PROPOSAL, quantity=D("0.009")), REPLACING).quantity == D("0.009")
    assert judge(replace(PROPOSAL, quantity=D("0.009")), replace(REPLACING, replaceable=())).quantity == D("0.00199")


@pytest.mark.parametrize("limits", [RiskLimits(exposure_total=D("0.045")), RiskLimits(exposure_per_asset=D("0.045"))])
def test_neither_exposure_counts_what_is_replaced(limits: RiskLimits) -> None:
    assert judge(portfolio=REPLACING, limits=limits).quantity == PROPOSAL.quantity


def test_the_cash_that_the_replaced_entry_holds_is_there_for_its_successor() -> None:
    verdict = judge(replace(PROPOSAL, quantity=D("0.009")), replace(REPLACING, available=D(0)))
    assert verdict.quantity == D("0.00799")  # 400 USDT at the highest price of 50,050


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTC/EUR", "ETH/USDT"])
def test_all_other_entries_still_take_room(symbol: str) -> None:
    crowded = replace(
        REPLACING, working_entries=((symbol, D(200)), *REPLACING.working_entries), exposure=D(600),
    )
    verdict = judge(replace(PROPOSAL, quantity=D("0.009")), crowded, limits=RiskLimits(exposure_total=D("0.05")))
    assert verdict.quantity == D("0.00599")  # below 300 of 500 USDT


def test_what_is_not_among_the_working_entries_makes_no_room() -> None:
    odd = replace(REPLACING, replaceable=(("BTC/USDT", D(300)),))
    assert judge(replace(PROPOSAL, quantity=D("0.009")), odd).quantity == D("0.00199")


def test_an_entry_just_approved_takes_room_beside_the_one_it_replaces() -> None:
    verdict = judge(replace(PROPOSAL, quantity=D("0.009")), REPLACING, reserved=(("BTC/USDT", D(400)),))
    assert verdict.quantity == D("0.00199")


def test_an_entry_shrunk_below_the_minimum_is_vetoed_and_says_why() -> None:
    verdict = judge(portfolio=replace(PORTFOLIO, positions=(position("BTC/USDT", "0.01", "495"),)))
    assert verdict.code == "BELOW_MIN_NOTIONAL"
    assert verdict.reason == (
        "Vetoed: the entry is worth 4.5 USDT (shrunk: exposure in BTC would exceed 5 %); the minimum is 10 USDT."
    )


@pytest.mark.parametrize(("day_peak", "quantity"), [
    ("10400", "0.004"),       # 3.85 %: below 80 % of the limit of 5 %
    ("10416.666667", "0.00399"),
    ("10471.204189", "0.00199"),   # 4.5 %: half way to the limit
])
def test_from_eighty_percent_of_a_drawdown_limit_entries_shrink(day_peak: str, quantity: str) -> None:
    portfolio = replace(PORTFOLIO, day_peak_equity=D(day_peak), week_peak_equity=D(day_peak), peak_equity=D(day_peak))
    verdict = judge(portfolio=portfolio)
    assert verdict.approved
    assert verdict.quantity == D(quantity)


def test_the_tightest_of_the_drawdowns_shrinks() -> None:
    weekly = replace(PORTFOLIO, week_peak_equity=D(10_000) / D("0.91"), peak_equity=D(10_000) / D("0.91"))
    verdict = judge(portfolio=weekly)
    assert verdict.approved
    assert verdict.quantity == D("0.00199")
    assert "drawdown near its limit" in verdict.reason


@pytest.mark.parametrize(("trail", "price"), [
    (None, "50050"),
    (TrailSpec("percent", D("0.02")), "51051"),
    (TrailSpec("absolute", D(1_000)), "51051"),
    (TrailSpec("atr", D(3)), "50050"),
    (TrailSpec("percent", D("0.02"), limit_offset=D("0.01")), "51561.51"),
])
def test_room_is_kept_for_the_highest_price_a_trail_may_fire_at(trail: TrailSpec | None, price: str) -> None:
    assert highest_entry_price(replace(PROPOSAL, trail=trail)) == D(price)


def test_a_quantity_off_the_step_is_rounded_down() -> None:
    verdict = judge(replace(PROPOSAL, quantity=D("0.004009")))
    assert (verdict.quantity, verdict.shrunk_from) == (D("0.00400"), D("0.004009"))


def test_the_venues_largest_quantity_is_kept() -> None:
    assert judge(instrument=replace(BTC, max_quantity=D("0.001"))).quantity == D("0.001")


# ---- exits


@pytest.mark.parametrize("arguments", [
    {}, {"state": "REDUCING"}, {"mandate": "risk_off"}, {"instrument": replace(BTC, is_trading=False)},
    {"portfolio": replace(HOLDING, equity=D(1), available=D(0))},
    {"proposal": replace(EXIT, reduce_only=False)},
    {"proposal": replace(EXIT, confidence=7.0)},
])
def test_an_exit_passes_and_is_lowered_to_what_is_held(arguments: dict[str, Any]) -> None:
    exit_arguments: dict[str, Any] = {"proposal": EXIT, "portfolio": HOLDING} | arguments
    verdict = judge(**exit_arguments)
    assert (verdict.approved, verdict.quantity, verdict.shrunk_from) == (True, D("0.003"), D("0.004"))
    assert verdict.reason == "Approved, shrunk from 0.004 to 0.003 BTC: no more is held."


@pytest.mark.parametrize(("expected", "arguments"), [
    ("NOTHING_TO_SELL", {"portfolio": PORTFOLIO}),
    ("NOTHING_TO_SELL", {"portfolio": replace(PORTFOLIO, positions=FULL)}),
    ("TRADING_HALTED", {"state": "HALTED"}),
    ("POSITION_IS_DUST", {"portfolio": replace(PORTFOLIO, positions=(position("BTC/USDT", "0.00009", "4.5"),))}),
    ("POSITION_IS_DUST", {"portfolio": replace(PORTFOLIO, positions=(position("BTC/USDT", "0.000009", "1"),))}),
])
def test_an_exit_is_vetoed_only_when_it_cannot_be(expected: str, arguments: dict[str, Any]) -> None:
    exit_arguments: dict[str, Any] = {"proposal": EXIT, "portfolio": HOLDING} | arguments
    verdict = judge(**exit_arguments)
    assert (verdict.approved, verdict.code) == (False, expected)


@pytest.mark.parametrize("instrument", [
    replace(BTC, min_quantity=D("0.003")), replace(BTC, min_notional=D(150)),
])
def test_an_exit_of_exactly_the_venues_minimum_passes(instrument: Any) -> None:
    assert judge(EXIT, HOLDING, instrument=instrument).approved


money = st.decimals(0, 12_000, places=2)


@given(
    quantity=st.decimals("0.000001", "0.5", places=6), held=money, others=money, reserved=money, available=money,
    peak=st.decimals(10_000, 11_500, places=2), trail=st.sampled_from([None, TrailSpec("percent", D("0.03"))]),
)
@settings(max_examples=300, deadline=None)
def test_an_approved_entry_fits_every_limit_and_is_never_larger_than_proposed(
    quantity: Decimal, held: Decimal, others: Decimal, reserved: Decimal, available: Decimal, peak: Decimal,
    trail: TrailSpec | None,
) -> None:
    proposal = replace(PROPOSAL, quantity=quantity, trail=trail)
    portfolio = replace(
        PORTFOLIO, available=available, exposure=held + others, positions=(position("BTC/USDT", "0.001", str(held)),),
        peak_equity=peak, week_peak_equity=peak, day_peak_equity=peak,
    )
    verdict = judge(proposal, portfolio, reserved=(("BTC/USDT", reserved),))
    assert 0 <= verdict.quantity <= quantity
    assert verdict.quantity % BTC.quantity_step == 0
    assert (verdict.shrunk_from is not None) == (verdict.approved and verdict.quantity < quantity)
    if verdict.approved:
        value = verdict.quantity * highest_entry_price(proposal)
        assert verdict.quantity * 50_000 >= 10
        assert value + held + reserved < 500
        assert value + held + others + reserved < 2_500
        assert value * D("1.001") <= available - reserved
        assert (peak - 10_000) / peak < D("0.05")
        assert all(check.passed for check in verdict.checks)
    else:
        assert verdict.code in DENIAL_CODES


def test_dust_is_no_position() -> None:
    dust = tuple(replace(each, is_dust=True) for each in FULL)
    assert judge(portfolio=replace(PORTFOLIO, positions=dust)).approved


def test_what_the_venue_would_not_sell_alone_takes_no_place() -> None:
    small = tuple(replace(each, is_below_minimum=True) for each in FULL)
    assert judge(portfolio=replace(PORTFOLIO, positions=small)).approved
