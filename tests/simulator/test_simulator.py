"""The simulator: nothing that must not happen happens, and if it did it would be seen."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from simulator import fault_names
from simulator.fault_names import fault_named
from simulator.faults import FAULTS, KIND_BY_NAME, Fault, FaultScriptError, read_script
from simulator.schedule import SECOND
from simulator.world import BEGIN, World, live_through

SEEDS_AT_ONCE = 4
"""Few enough that a busy machine finishes them within a test's time limit."""
SHORT_S = 900.0


@pytest.mark.parametrize("first", range(0, 60, SEEDS_AT_ONCE))
def test_an_hour_of_market_and_faults_violates_nothing(first: int) -> None:
    for seed in range(first, first + SEEDS_AT_ONCE):
        outcome = live_through(seed, None, 3600)
        assert outcome.violations == [], f"make sim TRACE={seed}"
        assert outcome.orders >= 20


def test_a_life_with_too_few_orders_goes_on_until_the_next_day_of_trading_has_begun(tmp_path: Path) -> None:
    """Rules may allow so small a loss in a day that it is reached before the twentieth order."""
    world = World(1, None, 3600, tmp_path)
    while world.goes_on():
        assert world.seconds < 24 * 3600
    begin_s = BEGIN / SECOND
    next_day_s = (begin_s // 86_400 + 1) * 86_400
    assert begin_s + world.seconds - 1800 > next_day_s
    assert not World(1, [], 3600, tmp_path).goes_on(), "a given script has its length"


def test_a_life_that_a_crash_loop_left_without_entries_has_its_twenty_orders() -> None:
    """Seven deaths within its hour: the last crash loop is nobody's planned one, so nobody was to look into it."""
    outcome = live_through(31834, None, 3600)
    assert outcome.violations == []
    assert outcome.orders >= 20


def test_a_life_with_enough_orders_ends_after_its_hour(tmp_path: Path) -> None:
    world = World(1, None, 3600, tmp_path)
    assert world.goes_on()
    world.outcome.orders = 20
    assert not world.goes_on()


@pytest.mark.parametrize("first", range(0, 24, 8))
def test_scripts_as_a_stranger_might_write_them_violate_nothing(first: int) -> None:
    orders = []
    for seed in range(first, first + 8):
        outcome = live_through(seed, None, 900, is_wild=True)
        assert outcome.violations == [], f"make sim WILD=1 SECONDS=900 TRACE={seed}"
        orders.append(outcome.orders)
    assert sum(number > 0 for number in orders) >= 4, orders
    assert sum(orders) >= 30


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_alone_violates_nothing(name: str) -> None:
    lasts = 40.0 if KIND_BY_NAME[name].lasts else 0.0
    script = [Fault(at, name, "", lasts) for at in (200.0, 400.0, 600.0)]
    if name in ("kill_halt", "kill_cancel", "kill_flatten"):
        script += [Fault(fault.at + 60, "unlock") for fault in script]
    if name in ("pause", "crash_loop"):
        script += [Fault(fault.at + 90, "resume") for fault in script]
    outcome = live_through(7, sorted(script, key=lambda fault: fault.at), SHORT_S)
    assert outcome.violations == []
    assert outcome.fills > 0


def test_orders_that_were_made_ready_leave_in_a_life_and_are_the_engines_own() -> None:
    """With a grid nothing is made ready, so not every life has one; a difference would end the process, and be seen."""
    lives = [live_through(seed, [], 1800) for seed in (1, 2, 3)]
    assert not any(life.violations for life in lives)
    assert sum(life.made_ready for life in lives) > 0


def test_orders_that_are_not_found_early_are_asked_about_and_not_given_up() -> None:
    life = live_through(3, [Fault(60, "not_found_early", "", 800)], 900)
    assert life.violations == []
    assert life.early_answers > 10
    assert life.fills > 5


def test_the_same_seed_lives_the_same_life(tmp_path: Path) -> None:
    lives = [live_through(5, None, SHORT_S).trace for _ in range(2)]
    assert lives[0] == lives[1]
    assert lives[0] != live_through(6, None, SHORT_S).trace


def test_a_life_with_a_damaged_journal_is_lived_alike_in_any_folder() -> None:
    script = [Fault(100, "bit_flip")]
    first, second = (live_through(5, script, 200).trace for _ in range(2))
    assert any("is damaged" in line for line in first)
    assert first == second


# ---- names -------------------------------------------------------------------------------------------


def test_each_fault_of_the_list_that_can_befall_the_simulator_has_a_name() -> None:
    cannot = {"F50"}  # memory: see the soak
    for number in range(1, 60):
        fault_id = f"F{number:02d}"
        if fault_id in cannot or number == 38:
            continue
        name, _ = fault_named(fault_id)
        others = {"F28": "overfill", "F41": "power_cut"}
        assert fault_id in KIND_BY_NAME[name].ids.split() or name == others.get(fault_id), fault_id


def test_no_word_names_two_faults() -> None:
    words = [word for name, others in fault_names._NAMES.items() for word in (name, *others.split())]
    assert {word for word in words if words.count(word) > 1} == set()
    assert set(fault_names._NAMES) == set(FAULTS)


@pytest.mark.parametrize(("fault", "target", "name", "aimed"), [
    ("kill", "process", "kill_idle", ""), ("KILL -9", "", "kill_idle", ""), ("disconnect", "feed", "feed_down", ""),
    ("full", "disk", "disk_full", ""), ("jump", "clock", "clock_jump", ""), ("crash", "market", "crash", ""),
    ("timeout", "exchange", "timeout_before", ""), ("down", "network", "network_down", ""),
    ("kill", "risk", "risk_agent_dies", "risk"),
    ("kill", "agent", "agent_dies", ""), ("dies", "analyst", "agent_dies", "analyst"),
    ("feed-disconnect", "BTCUSDT", "feed_down", "BTC/USDT"), ("slowNetwork", "eth", "slow", "ETH/USDT"),
    ("F15", None, "timeout_before", ""), ("halt", "exchange", "maintenance", ""), ("kill", "operator", "kill_halt", ""),
    ("fsync", "disk", "fsync_error", ""), ("skew", "clock", "clock_skew", ""), ("crash", "daemon", "kill_idle", ""),
])
def test_what_people_call_a_fault_is_understood(
    fault: str, target: str | None, name: str, aimed: str, tmp_path: Path,
) -> None:
    path = tmp_path / "faults.json"
    path.write_text(json.dumps([{"at": 1, "fault": fault, "target": target, "for": 2}]))
    assert read_script(path) == [Fault(1.0, name, aimed, 2.0)]


def test_a_script_without_a_length_has_the_usual_one(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text('[{"at": 1, "fault": "slow"}, {"at": 1, "fault": "kill"}, {"at": 1, "fault": "mute", "for": 0}]')
    assert [fault.lasts for fault in read_script(path)] == [10.0, 0.0, 0.0]


def test_the_manual_tells_of_every_fault() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "simulator.md").read_text()
    for kind in KIND_BY_NAME.values():
        assert f"| `{kind.name}` | {kind.ids} | {kind.about}" in page, kind.name


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
    more, summary = map(json.loads, ended.stdout.splitlines()[-2:])
    assert (summary["seeds"], summary["violations"], more["deaths"]) == (2, 0, 2)
    assert list(summary) == [
        "seeds", "violations", "duplicates", "orphans", "unprotected_s_max", "position_error", "cash_error",
        "limit_breaches", "orders_after_kill", "recovery_p99_s",
    ]
    assert all(isinstance(value, int | float) for value in summary.values())


def events(script: list[Fault], seconds: float = 300.0, seed: int = 3) -> list[str]:
    """Faults, deaths and starts of one life, without their moments."""
    life = live_through(seed, script, seconds)
    assert life.violations == []
    return [line[11:] for line in life.trace if "***" in line or "--- process" in line]


def test_a_fault_at_or_beyond_the_usual_length_makes_the_seed_longer() -> None:
    for at in (300.0, 400.0):
        assert "--- process died: kill -9" in events([Fault(at, "kill_idle")])


def test_a_fault_that_no_seed_lives_to_see_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text('[{"at": 1, "fault": "slow"}, {"at": 20000, "fault": "kill"}]')
    with pytest.raises(FaultScriptError, match=r"entry 2: at is 20000; a seed lives 14400 s at most"):
        read_script(path)
    assert read_script(path, 21_000)[-1] == Fault(20_000, "kill_idle")
    with pytest.raises(ValueError, match="kill_idle at 20000 s"):
        live_through(3, [Fault(20_000, "kill_idle")], 300)


def test_a_fault_of_orders_with_an_agent_as_its_target_befalls_all_orders() -> None:
    life = live_through(3, [Fault(60, "timeout_before", "trader", 500)], 600)
    assert any("no answer" in line for line in life.trace)


def test_nobody_starts_a_process_again_before_a_planned_death_says() -> None:
    life = live_through(3, [Fault(100, "kill_after_send", "", 120)], 600)
    died, began = (
        next(float(line[:10]) for line in life.trace if word in line and float(line[:10]) > 100)
        for word in ("--- process died: after_send", "started")
    )
    assert 120 <= began - died < 125
    assert life.violations == []


def test_two_planned_deaths_are_two_deaths() -> None:
    told = events([Fault(60, "kill_before_journal"), Fault(61, "kill_on_report")], 600)
    assert sorted(line for line in told if "died" in line) == [
        "--- process died: before_journal", "--- process died: on_report",
    ]


@pytest.mark.parametrize("name", ["kill_halt", "kill_cancel", "kill_flatten"])
def test_a_kill_switch_that_the_process_dies_of_is_heeded_by_the_next_one(name: str) -> None:
    """It leaves the file, whoever asked; a disk that cannot be flushed lets nothing into the journal (F42, F58)."""
    outcome = live_through(3, [Fault(400, "fsync_error", "", 10), Fault(403, name)], 900)
    assert outcome.violations == []
    late = [line for line in outcome.trace if float(line.split(maxsplit=1)[0]) > 403]
    assert any("engine KILL" in line for line in late)
    assert not any(" sent buy " in line for line in late)


def test_a_planned_death_that_found_no_moment_is_told() -> None:
    life = live_through(3, [Fault(5, "pause"), Fault(6, "kill_after_send")], 200)
    assert (life.orders, life.deaths) == (0, 0)
    assert any("nobody died: no moment after_send came" in line for line in life.trace)


@pytest.mark.parametrize(("text", "told"), [
    ("{}", "no list"), ('[{"at": 1, "fault": "slow", "target": "DOGE/EUR"}]', "unknown target 'DOGE/EUR'"),
    ('[{"at": 1, "fault": "kil"}]', "Did you mean kill_idle"),
    ('[{"at": 1, "fault": "slow", "target": 5}]', "target is 5"),
    ("[1]", "entry 1: 1 is no object"), ('[{"at": 1}]', "entry 1: 'fault' is missing"),
    ('[{"at": 1, "fault": "storm"}]', "unknown fault 'storm'"),
    ('[{"at": -1, "fault": "slow"}]', "at is -1"), ('[{"at": 1, "fault": "slow", "for": "x"}]', "for is 'x'"),
    ("nonsense", "Expecting value"), ('[{"at": 1, "fault": "slow", "until": 2}]', "entry 1: 'until' is not known"),
    ('[{"at": 1, "fault": "slow"}, {"at": 1, "fault": "F50"}]', "entry 2: unknown fault 'F50'. No fault of this id"),
])
def test_a_bad_script_is_refused_with_its_entry(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "faults.json"
    path.write_text(text)
    with pytest.raises(FaultScriptError, match=told):
        read_script(path)
