"""What working entries may still buy, summed per symbol as orders come and go: nobody adds up all orders to send one.

The sums are exact, so that after any number of changes they equal what adding anew would give.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, NamedTuple

from bus.ids import ClientOrderId
from market.money import EXACT, ZERO


class Commitment(NamedTuple):
    """What one entry may still buy. `value` in quote, at the price it names; `unpriced` in base, at the market's."""

    symbol: str
    value: Decimal
    unpriced: Decimal


class SymbolCommitments(NamedTuple):
    """The sums of one symbol, over so many `entries`."""

    entries: int = 0
    value: Decimal = ZERO
    unpriced: Decimal = ZERO

    def less(self, own: Commitment) -> "SymbolCommitments":
        """The sums without one of the entries."""
        return SymbolCommitments(
            self.entries - 1, EXACT.subtract(self.value, own.value) if own.value else self.value,
            EXACT.subtract(self.unpriced, own.unpriced) if own.unpriced else self.unpriced,
        )

    def more(self, own: Commitment) -> "SymbolCommitments":
        """The sums with one entry more."""
        return SymbolCommitments(
            self.entries + 1, EXACT.add(self.value, own.value) if own.value else self.value,
            EXACT.add(self.unpriced, own.unpriced) if own.unpriced else self.unpriced,
        )


_NONE: Final = SymbolCommitments()


class Commitments:
    """Kept by the order table; a fold like everything there, so a restart gives the same."""

    __slots__ = ("_by_id", "_by_symbol")

    def __init__(self) -> None:
        self._by_id: dict[ClientOrderId, Commitment] = {}
        self._by_symbol: dict[str, SymbolCommitments] = {}

    def put(self, client_order_id: ClientOrderId, symbol: str, quantity: Decimal, price: Decimal | None) -> None:
        """The entry may still buy `quantity`; `price` None = whatever the market's is. Replaces what was said of it."""
        if price is None:
            made = Commitment(symbol, ZERO, quantity)
        else:
            made = Commitment(symbol, EXACT.multiply(quantity, price), ZERO)
        before = self._by_id.get(client_order_id)
        if made == before:
            return
        if before is not None:
            self._take_out(before)
        self._by_id[client_order_id] = made
        self._by_symbol[symbol] = self._by_symbol.get(symbol, _NONE).more(made)

    def drop(self, client_order_id: ClientOrderId) -> None:
        """The entry has ended, if it is here."""
        made = self._by_id.pop(client_order_id, None)
        if made is not None:
            self._take_out(made)

    def _take_out(self, made: Commitment) -> None:
        rest = self._by_symbol[made.symbol].less(made)
        if rest.entries:
            self._by_symbol[made.symbol] = rest
        else:
            del self._by_symbol[made.symbol]

    def of(self, client_order_id: str) -> Commitment | None:
        """What one entry may still buy; None when it is no working entry."""
        return self._by_id.get(ClientOrderId(client_order_id))

    def each(self) -> Iterator[Commitment]:
        """One per working entry, in order of birth."""
        return iter(self._by_id.values())

    def by_symbol(self) -> Iterator[tuple[str, SymbolCommitments]]:
        """The sums of every symbol that has working entries."""
        return iter(self._by_symbol.items())
