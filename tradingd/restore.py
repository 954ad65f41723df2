"""The end of the start's reading: the engine folded, what a person has locked, then the first orders that protect."""

import logging

from bus.messages import orders, system
from exchanges.simulated import SimulatedVenue
from store.checkpoint import CheckpointError
from tradingd.checkpoint import Recovery, note_scope
from tradingd.checkpoint_keeper import CheckpointKeeper
from tradingd.checkpoint_parts import Scope
from tradingd.journal_opening import tell_reading
from tradingd.message_journal import MessageJournal
from tradingd.operations import Operations
from tradingd.paper_account import resting_orders
from tradingd.replay_run import ReplayRun
from tradingd.runtime import Runtime
from tradingd.service_notify import ServiceNotify
from tradingd.settings import Settings
from tradingd.version import VERSION

_log = logging.getLogger(__name__)


def fold_engine(runtime: Runtime, recovery: Recovery, quote: str, service: ServiceNotify) -> Scope:
    """The engine knows its past; what it trades is returned. `quote`: the currency of the account."""
    engine = runtime.engine
    tell_reading(recovery.path, service)
    scope = Scope.of(quote, [market.instrument for market in engine.desk.markets.values()])
    recovery.fold_engine(engine, scope)
    return scope


def keep_checkpoints(journal: MessageJournal, recovery: Recovery, scope: Scope) -> CheckpointKeeper | None:
    """From here on; None when `scope` cannot be written down."""
    try:
        note_scope(journal.path, scope)
    except CheckpointError as error:
        _log.warning("no checkpoints will be made: %s", error)
        return None
    return CheckpointKeeper(journal, recovery.checkpointed if recovery.is_engine_restored else 0)


def finish(runtime: Runtime, operations: Operations, replay: ReplayRun, recovery: Recovery) -> None:
    """From a folded engine to orders that may leave. What the journal has lost, `recovery` knows."""
    engine, venue = runtime.engine, runtime.venue
    now = operations.now()
    runtime.record("daemon", _started(operations.settings, operations))
    if isinstance(venue, SimulatedVenue):
        venue.restore(resting_orders(engine))
    # The kill file before anything is sent: the orders that a restart would give wait for a person, too.
    for told in replay.due(-1):
        runtime.command(told.message.body, by=told.by)
    if recovery.lost and engine.kill is None:  # what seems to be held may be sold already: exits wait, too
        runtime.command(orders.EngageKillSwitch("halt", recovery.lost, "journal"), by="journal")
    recovery.forget_lost()
    wish = None if replay.was_cut else operations.kill_file.look(engine.kill, is_patient=False)
    if wish is not None:
        replay.note(-1, wish.by, wish, now)
        runtime.command(wish, by=wish.by)
    runtime.finish_restore()


def _started(settings: Settings, operations: Operations) -> system.DaemonStarted:
    return system.DaemonStarted(
        operations.session, VERSION, settings.mode, settings.venue, settings.symbols, settings.seed,
        operations.is_replay,
    )
