"""The worker process: an ordinary program that launches pyengine and starts a workflow for each order.

Order numbers arrive on standard input, one a line; each is printed when its workflow is stored. A real
shop would have an HTTP server here.
"""

from __future__ import annotations

import os
import sys

from pyengine import DBOS, SetWorkflowID
from pyengine.examples.orders.catalogue import orders
from pyengine.examples.orders.workflows import process_order


def main() -> None:
    """Serve until standard input ends."""
    DBOS(
        config={
            "name": "orders",
            "executor_id": "shop-1",  # a restart under the same name takes over at once
            "system_database_url": os.environ["ORDERS_DATABASE_URL"],
            "log_level": "WARNING",
        }
    )
    DBOS.launch()
    print("ready", flush=True)
    for line in sys.stdin:
        order = orders()[int(line)]
        with SetWorkflowID(f"order-{order.number}"):  # the same order again is the same workflow
            DBOS.start_workflow(process_order, order)
        print(order.number, flush=True)
    DBOS.destroy(workflow_completion_timeout_sec=10)


if __name__ == "__main__":
    main()
