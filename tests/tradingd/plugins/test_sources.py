"""Where foreign alphas are found: installed packages by entry point, files by name, nothing imported on the way."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.alphas.registry import BUILT_IN_NAMES, UnknownAlphaError, make_alphas
from tests.tradingd.plugins.alpha_files import good, view, written
from tradingd.plugins import process
from tradingd.plugins.host import HostOptions
from tradingd.plugins.panel import WaitingPanel
from tradingd.plugins.sources import MOST, find_sources

PACKAGE = """
from agents.alphas.alpha import Opinion


class Signal:
    name = "packaged"
    version = 2

    def opinion(self, view):
        return Opinion("trail_sell", 0.7, 0.0, "low", "from a package")
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A distribution with an entry point of ours, as an installer leaves it on the path."""
    site = tmp_path / "site"
    info = site / "signals-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "signals_package.py").write_text(PACKAGE, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: signals\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[tradingd.alphas]\npackaged = signals_package:Signal\n", encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(site))
    ours = process.worker_environment()
    monkeypatch.setattr(
        process, "worker_environment", lambda: ours | {"PYTHONPATH": f"{ours['PYTHONPATH']}:{site}"},
    )
    yield site
    sys.modules.pop("signals_package", None)


def test_a_package_s_entry_point_is_an_alpha_like_any_other_and_is_not_imported_here(
    package: Path, tmp_path: Path,
) -> None:
    sources, broken = find_sources(tmp_path / "data")
    assert [(each.stem, each.entry) for each in sources] == [("packaged", "signals_package:Signal")]
    assert broken == []
    panel = WaitingPanel(sources, broken, HostOptions(memory_mb=300), (), lambda: 0)
    panel.start()
    try:
        answer = panel.ask(view(), ["packaged"])
    finally:
        panel.end()
    assert answer is not None
    assert answer.signals[0].reasoning == "from a package"
    assert panel.roster()[0].version == "2"
    assert panel.source_of("packaged") == "packaged of signals (signals_package:Signal)"
    assert "signals_package" not in sys.modules


def test_an_entry_point_that_leads_nowhere_is_named(package: Path, tmp_path: Path) -> None:
    (package / "signals_package.py").write_text("x = 1\n", encoding="utf-8")
    panel = WaitingPanel(*find_sources(tmp_path / "data"), HostOptions(memory_mb=300), (), lambda: 0)
    panel.start()
    panel.end()
    ((label, text),) = panel.problems()
    assert label == "packaged of signals (signals_package:Signal)"
    assert "AttributeError" in text


def test_files_come_in_the_order_of_their_names_and_no_more_than_fit(tmp_path: Path) -> None:
    for number in range(MOST + 2):
        good(tmp_path, f"a{number:02}")
    written(tmp_path, "_helper", "")
    written(tmp_path, ".hidden", "")
    sources, broken = find_sources(tmp_path)
    assert [each.stem for each in sources] == [f"a{number:02}" for number in range(MOST)]
    assert [each.stem for each in broken] == [f"a{MOST}", f"a{MOST + 1}"]
    assert f"more than {MOST}" in broken[0].why


def test_a_built_in_s_name_is_refused_before_anything_runs(tmp_path: Path) -> None:
    good(tmp_path, "momentum")
    sources, broken = find_sources(tmp_path, ("momentum",))
    assert sources == []
    assert "built-in" in broken[0].why


@pytest.mark.parametrize("name", ["", "a.py"])
def test_code_that_everybody_may_change_is_not_run(tmp_path: Path, name: str) -> None:
    good(tmp_path, "a")
    (tmp_path / "alphas" / name).chmod(0o777)
    found, broken = find_sources(tmp_path)
    assert not found
    assert "chmod o-w" in broken[0].why


def test_without_a_folder_there_is_nothing(tmp_path: Path) -> None:
    assert find_sources(tmp_path / "nowhere") == ([], [])


def test_a_weight_without_an_alpha_is_refused_unless_a_file_that_cannot_be_loaded_may_be_meant() -> None:
    with pytest.raises(UnknownAlphaError, match=r"there is no alpha 'mine'.*DATA_DIR/alphas"):
        make_alphas({"mine": 0.5}, ("yours",))
    names = {alpha.name for alpha in make_alphas({"mine": 0.5}, ("mine",))}
    assert names == {alpha.name for alpha in make_alphas({"mine": 0.5}, None)} == set(BUILT_IN_NAMES)
