"""What the council decided, as people see it: newest first, with every vote, the holds too."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from bus.ids import ProposalId, SessionId
from bus.messages.council import (
    AlphaSignal,
    AlphaSkipped,
    AnalysisCompleted,
    ProposalVetoed,
    ProposalWithheld,
    TradeProposed,
    Vote,
)
from bus.messages.header import Message, MessageMaker
from bus.messages.orders import Protection
from market.interval import SECOND_NS
from tests.tradingd.small_daemon import SmallDaemon, served, settings_in
from tradingd.auth import Auth, mint_token
from tradingd.cli import app
from tradingd.client import Client
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
    assert (wrong.exit_code, "no_plan" in wrong.stderr) == (2, True)


def test_the_api_gives_the_same(tmp_path: Path) -> None:
    daemon = SmallDaemon(settings_in(tmp_path))
    auth = Auth.open(tmp_path)
    with served(daemon, auth) as url:
        for message in story():
            daemon.read_model.apply(message)
        client = Client(url, mint_token(tmp_path, "viewer", "viewer"))
        answer = client.get("/api/decisions?outcome=unsure&symbol=btcusdt")
    assert [view["outcome"] for view in answer] == ["unsure"]
    assert json.loads(json.dumps(answer)) == answer
