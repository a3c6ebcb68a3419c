# mypy: ignore-errors
# fmt: off
"""Copied from the documents; only the import is changed."""

from pyengine import DBOS
@DBOS.workflow()
def contextual_workflow(user_input: str) -> dict:
    # Access the unique workflow ID
    wf_id = DBOS.workflow_id
    
    # Access the current step ID (increments with each step/transaction)
    current_step = DBOS.step_id
    
    # Use the logger (automatically includes workflow_id in logs)
    DBOS.logger.info(f"Processing input: {user_input}")
    
    return {
        "workflow_id": wf_id,
        "step_id": current_step,
        "input": user_input
    }
