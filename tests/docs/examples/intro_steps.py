# mypy: ignore-errors
# fmt: off
"""Copied from the documents; only the import is changed."""

from pyengine import DBOS
@DBOS.step()
def calculate_total(items: list[dict]) -> float:
    """Calculate order total - this step is idempotent and cached."""
    total = sum(item["price"] * item["quantity"] for item in items)
    return total

@DBOS.step()
def send_confirmation_email(email: str, order_id: str) -> None:
    """Send email - only executes once even if workflow is restarted."""
    # Call to external email service
    print(f"Sending confirmation to {email} for order {order_id}")

@DBOS.workflow()
def complete_order_workflow(order_id: str, items: list[dict], email: str) -> dict:
    # Calculate total (step 1)
    total = calculate_total(items)
    
    # Send confirmation (step 2)
    send_confirmation_email(email, order_id)
    
    return {
        "order_id": order_id,
        "total": total,
        "status": "completed"
    }
