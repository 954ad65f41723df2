"""The council on the real memory bus: five agents with the real risk rules, and an engine that only answers.

Run as a program it prints a digest of a busy session, to compare hash seeds.
"""

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any

from agents.agent import Agent
from agents.ceo import Ceo
from agents.risk_officer import RiskOfficer
from agents.strategies.trailing_consensus import TrailingConsensus, TrailingConsensusConfig
from agents.strategy import CouncilConfig, Strategy
from agents.trader import Trader
from bus.memory_bus import MemoryBus
from bus.messages import council, ledger, orders, system
from bus.messages.council import AlphaSignal, RestartAgent, StartAgent
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import PortfolioSnapshot
from bus.messages.orders import OrderInitialized, SubmitOrder
from bus.messages.system import Heartbeat, TimerFired, TradingStateChanged, VoteTradingState
from risk.limits import RiskLimits
from risk.trading_state import TradingStateVotes
from tests.agents.council_scene import BTC, ETH, SESSION, SOL, XRP, analysis, at, buys, portfolio, sells

EVERYTHING = frozenset(
    kind for module in (council, orders, ledger, system) for kind in vars(module).values()
    if isinstance(kind, type) and kind.__module__ == module.__name__
)


class CouncilRoom:
    """Scanner and analyst are played by the test (`candle`); everybody else is real.

    `absent` agents hear and say nothing. `engine_answers`: whether commands bring an order to life.
    """

    def __init__(
        self, *, absent: Sequence[str] = (), engine_answers: bool = True, limits: RiskLimits | None = None,
        config: CouncilConfig | None = None, **rule: Any,
    ) -> None:
        limits = limits or RiskLimits()
        instruments = (BTC, ETH, SOL, XRP)
        self.absent = set(absent)
        self.engine_answers = engine_answers
        self.portfolio: PortfolioSnapshot = portfolio()
        self.log: list[Message] = []
        self.now = at(0)
        self._votes = TradingStateVotes()
        self._bus = MemoryBus(MessageMaker("bus", SESSION))
        self._makers = {name: MessageMaker(name, SESSION) for name in ("engine", "timer", "analyst", "runner")}
        rules = TrailingConsensus(TrailingConsensusConfig(**rule), limits)
        self.agents: tuple[Agent, ...] = (
            Ceo(limits), Strategy(SESSION, config or CouncilConfig(), rules, instruments),
            RiskOfficer(limits, instruments), Trader(),
        )
        for agent in self.agents:
            self._makers[agent.name] = MessageMaker(agent.name, SESSION)
            self._bus.subscribe(agent.name, agent.subscriptions, partial(self._hear, agent))
        self._bus.subscribe("engine", frozenset({SubmitOrder, VoteTradingState}), self._engine)
        self._bus.subscribe("recorder", EVERYTHING, self.log.append)

    def _hear(self, agent: Agent, message: Message) -> None:
        if agent.name in self.absent:
            return
        for emit in agent.handle(message):
            cause = emit.cause or message.id
            make = self._makers[agent.name].make
            self._bus.publish(make(emit.body, self.now, cause=cause, expires=emit.expires, target=emit.target))

    def _engine(self, message: Message) -> None:
        body = message.body
        if isinstance(body, VoteTradingState):
            state, changed = self._votes.vote(body.voter, body.state, body.reason)
            if changed:
                self.say("engine", TradingStateChanged(state, self._votes.votes, self._votes.reason), message.id)
        elif self.engine_answers:
            self.say("engine", OrderInitialized(body), message.id)

    def say(self, source: str, body: Any, cause: str = "") -> Message:
        message = self._makers[source].make(body, self.now, cause=cause)
        self._bus.publish(message)
        return message

    def candle(self, symbol: str = "BTC/USDT", signals: Sequence[AlphaSignal] | None = None, **more: Any) -> Message:
        """The analyst speaks about the candle that closes now; everybody reacts until all is quiet."""
        second = (self.now - at(0)) / 1e9
        opinions = buys(symbol) if signals is None else signals
        said = self.say("analyst", analysis(symbol, opinions, second=second, **more))
        self._bus.pump(self.now)
        return said

    def until(self, second: float) -> "CouncilRoom":
        """Let time pass: each second the heartbeats, a portfolio, and the timer (delivered directly)."""
        while self.now < at(second):
            self.now += 1_000_000_000
            self.tick()
        return self

    def tick(self) -> None:
        for name in ("scanner", "analyst", "strategy", "risk", "trader"):
            if name not in self.absent:
                self.say("runner", Heartbeat(name))
        self.say("engine", self.portfolio)
        self._bus.pump(self.now)
        timer = self._makers["timer"].make(TimerFired("second"), self.now)
        for agent in self.agents:
            self._hear(agent, timer)
            self._bus.pump(self.now)

    def all(self, kind: type) -> list[Message]:
        return [message for message in self.log if isinstance(message.body, kind)]

    def bodies(self, kind: type) -> list[Any]:
        return [message.body for message in self.all(kind)]


def busy_session() -> str:
    """A digest of everything said in two minutes of four symbols, losses and a lost risk officer included."""
    room = CouncilRoom(config=CouncilConfig(cooldown_ns=3_000_000_000))
    for second in range(1, 121):
        room.until(second)
        room.absent = {"risk"} if 60 <= second < 70 else set()
        if second == 90:
            room.portfolio = portfolio(daily_loss=0.05, weekly_drawdown=0.1)
        for symbol in ("XRP/USDT", "BTC/USDT", "SOL/USDT", "ETH/USDT"):
            room.candle(symbol, sells(symbol) if second % 20 == 0 else None)
    kinds = {type(message.body) for message in room.log}
    missing = {SubmitOrder, VoteTradingState, RestartAgent, StartAgent, system.LimitBreached} - kinds
    if missing:
        raise AssertionError(f"the session was not busy enough: {missing}")
    return hashlib.sha256("\n".join(map(repr, room.log)).encode()).hexdigest()


if __name__ == "__main__":
    print(busy_session())
