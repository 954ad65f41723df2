"""Orders that were made ready leave before the engine's own step, journalled first; all else is as without them."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bus.codec import encode
from bus.ids import ClientOrderId, SessionId, VenueOrderId
from bus.messages.header import Header, Message
from bus.messages.orders import OrderSubmitted, OrderTriggered
from exchanges.simulated import SimulatedVenue
from exchanges.venue import OpenOrder
from market.ticks import TradeTick
from orders.engine import Engine
from risk.approved import Approved, OrderRequest
from tests.orders.trading import BTC, ETH
from tests.tradingd.live_runtime import Scene
from tradingd.message_journal import MessageJournal
from tradingd.ready_orders import _TS, ForetoldOtherwiseError, _template

D = Decimal


class PreparingVenue:
    """The paper venue, reached as a live one is; `sent` tells how each order came, and what the journal held then."""

    name = "preparing"
    is_simulated = False

    def __init__(self, inner: SimulatedVenue, path: Path, *, prepares: bool = True) -> None:
        self.inner, self.path, self.prepares = inner, path, prepares
        self.sent: list[tuple[str, str, bool]] = []

    def prepare(self, order: OrderRequest) -> "Prepared | None":
        return Prepared(self, order) if self.prepares else None

    def submit(self, approved: Approved) -> None:
        self.note("submitted", approved)

    def note(self, how: str, approved: Approved) -> None:
        journal = MessageJournal.open(self.path, read_only=True)
        try:
            bodies = [message.body for message in journal.read()]
        finally:
            journal.close()
        order_id = approved.order.client_order_id
        is_told = any(isinstance(body, OrderSubmitted) and body.client_order_id == order_id for body in bodies)
        self.sent.append((how, order_id, is_told))
        self.inner.submit(approved)

    def cancel(self, client_order_id: ClientOrderId, venue_order_id: VenueOrderId, symbol: str) -> None:
        self.inner.cancel(client_order_id, venue_order_id, symbol)

    def query(self, client_order_id: ClientOrderId, symbol: str) -> None:
        self.inner.query(client_order_id, symbol)

    async def balances(self) -> dict[str, Decimal]:
        return await self.inner.balances()

    async def open_orders(self) -> list[OpenOrder]:
        return list(await self.inner.open_orders())

    async def start(self) -> None:
        return None

    async def close(self) -> None:
        return None


class Prepared:
    def __init__(self, venue: PreparingVenue, order: OrderRequest) -> None:
        self.venue, self.order = venue, order

    def send(self, approved: Approved) -> None:
        assert approved.order == self.order
        self.venue.note("prepared", approved)


def scene_with(folder: Path, *, prepares: bool = True) -> tuple[Scene, PreparingVenue]:
    made: list[PreparingVenue] = []

    def around(paper: SimulatedVenue, path: Path) -> PreparingVenue:
        made.append(PreparingVenue(paper, path, prepares=prepares))
        return made[0]

    scene = Scene(folder, around=around, capital="100000").open()
    return scene, made[0]


def play(folder: Path, *, prepares: bool) -> tuple[list[bytes], list[str], list[str]]:
    """A stop buys, a stop and a trail protect, one of them sells: the journal, the story, how orders were sent."""
    scene, venue = scene_with(folder, prepares=prepares)
    runtime = scene.runtime
    for stop in ("100.10", "100.30"):
        runtime.take(runtime.make("tester", scene.order(order_type="stop", stop_price=D(stop))))
    for price in ("100.05", "100.12", "100.20", "100.31", "100.00", "99.70", "99.20", "99.90"):
        runtime.make_ready()
        scene.price(BTC, price)
        venue.inner.on_market(TradeTick(BTC, D(price), D(1), "buy", f"x{price}", scene.clock.now(), scene.clock.now()))
        scene.settle_venue()
        venue.inner.advance(scene.clock.now())
        if price == "100.31":
            sell: dict[str, Any] = {"side": "sell", "order_type": "stop", "reduce_only": True, "origin": "protective"}
            for stop in ("99.80", "99.10"):
                runtime.take(runtime.make("tester", scene.order(stop_price=D(stop), **sell)))
    with_seconds = [encode(message) for message in MessageJournal.open(scene.path, read_only=True).read()]
    return with_seconds, [line.text for line in scene.lines], [how for how, _, _ in venue.sent]


def test_journal_and_story_are_what_they_are_without(tmp_path: Path) -> None:
    journal, story, how = play(tmp_path / "ready", prepares=True)
    plain_journal, plain_story, plain_how = play(tmp_path / "plain", prepares=False)
    assert journal == plain_journal
    assert story == plain_story
    assert how == ["prepared"] * len(plain_how)
    assert len(how) == 3


def armed(folder: Path) -> tuple[Scene, PreparingVenue]:
    scene, venue = scene_with(folder)
    scene.runtime.take(scene.runtime.make("tester", scene.order(order_type="stop", stop_price=D("100.10"))))
    scene.runtime.make_ready()
    return scene, venue


def test_it_is_in_the_journal_before_it_leaves(tmp_path: Path) -> None:
    scene, venue = armed(tmp_path)
    scene.price(BTC, "100.10")
    assert venue.sent == [("prepared", "td-t1", True)]
    assert len(scene.told(OrderTriggered)) == len(scene.told(OrderSubmitted)) == 1
    assert scene.runtime.engine.orders.get(ClientOrderId("td-t1")).state == "SUBMITTED"  # type: ignore[union-attr]


def test_another_symbol_s_trade_sets_nothing_off(tmp_path: Path) -> None:
    scene, venue = armed(tmp_path)
    scene.price(ETH, "10.01")
    assert venue.sent == []


def test_after_anything_else_happened_the_order_goes_the_ordinary_way(tmp_path: Path) -> None:
    scene, venue = armed(tmp_path)
    scene.second()
    scene.price(BTC, "100.10")
    assert venue.sent == [("submitted", "td-t1", True)]


def test_an_engine_that_says_otherwise_ends_the_process_with_the_order_in_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene, _ = armed(tmp_path)
    fatal: list[BaseException] = []
    scene.runtime.on_fatal = fatal.append
    monkeypatch.setattr(Engine, "process", lambda *_: ())
    now = scene.clock.now()
    with pytest.raises(ForetoldOtherwiseError, match="td-t1 was sent ahead"):
        scene.runtime.take(TradeTick(BTC, D("100.10"), D(1), "buy", "t", now, now))
    assert [type(error) for error in fatal] == [ForetoldOtherwiseError]
    assert len(scene.told(OrderSubmitted)) == 1


def test_records_in_which_the_place_of_the_time_is_not_plain_are_not_made_ready() -> None:
    fact = OrderTriggered(ClientOrderId(f"td-{_TS}"), BTC, D(1), D(2))
    with pytest.raises(ValueError, match="more than once"):
        _template(Message(Header("engine", SessionId("s"), 1, _TS), fact))
