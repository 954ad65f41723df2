"""Four votes and a latch."""

from itertools import product

import pytest

from risk.trading_state import VOTERS, TradingStateVotes

STATES = ("ACTIVE", "REDUCING", "HALTED")
RANK = {"HALTED": 0, "REDUCING": 1, "ACTIVE": 2}


def test_everybody_begins_active() -> None:
    votes = TradingStateVotes()
    assert votes.state == "ACTIVE"
    assert votes.votes == tuple((voter, "ACTIVE", "") for voter in ("operator", "ceo", "risk", "health"))
    assert votes.reason == "all voters say ACTIVE"


@pytest.mark.parametrize("cast", list(product(STATES, repeat=4)))
def test_the_lowest_of_four_votes_rules(cast: tuple[str, ...]) -> None:
    votes = TradingStateVotes()
    for voter, state in zip(VOTERS, cast, strict=True):
        votes.vote(voter, state, "because")  # type: ignore[arg-type]
    assert votes.state == min(cast, key=RANK.__getitem__)


def test_a_vote_tells_the_state_and_whether_anything_changed() -> None:
    votes = TradingStateVotes()
    assert votes.vote("health", "REDUCING", "feed lost") == ("REDUCING", True)
    assert votes.vote("health", "REDUCING", "feed lost") == ("REDUCING", False)
    assert votes.vote("health", "REDUCING", "bus lost") == ("REDUCING", True)
    assert votes.vote("ceo", "REDUCING", "drawdown") == ("REDUCING", True)
    assert votes.vote("health", "ACTIVE", "feed back") == ("REDUCING", True)
    assert votes.reason == "ceo: drawdown"
    assert votes.vote("ceo", "ACTIVE", "calm") == ("ACTIVE", True)


def test_the_reason_names_all_who_vote_lowest() -> None:
    votes = TradingStateVotes()
    votes.vote("risk", "REDUCING", "daily loss")
    votes.vote("operator", "REDUCING", "lunch")
    assert votes.reason == "operator: lunch; risk: daily loss"


def test_the_kill_latch_overrides_every_vote_until_it_is_released() -> None:
    votes = TradingStateVotes()
    votes.vote("health", "REDUCING", "feed lost")
    assert votes.engage_kill("panic") == ("HALTED", True)
    assert votes.engage_kill("again") == ("HALTED", False)
    assert votes.reason == "kill switch: panic"
    assert votes.vote("health", "ACTIVE", "feed back") == ("HALTED", True)
    assert votes.is_killed
    assert votes.release_kill() == ("ACTIVE", True)
    assert votes.release_kill() == ("ACTIVE", False)


def test_votes_are_restored_from_what_was_told() -> None:
    told, restored = TradingStateVotes(), TradingStateVotes()
    told.vote("operator", "HALTED", "stop")
    told.vote("health", "REDUCING", "feed lost")
    restored.restore(told.votes)
    assert restored.votes == told.votes
    assert restored.state == "HALTED"


@pytest.mark.parametrize(("voter", "state"), [("intern", "ACTIVE"), ("ceo", "PAUSED")])
def test_unknown_voters_and_states_are_refused(voter: str, state: str) -> None:
    with pytest.raises(ValueError, match=r"intern|PAUSED"):
        TradingStateVotes().vote(voter, state, "")  # type: ignore[arg-type]
