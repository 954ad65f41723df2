"""Alphas in processes of their own, live: the event loop never waits for one, and each answer comes in its time."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agents.alphas.panel import AWAY, BUSY, TIMED_OUT
from bus.messages.council import OpinionsGathered
from tests.tradingd.plugins.alpha_files import bad, good, view, written
from tradingd.plugins import host
from tradingd.plugins.host import HostOptions
from tradingd.plugins.live_panel import LivePanel
from tradingd.plugins.sources import find_sources
from tradingd.plugins.states import AlphaStates

OPTIONS = HostOptions(limit_s=5.0, memory_mb=300)
LIMIT_S = 20.0


class Heard:
    """What the panel said later, in order."""

    def __init__(self, panel: LivePanel) -> None:
        self.answers: asyncio.Queue[OpinionsGathered] = asyncio.Queue()
        panel.on_gathered = self.answers.put_nowait

    async def next(self) -> OpinionsGathered:
        return await asyncio.wait_for(self.answers.get(), LIMIT_S)


@asynccontextmanager
async def live(tmp_path: Path, options: HostOptions = OPTIONS) -> AsyncIterator[LivePanel]:
    panel = LivePanel(*find_sources(tmp_path), options, (), AlphaStates(tmp_path))
    panel.launch()
    try:
        await panel.loaded(LIMIT_S)
        yield panel
    finally:
        await panel.stop()


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(2 * LIMIT_S):
            await work()

    asyncio.run(bounded())


def names(panel: LivePanel) -> list[str]:
    return [alpha.name for alpha in panel.roster()]


def test_asking_comes_back_at_once_and_the_answer_comes_later(tmp_path: Path) -> None:
    good(tmp_path)

    async def work() -> None:
        async with live(tmp_path) as panel:
            heard = Heard(panel)
            assert panel.ask(view(7), names(panel)) is None
            answer = await heard.next()
            assert (answer.symbol, answer.ts_open) == ("BTC/USDT", 7)
            assert answer.signals[0].reasoning == "BTC/USDT rose to 2"

    run(work)


def test_many_symbols_at_once_are_answered_one_after_the_other(tmp_path: Path) -> None:
    good(tmp_path)
    good(tmp_path, "second")

    async def work() -> None:
        async with live(tmp_path) as panel:
            heard = Heard(panel)
            symbols = [f"C{number}/USDT" for number in range(100)]
            for symbol in symbols:
                panel.ask(view(1, symbol, closes=tuple(float(n) for n in range(240))), names(panel))
            answers = [await heard.next() for _ in symbols]
            assert [answer.symbol for answer in answers] == symbols
            assert all([each.alpha for each in answer.signals] == ["rising", "second"] for answer in answers)

    run(work)


def test_the_loop_turns_while_an_alpha_loops_for_ever_and_the_others_are_heard(tmp_path: Path) -> None:
    bad(tmp_path, "while True: pass")
    good(tmp_path)

    async def work() -> None:
        async with live(tmp_path, replace(OPTIONS, limit_s=0.5)) as panel:
            heard = Heard(panel)
            begin = time.monotonic()
            panel.ask(view(), names(panel))
            assert time.monotonic() - begin < 0.25
            turns, answer = 0, asyncio.ensure_future(heard.next())
            while not answer.done():
                await asyncio.sleep(0)
                turns += 1
            assert turns > 100
            assert [each.alpha for each in answer.result().signals] == ["rising"]
            assert [each.code for each in answer.result().skipped] == [TIMED_OUT]

    run(work)


def test_a_slow_alpha_before_many_symbols_is_skipped_for_those_it_did_not_reach_and_lives(tmp_path: Path) -> None:
    bad(tmp_path, "time.sleep(0.3)\nreturn BUY")

    async def work() -> None:
        async with live(tmp_path, replace(OPTIONS, limit_s=0.8)) as panel:
            heard = Heard(panel)
            for number in range(6):
                panel.ask(view(1, f"C{number}/USDT"), names(panel))
            answers = [await heard.next() for _ in range(6)]
            assert [each.signals[0].alpha for each in answers if each.signals] == ["bad"] * 2
            assert {each.code for answer in answers for each in answer.skipped} == {BUSY}
            assert panel.reports()[0].restarts == 0

    run(work)


def test_after_its_rest_a_crashed_alpha_is_there_again(tmp_path: Path) -> None:
    bad(tmp_path, "if view.ts_open == 1: os._exit(1)\nreturn BUY")

    async def work() -> None:
        async with live(tmp_path) as panel:
            heard, told, is_back = Heard(panel), list[str](), asyncio.Event()

            def on_problem(name: str, text: str) -> None:
                told.append(text)
                if panel.reports()[0].state == "ready":
                    is_back.set()

            panel.on_problem = on_problem
            panel.ask(view(1), names(panel))
            assert (await heard.next()).skipped[0].reason == "its process ended with code 1"
            at_once = panel.ask(view(2), names(panel))
            assert at_once is not None
            assert at_once.skipped[0].code == AWAY
            await asyncio.wait_for(is_back.wait(), LIMIT_S)
            panel.ask(view(3), names(panel))
            assert (await heard.next()).signals[0].alpha == "bad"
            assert "begun anew in 1 s" in told[0]

    run(work)


def test_a_file_that_takes_for_ever_to_load_joins_later_and_holds_up_nobody(tmp_path: Path) -> None:
    written(tmp_path, "slow", "import time\ntime.sleep(99)\n")
    good(tmp_path)

    async def work() -> None:
        panel = LivePanel(*find_sources(tmp_path), OPTIONS, ())
        panel.launch()
        begin = time.monotonic()
        await panel.loaded(1.5)
        assert time.monotonic() - begin < 5.0
        assert names(panel) == ["rising"]
        assert panel.may_hold_others
        pids = [report.pid for report in panel.reports()]
        await panel.stop()
        for pid in pids:
            assert pid is not None
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

    run(work)


SLOW_AT_FIRST = """
import time
from pathlib import Path
from agents.alphas.alpha import Opinion

mark = Path({mark!r})
if not mark.exists():
    mark.touch()
    time.sleep(99)


class Dip:
    name = "dip"
    version = "1"

    def opinion(self, view):
        return Opinion("hold", 0.5, 0.0, "low", "well")
"""


def test_the_problem_of_a_slow_first_load_ends_when_the_alpha_is_long_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its own name was not known when the problem began."""
    monkeypatch.setattr(host, "LOAD_LIMIT_S", 2.0)
    path = written(tmp_path, "slow", SLOW_AT_FIRST.format(mark=str(tmp_path / "mark")))

    async def work() -> None:
        async with live(tmp_path) as panel:
            heard, problems, is_there = Heard(panel), dict(panel.problems()), asyncio.Event()
            panel.on_problem = lambda label, text: problems.update({label: text})
            panel.on_loaded = lambda alpha: is_there.set()
            await asyncio.wait_for(is_there.wait(), LIMIT_S)
            assert "did not load within" in problems[str(path)]
            assert panel.name_of(str(path)) == "dip"
            for number in range(20):
                panel.ask(view(number), names(panel))
                await heard.next()
            assert list(problems.values()) == [""]

    run(work)


REMEMBERS = """
from agents.alphas.alpha import Opinion


class Remembers:
    name = "remembers"
    version = "{version}"

    def __init__(self):
        self.seen = 0

    def opinion(self, view):
        self.seen += 1
        return Opinion("hold", 0.5, 0.0, "low", f"seen {{self.seen}}")

    def save_state(self):
        return {{"seen": self.seen}}

    def restore_state(self, state):
        self.seen = state["seen"]
"""


def said_after_start(tmp_path: Path) -> str:
    said = []

    async def work() -> None:
        async with live(tmp_path) as panel:
            heard = Heard(panel)
            panel.ask(view(), names(panel))
            said.append((await heard.next()).signals[0].reasoning)

    run(work)
    return said[0]


def test_state_is_kept_over_a_restart_and_belongs_to_its_version(tmp_path: Path) -> None:
    path = written(tmp_path, "remembers", REMEMBERS.format(version="1"))
    assert said_after_start(tmp_path) == "seen 1"
    assert said_after_start(tmp_path) == "seen 2"
    kept = tmp_path / "alpha_state" / "remembers.json"
    assert json.loads(kept.read_bytes()) == {"version": "1", "state": {"seen": 2}}
    path.write_text(REMEMBERS.format(version="2"), encoding="utf-8")
    assert said_after_start(tmp_path) == "seen 1"


def test_a_state_is_kept_even_when_the_end_comes_in_the_middle_of_a_question(tmp_path: Path) -> None:
    written(tmp_path, "remembers", REMEMBERS.format(version="1").replace(
        "self.seen += 1\n", "import time; time.sleep(0.3); self.seen += 1\n",
    ))

    async def work() -> None:
        async with live(tmp_path) as panel:
            panel.ask(view(), names(panel))

    run(work)
    assert json.loads((tmp_path / "alpha_state" / "remembers.json").read_bytes())["state"] == {"seen": 1}


def test_a_damaged_state_is_forgotten_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written(tmp_path, "remembers", REMEMBERS.format(version="1"))
    said_after_start(tmp_path)
    (tmp_path / "alpha_state" / "remembers.json").write_text("{", encoding="utf-8")
    assert said_after_start(tmp_path) == "seen 1"
    assert "remembers.json: cannot be read" in caplog.text


def test_a_state_that_cannot_be_kept_costs_the_state_and_nothing_else(tmp_path: Path) -> None:
    text = REMEMBERS.format(version="1").replace('{"seen": self.seen}', "object()")
    written(tmp_path, "remembers", text)
    assert said_after_start(tmp_path) == "seen 1"
    assert not (tmp_path / "alpha_state").exists()
