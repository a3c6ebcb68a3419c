"""Every worker of this repository does what the conformance suite asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.languages.conformance import runner
from tests.languages.conformance.runner import SCENARIOS, Worker

# Many processes are started; `make test-languages` does, and `make test-all`.
pytestmark = pytest.mark.slow

FILES = sorted(SCENARIOS.glob("*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_worker_does_what_a_scenario_expects(
    worker: Worker, file: Path, sql: psycopg.Connection[Any], engine_url: str, tmp_path: Path
) -> None:
    scenario = runner.load(file)
    if lacking := scenario.needs & worker.unsupported:
        pytest.skip(f"this worker has no {', '.join(sorted(lacking))}")

    runner.perform(scenario, worker, engine_url, tmp_path)
