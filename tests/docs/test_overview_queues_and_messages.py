"""The overview's patterns of queues, messages, events, sleep and introspection, with only the import changed."""

from __future__ import annotations

from typing import Any

from pyengine import DBOS, Queue, SetWorkflowID, WorkflowHandle

# Queue-Based Processing

queue = Queue("task_queue", worker_concurrency=5)

rate_limited_queue = Queue(
    "api_queue",
    limiter={"limit": 100, "period": 60},  # 100 requests per minute
)


@DBOS.workflow()
def process_task(task_id: int) -> str:
    return f"Completed task {task_id}"


# Queue with Partitioning

user_queue = Queue("user_queue", worker_concurrency=10)


@DBOS.workflow()
def process_user_action(user_id: str, action: dict[str, Any]) -> str:
    return f"Processed {action} for {user_id}"


# Workflow Communication - Messages


@DBOS.workflow()
def checkout_workflow(order_id: str) -> str:
    # Wait up to 5 minutes for payment confirmation
    payment_result = DBOS.recv(topic="payment", timeout_seconds=300)

    if payment_result is None:
        return "payment_timeout"
    if payment_result["status"] == "completed":
        return "order_completed"
    return "payment_failed"


def payment_webhook(workflow_id: str, status: str) -> None:
    DBOS.send(workflow_id, {"status": status}, topic="payment")


# Workflow Communication - Events


def generate_payment_url(order: dict[str, Any]) -> str:
    return f"https://pay.example/{order['id']}"


@DBOS.workflow()
def checkout_with_event(order: dict[str, Any]) -> str:
    payment_url = generate_payment_url(order)
    DBOS.set_event("payment_url", payment_url)
    return "completed"


def checkout_handler(order: dict[str, Any]) -> dict[str, Any]:
    handle = DBOS.start_workflow(checkout_with_event, order)
    url = DBOS.get_event(handle.workflow_id, "payment_url", timeout_seconds=30)
    return {"redirect_url": url}


# Durable Sleep


def execute_task(task: str) -> str:
    return f"did {task}"


@DBOS.workflow()
def scheduled_task_workflow(delay_seconds: float, task: str) -> str:
    DBOS.sleep(delay_seconds)
    return execute_task(task)


def test_work_is_enqueued_and_its_result_awaited(dbos: type[DBOS]) -> None:
    handle = queue.enqueue(process_task, 123)
    result = handle.get_result()

    assert result == "Completed task 123"
    assert rate_limited_queue.enqueue(process_task, 7).get_result() == "Completed task 7"


def test_actions_of_one_user_are_processed_in_order(dbos: type[DBOS], sql: Any) -> None:
    handles: list[WorkflowHandle[Any]] = [
        user_queue.enqueue(
            process_user_action, "user_123", {"type": "update", "n": n}, partition_key="user_123"
        )
        for n in range(5)
    ]

    for handle in handles:
        assert "for user_123" in handle.get_result()
    started = sql.execute(
        "select workflow_id from pyengine.workflows where queue_name = 'user_queue' order by started_at"
    ).fetchall()
    assert [row[0] for row in started] == [handle.workflow_id for handle in handles]


def test_a_payment_message_completes_the_checkout(dbos: type[DBOS]) -> None:
    paid = DBOS.start_workflow(checkout_workflow, "order-1")
    failed = DBOS.start_workflow(checkout_workflow, "order-2")

    payment_webhook(paid.workflow_id, "completed")
    payment_webhook(failed.workflow_id, "declined")

    assert paid.get_result() == "order_completed"
    assert failed.get_result() == "payment_failed"


def test_a_handler_redirects_to_the_url_that_the_workflow_published(dbos: type[DBOS]) -> None:
    assert checkout_handler({"id": 5}) == {"redirect_url": "https://pay.example/5"}


def test_a_task_runs_after_its_delay(dbos: type[DBOS]) -> None:
    assert scheduled_task_workflow(0.05, "the task") == "did the task"


def test_workflows_are_listed_and_controlled(dbos: type[DBOS]) -> None:
    with SetWorkflowID("listed-task"):
        process_task(1)
    waiting = DBOS.start_workflow(checkout_workflow, "order-3")

    pending = DBOS.list_workflows(status="PENDING", limit=10)
    completed = DBOS.list_workflows(status="SUCCESS", sort_desc=True)
    steps = DBOS.list_workflow_steps("listed-task")
    DBOS.cancel_workflow(waiting.workflow_id)
    cancelled = waiting.get_status().status
    DBOS.resume_workflow(waiting.workflow_id)
    payment_webhook(waiting.workflow_id, "completed")

    assert [status.workflow_id for status in pending] == [waiting.workflow_id]
    assert [status.workflow_id for status in completed] == ["listed-task"]
    assert steps == []
    assert cancelled == "CANCELLED"
    assert waiting.get_result() == "order_completed"
    assert DBOS.list_workflows(workflow_id="listed-task")[0].output == "Completed task 1"
