"""The runs of this process: who waits for a workflow finds its run here only while it is under way."""

from __future__ import annotations

from typing import Any

from pyengine.runs import WorkflowRun
from pyengine.runtime.local import LocalRun, LocalRuns
from pyengine.serialization import Codec


def begin(runs: LocalRuns, workflow_id: str) -> LocalRun:
    return LocalRun(runs, WorkflowRun(workflow_id, "f", "token", Codec(), "json"))


def ignore(_run: Any) -> None:
    pass


def test_a_settled_run_is_not_found_by_who_waits_for_a_later_one() -> None:
    runs = LocalRuns(ignore, ignore)
    with begin(runs, "rewound") as local:
        assert runs.find("rewound") is local
        outcome = local.outcome()

        local.succeed("first")

        assert outcome.result() == "first"
        assert runs.find("rewound") is None
    assert len(runs) == 0
