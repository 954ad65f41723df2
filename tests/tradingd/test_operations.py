"""What a person asks for, and what is said where it cannot be."""

import errno
import os
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from bus.messages.header import Message
from bus.messages.orders import (
    ClosePosition,
    EngageKillSwitch,
    OrderDenied,
    OrderInitialized,
    ReleaseKillSwitch,
)
from bus.messages.system import VoteTradingState
from store.journal_format import JournalError
from tests.orders.trading import BTC
from tests.tradingd.live_runtime import Scene
from tests.tradingd.small_daemon import SmallDaemon, served, settings_in
from tradingd.auth import Auth, mint_token
from tradingd.client import AnswerError, Client
from tradingd.conditions import Conditions
from tradingd.control import ControlConflictError, VenueSilentError
from tradingd.life import READY, Life
from tradingd.operations import Operations
from tradingd.replay_run import ReplayRun
from tradingd.run_options import RunOptions

D = Decimal


class SilentVenue:
    """Wants no requests for a while, and notes what was sent all the same."""

    name = "silent"
    is_simulated = False

    def __init__(self) -> None:
        self.sent: list[object] = []
        self.silent_s = 7.5

    def silent_for_s(self) -> float:
        return self.silent_s

    def submit(self, approved: object) -> None:
        self.sent.append(approved)


def operations_of(scene: Scene, folder: Path) -> Operations:
    settings, options, life = scene.settings, RunOptions(), Life()
    life.phase = READY
    conditions = Conditions(settings, life)
    operations = Operations(settings, options, folder, life, ReplayRun(settings, options, folder), conditions)
    operations.clock = scene.clock
    conditions.begin(scene.runtime, listed=[], held=[], notes=[])
    heard = SimpleNamespace(items=0)  # of the feed: no replay is played again
    operations.begin(scene.runtime, heard, None, None, None)  # type: ignore[arg-type]
    scene.runtime.health.clear("feed")
    return operations


async def test_an_entry_while_the_venue_wants_no_requests_is_refused_and_no_order_is_made_of_it(tmp_path: Path) -> None:
    venue = SilentVenue()
    scene = Scene(tmp_path, around=lambda paper, path: venue).open()  # type: ignore[arg-type,return-value]
    operations = operations_of(scene, tmp_path)
    for order in (scene.order(), scene.order(order_type="limit", price=D(99))):
        with pytest.raises(VenueSilentError, match=r"for another 7\.5 s") as refusal:
            await operations.execute(order, by="ann")
        assert (refusal.value.status, refusal.value.code) == (422, "VENUE_RATE_LIMIT")
    assert (venue.sent, scene.told(OrderInitialized)) == ([], [])
    venue.silent_s = 0.0
    await operations.execute(scene.order(), by="ann")
    assert len(venue.sent) == 1


def test_the_answer_to_it_names_the_family_of_rate_limits_as_every_denial_does(tmp_path: Path) -> None:
    """R8, and the same keys whoever refuses."""

    class Silent(SmallDaemon):
        async def execute(self, body: object, *, by: str) -> list[Message]:
            raise VenueSilentError("VENUE_RATE_LIMIT", "the venue wants no requests for another 7.5 s")

    daemon = Silent(settings_in(tmp_path))
    with served(daemon, Auth.open(tmp_path)) as url:
        client = Client(url, mint_token(tmp_path))
        with pytest.raises(AnswerError) as refusal:
            client.post("/api/orders", {"symbol": "BTC/USDT", "side": "buy", "type": "market", "quantity": "0.1"})
    body = refusal.value.body
    assert (refusal.value.status, body["code"], body["family"]) == (422, "VENUE_RATE_LIMIT", "E003")
    assert {"rule", "value", "limit"} <= body.keys()


async def test_what_waits_here_for_its_price_and_what_sells_is_taken_while_the_venue_wants_no_requests(
    tmp_path: Path,
) -> None:
    venue = SilentVenue()
    scene = Scene(tmp_path, around=lambda paper, path: venue).open()  # type: ignore[arg-type,return-value]
    operations = operations_of(scene, tmp_path)
    await operations.execute(scene.order(order_type="stop", stop_price=D(104)), by="ann")
    assert len(scene.told(OrderInitialized)) == 1
    await operations.execute(scene.order(side="sell"), by="ann")  # which the engine refuses for its own reasons
    assert [denial.code for denial in scene.told(OrderDenied)] != []


async def test_an_entry_that_the_trading_state_refuses_is_told_who_votes_for_it_and_why(tmp_path: Path) -> None:
    scene = Scene(tmp_path).open()
    operations = operations_of(scene, tmp_path)
    scene.runtime.health.raise_condition("clock", "the clock is two hours off")
    scene.runtime.vote_health()
    scene.runtime.command(VoteTradingState("operator", "REDUCING", "paused by ann"), by="ann")
    facts = await operations.execute(scene.order(), by="ann")
    (denial,) = [each.body for each in facts if isinstance(each.body, OrderDenied)]
    assert denial.code == "TRADING_REDUCING"
    assert "operator: paused by ann" in denial.message
    assert "health: the clock is two hours off" in denial.message


async def test_a_close_that_a_halt_refuses_stands_among_the_problems_while_it_is_halted_and_held(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path).open()
    operations = operations_of(scene, tmp_path)
    await operations.execute(scene.order(), by="ann")
    scene.settle_venue()
    scene.settle_venue()
    scene.runtime.command(VoteTradingState("operator", "HALTED", "wait for ben"), by="ann")
    await operations.execute(ClosePosition(BTC, "closed by ann"), by="ann")
    health = scene.runtime.health
    told = [problem.text for problem in health.problems]
    assert any(text.startswith(f"{BTC} was not closed") and "wait for ben" in text for text in told)
    health.show_not_closed([BTC])
    assert health.is_raised(f"not closed {BTC}")
    health.show_not_closed([])
    assert not health.is_raised(f"not closed {BTC}")


async def test_a_kill_that_the_journal_cannot_take_is_left_as_a_file_for_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process dies of a disk that cannot be flushed; a service manager starts the next one within seconds."""
    scene = Scene(tmp_path / "old").open()
    operations = operations_of(scene, tmp_path)
    died: list[BaseException] = []
    scene.runtime.on_fatal = died.append

    def fails(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fails)
        with pytest.raises(JournalError):
            await operations.execute(EngageKillSwitch("halt", "news at three", "ann"), by="ann")
    assert len(died) == 1
    following = operations_of(Scene(tmp_path / "new").open(), tmp_path)
    command = following.kill_file.look(None, is_patient=False)
    assert command is not None
    assert command.action == "halt"
    assert command.reason == "by ann, as the process died of it: news at three"
    with pytest.raises(ControlConflictError, match="delete it, then unlock"):
        await following.execute(ReleaseKillSwitch("ann", "all is well"), by="ann")
