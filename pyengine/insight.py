"""The part of `DBOS` that tells what goes on; sync and async twins."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pyengine.current import get_runtime, refuse_running_loop
from pyengine.database import insight_calls as calls
from pyengine.database.rows import ExplanationRow
from pyengine.effects import Flow


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact about a workflow.

    Attributes:
        code: what it is, for programs, such as queue_paused.
        sentence: the same for people.
        detail: the ids, times (ISO 8601) and numbers in it.
    """

    code: str
    sentence: str
    detail: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a workflow is where it is; as a text it is its summary.

    Attributes:
        workflow_id: the workflow.
        status: its status.
        summary: a paragraph for people.
        facts: what the paragraph is made of.
    """

    workflow_id: str
    status: str
    summary: str
    facts: list[Fact]

    def __str__(self) -> str:
        return self.summary


class Insight:
    """The part of `DBOS` that tells what goes on."""

    @classmethod
    def explain_workflow(cls, workflow_id: str) -> Explanation:
        """Why a workflow is where it is: who runs it, what it waits for, which limit holds it back.

        Args:
            workflow_id: Its id.

        Returns:
            A paragraph for people and the facts of it for programs.

        Raises:
            DBOSNonExistentWorkflowError: There is no such workflow.
        """
        refuse_running_loop("explain_workflow")
        return get_runtime("DBOS.explain_workflow").run(_explain(workflow_id))

    @classmethod
    async def explain_workflow_async(cls, workflow_id: str) -> Explanation:
        """As `explain_workflow`."""
        runtime = get_runtime("DBOS.explain_workflow_async")
        return await runtime.run_async(_explain(workflow_id))


def explanation_of(row: ExplanationRow) -> Explanation:
    """An explanation as its users see it."""
    facts = [Fact(**fact) for fact in json.loads(row.facts)]
    return Explanation(row.workflow_id, row.status, row.summary, facts)


def _explain(workflow_id: str) -> Flow[Explanation]:
    (row,) = yield calls.explain_workflow(workflow_id=workflow_id)
    return explanation_of(row)
