"""Closed candles that were told lately, for agents that begin anew; and what led to a proposal, for explaining it."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from bus.messages import council
from bus.messages.header import Message
from market.ticks import Candle

_RECENT: Final = 16
"""Candles, and analyses, of one symbol kept for explaining: a proposal follows its analysis within seconds."""


class ToldCandles:
    """`most`: so many of each symbol and interval are remembered."""

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._history: dict[tuple[str, str], deque[Candle]] = {}
        self._causes: dict[tuple[str, type], deque[Message]] = {}  # by symbol and type

    def remember(self, message: Message) -> None:
        """A closed candle, or one of the history."""
        candle: Candle = message.body
        self.keep_cause(message)
        key = (candle.symbol, candle.interval)
        past = self._history.get(key)
        if past is None:
            past = self._history[key] = deque(maxlen=self._most)
        past.append(candle)

    def keep_cause(self, message: Message) -> None:
        """A candle or an analysis, which may lead to a proposal."""
        key = (message.body.symbol, type(message.body))
        kept = self._causes.get(key)
        if kept is None:
            kept = self._causes[key] = deque(maxlen=_RECENT)
        kept.append(message)

    def with_causes(self, message: Message) -> list[Message]:
        """A proposal behind the candle and analysis that led to it; of other messages those alone."""
        chain = [message]
        if type(message.body) is council.TradeProposed:
            cause = message.header.cause
            for kind in (council.AnalysisCompleted, Candle):
                for earlier in self._causes.get((message.body.symbol, kind), ()):
                    if earlier.id == cause:
                        chain.insert(0, earlier)
                        cause = earlier.header.cause
                        break
        return chain

    def newest_open(self, symbol: str, interval: str) -> int:
        """When the newest candle that was told opened (UTC ns); -1 before the first."""
        past = self._history.get((symbol, interval))
        return past[-1].ts_open if past else -1

    @property
    def history(self) -> Mapping[tuple[str, str], Sequence[Candle]]:
        """Closed candles by (symbol, interval), oldest first."""
        return {key: tuple(past) for key, past in self._history.items()}
