"""The mutants of `make mutants` fit the sources as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.guard_mutants import MUTANTS, Mutant
from tests.tools.mutants import ROOT, mutate


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_its_source_and_names_tests_that_exist(mutant: Mutant) -> None:
    text = (ROOT / "sql" / mutant.path).read_text(encoding="utf-8")

    assert mutate(text, mutant) != text
    assert all(Path(ROOT, test).exists() for test in mutant.tests)


def test_mutants_have_names_of_their_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
