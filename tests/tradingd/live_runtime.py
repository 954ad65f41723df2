"""A whole runtime in this process: real engine, paper venue, journal file and memory bus, on a clock of its own."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from agents.agent import Agent, AgentStatus, Emit
from bus.clock import FeedClock
from bus.ids import CLIENT_ID_PREFIX, ClientOrderId, ProposalId, SessionId
from bus.memory_bus import MemoryBus
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import FundsChanged
from bus.messages.orders import Origin, SubmitOrder
from exchanges.simulated import SimulatedVenue
from exchanges.venue import Venue
from market.ticks import QuoteTick, TradeTick
from tests.orders.trading import BTC, ETH, START, instrument
from tradingd import composition
from tradingd.message_journal import MessageJournal
from tradingd.read_model import ReadModel
from tradingd.recorded_runtime import RecordedRuntime
from tradingd.runtime import Runtime
from tradingd.session_inputs import InputTape
from tradingd.settings import CandleSettings, PaperSettings, RiskSettings, Settings, StrategySettings
from tradingd.story import Story, StoryLine

D = Decimal
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
SESSION = SessionId("s1")


class Scene:
    """`around` may put a venue of its own around the paper venue; `inputs`: where what reaches it is noted."""

    def __init__(
        self, folder: Path, *, around: Callable[[SimulatedVenue, Path], Venue] | None = None, capital: str = "10000",
        warmup: int = 50, risk: RiskSettings | None = None, strategy: StrategySettings | None = None,
        candles: CandleSettings | None = None, inputs: InputTape | None = None,
    ) -> None:
        self.settings = Settings(
            symbols=(BTC, ETH), paper=PaperSettings(use_book=False), risk=risk or RiskSettings(),
            strategy=strategy or StrategySettings(), candles=candles or CandleSettings(),
        )
        self.limits = composition.make_limits(self.settings)
        self.instruments = [instrument(BTC), instrument(ETH)]
        self.clock = FeedClock(START)
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "journal.journal"
        self.journal = MessageJournal.open(self.path)
        self.lines: list[StoryLine] = []
        self.bus = MemoryBus(MessageMaker("bus", SESSION))
        self.paper = SimulatedVenue(
            composition.paper_config(self.settings), self.instruments, lambda report: self.runtime.on_report(report),
        )
        make = Runtime if inputs is None else partial(RecordedRuntime, inputs, with_books=False)
        self.runtime = make(
            session=SESSION, engine=composition.make_engine(self.settings, self.limits, self.instruments, SESSION),
            venue=around(self.paper, self.path) if around else self.paper, bus=self.bus, journal=self.journal,
            read_model=ReadModel("USDT"), story=Story(self.lines.append, "USDT"), clock=self.clock, warmup=warmup,
        )
        self._trades = count(1)
        self._strangers = MessageMaker("stranger", SESSION)
        self._orders = count(1)
        self.capital = D(capital)

    def with_council(self) -> "Scene":
        """The six real agents."""
        makers = composition.make_agents(self.settings, self.limits, self.instruments, SESSION)
        for name, make in makers.items():
            self.runtime.add_agent(name, make)
        return self

    def open(self, **prices: str) -> "Scene":
        """Everyone connected, the capital paid in, one quote and trade of each symbol."""
        self.runtime.subscribe_all()
        for runner in self.runtime.runners.values():
            runner.start()
        runtime = self.runtime
        runtime.take(runtime.record("daemon", FundsChanged("USDT", self.capital, self.capital, "initial capital")))
        self.price(BTC, prices.get("btc", "100"))
        self.price(ETH, prices.get("eth", "10"))
        return self

    def price(self, symbol: str, text: str, after_ms: int = 1) -> None:
        """A quote around the price and a trade at it."""
        self.clock.advance(self.clock.now() + after_ms * MILLISECOND)
        now, price = self.clock.now(), D(text)
        self.runtime.take(QuoteTick(symbol, price - D("0.01"), D(50), price, D(50), now, now))
        self.runtime.take(TradeTick(symbol, price, D(1), "buy", str(next(self._trades)), now, now))

    def second(self) -> None:
        """A second passes: market first, timer after."""
        self.clock.advance(self.clock.now() + SECOND)
        self.runtime.tick()

    def settle_venue(self) -> None:
        """Let the paper venue's answers arrive."""
        self.clock.advance(self.clock.now() + 100 * MILLISECOND)
        self.runtime.advance_venue(self.clock.now())

    def order(self, symbol: str = BTC, quantity: str = "1", origin: Origin = "manual", **more: object) -> SubmitOrder:
        order_id = ClientOrderId(f"{CLIENT_ID_PREFIX}t{next(self._orders)}")
        spec: dict[str, object] = {"side": "buy", "order_type": "market", **more}
        return SubmitOrder(order_id, symbol, quantity=D(quantity), origin=origin, **spec)  # type: ignore[arg-type]

    def over_the_bus(self, body: object) -> Message:
        """What a stranger on the bus says, and all that follows."""
        message = self._strangers.make(body, self.clock.now())
        self.bus.publish(message)
        self.runtime.settle()
        return message

    def told(self, kind: type) -> list[Any]:
        """Bodies of this kind in the journal, read from disk."""
        journal = MessageJournal.open(self.path, read_only=True)
        try:
            return [message.body for message in journal.read() if type(message.body) is kind]
        finally:
            journal.close()


class Parrot:
    """An agent for tests: hears one kind of message and answers as told."""

    def __init__(self, name: str, hears: type, answer: Callable[[Message], list[Emit]]) -> None:
        self.name = name
        self.subscriptions = frozenset({hears})
        self._answer = answer

    def handle(self, message: Message) -> list[Emit]:
        return self._answer(message) if type(message.body) in self.subscriptions else []

    def status(self) -> AgentStatus:
        return AgentStatus("running", "repeats")


def parrot(name: str, hears: type, answer: Callable[[Message], list[Emit]]) -> Callable[[], Agent]:
    return lambda: Parrot(name, hears, answer)


PROPOSAL = ProposalId("s1-p1")
