"""What a person must know at once when the process starts, and what nobody watches when it has ended."""

import sys
from collections.abc import Sequence
from pathlib import Path

from bus.messages.system import BY_RULE
from exchanges.practice.pairs import invented_note
from exchanges.venue import Venue
from market.instrument import Instrument
from orders.engine import Engine
from tradingd import banner
from tradingd.runtime import Runtime
from tradingd.settings import Settings
from tradingd.venue_access import PRACTICE


def welcome(settings: Settings, instruments: Sequence[Instrument], url: str, folder: Path, *, is_replay: bool) -> None:
    """On a console, before the story begins. `folder`: the data directory."""
    where = "a replay" if is_replay else f"the {settings.venue} market"
    names = [instrument.symbol for instrument in instruments]
    sys.stdout.write(banner.welcome(settings.mode, where, names, url, folder))
    sys.stdout.flush()


def tell_standing(runtime: Runtime, *, url: str, notes: Sequence[str]) -> None:
    """A kill switch or vote that outlived the restart, and `notes`; the address (`url`) where there is no banner."""
    if url:
        runtime.tell_story("READY", f"control {url}; health {url}/api/health")
    engine = runtime.engine
    if engine.kill is not None:
        kill = engine.kill
        runtime.tell_story(
            "KILL", f"still engaged by {kill.by} ({kill.action}): {kill.reason}; "
            f"{'no entry' if kill.by == BY_RULE else 'nothing new'} is sent until `tradingd unlock`",
        )
    elif engine.trading_state != "ACTIVE":
        votes = "; ".join(f"{who} says {state} ({why})" for who, state, why in engine.votes if state != "ACTIVE")
        runtime.tell_story("STATE", f"{engine.trading_state}: {votes}")
    for note in notes:
        if note:
            runtime.tell_story("NOTE", note)


def invention_note(settings: Settings) -> str:
    """Symbols for which the practice market makes up a price; "" when there is none, or another market."""
    return invented_note(settings.symbols) if settings.venue == PRACTICE else ""


def candles_note(decision: str) -> str:
    """For a recording that is made of candles. `decision`: the interval of the candles decisions are taken on."""
    return (
        f"the recording is made of candles; decisions are taken on {decision} candles (candles.decision): set it "
        "to the recording's interval if that is longer"
    )


def farewell_of(engine: Engine, venue: Venue, reason: str, data_dir: Path) -> str:
    """The last line of the story: why it ended, who is left unwatched, whom a stop at the venue protects."""
    working = engine.orders.working()
    guarded = set() if venue.is_simulated else {
        order.spec.symbol for order in working if order.is_disaster_stop and order.is_at_venue
    }
    held = engine.look().open_symbols
    return banner.farewell(reason, held, sum(1 for order in working if order.is_armed), data_dir, guarded)
