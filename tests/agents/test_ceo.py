from collections.abc import Sequence
from typing import Any

import pytest

from agents.agent import HISTORY, Emit
from agents.ceo import Ceo
from bus.messages.council import MandateIssued, RestartAgent, StartAgent
from bus.messages.ledger import PortfolioSnapshot
from bus.messages.system import AgentFailed, AgentStarted, AlertRaised, Heartbeat, TradingStateChanged, VoteTradingState
from risk.limits import RiskLimits
from tests.agents.council_scene import Voice, analysis, at, losing, portfolio

AGENTS = ("scanner", "analyst", "strategy", "risk", "trader")


class Company:
    """A CEO whose agents beat every second unless they are listed as silent, and who answer restarts."""

    def __init__(self) -> None:
        self.ceo = Ceo(RiskLimits())
        self.voice = Voice()
        self.said: list[tuple[int, Any]] = []
        self.silent: set[str] = set()

    def tell(self, second: float, body: Any) -> Sequence[Emit]:
        emits = self.ceo.handle(self.voice.say(second, body))
        self.said += [(int(second), emit.body) for emit in emits]
        return emits

    def live(self, first: int, last: int) -> "Company":
        """Seconds first..last: the heartbeats, then the timer."""
        for second in range(first, last + 1):
            for agent in AGENTS:
                if agent not in self.silent:
                    self.tell(second, Heartbeat(agent))
            emits = self.ceo.handle(self.voice.tick(second))
            self.said += [(second, emit.body) for emit in emits]
        return self

    def all(self, kind: type) -> list[tuple[int, Any]]:
        return [(second, body) for second, body in self.said if isinstance(body, kind)]

    def votes(self) -> list[tuple[int, str]]:
        return [(second, body.state) for second, body in self.all(VoteTradingState)]

    def acknowledge(self, second: float, state: Any, reason: str) -> None:
        self.tell(second, TradingStateChanged(state, (("operator", "ACTIVE", ""), ("ceo", state, reason)), reason))


def last_vote(company: Company) -> VoteTradingState:
    vote: VoteTradingState = company.all(VoteTradingState)[-1][1]
    return vote


def test_the_first_timer_starts_everybody_in_order_and_once() -> None:
    company = Company().live(0, 3)
    assert [body.agent for _, body in company.all(StartAgent)] == list(AGENTS)
    assert {second for second, _ in company.all(StartAgent)} == {0}


def test_active_is_voted_when_everybody_has_been_heard() -> None:
    company = Company()
    company.silent = {"trader"}
    company.live(0, 3)
    assert company.votes() == []
    company.silent = set()
    company.live(4, 4)
    assert company.votes() == [(4, "ACTIVE")]


def test_a_vote_is_repeated_with_growing_pauses_until_the_engine_shows_it() -> None:
    company = Company().live(0, 9)
    assert company.votes() == [(1, "ACTIVE"), (2, "ACTIVE"), (4, "ACTIVE"), (8, "ACTIVE")]
    company.acknowledge(9.5, "ACTIVE", last_vote(company).reason)
    company.live(10, 60)
    assert len(company.votes()) == 4


def test_a_risk_officer_silent_for_five_seconds_stops_entries_and_is_restarted() -> None:
    company = Company().live(0, 10)
    company.silent = {"risk"}
    company.live(11, 14)
    assert company.all(RestartAgent) == []
    company.live(15, 15)
    assert company.all(RestartAgent) == [(15, RestartAgent("risk", "silent for 5 s"))]
    assert company.votes()[-1] == (15, "REDUCING")
    assert last_vote(company).reason == "risk: silent for 5 s"


def test_other_agents_are_given_sixty_seconds() -> None:
    company = Company().live(0, 10)
    company.acknowledge(10.5, "ACTIVE", "all agents work")
    company.silent = {"scanner"}
    company.live(11, 69)
    assert company.all(RestartAgent) == []
    company.live(70, 70)
    assert company.all(RestartAgent) == [(70, RestartAgent("scanner", "silent for 60 s"))]
    assert company.votes()[-1] == (70, "REDUCING")


def test_a_restarted_agent_must_be_heard_before_entries_go_on() -> None:
    company = Company().live(0, 10)
    company.silent = {"risk"}
    company.live(11, 15)
    company.tell(15.2, AgentStarted("risk", 1))
    company.live(16, 18)
    assert company.votes()[-1][1] == "REDUCING"
    company.silent = set()
    company.live(19, 19)
    assert company.votes()[-1] == (19, "ACTIVE")


def test_an_agent_that_never_comes_back_is_restarted_with_growing_pauses_up_to_a_minute() -> None:
    company = Company().live(0, 0)
    company.silent = {"risk"}
    company.live(1, 260)
    seconds = [second for second, _ in company.all(RestartAgent)]
    assert seconds == [5, 6, 8, 12, 20, 36, 68, 128, 188, 248]


def test_a_failed_agent_is_restarted_at_once_and_entries_go_on() -> None:
    company = Company().live(0, 10)
    company.tell(10.5, AgentFailed("analyst", "division by zero"))
    assert company.all(RestartAgent) == [(10, RestartAgent("analyst", "it failed: division by zero"))]
    company.tell(10.6, AgentStarted("analyst", 1))
    company.live(11, 20)
    assert len(company.all(RestartAgent)) == 1
    assert {state for _, state in company.votes()} == {"ACTIVE"}


def test_a_restart_that_was_lost_on_the_bus_is_ordered_again() -> None:
    company = Company().live(0, 10)
    company.silent = {"analyst"}
    company.tell(10.5, AgentFailed("analyst", "boom"))
    company.live(11, 14)
    assert [second for second, _ in company.all(RestartAgent)] == [10, 12, 14]


def failures(company: Company, agent: str, *seconds: int) -> None:
    for second in seconds:
        company.tell(second + 0.5, AgentFailed(agent, "boom"))
        company.tell(second + 0.6, AgentStarted(agent, 1))


def test_three_failures_within_five_minutes_stop_entries_until_the_first_is_past() -> None:
    company = Company().live(0, 10)
    failures(company, "analyst", 10)
    company.live(11, 100)
    failures(company, "analyst", 100)
    company.live(101, 200)
    assert {state for _, state in company.votes()} == {"ACTIVE"}
    failures(company, "analyst", 200)
    assert company.votes()[-1] == (200, "REDUCING")
    assert last_vote(company).reason == "analyst: failed 3 times within 5 min"
    company.live(201, 310)
    assert company.votes()[-1][1] == "REDUCING"
    company.live(311, 311)
    assert company.votes()[-1] == (311, "ACTIVE")


def test_three_failures_over_a_longer_time_are_forgiven() -> None:
    company = Company().live(0, 10)
    for start in (10, 170, 330):
        failures(company, "analyst", start)
        company.live(start + 1, start + 160)
    assert {state for _, state in company.votes()} == {"ACTIVE"}


def test_five_quiet_minutes_make_the_next_restart_prompt_again() -> None:
    company = Company().live(0, 0)
    company.silent = {"risk"}
    company.live(1, 30)
    company.silent = set()
    company.live(31, 400)
    company.silent = {"risk"}
    company.live(401, 412)
    assert [second for second, _ in company.all(RestartAgent)] == [5, 6, 8, 12, 20, 405, 406, 408, 412]


def test_an_agent_that_is_not_heard_for_five_minutes_is_lost_and_a_person_is_told_once() -> None:
    company = Company().live(0, 10)
    company.silent = {"analyst"}
    company.live(11, 309)
    assert company.all(AlertRaised) == []
    company.live(310, 700)
    ((second, alert),) = company.all(AlertRaised)
    assert (second, alert.level, alert.title) == (310, "critical", "agent analyst is lost")
    assert "restarts did not help: no entries, exits go on" in alert.message
    company.silent = set()
    company.live(701, 705)
    assert [(second, body.level) for second, body in company.all(AlertRaised)][1:] == [(701, "info")]


def test_an_agent_that_was_never_heard_is_lost_five_minutes_after_the_start() -> None:
    company = Company()
    company.silent = {"risk"}
    company.live(0, 400)
    assert [(second, body.title) for second, body in company.all(AlertRaised)] == [(300, "agent risk is lost")]


def test_an_agent_that_only_ever_starts_is_lost_too() -> None:
    company = Company().live(0, 10)
    company.silent = {"trader"}
    for second in range(11, 400):
        company.tell(second, AgentStarted("trader", second))
        company.live(second, second)
    assert [second for second, _ in company.all(AlertRaised)] == [310]


def test_strangers_on_the_bus_are_nobodys_business() -> None:
    company = Company().live(0, 5)
    company.tell(5.5, AgentFailed("intruder", "boom"))
    company.tell(5.6, Heartbeat("intruder"))
    company.tell(5.7, AgentStarted("intruder", 3))
    assert company.all(RestartAgent) == []


# ---- the mandate -----------------------------------------------------------------------------------


def mandates(company: Company) -> list[tuple[int, str]]:
    return [(second, body.mandate) for second, body in company.all(MandateIssued)]


def prosper(
    company: Company, second: float, snapshot: PortfolioSnapshot | None = None, regime: Any = "trending",
) -> None:
    company.tell(second, snapshot or portfolio())
    for symbol in ("BTC/USDT", "ETH/USDT"):
        company.tell(second, analysis(symbol, regime=regime))


def test_the_mandate_is_issued_at_once_and_every_minute_and_expires_after_three() -> None:
    company = Company().live(0, 130)
    issued = company.all(MandateIssued)
    assert [(second, body.mandate) for second, body in issued] == [(0, "neutral"), (60, "neutral"), (120, "neutral")]
    assert [body.valid_until for _, body in issued] == [at(180), at(240), at(300)]
    emits = company.ceo.handle(company.voice.tick(180))
    assert [emit.expires for emit in emits if isinstance(emit.body, MandateIssued)] == [at(360)]


def test_quiet_markets_and_a_sound_account_allow_risk() -> None:
    company = Company()
    prosper(company, 0)
    company.live(0, 1)
    assert mandates(company) == [(0, "risk_on")]


def test_a_mood_must_last_ten_seconds_before_it_changes_the_mandate() -> None:
    company = Company()
    prosper(company, 0)
    company.live(0, 4)
    prosper(company, 4.5, regime="volatile")
    company.live(5, 9)
    prosper(company, 9.5)
    company.live(10, 19)
    assert mandates(company) == [(0, "risk_on")]
    prosper(company, 19.5, regime="volatile")
    company.live(20, 30)
    assert mandates(company) == [(0, "risk_on"), (30, "neutral")]


@pytest.mark.parametrize(
    ("field", "ratio", "mandate"),
    [
        ("daily_drawdown", 0.0499, "neutral"), ("daily_drawdown", 0.05, "risk_off"),
        ("weekly_drawdown", 0.0999, "neutral"), ("weekly_drawdown", 0.1, "risk_off"),
        ("max_drawdown", 0.1499, "neutral"), ("max_drawdown", 0.15, "risk_off"),
        ("daily_loss", 0.0249, "risk_on"), ("daily_loss", 0.025, "neutral"), ("daily_loss", 0.0499, "neutral"),
        ("daily_loss", 0.05, "risk_off"),
    ],
)
def test_drawdown_decides_the_mandate(field: str, ratio: float, mandate: str) -> None:
    company = Company()
    prosper(company, 0, losing(field, ratio))
    company.live(0, 0)
    assert mandates(company) == [(0, mandate)]


def test_risk_off_is_said_the_moment_the_loss_is_known_and_taken_back_with_a_margin() -> None:
    company = Company()
    prosper(company, 0)
    company.live(0, 5)
    company.tell(5.5, portfolio(daily_loss=0.051))
    assert mandates(company)[-1] == (5, "risk_off")
    company.tell(6.5, portfolio(daily_loss=0.0475))
    assert mandates(company)[-1] == (5, "risk_off")
    company.tell(7.5, portfolio(daily_loss=0.0474))
    assert mandates(company)[-1] == (7, "neutral")


def test_a_regime_of_three_minutes_ago_is_forgotten() -> None:
    company = Company()
    prosper(company, 0)
    company.live(0, 240)
    assert mandates(company)[-2:] == [(180, "neutral"), (240, "neutral")]
    assert company.all(MandateIssued)[-1][1].reason == "no market regime is known yet"


def test_the_status_tells_who_is_missing() -> None:
    company = Company().live(0, 10)
    assert company.ceo.status().message.startswith("5 of 5 agents work")
    company.silent = {"risk"}
    company.live(11, 15)
    status = company.ceo.status()
    assert (status.status, status.current, status.total) == ("in trouble", 4, 5)
    assert "risk: silent for 5 s" in status.message


def test_an_agent_that_fails_before_the_first_timer_is_begun_anew_at_once() -> None:
    company = Company()
    emits = company.tell(1, AgentFailed("analyst", "it raised on history"))
    assert [emit.body.agent for emit in emits if isinstance(emit.body, RestartAgent)] == ["analyst"]


def test_a_ceo_begun_anew_counts_the_failures_it_is_told_of_and_restarts_nobody_for_them() -> None:
    company = Company()
    past = Voice(HISTORY)
    for _ in range(3):
        emits = company.ceo.handle(past.say(0, AgentFailed("strategy", "boom")))
        company.said += [(0, emit.body) for emit in emits]
    company.live(0, 60)
    assert company.all(RestartAgent) == []
    assert {state for _, state in company.votes()} == {"REDUCING"}
    company.live(61, 301)
    assert company.votes()[-1][1] == "ACTIVE"
