"""What is worked out ahead for the orders that fire next: their journal records and their requests, but for time and
prices.

A trade that reaches such a trigger is journalled and answered first; the engine's own step follows at once, and must
say the same (`Runtime`).
"""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final, final

from bus.codec import encode
from bus.messages.header import Message
from exchanges.venue import PreparedOrder, PreparesOrders
from market.ticks import TradeTick
from orders.effects import Effect, SubmitToVenue
from orders.engine import Engine
from orders.loaded import LoadedOrder
from store.journal_format import Record

_TS: Final = 8_765_432_109_876_543_210
_PRICE: Final = Decimal("765432109876543210.012345678901234567")
_REFERENCE: Final = Decimal("654321098765432101.123456789012345678")


class ForetoldOtherwiseError(RuntimeError):
    """The engine did not say what was journalled and sent on its behalf: a defect; the journal is the truth."""


@final
class ReadyOrder:
    """One loaded order and all that can be written ahead of it.

    `approve` is that of `LoadedOrder`, `send` that of `PreparedOrder`.
    """

    __slots__ = ("_loaded", "_templates", "approve", "send", "symbol")

    def __init__(self, loaded: LoadedOrder, prepared: PreparedOrder) -> None:
        """Raises `ValueError` when its records hold something that looks like a place left open."""
        self._loaded = loaded
        # Looked up once: at the trigger each step between costs.
        self.symbol = loaded.order.symbol
        self.approve = loaded.approve
        self.send = prepared.send
        self._templates = [_template(fact) for fact in loaded.facts(_TS, _PRICE, _REFERENCE)]

    def records(self, tick: TradeTick) -> list[Record]:
        """For the journal, before it is sent."""
        ts = tick.ts_init
        when, price = b"%d" % ts, format(tick.price, "f").encode()
        reference = format(self._loaded.reference_price, "f").encode()
        filled = []
        for kind, head, middle, is_price, tail in self._templates:
            number = (price if is_price else reference) if tail else b""
            filled.append(Record(0, ts, kind, b"".join((head, when, middle, number, tail))))
        return filled

    def hold_against(self, effects: Sequence[Effect], records: Sequence[Record]) -> None:
        """Raises `ForetoldOtherwiseError` unless the effects begin with these facts and the sending of this order."""
        order, count = self._loaded.order, len(records)
        said = [encode(effect) for effect in effects[:count] if type(effect) is Message]
        sends = effects[count] if len(effects) > count else None
        is_same = type(sends) is SubmitToVenue and order == replace(
            sends.approved.order, reference_price=order.reference_price,
        )
        if not is_same or said != [record.data for record in records]:
            raise ForetoldOtherwiseError(
                f"the order {order.client_order_id} was sent ahead of the engine's word, which is another: "
                f"{said} where {[record.data for record in records]} is journalled"
            )


_Template = tuple[str, bytes, bytes, bool, bytes]
"""Kind; bytes before the time, between it and a number, is that number the trade's price, bytes behind (b"": none)."""


def _template(fact: Message) -> _Template:
    kind, data = type(fact.body).__name__, encode(fact)
    head, middle, *more = data.split(b"%d" % _TS)
    if more:
        raise ValueError(f"{data!r} holds the time more than once")
    for number, is_price in ((_PRICE, True), (_REFERENCE, False)):
        parts = middle.split(format(number, "f").encode())
        if len(parts) == 2:
            return kind, head, parts[0], is_price, parts[1]
    return kind, head, middle, False, b""


def ready_orders(engine: Engine, venue: PreparesOrders) -> list[ReadyOrder]:
    """Every order that can be made ready now."""
    made = []
    for loaded in engine.load():
        prepared = venue.prepare(loaded.order)
        if prepared is not None:
            with contextlib.suppress(ValueError):
                made.append(ReadyOrder(loaded, prepared))
    return made
