"""The loop around the engine: the order of everything, and that there is no way around the gate."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from agents.agent import Emit
from bus.ids import ClientOrderId, VenueOrderId, client_order_id_of
from bus.messages import council, orders, system
from bus.messages.header import Message
from bus.messages.ledger import PortfolioSnapshot, PositionOpened
from bus.messages.orders import ExecutionReport, TrailSpec
from exchanges.simulated import SimulatedVenue
from exchanges.venue import OpenOrder
from market.interval import SECOND_NS
from market.ticks import Candle, QuoteTick
from risk.approved import Approved, NotApprovedError, OrderRequest
from tests.orders.trading import BTC, ETH, START
from tests.tradingd.live_runtime import PROPOSAL, Scene, parrot
from tradingd.message_journal import MessageJournal

D = Decimal


class WatchingVenue:
    """Looks into the journal file, as another process would, at the moment an order or a cancel arrives."""

    name = "watching"
    is_simulated = True

    def __init__(self, inner: SimulatedVenue, path: Path) -> None:
        self._inner = inner
        self._path = path
        self.seen: list[tuple[str, str, frozenset[str]]] = []

    def _look(self, what: str, order_id: ClientOrderId) -> None:
        journal = MessageJournal.open(self._path, read_only=True)
        try:
            kinds = {
                type(m.body).__name__ for m in journal.read() if getattr(m.body, "client_order_id", "") == order_id
            }
        finally:
            journal.close()
        self.seen.append((what, order_id, frozenset(kinds)))

    def submit(self, approved: Approved) -> None:
        self._look("submit", approved.order.client_order_id)
        self._inner.submit(approved)

    def cancel(self, client_order_id: ClientOrderId, venue_order_id: VenueOrderId, symbol: str) -> None:
        self._look("cancel", client_order_id)
        self._inner.cancel(client_order_id, venue_order_id, symbol)

    def query(self, client_order_id: ClientOrderId, symbol: str) -> None:
        self._inner.query(client_order_id, symbol)

    async def balances(self) -> dict[str, Decimal]:
        return await self._inner.balances()

    async def open_orders(self) -> Sequence[OpenOrder]:
        return await self._inner.open_orders()

    async def start(self) -> None: ...

    async def close(self) -> None: ...


def states_of(facts: Sequence[Message]) -> list[str]:
    return [type(message.body).__name__ for message in facts]


# ---- journal before venue ---------------------------------------------------------------------------


def test_the_journal_on_disk_holds_the_order_before_the_venue_sees_it(tmp_path: Path) -> None:
    venues: list[WatchingVenue] = []

    def around(paper: SimulatedVenue, path: Path) -> WatchingVenue:
        venues.append(WatchingVenue(paper, path))
        return venues[0]

    scene = Scene(tmp_path, around=around).open()
    limit = scene.order(order_type="limit", price=D("99"))
    scene.runtime.command(limit, by="operator")
    scene.runtime.command(orders.CancelOrder(limit.client_order_id, "enough"), by="operator")
    submitted, *later = venues[0].seen
    assert submitted[:2] == ("submit", limit.client_order_id)
    assert "OrderSubmitted" in submitted[2]
    assert all("OrderPendingCancel" in kinds for what, _, kinds in later if what == "cancel")


def strengths_of_what_is_written(scene: Scene) -> dict[str, bool]:
    """By kind, from here on: was the latest of it flushed?"""
    strengths: dict[str, bool] = {}
    append = scene.journal.append

    def noting(messages: Sequence[Message], *, sync: bool) -> None:
        strengths.update(dict.fromkeys(states_of(messages), sync))
        append(messages, sync=sync)

    scene.journal.append = noting  # type: ignore[method-assign, assignment]
    return strengths


def test_what_goes_to_the_venue_is_flushed_and_a_trailing_step_is_not(tmp_path: Path) -> None:
    scene = Scene(tmp_path).open()
    strengths = strengths_of_what_is_written(scene)
    scene.runtime.command(scene.order(), by="operator")
    scene.settle_venue()
    scene.runtime.command(
        scene.order(side="sell", order_type="trailing", trail=TrailSpec("percent", D("0.02")), reduce_only=True),
        by="operator",
    )
    scene.price(BTC, "101")
    scene.runtime.command(orders.EngageKillSwitch("halt", "test", "operator"), by="operator")
    assert strengths["OrderSubmitted"] is True
    assert strengths["KillSwitchEngaged"] is True
    assert strengths["TrailingAdvanced"] is False


def test_what_nobody_waits_for_is_flushed_all_the_same_where_it_goes_to_the_venue_or_locks(tmp_path: Path) -> None:
    """A trail that fires on a tick, and a kill switch that the process itself engages."""
    scene = Scene(tmp_path).open()
    scene.runtime.command(scene.order(), by="operator")
    scene.settle_venue()
    scene.runtime.command(
        scene.order(side="sell", order_type="trailing", trail=TrailSpec("percent", D("0.02")), reduce_only=True),
        by="operator",
    )
    strengths = strengths_of_what_is_written(scene)
    scene.price(BTC, "97.9")
    scene.runtime.take(scene.runtime.make("daemon", orders.EngageKillSwitch("halt", "a file", "file")))
    assert strengths["OrderSubmitted"] is True
    assert strengths["KillSwitchEngaged"] is True


def test_what_a_person_is_told_is_on_disk_and_not_lost_by_a_power_cut(tmp_path: Path) -> None:
    """A stop that the engine holds, and a pause, go to no venue; and yet somebody relies on them from here on."""
    scene = Scene(tmp_path).open()
    scene.runtime.command(scene.order(), by="operator")
    scene.settle_venue()
    stop = scene.order(side="sell", order_type="trailing", trail=TrailSpec("percent", D("0.02")), reduce_only=True)
    for command in (
        stop, orders.ModifyOrder(stop.client_order_id, trail=TrailSpec("percent", D("0.01"))),
        orders.CancelOrder(stop.client_order_id, "enough"),
        system.VoteTradingState("operator", "REDUCING", "a pause"),
    ):
        before = scene.journal.size
        assert scene.runtime.command(command, by="operator")
        assert scene.journal.synced == scene.journal.size > before, command


def test_a_weight_that_a_person_chose_is_on_disk_when_he_is_told(tmp_path: Path) -> None:
    scene = Scene(tmp_path).with_council().open()
    scene.runtime.set_weight(council.WeightChanged("momentum", 0.0, "operator", "not today"), by="operator")
    assert scene.journal.synced == scene.journal.size


# ---- order ------------------------------------------------------------------------------------------


def test_a_market_order_is_accepted_before_it_fills_and_held_after(tmp_path: Path) -> None:
    scene = Scene(tmp_path).open()
    scene.runtime.command(scene.order(), by="operator")
    scene.settle_venue()
    wanted = ("OrderInitialized", "OrderSubmitted", "OrderAccepted", "OrderFilled", "PositionOpened")
    journal = MessageJournal.open(scene.path, read_only=True)
    kinds = [type(message.body).__name__ for message in journal.read()]
    journal.close()
    assert [kind for kind in kinds if kind in wanted] == list(wanted)


def test_the_venues_answers_are_taken_before_the_tick_that_made_them_due(tmp_path: Path) -> None:
    scene = Scene(tmp_path).open()
    scene.runtime.command(scene.order(), by="operator")
    seen: list[str] = []
    process = scene.runtime.engine.process

    class Noting:
        def __getattr__(self, name: str) -> object:
            return getattr(engine, name)

        def process(self, item: object) -> object:
            body = item.body if isinstance(item, Message) else item
            seen.append(body.exec_type if isinstance(body, ExecutionReport) else type(body).__name__)
            return process(item)  # type: ignore[arg-type]

    engine = scene.runtime.engine
    scene.runtime.engine = Noting()  # type: ignore[assignment]
    scene.price(BTC, "100", after_ms=100)
    assert seen[:3] == ["accepted", "fill", "QuoteTick"]


def test_a_kill_command_overtakes_what_waits(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    def answer(message: Message) -> list[Emit]:
        # From inside a step: an order first, then the kill command of a person.
        runtime = scene.runtime
        runtime.take(runtime.make("tester", scene.order(ETH)))
        runtime.take(runtime.make("tester", orders.EngageKillSwitch("halt", "at once", "operator")))
        return []

    scene.runtime.add_agent("parrot", parrot("parrot", PositionOpened, answer))
    scene.open()
    scene.runtime.command(scene.order(BTC), by="operator")
    scene.settle_venue()
    assert scene.runtime.engine.trading_state == "HALTED"
    assert [denial.code for denial in scene.told(orders.OrderDenied)] == ["KILL_ENGAGED"]


def test_a_command_answers_with_its_own_facts_only(tmp_path: Path) -> None:
    scene = Scene(tmp_path).open()
    order = scene.order()
    facts = scene.runtime.command(order, by="operator")
    assert "OrderInitialized" in states_of(facts)
    assert "OrderSubmitted" in states_of(facts)
    assert {message.header.cause for message in facts} == {"person-operator.s1.1"}
    again = scene.runtime.command(order, by="operator")
    assert states_of(again) == ["OrderInitialized"]
    scene.settle_venue()
    assert len(scene.told(orders.OrderSubmitted)) == 1
    refused = scene.runtime.command(scene.order(quantity="1000"), by="operator")
    assert states_of(refused) == ["OrderDenied"]


def test_a_person_named_engine_has_numbers_of_his_own(tmp_path: Path) -> None:
    scene = Scene(tmp_path).open()
    facts = scene.runtime.command(scene.order(), by="engine")
    assert facts
    assert facts[0].header.cause.startswith("person-engine.")


def test_a_market_item_inside_a_step_is_a_defect_that_ends_the_process(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    fatal: list[BaseException] = []
    scene.runtime.on_fatal = fatal.append
    scene.open()
    scene.bus.subscribe("feed inside", frozenset({PositionOpened}), lambda message: scene.price(BTC, "101"))
    scene.runtime.command(scene.order(), by="operator")
    with pytest.raises(RuntimeError, match="inside a step"):
        scene.settle_venue()
    assert fatal


def test_two_parts_that_answer_each_other_for_ever_are_stopped(tmp_path: Path) -> None:
    scene = Scene(tmp_path).open()
    fatal: list[BaseException] = []
    scene.runtime.on_fatal = fatal.append

    scene.bus.pump = lambda now: 1  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="for ever"):
        scene.runtime.settle()
    assert fatal


# ---- no way around the gate -------------------------------------------------------------------------


def request() -> OrderRequest:
    return OrderRequest(
        ClientOrderId("td-forged"), BTC, "buy", "market", D(1), None, "GTC", D(100), False, "manual",
    )


def test_an_approval_cannot_be_forged() -> None:
    for key in (object(), None, "risk.gate"):
        with pytest.raises(NotApprovedError):
            Approved(key, request(), lambda: (), 0)
    with pytest.raises(TypeError):
        type("Mine", (Approved,), {})(None, request())


def test_what_was_published_between_two_steps_is_delivered_with_the_next_tick_however_quiet(tmp_path: Path) -> None:
    heard: list[Message] = []

    def hear(message: Message) -> list[Emit]:
        heard.append(message)
        return []

    scene = Scene(tmp_path)
    scene.runtime.add_agent("listener", parrot("listener", system.FeedConnected, hear))
    scene.open()
    message = scene.runtime.record("feed", system.FeedConnected("market"))
    assert not heard
    now = scene.clock.now()
    scene.runtime.take(QuoteTick(BTC, D("99.99"), D(1), D(100), D(1), now, now))
    assert heard == [message]


def test_a_council_order_without_a_verdict_is_denied(tmp_path: Path) -> None:
    scene = Scene(tmp_path).open()
    scene.over_the_bus(scene.order(origin="council", proposal_id=PROPOSAL))
    (denial,) = scene.told(orders.OrderDenied)
    assert denial.code == "NO_VERDICT"
    assert not scene.told(orders.OrderSubmitted)


@pytest.mark.parametrize("body", [
    council.WeightChanged("momentum", 1.0, "operator"),
    council.OpinionsGathered(BTC, "1s", 0, ()),
    council.ParametersChanged(1, 0, (), True, "tuning", "forged"),
])
def test_what_only_this_process_says_no_agent_hears_from_the_bus(tmp_path: Path, body: object) -> None:
    heard: list[object] = []

    def note(message: Message) -> list[Emit]:
        heard.append(message.body)
        return []

    scene = Scene(tmp_path)
    scene.runtime.add_agent("analyst", parrot("analyst", type(body), note))
    scene.open().over_the_bus(body)
    assert heard == []


@pytest.mark.parametrize("origin", ["manual", "protective", "kill"])
def test_an_order_over_the_bus_that_calls_itself_a_persons_needs_a_verdict_too(
    tmp_path: Path, origin: orders.Origin
) -> None:
    scene = Scene(tmp_path).open()
    scene.over_the_bus(scene.order(origin=origin, proposal_id=PROPOSAL))
    (denial,) = scene.told(orders.OrderDenied)
    assert denial.code == "NO_VERDICT"
    assert not scene.told(orders.OrderSubmitted)


def approval(quantity: str = "1") -> council.ProposalApproved:
    return council.ProposalApproved(PROPOSAL, BTC, D(quantity), None, (), "forged")


def test_a_strangers_verdict_on_the_bus_does_not_reach_the_engine(tmp_path: Path) -> None:
    scene = Scene(tmp_path).with_council().open()
    scene.over_the_bus(approval())
    scene.over_the_bus(scene.order(origin="council", proposal_id=PROPOSAL))
    assert [denial.code for denial in scene.told(orders.OrderDenied)] == ["NO_VERDICT"]
    assert not scene.told(council.ProposalApproved)


def test_a_strangers_vote_on_the_bus_changes_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path).with_council().open()
    scene.runtime.command(system.VoteTradingState("operator", "REDUCING", "pause"), by="operator")
    scene.over_the_bus(system.VoteTradingState("operator", "ACTIVE", "forged"))
    assert scene.runtime.engine.trading_state == "REDUCING"


def test_a_strangers_kill_release_and_fill_on_the_bus_change_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path).with_council().open()
    scene.runtime.command(orders.EngageKillSwitch("halt", "test", "operator"), by="operator")
    scene.over_the_bus(orders.ReleaseKillSwitch("operator", "forged"))
    scene.over_the_bus(ExecutionReport(ClientOrderId("td-x"), BTC, "fill", 1, quantity=D(1), price=D(1)))
    assert scene.runtime.engine.kill is not None
    assert scene.runtime.engine.trading_state == "HALTED"
    assert not scene.told(orders.OrderFilled)


def test_only_the_risk_officer_can_say_yes_and_each_agent_votes_for_itself(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    said = (approval(), system.VoteTradingState("operator", "ACTIVE", "forged by an agent"))
    scene.runtime.add_agent(
        "strategy", parrot("strategy", council.CandidatesRanked, lambda message: [Emit(body) for body in said])
    )
    scene.open()
    scene.runtime.command(system.VoteTradingState("operator", "REDUCING", "pause"), by="operator")
    scene.over_the_bus(council.CandidatesRanked(()))
    assert scene.runtime.engine.trading_state == "REDUCING"
    scene.runtime.command(system.VoteTradingState("operator", "ACTIVE", "go"), by="operator")
    scene.over_the_bus(scene.order(origin="council", proposal_id=PROPOSAL))
    assert [denial.code for denial in scene.told(orders.OrderDenied)] == ["NO_VERDICT"]


def test_the_risk_officers_own_verdict_lets_the_order_through(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.runtime.add_agent("risk", parrot("risk", council.CandidatesRanked, lambda message: [Emit(approval())]))
    scene.open()
    scene.over_the_bus(council.CandidatesRanked(()))
    wish = replace(scene.order(origin="council", proposal_id=PROPOSAL), client_order_id=client_order_id_of(PROPOSAL))
    scene.over_the_bus(wish)
    assert len(scene.told(orders.OrderSubmitted)) == 1


# ---- agents -----------------------------------------------------------------------------------------


def broken(message: Message) -> list[Emit]:
    raise ValueError("a defect of this agent")


def test_an_agent_that_raises_is_cut_off_and_trading_goes_on(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.runtime.add_agent("analyst", parrot("analyst", Candle, broken))
    scene.open()
    for second in range(3):
        scene.price(BTC, str(100 + second), after_ms=1000)
    (failed,) = scene.told(system.AgentFailed)
    assert "a defect of this agent" in failed.error
    assert scene.runtime.runners["analyst"].has_failed
    scene.runtime.command(scene.order(), by="operator")
    scene.settle_venue()
    assert scene.told(PositionOpened)


def test_the_ceo_begins_a_failed_agent_anew_with_its_history(tmp_path: Path) -> None:
    scene = Scene(tmp_path).with_council()
    heard: list[Candle] = []
    failures = ["once"]

    def answer(message: Message) -> list[Emit]:
        if failures:
            raise ValueError(failures.pop())
        heard.append(message.body)
        return []

    scene.runtime.add_agent("analyst", parrot("analyst", Candle, answer))
    scene.open()
    scene.second()
    scene.price(BTC, "101", after_ms=1000)
    for _ in range(10):
        scene.second()
    runner = scene.runtime.runners["analyst"]
    assert not runner.has_failed
    assert runner.report().restarts == 1
    assert heard
    lost = heard[0]
    assert lost.is_warmup  # the candle it failed on, as history
    assert not heard[-1].is_warmup  # and what came after, live
    given = [candle.ts_open for candle in heard if (candle.symbol, candle.interval) == (BTC, "1s")]
    assert given == sorted(set(given)) == [candle.ts_open for candle in scene.runtime.candles.history[(BTC, "1s")]]


def test_a_ceo_that_fails_is_begun_anew_and_entries_pause_meanwhile(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.runtime.add_agent("ceo", parrot("ceo", PortfolioSnapshot, broken))
    scene.open()
    states = []
    scene.second()
    states.append(scene.runtime.engine.trading_state)
    assert any("CEO" in problem.text for problem in scene.runtime.health.problems)
    assert scene.runtime.runners["ceo"].report().restarts == 1
    scene.runtime.add_agent("ceo", parrot("ceo", Candle, lambda message: []))
    scene.second()
    states.append(scene.runtime.engine.trading_state)
    assert states == ["REDUCING", "ACTIVE"]
    assert not scene.runtime.health.problems


def test_an_agent_that_begins_anew_hears_what_stands(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    heard: list[system.TradingStateChanged] = []

    def note(message: Message) -> list[Emit]:
        heard.append(message.body)
        return []

    scene.runtime.add_agent("risk", parrot("risk", system.TradingStateChanged, note))
    scene.open()
    scene.runtime.command(system.VoteTradingState("operator", "REDUCING", "pause"), by="operator")
    heard.clear()
    scene.runtime.runners["risk"].restart("for a test")
    assert [body.state for body in heard] == ["REDUCING"]


# ---- health and gaps --------------------------------------------------------------------------------


def test_a_health_condition_reduces_while_it_lasts(tmp_path: Path) -> None:
    scene = Scene(tmp_path).open()
    scene.runtime.health.raise_condition("feed", "market data is cut off")
    scene.runtime.vote_health()
    denied = scene.runtime.command(scene.order(), by="operator")
    assert states_of(denied) == ["OrderDenied"]
    scene.runtime.health.clear("feed")
    scene.runtime.vote_health()
    assert scene.runtime.engine.trading_state == "ACTIVE"


def test_the_same_health_is_voted_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path).open()
    scene.runtime.vote_health()
    before = len(scene.told(system.TradingStateChanged))
    for _ in range(5):
        scene.runtime.vote_health()
    assert len(scene.told(system.TradingStateChanged)) == before


def test_after_a_gap_of_the_engines_messages_scanner_and_analyst_hear_the_candles_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    heard: dict[str, list[Message]] = {"scanner": [], "analyst": []}

    def noting(name: str) -> Callable[[Message], list[Emit]]:
        def note(message: Message) -> list[Emit]:
            heard[name].append(message)
            return []

        return note

    for name in heard:
        scene.runtime.add_agent(name, parrot(name, Candle, noting(name)))
    scene.open()
    scene.price(BTC, "101", after_ms=1000)
    scene.price(BTC, "102", after_ms=1000)
    for list_ in heard.values():
        list_.clear()
    scene.over_the_bus(system.BusGap("strategy", 3, 4))
    assert not heard["analyst"]
    scene.over_the_bus(system.BusGap("engine", 3, 4))
    count = sum(len(past) for past in scene.runtime.candles.history.values())
    assert count
    for list_ in heard.values():
        assert len(list_) == count
        assert all(message.body.is_warmup for message in list_)


def test_history_is_bounded_by_the_warm_up(tmp_path: Path) -> None:
    scene = Scene(tmp_path, warmup=5).open()
    for second in range(12):
        scene.price(BTC, str(100 + second % 3), after_ms=1000)
    assert len(scene.runtime.candles.history[(BTC, "1s")]) == 5


def test_what_closes_before_the_history_is_there_is_told_after_it_in_order(tmp_path: Path) -> None:
    scene = Scene(tmp_path, warmup=50).open()
    scene.runtime.hold_candles()
    for second in range(4):
        scene.price(BTC, str(100 + second), after_ms=1000)
    assert scene.runtime.engine.prices()[BTC][2] == D(103)  # prices are watched meanwhile
    assert (BTC, "1s") not in scene.runtime.candles.history
    old = [
        Candle(BTC, "1s", START + (n - 20) * SECOND_NS, D(90), D(91), D(89), D(90), D(1), 1, START, is_warmup=True)
        for n in range(20)
    ]
    scene.runtime.warm_up(old)
    scene.runtime.release_candles()
    told = scene.runtime.candles.history[(BTC, "1s")]
    assert [candle.ts_open for candle in told] == sorted(candle.ts_open for candle in told)
    assert [candle.is_warmup for candle in told] == [True] * 20 + [False] * 4
    assert scene.runtime.engine.atr(BTC) is not None  # the engine has learnt from the older ones, too
    scene.price(BTC, "104", after_ms=1000)
    assert len(scene.runtime.candles.history[(BTC, "1s")]) == 25


def test_the_chain_of_a_proposal_is_on_disk(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    def analyse(message: Message) -> list[Emit]:
        candle: Candle = message.body
        return [Emit(council.AnalysisCompleted(
            candle.symbol, candle.interval, candle.ts_open, candle.close, "calm", (), (),
        ))]

    def propose(message: Message) -> list[Emit]:
        return [Emit(council.TradeProposed(
            PROPOSAL, BTC, "buy", D(1), D(100), 0.9, (), "momentum", None, orders.Protection(), 0, False, "why",
        ))]

    scene.runtime.add_agent("analyst", parrot("analyst", Candle, analyse))
    scene.runtime.add_agent("strategy", parrot("strategy", council.AnalysisCompleted, propose))
    scene.open()
    scene.price(BTC, "101", after_ms=1500)
    journal = MessageJournal.open(scene.path, read_only=True)
    messages = {message.id: message for message in journal.read()}
    journal.close()
    proposal = next(m for m in messages.values() if type(m.body) is council.TradeProposed)
    analysis = messages[proposal.header.cause]  # type: ignore[index]
    candle = messages[analysis.header.cause]  # type: ignore[index]
    assert type(analysis.body) is council.AnalysisCompleted
    assert type(candle.body) is Candle


def test_an_engine_that_raises_is_told_as_fatal_and_raised(tmp_path: Path) -> None:
    scene = Scene(tmp_path).open()
    fatal: list[BaseException] = []
    scene.runtime.on_fatal = fatal.append
    scene.journal.close()
    with pytest.raises(Exception) as raised:
        scene.runtime.command(scene.order(), by="operator")
    assert fatal == [raised.value]
    assert scene.paper._due == []
