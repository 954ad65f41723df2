"""The daily self-tuning at work: when it begins, what a child's answer may do, and how a person takes it back."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import orjson
import pytest

from agents.parameters import BOUNDS
from bus.ids import ClientOrderId, SessionId
from bus.messages.council import ParametersChanged
from bus.messages.header import MessageMaker
from bus.messages.ledger import PositionClosed
from market.money import ZERO
from store.candles import CandleStore
from tests.research.backtest.candles import walk
from tradingd.parameters import configured_parameters, held_parameters, number_views, with_parameters
from tradingd.read_model import ReadModel
from tradingd.research_line import Ended, tradelab
from tradingd.settings import AccountSettings, CouncilSettings, RiskSettings, Settings
from tradingd.settings_tuning import TuningSettings
from tradingd.tuner import SETTLED_NS, Tuner, TuningError
from tradingd.tuning_view import tuning_view

DAY_NS = 86_400 * 10**9
NOON = 20_000 * DAY_NS + DAY_NS // 2
EVEN = [0.0] * 11
BETTER = [0.0, 0.02, *[0.0] * 9]
WEIGHTS = CouncilSettings(weights={"momentum": 1.0, "structure": 0.8, "technical": 0.3})


class Room:
    """A tuner with its journal's fold; `answer` is what the child says."""

    def __init__(self, answer: Any = None, code: int = 0, settings: Settings | None = None, now: int = NOON) -> None:
        self.settings = settings or Settings(symbols=("BTC/USDT",))
        self.now = now
        self.model = ReadModel("USDT")
        self.told: list[str] = []
        self.asked: list[list[str]] = []
        self.answer = {"council": BETTER, "grid": [], "told": "500 candles"} if answer is None else answer
        self.code = code
        self._maker = MessageMaker("daemon", SessionId("s1"))
        self.tuner = self.again()

    def again(self, scorer: Any = None) -> Tuner:
        """As after a restart: only the journal is remembered."""
        self.tuner = Tuner(
            self.settings, self.model.tuning, lambda: self.now, self.record, self.note, self.told.append,
            scorer or self.score,
        )
        return self.tuner

    def record(self, change: ParametersChanged, by: str) -> None:
        self.model.apply(self._maker.make(change, self.now))

    def note(self, change: ParametersChanged) -> None:
        self.record(change, change.by)

    async def score(self, arguments: list[str], *, within_s: float, config: str) -> Ended:
        self.asked.append(arguments)
        out = self.answer if isinstance(self.answer, bytes) else orjson.dumps(self.answer)
        return Ended(self.code, out, "it said why")

    async def day(self) -> "Room":
        """The process has settled, the second at which it is due passes, and the work is done."""
        self.now -= SETTLED_NS
        self.tuner.on_second()
        self.now += SETTLED_NS
        self.tuner.on_second()
        if self.tuner._task is not None:
            await self.tuner._task
        return self

    @property
    def versions(self) -> list[ParametersChanged]:
        return [each.change for each in self.model.tuning.versions]

    def trades(self, won: int, lost: int) -> None:
        for number in range(won + lost):
            profit = ZERO + (1 if number < won else -1)
            self.model.apply(self._maker.make(PositionClosed(
                "BTC/USDT", ZERO + 1, ZERO + 1, ZERO + 1, profit, ZERO, 1, 2, ClientOrderId(f"td-{number}"),
            ), self.now))


# ---- when


async def test_it_tunes_once_a_day_and_the_reason_says_what_and_why() -> None:
    room = await Room().day()
    (change,) = room.versions
    assert (change.version, change.parent, change.by, change.is_tuning) == (1, 0, "tuning", True)
    assert "variation 1 of the council's replay scored +0.0200 against +0.0000" in change.reason
    assert "(500 candles)" in change.reason
    assert room.told == [change.reason]
    await room.day()
    assert len(room.asked) == 1


async def test_the_next_day_it_goes_on_from_there_and_after_a_restart_not_twice_a_day() -> None:
    room = await Room().day()
    room.again()
    await room.day()
    assert len(room.asked) == 1
    room.now += DAY_NS
    await room.day()
    assert [change.parent for change in room.versions] == [0, 1]


async def test_it_waits_for_its_time_of_day() -> None:
    room = Room(settings=Settings(tuning=TuningSettings(at="13:30")))
    await room.day()
    assert room.asked == []
    room.now += DAY_NS // 16
    await room.day()
    assert len(room.asked) == 1


async def test_a_process_that_has_just_begun_is_left_alone() -> None:
    room = Room()
    room.tuner.on_second()
    room.now += SETTLED_NS - 1
    room.tuner.on_second()
    assert room.asked == []
    assert not room.tuner.is_running


async def test_switched_off_in_the_settings_it_never_begins() -> None:
    room = await Room(settings=Settings(tuning=TuningSettings(enabled=False))).day()
    assert room.asked == []


async def test_a_person_may_not_have_it_twice_a_day_either() -> None:
    room = await Room().day()
    with pytest.raises(TuningError, match="at most once a day"):
        room.tuner.start()


# ---- what a child may do


@pytest.mark.parametrize("answer", [
    b"", b"no json", {}, [], {"council": [0.0] * 3, "grid": [], "told": ""},
    {"council": [0.0, "x"], "grid": [], "told": ""}, {"council": [1e9] * 11, "grid": [], "told": ""},
    b'{"council": [NaN], "grid": [], "told": ""}',
])
async def test_an_answer_that_is_not_as_it_must_be_changes_nothing(answer: Any) -> None:
    room = await Room(answer).day()
    assert room.versions == []
    assert room.told[0].startswith("nothing changed: the replay's answer")


async def test_a_child_that_fails_changes_nothing_and_its_reason_is_told() -> None:
    room = Room(code=1)
    room.trades(0, 50)
    await room.day()
    assert room.versions == []
    assert room.told == ["nothing changed: it said why"]


async def test_without_history_the_outcomes_are_still_judged() -> None:
    room = Room(code=7)
    room.trades(10, 40)
    await room.day()
    (change,) = room.versions
    assert change.judged == ("trail", "confidence", "drawdown", "size", "positions")
    held = held_parameters(room.settings, change)
    assert held is not None
    assert (str(held.size), held.positions, str(held.spacing)) == ("0.045000", 2, "0.015000")


async def test_outcomes_are_used_up_by_what_they_changed() -> None:
    room = Room(code=7)
    room.trades(0, 50)
    await room.day()
    assert room.model.tuning.outcomes()["size"].count == 0
    room.now += DAY_NS
    await room.day()
    assert len(room.versions) == 1


async def test_no_better_variation_is_told_and_is_no_version() -> None:
    room = await Room({"council": EVEN, "grid": [], "told": "500 candles"}).day()
    assert room.versions == []
    assert room.told == ["nothing changed: no variation was better (500 candles)"]


@pytest.mark.parametrize("code", [0, 1])
async def test_a_day_s_work_that_changed_nothing_or_failed_is_done_and_a_restart_does_not_begin_it_again(
    code: int,
) -> None:
    room = await Room({"council": EVEN, "grid": [], "told": "500 candles"}, code).day()
    told = room.tuner.last
    room.again()
    await room.day()
    assert len(room.asked) == 1
    assert room.tuner.last == told
    assert told.startswith("nothing changed: ")
    with pytest.raises(TuningError, match="at most once a day"):
        room.tuner.start()
    room.now += DAY_NS
    await room.day()
    assert len(room.asked) == 2


async def test_a_day_that_changed_nothing_leaves_the_version_that_holds_and_its_outcomes() -> None:
    room = await Room().day()
    held, room.answer = room.versions, {"council": EVEN, "grid": [], "told": "500 candles"}
    room.trades(2, 1)
    room.now += DAY_NS
    await room.day()
    assert room.versions == held
    assert room.model.tuning.outcomes()["size"].count == 3


async def test_what_a_person_did_meanwhile_stands() -> None:
    room = Room()

    async def slow(arguments: list[str], *, within_s: float, config: str) -> Ended:
        room.tuner.switch(False, "ann")
        return await room.score(arguments, within_s=within_s, config=config)

    room.again(slow)
    await room.day()
    assert [change.by for change in room.versions] == ["ann"]
    assert "a person changed the parameters meanwhile" in room.told[-1]


# ---- a real child


def with_history(folder: Path, count: int) -> Settings:
    CandleStore(folder / "history", "practice").write("BTC/USDT", "1h", walk(count, 2, step=8000).columns)
    return Settings(
        data_dir=folder, symbols=("BTC/USDT",), council=WEIGHTS, tuning=TuningSettings(candles=100, time_limit_s=300),
    )


async def test_a_real_child_replays_and_the_same_history_gives_the_same_version(tmp_path: Path) -> None:
    settings = with_history(tmp_path, 120)
    found = []
    for _ in range(2):
        room = Room(settings=settings)
        room.again(tradelab)
        await room.day()
        assert "100 candles of 1h: BTC/USDT" in room.told[0]
        found.append((room.told, [(each.parameters, each.reason) for each in room.versions]))
    assert found[0] == found[1]


async def _killed(room: Room) -> None:
    """Kill the child as soon as there is one."""
    room.tuner.start()
    task = room.tuner._task
    assert task is not None
    while not task.done():
        for child in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        await asyncio.sleep(0)


def _children() -> list[int]:
    text = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
    return [pid for pid in map(int, text.split()) if b"tune" in _words_of(pid)]


def _words_of(pid: int) -> list[bytes]:
    """Its command line; none when it is gone already."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in /proc")
async def test_a_killed_child_changes_nothing(tmp_path: Path) -> None:
    room = Room(settings=with_history(tmp_path, 120))
    room.again(tradelab)
    room.trades(0, 50)
    await _killed(room)
    assert room.versions == []
    assert room.told[0].startswith("nothing changed: ")


async def test_a_child_that_takes_too_long_is_ended_and_changes_nothing(tmp_path: Path) -> None:
    settings = with_history(tmp_path, 120)
    room = Room(settings=settings.model_copy(update={"tuning": TuningSettings(candles=100, time_limit_s=1)}))
    room.again(tradelab)
    await room.day()
    assert room.versions == []
    assert room.told == ["nothing changed: it took longer than 1 s"]


# ---- taking it back


async def tuned() -> Room:
    room = await Room().day()
    room.now += DAY_NS
    return await room.day()


@pytest.mark.parametrize(("version", "parent"), [(None, 1), (1, 1), (0, 0)])
async def test_an_earlier_version_is_put_back_as_a_new_one(version: int | None, parent: int) -> None:
    room = await tuned()
    room.tuner.revert(version, "ann")
    change = room.versions[-1]
    assert (change.version, change.parent, change.by, change.is_tuning) == (3, parent, "ann", True)
    wanted = room.versions[0].parameters if parent else configured_parameters(room.settings).told()
    assert change.parameters == wanted


async def test_what_cannot_be_put_back_is_said() -> None:
    with pytest.raises(TuningError, match="nothing was tuned yet"):
        Room().tuner.revert(None, "ann")
    with pytest.raises(TuningError, match="there is no version 9"):
        (await tuned()).tuner.revert(9, "ann")


async def test_off_gives_the_configured_values_back_and_on_goes_on() -> None:
    room = await tuned()
    room.tuner.switch(False, "ann")
    assert room.versions[-1].parameters == configured_parameters(room.settings).told()
    room.now += DAY_NS
    await room.day()
    assert len(room.asked) == 2
    with pytest.raises(TuningError, match="off already"):
        room.tuner.switch(False, "ann")
    room.tuner.switch(True, "ann")
    await room.day()
    assert len(room.asked) == 3


# ---- what holds, and who set it


@pytest.mark.parametrize(("tolerance", "drawdown", "confidence", "trail", "positions"), [
    ("conservative", "0.1", "0.7", "0.02", "2"), ("moderate", "0.15", "0.6", "0.015", "3"),
    ("aggressive", "0.25", "0.5", "0.01", "5"),
])
def test_the_tolerance_sets_the_numbers_of_the_design(
    tolerance: Any, drawdown: str, confidence: str, trail: str, positions: str,
) -> None:
    settings = Settings(symbols=("BTC/USDT",), account=AccountSettings(risk_tolerance=tolerance))
    told = {view.key: (view.value, view.source) for view in number_views(settings, None)}
    assert told["symbols"] == ("BTC/USDT", "config")
    assert told["account.capital"] == ("10000", "config")
    assert told["account.risk_tolerance"] == (tolerance, "config")
    assert told["max_drawdown"] == (drawdown, "tolerance")
    assert told["council.threshold"] == (confidence, "tolerance")
    assert told["strategy.base_trail"] == (trail, "tolerance")
    assert told["max_positions"] == (positions, "tolerance")
    assert told["strategy.position_size"] == ("0.05", "default")


async def test_a_tuned_number_names_its_version() -> None:
    room = Room(code=7)
    room.trades(0, 50)
    await room.day()
    told = {view.key: (view.value, view.source) for view in number_views(room.settings, room.versions[0])}
    assert told["strategy.position_size"] == ("0.045", "tuning (version 1)")
    assert told["max_positions"] == ("2", "tuning (version 1)")
    assert told["grid.spacing"] == ("0.015", "default")


def test_a_looser_set_in_the_journal_does_not_loosen_a_limit() -> None:
    settings = Settings(risk=RiskSettings(max_positions=2))
    told = configured_parameters(settings).with_value("positions", ZERO + 9).told()
    held = held_parameters(settings, ParametersChanged(1, 0, told, True, "mallory", "more"))
    assert held is not None
    assert held.positions == 2
    assert with_parameters(settings, held).risk.max_positions == 2


async def test_people_see_each_parameter_with_its_bounds_and_outcomes() -> None:
    room = await tuned()
    room.trades(3, 1)
    view = tuning_view(room.settings, room.model.tuning, is_on=True, is_running=False, last="-")
    assert [each.name for each in view.parameters] == list(BOUNDS)
    size = next(each for each in view.parameters if each.name == "size")
    assert (size.outcomes, size.success, size.outcome_confidence) == (4, 0.75, 0.7)
    assert [each.version for each in view.versions] == [2, 1]
