"""What an agent is told that begins: what came before it, as far as it goes by it."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from agents.agent import HISTORY
from agents.strategy import ROUND_TRIPS_REMEMBERED
from bus.messages import orders, system
from bus.messages.header import Message
from bus.messages.ledger import PositionClosed
from market.ticks import Candle
from orders.engine import Engine
from tradingd.agent_runner import AgentRunner
from tradingd.message_rules import STANDING
from tradingd.read_model import ReadModel
from tradingd.told_candles import ToldCandles


class AgentBriefing:
    """`make` numbers a message of a source. What stands (`message_rules.STANDING`) is noted here as it is said."""

    def __init__(
        self, engine: Engine, read_model: ReadModel, candles: ToldCandles, make: Callable[[str, object], Message],
    ) -> None:
        self._engine = engine
        self._read_model = read_model
        self._candles = candles
        self._make = make
        self._standing: dict[type, Message] = {}

    def note_standing(self, message: Message) -> None:
        """What holds until it is said anew; of other messages nothing."""
        if type(message.body) in STANDING:
            self._standing[type(message.body)] = message

    def begin_anew(self, runner: AgentRunner, all_runners: Iterable[AgentRunner]) -> None:
        """All that the agent goes by: it has forgotten everything."""
        if PositionClosed in runner.subscriptions:
            self.tell_past(runner)
        if Candle in runner.subscriptions:
            self.give_history(runner)
        if system.AgentFailed in runner.subscriptions:  # a CEO that forgot who failed would allow entries again
            for other in all_runners:
                for failure in other.recent_failures():
                    runner.deliver(self._make(HISTORY, failure))
        for kind, message in self._standing.items():
            if kind in runner.subscriptions:
                runner.deliver(message)

    def tell_past(self, runner: AgentRunner) -> None:
        """Orders that still work, round trips, what is held since when: before the candles, which are read by it."""
        for order in self._engine.orders.working():
            runner.deliver(self._make(HISTORY, orders.OrderInitialized(order.spec)))
        for trip in reversed(self._read_model.results.round_trips.newest(ROUND_TRIPS_REMEMBERED)):
            runner.deliver(self._make(HISTORY, trip))
        account = self._engine.look()
        if account.positions:
            runner.deliver(self._make(HISTORY, account))

    def give_history(self, runner: AgentRunner) -> None:
        """Everything an agent that begins anew needs to know of the past (repeats are ignored by it)."""
        for past in self._candles.history.values():
            for candle in past:
                runner.deliver(self._make(HISTORY, replace(candle, is_warmup=True)))
