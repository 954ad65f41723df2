"""Journals of messages and the SQL store made from them."""

from decimal import Decimal
from pathlib import Path
from random import Random

from bus.ids import SessionId
from bus.messages.header import Message, MessageMaker
from bus.messages.system import AlertRaised, DaemonStarted
from tests.orders.trading import BTC, ETH
from tests.tradingd.live_runtime import Scene
from tradingd.message_journal import MessageJournal
from tradingd.projection import Projection

D = Decimal
ACCOUNT = "practice-paper"


def trade_for_an_hour(folder: Path) -> list[Message]:
    """What an hour of the real council, engine and paper venue leaves in the journal."""
    scene = Scene(folder).with_council().open()
    started = DaemonStarted(SessionId("s1"), "1", "paper", "practice", (BTC, ETH), 7, False)
    scene.runtime.record("daemon", started)
    rng, btc = Random(5), D(100)
    for number in range(60):
        btc = (btc * D(rng.choice(("0.99", "0.995", "1.004", "1.012")))).quantize(D("0.01"))
        scene.price(BTC, str(btc))
        scene.second()
        if number % 12 == 3:
            scene.runtime.command(scene.order(quantity="1.5", reason="by hand"), by="tester")
        if number % 12 == 9:
            scene.runtime.command(scene.order(quantity="100000"), by="tester")
        if number % 12 == 10:
            held = scene.runtime.engine.ledger.quantity(BTC)
            if held:
                scene.runtime.command(scene.order(side="sell", quantity=str(held), reduce_only=True), by="tester")
        scene.settle_venue()
    scene.journal.close()
    journal = MessageJournal.open(scene.path, read_only=True)
    messages = list(journal.read())
    journal.close()
    return messages


def written(path: Path, messages: list[Message], step: int = 3) -> Path:
    journal = MessageJournal.open(path)
    for begin in range(0, len(messages), step):
        journal.append(messages[begin : begin + step], sync=False)
    journal.close()
    return path


def projection_of(path: Path, url: str, *, is_own: bool = True) -> Projection:
    return Projection(path, url, ACCOUNT, "USDT", is_own=is_own)


def alerts(count: int, first: int = 0) -> list[Message]:
    maker = MessageMaker("daemon", SessionId("s1"))
    return [maker.make(AlertRaised("info", f"t{first + n}", "m"), n) for n in range(count)]
