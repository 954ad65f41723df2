"""The loop around the engine: one input at a time, its effects performed in order, the council until quiet.

There is no queue between a feed and the engine: `take` runs the whole step synchronously, so inputs have
a total order by construction and a slow step makes the feed wait (its socket is the bounded buffer).
What a step itself causes (reports of the simulated venue, commands of the council) waits in the control
lane and is taken before the next market item, most urgent first.

Order within a step: engine -> journal (flushed if anything goes to a venue) -> venue -> read model, story,
bus. An exception of the engine or the journal is not caught: the process ends and starts anew from the
journal (crash-only).
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from agents.agent import HISTORY, Agent
from bus.bus import Bus
from bus.clock import Clock
from bus.ids import SessionId
from bus.messages import council, orders, system
from bus.messages.header import Message, MessageMaker
from exchanges.simulated import SimulatedVenue
from exchanges.venue import PreparesOrders, Venue
from market.interval import SECOND_NS
from market.ticks import Candle, FeedAlive, MarketItem, QuoteInvalid, QuoteTick, TradeTick
from orders.effects import Answer, CancelAtVenue, Effect, QueryVenue, SubmitToVenue
from orders.engine import Engine
from tradingd.agent_briefing import AgentBriefing
from tradingd.agent_runner import AgentRunner
from tradingd.agent_watch import AgentWatch
from tradingd.health import Health
from tradingd.message_journal import MessageJournal
from tradingd.message_rules import (
    ENGINE_COMMANDS,
    JOURNALLED_FROM_AGENTS,
    NEVER_OVER_THE_BUS,
    NOT_JOURNALLED,
    STRAIGHT_TO_ENGINE,
    SUPERVISION,
    may_say,
)
from tradingd.read_model import ReadModel
from tradingd.ready_orders import ReadyOrder, ready_orders
from tradingd.story import Story
from tradingd.told_candles import ToldCandles
from tradingd.weight_fold import ADAPTATION

_PERSON: Final = "person-"
"""Before a person's name: one who is called "engine" must not share the engine's numbers."""
QUOTE_SAMPLE_NS: Final = 5 * SECOND_NS
"""How often the council is told the quotes."""

_MAX_ROUNDS: Final = 10_000


class Runtime:
    """Owns the order of everything. Built by `tradingd.daemon`, driven by its feed and timers."""

    def __init__(
        self, *, session: SessionId, engine: Engine, venue: Venue, bus: Bus, journal: MessageJournal,
        read_model: ReadModel, story: Story, clock: Clock, warmup: int,
    ) -> None:
        self.engine = engine
        self.venue = venue
        self.bus = bus
        self.journal = journal
        self.read_model = read_model
        self.clock = clock
        self.health = Health(clock.now)
        self.runners: dict[str, AgentRunner] = {}
        self.agent_watch = AgentWatch()
        self.candles = ToldCandles(warmup)
        self.on_fatal: Callable[[BaseException], None] = lambda error: None
        self.listeners: list[Callable[[Message], None]] = []  # alerts, metrics: quick, and they never raise
        self.on_candle: Callable[[Candle], None] = lambda candle: None
        self.on_step: Callable[[], None] = lambda: None
        """Called behind each step that may have changed what `make_ready` worked out."""
        self.frames = 0
        self._preparer = venue if isinstance(venue, PreparesOrders) else None
        self._ready: Sequence[ReadyOrder] = ()
        self.fired_ready = 0
        """Orders that left as they had been made ready."""
        self._story = story
        self._simulated = venue if isinstance(venue, SimulatedVenue) else None
        self._makers: dict[str, MessageMaker] = {}
        self._session = session
        self._lane: list[tuple[int, int, Message]] = []
        self._lane_count = 0
        self._is_busy = False
        self._collect: dict[str, list[Message]] = {}
        self._health_vote: str | None = None
        self._sampled_ns = 0
        self._journalled_orders: deque[str] = deque(maxlen=4096)
        self._briefing = AgentBriefing(engine, read_model, self.candles, self.make)

    # ---- inputs ------------------------------------------------------------------------------------

    def take(self, item: MarketItem | Candle | Message) -> None:
        """One input, and all that follows from it until quiet."""
        if self._is_busy:
            if not isinstance(item, Message):
                raise RuntimeError("a market item arrived inside a step: feeds must call take from outside")
            self._queue(item)
            return
        self._is_busy = True
        kind = type(item)
        try:
            if self._simulated is not None and kind is not Message and kind is not Candle:
                self._simulate(self._simulated, item)  # type: ignore[arg-type]
            if kind is QuoteTick or (kind is TradeTick and not (self._ready and self._fire_ready(item))):  # type: ignore[arg-type]
                effects = self.engine.process(item)  # type: ignore[arg-type]
                if effects:
                    self.perform(effects)
                    self.on_step()
            elif kind is Message or kind is FeedAlive or kind is Candle or kind is QuoteInvalid:
                self._engine_step(item)  # type: ignore[arg-type]
            if self._lane or self.bus.waiting:
                self._until_quiet()
        except BaseException as error:
            self.on_fatal(error)
            raise
        finally:
            self._is_busy = False

    def settle(self) -> None:
        """Let the council finish what it has been told."""
        if self._is_busy:
            return
        self._is_busy = True
        try:
            self._until_quiet()
        except BaseException as error:
            self.on_fatal(error)
            raise
        finally:
            self._is_busy = False

    def make(self, source: str, body: object, *, cause: str = "") -> Message:
        """A numbered message of this process's own parts (operator, venue, health, daemon, ...)."""
        maker = self._makers.get(source)
        if maker is None:
            maker = self._makers[source] = MessageMaker(source, self._session)
        return maker.make(body, self.clock.now(), cause=cause)

    def on_report(self, report: orders.ExecutionReport) -> None:
        """The sink of every venue."""
        self.take(self.make("venue", report))

    def command(self, body: object, *, by: str) -> list[Message]:
        """A person's command; returns the facts it caused."""
        self.advance_venue(self.clock.now())
        message = self.make(f"{_PERSON}{by}", body)
        answers = self._collect[message.id] = []
        try:
            self.take(message)
        finally:
            del self._collect[message.id]
        return answers

    def beat(self) -> None:
        """The engine's timer alone, while the process still starts: what it protects does not wait for the rest."""
        self.take(self.make("start", system.TimerFired("second")))

    def tick(self) -> None:
        """Once a second of the session's clock: timers for engine and agents, the portfolio, health."""
        now = self.clock.now()
        self.advance_venue(now)
        timer = self.make("timer", system.TimerFired("second"))
        self.take(timer)
        portfolio = self.make("portfolio", self.engine.portfolio(now))
        self._briefing.note_standing(portfolio)
        self.read_model.apply(portfolio)
        self.bus.publish(portfolio)
        if now - self._sampled_ns >= QUOTE_SAMPLE_NS:
            self._sample_quotes(now)
        self.settle()
        # The CEO last: it judges by heartbeats, and those of this very second must be in.
        for runner in sorted(self.runners.values(), key=lambda each: each.name == "ceo"):
            runner.tick(timer)
        self._supervise_ceo()
        self.settle()
        self.vote_health()

    def _sample_quotes(self, now: int) -> None:
        self._sampled_ns = now
        quotes = tuple(
            council.SampledQuote(symbol, bid, ask)
            for symbol, (bid, ask, _) in sorted(self.engine.prices().items()) if bid is not None and ask is not None
        )
        if quotes:
            self.bus.publish(self.make("market", council.QuotesSampled(quotes)))

    def _supervise_ceo(self) -> None:
        """The CEO restarts the others; itself it cannot."""
        ceo = self.runners.get("ceo")
        if ceo is None:
            return
        if ceo.has_failed:
            self.health.raise_condition("ceo", "the CEO has failed and is begun anew: nobody supervises the agents")
            self.vote_health()
            ceo.restart("restarted by the process")
        else:
            self.health.clear("ceo")

    def advance_venue(self, now: int) -> None:
        """Let the simulated venue's answers that are due arrive."""
        if self._simulated is not None:
            self._simulated.advance(now)

    def on_line_lost(self) -> None:
        """Market data is cut off: the simulated venue fills at no price from before."""
        if self._simulated is not None:
            self._simulated.on_line_lost()

    def is_venue_due(self, now: int) -> bool:
        """Would `advance_venue` do anything?"""
        return self._simulated is not None and self._simulated.next_due_ns <= now

    def vote_health(self) -> None:
        """Tell the engine when the process's health changes what may be risked."""
        reasons = self.health.reasons_to_reduce
        vote = "; ".join(reasons)
        if vote == self._health_vote:
            return
        self._health_vote = vote
        self._say_health(vote)

    def try_exits_at_once(self) -> None:
        """What stood in the way of exits may be over: health's word, said again, lets them wait no longer."""
        if self._health_vote is not None:
            self._say_health(self._health_vote)

    def _say_health(self, reasons: str) -> None:
        state: system.TradingState = "REDUCING" if reasons else "ACTIVE"
        self.take(self.make("health", system.VoteTradingState("health", state, reasons or "all is well")))

    # ---- one step ----------------------------------------------------------------------------------

    def _simulate(self, venue: SimulatedVenue, item: MarketItem) -> None:
        """It hears the market before the engine does, and its reports go first."""
        venue.on_market(item)
        while self._lane:
            self._engine_step(heapq.heappop(self._lane)[2])

    def _fire_ready(self, tick: TradeTick) -> bool:
        """Journal and send what this trade sets off, if that was made ready; the engine's own step comes behind it."""
        for ready in self._ready:
            if ready.symbol == tick.symbol and (approved := ready.approve(tick)) is not None:
                records = ready.records(tick)
                self.journal.append_encoded(records, sync=True)
                ready.send(approved)
                self._ready = ()
                self.fired_ready += 1
                effects = self.engine.process(tick)
                ready.hold_against(effects, records)
                self.perform(effects, len(records) + 1)
                self.on_step()
                return True
        return False

    def make_ready(self) -> None:
        """Work out ahead what may be done at once when the next orders fire; for a moment when nothing waits."""
        if self._preparer is not None and not self._is_busy:
            self._ready = ready_orders(self.engine, self._preparer)

    def _engine_step(self, item: Message | FeedAlive | Candle | QuoteInvalid) -> None:
        effects = self.engine.process(item)
        if effects:
            self.perform(effects)
        self.on_step()

    def _queue(self, message: Message) -> None:
        self._lane_count += 1
        heapq.heappush(self._lane, (message.header.priority, self._lane_count, message))

    def _until_quiet(self) -> None:
        for _ in range(_MAX_ROUNDS):
            while self._lane:
                self._engine_step(heapq.heappop(self._lane)[2])
            if not self.bus.pump(self.clock.now()) and not self._lane:
                return
        raise RuntimeError("the council did not come to rest: two parts answer each other for ever")

    # ---- effects -----------------------------------------------------------------------------------

    def perform(self, effects: Sequence[Effect], already: int = 0) -> None:
        """Carry out what the engine decided: the journal first, then the venue, then those who listen.

        Of the first so many effects that is done `already`, up to the telling.
        """
        facts: list[Message] = []
        for_venue: list[Effect] = []
        is_latched = changes_venue = False
        for effect in effects[already:] if already else effects:
            if type(effect) is Message:
                kind = type(effect.body)
                if kind not in NOT_JOURNALLED:
                    facts.append(effect)
                    is_latched = is_latched or kind is system.KillSwitchEngaged
            elif type(effect) is not Answer:
                for_venue.append(effect)
                changes_venue = changes_venue or type(effect) is not QueryVenue
        if facts or changes_venue:
            # What a person is about to be told is on disk: a pause or a held stop must not be lost by a power cut.
            self.journal.append(facts, sync=changes_venue or is_latched or bool(self._collect))
        for effect in for_venue:
            if type(effect) is SubmitToVenue:
                self.venue.submit(effect.approved)
            else:
                self._ask_venue(effect)
        for effect in effects:
            if type(effect) is Message:
                self._tell(effect)
            elif type(effect) is Answer:
                self._collect_answer(effect.message)
                self.bus.publish(effect.message)

    def _ask_venue(self, effect: Effect) -> None:
        match effect:
            case CancelAtVenue(client_order_id, venue_order_id, symbol):
                self.venue.cancel(client_order_id, venue_order_id, symbol)
            case QueryVenue(client_order_id, symbol):
                self.venue.query(client_order_id, symbol)

    def _tell(self, message: Message) -> None:
        body = message.body
        if type(body) is Candle:
            self.candles.remember(message)
            self.on_candle(body)
        self._briefing.note_standing(message)
        self._collect_answer(message)
        self.read_model.apply(message)
        self._story.tell(message)
        self.bus.publish(message)
        for listen in self.listeners:
            listen(message)

    def _collect_answer(self, message: Message) -> None:
        if self._collect:
            answers = self._collect.get(message.header.cause)
            if answers is not None:
                answers.append(message)

    def tell_story(self, kind: str, text: str) -> None:
        """A line of the process's own."""
        self._story.say(self.clock.now(), "daemon", kind, text)

    def record(self, source: str, body: object) -> Message:
        """A fact of the process itself (started, feed lost, ...), or a person's word: journalled, told, published."""
        message = self.make(source, body)
        self.journal.append([message], sync=source.startswith(_PERSON))
        self._tell(message)
        return message

    # ---- the council -------------------------------------------------------------------------------

    def add_agent(self, name: str, make: Callable[[], Agent]) -> None:
        """One of the six; `make` builds it, now and after each failure."""
        self.runners[name] = AgentRunner(
            name, make, self._session, self.clock, self.on_agent_output, self._on_agent_restarted, self.agent_watch
        )

    def _on_agent_restarted(self, runner: AgentRunner) -> None:
        self._briefing.begin_anew(runner, self.runners.values())

    def on_agent_output(self, message: Message) -> None:
        """The sink of every agent: journal what must not be lost, pass on what is for the engine."""
        body = message.body
        kind = type(body)
        if not may_say(message):
            what = f"said {kind.__name__}, which is not its to say: it is ignored. Mend the agent."
            self.record("daemon", system.AlertRaised("critical", f"agent {message.header.source}", what))
            return
        if kind in JOURNALLED_FROM_AGENTS:
            # With the candle and analysis that led to it, so that every order can be explained from disk.
            self.journal.append(self.candles.with_causes(message), sync=False)
        elif kind is orders.SubmitOrder and body.client_order_id not in self._journalled_orders:
            self._journalled_orders.append(body.client_order_id)
            self.journal.append([message], sync=False)
        self._briefing.note_standing(message)
        if kind is council.AnalysisCompleted:
            self.candles.keep_cause(message)
        if kind is not system.Heartbeat:
            self.read_model.apply(message)
            self._story.tell(message)
            for listen in self.listeners:
                listen(message)
        if kind in STRAIGHT_TO_ENGINE or (kind is council.AlphaSignal and self.engine.awaits_signal(body.symbol)):
            self.take(message)
        elif kind is council.RestartAgent:
            runner = self.runners.get(body.agent)
            if runner is not None:
                runner.restart(body.reason)
        if kind in SUPERVISION:
            ceo = self.runners.get("ceo")
            if ceo is not None and kind in ceo.subscriptions:
                ceo.deliver(message)
        self.bus.publish(message)

    def finish_restore(self) -> None:
        """The journal is folded: protection first, then what must be asked of the venue."""
        self.perform(self.engine.finish_restore(self.clock.now()))

    def start_council(self) -> None:
        """Connect the agents, let them begin, and tell the strategy what its decisions rest on from earlier."""
        self.subscribe_all()
        for runner in self.runners.values():
            runner.start()
        self._briefing.tell_past(self.runners["strategy"])

    def subscribe_all(self) -> None:
        """Connect agents and engine to the bus."""
        for runner in self.runners.values():
            wanted = runner.subscriptions - NEVER_OVER_THE_BUS
            if runner.name == "ceo":
                wanted -= SUPERVISION
            self.bus.subscribe(runner.name, wanted, runner.deliver)
        self.bus.subscribe("engine", ENGINE_COMMANDS, self._on_council_command)
        self.bus.subscribe("resync", frozenset({system.BusGap}), self._on_gap)

    def _on_council_command(self, message: Message) -> None:
        """What comes over the bus is the council's, whatever it calls itself: a person's orders do not come here."""
        body = message.body
        if body.origin != "council":
            message = message._replace(body=replace(body, origin="council"))
        self.take(message)

    def _on_gap(self, message: Message) -> None:
        gap: system.BusGap = message.body
        self.read_model.apply(message)
        if gap.missing_source == "engine":
            for runner in self._learners():
                self._briefing.give_history(runner)

    def set_parameters(self, change: council.ParametersChanged, *, by: str) -> Message:
        """Parameters that hold from now on: journalled, told, and given to those who go by them."""
        message = self.record(by if by == "tuning" else f"{_PERSON}{by}", change)
        for runner in self.runners.values():
            if council.ParametersChanged in runner.subscriptions:
                runner.deliver(message)
        self.settle()
        return message

    def set_weight(self, change: council.WeightChanged, *, by: str) -> Message:
        """A word on an alpha, a person's or the keeper's: journalled, told, given to the analyst past the bus."""
        message = self.record("weights" if by == ADAPTATION else f"{_PERSON}{by}", change)
        self.runners["analyst"].deliver(message)
        self.settle()
        return message

    def hear_opinions(self, answer: council.OpinionsGathered) -> None:
        """What alphas that think elsewhere had to say: for the analyst, and past the bus, as a step of its own."""
        try:
            self.runners["analyst"].deliver(self.make("alphas", answer))
        except BaseException as error:
            self.on_fatal(error)
            raise
        self.settle()

    # ---- candles -----------------------------------------------------------------------------------

    def hear_whole_from(self, ts: int, symbol: str = "", heard_ns: int = 0) -> None:
        """Nothing is decided on a candle that opened before `ts` (UTC ns): trades of it were missed.

        Where everything was heard until `heard_ns`, what had ended by then is told first.
        """
        if heard_ns:
            self.perform(self.engine.close_candles(heard_ns))
            self.settle()
        self.engine.hear_whole_from(ts, symbol)

    def hold_candles(self) -> None:
        """Closed candles wait for `release_candles`: who learns from candles is told the older ones first."""
        self.engine.hold_candles()

    def release_candles(self) -> None:
        """The history was given."""
        self.perform(self.engine.release_candles(self.clock.now()))
        self.settle()

    def warm_up(self, candles: Iterable[Candle]) -> None:
        """History over REST: for the engine's ATR and for the agents that learn from candles."""
        for candle in candles:
            message = self.make(HISTORY, candle)
            self.candles.remember(message)
            self.take(candle)
            for runner in self._learners():
                runner.deliver(message)

    def show(self, candles: Iterable[Candle]) -> None:
        """For screens alone, which are not told of history otherwise."""
        for candle in candles:
            self.read_model.apply(self.make("screens", candle))

    def _learners(self) -> list[AgentRunner]:
        """Those who learn from candles."""
        return [runner for runner in self.runners.values() if Candle in runner.subscriptions]
