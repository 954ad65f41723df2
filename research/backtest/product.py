"""The product in a plain loop: six agents, runtime, engine, gate, ledger and journal, wired as the daemon wires them.

What differs from the daemon: the clock is moved by whoever feeds it, the bus is in memory, and nobody listens but who
asks to.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from agents.alphas.panel import AlphaPanel
from bus.clock import FeedClock
from bus.ids import SessionId
from bus.memory_bus import MemoryBus
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import FundsChanged
from exchanges.simulated import SimulatedVenue
from exchanges.venue import Venue
from market.instrument import Instrument
from orders.engine import Engine
from tradingd import composition
from tradingd.message_journal import MessageJournal
from tradingd.paper_account import holdings
from tradingd.read_model import ReadModel
from tradingd.runtime import Runtime
from tradingd.settings import Settings
from tradingd.story import Story
from tradingd.weight_keeper import keep_weights


@dataclass(frozen=True, slots=True)
class Product:
    """What runs. Close `runtime.journal` in the end."""

    runtime: Runtime
    clock: FeedClock
    venue: Venue
    engine: Engine


class _Unseen(ReadModel):
    """Nobody looks while a backtest runs: what is folded for people is not folded. Weights learn from what is."""

    def apply(self, message: Message) -> None:
        """Passed over but for what weights rest on."""
        self.alphas.weights.apply(message)


class _Untold(Story):
    """Nor does anybody read along."""

    def __init__(self, quote: str) -> None:
        super().__init__(lambda line: None, quote)

    def tell(self, message: Message) -> None:
        """Passed over."""


def make_product(
    settings: Settings, instruments: Sequence[Instrument], session: SessionId, clock: FeedClock, journal: Path,
    read_model: ReadModel | None = None, venue: Venue | None = None, panel: AlphaPanel | None = None,
    outside: Collection[str] | None = None,
) -> Product:
    """`venue`: instead of the paper venue; `read_model`: one that knows earlier sessions; `panel`: foreign
    alphas, `outside` their names (None: any)."""
    quote = settings.account.quote
    limits = composition.make_limits(settings)
    tradable = [each for each in instruments if each.quote == quote]
    model = read_model if read_model is not None else _Unseen(quote)
    engine = composition.make_engine(settings, limits, tradable, session)
    used: Venue = venue if venue is not None else SimulatedVenue(
        composition.paper_config(settings), instruments, lambda report: runtime.on_report(report),
        balances=lambda: holdings(engine),
    )
    runtime = Runtime(
        session=session,
        engine=engine,
        venue=used,
        bus=MemoryBus(MessageMaker("bus", session), settings.bus.queue_size),
        journal=MessageJournal.open(journal),
        read_model=model,
        story=_Untold(quote),
        clock=clock,
        warmup=settings.candles.warmup,
    )
    agents = composition.make_agents(
        settings, limits, tradable, session, model.alphas.chosen_weights, panel=panel, outside=outside,
        chosen_parameters=lambda: model.tuning.current,
    )
    for name, make in agents.items():
        runtime.add_agent(name, make)
    keep_weights(runtime, settings)
    return Product(runtime, clock, used, engine)


def begin(product: Product, quote: str, cash: Decimal) -> None:
    """A new account with so much money, and agents that have begun."""
    runtime = product.runtime
    runtime.start_council()
    runtime.take(runtime.record("daemon", FundsChanged(quote, cash, cash, "initial capital")))
    runtime.vote_health()
