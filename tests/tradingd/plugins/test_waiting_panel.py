"""Alphas in processes of their own, in a replay: what terrible ones cost is their own opinion and nothing else."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agents.alphas.panel import AWAY, CRASHED, FAILED, TIMED_OUT
from bus.messages.council import OpinionsGathered
from market.interval import SECOND_NS
from tests.tradingd.plugins.alpha_files import bad, good, view, written
from tradingd.plugins.host import HostOptions
from tradingd.plugins.panel import WaitingPanel
from tradingd.plugins.sources import find_sources

TAKEN = ("momentum", "technical")
OPTIONS = HostOptions(limit_s=5.0, memory_mb=300)


class Now:
    ns = 0

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def open_panel(tmp_path: Path, now: Now) -> Iterator[Callable[..., WaitingPanel]]:
    made: list[WaitingPanel] = []

    def make(options: HostOptions = OPTIONS) -> WaitingPanel:
        panel = WaitingPanel(*find_sources(tmp_path, TAKEN), options, TAKEN, now)
        made.append(panel)
        panel.start()
        return panel

    yield make
    for panel in made:
        panel.end()


def asked(panel: WaitingPanel, ts_open: int = 1) -> OpinionsGathered:
    answer = panel.ask(view(ts_open), [alpha.name for alpha in panel.roster()])
    assert answer is not None
    return answer


Open = Callable[..., WaitingPanel]


def test_a_file_in_the_folder_is_an_alpha_with_its_own_weight_and_regimes(tmp_path: Path, open_panel: Open) -> None:
    good(tmp_path)
    panel = open_panel()
    (alpha,) = panel.roster()
    assert (alpha.name, alpha.version, alpha.weight, alpha.regimes) == ("rising", "3", 0.8, ("calm", "trending"))
    (signal,) = asked(panel).signals
    assert (signal.alpha, signal.action, signal.confidence) == ("rising", "trail_buy", 0.75)
    assert signal.reasoning == "BTC/USDT rose to 2"
    assert panel.problems() == []


def test_an_alpha_that_names_no_weight_has_the_default(tmp_path: Path, open_panel: Open) -> None:
    bad(tmp_path, "return BUY")
    assert open_panel(replace(OPTIONS, default_weight=0.4)).roster()[0].weight == 0.4


TERRIBLE = {
    "raises": ("raise RuntimeError('no idea')", FAILED, "RuntimeError: no idea (line 13)"),
    "leaves": ("sys.exit(3)", FAILED, "SystemExit: 3 (line 13)"),
    "leaves for good": ("os._exit(4)", CRASHED, "its process ended with code 4"),
    "segfaults": ("ctypes.string_at(0)", CRASHED, "its process died of SIGSEGV at File"),
    "kills itself": ("os.kill(os.getpid(), 9)", CRASHED, "its process died of SIGKILL"),
    "gives nothing": ("return None", FAILED, "opinion() gave NoneType"),
    "gives a word": ("return 'buy'", FAILED, "opinion() gave str"),
    "is NaN sure": ("return Opinion('trail_buy', float('nan'), 0.01, 'high', '')", FAILED, "confidence nan"),
    "is too sure": ("return Opinion('trail_buy', 1.01, 0.01, 'high', '')", FAILED, "confidence 1.01"),
    "trails wide": ("return Opinion('trail_buy', 0.9, 1.0, 'high', '')", FAILED, "trail_ratio 1.0"),
    "acts oddly": ("return Opinion('short', 0.9, 0.01, 'high', '')", FAILED, "action 'short'"),
    "is sure in words": ("return Opinion('trail_buy', '0.9', 0.01, 'high', '')", FAILED, "confidence '0.9'"),
    "reasons in numbers": ("return Opinion('trail_buy', 0.9, 0.01, 'high', 7)", FAILED, "reasoning is no text"),
    "eats memory": ("x = []\nwhile True: x.append(bytearray(1 << 24))", FAILED, "MemoryError"),
    "recurses": ("return self.opinion(view)", FAILED, "RecursionError"),
    "hangs up": ("os.closerange(3, 4096)\nreturn BUY", CRASHED, "its process"),
}


@pytest.mark.parametrize("name", TERRIBLE)
def test_a_terrible_alpha_costs_its_own_opinion_and_no_other(tmp_path: Path, open_panel: Open, name: str) -> None:
    body, code, words = TERRIBLE[name]
    bad(tmp_path, body)
    good(tmp_path)
    answer = asked(open_panel())
    assert [signal.alpha for signal in answer.signals] == ["rising"]
    (skipped,) = answer.skipped
    assert (skipped.alpha, skipped.code) == ("bad", code)
    assert words in skipped.reason


@pytest.mark.parametrize("body", ["while True: pass", "time.sleep(99)", "while True: print('x' * 1000)"])
def test_one_that_never_answers_is_skipped_at_its_time_limit_and_its_process_is_gone(
    tmp_path: Path, open_panel: Open, body: str,
) -> None:
    bad(tmp_path, body)
    good(tmp_path)
    panel = open_panel(replace(OPTIONS, limit_s=0.5))
    (bad_one,) = [host for host in panel.hosts if host.name == "bad"]
    assert bad_one.process is not None
    pid, begin = bad_one.process.pid, time.monotonic()
    answer = asked(panel)
    assert time.monotonic() - begin < 4.0
    assert [(each.alpha, each.code) for each in answer.skipped] == [("bad", TIMED_OUT)]
    assert [signal.alpha for signal in answer.signals] == ["rising"]
    panel.end()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_printing_and_writing_to_every_stream_costs_nothing(tmp_path: Path, open_panel: Open) -> None:
    bad(tmp_path, "for _ in range(20000): print('x' * 100); sys.stderr.write('y'); os.write(1, b'z')\nreturn BUY")
    assert asked(open_panel()).signals[0].action == "trail_buy"


def test_odd_text_arrives_as_one_clean_bounded_line(tmp_path: Path, open_panel: Open) -> None:
    bad(tmp_path, r"return Opinion('trail_buy', 1, 0, 'high', '\x1b[31mred\n\ud800' + 'x' * 9000)")
    (signal,) = asked(open_panel()).signals
    assert signal.reasoning.startswith("[31mred ?x")
    assert len(signal.reasoning) == 500


def test_after_a_crash_it_rests_longer_each_time_and_comes_back(
    tmp_path: Path, open_panel: Open, now: Now,
) -> None:
    bad(tmp_path, "if view.ts_open < 3: os._exit(1)\nreturn BUY")
    panel = open_panel()
    assert asked(panel, 1).skipped[0].code == CRASHED
    assert asked(panel, 2).skipped[0].code == AWAY
    now.ns = SECOND_NS
    assert asked(panel, 2).skipped[0].code == CRASHED
    now.ns = 2 * SECOND_NS
    assert asked(panel, 4).skipped[0].code == AWAY  # this rest takes two seconds
    now.ns = 3 * SECOND_NS
    assert asked(panel, 5).signals[0].alpha == "bad"


def test_one_that_dies_each_time_is_given_up(tmp_path: Path, open_panel: Open, now: Now) -> None:
    bad(tmp_path, "os._exit(1)")
    panel = open_panel()
    for _ in range(10):
        now.ns += 100 * SECOND_NS
        asked(panel)
    now.ns += 10_000 * SECOND_NS
    assert "given up" in asked(panel).skipped[0].reason
    assert panel.reports()[0].state == "given up"


BROKEN = {
    "a syntax error": ("class A:\n    def opinion(self, view:\n", "line 2", "SyntaxError"),
    "an import that is missing": ("import nothing_of_this_name\n", "line 1", "ModuleNotFoundError"),
    "async": (
        'class A:\n    name = "a"\n    version = "1"\n    async def opinion(self, view):\n        return None\n', "",
        "A.opinion is async or yields: write a plain def",
    ),
    "no class": ("x = 1\n", "", "no class with a method opinion(view)"),
    "two classes": (
        "class A:\n    def opinion(self, v): ...\nclass B:\n    def opinion(self, v): ...\n", "", "A, B",
    ),
    "no name": ("class A:\n    version = '1'\n    def opinion(self, v): ...\n", "", "A.name is None"),
    "a bad name": ("class A:\n    name = 'A b'\n    def opinion(self, v): ...\n", "", "small letters"),
    "no version": ("class A:\n    name = 'a'\n    def opinion(self, v): ...\n", "", "A.version is None"),
    "a weight too large": (
        "class A:\n    name = 'a'; version = '1'; weight = 2\n    def opinion(self, v): ...\n", "", "from 0 to 1",
    ),
    "an exit at import": ("import sys\nsys.exit(0)\n", "line 2", "SystemExit"),
    "an error when made": (
        "class A:\n    name = 'a'\n    version = '1'\n    def __init__(self): 1 / 0\n    def opinion(self, v): ...\n",
        "line 4", "ZeroDivisionError",
    ),
    "a built-in's name": (
        "class A:\n    name = 'technical'; version = '1'\n    def opinion(self, v): ...\n", "", "built-in",
    ),
    "bytes that are no text": ("\x00\x01", "", "null bytes"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_named_with_its_place_and_the_others_go_on(
    tmp_path: Path, open_panel: Open, what: str,
) -> None:
    text, place, words = BROKEN[what]
    path = written(tmp_path, "broken", text)
    good(tmp_path)
    panel = open_panel()
    assert [alpha.name for alpha in panel.roster()] == ["rising"]
    ((label, told),) = panel.problems()
    assert label == str(path)
    assert told.startswith(str(path))
    assert place in told
    assert words in told
    assert "start the daemon anew" in told


def test_a_crash_while_loading_is_tried_again_after_a_rest(tmp_path: Path, open_panel: Open) -> None:
    written(tmp_path, "crash", "import os\nos._exit(2)\n")
    panel = open_panel()
    assert panel.reports()[0].state == "resting"
    assert panel.may_hold_others


def test_of_two_files_of_one_name_the_first_runs_and_the_other_is_refused_by_its_file(
    tmp_path: Path, open_panel: Open,
) -> None:
    good(tmp_path, "first")
    written(tmp_path, "second", good(tmp_path, "first").read_text(encoding="utf-8"))
    panel = open_panel()
    assert [(each.name, each.state) for each in panel.reports()] == [("first", "ready"), ("second.py", "refused")]
    assert panel.source_of("first") == "first.py"
    ((_, text),) = panel.problems()
    assert "second.py: the name first is taken by first.py, which runs" in text
    assert not panel.may_hold_others


def test_the_first_of_two_names_runs_even_when_it_is_the_slower_one_to_load(
    tmp_path: Path, open_panel: Open,
) -> None:
    text = good(tmp_path, "first").read_text(encoding="utf-8")
    written(tmp_path, "second", text)
    written(tmp_path, "first", f"import time\ntime.sleep(0.4)\n{text}")
    panel = open_panel()
    assert [(each.name, each.state) for each in panel.reports()] == [("first", "ready"), ("second.py", "refused")]
    assert asked(panel).signals[0].alpha == "first"


def test_a_file_with_the_name_of_a_built_in_alpha_does_not_stand_in_for_it(tmp_path: Path, open_panel: Open) -> None:
    good(tmp_path, "momentum")
    panel = open_panel()
    assert [(each.name, each.state) for each in panel.reports()] == [("momentum.py", "refused")]


def test_helpers_that_begin_with_an_underscore_are_imported_and_are_no_alphas(
    tmp_path: Path, open_panel: Open,
) -> None:
    written(tmp_path, "_numbers", "SURE = 0.66\n")
    bad(tmp_path, "from _numbers import SURE\nreturn Opinion('trail_buy', SURE, 0.01, 'high', '')")
    panel = open_panel()
    assert asked(panel).signals[0].confidence == 0.66
    assert len(panel.hosts) == 1


def test_no_secret_of_the_environment_reaches_an_alpha(
    tmp_path: Path, open_panel: Open, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRADINGD__VENUES__BINANCE__API_SECRET", "canary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    bad(tmp_path, "return Opinion('hold', 0.5, 0, 'low', ' '.join(f'{k}={v}' for k, v in sorted(os.environ.items())))")
    said = asked(open_panel()).signals[0].reasoning
    assert "PYTHONHASHSEED=0" in said
    assert "canary" not in said
    assert "TRADINGD" not in said


def test_the_same_views_give_the_same_opinions_whatever_the_alpha_keeps(tmp_path: Path, open_panel: Open) -> None:
    written(tmp_path, "counts", (
        "from agents.alphas.alpha import Opinion\n\nclass Counts:\n    name = 'counts'\n    version = '1'\n"
        "    def __init__(self): self.seen = set()\n"
        "    def opinion(self, view):\n        self.seen.add(f'{view.symbol}{view.ts_open}')\n"
        "        return Opinion('hold', 0.5, 0, 'low', ' '.join(self.seen))\n"
    ))
    said = []
    for _ in range(2):
        panel = open_panel()
        said.append([asked(panel, ts).signals[0].reasoning for ts in range(30)])
    assert said[0] == said[1]
