"""Whether a user stream tells what was found out over REST. A line that is well may be mute: then it is opened anew."""

import asyncio
from collections.abc import Callable
from typing import Final

from bus.ids import TradeId
from bus.messages.orders import ExecutionReport
from market.interval import SECOND_NS

PATIENCE_S: Final = 3.0
"""So long a fill that REST told first may be on its way on the stream."""
_MARGIN_NS: Final = SECOND_NS
_KEEP: Final = 1_000
_Key = tuple[str, TradeId]
"""Symbol, and the venue's number of the trade."""


class StreamWitness:
    """Inside a running event loop. `up_since_ns`: since when the stream should tell, by the venue's clock; 0 while it
    is away. `reopen` hears why it must be opened anew.
    """

    def __init__(
        self, up_since_ns: Callable[[], int], reopen: Callable[[str], None], *, patience_s: float = PATIENCE_S,
    ) -> None:
        self._up_since_ns = up_since_ns
        self._reopen = reopen
        self._patience_s = patience_s
        self._known: dict[_Key, None] = {}
        self._awaited: dict[_Key, asyncio.TimerHandle] = {}

    def note(self, report: ExecutionReport) -> None:
        """It was told to the engine, whoever told it."""
        if report.exec_type == "fill":
            self._known[report.symbol, report.trade_id] = None
            while len(self._known) > _KEEP:
                del self._known[next(iter(self._known))]

    def told(self, report: ExecutionReport) -> None:
        """By the stream."""
        self.note(report)
        if (awaited := self._awaited.pop((report.symbol, report.trade_id), None)) is not None:
            awaited.cancel()

    def found(self, report: ExecutionReport) -> None:
        """Over REST. What happened before the stream was there it never tells."""
        key, since_ns = (report.symbol, report.trade_id), self._up_since_ns()
        is_its_own = since_ns and report.exec_type == "fill" and report.ts_event > since_ns + _MARGIN_NS
        if is_its_own and key not in self._known and key not in self._awaited:
            loop = asyncio.get_running_loop()
            self._awaited[key] = loop.call_later(self._patience_s, self._miss, key, since_ns)

    def close(self) -> None:
        """Wait for nothing more."""
        for awaited in self._awaited.values():
            awaited.cancel()
        self._awaited.clear()

    def _miss(self, key: _Key, since_ns: int) -> None:
        self._awaited.pop(key, None)
        if self._up_since_ns() == since_ns:
            self._reopen(f"it did not tell of trade {key[1]} of {key[0]}")
