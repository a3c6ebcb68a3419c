# mypy: ignore-errors
# fmt: off
"""Copied from the documents; only the import is changed."""

from pyengine import DBOS
import sqlalchemy as sa
from datetime import datetime

@DBOS.step()
def validate_inventory(items: list[dict]) -> bool:
    """Check if items are in stock."""
    for item in items:
        # External inventory service call
        if not check_stock(item["product_id"], item["quantity"]):
            return False
    return True

@DBOS.step()
def calculate_order_total(items: list[dict]) -> float:
    """Calculate total with tax and shipping."""
    subtotal = sum(item["price"] * item["quantity"] for item in items)
    tax = subtotal * 0.08
    shipping = 10.0 if subtotal < 50 else 0.0
    return subtotal + tax + shipping

@DBOS.transaction()
def create_order_record(order_id: str, customer_id: str, total: float, items: list[dict]) -> int:
    """Create order in database."""
    # Insert order
    order_result = DBOS.sql_session.execute(
        sa.text(
            "INSERT INTO orders (order_id, customer_id, total, created_at) "
            "VALUES (:oid, :cid, :total, :created) RETURNING id"
        ),
        {"oid": order_id, "cid": customer_id, "total": total, "created": datetime.now()}
    )
    db_id = order_result.fetchone()[0]
    
    # Insert order items
    for item in items:
        DBOS.sql_session.execute(
            sa.text(
                "INSERT INTO order_items (order_id, product_id, quantity, price) "
                "VALUES (:oid, :pid, :qty, :price)"
            ),
            {"oid": db_id, "pid": item["product_id"], "qty": item["quantity"], "price": item["price"]}
        )
    
    return db_id

@DBOS.step()
def charge_payment(customer_id: str, amount: float) -> str:
    """Process payment via payment gateway."""
    # External payment API call
    transaction_id = payment_gateway.charge(customer_id, amount)
    return transaction_id

@DBOS.step()
def send_order_confirmation(email: str, order_id: str, total: float) -> None:
    """Send confirmation email to customer."""
    email_service.send(
        to=email,
        subject=f"Order Confirmation - {order_id}",
        body=f"Thank you for your order! Total: ${total:.2f}"
    )

@DBOS.workflow()
def process_customer_order(order_id: str, customer_id: str, customer_email: str, items: list[dict]) -> dict:
    """Complete order processing workflow."""
    DBOS.logger.info(f"Starting order processing for {order_id}")
    
    # Step 1: Validate inventory
    if not validate_inventory(items):
        raise Exception("Insufficient inventory")
    
    # Step 2: Calculate total
    total = calculate_order_total(items)
    
    # Step 3: Create order in database
    db_order_id = create_order_record(order_id, customer_id, total, items)
    
    # Step 4: Charge payment
    transaction_id = charge_payment(customer_id, total)
    
    # Step 5: Send confirmation
    send_order_confirmation(customer_email, order_id, total)
    
    DBOS.logger.info(f"Order {order_id} completed successfully")
    
    return {
        "order_id": order_id,
        "db_id": db_order_id,
        "transaction_id": transaction_id,
        "total": total,
        "status": "completed"
    }
