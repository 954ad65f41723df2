"""Weights that learn: each change a numbered fact with its reason, a person above all, the same after a restart."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from bus.ids import ClientOrderId, ProposalId, SessionId
from bus.messages.council import AlphaLoaded, TradeProposed, WeightChanged
from bus.messages.header import Message, MessageMaker
from bus.messages.ledger import PositionClosed, PositionOpened
from bus.messages.orders import OrderInitialized, SubmitOrder
from bus.messages.system import DaemonStarted
from bus.messages.votes import Vote
from research.backtest.council import CouncilBacktest
from tests.research.backtest.test_council import BARS, CASH, COSTS, SETTINGS
from tradingd.message_journal import MessageJournal
from tradingd.read_model import ReadModel
from tradingd.weight_fold import ADAPTATION, weight_source
from tradingd.weight_keeper import WeightKeeper

BTC = "BTC/USDT"
VOTES = (Vote("momentum", "trail_buy", 0.8, 1.0), Vote("structure", "trail_sell", 0.3, 0.8))
STARTED = DaemonStarted(SessionId("s1"), "1", "paper", "practice", (BTC,), 7, False)


class Room:
    """A read model and a keeper, as the runtime connects them; `facts` is the journal."""

    def __init__(self, configured: Mapping[str, float] | None = None, *, adaptive: bool = True) -> None:
        self.model = ReadModel("USDT")
        self.facts: list[Message] = []
        self._maker = MessageMaker("engine", SessionId("s1"))
        self._orders = 0
        self.keeper = WeightKeeper(
            self.model.alphas.weights, {"momentum": 0.8, "structure": 0.6} if configured is None else configured,
            is_adaptive=adaptive, change=self.tell,
        )

    def tell(self, body: object) -> None:
        message = self._maker.make(body, len(self.facts) + 1)
        self.facts.append(message)
        self.model.apply(message)
        self.keeper.hear(message)

    def round_trip(self, profit: str, votes: tuple[Vote, ...] = VOTES) -> None:
        self._orders += 1
        order_id = ClientOrderId(f"td-s1-p{self._orders}")
        order = SubmitOrder(
            order_id, BTC, "buy", "market", Decimal(1), "council", proposal_id=ProposalId(f"s1-p{self._orders}"),
            votes=votes, lead_alpha="momentum",
        )
        self.tell(OrderInitialized(order))
        self.tell(PositionOpened(BTC, Decimal(1), Decimal(100), order_id))
        self.tell(PositionClosed(
            BTC, Decimal(1), Decimal(100), Decimal(101), Decimal(profit), Decimal(0), 1, 2, order_id,
        ))

    def changes(self, alpha: str) -> list[WeightChanged]:
        return [
            fact.body for fact in self.facts if isinstance(fact.body, WeightChanged) and fact.body.alpha == alpha
        ]

    def restarted(self, configured: Mapping[str, float] | None = None, *, adaptive: bool = True) -> "Room":
        again = Room(configured, adaptive=adaptive)
        for fact in self.facts:
            again.model.apply(fact)
        again.tell(STARTED)
        return again


def weights(room: Room) -> dict[str, float]:
    return room.model.alphas.chosen_weights()


def test_a_round_trip_moves_those_who_voted_for_and_against_and_says_why() -> None:
    room = Room()
    room.round_trip("-5")
    assert weights(room) == {"momentum": 0.76, "structure": 0.63}
    (change,) = room.changes("momentum")
    assert (change.by, change.is_pinned, change.version) == (ADAPTATION, False, 1)
    assert change.reason == "right in 0 of its last 1 outcomes: 0.8 x 0.95"


def test_many_losses_halve_a_weight_and_many_gains_bring_it_back_version_by_version() -> None:
    room = Room()
    for _ in range(120):
        room.round_trip("-5")
    assert weights(room)["momentum"] == 0.4
    for _ in range(120):
        room.round_trip("5")
    assert weights(room)["momentum"] == 1.0
    assert [change.version for change in room.changes("momentum")] == list(range(1, len(room.changes("momentum")) + 1))


def test_a_round_trip_without_votes_or_profit_teaches_nothing() -> None:
    room = Room()
    room.round_trip("0")
    room.round_trip("5", (Vote("momentum", "hold", 0.5, 1.0),))
    assert weights(room) == {}
    assert room.model.alphas.weights.outcomes("momentum") == ()


def test_losses_of_a_strategy_are_not_those_of_the_alpha_of_its_name() -> None:
    room = Room()
    votes = (Vote("momentum", "trail_buy", 0.6, 1.0, is_strategy=True), Vote("structure", "trail_buy", 0.6, 1.0))
    for _ in range(40):
        room.round_trip("-5", votes)
    assert weights(room) == {"structure": 0.3}
    result, shared = room.model.alphas.result("momentum"), room.model.alphas.result("structure")
    assert (result.trades, result.contribution) == (0, "0")
    assert Decimal(shared.contribution) == -100  # half of the votes for the entries was the strategy's


def test_a_built_in_alpha_that_is_taken_out_of_the_file_weighs_nothing_any_more() -> None:
    room = Room()
    room.round_trip("5")
    assert weights(room)["momentum"] == 0.84
    again = room.restarted({"structure": 0.6})
    assert weights(again)["momentum"] == 0.0
    reason = "right in 1 of its last 1 outcomes: 0 x 1.05 (since the last session 0.84)"
    assert again.changes("momentum")[-1].reason == reason


def test_a_person_s_word_on_one_that_is_taken_out_of_the_file_stands() -> None:
    room = Room()
    room.tell(WeightChanged("momentum", 0.2, "anna", "a little", version=1))
    assert weights(room.restarted({"structure": 0.6}))["momentum"] == 0.2


def test_a_person_s_word_stands_until_it_is_released_and_then_what_was_learnt_counts() -> None:
    room = Room()
    room.tell(WeightChanged("momentum", 0.2, "anna", "too loud", version=1))
    for _ in range(20):
        room.round_trip("-5")
    assert weights(room)["momentum"] == 0.2
    room.tell(room.keeper.release("momentum", "anna"))
    assert weights(room)["momentum"] == 0.4
    assert room.changes("momentum")[-1].reason == "released; right in 0 of its last 20 outcomes: 0.8 x 0.50"
    room.round_trip("5")
    assert room.changes("momentum")[-1].by == ADAPTATION


def test_a_restart_comes_to_the_same_weights_and_says_nothing_new() -> None:
    room = Room()
    for profit in ("-5", "-5", "3", "-1"):
        room.round_trip(profit)
    again = room.restarted()
    assert weights(again) == weights(room)
    assert [type(fact.body) for fact in again.facts] == [DaemonStarted]
    for each in (room, again):
        each.round_trip("-9")
    assert weights(again) == weights(room)


def test_turned_off_the_weights_are_the_file_s_again_and_a_person_s_stay() -> None:
    room = Room()
    room.round_trip("-5")
    room.tell(WeightChanged("structure", 0.1, "anna"))
    off = room.restarted(adaptive=False)
    assert weights(off) == {"momentum": 0.8, "structure": 0.1}
    assert off.changes("momentum")[-1].reason.startswith("weights are not adapted: 0.8 as configured")
    off.round_trip("-5")
    assert weights(off)["momentum"] == 0.8


def test_another_weight_in_the_file_is_what_learning_goes_on_from() -> None:
    room = Room()
    room.round_trip("-5")
    other = room.restarted({"momentum": 0.4, "structure": 0.6})
    assert weights(other)["momentum"] == 0.38


def test_an_alpha_that_is_off_in_the_file_is_not_turned_on() -> None:
    room = Room({"momentum": 0.0, "structure": 0.6})
    room.round_trip("5")
    assert "momentum" not in weights(room)


def test_an_alpha_of_a_user_learns_from_its_own_wish() -> None:
    room = Room({})
    room.tell(AlphaLoaded("momentum", "1", 0.5, (), "momentum.py"))
    room.round_trip("-5")
    assert weights(room) == {"momentum": 0.48}


def test_a_weight_of_an_earlier_version_without_number_is_numbered() -> None:
    room = Room()
    room.tell(WeightChanged("momentum", 0.2, "anna"))
    room.tell(WeightChanged("momentum", 0.3, "anna"))
    assert [change.version for change in room.model.alphas.weights.changes("momentum")] == [2, 1]


@pytest.mark.parametrize(
    ("change", "source"),
    [(None, "config"), (WeightChanged("a", 0.5, "anna"), "person"),
     (WeightChanged("a", 0.5, ADAPTATION, is_pinned=False), "config"),
     (WeightChanged("a", 0.4, ADAPTATION, is_pinned=False), "learnt")],
)
def test_whose_word_a_weight_is(change: WeightChanged | None, source: str) -> None:
    assert weight_source(change, 0.5) == source


def test_in_the_running_council_changes_follow_round_trips_and_the_next_votes_carry_them(tmp_path: Path) -> None:
    CouncilBacktest(BARS, CASH, COSTS, SETTINGS).run(journal=tmp_path / "j.journal")
    journal = MessageJournal.open(tmp_path / "j.journal", read_only=True)
    told = dict(SETTINGS.council.weights)
    changes = proposals = 0
    is_after_trip = False
    for message in journal.read():
        body = message.body
        if isinstance(body, PositionClosed):
            is_after_trip = True
        elif isinstance(body, WeightChanged):
            assert is_after_trip
            assert message.header.source == "weights"
            told[body.alpha] = body.weight
            changes += 1
        elif isinstance(body, TradeProposed) and body.votes:
            proposals += changes > 0
            assert {vote.alpha: vote.weight for vote in body.votes}.items() <= told.items()
    journal.close()
    assert changes > 2
    assert proposals > 2
