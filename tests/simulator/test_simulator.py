"""The simulator: nothing that must not happen happens, and if it did it would be seen."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from orders.chores import Chores
from orders.disaster_stop import DisasterStops
from simulator.faults import FAULTS, MOMENTS, Fault, FaultScriptError, read_script
from simulator.link import Link
from simulator.world import live_through
from tradingd.message_journal import MessageJournal

SEEDS_AT_ONCE = 12
SHORT_S = 900.0


@pytest.mark.parametrize("first", range(0, 120, SEEDS_AT_ONCE))
def test_an_hour_of_market_and_faults_violates_nothing(first: int) -> None:
    for seed in range(first, first + SEEDS_AT_ONCE):
        outcome = live_through(seed, None, 3600)
        assert outcome.violations == [], f"make sim TRACE={seed}"
        assert outcome.orders >= 20


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_alone_violates_nothing(name: Any) -> None:
    lasts = 0.0 if name in MOMENTS else 40.0
    script = [Fault(at, name, "", lasts) for at in (200.0, 400.0, 600.0)]
    if name in ("kill_halt", "kill_cancel", "kill_flatten"):
        script += [Fault(fault.at + 60, "unlock") for fault in script]
    if name == "pause":
        script += [Fault(fault.at + 60, "resume") for fault in script]
    outcome = live_through(7, sorted(script, key=lambda fault: fault.at), SHORT_S)
    assert outcome.violations == []
    assert outcome.fills > 0


def test_the_same_seed_lives_the_same_life(tmp_path: Path) -> None:
    lives = [live_through(5, None, SHORT_S).trace for _ in range(2)]
    assert lives[0] == lives[1]
    assert lives[0] != live_through(6, None, SHORT_S).trace


# ---- what it would see -------------------------------------------------------------------------------


def violations(script: list[Fault], seeds: Iterable[int] = (3,)) -> str:
    return "\n".join(text for seed in seeds for text in live_through(seed, script, SHORT_S).violations)


def test_an_order_that_is_sent_twice_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    create = Link._create

    def twice(self: Link, order: Any) -> Any:
        create(self, order)
        return create(self, order)

    monkeypatch.setattr(Link, "_create", twice)
    assert "was created again" in violations([])


def test_a_fill_that_nobody_asks_about_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Link, "query", lambda self, client_order_id, symbol: None)
    told = violations([Fault(at, "stream_down", "", 60) for at in range(100, 800, 80)], range(4))
    assert "our books say" in told


def test_a_send_that_is_not_flushed_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    append = MessageJournal.append
    monkeypatch.setattr(MessageJournal, "append", lambda self, messages, *, sync: append(self, messages, sync=False))
    told = violations([Fault(float(at), "power_cut") for at in range(100, 800, 15)], range(4))
    assert "not in our books" in told or "our books say" in told


def test_orders_after_the_kill_switch_and_beyond_the_limits_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("risk.gate._ASKED_OF_ENTRIES", ())
    told = violations([Fault(300, "kill_halt"), Fault(700, "unlock")], range(3))
    assert "sent after the kill switch" in told
    assert "held of" in told


def test_a_position_without_protection_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DisasterStops, "keep", lambda self: None)
    assert "without protection" in violations([])


def test_a_failure_of_the_product_is_seen_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Chores) -> None:
        raise ZeroDivisionError("in the chores")

    monkeypatch.setattr(Chores, "run", broken)
    assert "ZeroDivisionError: in the chores" in violations([])


# ---- scripts -----------------------------------------------------------------------------------------


def test_a_script_from_a_file_strikes_when_it_says(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text(json.dumps([{"at": 300, "fault": "kill_idle"}, {"at": 100, "fault": "slow", "for": 20}]))
    assert read_script(path) == [Fault(100, "slow", "", 20), Fault(300, "kill_idle")]
    ended = subprocess.run(
        [sys.executable, "-m", "simulator", "--seeds", "1-2", "--faults", str(path), "--seconds", "600", "--jobs", "1"],
        capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[2],
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    summary = json.loads(ended.stdout.splitlines()[-1])
    assert (summary["seeds"], summary["violations"], summary["deaths"]) == (2, 0, 2)


@pytest.mark.parametrize(("text", "told"), [
    ("{}", "no list"), ("[1]", "entry 1"), ('[{"at": 1}]', "entry 1"), ('[{"at": 1, "fault": "flood"}]', "flood"),
    ('[{"at": -1, "fault": "slow"}]', "at is -1"), ('[{"at": 1, "fault": "slow", "for": "x"}]', "for is 'x'"),
    ("nonsense", "Expecting value"), ('[{"at": 1, "fault": "slow", "until": 2}]', "entry 1"),
])
def test_a_bad_script_is_refused_with_its_entry(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "faults.json"
    path.write_text(text)
    with pytest.raises(FaultScriptError, match=told):
        read_script(path)
