# mypy: ignore-errors
# fmt: off
"""Copied from the documents; only the import is changed."""

from pyengine import DBOS
@DBOS.workflow()
def process_order(order_id: str, customer_email: str) -> str:
    # Workflow orchestration logic here
    result = f"Processed order {order_id}"
    DBOS.logger.info(f"Processing order for {customer_email}")
    return result
