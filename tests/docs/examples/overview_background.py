# mypy: ignore-errors
# fmt: off
"""Copied from the documents; only the import is changed. The lines at the end are in a function."""

from pyengine import DBOS
from pyengine import WorkflowHandle

@DBOS.workflow()
def background_workflow(data: str) -> str:
    return long_running_task(data)

def run():
    # Start without blocking
    handle: WorkflowHandle = DBOS.start_workflow(background_workflow, "input")
    print(f"Workflow ID: {handle.workflow_id}")

    # Later, retrieve result
    result = handle.get_result()
    return handle.workflow_id, result
