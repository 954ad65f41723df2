import os
import subprocess
import sys
from decimal import ROUND_DOWN, Decimal
from pathlib import Path

from bus.messages.council import (
    AnalysisCompleted,
    MandateIssued,
    ProposalApproved,
    ProposalExpired,
    ProposalVetoed,
    RestartAgent,
    StartAgent,
    TradeProposed,
)
from bus.messages.orders import SubmitOrder
from bus.messages.system import LimitBreached, TradingStateChanged, VoteTradingState
from risk.limits import RiskLimits
from tests.agents.council_room import CouncilRoom
from tests.agents.council_scene import at, portfolio, position, sells

D = Decimal


def test_from_a_closed_candle_to_an_order_each_message_names_its_cause() -> None:
    room = CouncilRoom().until(1)
    heard = room.candle()
    (proposed,), (approved,), (order,) = room.all(TradeProposed), room.all(ProposalApproved), room.all(SubmitOrder)
    assert [m.header.source for m in (heard, proposed, approved, order)] == ["analyst", "strategy", "risk", "trader"]
    assert proposed.header.cause == heard.id
    assert approved.header.cause == proposed.id
    assert order.header.cause == approved.id
    assert {proposed.header.expires, approved.header.expires, order.header.expires} == {at(6)}
    assert order.body.client_order_id == "td-s7-p1"
    assert order.body.quantity == approved.body.quantity == proposed.body.quantity == D("0.00620")
    assert order.body.protection.stop_ratio == D("0.02")
    assert isinstance(heard.body, AnalysisCompleted)


def test_nothing_is_bought_before_the_first_mandate() -> None:
    room = CouncilRoom()
    room.candle()
    assert room.bodies(TradeProposed) == []
    room.until(1).candle()
    assert len(room.bodies(SubmitOrder)) == 1


def test_everybody_is_started_and_votes_active() -> None:
    room = CouncilRoom().until(3)
    assert [body.agent for body in room.bodies(StartAgent)] == ["scanner", "analyst", "strategy", "risk", "trader"]
    assert [(body.voter, body.state) for body in room.bodies(VoteTradingState)] == [
        ("risk", "ACTIVE"), ("ceo", "ACTIVE"),
    ]


def test_of_two_proposals_in_one_instant_the_second_is_shrunk_to_what_the_first_left() -> None:
    room = CouncilRoom(limits=RiskLimits(exposure_total=D("0.06"))).until(1)
    room.candle("BTC/USDT")
    room.candle("ETH/USDT")
    first, second = room.bodies(ProposalApproved)
    assert (first.shrunk_from, first.quantity) == (None, D("0.00620"))
    assert second.shrunk_from == D("0.1240")
    assert "total exposure would exceed 6 %" in second.reason
    orders = room.bodies(SubmitOrder)
    assert [order.quantity for order in orders] == [first.quantity, second.quantity]
    # 600 in all, and both may fill a little above the reference price
    assert D(580) < first.quantity * 60_000 + second.quantity * 3_000 < D(600)


def test_a_veto_is_told_with_its_reason_and_no_order_follows() -> None:
    room = CouncilRoom()
    room.portfolio = portfolio(position("ETH/USDT", "0.1"), position("SOL/USDT", "2"), position("XRP/USDT", "300"))
    room.until(1).candle()
    (veto,) = room.bodies(ProposalVetoed)
    assert (veto.code, veto.reason) == ("MAX_POSITIONS", "Vetoed: 3 of 3 positions are open already.")
    assert room.until(20).bodies(SubmitOrder) == []


def test_without_the_risk_officer_a_proposal_dies_entries_stop_and_it_is_restarted() -> None:
    room = CouncilRoom().until(10)
    room.absent = {"risk"}
    room.candle()
    room.until(15)
    assert [(m.header.ts, m.body.reason) for m in room.all(ProposalExpired)] == [
        (at(15), "no verdict came in time, and silence is no"),
    ]
    assert room.bodies(SubmitOrder) == []
    assert [(m.header.ts, m.body.agent) for m in room.all(RestartAgent)] == [(at(15), "risk")]
    assert room.bodies(TradingStateChanged)[-1].state == "REDUCING"
    room.until(21).candle()
    assert len(room.bodies(TradeProposed)) == 1
    room.absent = set()
    room.until(25)
    assert room.bodies(TradingStateChanged)[-1].state == "ACTIVE"
    room.candle()
    assert len(room.bodies(SubmitOrder)) == 1


def test_an_engine_that_does_not_answer_hears_the_same_command_each_second_until_it_expires() -> None:
    room = CouncilRoom(engine_answers=False).until(1)
    room.candle()
    room.until(20)
    sent = room.all(SubmitOrder)
    assert [message.header.ts for message in sent] == [at(second) for second in (1, 2, 3, 4, 5)]
    assert len({message.body for message in sent}) == 1
    assert len({message.header.cause for message in sent}) == 1
    (expired,) = room.bodies(ProposalExpired)
    assert expired.reason == "the engine did not answer 5 commands in time"


def test_an_answered_command_is_sent_once() -> None:
    room = CouncilRoom().until(1)
    room.candle()
    assert len(room.until(20).bodies(SubmitOrder)) == 1


def test_near_a_drawdown_limit_the_council_still_buys_but_less_and_less() -> None:
    bought = []
    for used in ("0.80", "0.85", "0.90", "0.95"):
        drawdown = D(used) * D("0.05")
        room = CouncilRoom()
        day_peak = (D(10_000) / (1 - drawdown)).quantize(D("0.000001"), ROUND_DOWN)
        room.portfolio = portfolio(day_peak_equity=day_peak, daily_drawdown=float(drawdown))
        room.until(1).candle()
        (order,) = room.bodies(SubmitOrder)
        bought.append(order.quantity)
        assert room.bodies(MandateIssued)[-1].mandate == "neutral"
    assert bought == [D("0.00620"), D("0.00465"), D("0.00310"), D("0.00155")]


def test_a_reached_loss_limit_stops_entries_in_three_ways_at_once() -> None:
    room = CouncilRoom().until(5)
    room.portfolio = portfolio(daily_loss=0.05)
    room.until(6)
    assert [body.rule for body in room.bodies(LimitBreached)] == ["daily_loss"]
    assert room.bodies(TradingStateChanged)[-1].votes[2][:2] == ("risk", "REDUCING")
    assert room.bodies(MandateIssued)[-1].mandate == "risk_off"
    room.candle()
    assert room.until(30).bodies(TradeProposed) == []


def test_a_sell_consensus_leaves_a_position_even_while_reducing() -> None:
    room = CouncilRoom()
    room.portfolio = portfolio(position("BTC/USDT", "0.005"), daily_loss=0.05)
    room.until(2).candle("BTC/USDT", sells())
    (order,) = room.bodies(SubmitOrder)
    assert (order.side, order.reduce_only, order.order_type, order.quantity) == ("sell", True, "trailing", D("0.005"))


def test_a_session_is_the_same_under_every_hash_seed() -> None:
    root = Path(__file__).resolve().parents[2]
    digests = {
        subprocess.run(
            [sys.executable, "-m", "tests.agents.council_room"], cwd=root, check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64
