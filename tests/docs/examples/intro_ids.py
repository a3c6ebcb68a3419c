# mypy: ignore-errors
# fmt: off
"""Copied from the documents; only the import is changed. The lines of the document are in a function."""

from pyengine import DBOS
from pyengine import SetWorkflowID
@DBOS.workflow()
def process_order(order_id: str, customer_email: str) -> str:
    # Workflow orchestration logic here
    result = f"Processed order {order_id}"
    DBOS.logger.info(f"Processing order for {customer_email}")
    return result

def run(order_id, customer_email):
    # Use a deterministic ID based on business logic
    order_workflow_id = f"order-{order_id}"

    with SetWorkflowID(order_workflow_id):
        result = process_order(order_id, customer_email)

    # Running again with the same ID returns the cached result
    with SetWorkflowID(order_workflow_id):
        result = process_order(order_id, customer_email)  # Returns immediately
    return result
