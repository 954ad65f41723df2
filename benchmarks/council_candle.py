"""P11: one closed candle through the council: features, every alpha, consensus, proposal, the risk officer's verdict.

The agents are the daemon's, with the configuration's alphas, on the memory bus; candles of several symbols close
together as they do live, with the longer intervals of the configuration. Timed is what a closed candle sets off; the
heartbeats and portfolio between two candles are not. Processor time, so that other work on the machine counts less.
"""

import random
import statistics
import time
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from agents.agent import Agent
from agents.alphas.alpha import MarketView
from agents.alphas.registry import make_alphas
from agents.analyst import regime_of
from agents.scanner import Scanner, ScannerConfig
from benchmarks.result import Result, percentile
from bus.ids import SessionId
from bus.memory_bus import MemoryBus
from bus.messages.council import AnalysisCompleted, ProposalApproved, ProposalVetoed, TradeProposed
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import PortfolioSnapshot
from bus.messages.orders import OrderInitialized, SubmitOrder
from bus.messages.system import Heartbeat, TimerFired, TradingStateChanged
from market.indicators_features import FEATURE_NAMES, IndicatorSet
from market.instrument import Instrument
from market.interval import SECOND_NS
from market.ticks import Candle
from tradingd import composition
from tradingd.settings_loading import load_settings

SESSION = SessionId("bench")
BEGIN_NS = 1_700_000_000 * SECOND_NS
WARM_SECONDS = 120
SIZES = ((1, 1), (50, 50), (500, 5))
"""Symbols, and how many of them may stand on the watch list: only those are spoken about."""

MOST_CANDLES = 6_000
ALPHA_CANDLES = 10_000
RANKED_SYMBOLS = 500


def run() -> list[Result]:
    results = [result for symbols, watched in SIZES for result in _council(symbols, watched)]
    return [*results, *_alphas(), *_scanner(RANKED_SYMBOLS)]


class Market:
    """Random walks in cents, one per symbol: second candles, and the longer ones made of them."""

    def __init__(self, symbols: int, seed: int = 7) -> None:
        self.symbols = [f"S{number:03d}/USDT" for number in range(symbols)]
        self._chance = random.Random(seed)
        self._price = dict.fromkeys(self.symbols, 10_000.0)
        self._open: dict[tuple[str, int], list[Any]] = {}

    def second(self, number: int) -> list[Candle]:
        """All candles that close with second `number`, the longer intervals first, as the engine tells them."""
        closed: list[Candle] = []
        for symbol in self.symbols:
            one = self._one(symbol, number)
            for length, name in ((60, "1m"), (5, "5s")):
                parts = self._open.setdefault((symbol, length), [])
                parts.append(one)
                if (number + 1) % length == 0:
                    closed.append(_folded(parts, name))
                    parts.clear()
            closed.append(one)
        return closed

    def _one(self, symbol: str, number: int) -> Candle:
        price, chance = self._price[symbol], self._chance
        path = [price]
        for _ in range(4):
            price *= 1.0 + chance.gauss(0.0, 0.0006)
            path.append(price)
        self._price[symbol] = price
        cents = [Decimal(round(each)) / 100 for each in path]
        volume = Decimal(round(chance.expovariate(0.2) * 1_000)) / 1_000
        start = BEGIN_NS + number * SECOND_NS
        return Candle(
            symbol, "1s", start, cents[0], max(cents), min(cents), cents[-1], volume, 9, start + SECOND_NS,
            taker_buy_volume=volume / 2,
        )


def _folded(parts: Sequence[Candle], name: str) -> Candle:
    return Candle(
        parts[0].symbol, name, parts[0].ts_open, parts[0].open, max(one.high for one in parts),
        min(one.low for one in parts), parts[-1].close, sum((one.volume for one in parts), Decimal(0)),
        sum(one.trades for one in parts), parts[-1].ts_init, taker_buy_volume=Decimal(0),
    )


class Council:
    """The six agents on a memory bus, and an engine that takes every order and forgets it."""

    def __init__(self, symbols: Sequence[str], watched: int) -> None:
        overrides = {"symbols": list(symbols), "data_dir": ".", "scanner": {"top": watched}}
        settings = load_settings(Path("config.toml"), environ={}, overrides=overrides)
        limits = composition.make_limits(settings)
        instruments = [_instrument(symbol) for symbol in symbols]
        self.now = BEGIN_NS
        self.counts: dict[type, int] = {}
        self._bus = MemoryBus(MessageMaker("bus", SESSION), queue_size=100_000)
        self._makers: dict[str, MessageMaker] = {name: MessageMaker(name, SESSION) for name in ("engine", "timer")}
        self.agents: list[Agent] = []
        for name, make in composition.make_agents(settings, limits, instruments, SESSION).items():
            agent = make()
            self.agents.append(agent)
            self._makers[name] = MessageMaker(name, SESSION)
            self._bus.subscribe(name, agent.subscriptions, partial(self._hear, agent))
        counted = frozenset({AnalysisCompleted, TradeProposed, ProposalApproved, ProposalVetoed})
        self._bus.subscribe("counter", counted, self._count)
        self._bus.subscribe("engine", frozenset({SubmitOrder}), self._engine)
        self.say("engine", TradingStateChanged("ACTIVE", (), "benchmark"))

    def say(self, source: str, body: Any, cause: str = "") -> None:
        self._bus.publish(self._makers[source].make(body, self.now, cause=cause))

    def between(self) -> None:
        """What comes once a second besides candles."""
        for agent in self.agents:
            self.say("engine", Heartbeat(agent.name))
        self.say("engine", _portfolio())
        self._bus.pump(self.now)
        timer = self._makers["timer"].make(TimerFired("second"), self.now)
        for agent in self.agents:
            self._hear(agent, timer)
        self._bus.pump(self.now)

    def candles(self, closed: Sequence[Candle]) -> None:
        """They close, and everybody reacts until all is quiet."""
        for candle in closed:
            self.say("engine", candle)
        self._bus.pump(self.now)

    def _hear(self, agent: Agent, message: Message) -> None:
        for emit in agent.handle(message):
            made = self._makers[agent.name].make(
                emit.body, self.now, cause=emit.cause or message.id, expires=emit.expires, target=emit.target
            )
            self._bus.publish(made)

    def _count(self, message: Message) -> None:
        kind = type(message.body)
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def _engine(self, message: Message) -> None:
        self.say("engine", OrderInitialized(message.body), message.id)


def _council(symbols: int, watched: int) -> list[Result]:
    market = Market(symbols)
    council = Council(market.symbols, watched)
    seconds = max(MOST_CANDLES // symbols, 10)
    spent: list[float] = []
    for number in range(WARM_SECONDS + seconds):
        closed = market.second(number)
        council.now = closed[-1].ts_init
        council.between()
        begin = time.process_time()
        council.candles(closed)
        if number >= WARM_SECONDS:
            spent.append((time.process_time() - begin) / symbols * 1e3)
    analyses = council.counts.get(AnalysisCompleted, 0)
    verdicts = council.counts.get(ProposalApproved, 0) + council.counts.get(ProposalVetoed, 0)
    if not analyses or not verdicts:
        raise RuntimeError(f"the council was not busy: {analyses} analyses, {verdicts} verdicts")
    params: dict[str, str | int | float | bool] = {
        "symbols": symbols, "watched": watched, "alphas": len(make_alphas({})), "features": len(FEATURE_NAMES),
        "verdicts": verdicts,
    }
    return [
        Result("council_candle", statistics.mean(spent), "ms/symbol/candle", params),
        Result("council_candle", percentile(spent, 0.99), "ms/symbol/candle", {**params, "percentile": 99}),
    ]


def _alphas() -> list[Result]:
    """Each alpha alone over candles whose features are known: seconds of 10,000 opinions."""
    views = _views(ALPHA_CANDLES)
    results = []
    for alpha in make_alphas({}):
        spent = []
        for _ in range(3):
            begin = time.process_time()
            for view in views:
                alpha.opinion(view)
            spent.append((time.process_time() - begin) * 1e3)
        results.append(Result("alpha_candles", statistics.median(spent), "ms/10,000 candles", {"alpha": alpha.name}))
    return [*results, _features(ALPHA_CANDLES)]


def _views(count: int) -> list[MarketView]:
    market, indicators, views = Market(1), IndicatorSet(), []
    higher: dict[str, IndicatorSet] = {"5s": IndicatorSet(), "1m": IndicatorSet()}
    for number in range(count):
        for candle in market.second(number):
            higher.get(candle.interval, indicators).update(candle)
        features = indicators.features()
        views.append(MarketView(
            candle.symbol, candle.interval, candle.ts_open, indicators.opens, indicators.highs, indicators.lows,
            indicators.closes, indicators.volumes, features, regime_of(features),
            {interval: state.features() for interval, state in higher.items() if state.count},
        ))
    return views


def _features(count: int) -> Result:
    market, indicators = Market(1), IndicatorSet()
    seconds = [market.second(number)[-1] for number in range(count)]
    begin = time.process_time()
    for candle in seconds:
        indicators.update(candle)
        indicators.features()
    spent = (time.process_time() - begin) / count * 1e3
    return Result("council_features", spent, "ms/candle", {"features": len(FEATURE_NAMES)})


def _scanner(symbols: int) -> list[Result]:
    """The scanner at its largest: one ranking of all symbols after a candle of each, and the candles themselves."""
    market = Market(symbols)
    config = ScannerConfig(10, Decimal(1_000), 0.002, SECOND_NS, "1s", quote="USDT")
    scanner, maker = Scanner(config, market.symbols), MessageMaker("engine", SESSION)
    hearing, ranking = [], []
    for number in range(80):
        closed = market.second(number)
        now = closed[-1].ts_init
        heard = [maker.make(candle, now - SECOND_NS) for candle in closed]
        timer = maker.make(TimerFired("second"), now)
        begin = time.process_time()
        for message in heard:
            scanner.handle(message)
        middle = time.process_time()
        ranked = scanner.handle(timer)
        end = time.process_time()
        if number >= 60 and ranked:
            hearing.append((middle - begin) / len(heard) * 1e6)
            ranking.append((end - middle) * 1e3)
    params: dict[str, str | int | float | bool] = {"symbols": symbols}
    return [
        Result("scanner_ranking", statistics.median(ranking), "ms", params),
        Result("scanner_candle", statistics.median(hearing), "us", params),
    ]


def _instrument(symbol: str) -> Instrument:
    base, _, quote = symbol.partition("/")
    least = Decimal("0.00001")
    return Instrument(
        symbol, symbol.replace("/", ""), base, quote, Decimal("0.01"), least, least, Decimal(9_000), Decimal(5)
    )


def _portfolio() -> PortfolioSnapshot:
    total, nothing = Decimal(10_000), Decimal(0)
    return PortfolioSnapshot(
        quote="USDT", equity=total, cash=total, available=total, exposure=nothing, realized_pnl=nothing,
        unrealized_pnl=nothing, fees=nothing, positions=(), working_entries=(), peak_equity=total,
        day_open_equity=total, day_peak_equity=total, week_peak_equity=total, daily_drawdown=0.0, weekly_drawdown=0.0,
        max_drawdown=0.0, daily_loss=0.0, initial_capital=total,
    )
