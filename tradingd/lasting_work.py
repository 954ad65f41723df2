"""What goes on beside the feed for as long as the session: account, rules, time, files."""

from collections.abc import Sequence
from typing import Final

from exchanges.venue import Venue
from market.instrument import Instrument
from tradingd.account_opening import AccountOpening
from tradingd.account_return import AccountReturn
from tradingd.account_watch import AccountWatch
from tradingd.background_tasks import BackgroundTasks
from tradingd.checkpoint_keeper import CheckpointKeeper
from tradingd.feed_driver import FeedDriver
from tradingd.freed_memory import keep_returning
from tradingd.instrument_watch import InstrumentWatch
from tradingd.journal_keeper import JournalKeeper
from tradingd.message_journal import MessageJournal
from tradingd.plugins.plugins import Plugins
from tradingd.ready_keeper import ReadyKeeper
from tradingd.runtime import Runtime
from tradingd.settings import Settings, VenueSettings
from tradingd.venue_access import MarketFeed

_VENUE_CLOCK_S: Final = 0.02


class LastingWork:
    """A replay has none of it: its time is its feed's, and its one file is held against another run's byte by byte."""

    def __init__(self, settings: Settings, tasks: BackgroundTasks, runtime: Runtime, venue: Venue) -> None:
        self._settings = settings
        self._tasks = tasks
        self._runtime = runtime
        self._venue = venue

    def look_after_account(
        self, instruments: Sequence[Instrument], account: AccountOpening, account_return: AccountReturn | None
    ) -> None:
        """From now on what is held is compared with the venue's word; nothing on paper."""
        if self._settings.mode == "live":
            quote = self._settings.account.quote
            watch = AccountWatch(self._runtime, self._venue, quote, instruments, account.change_funds)
            self._tasks.spawn("account watch", watch.run())
        if account_return is not None:
            self._tasks.spawn("account return", account_return.run())

    def look_after_rules(self, instruments: Sequence[Instrument], feed: MarketFeed) -> None:
        """The venue may change its increments and minimums."""
        rules = InstrumentWatch(self._runtime, feed, self._venue, instruments)
        own = self._settings.venues.get(self._settings.venue, VenueSettings())
        self._tasks.spawn("instrument watch", rules.run(own.refresh_s))

    def keep_time_and_files(
        self, driver: FeedDriver, journal: MessageJournal, checkpoints: CheckpointKeeper | None, plugins: Plugins
    ) -> None:
        """The second's timer, what is written beside the journal, and memory."""
        self._tasks.spawn("timer", driver.run_timer())
        if self._venue.is_simulated:
            self._tasks.spawn("venue clock", driver.run_venue_clock(_VENUE_CLOCK_S))
        else:  # a real one answers when it likes
            self._tasks.spawn("ready orders", ReadyKeeper(self._runtime).run())
        if checkpoints is not None:
            self._tasks.spawn("checkpoints", checkpoints.run())
        self._tasks.spawn("alpha states", plugins.keep_states())
        self._tasks.spawn("journal files", JournalKeeper(journal, self._settings.journal, checkpoints).run())
        self._tasks.spawn("freed memory", keep_returning())
        if driver.partial_candles is not None:
            self._tasks.spawn("partial candles", driver.partial_candles.run())
