"""The examples of the documents, executed: the modules in `examples` are copies with another import.

What an example leaves out (an external service, a function that it only mentions) is given to its module before it
is executed.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.registry import registry
from pyengine.testing import Clock
from tests.workflows.support import launched, steps_of, wait_until

EXAMPLES = Path(__file__).parent / "examples"
ITEMS = [{"product_id": "soap", "price": 20.0, "quantity": 2}]
Load = Callable[..., Any]
Connection = psycopg.Connection[Any]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Execute an example with what it leaves out: `load("intro_steps", external_api=...)`.

    The examples use the same names for different functions, so each has a registry of its own.
    """
    for attribute in ("_workflows", "_classes", "_instances"):
        monkeypatch.setattr(registry, attribute, {})

    def execute(name: str, **missing: Any) -> Any:
        module = types.ModuleType(f"example_{name}")
        module.__dict__.update(missing)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        path = EXAMPLES / f"{name}.py"
        exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
        return module

    return execute


@pytest.fixture
def dbos(engine_url: str) -> Iterator[type[DBOS]]:
    with launched(engine_url) as engine:
        yield engine


@pytest.fixture
def database(engine_url: str) -> Iterator[Connection]:
    with psycopg.connect(engine_url, autocommit=True) as connection:
        yield connection


class Service:
    """An external service: answers with what was given, and remembers what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self._answers = answers

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*args: Any, **kwargs: Any) -> Any:
            self.asked.append((name, *args, *kwargs.values()))
            return self._answers.get(name)

        return ask


def http_module(text: str) -> types.ModuleType:
    """A stand-in for aiohttp, whose sessions answer every request with the text."""

    class Answer:
        async def text(self) -> str:
            return text

    class ClientSession:
        async def __aenter__(self) -> ClientSession:
            return self

        async def __aexit__(self, *error: object) -> None: ...

        @asynccontextmanager
        async def get(self, url: str) -> Any:
            yield Answer()

    module = types.ModuleType("aiohttp")
    module.ClientSession = ClientSession  # type: ignore[attr-defined]
    return module


def requests_module(answer: Any) -> types.ModuleType:
    """A stand-in for requests, whose answers carry the given json and text."""

    class Answer:
        text = "body"

        def json(self) -> Any:
            return answer

        def raise_for_status(self) -> None: ...

    module = types.ModuleType("requests")
    module.get = module.post = lambda *_, **__: Answer()  # type: ignore[attr-defined]
    return module


def wake(database: Connection, workflow_id: str) -> None:
    """Let a sleeping workflow find that its time has come."""
    wait_until(database, "exists (select 1 from pyengine.steps where name = 'DBOS.sleep')")
    database.execute(
        "update pyengine.steps set completed_at = started_at where name = 'DBOS.sleep'"
    )
    DBOS.resume_workflow(workflow_id)


def test_sync_sleep_in_a_coroutine_workflow_is_refused(dbos: type[DBOS], load: Load) -> None:
    example = load("async_incorrect")

    with pytest.raises(RuntimeError, match=r"DBOS\.sleep_async"):
        asyncio.run(example.async_workflow())


def test_async_patterns(
    dbos: type[DBOS], load: Load, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", http_module("page"))

    @DBOS.workflow()
    async def other_async_workflow() -> str:
        return "other"

    example = load("async_correct", other_async_workflow=other_async_workflow)
    with SetWorkflowID("async"):
        handle = DBOS.start_workflow(example.async_workflow)
    wake(database, "async")

    assert handle.get_result() == "page"
    assert [name.rpartition(".")[2] for _, name in steps_of("async")] == [
        "sleep",
        "fetch_async",
        "other_async_workflow",
    ]
    assert DBOS.get_result("async-3") == "other"


def test_parallel_async_steps(dbos: type[DBOS], load: Load) -> None:
    example = load("async_parallel", **async_steps())

    with SetWorkflowID("parallel"):
        assert asyncio.run(example.parallel_workflow()) == ["arg1", "arg2", "arg3"]

    assert [name for _, name in steps_of("parallel")] == ["step1", "step2", "step3"]


def test_concurrent_sequences_run_although_their_order_is_not_fixed(
    dbos: type[DBOS], load: Load
) -> None:
    example = load("async_concurrent_sequences", **async_steps())

    with SetWorkflowID("sequences"):
        asyncio.run(example.bad_parallel_workflow())

    assert sorted(name for _, name in steps_of("sequences")) == ["step1", "step2", "step3", "step4"]


def async_steps() -> dict[str, Any]:
    def make(name: str) -> Any:
        @DBOS.step(name=name)
        async def step(argument: str) -> str:
            return argument

        return step

    return {name: make(name) for name in ("step1", "step2", "step3", "step4")}


def test_basic_workflow(dbos: type[DBOS], load: Load) -> None:
    example = load("intro_basic")

    assert example.process_order("order-123", "ada@example.com") == "Processed order order-123"


def test_steps(dbos: type[DBOS], load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    example = load("intro_steps")

    with SetWorkflowID("steps"):
        result = example.complete_order_workflow("7", ITEMS, "ada@example.com")

    assert result == {"order_id": "7", "total": 40.0, "status": "completed"}
    assert steps_of("steps") == [(1, "calculate_total"), (2, "send_confirmation_email")]
    assert "ada@example.com for order 7" in capsys.readouterr().out


def test_context_properties(dbos: type[DBOS], load: Load) -> None:
    example = load("intro_context")

    with SetWorkflowID("context"):
        result = example.contextual_workflow("hi")

    assert result == {"workflow_id": "context", "step_id": None, "input": "hi"}


def test_child_workflows(dbos: type[DBOS], load: Load) -> None:
    example = load("intro_children")

    with SetWorkflowID("parent"):
        assert example.parent_workflow(["a", "b"]) == ["Processed a", "Processed b"]

    children = [step["child_workflow_id"] for step in DBOS.list_workflow_steps("parent")]
    assert children == ["parent-1", "parent-1", "parent-3", "parent-3"]


def test_workflow_ids(dbos: type[DBOS], load: Load) -> None:
    example = load("intro_ids")

    assert example.run("7", "ada@example.com") == "Processed order 7"

    status = DBOS.get_workflow_status("order-7")
    assert status is not None
    assert status.recovery_attempts == 1


def test_recovery(dbos: type[DBOS], load: Load) -> None:
    runs: list[str] = []

    class CrashedError(BaseException): ...

    @DBOS.step()
    def save_order(*args: Any) -> None:
        runs.append("save")

    def process_result(result: str) -> str:
        runs.append("process")
        if runs.count("process") == 1:
            raise CrashedError
        return result.upper()

    service = Service(send="sent")
    example = load(
        "intro_recovery", external_api=service, save_order=save_order, process_result=process_result
    )

    assert DBOS.start_workflow(example.resilient_workflow, "data").get_result() == "SENT"
    assert runs == ["save", "process", "process"]
    assert service.asked == [("send", "data")]


def test_handles(dbos: type[DBOS], load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    workflow_id, result = load("intro_handles").run()

    assert result == DBOS.get_result(workflow_id) == "Processed order order-456"
    assert capsys.readouterr().out.split()[0] in ("PENDING", "SUCCESS")


def test_async_workflows(dbos: type[DBOS], load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: sleep(seconds / 1000))

    assert load("intro_async").run() == "Processed Processed: test"


def test_basic_application(dbos: type[DBOS], load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    example = load("overview_basic", requests=requests_module({"status": "fine"}))

    assert example.my_workflow("hello") == "fine"


@pytest.mark.usefixtures("sql")
def test_application_without_a_url_in_the_environment(
    load: Load, engine_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The document passes os.environ.get(...), which may be None; the next source of a URL is used then."""
    monkeypatch.delenv("DBOS_SYSTEM_DATABASE_URL", raising=False)
    monkeypatch.setenv("PYENGINE_DATABASE_URL", engine_url)
    DBOS.destroy()
    try:
        example = load("overview_basic", requests=requests_module({}))
        DBOS.launch()
        assert example.my_workflow("hello") == "unknown"
    finally:
        DBOS.destroy()


def test_retries(dbos: type[DBOS], load: Load) -> None:
    example = load("overview_retry", requests=requests_module({}))

    @DBOS.workflow()
    def around() -> Any:
        return example.unreliable_api_call("https://example.com")

    assert around() == "body"


def test_background_workflows(
    dbos: type[DBOS], load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    example = load("overview_background", long_running_task=str.upper)

    workflow_id, result = example.run()

    assert result == "INPUT"
    assert f"Workflow ID: {workflow_id}" in capsys.readouterr().out


def test_idempotent_workflows(dbos: type[DBOS], load: Load, database: Connection) -> None:
    example = load("overview_ids")

    assert [example.handle_payment("7", 9.5) for _ in range(3)] == ["processed"] * 3

    assert database.execute("select workflow_id from pyengine.workflows").fetchall() == [
        ("payment-7",)
    ]


def test_durable_sleep(dbos: type[DBOS], load: Load, database: Connection) -> None:
    example = load("overview_sleep", execute_task=str.upper)

    with SetWorkflowID("sleeper"):
        handle = DBOS.start_workflow(example.scheduled_task_workflow, 3600, "task")
    wake(database, "sleeper")

    assert handle.get_result() == "TASK"


def test_async_fetches(
    dbos: type[DBOS], load: Load, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", http_module("page"))
    example = load("overview_async")

    with SetWorkflowID("fetches"):
        handle = DBOS.start_workflow(example.async_workflow, ["a", "b"])
    wake(database, "fetches")

    assert handle.get_result() == ["page", "page"]


def test_messages(dbos: type[DBOS], load: Load) -> None:
    example = load("overview_messages")
    with SetWorkflowID("checkout"):
        handle = DBOS.start_workflow(example.checkout_workflow, "7")

    example.payment_webhook("checkout", "completed")

    assert handle.get_result() == "order_completed"


def test_events(dbos: type[DBOS], load: Load) -> None:
    example = load("overview_events", generate_payment_url=lambda order: f"/pay/{order['id']}")

    assert example.checkout_handler({"id": 7}) == {"redirect_url": "/pay/7"}


def test_class_based_workflows(dbos: type[DBOS], load: Load) -> None:
    example = load("overview_class", requests=requests_module({"answer": 42}))

    assert example.processor.process() == {"transformed": {"answer": 42}}
    assert DBOS.start_workflow(example.processor.process).get_result() == {
        "transformed": {"answer": 42}
    }


def test_the_test_fixture(load: Load, engine_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBOS_SYSTEM_DATABASE_URL", engine_url)

    @DBOS.workflow()
    def my_workflow(text: str) -> str:
        return "expected_output"

    example = load("overview_testing", my_workflow=my_workflow)
    fixture: Any = inspect.unwrap(example.dbos_test)
    for _ in range(2):
        steps = fixture()
        next(steps)
        example.test_workflow(None)
        assert next(steps, "over") == "over"


def test_scheduled_workflows_start_by_the_clock(
    load: Load, engine_url: str, dbos: type[DBOS], database: Connection
) -> None:
    """The overview's daily backup and its health check every 15 minutes."""
    with Clock(engine_url, allow=True) as clock:
        load(
            "overview_scheduled",
            perform_backup=lambda: None,
            check_system_health=lambda: "healthy",
        )
        wait_until(database, "count(next_due_at) = 2 from pyengine.schedules")
        to_two = "select extract(epoch from date_trunc('day', pyengine.now()) + interval '26 h' - pyengine.now())"
        ((seconds,),) = database.execute(to_two).fetchall()
        clock.advance(float(seconds))
        wait_until(database, "count(*) = 2 from pyengine.workflows where finished_at is not null")
        clock.advance(15 * 60)
        wait_until(database, "count(*) = 3 from pyengine.workflows where finished_at is not null")

    (backup,) = DBOS.list_workflows(schedule_name="daily_backup")
    checks = DBOS.list_workflows(schedule_name="health_check")
    assert (backup.workflow_id[-14:], backup.output) == ("02:00:00+00:00", "backup_completed")
    assert [check.workflow_id[-14:] for check in checks] == ["02:00:00+00:00", "02:15:00+00:00"]
    assert {check.output for check in checks} == {"healthy"}
