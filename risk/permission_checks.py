"""Checks that ask: may anything be sent now, and is the market known well enough to decide?

Entries fail closed. An order of the engine's own protection fails open: neither stale data, nor a crossed book,
nor an unknown price keeps it from leaving.
"""

from typing import Final

from market.interval import SECOND_NS
from market.money import ZERO, to_text
from risk.case import Case, Words, not_asked, rules_of


def judge(case: Case) -> tuple[bool, ...]:
    """In the order of `CHECKS`."""
    order, view = case.order, case.view
    instrument, age, price, bid, ask = view.instrument, view.feed_age_ns, case.market_price, view.bid, view.ask
    is_exit, by_price = not case.is_entry, _is_judged_by_price(case)
    return (
        # Latched means nothing leaves but what lowers exposure by the switch's own rules.
        not view.kill_engaged or _leaves_while_latched(case),
        # HALTED sends nothing, REDUCING only what lowers exposure; an unknown word is HALTED.
        view.trading_state == "ACTIVE" or _is_permitted_below_active(case),
        # Without the venue's rules for the symbol nothing can be rounded or judged.
        instrument is not None and instrument.symbol == order.symbol,
        # A symbol the venue paused takes no entries; what is held stays managed, the venue has the last word.
        is_exit or (instrument is not None and instrument.is_trading),
        # No entry before the feed spoke for the first time.
        is_exit or age is not None,
        # No entry on old data. An age below zero is a clock gone wrong and no better than an old one.
        is_exit or age is None or 0 <= age < case.limits.stale_after_ns,
        # An entry needs a market price, and so does the collar of an exit at a limit.
        not by_price or (price is not None and price > ZERO),
        # A bid at or above the ask means that the book is broken: no price of it is to be believed.
        not by_price or bid is None or ask is None or bid < ask,
    )


def _leaves_while_latched(case: Case) -> bool:
    """The kill switch's own closing of positions; protection that is only armed; under a rule's latch most exits.

    Where a rule engaged it nobody may be there to choose what becomes of the positions: exits but the council's
    go on, as protection fails open. Protection may still be armed (a fill that was under way must not stay bare
    after the release): arming sends nothing, and the order comes here again when it fires.
    """
    return _closes_for_kill_switch(case) or _arms_protection(case) or _goes_on_under_rule(case)


def _is_permitted_below_active(case: Case) -> bool:
    if case.view.trading_state == "REDUCING":
        return not case.is_entry
    if _arms_protection(case) or _goes_on_under_rule(case):
        return True
    return case.view.kill_engaged and _closes_for_kill_switch(case)


def _tell_released(case: Case, passed: bool) -> Words:
    if not case.view.kill_engaged:
        return Words("", "released", "released", "The kill switch is released.")
    return Words(
        "KILL_ENGAGED", "engaged", "released",
        "The kill switch is engaged; what lowers exposure by its rules goes on." if passed
        else "The kill switch is engaged: nothing may be sent until a person releases it.",
    )


def _tell_state(case: Case, passed: bool) -> Words:
    state = case.view.trading_state
    if state == "ACTIVE":
        return Words("", state, "ACTIVE", "Trading is active.")
    if state == "REDUCING":
        return Words(
            "TRADING_REDUCING", state, "ACTIVE", "Trading is reducing: only orders that lower exposure may be sent"
            + (", and this one does." if passed else ", and this one would raise it."),
        )
    return Words(
        "TRADING_HALTED", state, "ACTIVE",
        "Trading is halted; what lowers exposure by the kill switch's rules goes on." if passed
        else "Trading is halted: nothing may be sent.",
    )


def _closes_for_kill_switch(case: Case) -> bool:
    return case.is_protective and case.order.origin == "kill"


def _goes_on_under_rule(case: Case) -> bool:
    return case.view.kill_engaged and case.view.is_latched_by_rule and not case.is_entry and (
        case.order.origin != "council"
    )


def _arms_protection(case: Case) -> bool:
    return case.is_protective and case.order.is_arming


def _tell_instrument_known(case: Case, passed: bool) -> Words:
    symbol = case.order.symbol
    return Words(
        "UNKNOWN_INSTRUMENT", symbol, "a listed symbol",
        f"{symbol} is listed by the venue." if passed
        else f"{symbol} is not a symbol the venue listed: check the spelling and the venue.",
    )


def _tell_instrument_trading(case: Case, passed: bool) -> Words:
    return Words(
        "INSTRUMENT_NOT_TRADING", "trading" if passed else "paused", "trading",
        f"The venue trades {case.order.symbol}." if passed
        else f"The venue does not trade {case.order.symbol}: it is halted, or no longer listed.",
    )


def _tell_feed_heard(_case: Case, passed: bool) -> Words:
    return Words(
        "FEED_SILENT", "heard" if passed else "never heard", "heard",
        "Market data is coming in." if passed
        else "No market data was received yet: entries wait for the feed.",
    )


def _tell_data_fresh(case: Case, _passed: bool) -> Words:
    age, limit = case.view.feed_age_ns, case.limits.stale_after_ns
    if age is None:
        return not_asked("Not asked before the feed was heard.")
    return Words(
        "STALE_DATA", _seconds(age), _seconds(limit),
        f"Market data is {_seconds(age)} old; the limit is {_seconds(limit)}.",
    )


def _tell_price_known(case: Case, passed: bool) -> Words:
    if not _is_judged_by_price(case):
        return not_asked("Not asked of an exit at market or of protection.")
    price = case.market_price
    if price is None or not passed:
        return Words(
            "PRICE_UNKNOWN", "unknown", "known",
            f"No market price of {case.order.symbol} is known to judge the order by.",
        )
    return Words("", to_text(price), "known", f"{case.order.symbol} is at {to_text(price)} {case.quote}.")


def _tell_book_sound(case: Case, passed: bool) -> Words:
    bid, ask = case.view.bid, case.view.ask
    if not _is_judged_by_price(case):
        return not_asked("Not asked of an exit at market or of protection.")
    if bid is None or ask is None:
        return not_asked("Not asked while one side of the book is unknown.")
    return Words(
        "CROSSED_BOOK", to_text(bid), to_text(ask),
        f"The best bid is {to_text(bid)} and the best ask {to_text(ask)} {case.quote}"
        + ("." if passed else ": the book is crossed and cannot be trusted."),
    )


def _is_judged_by_price(case: Case) -> bool:
    return case.is_entry or (case.order.price is not None and not case.is_protective)


def _seconds(duration_ns: int) -> str:
    whole, rest = divmod(abs(duration_ns), SECOND_NS)
    text = f"{whole}.{rest:09d}".rstrip("0").rstrip(".")
    return f"{'-' if duration_ns < 0 else ''}{text} s"


CHECKS: Final = rules_of(
    judge,
    ("kill_switch", _tell_released, False),
    ("trading_state", _tell_state, False),
    ("instrument", _tell_instrument_known, False),
    ("instrument_trading", _tell_instrument_trading, True),
    ("feed", _tell_feed_heard, True),
    ("stale_after", _tell_data_fresh, True),
    ("market_price", _tell_price_known, False),
    ("crossed_book", _tell_book_sound, False),
)
