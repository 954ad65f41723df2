"""The seeded bugs still fit the sources: a bug whose text is gone would be tried by nobody."""

import ast
from pathlib import Path

import pytest

from tests.mutants.seeded import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_seeded_bug_fits_exactly_one_place(mutant: Mutant) -> None:
    source = (ROOT / mutant.file).read_text()
    assert source.count(mutant.old) == 1
    changed = source.replace(mutant.old, mutant.new)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source)), "the bug changes nothing"
    for target in mutant.tests:
        assert (ROOT / target).exists(), target


def test_there_are_enough_of_them_and_no_name_twice() -> None:
    assert len(MUTANTS) >= 30
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
