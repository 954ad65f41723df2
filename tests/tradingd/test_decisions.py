"""What the council decided, as people see it: newest first, with every vote, the holds too."""

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bus.ids import ClientOrderId, ProposalId, SessionId
from bus.messages.council import (
    AlphaSignal,
    AlphaSkipped,
    AnalysisCompleted,
    Check,
    ProposalApproved,
    ProposalVetoed,
    ProposalWithheld,
    TradeProposed,
    Vote,
)
from bus.messages.header import Message, MessageMaker
from bus.messages.orders import Protection, SubmitOrder
from market.interval import SECOND_NS
from market.ticks import Candle
from tests.tradingd.small_daemon import SmallDaemon, served, settings_in
from tradingd import exit_codes
from tradingd.auth import Auth, mint_token
from tradingd.cli import app
from tradingd.client import AnswerError, Client
from tradingd.data_dir import JOURNAL
from tradingd.decision_view import decision_views
from tradingd.message_journal import MessageJournal
from tradingd.read_model import ReadModel
from tradingd.read_model_council import MOST_DECISIONS

BTC = "BTC/USDT"
SIGNAL = AlphaSignal("momentum", "1", BTC, "1m", SECOND_NS, "trail_buy", 0.5, 1.0, 0.01, "low", "RSI 61 rises")
SKIPPED = AlphaSkipped("mine", 0.5, "ALPHA_TIMEOUT", "no answer within 5 s")
VOTES = (Vote("momentum", "trail_buy", 0.5, 1.0),)


def withheld(outcome: str = "unsure", symbol: str = BTC) -> ProposalWithheld:
    return ProposalWithheld(
        symbol, "1m", SECOND_NS, Decimal(100), "trending", outcome, "trail_buy", 0.5, 0.6, "momentum",  # type: ignore[arg-type]
        "momentum 0.50 says buy; 0.500 is below 0.600", VOTES, (SKIPPED,),
    )


def proposed() -> TradeProposed:
    return TradeProposed(
        ProposalId("s1-p1"), BTC, "buy", Decimal("0.1"), Decimal(100), 0.8, VOTES, "momentum", None, Protection(), 0,
        False, "momentum 0.80 says buy",
    )


def story() -> list[Message]:
    """An analysis that led to nothing, and one that led to a proposal which was vetoed."""
    analyst, strategy, risk = (MessageMaker(name, SessionId("s1")) for name in ("analyst", "strategy", "risk"))
    analysis = AnalysisCompleted(BTC, "1m", SECOND_NS, Decimal(100), "trending", (), (SIGNAL,), (SKIPPED,))
    first, second = analyst.make(analysis, 1), analyst.make(analysis, 2)
    return [
        first, strategy.make(withheld(), 1, cause=first.id), second, strategy.make(proposed(), 2, cause=second.id),
        risk.make(ProposalVetoed(ProposalId("s1-p1"), BTC, "MAX_POSITIONS", (), "3 of 3 are open"), 3),
    ]


def folded(messages: list[Message]) -> ReadModel:
    model = ReadModel("USDT")
    for message in messages:
        model.apply(message)
    return model


def test_a_decision_shows_votes_with_their_reasoning_and_who_was_skipped_under_which_family() -> None:
    vetoed, unsure = decision_views(folded(story()).council)
    assert (unsure.outcome, unsure.action, unsure.threshold, unsure.proposal_id) == ("unsure", "trail_buy", 0.6, "")
    assert unsure.votes[0].reasoning == "RSI 61 rises"
    assert (unsure.skipped[0].family, unsure.skipped[0].code) == ("E005", "ALPHA_TIMEOUT")
    assert (vetoed.outcome, vetoed.verdict, vetoed.proposal_id) == ("proposed", "vetoed", "s1-p1")
    assert vetoed.skipped == unsure.skipped
    assert (vetoed.interval, vetoed.regime) == ("1m", "trending")


def test_the_newest_are_kept_and_may_be_chosen_by_symbol_and_outcome() -> None:
    maker = MessageMaker("strategy", SessionId("s1"))
    model = folded([
        maker.make(withheld("hold" if number % 2 else "blocked", f"C{number % 5}/USDT"), number)
        for number in range(MOST_DECISIONS + 10)
    ])
    views = decision_views(model.council, limit=5_000)
    assert len(views) == MOST_DECISIONS
    assert views[0].id == f"strategy.s1.{MOST_DECISIONS + 10}"
    chosen = decision_views(model.council, symbol="C1/USDT", outcome="hold", limit=3)
    assert {(view.symbol, view.outcome) for view in chosen} == {("C1/USDT", "hold")}


def tradingd(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_reads_the_journal_when_no_daemon_runs(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.mkdir()
    journal = MessageJournal.open(path / JOURNAL)
    journal.append(story(), sync=False)
    journal.close()
    shown = tradingd("decisions", "--data-dir", path)
    assert "proposed, vetoed" in shown.stdout
    assert "mine skipped (ALPHA_TIMEOUT)" in shown.stdout
    detailed = tradingd("decisions", "--votes", "--outcome", "unsure", "--data-dir", path).stdout
    assert "RSI 61 rises" in detailed
    assert "E005: no answer within 5 s" in detailed
    wrong = tradingd("decisions", "--outcome", "perhaps", "--data-dir", path)
    assert (wrong.exit_code, "no_plan" in wrong.stderr, "vetoed" in wrong.stderr) == (2, True, True)


def test_decisions_can_be_chosen_by_what_became_of_them_also_when_their_chain_is_no_longer_kept() -> None:
    maker = MessageMaker("strategy", SessionId("s1"))
    model = ReadModel("USDT", max_chains=1)
    for number in range(3):
        ours = replace(proposed(), proposal_id=ProposalId(f"s1-p{number}"))
        model.apply(maker.make(ours, number))
        if number != 1:
            model.apply(maker.make(ProposalVetoed(ours.proposal_id, BTC, "MAX_POSITIONS", (), "no"), number))
    vetoed = decision_views(model.council, outcome="vetoed")
    assert [(view.proposal_id, view.verdict_code) for view in vetoed] == [
        ("s1-p2", "MAX_POSITIONS"), ("s1-p0", "MAX_POSITIONS"),
    ]
    assert len(decision_views(model.council, outcome="proposed")) == 3
    assert decision_views(model.council, outcome="approved") == []


FAILED = Check("max_positions", "4", "3", False, "3 of 3 positions are open already", "MAX_POSITIONS")
PASSED = Check("daily_loss", "0", "0.05", True, "nothing was lost today")


def vetoed_story() -> list[Message]:
    *before, verdict = story()
    return [*before, verdict._replace(body=replace(verdict.body, checks=(PASSED, FAILED)))]


def test_explain_tells_a_vetoed_proposal_with_all_votes_and_the_failed_rule_s_numbers(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.mkdir()
    journal = MessageJournal.open(path / JOURNAL)
    journal.append(vetoed_story(), sync=False)
    journal.close()
    for wanted in ("s1-p1", "strategy.s1.2"):
        shown = tradingd("explain", wanted, "--data-dir", path).stdout
        assert "momentum says buy with confidence 0.50" in shown
        assert "mine was skipped (ALPHA_TIMEOUT, E005)" in shown
        assert "max_positions is 4, limit 3 (1 of 2 checks passed)" in shown
        assert "daily_loss" not in shown
    shown = tradingd("explain", "strategy.s1.1", "--data-dir", path).stdout
    assert "proposed nothing (unsure: it was not sure enough)" in shown
    assert "confidence 0.50, led by momentum; a proposal needs 0.60" in " ".join(shown.split())
    unknown = tradingd("explain", "s1-p99", "--data-dir", path)
    assert (unknown.exit_code, "no order, decision or proposal" in unknown.stderr) == (exit_codes.NOT_FOUND, True)


def many_proposals(count: int) -> Iterator[Message]:
    """Each with its candle, analysis and verdict; every third was approved and became an order."""
    engine, analyst, strategy, risk = (
        MessageMaker(name, SessionId("s1")) for name in ("engine", "analyst", "strategy", "risk")
    )
    one, price = Decimal(1), Decimal(100)
    for number in range(count):
        ts = (number + 1) * SECOND_NS
        ours = replace(proposed(), proposal_id=ProposalId(f"s1-p{number + 1}"))
        candle = engine.make(Candle(BTC, "1m", ts, price, price, price, price, one, 1, ts), ts)
        told = AnalysisCompleted(BTC, "1m", ts, price, "trending", (), (SIGNAL,), (SKIPPED,))
        analysis = analyst.make(told, ts, cause=candle.id)
        proposal = strategy.make(ours, ts, cause=analysis.id)
        yield from (candle, analysis, proposal)
        if number % 3:
            yield risk.make(ProposalVetoed(ours.proposal_id, BTC, "MAX_POSITIONS", (FAILED,), "no"), ts)
        else:
            yield risk.make(ProposalApproved(ours.proposal_id, BTC, one, None, (PASSED,), "yes"), ts)
            order = SubmitOrder(ClientOrderId(f"td-{ours.proposal_id}"), BTC, "buy", "market", one, "council",
                                proposal_id=ours.proposal_id)
            yield engine.make(order, ts)


def test_a_decision_that_memory_has_let_go_is_told_from_the_journal_word_for_word(tmp_path: Path) -> None:
    path = tmp_path / "long.journal"
    journal = MessageJournal.open(path)
    journal.append(many_proposals(12), sync=False)
    whole, small = ReadModel("USDT"), ReadModel("USDT", max_chains=1)
    for message in journal.read():
        whole.apply(message)
        small.apply(message)
    journal.close()
    small.journal = path
    asked = [proposal for proposal in whole.council.chains if small.is_past_decision(proposal)]
    assert len(asked) == 11
    for proposal in asked:
        assert small.decision_trace(proposal) is None
        assert small.past_decision_trace(proposal) == whole.decision_trace(proposal)
    assert small.past_decision_trace("s1-p999") is None
    assert not small.is_past_decision("../etc/passwd")


def test_the_api_gives_the_same(tmp_path: Path) -> None:
    daemon = SmallDaemon(settings_in(tmp_path))
    auth = Auth.open(tmp_path)
    with served(daemon, auth) as url:
        for message in story():
            daemon.read_model.apply(message)
        client = Client(url, mint_token(tmp_path, "viewer", "viewer"))
        answer = client.get("/api/decisions?outcome=unsure&symbol=btcusdt")
        assert len(client.get("/api/decisions?outcome=vetoed")) == 1
        trace = client.get("/api/decisions/s1-p1/trace")
        assert [each["kind"] for each in trace][-2:] == ["TradeProposed", "ProposalVetoed"]
        with pytest.raises(AnswerError) as unknown:
            client.get("/api/decisions/s1-p2/trace")
        assert unknown.value.code == "UNKNOWN_DECISION"
    assert [view["outcome"] for view in answer] == ["unsure"]
    assert json.loads(json.dumps(answer)) == answer
