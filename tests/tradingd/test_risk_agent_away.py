"""The risk officer killed, mute, stuck or mad: no entry of the council leaves, and exits go on."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from agents.agent import Emit
from agents.alphas.alpha import MarketView, Opinion
from agents.alphas.momentum import Momentum
from agents.analyst import Analyst, AnalystConfig
from bus.ids import ProposalId
from bus.messages import orders, system
from bus.messages.council import ProposalApproved, TradeProposed
from bus.messages.header import Message
from bus.messages.orders import Protection, TrailSpec
from market.ticks import Candle
from tests.orders.trading import BTC
from tests.tradingd.live_runtime import PROPOSAL, SECOND, Scene, parrot
from tradingd.agent_runner import MOST_WISHES_PER_SECOND
from tradingd.agent_watch import AgentWatch

D = Decimal
PROPOSED = TradeProposed(
    proposal_id=PROPOSAL, symbol=BTC, side="buy", quantity=D(1), reference_price=D(100), confidence=0.7, votes=(),
    lead_alpha="momentum", trail=None, protection=Protection(stop_ratio=D("0.02")), order_expires=0,
    reduce_only=False, reason="",
)


def raises(_: Message) -> list[Emit]:
    raise RuntimeError("the risk officer is dead")


def is_mute(_: Message) -> list[Emit]:
    return []


def says_nonsense(message: Message) -> list[Emit]:
    proposal: TradeProposed = message.body
    return [Emit(ProposalApproved(proposal.proposal_id, BTC, D("NaN"), None, (), "yes"))]


def never_comes_back(_: Message) -> list[Emit]:
    while True:
        pass


@pytest.fixture
def watch() -> Iterator[Callable[[AgentWatch], None]]:
    """Installs a watch on the real timer signal, and gives the signal back to the test runner."""
    before, timer = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)

    def install(watch: AgentWatch) -> None:
        watch.install(period_s=0.02)

    yield install
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    signal.setitimer(signal.ITIMER_REAL, *timer)


def scene_with(folder: Path, risk: Callable[[Message], list[Emit]]) -> Scene:
    """The six agents, the risk officer exchanged; one BTC held with a trailing exit."""
    scene = Scene(folder).with_council()
    scene.runtime.add_agent("risk", parrot("risk", TradeProposed, risk))
    scene.open()
    scene.runtime.command(scene.order(BTC, "1"), by="me")
    scene.settle_venue()
    scene.runtime.command(scene.order(
        BTC, "1", side="sell", order_type="trailing", reduce_only=True, trail=TrailSpec("percent", D("0.02")),
    ), by="me")
    return scene


def council_orders(scene: Scene) -> list[orders.OrderSubmitted]:
    sent = scene.told(orders.OrderSubmitted)
    own = {body.order.client_order_id for body in scene.told(orders.OrderInitialized) if body.order.origin == "council"}
    return [body for body in sent if body.client_order_id in own]


def exit_fires(scene: Scene) -> bool:
    before = len(scene.told(orders.OrderSubmitted))
    for price in ("97", "97"):
        scene.price(BTC, price)
    scene.settle_venue()
    return len(scene.told(orders.OrderSubmitted)) == before + 1


@pytest.mark.parametrize("risk", [raises, is_mute, says_nonsense], ids=lambda risk: risk.__name__)
def test_no_entry_of_the_council_leaves_and_exits_go_on(tmp_path: Path, risk: Callable[[Message], list[Emit]]) -> None:
    scene = scene_with(tmp_path, risk)
    scene.over_the_bus(PROPOSED)
    scene.over_the_bus(scene.order(origin="council", proposal_id=PROPOSAL))
    for _ in range(6):
        scene.second()
    assert council_orders(scene) == []
    assert scene.told(orders.OrderDenied)[-1].code in ("NO_VERDICT", "TRADING_REDUCING")
    assert exit_fires(scene)


@pytest.mark.parametrize("risk", [raises, says_nonsense], ids=lambda risk: risk.__name__)
def test_a_risk_officer_that_fails_again_and_again_means_reducing_within_five_seconds(
    tmp_path: Path, risk: Callable[[Message], list[Emit]]
) -> None:
    scene = scene_with(tmp_path, risk)
    for _ in range(4):
        scene.second()
    assert scene.runtime.engine.trading_state == "ACTIVE"
    states = []
    for _ in range(5):
        scene.over_the_bus(PROPOSED)
        scene.second()
        states.append(scene.runtime.engine.trading_state)
    assert "REDUCING" in states
    assert scene.told(system.AgentFailed)
    assert exit_fires(scene)


def test_a_ceo_that_fails_too_does_not_forget_who_failed(tmp_path: Path) -> None:
    scene = scene_with(tmp_path, raises)
    for _ in range(4):
        scene.second()
    for _ in range(5):
        scene.over_the_bus(PROPOSED)
        scene.second()
    assert scene.runtime.engine.trading_state == "REDUCING"
    scene.runtime.runners["ceo"].restart("it failed")
    for _ in range(30):
        scene.second()
    assert scene.runtime.engine.trading_state == "REDUCING"


def test_a_risk_officer_that_stops_showing_signs_of_life_means_reducing_within_five_seconds(tmp_path: Path) -> None:
    scene = scene_with(tmp_path, is_mute)
    for _ in range(4):
        scene.second()
    assert scene.runtime.engine.trading_state == "ACTIVE"
    del scene.runtime.runners["risk"]  # its task is gone without a word
    for _ in range(6):
        scene.second()
    assert scene.runtime.engine.trading_state == "REDUCING"
    assert any(voter == "ceo" and state == "REDUCING" for voter, state, _ in scene.runtime.engine.votes)
    assert exit_fires(scene)


def test_a_risk_officer_that_never_comes_back_is_interrupted(
    tmp_path: Path, watch: Callable[[AgentWatch], None]
) -> None:
    scene = scene_with(tmp_path, is_mute)
    stuck = AgentWatch(limit_s=0.05)
    scene.runtime.agent_watch = stuck
    scene.runtime.add_agent("risk", parrot("risk", TradeProposed, never_comes_back))
    runner = scene.runtime.runners["risk"]
    watch(stuck)
    runner.deliver(scene.runtime.make("strategy", PROPOSED))
    (failed,) = scene.told(system.AgentFailed)
    assert "did not come back" in failed.error
    assert exit_fires(scene)
    states = []
    for number in range(4):
        runner.deliver(scene.runtime.make("strategy", replace(PROPOSED, proposal_id=ProposalId(f"s1-p{number + 2}"))))
        scene.second()
        states.append(scene.runtime.engine.trading_state)
    assert "REDUCING" in states


class Loops:
    """A model that never comes back."""

    name, version = "loops", "1"

    def opinion(self, view: MarketView) -> Opinion:
        while True:
            pass


def test_an_analyst_whose_model_never_comes_back_counts_as_stuck(
    tmp_path: Path, watch: Callable[[AgentWatch], None]
) -> None:
    """It catches what its models raise, so that one bad model does not silence the others; not this."""
    scene = Scene(tmp_path)
    scene.runtime.agent_watch = AgentWatch(limit_s=0.05)
    config = AnalystConfig("1s", ("1s",), {"loops": 1.0, "momentum": 1.0})
    scene.runtime.add_agent("analyst", lambda: Analyst(config, [BTC], [Loops(), Momentum()]))
    watch(scene.runtime.agent_watch)
    runner, now = scene.runtime.runners["analyst"], scene.clock.now()
    runner.deliver(scene.runtime.make("engine", Candle(BTC, "1s", now, D(1), D(1), D(1), D(1), D(1), 1, now + SECOND)))
    assert runner.has_failed
    (failed,) = scene.told(system.AgentFailed)
    assert "AgentStuckError on Candle: it did not come back" in failed.error
    assert "test_risk_agent_away.py, line" in failed.error


def test_the_watch_interrupts_nobody_else(watch: Callable[[AgentWatch], None]) -> None:
    idle = AgentWatch(limit_s=0.0)
    watch(idle)
    deadline = signal.getitimer(signal.ITIMER_REAL)
    assert deadline[1] > 0
    idle._look(signal.SIGALRM, None)  # nobody has the word
    idle.begin()
    idle.end()
    idle._look(signal.SIGALRM, None)


# ---- a runaway strategy -----------------------------------------------------------------------------


def test_a_strategy_that_proposes_without_end_is_cut_off_and_little_is_written_down(tmp_path: Path) -> None:
    scene = Scene(tmp_path).with_council()
    scene.runtime.add_agent(
        "strategy", parrot("strategy", orders.OrderDenied, lambda message: [Emit(PROPOSED)] * 5_000))
    scene.open()
    for _ in range(3):
        scene.second()
    runner = scene.runtime.runners["strategy"]
    runner.deliver(scene.runtime.make("engine", orders.OrderDenied(
        scene.order().client_order_id, BTC, "NO_VERDICT", "E005", "verdict", "", "", "no")))
    (failed,) = scene.told(system.AgentFailed)
    assert f"more than {MOST_WISHES_PER_SECOND}" in failed.error
    assert len(scene.told(TradeProposed)) <= MOST_WISHES_PER_SECOND
    assert runner.report().restarts == 1


def test_orders_over_the_bus_at_a_thousand_a_second_latch_and_exits_go_on(tmp_path: Path) -> None:
    scene = scene_with(tmp_path, is_mute)
    for _ in range(300):
        scene.over_the_bus(scene.order(origin="council", quantity="0.2"))
    kill = scene.runtime.engine.kill
    assert kill is not None
    assert kill.by == "rule"
    assert council_orders(scene) == []
    assert len(scene.told(orders.OrderDenied)) <= 120
    assert exit_fires(scene)
