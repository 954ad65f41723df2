"""What a run writes beside its journal: raw frames, the runtime's inputs, closed candles."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from bus.ids import SessionId
from market.instrument import Instrument
from store.candle_writer import CandleWriter
from store.tape import Tape
from tradingd.candle_history import CandleHistory
from tradingd.feed_driver import FeedDriver
from tradingd.runtime import Runtime
from tradingd.session_inputs import FOLDER as INPUTS_FOLDER
from tradingd.session_inputs import InputTape
from tradingd.settings import Settings
from tradingd.venue_access import MarketFeed


class Records:
    """Each is opened at its place in the start, closed with the stack, and None where it is not wanted.

    `folder`: the data directory.
    """

    def __init__(self, settings: Settings, folder: Path, *, is_replay: bool) -> None:
        self._settings = settings
        self._folder = folder
        self._is_replay = is_replay

    def frames(self, stack: AsyncExitStack) -> Callable[[int, bytes], None] | None:
        """Raw frames of the feed; a replay is recorded already."""
        if not self._settings.tape.enabled or self._is_replay:
            return None
        tape = Tape(self._folder / "tape", self._settings.tape.max_mb)
        stack.callback(tape.close)
        return tape.write

    def inputs(
        self, session: SessionId, begin_ns: int, journal: str, instruments: Sequence[Instrument], stack: AsyncExitStack,
    ) -> InputTape | None:
        """All that reaches the runtime, so that `tradelab parity` can run the session again. Not over Redis: what
        comes when is decided there, and cannot be repeated."""
        if not self._settings.tape.enabled or self._settings.bus.url != "memory://":
            return None
        tape = InputTape(self._folder / INPUTS_FOLDER, self._settings.tape.max_mb, session)
        stack.callback(tape.close)
        tape.begin(begin_ns, journal, self._settings, instruments)
        return tape

    def history(
        self, runtime: Runtime, driver: FeedDriver, feed: MarketFeed, stale_after_ns: int, stack: AsyncExitStack,
    ) -> CandleHistory | None:
        """Closed candles for the laboratory; those of a replay are history already."""
        if not self._settings.history.enabled or self._is_replay:
            return None
        history = CandleHistory(
            CandleWriter(self._folder / "history", self._settings.venue), driver, lambda: feed.counters,
            runtime.health, stale_after_ns,
        )
        runtime.on_candle = history.keep
        stack.callback(history.close)
        return history
