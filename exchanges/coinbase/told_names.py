"""Which products a name on the wire speaks of: some trade in another one's book, and are told of under its name only.

"Subscribing to -USDC based products": market channels "return the same data as the corresponding -USD based products"
(docs.cdp.coinbase.com, "Advanced Trade WebSocket channels"). Whoever watches both must hear it for both.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from exchanges.coinbase.parser import MarketEvent, Trade
from market.instrument import Instrument


class ToldNames:
    """`aliases`: products by the name of the one in whose book they trade. Pure."""

    def __init__(self, instruments: Sequence[Instrument] = (), aliases: Mapping[str, str] | None = None) -> None:
        heard = {each.venue_symbol: [each.symbol] for each in instruments}
        for each in instruments:
            other = (aliases or {}).get(each.venue_symbol)
            if other is not None:
                heard.setdefault(other, []).append(each.symbol)
        self.symbols = {name: symbols[0] for name, symbols in heard.items()}
        """The first product's symbol by the name on the wire; for the others `spread` the events."""
        self._twins = {symbols[0]: symbols[1:] for symbols in heard.values() if len(symbols) > 1}

    def of(self, symbol: str) -> list[str]:
        """All that what is told of this one is told of; none for ""."""
        return [symbol, *self._twins.get(symbol, ())] if symbol else []

    def spread(self, events: Iterable[MarketEvent]) -> Iterable[MarketEvent]:
        """Each event for all the products it speaks of."""
        return self._spread(events) if self._twins else events

    def _spread(self, events: Iterable[MarketEvent]) -> Iterator[MarketEvent]:
        for event in events:
            yield event
            for symbol in self._twins.get(_symbol(event), ()):
                yield _as_of(event, symbol)


def _symbol(event: MarketEvent) -> str:
    return event.tick.symbol if isinstance(event, Trade) else event.symbol


def _as_of(event: MarketEvent, symbol: str) -> MarketEvent:
    if isinstance(event, Trade):
        return event._replace(tick=event.tick._replace(symbol=symbol))
    return event._replace(symbol=symbol)
