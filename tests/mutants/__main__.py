"""`make mutants`: each seeded bug in a copy of the tree, and whether its tests notice. Ends with `caught N of M`.

The working tree is copied, never changed. Exit code 1 when fewer than 95 % are caught or a bug's text no longer
matches the sources.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory
from typing import Final

from tests.mutants.seeded import MUTANTS, Mutant

ROOT: Final = Path(__file__).resolve().parents[2]
LEAST_CAUGHT_RATIO: Final = 0.95
TIMEOUT_S: Final = 240.0
LEFT_OUT: Final = (".git", ".venv", "data", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis")


@dataclass(frozen=True)
class Verdict:
    """`how`: caught, survived, or why it could not be tried."""

    mutant: Mutant
    is_caught: bool
    how: str
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description="Do the tests notice seeded bugs?")
    parser.add_argument("--only", default="", help="those whose name or file holds this text")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    chosen = [each for each in MUTANTS if asked.only in each.name or asked.only in each.file]
    with TemporaryDirectory(prefix="tradingd-mutants-") as folder:
        trees: Queue[Path] = Queue()
        for number in range(max(1, asked.jobs)):
            trees.put(_copy(Path(folder) / f"tree-{number}"))
        broken = _tests_that_fail_anyway(trees, chosen)
        if broken:
            sys.stdout.write(f"without any seeded bug this fails already, mend it first: {broken}\n")
            return 1
        with ThreadPoolExecutor(max(1, asked.jobs)) as pool:
            verdicts = list(pool.map(lambda mutant: _try(mutant, trees), chosen))
    caught = sum(verdict.is_caught for verdict in verdicts)
    for verdict in verdicts:
        if not verdict.is_caught:
            sys.stdout.write(f"not caught: {verdict.mutant.name} ({verdict.mutant.file}): {verdict.how}\n")
    sys.stdout.write(f"caught {caught} of {len(verdicts)}\n")
    return 0 if verdicts and caught >= LEAST_CAUGHT_RATIO * len(verdicts) else 1


def _copy(to: Path) -> Path:
    shutil.copytree(ROOT, to, ignore=shutil.ignore_patterns(*LEFT_OUT))
    return to


def _tests_that_fail_anyway(trees: "Queue[Path]", chosen: list[Mutant]) -> str:
    """A test that fails without a bug would count every bug as caught."""
    tree = trees.get()
    targets = sorted({target for mutant in chosen for target in mutant.tests})
    failed, said = _fails(tree, tuple(targets), TIMEOUT_S * 2)
    trees.put(tree)
    return said if failed else ""


def _try(mutant: Mutant, trees: "Queue[Path]") -> Verdict:
    tree = trees.get()
    begin = time.monotonic()
    file = tree / mutant.file
    source = file.read_text()
    try:
        if source.count(mutant.old) != 1:
            is_caught, how = False, f"its text occurs {source.count(mutant.old)} times, not once: bring it up to date"
        else:
            file.write_text(source.replace(mutant.old, mutant.new))
            is_caught, said = _fails(tree, mutant.tests, TIMEOUT_S)
            how = said if is_caught else "survived"
    finally:
        file.write_text(source)
        trees.put(tree)
    verdict = Verdict(mutant, is_caught, how, time.monotonic() - begin)
    word = "caught" if is_caught else "NOT CAUGHT"
    sys.stdout.write(f"{word:<11} {verdict.seconds:5.1f} s  {mutant.name}: {how}\n")
    sys.stdout.flush()
    return verdict


def _fails(tree: Path, targets: tuple[str, ...], seconds: float) -> tuple[bool, str]:
    """Whether a test fails, and which. Nothing of what is compiled is kept: the sources change within a second."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", *targets]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=seconds, check=False,
        )
    except subprocess.TimeoutExpired:
        return True, f"its tests did not end within {seconds:g} s"
    if done.returncode == 0:
        return False, ""
    named = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return True, named[0].partition(" - ")[0] if named else f"pytest ended with {done.returncode}: {done.stdout[-300:]}"


if __name__ == "__main__":
    sys.exit(main())
