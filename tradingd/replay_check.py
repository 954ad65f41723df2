"""A journal replayed through the engine's own fold: what it says was derived is derived anew, and compared.

Folded as given: orders, executions, money that came or went, kill switch, votes. Computed anew and compared with
what the journal says: the filled sum of each order, positions and their average prices, the profit of each sale, round
trips, balances and the money side of each portfolio. An impossible move of an order, an execution booked twice and
books that do not balance are differences, too. What markets did is not in the journal: recorded frames (the tape) are
traded on again with `tradingd run --replay`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from bus.messages.header import Message
from bus.messages.ledger import FundsChanged, PortfolioSnapshot, PositionChanged, PositionClosed, PositionOpened
from bus.messages.orders import OrderFilled, OrderInitialized
from market.instrument import Instrument
from market.money import ONE, ZERO, to_text
from orders.ledger import LedgerError
from orders.order_table import OrderStateError
from orders.state import EngineState
from tradingd.message_journal import MessageJournal

MOST_DIFFERENCES: Final = 1000
_ENGINE: Final = "engine"
_SMALLEST: Final = Decimal("1e-12")
"""Instruments are made up from the symbols: the fold asks them for base and quote alone."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Record `number` (of this kind) says `journal` where the fold gives `computed`."""

    number: int
    kind: str
    what: str
    journal: str
    computed: str


def symbols_of(messages: Iterable[Message]) -> list[str]:
    """Every symbol that was ordered, sorted: the check has to know them before it begins."""
    return sorted({message.body.order.symbol for message in messages if isinstance(message.body, OrderInitialized)})


def check_replay(journal: MessageJournal, quote: str) -> "ReplayCheck":
    """Check a whole journal; raises `JournalError` where it cannot be read."""
    check = ReplayCheck(quote, symbols_of(journal.read()))
    for message in journal.read():
        check.take(message)
    check.finish()
    return check


def _instrument(symbol: str) -> Instrument:
    base, _, quote = symbol.partition("/")
    step, most = _SMALLEST, ONE / _SMALLEST
    return Instrument(symbol, symbol, base, quote, step, step, step, most, ZERO, ZERO, ZERO)


class ReplayCheck:
    """`take` each message in order; `differences` are at most `MOST_DIFFERENCES`, `count` is all of them."""

    def __init__(self, quote: str, symbols: Iterable[str]) -> None:
        self._state = EngineState(quote, {symbol: _instrument(symbol) for symbol in symbols})
        self.messages = 0
        self.compared = 0
        self.count = 0
        self.differences: list[Difference] = []

    def take(self, message: Message) -> None:
        """Compare what this fact says with what follows from those before it, and fold it."""
        self.messages += 1
        body = message.body
        # A round trip's end is folded after the comparison: folding it empties the position that is compared.
        if isinstance(body, PositionClosed):
            self._compare(message)
        if isinstance(body, OrderFilled) and self._state.has_trade(body.symbol, body.trade_id):
            self._differ(message, f"execution {body.trade_id} of {body.symbol}", "booked again", "booked before")
        try:
            self._state.apply(message)
        except (OrderStateError, LedgerError) as error:
            self._differ(message, "the fold", "possible", str(error))
            return
        if not isinstance(body, PositionClosed):
            self._compare(message)

    def finish(self) -> None:
        """After the last message: do the books balance?"""
        self.compared += 1
        try:
            self._state.ledger.check()
        except LedgerError as error:
            self._add(Difference(self.messages, "ledger", "the books", "balanced", str(error)))

    def _compare(self, message: Message) -> None:
        for what, journal, computed in self._pairs(message):
            self.compared += 1
            if journal != computed:
                self._differ(message, what, to_text(journal), to_text(computed))

    def _pairs(self, message: Message) -> Iterator[tuple[str, Decimal, Decimal]]:
        body, ledger = message.body, self._state.ledger
        match body:
            case OrderFilled():
                order = self._state.orders.get(body.client_order_id)
                if order is not None:
                    yield f"filled of {body.client_order_id}", body.cumulative, order.filled
            case FundsChanged():
                yield f"balance of {body.asset}", body.balance, ledger.balance(body.asset)
            case PositionOpened() | PositionChanged():
                position = ledger.position(body.symbol)
                yield f"{body.symbol} held", body.quantity, position.quantity if position else ZERO
                yield f"{body.symbol} average price", body.average_price, position.average_price if position else ZERO
                if isinstance(body, PositionChanged):
                    yield f"{body.symbol} profit", body.realized_pnl, self._state.last_booking.realized_pnl
            case PositionClosed() if body.client_order_id:  # without an order it went by hand, and is told at cost
                position = ledger.position(body.symbol)
                if position is not None:
                    yield f"{body.symbol} sold", body.quantity, position.sold_quantity
                    yield f"{body.symbol} entry price", body.entry_price, position.entry_price
                    yield f"{body.symbol} exit price", body.exit_price, position.exit_price
                    yield f"{body.symbol} profit of the round trip", body.realized_pnl, position.trip_pnl
                    yield f"{body.symbol} fees of the round trip", body.fees, position.trip_fees
            case PortfolioSnapshot() if message.header.source == _ENGINE:
                yield "cash", body.cash, ledger.cash
                yield "realised profit", body.realized_pnl, ledger.realized_pnl
                yield "fees", body.fees, ledger.fees
                for view in body.positions:
                    yield f"{view.symbol} held", view.quantity, ledger.quantity(view.symbol)

    def _differ(self, message: Message, what: str, journal: str, computed: str) -> None:
        self._add(Difference(self.messages, type(message.body).__name__, what, journal, computed))

    def _add(self, difference: Difference) -> None:
        self.count += 1
        if len(self.differences) < MOST_DIFFERENCES:
            self.differences.append(difference)
