"""The venue of the account when the process starts: simulated on paper; else the exchange, which must take it."""

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

from bus.clock import Clock
from bus.messages.orders import ExecutionReport
from exchanges.answers import VenueError
from exchanges.simulated import SimulatedVenue
from exchanges.venue import ReportSink, Venue
from market.instrument import Instrument
from orders.engine import Engine
from tradingd import composition, venue_access
from tradingd.account_return import AccountReturn
from tradingd.conditions import Conditions
from tradingd.paper_account import holdings
from tradingd.read_model import ReadModel
from tradingd.redaction import redact
from tradingd.settings import Settings, VenueSettings
from tradingd.venue_wait import VenueWait, open_matters

_STAYS: Final = (
    "The daemon starts all the same, because positions or orders are open: until the account is taken, only the stops "
    "that rest at the exchange protect them."
)


def make_paper_venue(
    settings: Settings, instruments: Sequence[Instrument], on_report: ReportSink, engine: Callable[[], Engine],
) -> SimulatedVenue:
    """`engine`: whose account it is, asked for when the first order comes."""
    return SimulatedVenue(
        composition.paper_config(settings), instruments, _without_secrets(on_report),
        balances=lambda: holdings(engine()),
    )


async def open_live_venue(
    settings: Settings, urls: VenueSettings, clock: Clock, instruments: Sequence[Instrument], model: ReadModel, *,
    on_report: ReportSink, compare: Callable[[], Awaitable[None]], conditions: Conditions, wait: VenueWait,
    stack: AsyncExitStack,
) -> tuple[Venue, AccountReturn]:
    """Opened, and what brings its account back after a refusal (`compare`: the books with the venue's).

    An account that is refused ends the start with `VenueError`, unless something is at stake in it (`model`).
    """
    live = venue_access.make_live_venue(
        settings, urls, clock, instruments, on_report=_without_secrets(on_report), on_problem=conditions.venue,
        on_line=conditions.order_line, on_refused=conditions.refused,
    )
    account_return = AccountReturn(live.prove_account, compare, conditions.taken_again, jitter=random.random)
    conditions.on_refused = account_return.refused
    stack.push_async_callback(live.close)
    try:
        await wait.until_answered(live.start)
    except VenueError as error:
        if not open_matters(model):
            raise
        # An end would leave the stops at the venue alone, and service managers give up after some tries.
        conditions.refused_at_start(f"{str(error).rstrip('.')}. {_STAYS}")
        live.begin()
    return live, account_return


def _without_secrets(on_report: ReportSink) -> ReportSink:
    """A venue's words may repeat our key."""
    def on_redacted(report: ExecutionReport) -> None:
        on_report(replace(report, reason=redact(report.reason)) if report.reason else report)

    return on_redacted
