"""Where alphas of users and packages are found: entry points, then DATA_DIR/alphas/*.py. Nothing is imported here."""

import stat
from collections.abc import Collection
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

GROUP: Final = "tradingd.alphas"
"""The entry-point group of installed packages: NAME = "module:Class"."""

FOLDER: Final = "alphas"
"""In the data directory."""

MOST: Final = 32
"""So many processes at most; what is beyond is named and left out."""


@dataclass(frozen=True, slots=True)
class AlphaSource:
    """One alpha to be loaded: a `path`, or a package's `entry` ("module:Class"). `label` names it for people."""

    label: str
    stem: str
    path: str = ""
    entry: str = ""


@dataclass(frozen=True, slots=True)
class BrokenSource:
    """One that cannot be used, with place and remedy."""

    label: str
    stem: str
    why: str
    state: Literal["broken", "refused"] = "broken"
    """refused: its name belongs to another alpha."""


def find_sources(
    data_dir: Path, taken: Collection[str] = (),
) -> tuple[list[AlphaSource], list[BrokenSource]]:
    """What is there, packages first, each by name; `taken` are the names of the built-in alphas.

    Files that begin with `_` or `.` are no alphas: others may import them.
    """
    found, broken = _entry_points()
    folder = data_dir / FOLDER
    try:
        paths = sorted(path for path in folder.glob("*.py") if path.name[0] not in "_.")
    except OSError as error:
        paths = []
        broken.append(BrokenSource(str(folder), FOLDER, f"the folder cannot be read ({error}): mend its rights"))
    for path in paths:
        if _may_be_changed_by_anybody(folder) or _may_be_changed_by_anybody(path):
            why = "everybody on this machine may change it, so its code is not run: chmod o-w it and its folder"
            broken.append(BrokenSource(str(path), path.stem, why))
            continue
        found.append(AlphaSource(str(path), path.stem, path=str(path.resolve())))
    for source in found[MOST:]:
        broken.append(BrokenSource(source.label, source.stem, f"there are more than {MOST} alphas: remove some"))
    kept = []
    for source in found[:MOST]:
        if source.stem in taken:
            why = f"{source.stem} is the name of a built-in alpha: give it another name"
            broken.append(BrokenSource(source.label, source.stem, why, "refused"))
        else:
            kept.append(source)
    return kept, broken


def _may_be_changed_by_anybody(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return False  # whoever loads it says why it cannot


def _entry_points() -> tuple[list[AlphaSource], list[BrokenSource]]:
    found: dict[str, AlphaSource] = {}
    broken: list[BrokenSource] = []
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda each: (each.name, each.value)):
        owner = point.dist.name if point.dist is not None else "an installed package"
        label = f"{point.name} of {owner} ({point.value})"
        if point.name in found:
            other = found[point.name].label
            why = f"the name {point.name} is taken by {other}, which runs: uninstall one of them"
            broken.append(BrokenSource(label, point.name, why, "refused"))
        else:
            found[point.name] = AlphaSource(label, point.name, entry=point.value)
    return list(found.values()), broken
