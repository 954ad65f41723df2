"""Self-tuning as arithmetic: variations, the tenth of the way, feedback, bounds, and what the agents make of it."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.ceo import Ceo
from agents.parameters import BOUNDS, LIMITS, Parameters, bounds_of, parameters_of
from agents.risk_officer import RiskOfficer
from agents.strategies.trail_distance import DistanceRule
from agents.strategies.trailing_consensus import TrailingConsensus, TrailingConsensusConfig
from agents.strategy import CouncilConfig, Strategy
from agents.tuning import Outcomes, tune, variations, with_feedback
from bus.messages.council import (
    MandateIssued,
    Parameter,
    ParametersChanged,
    ProposalApproved,
    ProposalVetoed,
    TradeProposed,
)
from risk.limits import RiskLimits
from tests.agents.council_scene import (
    BTC,
    ETH,
    SESSION,
    SOL,
    Voice,
    analysis,
    at,
    bodies,
    portfolio,
    position,
    proposal,
    signal,
)

D = Decimal
MODERATE = Parameters(D("0.015"), D("0.015"), D("0.6"), D("0.15"), D("0.05"), D(3))


def changed(parameters: Parameters, *, version: int = 1) -> ParametersChanged:
    return ParametersChanged(version, version - 1, parameters.told(), True, "tuning", "it was better")


# ---- variations


def test_there_are_the_current_set_and_ten_around_it_each_within_ten_percent() -> None:
    sets = variations(MODERATE, MODERATE, 7, 0)
    assert (len(sets), sets[0]) == (11, MODERATE)
    for varied in sets[1:]:
        assert varied != MODERATE
        for name in BOUNDS:
            if name != "positions":
                assert abs(varied.value(name) / MODERATE.value(name) - 1) <= D("0.1")


def test_the_same_seed_and_version_give_the_same_sets_and_another_other_ones() -> None:
    assert variations(MODERATE, MODERATE, 7, 3) == variations(MODERATE, MODERATE, 7, 3)
    assert variations(MODERATE, MODERATE, 7, 3) != variations(MODERATE, MODERATE, 8, 3)
    assert variations(MODERATE, MODERATE, 7, 3) != variations(MODERATE, MODERATE, 7, 4)


def test_no_variation_loosens_a_limit() -> None:
    for varied in variations(MODERATE, MODERATE, 7, 0):
        assert varied.drawdown <= MODERATE.drawdown
        assert varied.positions <= MODERATE.positions


# ---- the best is blended in


def test_a_tenth_of_the_way_to_the_best_by_the_councils_and_the_grids_own_scores() -> None:
    first = Parameters(D("0.016"), D("0.014"), D("0.65"), D("0.14"), D("0.054"), D(2))
    second = Parameters(D("0.012"), D("0.016"), D("0.55"), D("0.14"), D("0.046"), D(2))
    tuned = tune((MODERATE, first, second), (0.0, 0.01, -0.01), (0.0, -0.01, 0.01), {}, MODERATE).parameters
    assert tuned == Parameters(
        spacing=D("0.0147"),  # 0.015 + 0.1 * (0.012 - 0.015): the second's, by the grid
        trail=D("0.0149"), confidence=D("0.605"), size=D("0.0504"),  # a tenth of the way to the first's, by the council
        drawdown=D("0.15"), positions=D(3),  # limits are not argued with
    )


def test_when_no_variation_is_better_nothing_changes() -> None:
    sets = variations(MODERATE, MODERATE, 7, 0)
    assert tune(sets, (0.5, *[0.5] * 10), (0.2, *[0.1] * 10), {}, MODERATE).parameters == MODERATE


def test_without_a_replay_outcomes_alone_may_change_something() -> None:
    tuned = tune((MODERATE,), (), (), {"size": Outcomes(100, 20)}, MODERATE)
    assert tuned.parameters == MODERATE.with_value("size", D("0.045"))
    assert tuned.judged == ("size",)
    assert tuned.reasons == ("size 0.05 -> 0.045", "size: 20% of 100 outcomes were won")


def test_scores_that_do_not_fit_the_sets_are_refused() -> None:
    with pytest.raises(ValueError, match="2 scores for 1 sets"):
        tune((MODERATE,), (0.1, 0.2), (), {}, MODERATE)


# ---- feedback


@pytest.mark.parametrize(("won", "size", "confidence"), [
    (39, "0.045", "0.66"),  # below 40 %: 10 % more careful
    (40, "0.05", "0.6"), (60, "0.05", "0.6"),  # at the edges nothing happens
    (61, "0.0525", "0.57"),  # above 60 %: 5 % bolder
])
def test_success_of_the_last_hundred_outcomes_makes_careful_or_bold(won: int, size: str, confidence: str) -> None:
    outcomes = {name: Outcomes(100, won) for name in ("size", "confidence")}
    found = with_feedback(MODERATE, outcomes).parameters
    assert (found.size, found.confidence) == (D(size), D(confidence))


@pytest.mark.parametrize(("count", "confidence"), [(0, 0.5), (1, 0.55), (7, 0.85), (8, 0.9), (9, 0.9), (100, 0.9)])
def test_the_confidence_in_outcomes_grows_with_each_up_to_nine_tenths(count: int, confidence: float) -> None:
    assert Outcomes(count, 0).confidence == confidence


def test_fewer_than_eight_outcomes_judge_nothing() -> None:
    assert with_feedback(MODERATE, {"size": Outcomes(7, 0)}).judged == ()
    assert with_feedback(MODERATE, {"size": Outcomes(8, 0)}).judged == ("size",)


def test_positions_lose_a_whole_one_and_never_exceed_the_limit() -> None:
    assert with_feedback(MODERATE, {"positions": Outcomes(10, 0)}).parameters.positions == 2
    bold = tune((MODERATE,), (), (), {"positions": Outcomes(10, 10), "drawdown": Outcomes(10, 10)}, MODERATE)
    assert (bold.parameters.positions, bold.parameters.drawdown) == (3, D("0.15"))


# ---- bounds


@pytest.mark.parametrize(("name", "lowest", "highest"), [
    ("spacing", "0.005", "0.05"), ("trail", "0.005", "0.03"), ("confidence", "0.5", "0.9"),
    ("drawdown", "0.05", "0.25"),
    ("size", "0.01", "0.10"), ("positions", "1", "10"),
])
def test_the_bounds_are_those_of_the_design(name: str, lowest: str, highest: str) -> None:
    assert BOUNDS[name] == (D(lowest), D(highest))
    loose = Parameters(D(1), D(1), D(1), D(1), D(1), D(1000))
    none = Parameters(D(0), D(0), D(0), D(0), D(0), D(0))
    configured = replace(loose, confidence=D("0.6"), size=D("0.05"))
    assert loose.within_bounds(configured).value(name) == D(highest)
    assert none.within_bounds(configured).value(name) == D(lowest)


def test_who_asked_for_less_than_the_bounds_know_does_not_find_more_the_next_day() -> None:
    careful = replace(MODERATE, size=D("0.005"), confidence=D("0.95"))
    sets = variations(careful, careful, 7, 0)
    assert sets[0] == careful
    assert all(each.size < D("0.006") and each.confidence > D("0.8") for each in sets)
    found = tune(sets, (), (), {}, careful).parameters
    assert (found.size, found.confidence) == (D("0.005"), D("0.95"))
    grown = tune(sets, (), (), {"size": Outcomes(10, 10), "confidence": Outcomes(10, 0)}, careful).parameters
    assert (grown.size, grown.confidence) == (D("0.00525"), D("0.95"))


RATIO = st.decimals(D("0.001"), D(1), places=4)


@given(
    st.builds(Parameters, RATIO, RATIO, RATIO, RATIO, RATIO, st.integers(1, 30).map(D)), st.integers(0, 99),
    st.lists(st.floats(-1, 1), min_size=11, max_size=11), st.lists(st.floats(-1, 1), min_size=11, max_size=11),
    st.dictionaries(st.sampled_from(list(BOUNDS)), st.integers(0, 100).flatmap(
        lambda count: st.builds(Outcomes, st.just(count), st.integers(0, count)))),
)
def test_whatever_was_replayed_and_won_the_result_is_within_bounds_and_no_limit_is_looser(
    configured: Parameters, version: int, council: list[float], grid: list[float], outcomes: dict[str, Outcomes],
) -> None:
    sets = variations(configured.within_bounds(configured), configured, 7, version)
    found = tune(sets, council, grid, outcomes, configured).parameters
    for name in BOUNDS:
        lowest, highest = bounds_of(name, configured)
        if name in LIMITS:
            assert found.value(name) <= configured.value(name)
        else:
            assert lowest <= found.value(name) <= highest


# ---- as a message, and in the agents


def test_a_set_travels_as_a_message_and_back() -> None:
    assert parameters_of(MODERATE.told()) == MODERATE


@pytest.mark.parametrize("told", [
    (), MODERATE.told()[:-1], (*MODERATE.told(), Parameter("size", D("0.05"))),
    (*MODERATE.told()[:-1], Parameter("positions", D("NaN"))), (*MODERATE.told()[:-1], Parameter("luck", D(1))),
])
def test_an_incomplete_set_changes_nothing(told: tuple[Parameter, ...]) -> None:
    assert parameters_of(told) is None


def strategist() -> tuple[Strategy, Voice]:
    rule = TrailingConsensus(TrailingConsensusConfig(distances=DistanceRule()), RiskLimits())
    agent, voice = Strategy(SESSION, CouncilConfig(cooldown_ns=0), rule, [BTC]), Voice()
    agent.handle(voice.say(0, portfolio()))
    agent.handle(voice.say(0, MandateIssued("risk_on", "calm", at(10_000))))
    return agent, voice


def entry(agent: Strategy, voice: Voice, second: int, confidence: float) -> TradeProposed | None:
    said = analysis(signals=(signal("momentum", "trail_buy", confidence),), second=second)
    return next(iter(bodies(agent.handle(voice.say(second, said)), TradeProposed)), None)


def test_the_strategy_goes_by_the_new_threshold_size_and_trail_at_once() -> None:
    (before, voice), (after, _) = strategist(), strategist()
    half = Parameters(D("0.015"), D("0.03"), D("0.75"), D("0.15"), D("0.025"), D(3))
    after.handle(voice.say(1, changed(half)))
    assert entry(before, voice, 2, 0.7) is not None
    assert entry(after, voice, 2, 0.7) is None
    usual, tuned = entry(before, voice, 30, 0.8), entry(after, voice, 30, 0.8)
    assert usual is not None
    assert tuned is not None
    assert tuned.quantity == BTC.round_quantity(usual.quantity / 2)
    assert usual.trail is not None
    assert tuned.trail is not None
    assert tuned.trail.distance == min(2 * usual.trail.distance, D("0.03"))


def test_the_risk_officer_takes_stricter_limits_and_never_looser_ones() -> None:
    held = (position("ETH/USDT", "0.1"), position("SOL/USDT", "2"))
    for positions, verdict in ((D(2), ProposalVetoed), (D(9), ProposalApproved)):
        officer, voice = RiskOfficer(RiskLimits(), [BTC, ETH, SOL]), Voice()
        officer.handle(voice.say(0, portfolio(*held)))
        officer.handle(voice.say(0, MandateIssued("risk_on", "calm", at(10_000))))
        officer.handle(voice.say(0, changed(MODERATE.with_value("positions", positions))))
        (answer,) = bodies(officer.handle(voice.say(1, proposal(), expires=at(5))))
        assert isinstance(answer, verdict)


def test_an_officer_that_begins_anew_is_told_and_a_reversal_gives_the_configured_limits_back() -> None:
    officer = RiskOfficer(RiskLimits(), [BTC], parameters=MODERATE.with_value("positions", D(1)))
    assert officer._limits.max_positions == 1
    officer.handle(Voice().say(0, changed(MODERATE, version=2)))
    assert officer._limits.max_positions == 3


def test_the_ceos_mandate_goes_by_the_stricter_drawdown() -> None:
    ceo, voice = Ceo(RiskLimits()), Voice()
    ceo.handle(voice.tick(0))
    ceo.handle(voice.say(1, changed(MODERATE.with_value("drawdown", D("0.08")))))
    (issued,) = bodies(ceo.handle(voice.say(2, portfolio(max_drawdown=0.08))), MandateIssued)
    assert (issued.mandate, issued.reason) == ("risk_off", "drawdown 8.00% of 8.00% allowed")
