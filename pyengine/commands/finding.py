"""The workflow that a command names."""

from __future__ import annotations

from pyengine.commands import printing
from pyengine.commands.database import Engine
from pyengine.commands.failures import NoSuchError
from pyengine.database import calls
from pyengine.database.rows import WorkflowRow


def find(engine: Engine, workflow_id: str, *, with_payloads: bool = False) -> WorkflowRow:
    """One workflow.

    Raises:
        NoSuchError: There is none of this id.
    """
    filters: dict[str, object] = {
        "workflow_ids": [workflow_id],
        "load_input": with_payloads,
        "load_output": with_payloads,
    }
    rows = engine.rows(calls.list_workflows(filters=filters))
    if not rows:
        raise NoSuchError(f"there is no workflow {printing.escaped(workflow_id)}")
    return rows[0]
