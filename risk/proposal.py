"""The risk officer's judgement of one proposal: yes, yes but smaller, or no; with every check told."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from bus.messages.council import Check, TradeProposed
from bus.messages.ledger import PortfolioSnapshot
from market.instrument import Instrument
from market.money import ONE, ZERO, to_text
from risk.case import checked
from risk.drawdown import loss_ratio
from risk.headroom import Headroom, fits, headrooms, largest_quantity
from risk.limits import RiskLimits
from risk.replaced_entry import without_replaced
from risk.sizing import drawdown_factor
from risk.wording import money, percent

MAX_SLIPPAGE_RATIO: Final = Decimal("0.001")
"""An entry may be filled this much above its trigger: the verdict leaves room for it."""

_STEP: Final = "the venue's step is no finer"

Reserved = tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True, slots=True)
class ProposalVerdict:
    """What the officer says.

    `quantity` in base, on the venue's step, never above the proposed one, zero when vetoed; `shrunk_from` is
    the proposed quantity when it was lowered, else None; `code` names the deciding rule of a veto, else "".
    """

    approved: bool
    quantity: Decimal
    shrunk_from: Decimal | None
    checks: tuple[Check, ...]
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Docket:
    """Everything one judgement rests on."""

    proposal: TradeProposed
    portfolio: PortfolioSnapshot
    limits: RiskLimits
    instrument: Instrument
    trading_state: str
    mandate: str
    reserved: Reserved


def review_proposal(
    proposal: TradeProposed, portfolio: PortfolioSnapshot, limits: RiskLimits, instrument: Instrument,
    trading_state: str, mandate: str, reserved: Reserved = (),
) -> ProposalVerdict:
    """Judge one proposal against the portfolio as it is known.

    An entry is lowered until it fits below the limits on exposure, order size and cash, and by the drawdown
    rule; whatever else fails is a veto. An exit is lowered to what is held. `reserved`: (symbol, value in
    quote) of entries approved moments ago that the portfolio does not show yet. `mandate`: risk_on, neutral or
    risk_off; any other word counts as risk_off, as any unknown trading state counts as HALTED.
    """
    docket = _Docket(proposal, portfolio, limits, instrument, trading_state, mandate, reserved)
    sound = _check_sound(docket)
    if not all(check.passed for check in sound):
        return _veto(sound)
    return _judge_exit(docket, sound) if proposal.side == "sell" else _judge_entry(docket, sound)


def _check_sound(docket: _Docket) -> tuple[Check, ...]:
    """What no arithmetic may rest on otherwise."""
    proposal, portfolio = docket.proposal, docket.portfolio
    numbers = (
        proposal.quantity, proposal.reference_price, portfolio.equity, portfolio.available, portfolio.exposure,
        *(position.value for position in portfolio.positions), *(value for _, value in portfolio.working_entries),
    )
    finite = all(number.is_finite() for number in numbers)
    known = docket.instrument.symbol == proposal.symbol
    price_known = finite and proposal.reference_price > ZERO
    return (
        checked("numbers", finite, "NOT_FINITE", "finite" if finite else "not finite", "finite",
                "All numbers are finite." if finite else "A number of the proposal or the portfolio is not finite."),
        checked("instrument", known, "UNKNOWN_INSTRUMENT", proposal.symbol, docket.instrument.symbol,
                f"{proposal.symbol} is judged by the rules of {docket.instrument.symbol}."),
        checked("quantity", finite and proposal.quantity > ZERO, "QUANTITY_NOT_POSITIVE", str(proposal.quantity),
                "above 0", f"The proposed quantity is {proposal.quantity}; it must be above 0."),
        checked("reference_price", price_known, "PRICE_UNKNOWN", str(proposal.reference_price), "above 0",
                f"The price the proposal rests on is {proposal.reference_price}; it must be above 0."),
    )


# ---- exits -----------------------------------------------------------------------------------------


def _judge_exit(docket: _Docket, sound: tuple[Check, ...]) -> ProposalVerdict:
    """What lowers exposure passes, unless there is nothing to sell or nothing may be sent at all."""
    proposal, instrument = docket.proposal, docket.instrument
    held = sum((each.quantity for each in docket.portfolio.positions if each.symbol == proposal.symbol), ZERO)
    quantity = instrument.round_quantity(min(proposal.quantity, max(held, ZERO)))
    value = quantity * proposal.reference_price
    halted = docket.trading_state not in ("ACTIVE", "REDUCING")
    is_dust = quantity < instrument.min_quantity or value < instrument.min_notional or quantity <= ZERO
    checks = (
        *sound,
        checked("trading_state", not halted, "TRADING_HALTED", docket.trading_state, "REDUCING",
                f"The trading state is {docket.trading_state}"
                + (": nothing may be sent." if halted else "; exits may be sent.")),
        checked("position", held > ZERO, "NOTHING_TO_SELL", to_text(held), "above 0",
                f"{to_text(held)} {instrument.base} are held"
                + ("." if held > ZERO else ": there is nothing to sell.")),
        checked("venue_minimum", not is_dust, "POSITION_IS_DUST", to_text(quantity), to_text(instrument.min_quantity),
                f"The exit of {to_text(quantity)} {instrument.base} is worth {money(value, instrument.quote)}; the "
                f"venue's smallest is {to_text(instrument.min_quantity)} {instrument.base} and "
                f"{money(instrument.min_notional, instrument.quote)}."),
    )
    if not all(check.passed for check in checks):
        return _veto(checks)
    why = "no more is held" if proposal.quantity > held else _STEP
    return _approve(docket, quantity, checks, why)


# ---- entries ---------------------------------------------------------------------------------------


def _judge_entry(docket: _Docket, sound: tuple[Check, ...]) -> ProposalVerdict:
    checks = (*sound, *_check_permission(docket), *_check_shape(docket), _check_positions(docket),
              *_check_losses(docket))
    if docket.portfolio.equity <= ZERO:
        equity = money(docket.portfolio.equity, docket.portfolio.quote)
        return _veto((*checks, checked("equity", False, "NO_EQUITY", to_text(docket.portfolio.equity), "above 0",
                                       f"Equity is {equity}; it must be above 0.")))
    quantity, why, money_checks = _fit(docket)
    checks = (*checks, *money_checks, *_check_minimum(docket, quantity, why))
    if not all(check.passed for check in checks):
        return _veto(checks)
    return _approve(docket, quantity, checks, why)


def _check_permission(docket: _Docket) -> tuple[Check, ...]:
    state, mandate = docket.trading_state, docket.mandate
    code = "TRADING_REDUCING" if state == "REDUCING" else "TRADING_HALTED"
    wanted = mandate in ("risk_on", "neutral")
    return (
        checked("trading_state", state == "ACTIVE", code, state, "ACTIVE",
                f"The trading state is {state}" + ("." if state == "ACTIVE" else ": no new risk is allowed.")),
        checked("mandate", wanted, "MANDATE_RISK_OFF", mandate, "neutral",
                f"The CEO's mandate is {mandate}" + ("." if wanted else ": no new risk is wanted.")),
    )


def _check_shape(docket: _Docket) -> tuple[Check, ...]:
    proposal, trading = docket.proposal, docket.instrument.is_trading
    stop, confidence = proposal.protection.stop_ratio, proposal.confidence
    has_stop = stop is not None and stop.is_finite() and ZERO < stop < ONE
    has_confidence = 0.0 <= confidence <= 1.0
    return (
        checked("instrument_trading", trading, "INSTRUMENT_NOT_TRADING", "trading" if trading else "paused", "trading",
                f"The venue trades {proposal.symbol}." if trading
                else f"The venue does not trade {proposal.symbol}: it is halted, or no longer listed."),
        checked("side", not proposal.reduce_only, "BUY_NOT_REDUCING",
                "buy, reduce-only" if proposal.reduce_only else "buy", "buy",
                "A buy cannot be reduce-only: positions are long only." if proposal.reduce_only
                else "The proposal opens or enlarges a position."),
        checked("confidence", has_confidence, "CONFIDENCE_INVALID", repr(confidence), "0 to 1",
                f"The confidence is {confidence!r}" + ("." if has_confidence else "; it must be between 0 and 1.")),
        checked("stop", has_stop, "STOP_MISSING", percent(stop) if has_stop and stop is not None else "none", "a stop",
                f"A stop {percent(stop)} below the entry is planned." if has_stop and stop is not None
                else "No protective stop between 0 and 100 % below the entry is planned."),
    )


def _check_positions(docket: _Docket) -> Check:
    """Symbols held, with an entry pending, or approved moments ago; the proposal's own is not counted twice."""
    portfolio, limit = docket.portfolio, docket.limits.max_positions
    symbols = set(portfolio.counted_symbols)
    symbols.update(symbol for symbol, _ in portfolio.working_entries)
    symbols.update(symbol for symbol, _ in docket.reserved)
    others = len(symbols - {docket.proposal.symbol})
    passed = others + 1 <= limit
    return checked("max_positions", passed, "MAX_POSITIONS", str(others + 1), str(limit),
                   f"This would be position {others + 1} of {limit}." if passed
                   else f"{others} of {limit} positions are open already.")


def _check_losses(docket: _Docket) -> tuple[Check, ...]:
    limits, portfolio = docket.limits, docket.portfolio
    rules = (
        ("daily_drawdown", "DAILY_DRAWDOWN", "the day's peak", portfolio.day_peak_equity, limits.daily_drawdown),
        ("weekly_drawdown", "WEEKLY_DRAWDOWN", "the week's peak", portfolio.week_peak_equity, limits.weekly_drawdown),
        ("max_drawdown", "MAX_DRAWDOWN", "its highest ever", portfolio.peak_equity, limits.max_drawdown),
        ("daily_loss", "DAILY_LOSS", "the day's opening", portfolio.day_open_equity, limits.daily_loss),
        ("kill_loss", "CAPITAL_LOSS", "the initial capital", portfolio.initial_capital, limits.kill_loss),
    )
    checks = []
    for rule, code, where, base, limit in rules:
        loss = loss_ratio(base, portfolio.equity)
        checks.append(checked(rule, loss < limit, code, percent(loss), percent(limit),
                              f"Equity is {percent(loss)} below {where}; the limit is {percent(limit)}."))
    return tuple(checks)


def _check_minimum(docket: _Docket, quantity: Decimal, why: str) -> tuple[Check, ...]:
    """What is left after shrinking must still be worth sending."""
    instrument, quote = docket.instrument, docket.instrument.quote
    value = quantity * docket.proposal.reference_price
    smallest = max(docket.limits.min_notional, instrument.min_notional)
    shrunk = f" (shrunk: {why})" if why else ""
    return (
        checked("min_quantity", quantity > ZERO and quantity >= instrument.min_quantity, "QUANTITY_TOO_SMALL",
                to_text(quantity), to_text(instrument.min_quantity),
                f"The entry is for {to_text(quantity)} {instrument.base}{shrunk}; the venue's smallest is "
                f"{to_text(instrument.min_quantity)}."),
        checked("min_notional", value >= smallest, "BELOW_MIN_NOTIONAL", to_text(value), to_text(smallest),
                f"The entry is worth {money(value, quote)}{shrunk}; the minimum is {money(smallest, quote)}."),
    )


def drawdown_shrink(portfolio: PortfolioSnapshot, limits: RiskLimits) -> Decimal:
    """The factor by which drawdowns shrink every entry: the smallest over day, week, all time and the day's loss."""
    return min(
        drawdown_factor(loss_ratio(portfolio.day_peak_equity, portfolio.equity), limits.daily_drawdown),
        drawdown_factor(loss_ratio(portfolio.week_peak_equity, portfolio.equity), limits.weekly_drawdown),
        drawdown_factor(loss_ratio(portfolio.peak_equity, portfolio.equity), limits.max_drawdown),
        drawdown_factor(loss_ratio(portfolio.day_open_equity, portfolio.equity), limits.daily_loss),
    )


def highest_entry_price(proposal: TradeProposed) -> Decimal:
    """The most an entry is expected to pay, in quote per base.

    A buying trail starts at the reference price plus its distance and only comes down; a limit may lie beyond
    it; slippage comes on top. An ATR distance is resolved later and counts as zero here: the gate looks again.
    """
    price, trail = proposal.reference_price, proposal.trail
    if trail is not None:
        if trail.kind == "percent":
            price *= ONE + trail.distance
        elif trail.kind == "absolute":
            price += trail.distance
        price *= ONE + (trail.limit_offset or ZERO)
    return price * (ONE + MAX_SLIPPAGE_RATIO)


def _fit(docket: _Docket) -> tuple[Decimal, str, tuple[Check, ...]]:
    """The largest quantity that every limit on money allows, what lowered it most, and the checks."""
    proposal, instrument, limits = docket.proposal, docket.instrument, docket.limits
    price = highest_entry_price(proposal)
    factor = drawdown_shrink(docket.portfolio, limits)
    quantity, why = instrument.round_quantity(proposal.quantity), ""
    if quantity < proposal.quantity:
        why = _STEP
    if factor < ONE:
        quantity = instrument.round_quantity(proposal.quantity * factor)
        why = f"a drawdown near its limit leaves {percent(factor)} of the size"
    if ZERO < instrument.max_quantity < quantity:
        quantity, why = instrument.round_quantity(instrument.max_quantity), "the venue takes no larger order"
    checks = [checked("drawdown_shrink", factor > ZERO, "MAX_DRAWDOWN", percent(factor), percent(ONE),
                      f"Drawdowns leave {percent(factor)} of the size.")]
    for room in _rooms(docket):
        largest = largest_quantity(instrument, price, room)
        if largest < quantity:
            quantity, why = largest, room.phrase
        checks.append(_room_check(docket, room, price, largest))
    return quantity, why, tuple(checks)


def _rooms(docket: _Docket) -> tuple[Headroom, ...]:
    portfolio, base = without_replaced(docket.portfolio, docket.instrument), docket.instrument.base
    entries = (*portfolio.working_entries, *docket.reserved)
    reserved = sum((value for _, value in docket.reserved), ZERO)
    held = sum((each.value for each in portfolio.positions if _base_of(each.symbol) == base), ZERO)
    pending = sum((value for symbol, value in entries if _base_of(symbol) == base), ZERO)
    return headrooms(
        base=base, equity=portfolio.equity, available=portfolio.available - reserved, asset_exposure=held + pending,
        total_exposure=portfolio.exposure + reserved, cost_ratio=docket.instrument.taker_fee, limits=docket.limits,
    )


def _room_check(docket: _Docket, room: Headroom, price: Decimal, largest: Decimal) -> Check:
    """Fails only when nothing at all fits: what is merely too large was shrunk."""
    quote = docket.instrument.quote
    proposed = docket.proposal.quantity
    left = f"{money(max(room.amount, ZERO), quote)} are left"
    if fits(proposed, price, room):
        message = f"The entry may cost {money(proposed * price, quote)}; {left}."
    elif largest > ZERO:
        message = f"The entry may cost {money(proposed * price, quote)}; {left}, so it is shrunk: {room.phrase}."
    else:
        message = f"Any entry is too large, {room.phrase}: {left}."
    return checked(room.rule, largest > ZERO, room.code, to_text(proposed * price), to_text(room.amount), message)


def _base_of(symbol: str) -> str:
    return symbol.partition("/")[0]


# ---- the verdict -----------------------------------------------------------------------------------


def _approve(docket: _Docket, quantity: Decimal, checks: tuple[Check, ...], why: str) -> ProposalVerdict:
    base, proposed = docket.instrument.base, docket.proposal.quantity
    if quantity < proposed:
        reason = f"Approved, shrunk from {to_text(proposed)} to {to_text(quantity)} {base}: {why}."
        return ProposalVerdict(True, quantity, proposed, checks, "", reason)
    return ProposalVerdict(True, quantity, None, checks, "", f"Approved: {to_text(quantity)} {base} within all limits.")


def _veto(checks: tuple[Check, ...]) -> ProposalVerdict:
    first = next(check for check in checks if not check.passed)
    message = first.message
    if message[1:2].islower() or message[1:2] == " ":
        message = message[0].lower() + message[1:]
    return ProposalVerdict(False, ZERO, None, checks, first.code, f"Vetoed: {message}")
