"""What a daemon learns and decides on in place of candles that it heard in part is run again as it was."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from bus.messages.ledger import FundsChanged
from bus.messages.orders import TrailingArmed, TrailSpec
from market.interval import MINUTE_NS, SECOND_NS
from market.ticks import Candle
from research.parity.replay import run_again
from tests.orders.trading import BTC, ETH, START
from tests.tradingd.live_runtime import SESSION, Scene
from tradingd.session_inputs import FOLDER, InputTape, sessions
from tradingd.settings import CandleSettings

D = Decimal
MINUTE = START - START % MINUTE_NS + MINUTE_NS


def minute(number: int, high: str, ts_init: int, *, is_warmup: bool) -> Candle:
    return Candle(
        BTC, "1m", MINUTE + number * MINUTE_NS, D(100), D(high), D(98), D(100), D(1), 1, ts_init, is_warmup=is_warmup,
    )


def armed_distance(scene: Scene) -> Decimal:
    """How far an order trails that is given now: by twice the ATR."""
    scene.runtime.command(
        scene.order(side="buy", order_type="trailing", trail=TrailSpec("atr", D(2))), by="operator",
    )
    distance = scene.told(TrailingArmed)[-1].distance
    assert isinstance(distance, Decimal)
    return distance


@pytest.fixture
def inputs(tmp_path: Path) -> Iterator[InputTape]:
    tape = InputTape(tmp_path / FOLDER, 64, SESSION)
    yield tape
    tape.close()


@pytest.fixture
def scene(tmp_path: Path, inputs: InputTape) -> Iterator[Scene]:
    """A daemon that began within minute 0, with the past given."""
    scene = Scene(tmp_path, candles=CandleSettings(decision="1m"), inputs=inputs).with_council()
    inputs.begin(scene.clock.now(), scene.path.name, scene.settings, scene.instruments)
    runtime = scene.runtime
    runtime.take(runtime.record("daemon", FundsChanged("USDT", scene.capital, scene.capital, "initial capital")))
    scene.clock.advance(MINUTE + 50 * SECOND_NS)
    runtime.hear_whole_from(scene.clock.now())
    runtime.warm_up([minute(number, "102", MINUTE, is_warmup=True) for number in range(-40, 0)])
    runtime.start_council()
    for symbol, price in ((BTC, "100"), (ETH, "10")):
        scene.price(symbol, price)
    runtime.tick()
    yield scene
    scene.journal.close()


def is_the_same_again(scene: Scene, inputs: InputTape, folder: Path) -> bool:
    """The session's journal, made anew from its inputs."""
    scene.journal.close()
    inputs.close()
    (head,) = sessions(folder / FOLDER)
    run_again(head, (), folder / "again.journal")
    return (folder / "again.journal").read_bytes() == scene.path.read_bytes()


def test_the_exchanges_own_candle_is_told_once_and_run_again(
    tmp_path: Path, scene: Scene, inputs: InputTape,
) -> None:
    before = armed_distance(scene)
    scene.clock.advance(MINUTE + MINUTE_NS + 2 * SECOND_NS)
    scene.runtime.tick()
    now = scene.clock.now()
    scene.runtime.take(minute(0, "118", now, is_warmup=False))
    assert [each.high for each in scene.runtime.candles.history[BTC, "1m"]][-2:] == [D(102), D(118)]
    scene.price(BTC, "100")
    after = armed_distance(scene)
    assert after > before
    assert is_the_same_again(scene, inputs, tmp_path)


def test_what_is_closed_because_the_line_is_lost_is_run_again(
    tmp_path: Path, scene: Scene, inputs: InputTape,
) -> None:
    scene.clock.advance(MINUTE + MINUTE_NS)
    scene.price(BTC, "100")
    scene.price(BTC, "118")
    before = armed_distance(scene)
    scene.clock.advance(MINUTE + 2 * MINUTE_NS + SECOND_NS * 7 // 10)
    scene.runtime.hear_whole_from(2**62, heard_ns=scene.clock.now())
    assert scene.runtime.candles.history[BTC, "1m"][-1].high == D(118)
    scene.price(BTC, "118")
    after = armed_distance(scene)
    assert after > before
    assert is_the_same_again(scene, inputs, tmp_path)


def test_a_line_that_the_paper_venue_lost_is_lost_again(tmp_path: Path, scene: Scene, inputs: InputTape) -> None:
    scene.runtime.on_line_lost()
    scene.price(BTC, "101")
    scene.runtime.tick()
    assert is_the_same_again(scene, inputs, tmp_path)
