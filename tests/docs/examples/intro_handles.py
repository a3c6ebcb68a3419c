# mypy: ignore-errors
# fmt: off
"""Copied from the documents; only the import is changed. The lines of the document are in a function."""

from pyengine import DBOS
@DBOS.workflow()
def process_order(order_id: str, customer_email: str) -> str:
    # Workflow orchestration logic here
    result = f"Processed order {order_id}"
    DBOS.logger.info(f"Processing order for {customer_email}")
    return result

def run():
    # Start workflow without waiting
    handle = DBOS.start_workflow(process_order, "order-456", "[email protected]")

    # Get the workflow ID
    workflow_id = handle.get_workflow_id()

    # Check workflow status
    status = handle.get_status()
    print(status.status)  # "PENDING", "SUCCESS", "ERROR", etc.

    # Wait for completion and get result
    result = handle.get_result()
    print(result)
    return workflow_id, result
