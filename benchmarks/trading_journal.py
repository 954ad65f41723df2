"""A journal as long days of trading leave it: the real engine trades round after round on made-up prices."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path
from random import Random

from bus.ids import ClientOrderId, SessionId, TradeId, VenueOrderId
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import FundsChanged
from bus.messages.orders import ExecutionReport, Protection, SubmitOrder, TrailSpec
from bus.messages.system import DaemonStarted, TimerFired
from market.instrument import Instrument
from market.interval import SECOND_NS
from market.money import ZERO
from market.ticks import QuoteTick, TradeTick
from orders.effects import CancelAtVenue, SubmitToVenue
from orders.engine import Engine, EngineConfig
from risk.limits import RiskLimits
from tradingd.message_journal import MessageJournal

START = 1_700_000_000 * SECOND_NS
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
_D = Decimal


def limits() -> RiskLimits:
    """Out of the way: the journal is to be long, not cautious."""
    one = _D(1)
    return RiskLimits(
        exposure_per_asset=one, exposure_total=one, daily_drawdown=one, weekly_drawdown=one, max_drawdown=one,
        daily_loss=one, max_positions=10, collar=one, max_order_notional=one, runaway_loss=one, kill_loss=one,
        orders_per_second=1000, orders_per_minute=1000, duplicate_window_ns=0, notional_per_minute=_D(1000),
    )


def instruments() -> list[Instrument]:
    return [
        Instrument(symbol, symbol.replace("/", ""), symbol[:3], "USDT", _D("0.01"), _D("0.0001"), _D("0.0001"),
                   _D(10_000), _D(5), _D("0.0005"), _D("0.0005"))
        for symbol in SYMBOLS
    ]


def new_engine(session: str) -> Engine:
    config = EngineConfig("USDT", limits(), intervals=("1s", "5s"))
    return Engine(config, instruments(), MessageMaker("engine", SessionId(session)))


class _Desk:
    """The engine with a venue that fills every order at once at the last price."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._engine = new_engine("s1")
        self._maker = MessageMaker("bench", SessionId("s1"))
        self._trades = count(1)
        self._now = START
        self._prices = dict.fromkeys(SYMBOLS, _D(100))

    def trade(self) -> Iterator[list[Message]]:
        """The facts of each step, without end."""
        start = self._maker.make(DaemonStarted(SessionId("s1"), "0", "paper", "practice", SYMBOLS, 1, False), self._now)
        funds = self._maker.make(FundsChanged("USDT", _D(1_000_000), _D(1_000_000), "initial capital"), self._now)
        self._engine.process(funds)
        yield [start, funds]
        trail = TrailSpec("percent", _D("0.004"))
        for number in count(1):
            symbol = SYMBOLS[number % len(SYMBOLS)]
            yield from self._prices_move(symbol, 3)
            order = SubmitOrder(
                ClientOrderId(f"td-b{number}"), symbol, "buy", "market", _D("0.5"), "manual",
                protection=Protection(_D("0.02"), trail), reason="bench",
            )
            yield from self._take(self._maker.make(order, self._now))
            yield from self._prices_move(symbol, 12)

    def _prices_move(self, symbol: str, steps: int) -> Iterator[list[Message]]:
        for _ in range(steps):
            self._now += SECOND_NS
            pull = (_D(100) - self._prices[symbol]) * _D("0.002")  # prices stay where orders are worth their while
            price = self._prices[symbol] * _D(self._random.choice(("0.998", "0.999", "1.001", "1.002"))) + pull
            self._prices[symbol] = price = price.quantize(_D("0.01"))
            yield from self._take(QuoteTick(symbol, price - _D("0.01"), _D(50), price, _D(50), self._now, self._now))
            yield from self._take(TradeTick(symbol, price, _D(1), "buy", str(self._now), self._now, self._now))
            yield from self._take(self._maker.make(TimerFired("second"), self._now))

    def _take(self, item: Message | QuoteTick | TradeTick) -> Iterator[list[Message]]:
        waiting: list[Message | QuoteTick | TradeTick] = [item]
        while waiting:
            effects = self._engine.process(waiting.pop(0))
            facts = [each for each in effects if isinstance(each, Message) and type(each.body).__name__ != "Candle"]
            if facts:
                yield facts
            for effect in effects:
                if isinstance(effect, SubmitToVenue):
                    waiting += self._fill(effect)
                elif isinstance(effect, CancelAtVenue):
                    waiting.append(self._report(effect.client_order_id, effect.symbol, "cancelled"))

    def _fill(self, effect: SubmitToVenue) -> list[Message | QuoteTick | TradeTick]:
        order = effect.approved.order
        price = self._prices[order.symbol]
        return [
            self._report(order.client_order_id, order.symbol, "accepted"),
            self._report(order.client_order_id, order.symbol, "fill", order.quantity, price),
        ]

    def _report(
        self, client_order_id: ClientOrderId, symbol: str, kind: str, quantity: Decimal = ZERO, price: Decimal = ZERO,
    ) -> Message:
        trade = TradeId(f"t{next(self._trades)}") if kind == "fill" else TradeId("")
        return self._maker.make(
            ExecutionReport(
                client_order_id, symbol, kind, self._now, VenueOrderId("v" + client_order_id), trade, quantity, price,  # type: ignore[arg-type]
                quantity * price * _D("0.0005"), "USDT", simulated=True,
            ),
            self._now,
        )


def write_journal(path: Path, records: int, seed: int = 1) -> int:
    """At least so many records; returns how many."""
    journal = MessageJournal.open(path)
    try:
        written = 0
        for facts in _Desk(seed).trade():
            journal.append(facts, sync=False)
            written += len(facts)
            if written >= records:
                journal.flush()
                return written
    finally:
        journal.close()
    return 0
