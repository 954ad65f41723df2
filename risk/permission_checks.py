"""Checks that ask: may anything be sent now, and is the market known well enough to decide?

Entries fail closed. An order of the engine's own protection fails open: neither stale data, nor a crossed book,
nor an unknown price keeps it from leaving.
"""

from typing import Final

from market.interval import SECOND_NS
from market.money import to_text
from risk.case import Case, CheckFunction, Judgement, judged, not_asked

_EXIT: Final = "Not asked of an order that lowers exposure."


def check_kill_switch(case: Case) -> Judgement:
    """Latched means nothing leaves but the kill switch's own closing of positions.

    Protection may still be armed (a fill that was under way must not stay bare after the release): arming
    sends nothing, and the order comes here again when it fires.
    """
    if not case.view.kill_engaged:
        return judged("kill_switch", True, "", lambda: (
            "released", "released",
            "The kill switch is released.",
        ))
    if _closes_for_kill_switch(case) or _arms_protection(case):
        return judged("kill_switch", True, "", lambda: (
            "engaged", "released",
            "The kill switch is engaged; its own closing of positions and the arming of protection go on.",
        ))
    return judged("kill_switch", False, "KILL_ENGAGED", lambda: (
        "engaged", "released",
        "The kill switch is engaged: nothing may be sent until a person releases it.",
    ))


def check_trading_state(case: Case) -> Judgement:
    """HALTED sends nothing, REDUCING only what lowers exposure; an unknown word is HALTED."""
    state = case.view.trading_state
    if state == "ACTIVE":
        return judged("trading_state", True, "", lambda: (
            state, "ACTIVE",
            "Trading is active.",
        ))
    if state == "REDUCING":
        return judged("trading_state", not case.is_entry, "TRADING_REDUCING", lambda: (
            state, "ACTIVE",
            "Trading is reducing: only orders that lower exposure may be sent"
            + (", and this one would raise it." if case.is_entry else ", and this one does."),
        ))
    allowed = _arms_protection(case) or (case.view.kill_engaged and _closes_for_kill_switch(case))
    return judged("trading_state", allowed, "TRADING_HALTED", lambda: (
        state, "ACTIVE",
        "Trading is halted; only the kill switch's closing of positions and the arming of protection go on." if allowed
        else "Trading is halted: nothing may be sent.",
    ))


def _closes_for_kill_switch(case: Case) -> bool:
    return case.is_protective and case.order.origin == "kill"


def _arms_protection(case: Case) -> bool:
    return case.is_protective and case.order.is_arming


def check_instrument_known(case: Case) -> Judgement:
    """Without the venue's rules for the symbol nothing can be rounded or judged."""
    instrument = case.view.instrument
    known = instrument is not None and instrument.symbol == case.order.symbol
    return judged("instrument", known, "UNKNOWN_INSTRUMENT", lambda: (
        case.order.symbol, "a listed symbol",
        f"{case.order.symbol} is listed by the venue." if known
        else f"{case.order.symbol} is not a symbol the venue listed: check the spelling and the venue.",
    ))


def check_instrument_trading(case: Case) -> Judgement:
    """A symbol the venue paused takes no entries; what is held stays managed, the venue has the last word."""
    if not case.is_entry:
        return not_asked("instrument_trading", _EXIT)
    trading = case.view.instrument is not None and case.view.instrument.is_trading
    return judged("instrument_trading", trading, "INSTRUMENT_NOT_TRADING", lambda: (
        "trading" if trading else "paused", "trading",
        f"The venue trades {case.order.symbol}." if trading
        else f"The venue does not trade {case.order.symbol} at the moment.",
    ))


def check_feed_heard(case: Case) -> Judgement:
    """No entry before the feed spoke for the first time."""
    if not case.is_entry:
        return not_asked("feed", _EXIT)
    heard = case.view.feed_age_ns is not None
    return judged("feed", heard, "FEED_SILENT", lambda: (
        "heard" if heard else "never heard", "heard",
        "Market data is coming in." if heard
        else "No market data was received yet: entries wait for the feed.",
    ))


def check_fresh_data(case: Case) -> Judgement:
    """No entry on old data. An age below zero is a clock gone wrong and no better than an old one."""
    age = case.view.feed_age_ns
    if not case.is_entry or age is None:
        return not_asked("stale_after", _EXIT if not case.is_entry else "Not asked before the feed was heard.")
    limit = case.limits.stale_after_ns
    return judged("stale_after", 0 <= age < limit, "STALE_DATA", lambda: (
        _seconds(age), _seconds(limit),
        f"Market data is {_seconds(age)} old; the limit is {_seconds(limit)}.",
    ))


def check_price_known(case: Case) -> Judgement:
    """An entry needs a market price, and so does the collar of an exit at a limit."""
    if not _is_judged_by_price(case):
        return not_asked("market_price", "Not asked of an exit at market or of protection.")
    price = case.market_price
    if price is None or price <= 0:
        return judged("market_price", False, "PRICE_UNKNOWN", lambda: (
            "unknown", "known",
            f"No market price of {case.order.symbol} is known to judge the order by.",
        ))
    return judged("market_price", True, "", lambda: (
        to_text(price), "known",
        f"{case.order.symbol} is at {to_text(price)} {case.quote}.",
    ))


def check_crossed_book(case: Case) -> Judgement:
    """A bid at or above the ask means that the book is broken: no price of it is to be believed."""
    bid, ask = case.view.bid, case.view.ask
    if not _is_judged_by_price(case):
        return not_asked("crossed_book", "Not asked of an exit at market or of protection.")
    if bid is None or ask is None:
        return not_asked("crossed_book", "Not asked while one side of the book is unknown.")
    return judged("crossed_book", bid < ask, "CROSSED_BOOK", lambda: (
        to_text(bid), to_text(ask),
        f"The best bid is {to_text(bid)} and the best ask {to_text(ask)} {case.quote}"
        + ("." if bid < ask else ": the book is crossed and cannot be trusted."),
    ))


def _is_judged_by_price(case: Case) -> bool:
    return case.is_entry or (case.order.price is not None and not case.is_protective)


def _seconds(duration_ns: int) -> str:
    whole, rest = divmod(abs(duration_ns), SECOND_NS)
    text = f"{whole}.{rest:09d}".rstrip("0").rstrip(".")
    return f"{'-' if duration_ns < 0 else ''}{text} s"


CHECKS: Final[tuple[CheckFunction, ...]] = (
    check_kill_switch, check_trading_state, check_instrument_known, check_instrument_trading, check_feed_heard,
    check_fresh_data, check_price_known, check_crossed_book,
)
