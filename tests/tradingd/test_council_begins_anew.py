"""What a strategy's decisions rest on is told to it again when the process, or the agent alone, begins anew."""

from pathlib import Path

import pytest

from agents.agent import AgentStatus
from bus.messages.council import AlphaSignal, AnalysisCompleted, Feature, TradeProposed
from bus.messages.header import Message
from bus.messages.ledger import PortfolioSnapshot, PositionClosed
from market.ticks import Candle
from tests.orders.trading import BTC, ETH
from tests.tradingd.live_runtime import SECOND, D, Scene
from tradingd.settings import ProtectionSettings, RiskSettings, StrategySettings

UNPROTECTED = RiskSettings(
    protections=ProtectionSettings(low_profit_trips=0, drawdown_guard_trips=0, stop_guard_stops=0),
)
HOUR = StrategySettings(max_hold_s=3600)


def quiet(scene: Scene, seconds: int = 1) -> None:
    for _ in range(seconds):
        scene.second()
        scene.price(BTC, "100")
        scene.price(ETH, "10")


def trade(scene: Scene, **order: object) -> None:
    scene.runtime.command(scene.order(**order), by="anna")  # type: ignore[arg-type]
    scene.settle_venue()
    quiet(scene)


def ask(scene: Scene) -> list[TradeProposed]:
    """A candle of ETH on which two models say to buy; what the strategy proposes."""
    now, runtime, before = scene.clock.now(), scene.runtime, len(scene.told(TradeProposed))
    signals = tuple(
        AlphaSignal(alpha, "1", ETH, "1s", now, "trail_buy", 0.8, 1.0, 0.002, "high", "it rises")
        for alpha in ("momentum", "structure")
    )
    features = (Feature("atr_14", 0.01), Feature("atr_average", 0.01))
    said = AnalysisCompleted(ETH, "1s", now, D(10), "trending", features, signals)
    runtime.bus.publish(runtime.make("analyst", said))
    runtime.settle()
    return scene.told(TradeProposed)[before:]


def next_process(scene: Scene, path: Path, **settings: object) -> Scene:
    """Another process on the same journal."""
    scene.journal.close()
    path.mkdir()
    path.joinpath(scene.path.name).write_bytes(scene.path.read_bytes())
    other = Scene(path, **settings)  # type: ignore[arg-type]
    other.clock.advance(scene.clock.now() + SECOND)
    for message in other.journal.read():
        other.runtime.read_model.apply(message)
        other.runtime.engine.restore(message)
    other.with_council()
    other.runtime.finish_restore()
    other.runtime.start_council()
    quiet(other, 3)
    return other


@pytest.fixture
def losing(tmp_path: Path) -> Scene:
    """After 25 round trips most of which were lost the Kelly share is nothing: no entry is proposed."""
    scene = Scene(tmp_path / "first", risk=UNPROTECTED).with_council().open()
    quiet(scene, 2)
    for number in range(25):
        trade(scene, quantity=f"0.{200 + number}")
        trade(scene, side="sell", quantity=f"0.{200 + number}", reduce_only=True)
        quiet(scene, 20)
    assert len(scene.told(PositionClosed)) == 25
    assert ask(scene) == []
    return scene


def test_losses_are_not_forgotten_by_a_restart_of_the_process(losing: Scene, tmp_path: Path) -> None:
    assert ask(next_process(losing, tmp_path / "second", risk=UNPROTECTED)) == []


def test_losses_are_not_forgotten_by_a_strategy_begun_anew(losing: Scene) -> None:
    losing.runtime.runners["strategy"].restart("it failed")
    quiet(losing, 2)
    assert ask(losing) == []


class Listener:
    """A strategy that does nothing but listen."""

    name = "strategy"
    subscriptions = frozenset({Candle, PortfolioSnapshot, PositionClosed})

    def __init__(self) -> None:
        self.heard: list[type] = []

    def handle(self, message: Message) -> tuple[()]:
        self.heard.append(type(message.body))
        return ()

    def status(self) -> AgentStatus:
        return AgentStatus("running", "listens")


def test_what_is_held_is_told_before_the_candles_that_are_read_by_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.runtime.add_agent("strategy", Listener)
    scene.open()
    trade(scene, symbol=ETH, quantity="10")
    quiet(scene, 3)
    scene.runtime.runners["strategy"].restart("it failed")
    agent = scene.runtime.runners["strategy"].agent
    assert isinstance(agent, Listener)
    assert agent.heard[:2] == [PortfolioSnapshot, Candle]


def test_a_position_is_held_no_longer_because_the_process_began_anew(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "first", strategy=HOUR).with_council().open()
    trade(scene, symbol=ETH, quantity="10")
    scene.clock.advance(scene.clock.now() + 3590 * SECOND)
    quiet(scene)
    other = next_process(scene, tmp_path / "second", strategy=HOUR)
    assert other.told(TradeProposed) == []
    quiet(other, 8)
    (sale,) = other.told(TradeProposed)
    assert (sale.side, sale.reason) == ("sell", "held for 3600 s, and 3600 s are the longest allowed")
