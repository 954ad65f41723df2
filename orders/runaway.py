"""The runaway guard: what is asked for far too often latches the kill switch, and does not fill the journal.

A limit that is reached denies, and that is the end of it: `risk.pace_checks`. Somebody who goes on asking all
the same is no longer trading but broken: more than three times a cap per minute (orders, money), or the
minute's loss limit for two seconds in a row, latch HALTED until a person releases it (F36).
"""

from typing import Final

from bus.messages.system import BY_RULE
from market.interval import SECOND_NS
from orders import kill
from orders.denied_attempts import RUNAWAY_FACTOR, WINDOW_NS
from orders.desk import Desk
from risk.wording import percent

LOSS_SECONDS: Final = 2
"""The minute's loss limit must hold for so many timers in a row: one wrong quote must not end the day."""

def watch_attempts(desk: Desk) -> None:
    """After each order that was asked for."""
    if desk.state.kill is not None:
        return
    limits = desk.config.limits
    if desk.attempts_denied.are_too_many(desk.now):
        _latch(desk, f"more than {RUNAWAY_FACTOR * limits.orders_per_minute} orders were denied within a minute "
                     f"({RUNAWAY_FACTOR} times risk.orders_per_minute): somebody asks without listening.")
        return
    beyond = desk.attempts_denied.money(desk.now)
    if not beyond:
        return
    cap = limits.notional_per_minute * desk.tracker.equity
    if desk.state.sent_notional(desk.now) + beyond > RUNAWAY_FACTOR * cap:
        _latch(desk, f"orders worth more than {RUNAWAY_FACTOR} times risk.notional_per_minute were asked for within "
                     "a minute: somebody asks without listening.")


def watch_loss(desk: Desk) -> None:
    """Once a second. After a release the minute that caused the latch must be over first."""
    attempts, loss, limit = desk.attempts_denied, desk.tracker.runaway_loss, desk.config.limits.runaway_loss
    attempts.loss_seconds = attempts.loss_seconds + 1 if loss >= limit else 0
    is_forgiven = desk.now - desk.state.released_ns < WINDOW_NS + SECOND_NS
    if attempts.loss_seconds >= LOSS_SECONDS and desk.state.kill is None and not is_forgiven:
        _latch(desk, f"{percent(loss)} of equity was lost within a minute; the limit is {percent(limit)}.")


def _latch(desk: Desk, reason: str) -> None:
    kill.engage_kill(desk, "cancel", f"runaway guard: {reason}", BY_RULE)


def tell_unlisted(desk: Desk) -> None:
    """Once a second: how many denials were only counted."""
    for fact in desk.unlisted.due(desk.now):
        desk.emit(fact)
        desk.alert(
            "warning", "Denials in bulk",
            f"{fact.count} more orders ({fact.origin}) were denied with {fact.code}: counted, not listed one by one.",
        )
