"""Patches: changed code that workflows which were started before the change don't take."""

from __future__ import annotations

from pyengine.database import calls
from pyengine.effects import Flow
from pyengine.errors import DBOSPatchNondeterminismError
from pyengine.runs import WorkflowRun

PREFIX = "DBOS.patch-"


def apply_patch(run: WorkflowRun, name: str) -> Flow[bool]:
    """Whether the run takes the changed code: it has the patch's marker, or comes here for the first time.

    The marker is the next step; where the history has another one there, the old code goes on, and no number is drawn.
    """
    marker = PREFIX + name
    step_id = run.next_step_id_unless(lambda found: found is not None and found.name != marker)
    if step_id is None:
        return False
    if step_id not in run.history:
        answer = yield calls.record_step(
            workflow_id=run.workflow_id,
            lease_token=run.lease_token,
            step_id=step_id,
            name=marker,
            serialization=run.codec.default_tag,
        )
        earlier = run.accept(answer)
        if earlier is not None and earlier.name != marker:
            raise DBOSPatchNondeterminismError(
                run.workflow_id, name, f"step {step_id} was recorded as {earlier.name} meanwhile"
            )
    return True


def deprecate_patch(run: WorkflowRun, name: str) -> None:
    """Pass over the marker of a patch that every workflow takes, if the run's history has it here."""
    marker = PREFIX + name
    run.next_step_id_unless(lambda found: found is None or found.name != marker)
